//! Files that become shorter while they are read through a mapping: what is gone reads as zeroes, where the kernel would
//! end the launcher by SIGBUS. A process that is looked at can write over its own libraries, and so can an upgrade.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

thread_local! {
    /// Whether this thread reads such files.
    static READS: Cell<bool> = const { Cell::new(false) };
}

/// What SIGBUS did before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Does work that reads files through mappings, on a thread that does nothing else.
pub fn guarded<T>(work: impl FnOnce() -> T) -> T {
    BEFORE.get_or_init(install);
    READS.set(true);
    let result = work();
    READS.set(false);
    result
}

/// Installs the handler; the action before it.
fn install() -> libc::sigaction {
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zero is a valid sigaction with an empty mask. The handler has the form that SA_SIGINFO asks for, and
    // calls only what is safe in a handler.
    unsafe {
        let new = action.assume_init_mut();
        new.sa_sigaction = on_fault as *const () as libc::sighandler_t;
        new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(libc::SIGBUS, new, before.as_mut_ptr());
        before.assume_init()
    }
}

/// Puts a page of zeroes where the file has ended. Any other fault is left to who handled it before.
extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    const PAGE: usize = 4096;
    // SAFETY: the kernel passes a valid one.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    if READS.get() && code == libc::BUS_ADRERR {
        let page = address & !(PAGE - 1);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: the page belongs to a mapping of a file of which nothing is left there; this thread reads it and nobody
        // writes it. The place of errno is this thread's own.
        unsafe {
            let errno = *libc::__errno_location();
            let mapped = libc::mmap(page as *mut libc::c_void, PAGE, libc::PROT_READ, flags, -1, 0);
            *libc::__errno_location() = errno;
            if mapped != libc::MAP_FAILED {
                return;
            }
        }
    }
    // SAFETY: the action is one that was in force. The fault comes again, and then it is handled by that.
    unsafe {
        match BEFORE.get() {
            Some(before) => libc::sigaction(signal, before, std::ptr::null_mut()),
            None => libc::signal(signal, libc::SIG_DFL) as i32,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn what_is_gone_reads_as_zeroes() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 3 * 4096]).unwrap();
        let sum = std::thread::spawn(move || {
            let flags = libc::MAP_PRIVATE;
            // SAFETY: a mapping of its own, unmapped below.
            let start =
                unsafe { libc::mmap(std::ptr::null_mut(), 3 * 4096, libc::PROT_READ, flags, file.as_raw_fd(), 0) };
            assert_ne!(start, libc::MAP_FAILED);
            file.set_len(100).unwrap();
            let read = |at: usize| {
                // SAFETY: within the mapping.
                unsafe { start.cast::<u8>().add(at).read_volatile() }
            };
            let sum: u32 = guarded(|| (0..3 * 4096).map(|at| u32::from(read(at))).sum());
            // SAFETY: the mapping made above.
            unsafe { libc::munmap(start, 3 * 4096) };
            sum
        });
        assert_eq!(sum.join().unwrap(), 700);
    }
}
