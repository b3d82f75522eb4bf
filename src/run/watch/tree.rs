//! The folders that are watched (`inotify(7)` watches folders, not trees), and what happens in them.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::Gitignore;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use super::patterns::{Patterns, Root};

/// All folders that are watched.
pub struct Tree {
    inotify: Inotify,
    services: Vec<Patterns>,
    folders: HashMap<WatchDescriptor, PathBuf>,
    /// What git ignores by the file in this folder.
    ignores: HashMap<PathBuf, Gitignore>,
    problem: Option<String>,
    told: bool,
}

impl Tree {
    /// Nothing is watched yet.
    ///
    /// # Errors
    /// Of `inotify_init1(2)`.
    pub fn new(services: Vec<Patterns>) -> io::Result<Tree> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        Ok(Tree { inotify, services, folders: HashMap::new(), ignores: HashMap::new(), problem: None, told: false })
    }

    /// Readable when something has happened.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Why something cannot be watched, once.
    pub fn take_problem(&mut self) -> Option<String> {
        self.problem.take()
    }

    /// Watches all folders in which a file could belong to a service.
    pub fn scan(&mut self) {
        let roots: Vec<Root> = self.services.iter().flat_map(|service| service.roots.clone()).collect();
        roots.into_iter().for_each(|root| self.look(&root, None));
    }

    /// Reads what has happened: changed files with the place of the service they belong to.
    pub fn read(&mut self) -> Vec<(usize, String)> {
        let mut changed = Vec::new();
        while let Ok(events) = self.inotify.read_events() {
            for event in events {
                self.happened(&event, &mut changed);
            }
        }
        let mut told = Vec::new();
        for path in changed {
            for index in 0..self.services.len() {
                if self.services[index].matches(&path)
                    && (self.services[index].names(&path) || !self.is_ignored(&path, false))
                {
                    told.push((index, self.services[index].shown(&path)));
                }
            }
        }
        told
    }

    fn happened(&mut self, event: &InotifyEvent, changed: &mut Vec<PathBuf>) {
        let mask = event.mask;
        if mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            // What was lost is not known: whatever is there may be new.
            self.folders.clear();
            self.scan();
            changed
                .extend(self.services.iter().flat_map(|service| service.roots.iter()).map(|root| root.path.join("…")));
            return;
        }
        if mask.contains(AddWatchFlags::IN_IGNORED) {
            self.folders.remove(&event.wd);
            return;
        }
        let Some(folder) = self.folders.get(&event.wd) else { return };
        let Some(name) = &event.name else { return };
        let path = folder.join(name);
        if name == ".gitignore" {
            let folder = folder.clone();
            self.ignores.remove(&folder);
            self.scan();
        }
        let came = mask.intersects(AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO);
        if mask.contains(AddWatchFlags::IN_ISDIR) {
            if came {
                self.folder_came(&path, changed);
            }
            return;
        }
        // A file that is made is written and closed after that; a link is not.
        let made = mask.contains(AddWatchFlags::IN_CREATE);
        if !made || std::fs::symlink_metadata(&path).is_ok_and(|data| is_linked(&data)) {
            changed.push(path);
        }
    }

    /// A folder is there that was not, and what was put into it meanwhile.
    fn folder_came(&mut self, path: &Path, changed: &mut Vec<PathBuf>) {
        let roots: Vec<Root> = self.services.iter().flat_map(|service| service.roots.clone()).collect();
        for root in roots {
            if root.path.starts_with(path) {
                self.look(&root, Some(changed));
            } else if root.deep && path.starts_with(&root.path) {
                self.look(&Root { path: path.to_owned(), deep: true }, Some(changed));
            }
        }
    }

    /// Watches a folder and, if that is wanted, those in it. A root that is not there yet is waited for where it will be.
    fn look(&mut self, root: &Root, mut found: Option<&mut Vec<PathBuf>>) {
        if !root.path.is_dir() {
            if !root.path.exists()
                && let Some(parent) = root.path.ancestors().skip(1).find(|parent| parent.is_dir())
            {
                self.watch(parent.to_owned());
            }
            return;
        }
        let mut open = vec![root.path.clone()];
        while let Some(folder) = open.pop() {
            if !self.watch(folder.clone()) {
                continue;
            }
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if !is_folder {
                    if let Some(found) = &mut found {
                        found.push(path);
                    }
                } else if root.deep && entry.file_name() != ".git" && !self.is_ignored(&path, true) {
                    open.push(path);
                }
            }
        }
    }

    fn watch(&mut self, folder: PathBuf) -> bool {
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ONLYDIR;
        match self.inotify.add_watch(&folder, flags) {
            Ok(descriptor) => {
                self.folders.insert(descriptor, folder);
                true
            }
            // It has gone meanwhile.
            Err(Errno::ENOENT | Errno::ENOTDIR) => false,
            Err(errno) => {
                if !std::mem::replace(&mut self.told, true) {
                    self.problem = Some(format!("{}: {}", folder.display(), explained(&errno.into())));
                }
                false
            }
        }
    }

    /// Whether git ignores it: by the files of its folders, from its own up to the top of its repository.
    fn is_ignored(&mut self, path: &Path, is_folder: bool) -> bool {
        for folder in path.ancestors().skip(1) {
            let ignore = self.ignores.entry(folder.to_owned()).or_insert_with(|| {
                let file = folder.join(".gitignore");
                // What cannot be read in it ignores nothing.
                if file.is_file() { Gitignore::new(file).0 } else { Gitignore::empty() }
            });
            match ignore.matched_path_or_any_parents(path, is_folder) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => {}
            }
            if folder.join(".git").exists() {
                return false;
            }
        }
        false
    }
}

fn is_linked(data: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    data.file_type().is_symlink() || data.nlink() > 1
}

/// Why inotify cannot watch, and what to do about it.
pub fn explained(problem: &io::Error) -> String {
    match problem.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSPC) => {
            "the kernel watches no more folders for this user: raise it with sysctl fs.inotify.max_user_watches=524288, \
             or watch fewer folders"
                .to_owned()
        }
        Some(Errno::EMFILE) => {
            "this user has no more inotify instances: raise it with sysctl fs.inotify.max_user_instances=512".to_owned()
        }
        _ => problem.to_string(),
    }
}
