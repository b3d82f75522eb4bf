//! Where the program begins: straight from libc, past what Rust's own start does before `main`.
//!
//! That reads /proc/self/maps, finds the stack's guard page, and makes a second stack for the handler of an overflown
//! one: a tenth of the whole time that a start takes, for a line on stderr before a crash that the kernel reports too.
//! What is of use of it is done here and by [`super::signals::Signals::take`].

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt as _;

/// Makes `$main`, a `fn(Vec<OsString>) -> !`, the function that libc calls. In a file with `#![no_main]`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        /// Called by libc.
        // SAFETY: the one `main` of this program, with the signature that libc expects.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn main(count: ::core::ffi::c_int, arguments: *const *const ::core::ffi::c_char) -> i32 {
            $crate::sys::entry::open_standard_descriptors();
            $crate::sys::entry::populate();
            // SAFETY: they are libc's.
            $main(unsafe { $crate::sys::entry::arguments(count, arguments) })
        }
    };
}

/// The command line, as libc has it: Rust's own start is what else would tell it to `std::env::args_os`, where the C library
/// does not hand it to constructors (musl).
///
/// # Safety
/// There are so many of them, each a string with a NUL at its end.
pub unsafe fn arguments(count: c_int, arguments: *const *const c_char) -> Vec<OsString> {
    let count = usize::try_from(count).unwrap_or_default();
    // SAFETY: as the caller says.
    let word = |index| unsafe { CStr::from_ptr(*arguments.add(index)) };
    (0..count).map(|index| OsStr::from_bytes(word(index).to_bytes()).to_owned()).collect()
}

/// Opens /dev/null on each of descriptors 0, 1 and 2 that is closed, so that no socket or pipe is ever taken for the
/// standard output. A program without them ends: nothing else can be trusted where /dev/null cannot be opened.
pub fn open_standard_descriptors() {
    let mut fds = [0, 1, 2].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: the kernel reads and writes the array's own entries.
    if unsafe { libc::poll(fds.as_mut_ptr(), 3, 0) } < 1 {
        return;
    }
    for fd in fds.iter().filter(|fd| fd.revents & libc::POLLNVAL != 0) {
        // The lowest free number is the first closed one, for those below are open by now.
        // SAFETY: the path ends with a NUL.
        if unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) } != fd.fd {
            // SAFETY: ends the process.
            unsafe { libc::abort() }
        }
    }
}

/// The pages of stack and of heap that a start uses.
const STACK: usize = 17 * PAGE;
const HEAP: usize = if cfg!(target_env = "gnu") { 18 } else { 16 } * PAGE;
const PAGE: usize = 4096;

/// Has the kernel hand out the pages that every start uses at once: one by one each takes a fault, and a fault takes
/// longer than the page. Nothing is lost where the kernel does not know the question (before 5.14).
pub fn populate() {
    let here = 0_u8;
    let stack = (&raw const here).addr() / PAGE * PAGE;
    for (start, length) in [(stack - STACK, STACK), (heap_start() / PAGE * PAGE, HEAP)] {
        // SAFETY: pages of this process's own stack and heap are read in, and keep what they hold.
        unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_POPULATE_WRITE) };
    }
}

/// Where the first piece of heap begins. malloc has taken it by now: what glibc asks for first is 128 KiB and a page for what
/// was asked of it.
#[cfg(target_env = "gnu")]
fn heap_start() -> usize {
    // SAFETY: only where the heap ends is asked for.
    unsafe { libc::sbrk(0) }.addr().saturating_sub(33 * PAGE)
}

/// Where the first piece of heap begins, which is taken by this: 64 KiB ([`super::memory`]).
#[cfg(not(target_env = "gnu"))]
fn heap_start() -> usize {
    (&raw const *std::hint::black_box(Box::new(0_u8))).addr()
}
