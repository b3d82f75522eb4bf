//! Small things about file descriptors.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};

/// `write(2)` to one of the launcher's own descriptors, past every buffer.
///
/// # Errors
/// Those of `write(2)`, EBADF among them.
pub fn write(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the pointer and the length are those of a live slice; a wrong descriptor is an error, not a fault.
    let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

/// How many bytes a pipe holds that nobody has read (`FIONREAD`, `pipe(7)`), asked at either end.
///
/// # Errors
/// Those of `ioctl(2)`.
pub fn unread(pipe: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, and `bytes` is one that outlives the call.
    let done = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &mut bytes) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(usize::try_from(bytes).unwrap_or(0)) }
}
