//! Files behind which somebody else may be, who does not answer: a FIFO, a device, a file system over a network.

use std::ffi::{CStr, CString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{AccessFlags, eaccess};

/// Reads a regular file as text. It does not wait for the other end of a FIFO, nor read a device.
///
/// # Errors
/// Those of `open(2)` and `read(2)`; that it is no regular file; that it is not UTF-8.
pub fn read_regular(path: &Path) -> io::Result<String> {
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let kind = file.metadata()?.file_type();
    let what = match () {
        () if kind.is_file() => None,
        () if kind.is_dir() => Some("a directory"),
        () if kind.is_fifo() => Some("a FIFO or a pipe, which could be read only once"),
        () => Some("a device or a socket"),
    };
    if let Some(what) = what {
        return Err(io::Error::other(format!("it is {what}, not a file")));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Opens a file to be read. A FIFO is waited for until somebody has written into it, or has closed it, for `patience` at
/// most; opened as usual it would be waited for until somebody opens its other end.
///
/// # Errors
/// Those of `open(2)`; `TimedOut` when nobody has written.
pub fn open_written(path: &Path, patience: Duration) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    if file.metadata()?.file_type().is_fifo() {
        let mut entry = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        if poll(&mut entry, timeout)? == 0 {
            let message = format!("it is a FIFO, and nobody has written into it for {} s", patience.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
    }
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(file)
}

/// Whether a file could be opened to be appended to, its folders made first where they are not there: nothing is made.
///
/// # Errors
/// What is in the way, and why: the file, or the folder that is there.
pub fn could_append<'p>(path: &'p Path) -> Result<(), (&'p Path, io::Error)> {
    let permitted = |path: &'p Path, mode| eaccess(path, mode).map_err(|errno| (path, errno.into()));
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err((path, io::ErrorKind::IsADirectory.into())),
        Ok(_) => permitted(path, AccessFlags::W_OK),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err((path, error)),
        Err(_) => {
            let here = Path::new(".");
            let folders = path.ancestors().skip(1);
            let mut folders = folders.map(|folder| if folder.as_os_str().is_empty() { here } else { folder });
            let Some(folder) = folders.find(|folder| folder.exists()) else { return Ok(()) };
            match folder.is_dir() {
                true => permitted(folder, AccessFlags::W_OK | AccessFlags::X_OK),
                false => Err((folder, io::ErrorKind::NotADirectory.into())),
            }
        }
    }
}

/// Whether there is something at a path, where that is known without waiting for anybody; `None` where it is not: what
/// leads there is not in memory, or lies on a file system that asks a server or a program (NFS, FUSE).
pub fn is_there_at_once(path: &Path) -> Option<bool> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: all zero is a valid open_how.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_CACHED;
    let (how, size) = (&raw const how, size_of::<libc::open_how>());
    // SAFETY: the path ends with a NUL, and the structure has the size that is passed; both live through the call.
    let fd = unsafe { libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, path.as_ptr(), how, size) };
    if fd >= 0 {
        // SAFETY: the kernel just gave this descriptor to this process, and nobody else knows of it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
        return is_local(fd.as_fd()).then_some(true);
    }
    match io::Error::last_os_error().raw_os_error() {
        // Not in memory; or a kernel before 5.12, or a filter, that does not know the question.
        Some(libc::EAGAIN | libc::ENOSYS | libc::EINVAL | libc::EPERM) => None,
        _ => Some(false),
    }
}

/// Whether a file is on a file system that asks nobody else: one on a disk, which has a device number of its own, or one
/// whose kind is known not to.
fn is_local(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: all zero is a valid statx.
    let mut status: libc::statx = unsafe { std::mem::zeroed() };
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    const NOTHING: &CStr = c"";
    // SAFETY: the path ends with a NUL, and the kernel fills the structure, which lives through the call.
    let done = unsafe { libc::statx(fd.as_raw_fd(), NOTHING.as_ptr(), flags, libc::STATX_MNT_ID_UNIQUE, &mut status) };
    if done != 0 {
        return false;
    }
    if status.stx_dev_major != 0 {
        return true;
    }
    // The mount's number that is never used again is known since Linux 6.8.
    status.stx_mask & libc::STATX_MNT_ID_UNIQUE != 0
        && magic(status.stx_mnt_id).is_some_and(|magic| !REMOTE.contains(&magic))
}

/// Kinds of file systems that ask somebody else (`statfs(2)`): NFS, FUSE, SMB in two versions, 9P, Ceph, AFS, AFS of the
/// kernel, Coda, Lustre, OCFS2, GFS2, and autofs, which mounts such.
const REMOTE: [u64; 13] = [
    0x6969,
    0x6573_5546,
    0xff53_4d42,
    0xfe53_4d42,
    0x0102_1997,
    0x00c3_6400,
    0x5346_414f,
    0x6b41_4653,
    0x7375_7245,
    0x0bd0_0bd0,
    0x7461_636f,
    0x0116_1970,
    0x0187,
];

/// The kind of a mounted file system, without asking it (`statmount(2)`, Linux 6.8).
fn magic(mount: u64) -> Option<u64> {
    const STATMOUNT: libc::c_long = 457;
    const SB_BASIC: u64 = 1;
    /// `struct mnt_id_req` in its first size.
    #[repr(C)]
    struct Request {
        size: u32,
        spare: u32,
        mount: u64,
        wanted: u64,
    }
    let request = Request { size: size_of::<Request>() as u32, spare: 0, mount, wanted: SB_BASIC };
    // `struct statmount`: its size, options, what is known, the device (two halves), the kind, and more.
    let mut answer = [0_u64; 64];
    let (to, size) = (answer.as_mut_ptr(), size_of_val(&answer));
    // SAFETY: the request carries its own size, and the kernel writes no more than the size that is passed.
    let done = unsafe { libc::syscall(STATMOUNT, &raw const request, to, size, 0) };
    let [_, known, _, magic, ..] = answer;
    (done == 0 && known & SB_BASIC != 0).then_some(magic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_file_could_be_made_where_its_nearest_folder_may_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "").unwrap();
        for good in ["file", "new", "a/b/new.log"] {
            assert!(could_append(&at(good)).is_ok(), "{good}");
        }
        assert!(!at("a").exists(), "nothing is made");
        let (place, problem) = could_append(folder.path()).unwrap_err();
        assert_eq!((place, problem.kind()), (folder.path(), io::ErrorKind::IsADirectory));
        let below = at("file/new.log");
        assert!(could_append(&below).is_err());
        assert!(could_append(Path::new("api.log")).is_ok());
    }

    #[test]
    fn a_fifo_is_read_when_somebody_writes_and_not_waited_for_when_nobody_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = open_written(&path, Duration::from_millis(10)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let mut writer = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        io::Write::write_all(&mut writer, b"text").unwrap();
        let mut file = open_written(&path, Duration::from_secs(10)).unwrap();
        drop(writer);
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
    }

    #[test]
    fn only_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "A=1\n").unwrap();
        assert_eq!(read_regular(&file).unwrap(), "A=1\n");
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for (path, word) in [(fifo.as_path(), "FIFO"), (Path::new("/dev/zero"), "device"), (folder.path(), "directory")]
        {
            let told = read_regular(path).unwrap_err().to_string();
            assert!(told.contains(word), "{told}");
        }
    }

    /// The folder of the tests is on a disk, or in memory.
    #[test]
    fn what_is_in_memory_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let missing = folder.path().join("missing");
        assert!(!missing.exists());
        // A kernel that does not know the question says nothing, and then nothing is wrong.
        assert!(matches!(is_there_at_once(&file), Some(true) | None));
        assert!(matches!(is_there_at_once(&missing), Some(false) | None));
        assert_eq!(is_there_at_once(&file).is_none(), is_there_at_once(folder.path()).is_none());
    }

    #[test]
    fn proc_is_no_disk_and_asks_nobody() {
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        // Known since Linux 6.8.
        if magic(0).is_none() && is_local(file.as_fd()) {
            assert_eq!(is_there_at_once(Path::new("/proc/self")), Some(true));
        }
    }
}
