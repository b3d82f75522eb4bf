//! Unix sockets' files. A file is never unlinked without a test that nobody answers behind it: ECONNREFUSED may also
//! come from a socket that is bound but does not listen yet, or from a plain file (DESIGN §11).

use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::AccessFlags;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::core::facts::HoldState;
use crate::sys::sock_diag::{State, UnixSocket, unix_sockets};

/// What there is at a path: `None` when nothing, else how it is held, and the sockets that the kernel knows there.
pub struct Place {
    pub state: Option<HoldState>,
    pub sockets: Vec<UnixSocket>,
}

impl Place {
    fn of(state: HoldState) -> Place {
        Place { state: Some(state), sockets: Vec::new() }
    }
}

pub fn is_abstract(path: &Path) -> bool {
    path.as_os_str().as_bytes().starts_with(b"@")
}

/// The address to bind or connect to; a leading `@` stands for the abstract namespace.
fn address(path: &Path) -> io::Result<SockAddr> {
    let mut bytes = path.as_os_str().as_bytes().to_vec();
    if bytes.is_empty() || bytes.contains(&0) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    if is_abstract(path) {
        bytes[0] = 0;
    }
    SockAddr::unix(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

/// Looks who is there.
pub fn look(path: &Path) -> io::Result<Place> {
    let file = if is_abstract(path) {
        None
    } else {
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Place { state: None, sockets: Vec::new() });
            }
            Err(error) => return Err(error),
            Ok(metadata) if !metadata.file_type().is_socket() => return Ok(Place::of(HoldState::NotASocket)),
            Ok(metadata) => Some(metadata.ino()),
        }
    };
    let states = State::Listen.bit() | State::Closed.bit();
    // An accepted connection bears its listener's name, too, but is not in these states.
    let mut sockets = unix_sockets(states).unwrap_or_default();
    sockets.retain(|socket| socket.is_at(path, file));
    let state = if sockets.iter().any(UnixSocket::serves) {
        Some(HoldState::Listening)
    } else if !sockets.is_empty() {
        Some(HoldState::Bound)
    } else {
        // Perhaps a listener in another network namespace, or one that nobody told of.
        match knock(path) {
            Ok(()) => Some(HoldState::Listening),
            Err(error) => match error.raw_os_error() {
                Some(libc::ECONNREFUSED | libc::ENOENT) if is_abstract(path) => None,
                Some(libc::ENOENT) => None,
                Some(libc::ECONNREFUSED) => Some(HoldState::Stale),
                // A full backlog, another type, no right to connect: somebody may well be there.
                _ => Some(HoldState::Listening),
            },
        }
    };
    Ok(Place { state, sockets })
}

/// Whether anybody answers. The connection, if there is one, is closed at once.
fn knock(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.connect(&address(path)?)
}

/// Whether the path could be bound: free or stale, in a directory that may be written.
pub fn examine(path: &Path) -> io::Result<()> {
    is_stale(path).map(drop)
}

/// As [`examine`], and removes a stale file.
pub fn clear(path: &Path) -> io::Result<()> {
    if is_stale(path)? { std::fs::remove_file(path) } else { Ok(()) }
}

/// Whether the path could be bound if a stale file were removed.
fn is_stale(path: &Path) -> io::Result<bool> {
    address(path)?;
    match look(path)?.state {
        Some(HoldState::Stale) => Ok(true),
        Some(_) => Err(io::Error::from_raw_os_error(libc::EADDRINUSE)),
        None if is_abstract(path) => Ok(false),
        None => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            nix::unistd::eaccess(parent, AccessFlags::W_OK | AccessFlags::X_OK)?;
            Ok(false)
        }
    }
}

/// Binds and listens, in the place of a stale file if there is one.
pub fn listen(path: &Path, backlog: i32) -> io::Result<(Socket, Option<OwnFile>)> {
    listen_with(path, backlog, |_| Ok(()))
}

/// The same, with something done to the socket before it is bound.
pub fn listen_with(
    path: &Path,
    backlog: i32,
    prepare: impl Fn(&Socket) -> io::Result<()>,
) -> io::Result<(Socket, Option<OwnFile>)> {
    let address = address(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    prepare(&socket)?;
    match socket.bind(&address) {
        Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) && !is_abstract(path) => {
            clear(path)?;
            socket.bind(&address)?;
        }
        other => other?,
    }
    let file = if is_abstract(path) { None } else { Some(OwnFile::just_made(path)?) };
    socket.listen(backlog)?;
    Ok((socket, file))
}

/// The file of a socket that this process bound: removed with it, unless another has taken its place.
#[derive(Debug)]
pub struct OwnFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// A forked child that drops its copy must leave the file alone.
    process: u32,
}

impl OwnFile {
    fn just_made(path: &Path) -> io::Result<OwnFile> {
        let metadata = std::fs::symlink_metadata(path)?;
        Ok(OwnFile {
            path: std::path::absolute(path)?,
            device: metadata.dev(),
            inode: metadata.ino(),
            process: std::process::id(),
        })
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        let ours = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino()) == (self.device, self.inode);
        if std::process::id() == self.process && std::fs::symlink_metadata(&self.path).is_ok_and(ours) {
            // Nothing can be done about one that may not be removed: the next start finds it stale.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
