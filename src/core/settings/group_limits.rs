//! Limits of a service as a whole, which its cgroup keeps.

use super::ServiceSettings;

/// `memory`, `tasks` and `cpus` of `[service.NAME.limits]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupLimits {
    /// All of its memory, in bytes (`memory.max`).
    pub memory: Option<u64>,
    /// All of its processes and threads (`pids.max`).
    pub tasks: Option<u64>,
    /// The CPU time of so many thousandths of a CPU (`cpu.max`).
    pub millicpus: Option<u32>,
}

impl GroupLimits {
    /// Whether there is a limit, for which a cgroup is needed.
    pub fn any(&self) -> bool {
        *self != GroupLimits::default()
    }

    /// The CPU time in CPUs.
    pub fn cpus(&self) -> Option<f64> {
        self.millicpus.map(|millicpus| f64::from(millicpus) / 1000.0)
    }

    /// The controllers of `cgroups(7)` that keep these limits, each with the key that asks for it.
    pub fn controllers(&self) -> Vec<(&'static str, &'static str)> {
        let keys = [
            (self.memory.is_some(), "memory", "memory"),
            (self.tasks.is_some(), "pids", "tasks"),
            (self.millicpus.is_some(), "cpu", "cpus"),
        ];
        keys.into_iter().filter(|(set, ..)| *set).map(|(_, controller, key)| (controller, key)).collect()
    }

    /// What keeps the limits of these services, each controller once.
    pub fn controllers_of<'s>(services: impl IntoIterator<Item = &'s ServiceSettings>) -> Vec<&'static str> {
        let all = services.into_iter().flat_map(|service| service.process.group_limits.controllers());
        let mut controllers: Vec<&str> = all.map(|(controller, _)| controller).collect();
        controllers.sort_unstable();
        controllers.dedup();
        controllers
    }

    /// Those of them that these controllers keep.
    pub fn kept_by(&self, controllers: &[&str]) -> GroupLimits {
        let has = |controller: &&str| controllers.contains(controller);
        GroupLimits {
            memory: self.memory.filter(|_| has(&"memory")),
            tasks: self.tasks.filter(|_| has(&"pids")),
            millicpus: self.millicpus.filter(|_| has(&"cpu")),
        }
    }

    /// The files of a cgroup and what is written to them. A service that goes beyond its memory ends as a whole: what is
    /// left when the kernel has chosen one of its processes is seldom of use, and never known.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        let mut files = Vec::new();
        if let Some(bytes) = self.memory {
            files.push(("memory.max", bytes.to_string()));
            files.push(("memory.oom.group", "1".to_owned()));
        }
        if let Some(tasks) = self.tasks {
            files.push(("pids.max", tasks.to_string()));
        }
        if let Some(millicpus) = self.millicpus {
            // Of each period of 100 ms.
            files.push(("cpu.max", format!("{} 100000", u64::from(millicpus) * 100)));
        }
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_its_controller_and_its_files() {
        let limits = GroupLimits { memory: Some(1 << 20), tasks: Some(7), millicpus: Some(1500) };
        assert_eq!(limits.controllers(), [("memory", "memory"), ("pids", "tasks"), ("cpu", "cpus")]);
        let files = limits.files();
        let files: Vec<_> = files.iter().map(|(file, text)| format!("{file}={text}")).collect();
        assert_eq!(files, ["memory.max=1048576", "memory.oom.group=1", "pids.max=7", "cpu.max=150000 100000"]);
        assert_eq!(limits.kept_by(&["pids"]), GroupLimits { tasks: Some(7), ..GroupLimits::default() });
        assert_eq!(limits.kept_by(&["cpu", "memory"]), GroupLimits { tasks: None, ..limits });
        assert!(!GroupLimits::default().any() && GroupLimits::default().files().is_empty());
    }
}
