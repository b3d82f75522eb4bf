//! Holds a thread that is on a CPU while its registers and stack are copied (`ptrace(2)`).
//!
//! A blocked thread is never held: some system calls would return EINTR. The calling thread is the tracer; should it
//! end for any reason, the kernel detaches what it held.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::unistd::Pid;

use crate::sys::allowed;
use crate::sys::procfs::Stat;

/// How long a thread may take to stop that sleeps uninterruptibly.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long when it waits for its turn on a CPU: where much else runs, that comes late.
const TURN: Duration = Duration::from_millis(500);

/// A thread that is held; dropping it lets it go.
#[derive(Debug)]
pub struct Held {
    tid: Pid,
    since: Instant,
    /// A signal that was about to be delivered when it stopped: it is given back on release.
    signal: i32,
    released: bool,
}

impl Held {
    /// Holds the thread `tid` of the process `pid`. Errors: errno of `ptrace(2)` when that is not allowed,
    /// `ETIMEDOUT` when the thread does not stop (it went to an uninterruptible sleep), `ESRCH` when it is gone.
    pub fn take(pid: i32, tid: i32) -> Result<Held, Errno> {
        if !allowed::survives(allowed::Call::Ptrace) {
            return Err(Errno::EPERM);
        }
        let thread = Pid::from_raw(tid);
        ptrace::seize(thread, ptrace::Options::empty())?;
        let mut held = Held { tid: thread, since: Instant::now(), signal: 0, released: false };
        ptrace::interrupt(thread)?;
        loop {
            if let Some(status) = poll_stop(tid) {
                if !libc::WIFSTOPPED(status) {
                    return Err(Errno::ESRCH);
                }
                // A stop with an event is ours; one without is the delivery of a signal.
                held.signal = if status >> 16 == 0 { libc::WSTOPSIG(status) } else { 0 };
                return Ok(held);
            }
            // A reaper in another thread of this process may have taken the notice of the stop.
            match Stat::of_thread(pid, tid) {
                Some(stat) if stat.state == 't' => return Ok(held),
                Some(stat) if matches!(stat.state, 'Z' | 'X') => return Err(Errno::ESRCH),
                Some(stat) if held.since.elapsed() >= if stat.state == 'R' { TURN } else { PATIENCE } => {
                    return Err(Errno::ETIMEDOUT);
                }
                Some(_) => std::thread::sleep(Duration::from_micros(20)),
                None => return Err(Errno::ESRCH),
            }
        }
    }

    /// Its registers.
    #[cfg(target_arch = "x86_64")]
    pub fn registers(&self) -> Result<libc::user_regs_struct, Errno> {
        ptrace::getregs(self.tid)
    }

    /// Lets it go; how long it was held.
    pub fn release(mut self) -> Duration {
        self.detach();
        self.since.elapsed()
    }

    fn detach(&mut self) {
        if !std::mem::replace(&mut self.released, true) {
            // SAFETY: PTRACE_DETACH takes a tid and a signal number, no memory. ESRCH is no matter: it is gone, or
            // did not stop yet, and then the kernel detaches it when this thread ends.
            unsafe { libc::ptrace(libc::PTRACE_DETACH, self.tid.as_raw(), 0usize, self.signal as usize) };
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.detach();
    }
}

/// The wait status of the thread, if it has stopped. Its end is left to its parent, which this process may be.
/// `waitid(2)` itself, because nix knows no real-time signals.
fn poll_stop(tid: i32) -> Option<i32> {
    // SAFETY: all bytes zero are a valid `siginfo_t`.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WSTOPPED | libc::__WALL | libc::WNOHANG;
    // SAFETY: `info` is a valid place for the result for the whole call.
    let result = unsafe { libc::waitid(libc::P_PID, tid.unsigned_abs(), &raw mut info, options) };
    // SAFETY: the kernel, or the zeroes above, have filled in the members that a child's change has.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    (result == 0 && pid == tid).then_some(status << 8 | 0x7f)
}
