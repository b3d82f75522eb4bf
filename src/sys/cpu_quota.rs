//! The CPU quota that a process is under, and how long its cgroup was held back by it (`cgroups(7)`, the kernel's
//! documentation of `cpu.max`, `cpu.stat` and `cpu.cfs_quota_us`).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A quota and what came of it so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// CPU time that all of the cgroup may use in each period.
    pub quota: Duration,
    /// The period.
    pub period: Duration,
    /// For how long its tasks were held back in all, in milliseconds, summed up over the CPUs.
    pub throttled_ms: u64,
}

impl Quota {
    /// How many CPUs' time it is.
    pub fn cpus(&self) -> f64 {
        self.quota.as_secs_f64() / self.period.as_secs_f64()
    }
}

/// The tightest quota of the cgroups that the process `pid` is in; `None` when there is none or it cannot be read.
pub fn of_process(pid: i32) -> Option<Quota> {
    let memberships = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let version1 = memberships.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|name| name == "cpu").then_some((controllers, path))
    });
    match version1 {
        Some((controllers, path)) => {
            let mounts = [Path::new("/sys/fs/cgroup").join(controllers), PathBuf::from("/sys/fs/cgroup/cpu")];
            mounts.iter().find(|mount| mount.is_dir()).and_then(|mount| upwards(mount, path, version_1))
        }
        None => {
            let path = memberships.lines().find_map(|line| line.strip_prefix("0::"))?;
            upwards(Path::new("/sys/fs/cgroup"), path, version_2)
        }
    }
}

/// The tightest quota from the cgroup's own folder up to the mount. In a container the path may be the host's, while the
/// mount shows the cgroup itself at its top.
fn upwards(mount: &Path, path: &str, read: fn(&Path) -> Option<Quota>) -> Option<Quota> {
    let own = mount.join(path.trim_start_matches('/'));
    let levels = own.ancestors().take_while(|level| level.starts_with(mount));
    levels.chain([mount]).filter_map(read).min_by(|one, other| one.cpus().total_cmp(&other.cpus()))
}

fn version_1(folder: &Path) -> Option<Quota> {
    let number = |file: &str| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<i64>().ok();
    let micros = |number: i64| u64::try_from(number).ok().filter(|number| *number > 0).map(Duration::from_micros);
    let quota = micros(number("cpu.cfs_quota_us")?)?;
    let period = micros(number("cpu.cfs_period_us")?)?;
    let throttled_ms = keyed(&folder.join("cpu.stat"), "throttled_time")? / 1_000_000;
    Some(Quota { quota, period, throttled_ms })
}

fn version_2(folder: &Path) -> Option<Quota> {
    let limit = fs::read_to_string(folder.join("cpu.max")).ok()?;
    let (quota, period) = parse_max(&limit)?;
    let throttled_ms = keyed(&folder.join("cpu.stat"), "throttled_usec")? / 1000;
    Some(Quota { quota, period, throttled_ms })
}

/// `50000 100000`; `max 100000` is no quota.
fn parse_max(text: &str) -> Option<(Duration, Duration)> {
    let mut words = text.split_whitespace().map(|word| word.parse().ok().map(Duration::from_micros));
    Some((words.next()??, words.next()??))
}

fn keyed(path: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_two_numbers() {
        let micros = Duration::from_micros;
        assert_eq!(parse_max("50000 100000\n"), Some((micros(50_000), micros(100_000))));
        assert_eq!(parse_max("max 100000\n"), None);
        assert_eq!(parse_max(""), None);
    }

    #[test]
    fn the_tightest_quota_above_counts() {
        let top = tempfile::tempdir().unwrap();
        let (pod, container) = (top.path().join("pod"), top.path().join("pod/container"));
        fs::create_dir_all(&container).unwrap();
        fs::write(container.join("cpu.max"), "max 100000\n").unwrap();
        fs::write(container.join("cpu.stat"), "usage_usec 1\nthrottled_usec 1\n").unwrap();
        assert_eq!(upwards(top.path(), "/pod/container", version_2), None);
        fs::write(pod.join("cpu.max"), "20000 100000\n").unwrap();
        fs::write(pod.join("cpu.stat"), "nr_throttled 3\nthrottled_usec 2500000\n").unwrap();
        let found = upwards(top.path(), "/pod/container", version_2).unwrap();
        let (quota, period) = (Duration::from_millis(20), Duration::from_millis(100));
        assert_eq!(found, Quota { quota, period, throttled_ms: 2500 });
        // As a container sees it: a path that is not there.
        assert_eq!(upwards(&pod, "/kubepods/x", version_2), Some(found));
    }

    #[test]
    fn version_1_counts_in_nanoseconds_and_says_minus_one_for_no_quota() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).unwrap();
        write("cpu.cfs_period_us", "100000\n");
        write("cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_time 7000000\n");
        write("cpu.cfs_quota_us", "-1\n");
        assert_eq!(version_1(folder.path()), None);
        write("cpu.cfs_quota_us", "150000\n");
        assert_eq!(version_1(folder.path()).unwrap().throttled_ms, 7);
    }
}
