//! The service's main process between its creation and `execve(2)`.
//!
//! It may share its memory with the keeper, which waits meanwhile (`CLONE_VM | CLONE_VFORK`): only async-signal-safe
//! calls on memory prepared before.

use std::os::fd::RawFd;
use std::ptr;

use super::plan::{Prepared, Stage};
use super::raw;
use super::wire;
use crate::sys::signals;

/// What went wrong: the stage and its `errno(3)`.
pub(super) struct Failure {
    pub stage: Stage,
    pub errno: i32,
}

impl Failure {
    /// Of the call that just failed.
    pub(super) fn now(stage: Stage) -> Failure {
        Failure { stage, errno: raw::errno() }
    }
}

/// Becomes the service. Comes back only by ending the process, after having told the keeper why.
///
/// # Safety
/// `argument` points to a [`Prepared`] that nobody else touches until this process has executed or ended.
pub(super) unsafe extern "C" fn run(argument: *mut libc::c_void) -> libc::c_int {
    // SAFETY: by this function's own contract.
    let prepared = unsafe { &mut *argument.cast::<Prepared>() };
    let Err(failure) = become_service(prepared);
    let mut message = [0; 8];
    message[..4].copy_from_slice(&(failure.stage as i32).to_ne_bytes());
    message[4..].copy_from_slice(&failure.errno.to_ne_bytes());
    raw::write(prepared.report, &message);
    raw::exit(127)
}

fn become_service(prepared: &mut Prepared) -> Result<std::convert::Infallible, Failure> {
    die_with_keeper(prepared.keeper);
    // A new session begins with a process group of its own, too.
    // SAFETY: no memory is involved.
    let apart = unsafe { if prepared.own_terminal() { libc::setsid() } else { libc::setpgid(0, 0) } };
    if apart < 0 {
        return Err(Failure::now(Stage::ProcessGroup));
    }
    take_foreground(prepared.terminal)?;
    if let Some(cgroup) = prepared.cgroup
        && !raw::write(cgroup.join, b"0")
    {
        return Err(Failure::now(Stage::Cgroup));
    }
    install_filter(prepared)?;
    place_descriptors(prepared)?;
    // SAFETY: no memory is involved.
    if prepared.own_terminal() && unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } != 0 {
        return Err(Failure::now(Stage::Terminal));
    }
    prepared.attributes().apply_as_launcher()?;
    take_identity(prepared)?;
    prepared.attributes().apply_as_service()?;
    // A change of user has cleared it.
    die_with_keeper(prepared.keeper);
    // SAFETY: the path, when there is one, ends with a NUL and lives in the plan.
    if !prepared.directory.is_null() && unsafe { libc::chdir(prepared.directory) } != 0 {
        return Err(Failure::now(Stage::Directory));
    }
    // SAFETY: no memory is involved.
    prepared.fill_pid_variables(unsafe { libc::getpid() });
    for signal in 1..=64 {
        raw::reset_disposition(signal);
    }
    signals::set_mask(0);
    // SAFETY: all three are arrays and texts that end with a NUL and live in the plan.
    unsafe { libc::execve(prepared.program, prepared.argv.as_ptr(), prepared.envp.as_ptr()) };
    let failure = Failure::now(Stage::Exec);
    signals::set_mask(u64::MAX);
    Err(failure)
}

/// SIGKILL when the keeper dies (`PR_SET_PDEATHSIG`), and at once when it is dead already.
fn die_with_keeper(keeper: i32) {
    // SAFETY: no memory is involved.
    let parent = unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::getppid()
    };
    if parent != keeper {
        raw::exit(127);
    }
}

/// Takes the terminal's foreground. Every signal is blocked here, TTOU too, so that this does not stop the process.
fn take_foreground(terminal: RawFd) -> Result<(), Failure> {
    // SAFETY: the kernel reads one number, which lives through the call.
    if terminal >= 0 && unsafe { libc::ioctl(terminal, libc::TIOCSPGRP, &libc::getpid()) } != 0 {
        return Err(Failure::now(Stage::Foreground));
    }
    Ok(())
}

/// Has the launcher answer some of the calls that are made from here on, none of which this process makes itself
/// before exec. While it still has the launcher's privileges: the service may run without them.
fn install_filter(prepared: &Prepared) -> Result<(), Failure> {
    let Some(filter) = prepared.filter() else { return Ok(()) };
    // SAFETY: no memory is involved.
    if filter.no_new_privs && unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(Failure::now(Stage::NoNewPrivileges));
    }
    let failed = |errno| Failure { stage: Stage::Filter, errno };
    let listener = filter.install().map_err(failed)?;
    let sent = wire::send(prepared.control, [wire::LISTENER, 0, 0, 0], listener);
    raw::close(listener);
    sent.map_err(failed)
}

/// Makes `sources[n]` descriptor n and has all others closed by exec.
fn place_descriptors(prepared: &mut Prepared) -> Result<(), Failure> {
    let failed = || Failure::now(Stage::Descriptors);
    let free = prepared.sources.len() as RawFd;
    // First whatever lies on a number that is to be given away moves above them all.
    if prepared.report < free {
        prepared.report = duplicate_from(prepared.report, free).ok_or_else(failed)?;
    }
    for (target, source) in prepared.sources.iter_mut().enumerate() {
        if *source >= 0 && *source < free && *source != target as RawFd {
            *source = duplicate_from(*source, free).ok_or_else(failed)?;
        }
    }
    for (target, source) in prepared.sources.iter().enumerate() {
        let target = target as RawFd;
        if *source < 0 {
            // SAFETY: no memory is involved; where nothing is open nothing has to be closed.
            unsafe { libc::fcntl(target, libc::F_SETFD, libc::FD_CLOEXEC) };
            continue;
        }
        // SAFETY: only numbers below `free` are replaced, and their former owners do not run in this process.
        let placed = unsafe {
            if *source == target { libc::fcntl(target, libc::F_SETFD, 0) } else { libc::dup2(*source, target) }
        };
        if placed < 0 {
            return Err(failed());
        }
    }
    raw::close_on_exec_from(free);
    Ok(())
}

fn duplicate_from(fd: RawFd, lowest: RawFd) -> Option<RawFd> {
    // SAFETY: makes a new descriptor; no memory is involved.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, lowest) };
    (copy >= 0).then_some(copy)
}

/// Sets groups, group and user by the system calls themselves: the functions of libc tell all threads of a process, and
/// would wait here for threads that exist in the launcher only.
fn take_identity(prepared: &Prepared) -> Result<(), Failure> {
    let Some(identity) = prepared.identity() else { return Ok(()) };
    let (uid, gid, groups) = (identity.uid, identity.gid, &identity.groups);
    let pointer = if groups.is_empty() { ptr::null() } else { groups.as_ptr() };
    // SAFETY: the kernel reads as many numbers as the list has; it lives in the plan.
    if unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), pointer) } != 0 {
        return Err(Failure::now(Stage::Groups));
    }
    // SAFETY: no memory is involved.
    if unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) } != 0 {
        return Err(Failure::now(Stage::Group));
    }
    // SAFETY: no memory is involved.
    if unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) } != 0 {
        return Err(Failure::now(Stage::User));
    }
    Ok(())
}
