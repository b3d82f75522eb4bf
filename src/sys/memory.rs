//! Limits and use of memory, as the launcher's own cgroup tells them (`cgroups(7)`).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::core::facts::MemoryFacts;

/// The launcher's own cgroup, of version 2 or 1 of the memory controller: it does not move to another one.
struct Own {
    folder: PathBuf,
    files: &'static Files,
}

/// What the files of a version are called.
struct Files {
    mount: &'static str,
    limit: &'static str,
    peak: &'static str,
    events: &'static str,
}

const VERSION_1: Files = Files {
    mount: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    peak: "memory.max_usage_in_bytes",
    events: "memory.oom_control",
};
const VERSION_2: Files =
    Files { mount: "/sys/fs/cgroup", limit: "memory.max", peak: "memory.peak", events: "memory.events" };

/// What the memory controller says of the launcher's own cgroup; `None` where there is none.
pub fn of_own_cgroup() -> Option<MemoryFacts> {
    let kills = kills_in_own_cgroup()?;
    let Own { folder, files } = own()?;
    // Without a limit version 1 says the largest number that is a multiple of the page size.
    let limit = number(&folder.join(files.limit)).filter(|limit| *limit < 1 << 62);
    Some(MemoryFacts { limit, peak: number(&folder.join(files.peak)), kills })
}

/// How many processes of the launcher's own cgroup the kernel has killed for want of memory so far. One file is read:
/// it is asked for at every start.
pub fn kills_in_own_cgroup() -> Option<u64> {
    let Own { folder, files } = own()?;
    keyed(&folder.join(files.events), "oom_kill")
}

fn own() -> Option<&'static Own> {
    static OWN: OnceLock<Option<Own>> = OnceLock::new();
    OWN.get_or_init(find_own).as_ref()
}

fn find_own() -> Option<Own> {
    let memberships = fs::read_to_string("/proc/self/cgroup").ok()?;
    let version1 = memberships.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let controllers = parts.next()?;
        controllers.split(',').any(|name| name == "memory").then(|| parts.next())?
    });
    let version2 = || memberships.lines().find_map(|line| line.strip_prefix("0::"));
    let (files, path) = version1.map(|path| (&VERSION_1, path)).or_else(|| Some((&VERSION_2, version2()?)))?;
    // In a container the path may be the one on the host, while the mount shows the cgroup itself at the top.
    let whole = Path::new(files.mount).join(path.trim_start_matches('/'));
    let folder = [whole, PathBuf::from(files.mount)].into_iter().find(|folder| folder.join(files.events).exists())?;
    Some(Own { folder, files })
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
