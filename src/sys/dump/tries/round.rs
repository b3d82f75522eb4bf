//! One round of a process under `ptrace(2)`. The following thread is the tracer: when it ends, however it ends, the
//! kernel lets go.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::unistd::Pid;

use super::Seen;
use super::call::{self, Call};
use crate::core::facts::{AttemptFacts, Tried};
use crate::sys::allowed;
use crate::sys::dump::decode::address_text;
use crate::sys::dump::files::Place;
use crate::sys::dump::locks;
use crate::sys::dump::memory::Memory;
use crate::sys::dump::numbers;
use crate::sys::procfs::Stat;

/// Pause between two looks for a stop.
const LOOK: Duration = Duration::from_micros(40);
/// Threads and programs that are followed at once, at most; more end the round.
const TRACED: usize = 256;
/// A signal number of a stop that is one of a system call (`PTRACE_O_TRACESYSGOOD`).
const CALL_STOP: i32 = libc::SIGTRAP | 0x80;
/// Errors of a connection that somebody refused, dropped, or that leads nowhere; others are the program's own affair.
const FAILURES: [i32; 5] = [libc::ECONNREFUSED, libc::ETIMEDOUT, libc::ECONNRESET, libc::EHOSTUNREACH, libc::ENOENT];
/// Paths that the C library asks by itself, whether or not anyone is there.
const OF_LIBC: [&str; 2] = ["/var/run/nscd/socket", "/run/nscd/socket"];

/// One thread of the round.
struct Traced {
    /// The process whose descriptors it uses.
    pid: i32,
    /// Which call it is in, with its arguments, between entry and exit.
    call: Option<(&'static str, [u64; 6])>,
    /// Whether a sleep of it was seen to end; what the interruption ends is only gone on with.
    woke: bool,
    /// Whether it was seen to sleep again after that.
    back: bool,
}

impl Traced {
    fn of(pid: i32) -> Traced {
        Traced { pid, call: None, woke: false, back: false }
    }
}

/// A wait status of one traced thread.
enum Stop {
    /// Of this thread.
    Of(i32, i32),
    /// There is none just now.
    None,
    /// Nothing is traced any more.
    Nobody,
}

/// One round of a process.
pub struct Round {
    pid: i32,
    /// Where programs are started to try: the one that sleeps in between.
    pause: Option<i32>,
    /// Its sleep was over when the following began: what was tried until the next pause was not all seen.
    began_late: bool,
    minds_interruptions: bool,
    traced: HashMap<i32, Traced>,
    /// Connections that are under way, by process and descriptor.
    pending: HashMap<(i32, u64), String>,
    /// What failed, and which thread tried it last.
    failed: Seen,
    /// Connections that came about.
    reached: Seen,
}

impl Round {
    /// Of the process `pid`; with what it starts, if it waits for a program to sleep, the `pause`. `minds_interruptions` when it might take
    /// notice of an `epoll_wait(2)` that ends early.
    pub fn new(pid: i32, pause: Option<i32>, minds_interruptions: bool) -> Round {
        let (traced, pending, failed, reached) = Default::default();
        Round { pid, pause, began_late: false, minds_interruptions, traced, pending, failed, reached }
    }

    /// Follows these threads until one has failed to connect or to lock a file and sleeps again, or until the time is up:
    /// `until` when one was seen to wake and sleep again by then, else `latest`. Where nothing failed it gives the
    /// connections that came about.
    pub fn follow(mut self, tids: &[i32], until: Instant, latest: Instant) -> Seen {
        if !allowed::survives(allowed::Call::Ptrace) {
            return Vec::new();
        }
        let mut options = ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_TRACECLONE;
        if self.pause.is_some() {
            options |= ptrace::Options::PTRACE_O_TRACEFORK | ptrace::Options::PTRACE_O_TRACEVFORK;
        }
        let mut awake: Vec<i32> =
            tids.iter().copied().filter(|tid| ptrace::seize(Pid::from_raw(*tid), options).is_ok()).collect();
        for tid in &awake {
            self.traced.insert(*tid, Traced::of(self.pid));
        }
        // What is started from here on is seen.
        let sleeps = |pid| Stat::of(pid).is_some_and(|stat| stat.state == 'S');
        self.began_late = self.pause.is_some_and(|pause| !sleeps(pause));
        loop {
            // By now one may be in another call, which an interruption could be felt in: its next sleep is waited for.
            awake.retain(|tid| !(is_quiet(*tid) && ptrace::interrupt(Pid::from_raw(*tid)).is_ok()));
            match next_stop() {
                Stop::Of(tid, status) if libc::WIFSTOPPED(status) => match self.stopped(tid, status) {
                    // One that has been killed meanwhile is told by its next status.
                    Some(signal) => drop(go_on(tid, signal)),
                    None => {
                        // Let go of in a stop before a call, it would find that call interrupted.
                        if libc::WSTOPSIG(status) == CALL_STOP {
                            let _ = go_on(tid, 0);
                        }
                        break;
                    }
                },
                Stop::Of(tid, _) => {
                    self.traced.remove(&tid);
                    awake.retain(|other| *other != tid);
                }
                Stop::Nobody => break,
                // Letting go is for between two stops: a signal that is being delivered would be lost.
                Stop::None if Instant::now() >= if self.came_back() { until } else { latest } => break,
                Stop::None => std::thread::sleep(LOOK),
            }
        }
        if self.failed.is_empty() { self.reached } else { self.failed }
    }

    /// Whether all that woke sleep again, and not for a connection that one of them began. On a busy machine that takes
    /// its time.
    fn came_back(&self) -> bool {
        if !self.pending.is_empty() {
            return false;
        }
        let mut woken = self.traced.values().filter(|traced| traced.woke).peekable();
        woken.peek().is_some() && woken.all(|traced| traced.back)
    }

    /// What a stop tells; the signal to go on with, or `None` when there is no more to see.
    fn stopped(&mut self, tid: i32, status: i32) -> Option<i32> {
        let signal = libc::WSTOPSIG(status);
        match status >> 16 {
            0 if signal == CALL_STOP => self.at_call(tid).then_some(0),
            0 => Some(signal),
            libc::PTRACE_EVENT_STOP if signal == libc::SIGTRAP => {
                if self.minds_interruptions {
                    restart(tid);
                }
                Some(0)
            }
            // Stopped by job control: nothing will come, and the kernel keeps it stopped.
            libc::PTRACE_EVENT_STOP => None,
            event => {
                if let Ok(new) = ptrace::getevent(Pid::from_raw(tid)) {
                    let new = new as i32;
                    let pid = match event {
                        libc::PTRACE_EVENT_CLONE => self.traced.get(&tid).map_or(self.pid, |parent| parent.pid),
                        _ => new,
                    };
                    self.traced.entry(new).or_insert(Traced::of(pid)).pid = pid;
                }
                (self.traced.len() < TRACED).then_some(0)
            }
        }
    }

    /// At the entry or the exit of a system call; whether there is more to see.
    fn at_call(&mut self, tid: i32) -> bool {
        let Some(call) = call::of(tid) else { return true };
        let traced = self.traced.entry(tid).or_insert(Traced::of(tid));
        match call {
            Call::Entry(number, arguments) => {
                let name = i64::try_from(number).ok().and_then(numbers::name).unwrap_or_default();
                traced.call = Some((name, arguments));
                let sleeps =
                    || (is_sleep(name) && lasts(tid, name, arguments)) || (name == "futex" && arguments[3] != 0);
                traced.back = traced.back || (traced.woke && sleeps());
                !self.is_over(tid, name)
            }
            Call::Exit(result) => {
                if let Some((name, arguments)) = traced.call.take() {
                    traced.woke |= is_sleep(name) || matches!(name, "futex" | "restart_syscall");
                    let pid = traced.pid;
                    self.returned(tid, (pid, name, arguments), result);
                }
                true
            }
        }
    }

    /// Whether a call that begins ends the round: the sleep after a try, or the pause of a loop in which nothing was.
    fn is_over(&mut self, tid: i32, name: &str) -> bool {
        let tried_itself = self.failed.last().is_some_and(|(by, _)| *by == tid);
        match self.failed.is_empty() {
            true => {
                let pauses = tid != self.pid && matches!(name, "nanosleep" | "clock_nanosleep");
                self.pause.is_some() && pauses && !std::mem::take(&mut self.began_late)
            }
            false => is_sleep(name) || (name == "futex" && tried_itself),
        }
    }

    fn returned(&mut self, tid: i32, (pid, name, arguments): (i32, &str, [u64; 6]), result: i64) {
        let memory = Memory::of(tid);
        let socket = (pid, arguments[0]);
        let errno = i32::try_from(-result).unwrap_or(0).max(0);
        match name {
            "connect" => {
                let bytes = memory.read_fresh(arguments[1], (arguments[2] as usize).min(128));
                let Some(address) = address_text(&bytes) else { return };
                match errno {
                    libc::EINPROGRESS => drop(self.pending.insert(socket, address)),
                    errno => self.note(tid, address, errno),
                }
            }
            "flock" if errno == libc::EWOULDBLOCK => self.not_given(tid, socket, errno),
            "fcntl" if is_try_lock(arguments[1]) && matches!(errno, libc::EAGAIN | libc::EACCES) => {
                self.not_given(tid, socket, errno);
            }
            // How a program that does not block learns what became of its connection.
            "getsockopt" if arguments[1] == libc::SOL_SOCKET as u64 && arguments[2] == libc::SO_ERROR as u64 => {
                let errno = memory.read(arguments[3]).map(i32::from_le_bytes).unwrap_or(0);
                if let Some(address) = self.pending.remove(&socket) {
                    self.note(tid, address, errno);
                }
            }
            // Or by simply using it.
            "read" | "readv" | "recvfrom" | "recvmsg" | "write" | "writev" | "sendto" | "sendmsg"
                if FAILURES.contains(&errno) =>
            {
                if let Some(address) = self.pending.remove(&socket) {
                    self.note(tid, address, errno);
                }
            }
            "close" => drop(self.pending.remove(&socket)),
            _ => {}
        }
    }

    /// A lock on a file was not given.
    fn not_given(&mut self, tid: i32, (pid, fd): (i32, u64), errno: i32) {
        let link = std::path::PathBuf::from(format!("/proc/{pid}/fd/{fd}"));
        let Ok(path) = std::fs::read_link(&link) else { return };
        let address = path.to_string_lossy().into_owned();
        let known = |(by, attempt): &&mut (i32, AttemptFacts)| *by == tid && attempt.address == address;
        if let Some((_, attempt)) = self.failed.iter_mut().find(known) {
            attempt.times += 1;
            return;
        }
        let holders = locks::holders_of(&link);
        self.failed.push((tid, AttemptFacts { what: Tried::FileLock, address, holders, errno, times: 1 }));
    }

    fn note(&mut self, tid: i32, address: String, errno: i32) {
        if errno == 0 && self.reached.len() < TRACED {
            let attempt = AttemptFacts { address: plain(address), times: 1, ..AttemptFacts::default() };
            return self.reached.push((tid, attempt));
        }
        // To a Unix socket whose backlog is full a connection that is not waited for fails so.
        let full = errno == libc::EAGAIN && address.starts_with(['/', '@']);
        if !(FAILURES.contains(&errno) || full) || OF_LIBC.contains(&address.as_str()) {
            return;
        }
        let address = plain(address);
        match self.failed.iter_mut().find(|(by, attempt)| *by == tid && attempt.address == address) {
            Some((_, attempt)) => {
                attempt.times += 1;
                attempt.errno = errno;
            }
            None => self.failed.push((tid, AttemptFacts { address, errno, times: 1, ..AttemptFacts::default() })),
        }
    }
}

/// Whether `fcntl(2)` is to lock a file, if that can be had at once.
fn is_try_lock(command: u64) -> bool {
    [libc::F_SETLK, libc::F_OFD_SETLK].iter().any(|known| *known as u64 == command)
}

/// An IPv4 address that is written as an IPv6 one, as the Java machine does, as people write it.
fn plain(address: String) -> String {
    match address.parse::<std::net::SocketAddr>() {
        Ok(parsed) => std::net::SocketAddr::new(parsed.ip().to_canonical(), parsed.port()).to_string(),
        Err(_) => address,
    }
}

fn is_sleep(name: &str) -> bool {
    matches!(
        name,
        "nanosleep" | "clock_nanosleep" | "poll" | "ppoll" | "select" | "pselect6" | "epoll_wait" | "epoll_pwait"
    )
}

/// Whether a call that can wait will: event loops look between their steps what is there (`epoll_wait(2)` with a timeout of
/// zero), and go on.
fn lasts(tid: i32, name: &str, arguments: [u64; 6]) -> bool {
    let millis = |timeout: u64| timeout as i32 != 0;
    let span = |address: u64| address == 0 || Memory::of(tid).read::<16>(address).is_none_or(|span| span != [0; 16]);
    match name {
        "epoll_wait" | "epoll_pwait" => millis(arguments[3]),
        "poll" => millis(arguments[2]),
        "ppoll" => span(arguments[2]),
        "select" | "pselect6" => span(arguments[4]),
        _ => true,
    }
}

/// Whether the thread is in a call that goes on after an interruption as if there was none, or that can be made to.
fn is_quiet(tid: i32) -> bool {
    match Place::of(tid, tid) {
        Ok(Place::Call { number, .. }) => match numbers::name(number) {
            Some(name) => is_sleep(name) || matches!(name, "restart_syscall" | "futex" | "wait4" | "waitid"),
            _ => false,
        },
        _ => false,
    }
}

/// Lets a call that the interruption has ended with EINTR begin again, as the kernel does with most: without a signal
/// handler in between nobody is to see it (ERESTARTNOHAND). Its time begins again, too.
fn restart(tid: i32) {
    #[cfg(target_arch = "x86_64")]
    {
        const ERESTARTNOHAND: i64 = 514;
        let thread = Pid::from_raw(tid);
        if let Ok(mut registers) = ptrace::getregs(thread)
            && registers.rax as i64 == -i64::from(libc::EINTR)
            && registers.orig_rax as i64 >= 0
        {
            registers.rax = -ERESTARTNOHAND as u64;
            let _ = ptrace::setregs(thread, registers);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = tid;
}

fn go_on(tid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: PTRACE_SYSCALL takes a tid and a signal number, no memory. nix knows no real-time signals.
    let result = unsafe { libc::ptrace(libc::PTRACE_SYSCALL, tid, 0usize, signal as usize) };
    Errno::result(result).map(drop)
}

/// The next wait status of what this very thread traces: other threads' children are not looked at.
fn next_stop() -> Stop {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result for the whole call.
    let got = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD | libc::WNOHANG) };
    match got {
        0 => Stop::None,
        tid if tid > 0 => Stop::Of(tid, status),
        _ => Stop::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_loop_that_only_looks_what_is_there_is_not_back_asleep() {
        let own = nix::unistd::gettid().as_raw();
        let spans: [[u64; 2]; 2] = [[0, 0], [0, 1]];
        let [none, some] = [&raw const spans[0] as u64, &raw const spans[1] as u64];
        let with = |at: usize, value: u64| {
            let mut arguments = [0; 6];
            arguments[at] = value;
            arguments
        };
        for (name, at) in [("epoll_wait", 3), ("epoll_pwait", 3), ("poll", 2)] {
            assert!(!lasts(own, name, with(at, 0)), "{name}");
            assert!(lasts(own, name, with(at, 400)) && lasts(own, name, with(at, u64::MAX)), "{name}");
        }
        for (name, at) in [("ppoll", 2), ("select", 4), ("pselect6", 4)] {
            assert!(!lasts(own, name, with(at, none)), "{name}");
            assert!(lasts(own, name, with(at, some)) && lasts(own, name, with(at, 0)), "{name}");
        }
        assert!(lasts(own, "nanosleep", [0; 6]));
    }

    #[test]
    fn who_has_begun_a_connection_is_not_back() {
        let mut round = Round::new(1, None, true);
        round.traced.insert(1, Traced { woke: true, back: true, ..Traced::of(1) });
        assert!(round.came_back());
        round.pending.insert((1, 7), "127.0.0.1:1".into());
        assert!(!round.came_back());
    }

    #[test]
    fn a_pause_ends_a_round_that_was_seen_from_its_beginning() {
        let mut round = Round::new(1, Some(7), true);
        assert!(!round.is_over(1, "clock_nanosleep"), "that is no program of its");
        assert!(!round.is_over(2, "connect"));
        assert!(round.is_over(2, "clock_nanosleep"));
        round.began_late = true;
        assert!(!round.is_over(2, "clock_nanosleep"), "the round begins after it");
        assert!(round.is_over(3, "nanosleep"));
        assert!(!Round::new(1, None, true).is_over(2, "nanosleep"), "it tries by itself");
    }

    #[test]
    fn only_failures_to_reach_something_count_and_equal_ones_are_one() {
        let mut round = Round::new(1, None, true);
        round.note(1, "127.0.0.1:1".into(), libc::ECONNREFUSED);
        round.note(1, "127.0.0.1:1".into(), libc::ECONNREFUSED);
        round.note(1, "127.0.0.1:2".into(), 0);
        round.note(1, "127.0.0.1:3".into(), libc::EADDRNOTAVAIL);
        round.note(1, "127.0.0.1:3".into(), libc::EAGAIN);
        round.note(1, "/run/nscd/socket".into(), libc::ENOENT);
        let seen = AttemptFacts {
            address: "127.0.0.1:1".into(),
            errno: libc::ECONNREFUSED,
            times: 2,
            ..AttemptFacts::default()
        };
        assert_eq!(round.failed, [(1, seen)]);
        round.note(2, "/run/agent.sock".into(), libc::EAGAIN);
        assert_eq!(round.failed.last().map(|(by, it)| (*by, it.errno)), Some((2, libc::EAGAIN)));
        let reached = AttemptFacts { address: "127.0.0.1:2".into(), times: 1, ..AttemptFacts::default() };
        assert_eq!(round.reached, [(1, reached)]);
    }
}
