//! What `poll`, `select` and `epoll_wait` watch, read from the caller's memory and from `/proc/PID/fdinfo`.

use std::time::Duration;

use super::decode::Caller;
use super::fds::Target;
use super::{fds, futex};
use crate::core::facts::{FdFacts, WaitingOn, WatchedFacts};

/// Descriptors told at most.
const LIMIT: usize = 256;
/// Bits of poll and epoll that mean readable and writable.
const READABLE: u32 = (libc::POLLIN | libc::POLLPRI | libc::POLLRDNORM | libc::POLLRDBAND) as u32 | 0x2000;
const WRITABLE: u32 = (libc::POLLOUT | libc::POLLWRNORM | libc::POLLWRBAND) as u32;

/// What a polling call waits on, and its own descriptor; `None` for any other call.
pub fn waiting_on(caller: &mut Caller, name: &str, arguments: [u64; 6]) -> Option<(Option<i32>, WaitingOn)> {
    let fd = arguments[0] as i32;
    let (own, timeout, watched) = match name {
        "epoll_wait" | "epoll_pwait" => (Some(fd), of_milliseconds(arguments[3]), epoll(caller, fd)),
        "epoll_pwait2" => (Some(fd), of_timespec(caller, arguments[3]), epoll(caller, fd)),
        "poll" => (None, of_milliseconds(arguments[2]), poll(caller, arguments)),
        "ppoll" => (None, of_timespec(caller, arguments[2]), poll(caller, arguments)),
        // For select the microseconds of a timeval count a thousandth of a timespec's nanoseconds.
        "select" | "pselect6" => (None, of_select(caller, arguments[4], name == "select"), select(caller, arguments)),
        "io_uring_enter" => (Some(fd), None, Vec::new()),
        _ => return None,
    };
    let call = match name {
        "epoll_pwait" | "epoll_pwait2" => "epoll_wait",
        "ppoll" => "poll",
        "pselect6" => "select",
        other => other,
    };
    Some((own, WaitingOn::Poll { call: call.into(), timeout, watched }))
}

fn of_milliseconds(argument: u64) -> Option<Duration> {
    u64::try_from(argument as i32).ok().map(Duration::from_millis)
}

fn of_timespec(caller: &Caller, address: u64) -> Option<Duration> {
    futex::milliseconds(caller.memory, address).filter(|_| address != 0).map(Duration::from_millis)
}

fn of_select(caller: &Caller, address: u64, timeval: bool) -> Option<Duration> {
    if !timeval {
        return of_timespec(caller, address);
    }
    let (seconds, microseconds) = (caller.memory.word(address)?, caller.memory.word(address.checked_add(8)?)?);
    Duration::from_secs(seconds.min(u64::from(u32::MAX))).checked_add(Duration::from_micros(microseconds))
}

fn watched(caller: &mut Caller, fd: i32, read: bool, write: bool) -> Option<WatchedFacts> {
    Some(WatchedFacts { fd, read, write, what: caller.fd(fd)? })
}

fn epoll(caller: &mut Caller, fd: i32) -> Vec<WatchedFacts> {
    let targets = fds::epoll_targets(caller.via, fd, LIMIT);
    let look = |Target { fd, events, inode, .. }: Target| {
        let found = watched(caller, fd, events & READABLE != 0, events & WRITABLE != 0)?;
        // A descriptor that was closed while a copy of it lives stays in the set under its number, which by now may
        // be another file's.
        match &found.what {
            FdFacts::Socket(socket) if inode != 0 && socket.inode != inode => None,
            _ => Some(found),
        }
    };
    targets.into_iter().filter_map(look).collect()
}

fn poll(caller: &mut Caller, arguments: [u64; 6]) -> Vec<WatchedFacts> {
    let count = (arguments[1] as usize).min(LIMIT);
    let array = caller.memory.read_fresh(arguments[0], count * 8);
    let look = |entry: &[u8]| {
        let fd = i32::from_le_bytes(entry.first_chunk::<4>().copied()?);
        let events = u32::from(u16::from_le_bytes([entry[4], entry[5]]));
        (fd >= 0).then(|| watched(caller, fd, events & READABLE != 0, events & WRITABLE != 0))?
    };
    array.chunks_exact(8).filter_map(look).collect()
}

fn select(caller: &mut Caller, arguments: [u64; 6]) -> Vec<WatchedFacts> {
    let count = (arguments[0] as usize).min(65_536);
    let set = |address: u64| match address {
        0 => Vec::new(),
        address => caller.memory.read_fresh(address, count.div_ceil(64) * 8),
    };
    let (reading, writing) = (set(arguments[1]), set(arguments[2]));
    let has = |set: &[u8], fd: usize| set.get(fd / 8).is_some_and(|byte| byte >> (fd % 8) & 1 == 1);
    let fds: Vec<usize> = (0..count).filter(|fd| has(&reading, *fd) || has(&writing, *fd)).take(LIMIT).collect();
    fds.into_iter().filter_map(|fd| watched(caller, fd as i32, has(&reading, fd), has(&writing, fd))).collect()
}
