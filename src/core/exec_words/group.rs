//! Why a service cannot have the limits of a cgroup.

use std::path::PathBuf;

use crate::core::errno;
use crate::core::facts::{ExecFailure, ExecProblem};
use crate::core::settings::GroupLimits;

/// Why groups with limits cannot be made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupDenied {
    /// There is no cgroup v2 to be seen, or the launcher is in none of it.
    NoCgroup2,
    /// These controllers are not there for the launcher's group.
    NoController {
        /// Their names.
        controllers: Vec<String>,
        /// The launcher's group.
        group: PathBuf,
        /// Whether version 1 has one of them on this machine.
        in_version_1: bool,
    },
    /// Other processes are in the launcher's group, so that it can give no controllers to others.
    NotAlone(PathBuf),
    /// Services run in the launcher's group already, so that it cannot be made ready for others any more.
    TooLate,
    /// The file system refused.
    Refused {
        /// What was tried: `making a group in`.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// `errno(3)`.
        errno: i32,
    },
}

impl GroupDenied {
    /// Whether it is this controller that cannot be had; the other reasons keep all of them away.
    pub fn denies(&self, controller: &str) -> bool {
        match self {
            GroupDenied::NoController { controllers, .. } => controllers.iter().any(|missing| missing == controller),
            _ => true,
        }
    }
}

/// The line that says which limits of which services are not kept, and what to do about it; `None` when none of theirs is
/// concerned.
pub fn not_kept<'s>(
    denied: &GroupDenied,
    services: impl Iterator<Item = (&'s str, &'s GroupLimits)>,
) -> Option<String> {
    let mut concerned = Vec::new();
    for (service, limits) in services {
        let keys = limits.controllers().into_iter().filter(|(controller, _)| denied.denies(controller));
        let keys: Vec<&str> = keys.map(|(_, key)| key).collect();
        if !keys.is_empty() {
            concerned.push(format!("{service} (limits.{})", keys.join(", limits.")));
        }
    }
    let (why, advice, _) = words(denied);
    let whose = concerned.join(", ");
    (!concerned.is_empty()).then(|| format!("{whose} runs without this limit of a cgroup: {why}; {advice}"))
}

/// Which limits of a service would not be kept where this is denied, and what to do about it; `None` when none of its own is
/// concerned.
pub fn would_not_be_kept(denied: &GroupDenied, limits: &GroupLimits) -> Option<(String, &'static str)> {
    let keys = limits.controllers().into_iter().filter(|(controller, _)| denied.denies(controller));
    let keys: Vec<String> = keys.map(|(_, key)| format!("limits.{key}")).collect();
    let (why, advice, _) = words(denied);
    (!keys.is_empty()).then(|| (format!("{} would not be kept here: {why}", keys.join(" and ")), advice))
}

/// The failure of a start whose group could not be made, where others could.
pub fn group_denied(denied: &GroupDenied, limits: &GroupLimits, program: &str) -> ExecFailure {
    let keys: Vec<&str> = limits.controllers().iter().map(|(_, key)| *key).collect();
    let (why, advice, errno) = words(denied);
    ExecFailure {
        problem: ExecProblem::Stage,
        summary: format!("{program} was not started: its limits of {} need a cgroup, and {why}", keys.join(", ")),
        advice: vec![advice.to_owned(), format!("or leave limits.{} out", keys.join(" and limits."))],
        errno,
    }
}

fn words(denied: &GroupDenied) -> (String, &'static str, Option<i32>) {
    match denied {
        GroupDenied::NoCgroup2 => (
            "no cgroup v2 is mounted below /sys/fs/cgroup, or launcher is in none of it".to_owned(),
            "boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1), or mount it for the container",
            None,
        ),
        GroupDenied::NoController { controllers, in_version_1: true, .. } => (
            format!("cgroup v1 has the controller {} here", controllers.join(" and ")),
            "boot with cgroup v2 alone (systemd.unified_cgroup_hierarchy=1)",
            None,
        ),
        GroupDenied::NoController { controllers, group, .. } => (
            format!("the controller {} is not there for {}", controllers.join(" and "), group.display()),
            "let whoever manages that group delegate it: Delegate=yes in a unit, --cgroupns=private in a container",
            None,
        ),
        GroupDenied::NotAlone(group) => (
            format!(
                "other processes beside launcher are in {}, which can have no groups with limits then",
                group.display()
            ),
            "start launcher in a group of its own: systemd-run --scope -p Delegate=yes launcher run",
            None,
        ),
        GroupDenied::TooLate => (
            "launcher has to leave its own group for it, in which services run already".to_owned(),
            "start launcher again",
            None,
        ),
        GroupDenied::Refused { action, path, errno: number } => {
            let advice = match errno::name(*number).as_str() {
                "EROFS" => {
                    "have cgroup v2 mounted for writing: ProtectControlGroups=no in a unit, --privileged for a container"
                }
                "EACCES" | "EPERM" => {
                    "run launcher as root, or in a group that is delegated to its user (Delegate=yes)"
                }
                _ => "see what keeps the kernel from it",
            };
            (format!("{action} {} failed: {}", path.display(), errno::describe(*number)), advice, Some(*number))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(in_version_1: bool) -> GroupDenied {
        let group = PathBuf::from("/sys/fs/cgroup/a");
        GroupDenied::NoController { controllers: vec!["memory".into()], group, in_version_1 }
    }

    #[test]
    fn what_is_denied_is_told_with_what_to_do() {
        let limits = GroupLimits { memory: Some(1), tasks: Some(2), millicpus: None };
        let said = |denied: GroupDenied| {
            let failure = group_denied(&denied, &limits, "./api");
            assert_eq!(failure.problem.exit_code(), 71);
            assert_eq!(failure.advice[1], "or leave limits.memory and limits.tasks out");
            assert!(
                failure.summary.starts_with("./api was not started: its limits of memory, tasks need a cgroup, and ")
            );
            format!("{} | {}", failure.summary, failure.advice[0])
        };
        let group = PathBuf::from("/sys/fs/cgroup/a");
        assert!(said(missing(true)).contains("cgroup v1 has") && said(missing(false)).contains("Delegate=yes"));
        assert!(
            said(GroupDenied::NotAlone(group.clone()))
                .contains("other processes beside launcher are in /sys/fs/cgroup/a")
        );
        let refused = said(GroupDenied::Refused { action: "making a group in", path: group, errno: 30 });
        assert!(refused.contains("EROFS") && refused.contains("mounted for writing"), "{refused}");
        assert!(said(GroupDenied::NoCgroup2).contains("no cgroup v2"));
    }

    #[test]
    fn what_would_not_be_kept_is_told_before() {
        let tasks = GroupLimits { tasks: Some(2), ..GroupLimits::default() };
        let all = GroupLimits { memory: Some(1), ..tasks };
        let alone = GroupDenied::NotAlone("/sys/fs/cgroup/a".into());
        let (summary, advice) = would_not_be_kept(&alone, &all).unwrap();
        assert!(
            summary.starts_with("limits.memory and limits.tasks would not be kept here: other processes"),
            "{summary}"
        );
        assert!(advice.contains("Delegate=yes"), "{advice}");
        assert_eq!(would_not_be_kept(&missing(false), &tasks), None);
    }

    #[test]
    fn only_who_misses_a_limit_is_named() {
        let all = GroupLimits { memory: Some(1), tasks: Some(2), millicpus: Some(3) };
        let tasks = GroupLimits { tasks: Some(2), ..GroupLimits::default() };
        let none = GroupLimits::default();
        let line = |denied: &GroupDenied, services: &[(&str, &GroupLimits)]| not_kept(denied, services.iter().copied());
        let said = line(&missing(true), &[("api", &all), ("db", &tasks), ("web", &none)]).unwrap();
        assert!(said.starts_with("api (limits.memory) runs without this limit of a cgroup: cgroup v1 has"), "{said}");
        let said = line(&GroupDenied::NoCgroup2, &[("api", &all), ("db", &tasks), ("web", &none)]).unwrap();
        assert!(said.starts_with("api (limits.memory, limits.tasks, limits.cpus), db (limits.tasks) runs"), "{said}");
        assert_eq!(line(&missing(true), &[("db", &tasks), ("web", &none)]), None);
    }
}
