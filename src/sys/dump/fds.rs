//! What a descriptor of another process is.

use std::os::unix::fs::MetadataExt;

use super::files;
use crate::core::facts::{FileFacts, FileKind};
use crate::core::signal::Signal;

/// Descriptors of a process looked at, at most.
const LIMIT: usize = 4096;

/// What a descriptor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fd {
    /// A socket, by its inode.
    Socket(u64),
    /// Anything else.
    File(FileFacts),
}

/// The descriptor `fd` of the process `pid`; `None` when it is closed or may not be looked at.
pub fn look(pid: i32, fd: i32) -> Option<Fd> {
    let path = format!("/proc/{pid}/fd/{fd}");
    let link = std::fs::read_link(&path).ok()?.to_string_lossy().into_owned();
    if let Some(inode) = socket_inode(&link) {
        return Some(Fd::Socket(inode));
    }
    let kind = if link.starts_with("pipe:[") {
        FileKind::Pipe
    } else if link.starts_with('/') {
        kind_of(&path).unwrap_or_default()
    } else {
        FileKind::Anonymous
    };
    let signals = (link == "anon_inode:[signalfd]").then(|| signals(pid, fd)).flatten();
    let path = signals.map_or(link.clone(), |signals| format!("{link} of {signals}"));
    Some(Fd::File(FileFacts { kind, path, peers_complete: false, ..FileFacts::default() }))
}

/// The signals that a signalfd takes: `HUP, TERM`.
fn signals(pid: i32, fd: i32) -> Option<String> {
    let text = files::text(&format!("/proc/{pid}/fdinfo/{fd}")).ok()?;
    let mask = text.lines().find_map(|line| line.strip_prefix("sigmask:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    let taken = (1..=64).filter(|number| mask & 1 << (number - 1) != 0).filter_map(Signal::from_number);
    let names: Vec<String> = taken.map(|signal| signal.to_string().trim_start_matches("SIG").to_owned()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Inodes of all sockets of a process.
pub fn sockets(pid: i32) -> Vec<u64> {
    let numbers = files::numbered(&format!("/proc/{pid}/fd")).unwrap_or_default();
    let link = |fd: &i32| std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok();
    let links = numbers.iter().take(LIMIT).filter_map(link);
    let mut inodes: Vec<u64> = links.filter_map(|link| socket_inode(link.to_str()?)).collect();
    inodes.sort_unstable();
    inodes.dedup();
    inodes
}

fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Whether a descriptor may be read and written, as the mode of its link in `/proc/PID/fd` says.
pub fn access(pid: i32, fd: i32) -> Option<(bool, bool)> {
    let mode = std::fs::symlink_metadata(format!("/proc/{pid}/fd/{fd}")).ok()?.mode();
    Some((mode & 0o400 != 0, mode & 0o200 != 0))
}

/// The kind of the file behind a path, without asking a server for it: `statx(2)` with AT_STATX_DONT_SYNC does not
/// hang on a network file system that is gone.
pub fn kind_of(path: &str) -> Option<FileKind> {
    let path = std::ffi::CString::new(path).ok()?;
    let mut stat = std::mem::MaybeUninit::<libc::statx>::zeroed();
    let flags = libc::AT_STATX_DONT_SYNC | libc::AT_NO_AUTOMOUNT;
    // SAFETY: `path` ends with NUL and `stat` is a valid place for the result for the whole call.
    let result = unsafe { libc::statx(libc::AT_FDCWD, path.as_ptr(), flags, libc::STATX_TYPE, stat.as_mut_ptr()) };
    if result != 0 {
        return None;
    }
    // SAFETY: it was zeroed, which is a valid value, and the call succeeded.
    let stat = unsafe { stat.assume_init() };
    Some(match u32::from(stat.stx_mode) & libc::S_IFMT {
        libc::S_IFIFO => FileKind::Fifo,
        libc::S_IFDIR => FileKind::Directory,
        libc::S_IFCHR if is_terminal(stat.stx_rdev_major) => FileKind::Terminal,
        libc::S_IFCHR | libc::S_IFBLK => FileKind::Device,
        _ => FileKind::Regular,
    })
}

/// Major numbers of terminals: virtual and serial ones, /dev/tty and the console, USB and ARM serial lines, hypervisor
/// consoles, Unix98 pseudo-terminals.
fn is_terminal(major: u32) -> bool {
    matches!(major, 4 | 5 | 136..=143 | 188 | 204 | 229)
}

/// One descriptor in an epoll set (`/proc/PID/fdinfo`, a `tfd:` line).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The descriptor.
    pub fd: i32,
    /// The events waited for.
    pub events: u32,
    /// What the program gets back when one of them comes.
    pub data: u64,
    /// The file's inode; 0 where the kernel does not tell it.
    pub inode: u64,
}

/// What an epoll descriptor watches.
pub fn epoll_targets(pid: i32, fd: i32, limit: usize) -> Vec<Target> {
    let text = files::text(&format!("/proc/{pid}/fdinfo/{fd}")).unwrap_or_default();
    text.lines().filter_map(epoll_line).take(limit).collect()
}

/// The epoll descriptors of a process.
pub fn epolls(pid: i32) -> Vec<i32> {
    let numbers = files::numbered(&format!("/proc/{pid}/fd")).unwrap_or_default();
    let is_epoll = |fd: &i32| {
        let link = std::fs::read_link(format!("/proc/{pid}/fd/{fd}"));
        link.is_ok_and(|link| link.to_str() == Some("anon_inode:[eventpoll]"))
    };
    numbers.into_iter().take(LIMIT).filter(is_epoll).collect()
}

fn epoll_line(line: &str) -> Option<Target> {
    let rest = line.strip_prefix("tfd:")?;
    let field = |key: &str| rest.split_once(key)?.1.split_whitespace().next();
    let number = |key: &str| field(key).and_then(|text| u64::from_str_radix(text, 16).ok());
    let events = u32::from_str_radix(field("events:")?, 16).ok()?;
    let fd = rest.split_whitespace().next()?.parse().ok()?;
    Some(Target { fd, events, data: number("data:").unwrap_or(0), inode: number("ino:").unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoll_lines() {
        let line = "tfd:        6 events:     201d data:         60000000b  pos:0 ino:1f2a sdev:8";
        let target = Target { fd: 6, events: 0x201d, data: 0x6_0000_000b, inode: 0x1f2a };
        assert_eq!(epoll_line(line), Some(target));
        assert_eq!(epoll_line("tfd: noise"), None);
        assert_eq!(epoll_line("pos:\t0"), None);
    }

    #[test]
    fn kinds_of_files() {
        assert_eq!(kind_of("/dev/null"), Some(FileKind::Device));
        assert_eq!(kind_of("/proc"), Some(FileKind::Directory));
        assert_eq!(kind_of("/dev/tty").unwrap_or(FileKind::Terminal), FileKind::Terminal);
        assert_eq!(kind_of("/no/such"), None);
        assert_eq!(kind_of("nul\0inside"), None);
    }
}
