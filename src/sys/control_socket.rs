//! The control socket: a listening Unix socket whose file its own user alone can open, from its first moment.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::stat::{Mode, fchmod};
use socket2::Socket;

use crate::core::facts::HoldState;
use crate::sys::port::unix;

pub use crate::sys::port::unix::OwnFile;

/// How many may wait to be let in.
const BACKLOG: i32 = 128;

/// Binds and listens, in the place of a socket behind which nobody is any more if there is one. The listener does not
/// block.
///
/// # Errors
/// Of `bind(2)`; `EADDRINUSE` when somebody is there, or a file that is no socket.
pub fn listen(path: &Path) -> io::Result<(UnixListener, OwnFile)> {
    // The mode of the descriptor becomes that of the file that bind(2) makes (`unix_bind_bsd` in the kernel): it is
    // never open to others, not even before a chmod(2) of the file.
    let private = |socket: &Socket| fchmod(socket, Mode::S_IRUSR | Mode::S_IWUSR).map_err(io::Error::from);
    let (socket, file) = unix::listen_with(path, BACKLOG, private)?;
    let file = file.ok_or_else(|| io::Error::other("a name in the abstract namespace is open to everybody"))?;
    socket.set_nonblocking(true)?;
    Ok((socket.into(), file))
}

/// Removes the file of a socket behind which nobody is any more. Nothing else is touched, and a failure leaves it.
pub fn remove_if_stale(path: &Path) {
    if unix::look(path).is_ok_and(|place| place.state == Some(HoldState::Stale)) {
        let _ = std::fs::remove_file(path);
    }
}
