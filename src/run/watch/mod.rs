//! Files that are watched while services are developed (`inotify(7)`): which belong to whom is decided by patterns, and
//! what git ignores changes nothing.

mod patterns;
mod tree;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::core::settings::WatchSettings;

use patterns::Patterns;
use tree::Tree;

/// What is watched for one service.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject {
    /// What its settings say.
    pub settings: WatchSettings,
    /// Files that it reads beside those, such as `.env`.
    pub files: Vec<PathBuf>,
    /// Folders that launcher itself writes into.
    pub except: Option<PathBuf>,
}

/// The thread that watches; it ends when this is dropped.
pub struct Watcher {
    _alive: OwnedFd,
}

/// So many changes of one service are told one by one when they come together: more say nothing more.
const MOST_TOLD: usize = 64;

impl Watcher {
    /// Watches for these services; `changed` is called, on a thread, with the place of a service among them and a path
    /// as it is seen from its folder. `trouble` is told what cannot be watched, and why. What has changed before `begun` was
    /// called, once, may not have been told.
    ///
    /// # Errors
    /// Of making the thread and its pipe.
    pub fn start(
        subjects: Vec<Subject>,
        begun: impl FnOnce() + Send + 'static,
        changed: impl Fn(usize, String) + Send + 'static,
        trouble: impl Fn(String) + Send + 'static,
    ) -> io::Result<Watcher> {
        let (ended, alive) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        std::thread::Builder::new().name("watch".into()).stack_size(512 * 1024).spawn(move || {
            let patterns: Vec<Patterns> = subjects.iter().map(Patterns::new).collect();
            match Tree::new(patterns) {
                Ok(mut tree) => {
                    tree.scan();
                    begun();
                    watch(tree, &ended, &changed, &trouble);
                }
                Err(problem) => trouble(tree::explained(&problem)),
            }
        })?;
        Ok(Watcher { _alive: alive })
    }
}

fn watch(mut tree: Tree, ended: &OwnedFd, changed: &dyn Fn(usize, String), trouble: &dyn Fn(String)) {
    loop {
        if let Some(problem) = tree.take_problem() {
            trouble(problem);
        }
        let mut polled = [PollFd::new(tree.fd(), PollFlags::POLLIN), PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return,
        }
        if polled[1].revents().is_some_and(|events| !events.is_empty()) {
            return;
        }
        if polled[0].revents().is_some_and(|events| !events.is_empty()) {
            let mut told: Vec<(usize, String)> = Vec::new();
            for (service, path) in tree.read() {
                let known = told.iter().filter(|(of, _)| *of == service).count();
                if known < MOST_TOLD && !told.contains(&(service, path.clone())) {
                    changed(service, path.clone());
                    told.push((service, path));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
