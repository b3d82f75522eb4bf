//! The socket of `sd_notify(3)`, both ends.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::clock;

/// The longest datagram that is taken whole, as systemd has it (`PIPE_BUF`).
const LONGEST: usize = 4096;
/// The most descriptors one datagram can carry (`SCM_MAX_FD`).
const MOST_FDS: usize = 253;
/// Room for that many descriptors and the sender's credentials, each with its header.
const CONTROL: usize = 16 + MOST_FDS * 4 + 4 + 16 + 16;

/// One message, with who sent it.
#[derive(Debug)]
pub struct Datagram {
    /// What it says: the first 4096 bytes of it.
    pub bytes: Vec<u8>,
    /// Who sent it.
    pub credentials: Credentials,
    /// The descriptors that came along; closed when dropped.
    pub fds: Vec<OwnedFd>,
    /// Whether bytes or descriptors were cut off.
    pub truncated: bool,
}

/// Who sent a message, as the kernel tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Credentials {
    /// The process; 0 when it is outside of this pid namespace.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// The receiving end of one generation: in the abstract namespace, so that no file is left of it, whatever happens; or at
/// a path, which a service in a network namespace of its own reaches, too.
#[derive(Debug)]
pub struct NotifySocket {
    socket: UnixDatagram,
    address: String,
    /// The file, until it is removed.
    file: RefCell<Option<PathBuf>>,
    /// Its folder goes with it, once nothing else is in that.
    with_folder: bool,
}

impl NotifySocket {
    /// Binds a socket to a random name.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn bind() -> io::Result<NotifySocket> {
        let mut address = String::from("@launcher-notify-");
        let _ = write!(address, "{:032x}", u128::from_ne_bytes(clock::random()));
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&address.as_bytes()[1..])?)?;
        NotifySocket::new(socket, address, None)
    }

    /// Binds a socket at this path, in the place of one that nobody answers at. Everybody may send to it: who is heard is
    /// decided by the sender's credentials.
    ///
    /// # Errors
    /// `EADDRINUSE` when somebody answers there or it is no socket; `EINVAL` when the path is no UTF-8; those of
    /// `bind(2)`.
    pub fn bind_at(path: &Path) -> io::Result<NotifySocket> {
        let address = path.to_str().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        if std::fs::symlink_metadata(path).is_ok() {
            if !is_stale(path) {
                return Err(io::Error::from_raw_os_error(libc::EADDRINUSE));
            }
            std::fs::remove_file(path)?;
        }
        let bound = NotifySocket::new(UnixDatagram::bind(path)?, address, Some(path.to_owned()))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
        Ok(bound)
    }

    /// Binds a socket of this name in a folder that is for such sockets alone: the last one takes the folder with it.
    ///
    /// # Errors
    /// As [`NotifySocket::bind_at`].
    pub fn bind_in(folder: &Path, name: &str) -> io::Result<NotifySocket> {
        let mut socket = NotifySocket::bind_at(&folder.join(name))?;
        socket.with_folder = true;
        Ok(socket)
    }

    fn new(socket: UnixDatagram, address: String, file: Option<PathBuf>) -> io::Result<NotifySocket> {
        let socket = NotifySocket { socket, address, file: RefCell::new(file), with_folder: false };
        socket.ask_for_credentials()?;
        Ok(socket)
    }

    fn ask_for_credentials(&self) -> io::Result<()> {
        let socket = &self.socket;
        socket.set_nonblocking(true)?;
        let on: libc::c_int = 1;
        // SAFETY: the kernel reads one number, which lives through the call.
        let done = unsafe {
            let size = size_of::<libc::c_int>() as libc::socklen_t;
            let option = std::ptr::from_ref(&on).cast();
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PASSCRED, option, size)
        };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Removes its file, if it has one: nobody is to send anything any more, and the next socket may have the same path.
    pub fn unlink(&self) {
        if let Some(file) = self.file.take() {
            let _ = std::fs::remove_file(&file);
            if let Some(folder) = file.parent().filter(|_| self.with_folder) {
                let _ = std::fs::remove_dir(folder);
            }
        }
    }

    /// The value of `NOTIFY_SOCKET`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Readable when there is a message. Non-blocking.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The next message, if there is one.
    ///
    /// # Errors
    /// When there is no memory left for it.
    pub fn receive(&self) -> io::Result<Option<Datagram>> {
        let mut bytes = [MaybeUninit::<u8>::uninit(); LONGEST];
        let mut control = Control([MaybeUninit::uninit(); CONTROL]);
        let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: LONGEST };
        // SAFETY: all zero is a valid msghdr.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_iov = &mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = CONTROL as _;
        let length = loop {
            // SAFETY: the header points to memory that lives through the call, with its true sizes.
            let count = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &mut header, libc::MSG_CMSG_CLOEXEC) };
            if let Ok(count) = usize::try_from(count) {
                break count;
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(None),
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            }
        };
        // SAFETY: the kernel wrote that many bytes.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast::<u8>(), length) }.to_vec();
        let mut datagram = Datagram {
            bytes,
            credentials: Credentials::default(),
            fds: Vec::new(),
            truncated: header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0,
        };
        take_ancillary(&header, &mut datagram);
        Ok(Some(datagram))
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        self.unlink();
    }
}

/// Whether a path is that of a socket that nobody answers at, as one who was killed leaves it.
pub fn is_stale(path: &Path) -> bool {
    let refused = |error: io::Error| error.raw_os_error() == Some(libc::ECONNREFUSED);
    let answers = || UnixDatagram::unbound().map(|socket| socket.connect(path));
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    is_socket && answers().is_ok_and(|tried| tried.is_err_and(refused))
}

/// Aligned as `cmsg(3)` asks.
#[repr(C, align(8))]
struct Control([MaybeUninit<u8>; CONTROL]);

/// Takes every descriptor and the credentials out of what `recvmsg(2)` wrote, also out of a list that was cut off.
fn take_ancillary(header: &libc::msghdr, datagram: &mut Datagram) {
    // SAFETY: the kernel filled the control buffer and its length; the macros stay within both. Each descriptor in it
    // was just given to this process, and nobody else knows of it.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(header);
        while let Some(message) = next.as_ref() {
            let data = libc::CMSG_DATA(message);
            #[allow(clippy::unnecessary_cast, reason = "C libraries disagree on the type")]
            let length = (message.cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
            match (message.cmsg_level, message.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    for index in 0..length / size_of::<RawFd>() {
                        let fd = data.cast::<RawFd>().add(index).read_unaligned();
                        datagram.fds.push(OwnedFd::from_raw_fd(fd));
                    }
                }
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if length >= size_of::<libc::ucred>() => {
                    let sender = data.cast::<libc::ucred>().read_unaligned();
                    datagram.credentials = Credentials { pid: sender.pid, uid: sender.uid, gid: sender.gid };
                }
                _ => {}
            }
            next = libc::CMSG_NXTHDR(header, message);
        }
    }
}

/// The sending end, for a process that has much to say and may not wait.
#[derive(Debug)]
pub struct Client {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Client {
    /// A client of the address in `NOTIFY_SOCKET`.
    ///
    /// # Errors
    /// `InvalidInput` when it is neither a path nor an abstract name.
    pub fn new(address: &OsStr) -> io::Result<Client> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Client { socket, address: to_address(address)? })
    }

    /// Sends one message without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room; else what `sendto(2)` says.
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        self.socket.send_to_addr(message, &self.address).map(drop)
    }
}

fn to_address(address: &OsStr) -> io::Result<SocketAddr> {
    match address.as_bytes() {
        [b'@', name @ ..] if !name.is_empty() => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(address),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "neither an absolute path nor an abstract name")),
    }
}

/// Sends one message to the address in `NOTIFY_SOCKET`, a path or an abstract name with a leading `@`, waiting at most
/// `limit` for room.
///
/// # Errors
/// `InvalidInput` when it is neither; else what `sendmsg(2)` says: `ECONNREFUSED` when nobody listens.
pub fn send(address: &OsStr, message: &[u8], fds: &[BorrowedFd<'_>], limit: Duration) -> io::Result<()> {
    let address = to_address(address)?;
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(limit))?;
    socket.connect_addr(&address)?;
    send_with_fds(&socket, message, fds)
}

fn send_with_fds(socket: &UnixDatagram, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if fds.is_empty() {
        return socket.send(message).map(drop);
    }
    if fds.len() > MOST_FDS {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
    }
    let mut control = Control([MaybeUninit::zeroed(); CONTROL]);
    let mut part = libc::iovec { iov_base: message.as_ptr().cast_mut().cast(), iov_len: message.len() };
    // SAFETY: all zero is a valid msghdr.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    let size = std::mem::size_of_val(fds) as u32;
    // SAFETY: these only compute sizes and addresses within `control`, which has room for MOST_FDS descriptors; the
    // kernel only reads what the header points to.
    let sent = unsafe {
        header.msg_controllen = libc::CMSG_SPACE(size) as _;
        let rights = libc::CMSG_FIRSTHDR(&header);
        (*rights).cmsg_level = libc::SOL_SOCKET;
        (*rights).cmsg_type = libc::SCM_RIGHTS;
        (*rights).cmsg_len = libc::CMSG_LEN(size) as _;
        for (index, fd) in fds.iter().enumerate() {
            libc::CMSG_DATA(rights).cast::<RawFd>().add(index).write_unaligned(fd.as_raw_fd());
        }
        libc::sendmsg(socket.as_raw_fd(), &header, libc::MSG_NOSIGNAL)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Waits until whoever listens has processed everything sent before (`BARRIER=1`, `sd_notify_barrier(3)`). Whether it
/// has within the limit.
///
/// # Errors
/// As [`send`].
pub fn barrier(address: &OsStr, limit: Duration) -> io::Result<bool> {
    let (ours, theirs) = io::pipe()?;
    send(address, b"BARRIER=1", &[theirs.as_fd()], limit)?;
    drop(theirs);
    let milliseconds = libc::c_int::try_from(limit.as_millis()).unwrap_or(libc::c_int::MAX);
    loop {
        let mut fds = [libc::pollfd { fd: ours.as_raw_fd(), events: 0, revents: 0 }];
        // SAFETY: the kernel reads and writes the one entry, which lives through the call.
        match unsafe { libc::poll(fds.as_mut_ptr(), 1, milliseconds) } {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return Err(io::Error::last_os_error()),
            count => return Ok(count > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn send_to(socket: &NotifySocket, message: &[u8], fds: &[BorrowedFd<'_>]) {
        send(OsStr::new(socket.address()), message, fds, LIMIT).unwrap();
    }

    fn open_fds() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }

    #[test]
    fn a_message_comes_with_its_senders_credentials() {
        let socket = NotifySocket::bind().unwrap();
        assert!(socket.receive().unwrap().is_none());
        send_to(&socket, b"READY=1", &[]);
        let datagram = socket.receive().unwrap().unwrap();
        assert_eq!(datagram.bytes, b"READY=1");
        assert_eq!(datagram.credentials.pid, std::process::id() as i32);
        assert!(datagram.fds.is_empty() && !datagram.truncated);
    }

    #[test]
    fn noise_of_64_kib_is_cut_off() {
        let socket = NotifySocket::bind().unwrap();
        send_to(&socket, &[0xff; 65536], &[]);
        let datagram = socket.receive().unwrap().unwrap();
        assert!(datagram.truncated);
        assert_eq!(datagram.bytes.len(), LONGEST);
        assert!(socket.receive().unwrap().is_none());
    }

    #[test]
    fn an_empty_message_is_a_message() {
        let socket = NotifySocket::bind().unwrap();
        send_to(&socket, b"", &[]);
        assert_eq!(socket.receive().unwrap().unwrap().bytes, b"");
    }

    #[test]
    fn as_many_descriptors_as_fit_are_taken_and_closed() {
        let socket = NotifySocket::bind().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let message = || send_to(&socket, b"FDSTORE=1", &vec![null.as_fd(); MOST_FDS]);
        message();
        let datagram = socket.receive().unwrap().unwrap();
        assert_eq!(datagram.fds.len(), MOST_FDS);
        assert!(!datagram.truncated && datagram.credentials.pid > 0);
        for fd in &datagram.fds {
            // SAFETY: only a flag is read.
            assert_eq!(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) }, libc::FD_CLOEXEC);
        }
        drop(datagram);
        // Other tests run in this process too: a leak of 253 each would show all the same.
        let before = open_fds();
        for _ in 0..20 {
            message();
            drop(socket.receive().unwrap());
        }
        assert!(open_fds() < before + 1000);
    }

    #[test]
    fn a_barrier_waits_until_its_descriptor_is_closed() {
        let socket = NotifySocket::bind().unwrap();
        let address = socket.address().to_owned();
        let waiter = std::thread::spawn(move || barrier(OsStr::new(&address), LIMIT).unwrap());
        let mut fds = [libc::pollfd { fd: socket.fd().as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        // SAFETY: the one entry lives through the call.
        unsafe { libc::poll(fds.as_mut_ptr(), 1, 60_000) };
        let datagram = socket.receive().unwrap().unwrap();
        assert_eq!((datagram.bytes.as_slice(), datagram.fds.len()), (&b"BARRIER=1"[..], 1));
        drop(datagram);
        assert!(waiter.join().unwrap());
        assert!(!barrier(OsStr::new(socket.address()), Duration::from_millis(1)).unwrap());
    }

    #[test]
    fn a_path_works_and_nonsense_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), b"READY=1", &[], LIMIT).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(socket.recv(&mut buffer).unwrap(), 7);
        for address in ["", "@", "relative", "vsock:2:1234"] {
            let error = send(OsStr::new(address), b"READY=1", &[], LIMIT).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{address}");
        }
    }

    #[test]
    fn a_path_is_taken_over_from_a_socket_that_nobody_answers_at_and_removed_after() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        drop(UnixDatagram::bind(&path).unwrap());
        let socket = crate::sys::testing::succeeds(|| NotifySocket::bind_at(&path));
        send_to(&socket, b"READY=1", &[]);
        assert_eq!(socket.receive().unwrap().unwrap().credentials.pid, std::process::id() as i32);
        let taken = NotifySocket::bind_at(&path).unwrap_err();
        assert_eq!(taken.raw_os_error(), Some(libc::EADDRINUSE));
        drop(socket);
        assert!(!path.exists());
        std::fs::write(&path, "not mine").unwrap();
        assert!(NotifySocket::bind_at(&path).is_err() && path.exists());
    }

    #[test]
    fn each_socket_has_its_own_name() {
        assert_ne!(NotifySocket::bind().unwrap().address(), NotifySocket::bind().unwrap().address());
    }
}
