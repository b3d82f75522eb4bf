//! Whether an unusual system call may be made at all. A seccomp filter may end a process for a call that it does not
//! know: systemd's `@system-service` does so for ptrace(2), and the launcher is not to die of a look at a service.

use std::ptr;
use std::sync::OnceLock;

/// A call that filters deny, by death or by an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `ptrace(2)`.
    Ptrace,
    /// `process_vm_readv(2)`.
    ReadMemory,
    /// `kcmp(2)`.
    Compare,
}

impl Call {
    fn number(self) -> libc::c_long {
        match self {
            Call::Ptrace => libc::SYS_ptrace,
            Call::ReadMemory => libc::SYS_process_vm_readv,
            Call::Compare => libc::SYS_kcmp,
        }
    }
}

/// Whether this process survives the call. It is tried once, in a fork that is thrown away, and only where there is a
/// filter at all (`Seccomp:` in `proc_pid_status(5)`).
pub fn survives(call: Call) -> bool {
    static KNOWN: [OnceLock<bool>; 3] = [const { OnceLock::new() }; 3];
    KNOWN.get(call as usize).is_none_or(|known| *known.get_or_init(|| !is_filtered() || try_in_a_fork(call.number())))
}

fn is_filtered() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("Seccomp:")).is_none_or(|mode| mode.trim() != "0")
}

/// Makes the call with arguments that mean nothing. Whether the fork has lived on.
fn try_in_a_fork(number: libc::c_long) -> bool {
    let nothing = ptr::null::<libc::c_void>();
    // Without a signal of its end, so that nobody but this function waits for it.
    // SAFETY: no stack is passed: the child goes on with a copy of this one, and only makes system calls.
    let pid = unsafe { libc::syscall(libc::SYS_clone, 0, nothing, nothing, nothing, nothing) } as i32;
    if pid == 0 {
        let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the limit lives through the call; the tried call has no process, address or type that it could act on.
        unsafe {
            libc::setrlimit(libc::RLIMIT_CORE, &raw const limit);
            libc::syscall(number, -1, 0, 0, 0, 0, 0);
            libc::_exit(0);
        }
    }
    let mut status = 0;
    // SAFETY: the kernel writes one number.
    while pid > 0 && unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } < 0 {
        if std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted {
            return false;
        }
    }
    pid > 0 && libc::WIFEXITED(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_denied_by_nobody_is_survived() {
        for call in [Call::Ptrace, Call::ReadMemory, Call::Compare] {
            assert!(try_in_a_fork(call.number()) && survives(call), "{call:?}");
        }
    }
}
