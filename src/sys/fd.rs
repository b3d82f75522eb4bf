//! Small things about file descriptors.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use super::allowed;

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

/// How many bytes a pipe takes before its writer waits (`F_GETPIPE_SZ`, `fcntl(2)`); 0 for what is no pipe.
pub fn capacity(pipe: BorrowedFd<'_>) -> usize {
    // SAFETY: asks for a number; no memory is involved.
    let capacity = unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_GETPIPE_SZ) };
    usize::try_from(capacity).unwrap_or(0)
}

/// Whether the other side of a descriptor has gone, or it is in error (`POLLHUP`, `POLLERR`): what was stored for later
/// is of no use then. Files that cannot be polled never are.
pub fn has_ended(fd: BorrowedFd<'_>) -> bool {
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events: 0, revents: 0 };
    // SAFETY: the one entry lives through the call, which does not wait.
    let changed = unsafe { libc::poll(&mut entry, 1, 0) };
    changed == 1 && entry.revents & (libc::POLLHUP | libc::POLLERR) != 0
}

/// Whether two descriptors are of one open file (`kcmp(2)`). Where that may not be asked, sockets and pipes are told by
/// their inode, and files are taken for two.
pub fn is_same(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> bool {
    /// `KCMP_FILE` of `linux/kcmp.h`.
    const FILE: libc::c_long = 0;
    let order = if !allowed::survives(allowed::Call::Compare) {
        -1
    } else {
        // SAFETY: no memory is involved.
        unsafe {
            let own = libc::c_long::from(libc::getpid());
            let (a, b) = (libc::c_long::from(a.as_raw_fd()), libc::c_long::from(b.as_raw_fd()));
            libc::syscall(libc::SYS_kcmp, own, own, FILE, a, b)
        }
    };
    match order {
        0 => true,
        1.. => false,
        _ => match (nix::sys::stat::fstat(a), nix::sys::stat::fstat(b)) {
            (Ok(a), Ok(b)) => {
                matches!(a.st_mode & libc::S_IFMT, libc::S_IFSOCK | libc::S_IFIFO)
                    && (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
            }
            _ => false,
        },
    }
}

/// The process that a pidfd stands for (`Pid:` in its fdinfo, `pidfd_open(2)`); `None` when it is no pidfd, or the
/// process is gone or not in this pid namespace.
pub fn pid_of_pidfd(fd: BorrowedFd<'_>) -> Option<i32> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok().filter(|pid| *pid > 0)
}

/// The number that tells a process from all others until the host is restarted: the inode of its pidfd, on kernels that
/// have it (6.9); `None` on others and for a process that is gone.
pub fn pidfd_id(pid: i32) -> Option<u64> {
    /// `PID_FS_MAGIC` of `linux/magic.h`.
    const PIDFS: u64 = 0x5049_4446;
    // SAFETY: makes a descriptor, or fails; no memory is involved.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as RawFd;
    if fd < 0 {
        return None;
    }
    // SAFETY: it was just made, and nobody else knows of it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let kind = nix::sys::statfs::fstatfs(&fd).ok()?.filesystem_type().0;
    (kind as u64 == PIDFS).then(|| nix::sys::stat::fstat(&fd).ok().map(|stat| stat.st_ino)).flatten()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn an_open_file_is_known_again_by_another_number() {
        let (a, b) = (std::fs::File::open("/dev/null").unwrap(), std::fs::File::open("/dev/null").unwrap());
        let copy = a.try_clone().unwrap();
        assert!(is_same(a.as_fd(), copy.as_fd()));
        assert!(!is_same(a.as_fd(), b.as_fd()));
    }

    #[test]
    fn pipes_alone_have_a_capacity() {
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(capacity(reader.as_fd()) >= 4096);
        assert_eq!(capacity(std::fs::File::open("/dev/null").unwrap().as_fd()), 0);
    }

    #[test]
    fn a_connection_ends_with_its_other_side() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(!has_ended(ours.as_fd()));
        drop(theirs);
        crate::sys::testing::comes_to_be(&true, || has_ended(ours.as_fd()));
        assert!(!has_ended(std::fs::File::open("/dev/null").unwrap().as_fd()));
    }

    #[test]
    fn a_pidfd_names_its_process() {
        let own = std::process::id() as i32;
        // SAFETY: makes a descriptor; no memory is involved.
        let fd = unsafe { OwnedFd::from_raw_fd(libc::syscall(libc::SYS_pidfd_open, own, 0) as RawFd) };
        assert_eq!(pid_of_pidfd(fd.as_fd()), Some(own));
        assert_eq!(pid_of_pidfd(std::fs::File::open("/dev/null").unwrap().as_fd()), None);
        assert_eq!(pidfd_id(own), pidfd_id(own));
        assert!(pidfd_id(own).is_none_or(|id| Some(id) != pidfd_id(1)));
        assert_eq!(pidfd_id(-1), None);
    }
}
