//! Sees what a thread tries between two sleeps: `connect(2)` that fails at once leaves no trace in a thread that sleeps
//! again, so the thread is followed through one round by `ptrace(2)`.
//!
//! Only a thread that sleeps for a time and is about to wake is followed: its sleep, unlike other blocking calls, goes
//! on where it was after the interruption (`restart_syscall(2)`), so the program does not notice. It is done at a missed
//! deadline only, never for a dump that somebody asks for. The following thread is the tracer: when it ends, however it
//! ends, the kernel lets go.

use std::collections::HashMap;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::unistd::Pid;

use super::decode::{Decoded, address_text};
use super::files::Place;
use super::memory::Memory;
use super::numbers;
use super::process::Draft;
use crate::core::facts::{AttemptFacts, FdFacts, FileKind, WaitingOn, WatchedFacts};

/// Threads followed at most.
const THREADS: usize = 4;
/// How long a round may take from the wake-up on.
const ROUND: Duration = Duration::from_millis(60);
/// Pause between two looks for a stop.
const LOOK: Duration = Duration::from_micros(40);
/// A signal number of a stop that is one of a system call (`PTRACE_O_TRACESYSGOOD`).
const CALL_STOP: i32 = libc::SIGTRAP | 0x80;
/// Errors of a connection that somebody refused, dropped, or that leads nowhere; others are the program's own affair.
const FAILURES: [i32; 5] = [libc::ECONNREFUSED, libc::ETIMEDOUT, libc::ECONNRESET, libc::EHOSTUNREACH, libc::ENOENT];
/// Paths that the C library asks by itself, whether or not anyone is there.
const OF_LIBC: [&str; 2] = ["/var/run/nscd/socket", "/run/nscd/socket"];

/// The threads that are being followed.
pub struct Followed(Vec<(i32, JoinHandle<Vec<AttemptFacts>>)>);

impl Followed {
    /// Waits until all of it is seen: what each thread, by its number, tried in vain.
    pub fn finish(self) -> HashMap<i32, Vec<AttemptFacts>> {
        self.0.into_iter().map(|(tid, work)| (tid, work.join().unwrap_or_default())).collect()
    }
}

/// In what time a sleeping thread wakes by itself; `None` when it does not sleep, or that cannot be told.
pub fn wakes_in(call: &Decoded, waited: Option<Duration>) -> Option<Duration> {
    let whole = match call.waiting_on.as_ref()? {
        WaitingOn::Sleep { duration: Some(whole) } => *whole,
        WaitingOn::Sleep { duration: None } => return call.remaining,
        WaitingOn::Poll { call, timeout: Some(whole), watched } if matches!(call.as_str(), "poll" | "select") => {
            // A pipe or the like by which other threads wake it, as Ruby has it, makes it no less a sleep.
            let own = |watched: &WatchedFacts| matches!(&watched.what, FdFacts::File(file) if wakes(file.kind));
            watched.iter().all(own).then_some(*whole)?
        }
        _ => return None,
    };
    Some(call.remaining.unwrap_or_else(|| whole.saturating_sub(waited.unwrap_or_default())))
}

fn wakes(kind: FileKind) -> bool {
    matches!(kind, FileKind::Anonymous | FileKind::Pipe)
}

/// Follows the main threads that sleep and wake within `longest`. They are not waited for.
pub fn follow(drafts: &[Draft], longest: Duration, deadline: Instant) -> Followed {
    let sleepers = drafts.iter().filter_map(|draft| {
        let (facts, thread) = (draft.facts.threads.first()?, draft.threads.first()?);
        let wakes = wakes_in(thread.call.as_ref()?, facts.waited)?;
        (facts.tid == draft.facts.pid && wakes <= longest).then_some((facts.tid, wakes))
    });
    let start = |(tid, wakes): (i32, Duration)| {
        let until = (Instant::now() + wakes + ROUND).min(deadline);
        let work = move || Round::new(tid).follow(until);
        Some((tid, std::thread::Builder::new().name("dump-follow".into()).spawn(work).ok()?))
    };
    Followed(sleepers.take(THREADS).filter_map(start).collect())
}

/// One round of a thread.
struct Round {
    tid: i32,
    /// Which call it is in, with its arguments, between entry and exit.
    call: Option<(&'static str, [u64; 6])>,
    /// Connections that are under way, by descriptor.
    pending: HashMap<u64, String>,
    failed: Vec<AttemptFacts>,
}

impl Round {
    fn new(tid: i32) -> Round {
        Round { tid, call: None, pending: HashMap::new(), failed: Vec::new() }
    }

    /// Follows it until it has failed to connect and sleeps again, or until the time is up.
    fn follow(mut self, until: Instant) -> Vec<AttemptFacts> {
        let thread = Pid::from_raw(self.tid);
        let mut seized = ptrace::seize(thread, ptrace::Options::PTRACE_O_TRACESYSGOOD);
        // By now it may be in another call, which an interruption could be felt in: its next sleep is waited for.
        while seized.is_ok() && !sleeps(self.tid) {
            if Instant::now() >= until {
                return Vec::new();
            }
            std::thread::sleep(LOOK);
        }
        if seized.is_ok() {
            seized = ptrace::interrupt(thread);
        }
        while seized.is_ok() {
            match stop_of(self.tid) {
                Some(status) if !libc::WIFSTOPPED(status) => break,
                Some(status) => match self.stopped(status) {
                    Some(signal) => seized = go_on(self.tid, signal),
                    None => break,
                },
                // Letting go is for between two stops: a signal that is being delivered would be lost.
                None if Instant::now() >= until => break,
                None => std::thread::sleep(LOOK),
            }
        }
        self.failed
    }

    /// What a stop tells; the signal to go on with, or `None` when there is no more to see.
    fn stopped(&mut self, status: i32) -> Option<i32> {
        let signal = libc::WSTOPSIG(status);
        match status >> 16 {
            0 if signal == CALL_STOP => self.at_call().then_some(0),
            0 => Some(signal),
            libc::PTRACE_EVENT_STOP if signal == libc::SIGTRAP => Some(0),
            // Stopped by job control: nothing will come, and the kernel keeps it stopped.
            _ => None,
        }
    }

    /// At the entry or the exit of a system call; whether there is more to see.
    fn at_call(&mut self) -> bool {
        let Ok(info) = ptrace::syscall_info(Pid::from_raw(self.tid)) else { return false };
        match info.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => {
                // SAFETY: `op` says that the kernel has filled in this member; all its bits are plain numbers.
                let entry = unsafe { info.u.entry };
                let name = i64::try_from(entry.nr).ok().and_then(numbers::name).unwrap_or_default();
                self.call = Some((name, entry.args));
                self.failed.is_empty() || !is_sleep(name)
            }
            libc::PTRACE_SYSCALL_INFO_EXIT => {
                // SAFETY: as above.
                let result = unsafe { info.u.exit }.sval;
                if let Some((name, arguments)) = self.call.take() {
                    self.returned(name, arguments, result);
                }
                true
            }
            _ => true,
        }
    }

    fn returned(&mut self, name: &str, arguments: [u64; 6], result: i64) {
        let memory = Memory::of(self.tid);
        match name {
            "connect" => {
                let bytes = memory.read_fresh(arguments[1], (arguments[2] as usize).min(128));
                let Some(address) = address_text(&bytes) else { return };
                match i32::try_from(-result) {
                    Ok(libc::EINPROGRESS) => drop(self.pending.insert(arguments[0], address)),
                    Ok(errno) => self.note(address, errno),
                    Err(_) => {}
                }
            }
            // How a program that does not block learns what became of its connection.
            "getsockopt" if arguments[1] == libc::SOL_SOCKET as u64 && arguments[2] == libc::SO_ERROR as u64 => {
                let errno = memory.read(arguments[3]).map(i32::from_le_bytes).unwrap_or(0);
                if let Some(address) = self.pending.remove(&arguments[0]) {
                    self.note(address, errno);
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, address: String, errno: i32) {
        if !FAILURES.contains(&errno) || OF_LIBC.contains(&address.as_str()) {
            return;
        }
        match self.failed.iter_mut().find(|attempt| attempt.address == address) {
            Some(attempt) => {
                attempt.times += 1;
                attempt.errno = errno;
            }
            None => self.failed.push(AttemptFacts { address, errno, times: 1 }),
        }
    }
}

fn is_sleep(name: &str) -> bool {
    matches!(
        name,
        "nanosleep" | "clock_nanosleep" | "poll" | "ppoll" | "select" | "pselect6" | "epoll_wait" | "epoll_pwait"
    )
}

/// Whether the thread is in a sleep, or in another call that goes on after an interruption as if there was none.
fn sleeps(tid: i32) -> bool {
    match Place::of(tid, tid) {
        Ok(Place::Call { number, .. }) => match numbers::name(number) {
            Some(name) => name == "restart_syscall" || (is_sleep(name) && !name.starts_with("epoll")),
            _ => false,
        },
        _ => false,
    }
}

fn go_on(tid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: PTRACE_SYSCALL takes a tid and a signal number, no memory. nix knows no real-time signals.
    let result = unsafe { libc::ptrace(libc::PTRACE_SYSCALL, tid, 0usize, signal as usize) };
    Errno::result(result).map(drop)
}

/// The wait status of a thread that this one traces, if there is one.
fn stop_of(tid: i32) -> Option<i32> {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result for the whole call.
    let got = unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL | libc::WNOHANG) };
    match got {
        0 => None,
        got if got == tid => Some(status),
        // It is gone: as if it had ended.
        _ => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_to_reach_something_count_and_equal_ones_are_one() {
        let mut round = Round::new(0);
        round.note("127.0.0.1:1".into(), libc::ECONNREFUSED);
        round.note("127.0.0.1:1".into(), libc::ECONNREFUSED);
        round.note("127.0.0.1:2".into(), 0);
        round.note("127.0.0.1:3".into(), libc::EADDRNOTAVAIL);
        round.note("/run/nscd/socket".into(), libc::ENOENT);
        let seen = AttemptFacts { address: "127.0.0.1:1".into(), errno: libc::ECONNREFUSED, times: 2 };
        assert_eq!(round.failed, [seen]);
    }
}
