//! Whether calls can be trapped here at all, tried in a fork that is thrown away: a filter above may end a process for
//! seccomp(2), as systemd's `@system-service` does, or deny it, and another one may have the one descriptor there can be.

use std::fmt;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::OnceLock;

use super::program::Filter;
use crate::core::errno;
use crate::sys::dump::rights;

/// What this launcher can do with the calls of its services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ability {
    /// How a filter is to be installed, or why none can be.
    pub filter: Result<Installation, Denied>,
    /// Whether `pidfd_getfd(2)` may be called: sockets of a service can be duplicated and asked.
    pub duplicate: bool,
}

/// How a filter is installed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installation {
    /// `no_new_privs` has to be set first.
    pub no_new_privs: bool,
    /// The kernel knows `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`.
    pub wait_killable: bool,
}

/// Why no filter can be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The try was ended by this signal: SIGSYS of a filter above.
    Killed(i32),
    /// `seccomp(2)` failed.
    Seccomp(i32),
    /// `PR_SET_NO_NEW_PRIVS(2const)` failed.
    NoNewPrivileges(i32),
    /// There was no process to try it with.
    NotTried,
}

/// What can be done; it is tried once in the launcher's life, which takes about as long as two forks.
pub fn ability() -> Ability {
    static KNOWN: OnceLock<Ability> = OnceLock::new();
    *KNOWN.get_or_init(|| Ability { filter: try_filter(), duplicate: try_duplicate() })
}

/// Whether sockets of processes of this user can be duplicated (`pidfd_getfd(2)`).
pub fn can_duplicate_from(uid: u32) -> bool {
    // SAFETY: no memory is involved.
    let own = unsafe { libc::geteuid() };
    ability().duplicate && (uid == own || rights::of_any_user())
}

/// The exit codes of the fork: what an installation needs is added to the first; an errno is below all of them.
const INSTALLED: i32 = 0xC0;
const NEEDS_NO_NEW_PRIVS: i32 = 1;
const HAS_WAIT_KILLABLE: i32 = 2;
const NO_NEW_PRIVS_FAILED: i32 = 0xFF;

fn try_filter() -> Result<Installation, Denied> {
    let mut filter = Filter::new(false);
    match in_a_fork(|| install(&mut filter)) {
        None => Err(Denied::NotTried),
        Some(Ended::Signal(signal)) => Err(Denied::Killed(signal)),
        Some(Ended::Code(NO_NEW_PRIVS_FAILED)) => Err(Denied::NoNewPrivileges(libc::EPERM)),
        Some(Ended::Code(code)) if code >= INSTALLED => Ok(Installation {
            no_new_privs: code & NEEDS_NO_NEW_PRIVS != 0,
            wait_killable: code & HAS_WAIT_KILLABLE != 0,
        }),
        Some(Ended::Code(errno)) => Err(Denied::Seccomp(errno)),
    }
}

/// In the fork: the exit code.
fn install(filter: &mut Filter) -> i32 {
    filter.wait_killable = true;
    let mut needed = 0;
    loop {
        match filter.install() {
            Ok(listener) if !can_place(listener) => return libc::EOPNOTSUPP,
            Ok(_) => return INSTALLED + needed + if filter.wait_killable { HAS_WAIT_KILLABLE } else { 0 },
            Err(libc::EINVAL) if filter.wait_killable => filter.wait_killable = false,
            Err(libc::EACCES) if needed == 0 => {
                // SAFETY: no memory is involved; the fork is about to end.
                if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
                    return NO_NEW_PRIVS_FAILED;
                }
                needed = NEEDS_NO_NEW_PRIVS;
            }
            Err(errno) => return errno.min(INSTALLED - 1),
        }
    }
}

/// Whether the kernel can put a descriptor in the place of another one (`SECCOMP_IOCTL_NOTIF_ADDFD`, Linux 5.9): one that
/// does complains about the descriptor, which is none, one that does not about the request.
fn can_place(listener: RawFd) -> bool {
    let request = libc::seccomp_notif_addfd { id: 0, flags: 0, srcfd: u32::MAX, newfd: 0, newfd_flags: 0 };
    // SAFETY: the request carries the structure's size, and the structure lives through the call.
    let done = unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const request) };
    // SAFETY: the pointer is to this thread's own errno and is always valid.
    done == 0 || unsafe { *libc::__errno_location() } != libc::EINVAL
}

/// The fork duplicates a descriptor of its own, which nobody but a filter denies.
fn try_duplicate() -> bool {
    let ended = in_a_fork(|| {
        // SAFETY: the calls take numbers and make descriptors, which end with the fork.
        unsafe {
            let own = libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0);
            i32::from(libc::syscall(libc::SYS_pidfd_getfd, own, own, 0) < 0)
        }
    });
    matches!(ended, Some(Ended::Code(0)))
}

/// How a fork ended.
enum Ended {
    Code(i32),
    Signal(i32),
}

/// Runs this in a fork, which ends with the code it gives.
fn in_a_fork(work: impl FnOnce() -> i32) -> Option<Ended> {
    let nothing = ptr::null::<libc::c_void>();
    // Without a signal of its end, so that nobody but this function waits for it.
    // SAFETY: no stack is passed: the child goes on with a copy of this one, and only makes system calls.
    let pid = unsafe { libc::syscall(libc::SYS_clone, 0, nothing, nothing, nothing, nothing) } as i32;
    if pid == 0 {
        // SAFETY: no memory is involved. One that a filter ends is to leave no core file.
        unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
        let code = work();
        // SAFETY: ends the fork without running anything else.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: the kernel writes one number.
    while pid > 0 && unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } < 0 {
        if std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted {
            return None;
        }
    }
    match pid {
        1.. if libc::WIFEXITED(status) => Some(Ended::Code(libc::WEXITSTATUS(status))),
        1.. if libc::WIFSIGNALED(status) => Some(Ended::Signal(libc::WTERMSIG(status))),
        _ => None,
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::Killed(_) => f.write_str(
                "a filter above ends whoever calls seccomp(2), as systemd's @system-service does; in a unit, a line \
                 SystemCallFilter=seccomp allows it",
            ),
            Denied::Seccomp(libc::EBUSY) => f.write_str(
                "another filter above has its calls answered already, and there can be one only (seccomp: EBUSY)",
            ),
            Denied::Seccomp(libc::EOPNOTSUPP) => {
                f.write_str("this kernel cannot put a socket in the place of another one: Linux 5.9 or later can")
            }
            Denied::Seccomp(errno) => {
                write!(f, "seccomp user notification is not to be had here: {}", errno::describe(*errno))
            }
            Denied::NoNewPrivileges(errno) => {
                write!(f, "no_new_privs was refused, without which there is no filter: {}", errno::describe(*errno))
            }
            Denied::NotTried => f.write_str("there was no process to try a filter with"),
        }
    }
}
