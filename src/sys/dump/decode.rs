//! Decodes the system call that a thread is in: down to the socket's peer, the file, the lock, the child, what is
//! polled.

use std::time::Duration;

use super::capture::Call;
use super::fds::{self, Fd};
use super::files;
use super::futex::{self, RawFutex};
use super::memory::Memory;
use super::sockets::Sockets;
use super::{locks, numbers, polled};
use crate::core::facts::{FdFacts, FileFacts, ProcessName, SocketFacts, WaitingOn};
use crate::sys::procfs::Stat;

/// A path is no longer than this.
const PATH_MAX: usize = 4096;

/// A thread whose system call is decoded.
pub struct Caller<'a> {
    /// Its process.
    pub pid: i32,
    /// A thread by which the process's files are reached: a main thread that has ended shows none.
    pub via: i32,
    /// Its memory.
    pub memory: &'a Memory,
    /// Sockets by inode.
    pub sockets: &'a mut Sockets,
    /// Where in the kernel it sleeps.
    pub wchan: Option<&'a str>,
}

/// A system call, taken apart.
#[derive(Debug, Clone, Default)]
pub struct Decoded {
    /// Its name, or `syscall 999`.
    pub name: String,
    /// The descriptor it is about.
    pub fd: Option<i32>,
    /// What the thread waits on; a futex is told later, when the stack has names.
    pub waiting_on: Option<WaitingOn>,
    /// The futex it waits on.
    pub futex: Option<RawFutex>,
    /// For a sleep until a point in time: how long that is from now.
    pub remaining: Option<Duration>,
}

/// Decodes `call`.
pub fn decode(caller: &mut Caller, call: Call) -> Decoded {
    let name = effective_name(caller, call);
    let Some(name) = name else {
        let name = format!("syscall {}", call.number);
        return Decoded { waiting_on: Some(WaitingOn::Other { call: name.clone() }), name, ..Decoded::default() };
    };
    if matches!(name, "futex" | "futex_wait") {
        let mut call = call;
        if name == "futex_wait" {
            // futex_wait(address, value, mask, flags, timeout, clock): as FUTEX_WAIT_BITSET would have it.
            let [address, value, _, _, timeout, _] = call.arguments;
            call.arguments = [address, 9 | 128, value, timeout, 0, 0];
        }
        let futex = RawFutex::of(call, caller.memory, clocks());
        return Decoded { name: name.into(), futex: Some(futex), ..Decoded::default() };
    }
    let (fd, waiting_on) = caller.waiting_on(name, call);
    let remaining = caller.remaining(name, call.arguments);
    Decoded { name: name.into(), fd, waiting_on: Some(waiting_on), remaining, ..Decoded::default() }
}

/// The call's name; for one that was restarted after a stop, the one it was before, by where it sleeps.
fn effective_name(caller: &Caller, call: Call) -> Option<&'static str> {
    let name = numbers::name(call.number);
    if name != Some("restart_syscall") {
        return name;
    }
    Some(match caller.wchan.unwrap_or_default() {
        wchan if wchan.contains("nanosleep") => "clock_nanosleep",
        wchan if wchan.contains("futex") => "futex",
        wchan if wchan.contains("poll") => {
            if cfg!(target_arch = "x86_64") {
                "poll"
            } else {
                "ppoll"
            }
        }
        _ => "restart_syscall",
    })
}

/// The monotonic and the real-time clock, in milliseconds.
pub fn clocks() -> (u64, u64) {
    let read = |clock| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is a valid place for the result for the whole call.
        unsafe { libc::clock_gettime(clock, &raw mut time) };
        time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
    };
    (read(libc::CLOCK_MONOTONIC), read(libc::CLOCK_REALTIME))
}

impl Caller<'_> {
    /// The descriptor a call is about, and what it waits on.
    fn waiting_on(&mut self, name: &'static str, call: Call) -> (Option<i32>, WaitingOn) {
        let arguments = call.arguments;
        let fd = arguments[0] as i32;
        let on_fd = |waiting_on| (Some(fd), waiting_on);
        match name {
            "connect" => on_fd(self.connect(fd, arguments)),
            "accept" | "accept4" => on_fd(match self.fd(fd) {
                Some(FdFacts::Socket(socket)) => WaitingOn::Accept { fd, socket },
                _ => WaitingOn::Other { call: name.into() },
            }),
            "read" | "readv" | "pread64" | "preadv" | "preadv2" | "recvfrom" | "recvmsg" | "recvmmsg"
            | "mq_timedreceive" => on_fd(self.input(fd, name)),
            "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" | "sendto" | "sendmsg" | "sendmmsg"
            | "mq_timedsend" | "sendfile" => on_fd(self.output(fd, name)),
            "flock" => on_fd(self.file_lock(fd, "FLOCK")),
            "fcntl" if arguments[1] == libc::F_SETLKW as u64 => on_fd(self.file_lock(fd, "POSIX")),
            "fcntl" if arguments[1] == libc::F_OFD_SETLKW as u64 => on_fd(self.file_lock(fd, "OFDLCK")),
            "open" | "creat" => (None, self.open(libc::AT_FDCWD, arguments[0])),
            "openat" | "openat2" => (None, self.open(fd, arguments[1])),
            "wait4" | "waitid" | "vfork" | "fork" | "clone" | "clone3" => (None, self.child(name, arguments)),
            "nanosleep" => (None, self.sleep(arguments[0])),
            "clock_nanosleep" if arguments[1] & 1 == 0 => (None, self.sleep(arguments[2])),
            "clock_nanosleep" => (None, WaitingOn::Sleep { duration: None }),
            "pause" | "rt_sigsuspend" | "rt_sigtimedwait" => (None, WaitingOn::Signal),
            "getrandom" => (None, WaitingOn::Entropy),
            "semop" | "semtimedop" | "msgrcv" | "msgsnd" => (None, WaitingOn::Ipc { call: name.into() }),
            _ => polled::waiting_on(self, name, arguments)
                .unwrap_or_else(|| (is_on_fd(name).then_some(fd), WaitingOn::Other { call: name.into() })),
        }
    }

    /// What the descriptor is.
    pub fn fd(&mut self, fd: i32) -> Option<FdFacts> {
        Some(match fds::look(self.via, fd)? {
            Fd::Socket(inode) => FdFacts::Socket(self.sockets.get(self.via, inode)),
            Fd::File(file) => FdFacts::File(file),
        })
    }

    /// What is waited on by someone who waits until `fd` can be read, or else written; `None` when it is closed.
    pub fn until_ready(&mut self, fd: i32, reading: bool) -> Option<WaitingOn> {
        Some(match (self.fd(fd)?, reading) {
            (FdFacts::Socket(socket), true) if socket.state == "listen" => WaitingOn::Accept { fd, socket },
            (FdFacts::Socket(socket), true) => WaitingOn::Receive { fd, socket },
            (FdFacts::Socket(socket), false) if socket.state == "syn-sent" => WaitingOn::Connect { fd, socket },
            (FdFacts::Socket(socket), false) => WaitingOn::Send { fd, socket },
            (FdFacts::File(file), true) => WaitingOn::Input { fd, file },
            (FdFacts::File(file), false) => WaitingOn::Output { fd, file },
        })
    }

    fn input(&mut self, fd: i32, name: &str) -> WaitingOn {
        match self.fd(fd) {
            Some(FdFacts::Socket(socket)) => WaitingOn::Receive { fd, socket },
            Some(FdFacts::File(file)) => WaitingOn::Input { fd, file },
            None => WaitingOn::Other { call: name.into() },
        }
    }

    fn output(&mut self, fd: i32, name: &str) -> WaitingOn {
        match self.fd(fd) {
            Some(FdFacts::Socket(socket)) => WaitingOn::Send { fd, socket },
            Some(FdFacts::File(file)) => WaitingOn::Output { fd, file },
            None => WaitingOn::Other { call: name.into() },
        }
    }

    fn connect(&mut self, fd: i32, arguments: [u64; 6]) -> WaitingOn {
        let mut socket = match self.fd(fd) {
            Some(FdFacts::Socket(socket)) => socket,
            _ => SocketFacts { protocol: "socket".into(), state: "unknown".into(), ..SocketFacts::default() },
        };
        if socket.peer.is_none() {
            let length = (arguments[2] as usize).min(128);
            socket.peer = address_text(&self.memory.read_fresh(arguments[1], length));
        }
        WaitingOn::Connect { fd, socket }
    }

    fn file_lock(&mut self, fd: i32, class: &str) -> WaitingOn {
        let path = match fds::look(self.via, fd) {
            Some(Fd::File(FileFacts { path, .. })) => Some(path),
            _ => None,
        };
        WaitingOn::FileLock { path, holders: locks::holders(self.pid, class) }
    }

    fn open(&mut self, directory: i32, path: u64) -> WaitingOn {
        let Some(path) = self.memory.string(path, PATH_MAX) else { return WaitingOn::Other { call: "open".into() } };
        if path.starts_with('/') {
            return WaitingOn::Open { path };
        }
        let base = match directory {
            libc::AT_FDCWD => std::fs::read_link(format!("/proc/{}/cwd", self.via)),
            fd => std::fs::read_link(format!("/proc/{}/fd/{fd}", self.via)),
        };
        let path = base.map(|base| base.join(&path).to_string_lossy().into_owned()).unwrap_or(path);
        WaitingOn::Open { path }
    }

    fn sleep(&mut self, address: u64) -> WaitingOn {
        WaitingOn::Sleep { duration: futex::milliseconds(self.memory, address).map(Duration::from_millis) }
    }

    /// How long a sleep until a point in time (`clock_nanosleep(2)` with TIMER_ABSTIME) still takes.
    fn remaining(&self, name: &str, arguments: [u64; 6]) -> Option<Duration> {
        let until = match (name, arguments[1] & 1) {
            ("clock_nanosleep", 1) => futex::milliseconds(self.memory, arguments[2])?,
            _ => return None,
        };
        let (monotonic, real) = clocks();
        let now = match arguments[0] as i32 {
            libc::CLOCK_REALTIME => real,
            libc::CLOCK_MONOTONIC => monotonic,
            _ => return None,
        };
        Some(Duration::from_millis(until.saturating_sub(now)))
    }

    /// The children a wait can be for; for a fork, which in a blocked state is a vfork, all of them.
    fn child(&mut self, name: &str, arguments: [u64; 6]) -> WaitingOn {
        let (kind, id) = (arguments[0], arguments[1] as i32);
        let wanted = |pid: i32, stat: &Stat| match (name, arguments[0] as i32) {
            ("wait4", -1) => true,
            ("wait4", 0) => Stat::of(self.pid).is_some_and(|own| own.group == stat.group),
            ("wait4", only) if only > 0 => pid == only,
            ("wait4", group) => stat.group == group.wrapping_neg(),
            ("waitid", 1) => pid == id,
            ("waitid", 2) if id != 0 => stat.group == id,
            ("waitid", 3) => pidfd_target(self.via, id) == Some(pid),
            _ => kind != u64::MAX,
        };
        let named = children(self.pid).into_iter().filter_map(|pid| {
            let stat = Stat::of(pid).filter(|stat| wanted(pid, stat))?;
            Some(ProcessName { pid, name: stat.name })
        });
        WaitingOn::Child { children: named.collect() }
    }
}

/// Whether the first argument of a call is a descriptor.
fn is_on_fd(name: &str) -> bool {
    matches!(
        name,
        "close" | "fsync" | "fdatasync" | "syncfs" | "ioctl" | "fcntl" | "getdents64" | "fstat" | "fallocate"
    )
}

/// The process that a pidfd stands for.
fn pidfd_target(pid: i32, fd: i32) -> Option<i32> {
    let text = files::text(&format!("/proc/{pid}/fdinfo/{fd}")).ok()?;
    files::number(&text, "Pid").and_then(|pid| i32::try_from(pid).ok())
}

/// The children of a process (`/proc/PID/task/TID/children`; by looking at all processes where the kernel has no such
/// file).
pub fn children(pid: i32) -> Vec<i32> {
    let threads = files::numbered(&format!("/proc/{pid}/task")).unwrap_or_default();
    let mut found = Vec::new();
    let mut readable = false;
    for tid in &threads {
        if let Ok(text) = files::text(&format!("/proc/{pid}/task/{tid}/children")) {
            readable = true;
            found.extend(text.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
    }
    if !readable && !threads.is_empty() {
        let all = files::numbered("/proc").unwrap_or_default();
        found.extend(all.into_iter().filter(|child| Stat::of(*child).is_some_and(|stat| stat.parent == pid)));
    }
    found.sort_unstable();
    found
}

/// A `struct sockaddr` as text: `10.0.0.5:6379`, `/run/x.sock`, `@abstract`.
pub fn address_text(bytes: &[u8]) -> Option<String> {
    let family = u16::from_ne_bytes(*bytes.first_chunk::<2>()?);
    let port = || Some(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?));
    match i32::from(family) {
        libc::AF_INET => {
            let ip: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            Some(std::net::SocketAddr::from((ip, port()?)).to_string())
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            Some(std::net::SocketAddr::from((ip, port()?)).to_string())
        }
        libc::AF_UNIX => match bytes.get(2..)? {
            [0, name @ ..] => Some(format!("@{}", String::from_utf8_lossy(name))),
            path => {
                let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
                Some(String::from_utf8_lossy(&path[..end]).into_owned())
            }
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_addresses_as_text() {
        assert_eq!(address_text(&[2, 0, 0x18, 0xeb, 10, 0, 0, 5, 0, 0]).as_deref(), Some("10.0.0.5:6379"));
        assert_eq!(address_text(b"\x01\0/run/x\0junk").as_deref(), Some("/run/x"));
        assert_eq!(address_text(b"\x01\0\0bus").as_deref(), Some("@bus"));
        assert_eq!(address_text(&[2, 0, 1]), None);
        assert_eq!(address_text(&[]), None);
    }

    #[test]
    fn its_own_children_are_found() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        assert!(children(std::process::id() as i32).contains(&(child.id() as i32)));
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
