//! The launcher's own signals: blocked from the start on and read by a descriptor (`signalfd(2)`), so that none is lost
//! in the first milliseconds and none interrupts anything.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::core::signal::Signal;

/// Signals that tell of a fault of the launcher itself. Blocked ones would still end it, but without its own handler.
const FAULTS: [i32; 6] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];

/// Signals that every C library keeps for itself. musl has a third one, 34, by which it changes the user of all threads at
/// once: the launcher never does, and for everybody else it is the first real-time signal.
const OF_LIBC: [i32; 2] = [32, 33];

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
    /// second thread. SIGPIPE of this process's own writes is ignored. SIGHUP is not read when it was inherited as ignored (`nohup`).
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
        let hangup = hangup_ignored.then_some(libc::SIGHUP);
        let set = !FAULTS.into_iter().chain(OF_LIBC).chain(hangup).fold(0, |set, signal| set | bit(signal));
        #[cfg(target_env = "musl")]
        begin_threads();
        set_mask(set);
        match descriptor_of(set) {
            -1 => Err(io::Error::last_os_error()),
            // SAFETY: it is a fresh one that nobody else knows of.
            fd => Ok(Signals { fd: unsafe { OwnedFd::from_raw_fd(fd) } }),
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
                // It comes of a write to a pipe that nobody reads. What is ignored is kept all the same while it is blocked.
                if signal == Signal::PIPE && sender == Some(std::process::id() as i32) {
                    continue;
                }
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

/// Has musl do what it does when the first thread is created: it unblocks the signals that it keeps for itself, 34 among
/// them. No thread is created, for nobody has room for the stack that is asked for.
#[cfg(target_env = "musl")]
fn begin_threads() {
    extern "C" fn nothing(_: *mut libc::c_void) -> *mut libc::c_void {
        std::ptr::null_mut()
    }
    let (mut attributes, mut thread) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: the attributes are made before they are used, all of it lives through the calls, and a thread would end at once.
    unsafe {
        libc::pthread_attr_init(attributes.as_mut_ptr());
        libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), usize::MAX / 4);
        libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), nothing, std::ptr::null_mut());
    }
}

/// Unblocks every signal: a command that looks and goes is ended by Ctrl-C like any other program.
pub fn leave() {
    set_mask(0);
}

/// Sets the calling thread's signal mask to these bits (bit 0 is signal 1) and gives back the former one
/// (`rt_sigprocmask(2)`). Those of C libraries leave out the signals that they use themselves, which are not the same.
pub(super) fn set_mask(mask: u64) -> u64 {
    change_mask(Some(&mask))
}

/// Does something under another signal mask, which `change` makes of the present one.
pub(super) fn under_mask<T>(change: impl FnOnce(u64) -> u64, action: impl FnOnce() -> T) -> T {
    let former = change_mask(None);
    set_mask(change(former));
    let result = action();
    set_mask(former);
    result
}

/// A descriptor that the signals of this mask, which are to be blocked, are read from (`signalfd(2)`), without waiting; -1 and
/// `errno(3)` where there is none.
pub(super) fn descriptor_of(mask: u64) -> RawFd {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the mask has the size that is passed and lives through the call.
    unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const mask, size_of::<u64>(), flags) as RawFd }
}

/// The bit of a signal in a mask.
pub(super) const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

fn change_mask(mask: Option<&u64>) -> u64 {
    let new = mask.map_or(std::ptr::null(), std::ptr::from_ref);
    let mut former = 0_u64;
    // SAFETY: both pointers are to eight bytes, the size that is passed, and live through the call; the first one may be null.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, new, &raw mut former, size_of::<u64>());
    }
    former
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
