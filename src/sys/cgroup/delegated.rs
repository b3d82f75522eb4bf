//! The part of the tree of cgroup v2 that is the launcher's own, in which it makes groups for its services.
//!
//! A group that gives controllers to groups below it may have no processes of its own (`cgroups(7)`, "no internal
//! processes"): the launcher moves into a group of its own first, beside those of its services, and back in the end.
//! The root of the machine alone may have both.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{AccessFlags, access};

use super::{Cgroup, MOUNTS, is_cgroup2, own_path};
use crate::core::exec_words::GroupDenied;

/// What the launcher's own group is called.
const LAUNCHER: &str = "launcher";

/// How often the launcher tries to remove its own group, and what is between two tries.
const REMOVALS: u32 = 50;
const BETWEEN_REMOVALS: Duration = Duration::from_millis(2);

/// The launcher's group, made ready to have groups of services below it. Dropping it puts things back as they were, as
/// far as nothing is in the way.
#[derive(Debug)]
pub struct Delegated {
    group: PathBuf,
    given: Vec<&'static str>,
    /// Those of them that were not given before.
    enabled: Vec<&'static str>,
    aside: bool,
}

impl Delegated {
    /// Makes the launcher's own group ready to give these controllers to groups of services, as far as they are there, and
    /// says why some or all cannot be given. To be done before anything is started.
    pub fn prepare(controllers: &[&'static str]) -> (Option<Delegated>, Option<GroupDenied>) {
        match own() {
            Some((group, memberships)) => Delegated::below(group, controllers, &memberships),
            None => (None, Some(GroupDenied::NoCgroup2)),
        }
    }

    /// Why some or all of these controllers could not be given to groups of services, as far as that can be seen without
    /// making any.
    pub fn examine(controllers: &[&'static str]) -> Option<GroupDenied> {
        let Some((group, memberships)) = own() else { return Some(GroupDenied::NoCgroup2) };
        Delegated::examine_in(group, controllers, &memberships)
    }

    fn examine_in(group: PathBuf, controllers: &[&'static str], memberships: &str) -> Option<GroupDenied> {
        let there = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
        let missing: Vec<&str> = controllers.iter().copied().filter(|controller| !has(&there, controller)).collect();
        let delegated = Delegated { group, given: Vec::new(), enabled: Vec::new(), aside: false };
        let denied = delegated.missing(&missing, memberships);
        if missing.len() == controllers.len() {
            return denied;
        }
        let group = &delegated.group;
        let closed = [group.clone(), group.join("cgroup.subtree_control")].into_iter().find_map(|path| {
            let errno = access(&path, AccessFlags::W_OK).err()?;
            Some(refused("making a group in", group)(errno.into()))
        });
        let given = fs::read_to_string(group.join("cgroup.subtree_control")).unwrap_or_default();
        let alone = || {
            let own = std::process::id().to_string();
            let inside = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            inside.lines().all(|pid| pid == own)
        };
        let must_move = group.join("cgroup.type").exists() && !controllers.iter().all(|one| has(&given, one));
        match closed {
            Some(closed) => Some(closed),
            None if must_move && !alone() => Some(GroupDenied::NotAlone(group.clone())),
            None => denied,
        }
    }

    /// Has groups have more controllers, as far as they are there, and says why some or all cannot be given.
    pub fn add(&mut self, controllers: &[&'static str]) -> Option<GroupDenied> {
        let there = fs::read_to_string(self.group.join("cgroup.controllers")).unwrap_or_default();
        let (new, missing): (Vec<&str>, Vec<&str>) = controllers.iter().copied().partition(|one| has(&there, one));
        if let Err(problem) = self.control('+', &new) {
            return Some(refused("giving controllers to groups in", &self.group)(problem));
        }
        self.given.extend(&new);
        self.enabled.extend(&new);
        let memberships = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        self.missing(&missing, &memberships)
    }

    fn missing(&self, controllers: &[&str], memberships: &str) -> Option<GroupDenied> {
        let first = |of: &&str| memberships.lines().any(|line| version_1_has(line, of));
        (!controllers.is_empty()).then(|| GroupDenied::NoController {
            in_version_1: controllers.iter().any(first),
            controllers: controllers.iter().map(|&controller| controller.to_owned()).collect(),
            group: self.group.clone(),
        })
    }

    fn below(
        group: PathBuf,
        controllers: &[&'static str],
        memberships: &str,
    ) -> (Option<Delegated>, Option<GroupDenied>) {
        let there = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
        let (given, missing): (Vec<&str>, Vec<&str>) =
            controllers.iter().copied().partition(|controller| has(&there, controller));
        let nothing = given.is_empty() && !missing.is_empty();
        let mut delegated = Delegated { group, given, enabled: Vec::new(), aside: false };
        let denied = delegated.missing(&missing, memberships);
        if nothing {
            return (None, denied);
        }
        match delegated.give() {
            Ok(()) => (Some(delegated), denied),
            Err(denied) => (None, Some(denied)),
        }
    }

    /// The controllers that groups below it have.
    pub fn controllers(&self) -> &[&'static str] {
        &self.given
    }

    /// The group that the launcher has moved to, if it had to.
    pub fn launcher(&self) -> Option<PathBuf> {
        self.aside.then(|| self.group.join(LAUNCHER))
    }

    /// Makes a group of this name, and writes to its files what they are to hold.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn create(&self, name: &str, files: &[(&'static str, String)]) -> Result<Cgroup, GroupDenied> {
        let path = self.group.join(name);
        // One that a launcher with this number has left, as one that was killed may have.
        let _ = fs::remove_dir(&path);
        fs::create_dir(&path).map_err(refused("making a group in", &self.group))?;
        let remove = |denied| {
            let _ = fs::remove_dir(&path);
            denied
        };
        for (file, text) in files {
            let file = path.join(file);
            fs::write(&file, text).map_err(refused("writing", &file)).map_err(remove)?;
        }
        Cgroup::open(&path).map_err(refused("opening cgroup.procs of", &path)).map_err(remove)
    }

    fn give(&mut self) -> Result<(), GroupDenied> {
        let given = fs::read_to_string(self.group.join("cgroup.subtree_control")).unwrap_or_default();
        let wanted: Vec<&'static str> =
            self.given.iter().copied().filter(|controller| !has(&given, controller)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        // With processes inside, some controllers could be given and others not; but no process could enter a group that
        // has them then (EOPNOTSUPP). The root of the machine has no type.
        if self.group.join("cgroup.type").exists() {
            self.move_aside()?;
            let left = fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default();
            if !left.trim().is_empty() {
                return Err(GroupDenied::NotAlone(self.group.clone()));
            }
        }
        self.control('+', &wanted).map_err(|problem| match problem.raw_os_error() {
            Some(libc::EBUSY) => GroupDenied::NotAlone(self.group.clone()),
            _ => refused("giving controllers to groups in", &self.group)(problem),
        })?;
        self.enabled = wanted;
        Ok(())
    }

    /// Gives controllers to groups below, or takes them.
    fn control(&self, sign: char, controllers: &[&str]) -> io::Result<()> {
        let order = controllers.iter().map(|controller| format!("{sign}{controller}")).collect::<Vec<_>>().join(" ");
        fs::write(self.group.join("cgroup.subtree_control"), order)
    }

    /// Moves the launcher into a group of its own. What it starts from here on begins there.
    fn move_aside(&mut self) -> Result<(), GroupDenied> {
        let group = self.group.join(LAUNCHER);
        match fs::create_dir(&group) {
            Err(problem) if problem.kind() != io::ErrorKind::AlreadyExists => {
                return Err(refused("making a group in", &self.group)(problem));
            }
            _ => {}
        }
        self.aside = true;
        fs::write(group.join("cgroup.procs"), "0").map_err(refused("moving launcher to", &group))
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        if self.aside {
            // Whatever fails leaves empty groups behind, which do no harm: whoever made the group above removes them.
            let _ = self.control('-', &self.enabled);
            let _ = fs::write(self.group.join("cgroup.procs"), "0");
            remove(&self.group.join(LAUNCHER));
        }
    }
}

/// The group of cgroup v2 that this process is in, and the text that says so.
fn own() -> Option<(PathBuf, String)> {
    let memberships = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mount = MOUNTS.into_iter().find(|mount| is_cgroup2(mount))?;
    let whole = Path::new(mount).join(own_path(&memberships)?.trim_start_matches('/'));
    // A container's path may be the one on the host, while the mount shows its own group at the top.
    let group = if whole.join("cgroup.procs").exists() { whole } else { PathBuf::from(mount) };
    Some((group, memberships))
}

/// Removes a group that has just been left. A process of it that is at its very end may still be counted in it (EBUSY).
fn remove(group: &Path) {
    for _ in 0..REMOVALS {
        match fs::remove_dir(group) {
            Err(problem) if problem.raw_os_error() == Some(libc::EBUSY) => std::thread::sleep(BETWEEN_REMOVALS),
            _ => return,
        }
    }
}

fn refused(action: &'static str, path: &Path) -> impl Fn(io::Error) -> GroupDenied {
    let path = path.to_owned();
    move |problem| GroupDenied::Refused { action, path: path.clone(), errno: problem.raw_os_error().unwrap_or(0) }
}

fn has(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|one| one == word)
}

/// Whether a line of `/proc/PID/cgroup` is that of a hierarchy of version 1 with this controller.
fn version_1_has(line: &str, controller: &str) -> bool {
    line.split(':').nth(1).is_some_and(|controllers| controllers.split(',').any(|one| one == controller))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole_ones() {
        assert!(has("cpuset cpu pids\n", "cpu") && !has("cpuset pids\n", "cpu"));
        assert!(version_1_has("5:cpu,cpuacct:/a:b", "cpu") && !version_1_has("0::/cpu", "cpu"));
    }

    /// A folder that looks like a cgroup; the kernel's own are tested in a machine of their own (`tests/groups`).
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in files {
            fs::write(folder.path().join(file), text).unwrap();
        }
        folder
    }

    fn order(folder: &tempfile::TempDir) -> String {
        fs::read_to_string(folder.path().join("cgroup.subtree_control")).unwrap_or_default()
    }

    #[test]
    fn controllers_that_are_not_there_are_named_and_the_others_given() {
        let root = folder(&[("cgroup.controllers", "cpu pids\n")]);
        let below =
            |controllers: &[&'static str]| Delegated::below(root.path().to_owned(), controllers, "4:memory:/\n0::/\n");
        let missing = || {
            let group = root.path().to_owned();
            Some(GroupDenied::NoController { controllers: vec!["memory".into()], group, in_version_1: true })
        };
        let (delegated, denied) = below(&["memory"]);
        assert!(delegated.is_none() && denied == missing() && order(&root).is_empty());
        let (delegated, denied) = below(&["pids", "memory"]);
        let mut delegated = delegated.unwrap();
        assert_eq!((delegated.controllers(), denied), (["pids"].as_slice(), missing()));
        // At the root of the machine nobody moves.
        assert_eq!(order(&root), "+pids");
        assert_eq!((delegated.add(&["cpu"]), order(&root).as_str()), (None, "+cpu"));
        assert_eq!(delegated.controllers(), ["pids", "cpu"]);
        assert!(!root.path().join(LAUNCHER).exists());
    }

    #[test]
    fn the_launcher_moves_aside_and_back() {
        let group = folder(&[("cgroup.controllers", "cpu pids\n"), ("cgroup.type", "domain\n")]);
        fs::create_dir(group.path().join(LAUNCHER)).unwrap();
        let (delegated, denied) = Delegated::below(group.path().to_owned(), &["cpu", "pids"], "0::/\n");
        let delegated = delegated.unwrap();
        assert_eq!((order(&group).as_str(), denied), ("+cpu +pids", None));
        let procs = |folder: &Path| fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        assert_eq!(procs(&delegated.launcher().unwrap()), "0");
        drop(delegated);
        assert_eq!((order(&group).as_str(), procs(group.path()).as_str()), ("-cpu -pids", "0"));
    }

    #[test]
    fn what_would_be_in_the_way_is_seen_without_touching_anything() {
        let own = std::process::id().to_string();
        let look = |procs: &str, controllers: &[&'static str]| {
            let files = [
                ("cgroup.controllers", "pids\n"),
                ("cgroup.type", "domain\n"),
                ("cgroup.procs", procs),
                ("cgroup.subtree_control", ""),
            ];
            let group = folder(&files);
            let denied = Delegated::examine_in(group.path().to_owned(), controllers, "4:memory:/\n0::/\n");
            assert!(!group.path().join(LAUNCHER).exists() && order(&group).is_empty());
            denied
        };
        assert_eq!(look(&own, &["pids"]), None);
        assert!(matches!(look("4711\n", &["pids"]), Some(GroupDenied::NotAlone(_))));
        for controllers in [["memory"].as_slice(), &["memory", "pids"]] {
            let denied = look(&own, controllers);
            assert!(matches!(denied, Some(GroupDenied::NoController { in_version_1: true, .. })), "{denied:?}");
        }
        let gone = Delegated::examine_in(PathBuf::from("/no/such/group"), &["pids"], "0::/");
        assert!(matches!(gone, Some(GroupDenied::NoController { .. })));
    }

    #[test]
    fn where_others_are_no_group_is_made() {
        let group =
            folder(&[("cgroup.controllers", "pids\n"), ("cgroup.type", "domain\n"), ("cgroup.procs", "4711\n")]);
        let (delegated, denied) = Delegated::below(group.path().to_owned(), &["pids"], "0::/\n");
        assert!(delegated.is_none() && order(&group) != "+pids");
        assert_eq!(denied, Some(GroupDenied::NotAlone(group.path().to_owned())));
    }
}
