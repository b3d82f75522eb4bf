//! Limits and use of memory, as the launcher's own cgroup tells them (`cgroups(7)`).

use std::fs;
use std::path::{Path, PathBuf};

use crate::core::facts::MemoryFacts;

/// What the memory controller says of the launcher's own cgroup, version 2 or 1; `None` where there is none.
pub fn of_own_cgroup() -> Option<MemoryFacts> {
    let memberships = fs::read_to_string("/proc/self/cgroup").ok()?;
    let version1 = memberships.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let controllers = parts.next()?;
        controllers.split(',').any(|name| name == "memory").then(|| parts.next())?
    });
    match version1 {
        Some(path) => version_1(&folder("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes")?),
        None => {
            let path = memberships.lines().find_map(|line| line.strip_prefix("0::"))?;
            version_2(&folder("/sys/fs/cgroup", path, "memory.max")?)
        }
    }
}

/// The cgroup's folder. In a container `/proc/self/cgroup` may name the path on the host, while its mount shows the
/// cgroup itself at the top.
fn folder(mount: &str, path: &str, file: &str) -> Option<PathBuf> {
    let whole = Path::new(mount).join(path.trim_start_matches('/'));
    [whole, PathBuf::from(mount)].into_iter().find(|folder| folder.join(file).exists())
}

fn version_2(folder: &Path) -> Option<MemoryFacts> {
    let kills = keyed(&folder.join("memory.events"), "oom_kill")?;
    Some(MemoryFacts { limit: number(&folder.join("memory.max")), peak: number(&folder.join("memory.peak")), kills })
}

fn version_1(folder: &Path) -> Option<MemoryFacts> {
    let kills = keyed(&folder.join("memory.oom_control"), "oom_kill")?;
    // Without a limit version 1 says the largest number that is a multiple of the page size.
    let limit = number(&folder.join("memory.limit_in_bytes")).filter(|limit| *limit < 1 << 62);
    Some(MemoryFacts { limit, peak: number(&folder.join("memory.max_usage_in_bytes")), kills })
}

/// A file that holds one number, or `max`.
fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The value of `key` in a file of lines `key value`.
fn keyed(path: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}
