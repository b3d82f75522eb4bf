//! System calls for the keeper and for the service before it is executed: both run in a fork of a process that may have
//! had several threads, so nothing in here allocates, takes a lock or keeps state (`signal-safety(7)`).

use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::ptr;

/// How a child changed, as `waitid(2)` tells it.
#[derive(Clone, Copy)]
pub(super) struct Change {
    /// Its pid.
    pub pid: i32,
    /// `CLD_EXITED`, `CLD_KILLED`, `CLD_DUMPED`, `CLD_STOPPED`, `CLD_CONTINUED`.
    pub code: i32,
    /// The exit code or the signal.
    pub status: i32,
}

impl Change {
    /// Whether the child has ended.
    pub fn is_end(self) -> bool {
        matches!(self.code, libc::CLD_EXITED | libc::CLD_KILLED | libc::CLD_DUMPED)
    }
}

/// What `waitid(2)` found.
pub(super) enum Wait {
    /// A child changed.
    Changed(Change),
    /// There are children, and none of them changed.
    Nothing,
    /// There is no such child (`ECHILD`).
    NoChild,
}

/// The calling thread's `errno(3)`.
pub(super) fn errno() -> i32 {
    // SAFETY: the pointer is to this thread's own errno and is always valid.
    unsafe { *libc::__errno_location() }
}

/// Writes a file that is there, all at once; whether that was done.
pub(super) fn write_file(path: &std::ffi::CStr, bytes: &[u8]) -> bool {
    // SAFETY: the path ends with a NUL.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
    if fd < 0 {
        return false;
    }
    let written = write(fd, bytes);
    let failed = errno();
    close(fd);
    // SAFETY: as in `errno`.
    unsafe { *libc::__errno_location() = failed };
    written
}

/// `waitid(2)`, tried again when interrupted.
pub(super) fn wait(kind: libc::idtype_t, id: i32, options: i32) -> Wait {
    loop {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: the kernel fills the structure, which lives through the call.
        if unsafe { libc::waitid(kind, id as libc::id_t, info.as_mut_ptr(), options) } == 0 {
            // SAFETY: all zero is a valid siginfo_t, and the kernel wrote the rest.
            let info = unsafe { info.assume_init() };
            // SAFETY: waitid fills the fields of SIGCHLD, or leaves them zero.
            let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
            return if pid == 0 { Wait::Nothing } else { Wait::Changed(Change { pid, code: info.si_code, status }) };
        }
        match errno() {
            libc::EINTR => {}
            _ => return Wait::NoChild,
        }
    }
}

/// How often is looked for what is about to happen before going to sleep over it: about as long as a process of some
/// pages takes to end.
const LOOKS: usize = 100;

/// Looks until a descriptor is readable, for less time than going to sleep and being woken would take.
pub(super) fn look_soon(fd: RawFd) {
    for _ in 0..LOOKS {
        let mut fds = [pollfd(fd, libc::POLLIN)];
        poll(&mut fds, 0);
        if fds[0].revents != 0 {
            return;
        }
        // SAFETY: no memory is involved.
        unsafe { libc::sched_yield() };
    }
}

/// Waits for the end of a child that is about to end, and reaps it. Going to sleep and being woken takes longer than
/// that, so it is looked for a few times first.
pub(super) fn wait_soon(pid: i32) -> Wait {
    for _ in 0..LOOKS {
        match wait(libc::P_PID, pid, libc::WEXITED | libc::__WALL | libc::WNOHANG) {
            // SAFETY: no memory is involved.
            Wait::Nothing => unsafe { libc::sched_yield() },
            other => return other,
        };
    }
    wait(libc::P_PID, pid, libc::WEXITED | libc::__WALL)
}

/// Whether `pid` is an ordinary child of this process that is not reaped yet. A keeper, whose end sends no signal, is
/// not one of them (`waitid(2)` without `__WALL`).
pub(super) fn is_child(pid: i32) -> bool {
    !matches!(wait(libc::P_PID, pid, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT), Wait::NoChild)
}

/// The wait status of a reaped process, where the kernel keeps it for a pidfd (`PIDFD_GET_INFO`, Linux 6.15).
pub(super) fn exit_status(pidfd: RawFd) -> Option<i32> {
    /// `struct pidfd_info` in its first size: what is asked for, then what is known; the exit status comes last.
    #[repr(C)]
    struct PidfdInfo {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        exit_status: i32,
    }
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    const PIDFD_GET_INFO: u32 = 0xC040_FF0B;
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, cgroup: 0, ids: [0; 11], exit_status: 0 };
    // SAFETY: the request carries the structure's size, and the structure lives through the call.
    let done = unsafe { libc::ioctl(pidfd, PIDFD_GET_INFO as libc::Ioctl, &mut info) } == 0;
    (done && info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_status)
}

/// `kill(2)`; false when it was not permitted or there is no such process.
pub(super) fn kill(pid: i32, signal: i32) -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::kill(pid, signal) == 0 }
}

/// Sets a signal's disposition to the default (`rt_sigaction(2)`). It fails for KILL and STOP alone, which have no
/// other.
pub(super) fn reset_disposition(signal: i32) {
    // The kernel's own structure: handler, flags, restorer, mask. All zero is SIG_DFL.
    let default = [0_u64; 4];
    // SAFETY: the structure has the kernel's size and lives through the call; no handler is installed.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            default.as_ptr(),
            ptr::null_mut::<libc::c_void>(),
            size_of::<u64>(),
        );
    }
}

/// Closes every descriptor from `first` on (`close_range(2)`).
pub(super) fn close_from(first: RawFd) {
    // SAFETY: the caller is about to use none of them any more; no memory is involved.
    if unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) } == 0 {
        return;
    }
    for fd in first..highest_fd() {
        // SAFETY: as above.
        unsafe { libc::close(fd) };
    }
}

/// Has every descriptor from `first` on closed by `execve(2)`.
pub(super) fn close_on_exec_from(first: RawFd) {
    // SAFETY: only flags of descriptors are changed; no memory is involved.
    if unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) } == 0 {
        return;
    }
    for fd in first..highest_fd() {
        // SAFETY: as above.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// One above the highest number a descriptor can well have: the limit on open files, where `close_range(2)` is denied.
fn highest_fd() -> RawFd {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure lives through the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return 1 << 16;
    }
    limit.rlim_max.clamp(1024, 1 << 20) as RawFd
}

/// `open(2)` of a path that ends with a NUL.
pub(super) fn open(path: &PathBuffer) -> Option<RawFd> {
    // SAFETY: a PathBuffer always ends with a NUL and lives through the call.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    (fd >= 0).then_some(fd)
}

/// `read(2)`, tried again when interrupted; 0 at the end and on an error.
pub(super) fn read(fd: RawFd, buffer: &mut [u8]) -> usize {
    loop {
        // SAFETY: the kernel writes no more than the slice's length into it.
        let count = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
        if count >= 0 {
            return count as usize;
        }
        if errno() != libc::EINTR {
            return 0;
        }
    }
}

/// `write(2)`; whether all of it was written.
pub(super) fn write(fd: RawFd, bytes: &[u8]) -> bool {
    // SAFETY: the kernel reads no more than the slice's length from it.
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) == bytes.len() as isize }
}

/// `close(2)`; nothing is done for a negative number.
pub(super) fn close(fd: RawFd) {
    if fd >= 0 {
        // SAFETY: the callers own what they close, and use it no more.
        unsafe { libc::close(fd) };
    }
}

/// `getpid(2)`.
pub(super) fn own_pid() -> i32 {
    // SAFETY: no memory is involved.
    unsafe { libc::getpid() }
}

/// `_exit(2)`.
pub(super) fn exit(code: i32) -> ! {
    // SAFETY: ends the process without running anything else.
    unsafe { libc::_exit(code) }
}

/// `poll(2)` for at most this many milliseconds, for ever with -1.
pub(super) fn poll(fds: &mut [libc::pollfd], timeout: i32) {
    for fd in fds.iter_mut() {
        fd.revents = 0;
    }
    // SAFETY: the kernel reads and writes the slice's own entries.
    unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout) };
}

/// One descriptor to wait for.
pub(super) fn pollfd(fd: RawFd, events: i16) -> libc::pollfd {
    libc::pollfd { fd, events, revents: 0 }
}

/// Milliseconds on `CLOCK_MONOTONIC`.
pub(super) fn now_ms() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure lives through the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// Writes a number in decimal into the buffer's start and says how many digits it has; a buffer of 11 bytes holds all.
pub(super) fn decimal(number: i32, buffer: &mut [u8]) -> usize {
    let mut digits = [0_u8; 10];
    let mut rest = number.unsigned_abs();
    let mut count = 0;
    for digit in &mut digits {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        count += 1;
        if rest == 0 {
            break;
        }
    }
    let mut length = 0;
    for (to, digit) in buffer.iter_mut().zip(digits.iter().take(count).rev()) {
        *to = *digit;
        length += 1;
    }
    length
}

/// A short path below /proc, put together without allocation.
pub(super) struct PathBuffer {
    /// Ends with a NUL: the last byte is never written.
    bytes: [u8; 64],
    length: usize,
}

impl PathBuffer {
    /// This path.
    pub fn new(path: &[u8]) -> PathBuffer {
        PathBuffer { bytes: [0; 64], length: 0 }.text(path)
    }

    /// `/proc/PID`.
    pub fn process(pid: i32) -> PathBuffer {
        PathBuffer::new(b"/proc/").number(pid)
    }

    /// The path with this text behind it.
    pub fn text(mut self, text: &[u8]) -> PathBuffer {
        for byte in text {
            if self.length < self.bytes.len() - 1 {
                self.bytes[self.length] = *byte;
                self.length += 1;
            }
        }
        self
    }

    /// The path with this number behind it.
    pub fn number(self, number: i32) -> PathBuffer {
        let mut digits = [0; 11];
        let count = decimal(number, &mut digits);
        self.text(digits.get(..count).unwrap_or_default())
    }

    fn as_ptr(&self) -> *const libc::c_char {
        self.bytes.as_ptr().cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, 4711, i32::MAX] {
            let mut buffer = [0; 11];
            let count = decimal(number, &mut buffer);
            assert_eq!(&buffer[..count], number.to_string().as_bytes());
        }
    }

    #[test]
    fn a_path_that_is_too_long_is_cut_and_still_ends_with_a_nul() {
        let path = PathBuffer::process(i32::MAX).text(&[b'x'; 100]);
        assert_eq!(path.bytes[63], 0);
        assert_eq!(&path.bytes[..17], b"/proc/2147483647x");
    }
}
