//! Small readers of `/proc` (`proc(5)`). A process that is gone, or may not be looked into, is `None`: whoever asks
//! about a pid must live with its having ended a moment ago.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::core::signal::SignalSet;

/// The fields of `/proc/PID/stat` that are of use (`proc_pid_stat(5)`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The name of the main thread, at most 15 bytes.
    pub name: String,
    /// `R`, `S`, `D`, `T`, `t`, `Z`, …
    pub state: char,
    /// The parent's pid; 0 when it lives outside this pid namespace.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// User and system time so far, in clock ticks.
    pub cpu_ticks: u64,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
    /// The CPU it last ran on.
    pub processor: usize,
}

impl Stat {
    /// Of a process.
    pub fn of(pid: i32) -> Option<Stat> {
        Stat::read(&format!("/proc/{pid}/stat"))
    }

    /// Of a thread.
    pub fn of_thread(pid: i32, tid: i32) -> Option<Stat> {
        Stat::read(&format!("/proc/{pid}/task/{tid}/stat"))
    }

    fn read(path: &str) -> Option<Stat> {
        Stat::parse(&String::from_utf8_lossy(&std::fs::read(path).ok()?))
    }

    /// The name stands in parentheses and may itself contain parentheses and blanks: it ends at the last one.
    fn parse(text: &str) -> Option<Stat> {
        let (before, after) = text.rsplit_once(')')?;
        let name = before.split_once('(')?.1.to_owned();
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        // By the numbers that the manual page counts them by.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Stat {
            name,
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            cpu_ticks: field(14)?.saturating_add(field(15)?),
            start_ticks: field(22)?,
            processor: field(39).and_then(|cpu| usize::try_from(cpu).ok()).unwrap_or(0),
        })
    }

    /// User and system time so far, in milliseconds.
    pub fn cpu_ms(&self) -> u64 {
        // USER_HZ is 100 on every architecture that Linux has left.
        self.cpu_ticks.saturating_mul(10)
    }
}

/// Whether there is such a process, one that has ended and is not reaped yet included.
pub fn exists(pid: i32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

/// All pids that can be seen.
pub fn pids() -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The threads of a process that can be seen, the main one among them.
pub fn threads(pid: i32) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The command line, lossy; the name in brackets for a kernel thread or a zombie.
pub fn command_line(pid: i32) -> Option<Vec<String>> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let text = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    if text.is_empty() {
        return Stat::of(pid).map(|stat| vec![format!("[{}]", stat.name)]);
    }
    Some(text.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

/// How long it has been running.
pub fn age(pid: i32) -> Option<Duration> {
    let started = ticks(Stat::of(pid)?.start_ticks);
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime = Duration::try_from_secs_f64(uptime.split(' ').next()?.parse().ok()?).ok()?;
    Some(uptime.saturating_sub(started))
}

/// Clock ticks, as in [`Stat`], as a duration (`sysconf(3)`, `_SC_CLK_TCK`).
pub fn ticks(count: u64) -> Duration {
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten();
    let per_second = per_second.and_then(|ticks| u64::try_from(ticks).ok()).filter(|ticks| *ticks > 0).unwrap_or(100);
    Duration::from_millis(count.saturating_mul(1000) / per_second)
}

/// A line of `/proc/PID/status` by its key, without the blanks around it.
pub fn status_field(pid: i32, key: &str) -> Option<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/status")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// The signals for which it has a handler (`SigCgt:`).
pub fn caught_signals(pid: i32) -> Option<SignalSet> {
    u64::from_str_radix(&status_field(pid, "SigCgt")?, 16).ok().map(SignalSet)
}

/// The signals that it ignores (`SigIgn:`).
pub fn ignored_signals(pid: i32) -> Option<SignalSet> {
    u64::from_str_radix(&status_field(pid, "SigIgn")?, 16).ok().map(SignalSet)
}

/// Its effective user.
pub fn effective_user(pid: i32) -> Option<u32> {
    status_field(pid, "Uid")?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// A variable of the environment it was started with; `None` too when that may not be read.
pub fn environment_variable(pid: i32, name: &str) -> Option<OsString> {
    let bytes = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value = bytes
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")))?;
    Some(OsStr::from_bytes(value).to_owned())
}

/// The environment it was started with, as far as it may be read.
pub fn environment(pid: i32) -> Vec<(String, String)> {
    let bytes = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let variables = text.split('\0').filter_map(|variable| variable.split_once('='));
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Its executable file.
pub fn executable(pid: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// Its cgroup's path (`cgroups(7)`): in version 2, or, when that is the root, in systemd's hierarchy of version 1.
pub fn cgroup(pid: i32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let find = |marker: &str| {
        let line = text.lines().find_map(|line| line.split_once(':')?.1.strip_prefix(marker))?;
        Some(line.to_owned()).filter(|path| path != "/")
    };
    find(":").or_else(|| find("name=systemd:"))
}

/// Its parents, the nearest first, as far as they can be seen.
pub fn ancestors(pid: i32) -> Vec<i32> {
    let mut found = Vec::new();
    let mut next = pid;
    // Pids may be given anew while this reads, so that the chain could close: the bound ends it.
    while let Some(stat) = Stat::of(next).filter(|stat| stat.parent > 0 && found.len() < 256) {
        found.push(stat.parent);
        next = stat.parent;
    }
    found
}

/// Inodes of the sockets it holds.
///
/// # Errors
/// Of `opendir(3)`: no such process, or its descriptors may not be looked at (`ptrace(2)`, access mode READ_FSCREDS).
pub fn socket_inodes(pid: i32) -> io::Result<HashSet<u64>> {
    let mut found = HashSet::new();
    for_each_socket(pid, |inode| {
        found.insert(inode);
    })?;
    Ok(found)
}

/// Calls `each` with the inode of each socket the process holds.
///
/// # Errors
/// As [`socket_inodes`]. Root may list the descriptors of a process that it may not look into.
pub fn for_each_socket(pid: i32, mut each: impl FnMut(u64)) -> io::Result<()> {
    let directory = format!("/proc/{pid}/fd");
    for entry in std::fs::read_dir(directory)?.flatten() {
        let target = match std::fs::read_link(entry.path()) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            // One that was closed in between is none.
            Err(_) => continue,
            Ok(target) => target,
        };
        if let Some(inode) = socket_inode(target.as_os_str()) {
            each(inode);
        }
    }
    Ok(())
}

/// The inode in `socket:[INODE]`.
pub(crate) fn socket_inode(link: &OsStr) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let fields = "S 7 8 9 0 -1 4194560 1 0 0 0 30 12 0 0 20 0 1 0 4711 1 1";
        let stat = Stat::parse(&format!("42 (a) b (c)) {fields}")).unwrap();
        assert_eq!((stat.cpu_ms(), stat.processor), (420, 0), "it need not say on which CPU it ran");
        // Each field holds its own number.
        let all: Vec<String> = (4..=52).map(|number| number.to_string()).collect();
        let all = Stat::parse(&format!("42 (a) R {}", all.join(" "))).unwrap();
        assert_eq!((all.cpu_ticks, all.start_ticks, all.processor), (14 + 15, 22, 39));
        assert_eq!((stat.name.as_str(), stat.state, stat.parent), ("a) b (c)", 'S', 7));
        assert_eq!((stat.group, stat.session, stat.cpu_ticks, stat.start_ticks), (8, 9, 42, 4711));
        for text in ["", "1", "1 (", "1 )(", "1 (x) S", "1 (x) S a b c"] {
            assert_eq!(Stat::parse(text), None, "{text}");
        }
    }

    #[test]
    fn this_process_is_read() {
        let me = std::process::id() as i32;
        assert!(pids().contains(&me) && threads(me).contains(&me));
        assert_eq!(Stat::of(me).unwrap().parent, std::os::unix::process::parent_id() as i32);
        assert_eq!(ancestors(me).first().copied(), Some(std::os::unix::process::parent_id() as i32));
        assert_eq!(command_line(me).unwrap()[0], std::env::args().next().unwrap());
        assert_eq!(effective_user(me), Some(nix::unistd::geteuid().as_raw()));
        assert!(age(me).unwrap() < Duration::from_secs(3600));
        assert_eq!(environment_variable(me, "PATH"), std::env::var_os("PATH"));
        assert_eq!(environment_variable(me, "PAT"), None);
        assert!(caught_signals(me).is_some());
    }

    #[test]
    fn a_process_that_is_not_there_is_none() {
        assert_eq!(Stat::of(-1), None);
        assert_eq!(command_line(-1), None);
        assert!(socket_inodes(-1).is_err());
    }

    #[test]
    fn sockets_are_told_by_inode() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let inode = socket_inode(link.as_os_str()).unwrap();
        assert!(socket_inodes(std::process::id() as i32).unwrap().contains(&inode));
        assert_eq!(socket_inode(OsStr::new("pipe:[7]")), None);
    }
}
