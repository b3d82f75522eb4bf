//! Creating processes: the main process, by its keeper, and whatever else is forked.

use std::os::fd::RawFd;
use std::ptr;

use super::plan::{Prepared, Stage};
use super::raw;
use super::service;

/// The stack of the service before exec, when it shares the keeper's memory; only pages that are used take memory.
const STACK: usize = 64 * 1024;

/// Creates the main process: its pid and, where the kernel knows them, its pidfd.
pub(super) fn spawn(prepared: &mut Prepared) -> Result<(i32, RawFd), service::Failure> {
    let failed = || service::Failure { stage: Stage::Forking, errno: raw::errno() };
    let mut report = [-1; 2];
    // SAFETY: the kernel writes two numbers.
    if unsafe { libc::pipe2(report.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(failed());
    }
    let [reader, writer] = report;
    prepared.report = writer;
    let created = create(prepared).ok_or_else(failed);
    raw::close(writer);
    let mut message = [0; 8];
    let length = if created.is_ok() { raw::read(reader, &mut message) } else { 0 };
    raw::close(reader);
    let (stage, errno) = message.split_at(4);
    match (Stage::from_number(to_number(stage)), length) {
        (Some(stage), 8) => Err(service::Failure { stage, errno: to_number(errno) }),
        _ => created,
    }
}

fn to_number(bytes: &[u8]) -> i32 {
    bytes.try_into().map_or(0, i32::from_ne_bytes)
}

/// `clone(2)` with the keeper's own memory, which costs no copy; with a copy of it where that is refused.
fn create(prepared: &mut Prepared) -> Option<(i32, RawFd)> {
    let argument = ptr::from_mut(prepared).cast::<libc::c_void>();
    let mut pidfd: RawFd = -1;
    // SAFETY: a fresh private mapping, which nothing else knows of.
    let stack = unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        libc::mmap(ptr::null_mut(), STACK, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    if stack != libc::MAP_FAILED {
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        // SAFETY: the child runs on its own stack, and this process waits until it has executed or ended, so that it
        // alone uses `prepared` meanwhile; the kernel writes one number to `pidfd`.
        let pid = unsafe { libc::clone(entry, stack.byte_add(STACK), flags, argument, ptr::from_mut(&mut pidfd)) };
        // SAFETY: the mapping from above, which nobody uses any more.
        unsafe { libc::munmap(stack, STACK) };
        if pid > 0 {
            return Some((pid, pidfd));
        }
    }
    // SAFETY: a plain fork by the system call itself; the child goes on with its own copy of this stack.
    match unsafe { fork(libc::CLONE_PIDFD | libc::SIGCHLD, &mut pidfd) } {
        0 => {
            entry(argument);
            raw::exit(127)
        }
        pid @ 1.. => Some((pid, pidfd)),
        _ => None,
    }
}

/// `clone(2)` as a plain fork, with these flags and signal of its end: the child goes on with its own copy of the
/// stack. The child's pid, 0 in the child, or -1.
///
/// # Safety
/// The child may have a copy of locks that are held for ever: it must not allocate or use anything that locks.
pub(super) unsafe fn fork(flags: i32, pidfd: &mut RawFd) -> i32 {
    let nothing = ptr::null::<libc::c_void>();
    // SAFETY: no stack is passed, so that it is copied like all memory; the kernel writes one number to `pidfd`, and
    // only if the flags ask for it. The order of the arguments up to there is the same on x86_64 and aarch64.
    unsafe {
        let flags = libc::c_long::from(flags);
        libc::syscall(libc::SYS_clone, flags, nothing, ptr::from_mut(pidfd), nothing, nothing) as i32
    }
}

extern "C" fn entry(argument: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `create` passes a Prepared, which the keeper does not touch until the child has executed or ended, or of
    // which the child has a copy of its own.
    unsafe { service::run(argument) }
}
