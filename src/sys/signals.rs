//! The launcher's own signals: blocked from the start on and read by a descriptor (`signalfd(2)`), so that none is lost
//! in the first milliseconds and none interrupts anything.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::core::signal::Signal;

/// Signals that tell of a fault of the launcher itself. Blocked ones would still end it, but without its own handler.
const FAULTS: [i32; 6] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];

/// A signal that the launcher was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Which one.
    pub signal: Signal,
    /// Who sent it by `kill(2)` or the like; absent for the kernel itself, and for a sender outside this pid namespace.
    pub sender: Option<i32>,
    /// Whether the kernel sent it: the terminal's Ctrl-C, Ctrl-\, Ctrl-Z or hang-up.
    pub by_kernel: bool,
}

/// The signals of this process.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Blocks every signal but those of faults and reads them from here on; called first of all, before there is a
    /// second thread. SIGPIPE is ignored. SIGHUP is not read when it was inherited as ignored (`nohup`).
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn take() -> io::Result<Signals> {
        let hangup_ignored = disposition(libc::SIGHUP) == libc::SIG_IGN;
        // A blocked signal is kept and read even if its disposition was inherited as ignored. Others matter for these:
        // of children that nobody waits for nothing is told, and a job that is to stop has to stop.
        for signal in [libc::SIGCHLD, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU] {
            set_disposition(signal, libc::SIG_DFL);
        }
        set_disposition(libc::SIGPIPE, libc::SIG_IGN);
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: the set is filled before anything else uses it. libc keeps two signals for itself, which stay
        // unblocked.
        unsafe {
            libc::sigfillset(set.as_mut_ptr());
            for signal in FAULTS {
                libc::sigdelset(set.as_mut_ptr(), signal);
            }
            if hangup_ignored {
                libc::sigdelset(set.as_mut_ptr(), libc::SIGHUP);
            }
        }
        // SAFETY: the set was filled above; the descriptor is a fresh one that nobody else knows of.
        unsafe {
            let set = set.assume_init_ref();
            libc::pthread_sigmask(libc::SIG_SETMASK, set, std::ptr::null_mut());
            match libc::signalfd(-1, set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
                -1 => Err(io::Error::last_os_error()),
                fd => Ok(Signals { fd: OwnedFd::from_raw_fd(fd) }),
            }
        }
    }

    /// Readable when there is a signal.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The next signal, if there is one; CHLD too. The same signal sent twice before it is read may come once.
    ///
    /// # Errors
    /// None that can be expected of `signalfd(2)`.
    pub fn receive(&self) -> io::Result<Option<Received>> {
        loop {
            let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
            let size = size_of::<libc::signalfd_siginfo>();
            // SAFETY: the kernel writes no more than the structure's size.
            let count = unsafe { libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), size) };
            if count == size as isize {
                // SAFETY: the kernel has filled all of it.
                let info = unsafe { info.assume_init() };
                let Some(signal) = Signal::from_number(info.ssi_signo as i32) else { continue };
                let by_kernel = info.ssi_code == libc::SI_KERNEL;
                let sender = i32::try_from(info.ssi_pid).ok().filter(|pid| *pid > 0 && !by_kernel);
                return Ok(Some(Received { signal, sender, by_kernel }));
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(None),
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            }
        }
    }
}

/// Unblocks every signal: a command that looks and goes is ended by Ctrl-C like any other program.
pub fn leave() {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is filled before it is used.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
    }
}

fn disposition(signal: i32) -> libc::sighandler_t {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zero is a valid sigaction, and the kernel fills it.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init().sa_sigaction
    }
}

/// KILL and STOP, for which it fails, have no other than the default.
fn set_disposition(signal: i32, handler: libc::sighandler_t) {
    // SAFETY: no handler is installed: the disposition is SIG_DFL or SIG_IGN.
    unsafe { libc::signal(signal, handler) };
}
