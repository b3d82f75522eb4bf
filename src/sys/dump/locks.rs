//! Who holds a lock on a file: `/proc/locks`, where a blocked request stands below the lock it waits for.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::files;
use crate::core::facts::ProcessName;
use crate::sys::procfs::Stat;

/// One line of `/proc/locks`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lock {
    /// The number that a lock shares with the requests blocked by it.
    number: String,
    blocked: bool,
    class: String,
    pid: i32,
    /// `maj:min:inode`.
    file: String,
}

/// The processes that hold the lock the process `pid` waits for, by `flock(2)` or `fcntl(2)` as `class` says
/// (`FLOCK`, `POSIX`, `OFDLCK`).
pub fn holders(pid: i32, class: &str) -> Vec<ProcessName> {
    let text = files::text("/proc/locks").unwrap_or_default();
    let mut holders = Vec::new();
    for pid in holding_pids(&text, pid, class) {
        let holder = ProcessName { pid, name: name_of(pid) };
        if !holders.contains(&holder) {
            holders.push(holder);
        }
    }
    holders
}

/// The processes that hold a lock of the file that `file` leads to.
pub fn holders_of(file: &Path) -> Vec<ProcessName> {
    let Ok(found) = std::fs::metadata(file) else { return Vec::new() };
    let device = found.dev();
    let name = format!("{:02x}:{:02x}:{}", nix::sys::stat::major(device), nix::sys::stat::minor(device), found.ino());
    let text = files::text("/proc/locks").unwrap_or_default();
    let held = text.lines().filter_map(parse_line).filter(|lock| !lock.blocked && lock.file == name);
    let mut holders: Vec<ProcessName> = Vec::new();
    for lock in held.filter(|lock| lock.class != "LEASE" && lock.class != "DELEG") {
        if !holders.iter().any(|holder| holder.pid == lock.pid) {
            holders.push(ProcessName { pid: lock.pid, name: name_of(lock.pid) });
        }
    }
    holders
}

fn holding_pids(text: &str, pid: i32, class: &str) -> Vec<i32> {
    let locks: Vec<Lock> = text.lines().filter_map(parse_line).collect();
    let waits = |lock: &&Lock| lock.blocked && lock.class == class && (lock.pid == pid || class == "OFDLCK");
    let mut pids = Vec::new();
    for request in locks.iter().filter(waits) {
        // A request can also be queued behind another request: the holder is the line that is not blocked.
        let held = locks.iter().filter(|lock| !lock.blocked && lock.file == request.file && lock.pid != pid);
        let (first, others): (Vec<&Lock>, Vec<&Lock>) = held.partition(|lock| lock.number == request.number);
        pids.extend(first.iter().chain(&others).map(|lock| lock.pid));
    }
    pids
}

/// The name of a process; what stands for it when it is gone or the kernel does not tell.
fn name_of(pid: i32) -> String {
    match Stat::of(pid) {
        Some(stat) => stat.name,
        None if pid <= 0 => "not told by the kernel".into(),
        None => "ended, its children may still hold it".into(),
    }
}

fn parse_line(line: &str) -> Option<Lock> {
    let (number, rest) = line.split_once(':')?;
    let rest = rest.trim_start();
    let (blocked, rest) = match rest.strip_prefix("->") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let (class, pid, file) = (fields.first()?, fields.get(3)?.parse().ok()?, fields.get(4)?);
    Some(Lock { number: number.into(), blocked, class: (*class).to_owned(), pid, file: (*file).to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_request_stands_below_its_holder() {
        let text = "\
1: FLOCK  ADVISORY  WRITE 100 fd:00:42 0 EOF
1: -> FLOCK  ADVISORY  WRITE 200 fd:00:42 0 EOF
2: POSIX  ADVISORY  WRITE 300 fd:00:43 0 9
2: -> POSIX  ADVISORY  WRITE 200 fd:00:43 0 9
3: POSIX  ADVISORY  READ 301 fd:00:43 20 29
4: FLOCK  ADVISORY  WRITE 101 fd:00:50 0 EOF
noise
";
        assert_eq!(holding_pids(text, 200, "FLOCK"), [100]);
        assert_eq!(holding_pids(text, 200, "POSIX"), [300, 301]);
        assert!(holding_pids(text, 999, "FLOCK").is_empty());
    }
}
