//! A terminal of a service's own: a pseudo-terminal (`pty(7)`).

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use crate::core::attach::Size;

/// Both sides of a pseudo-terminal.
#[derive(Debug)]
pub struct Pty {
    /// The side of who shows what is written and types: non-blocking.
    pub master: OwnedFd,
    /// The side of the service.
    pub slave: OwnedFd,
}

/// Makes one. With an owner its device belongs to that user, who may open it by name then (`/dev/stdout`).
///
/// # Errors
/// `ENOSPC` when there are as many as may be (`/proc/sys/kernel/pty/max`), `ENOENT` or `ENODEV` where no devpts is mounted
/// at `/dev/pts`, and when there is no descriptor left.
pub fn open(owner: Option<u32>, size: Size) -> io::Result<Pty> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the path ends with a NUL.
    let master = owned(unsafe { libc::open(c"/dev/ptmx".as_ptr(), flags | libc::O_NONBLOCK) })?;
    let unlocked: libc::c_int = 0;
    // SAFETY: the kernel reads one number, which lives through the call.
    check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) })?;
    // By the master itself, and not by its name, which may mean another one in a container.
    // SAFETY: no memory is involved; the kernel makes a descriptor.
    let slave = owned(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) })?;
    if let Some(uid) = owner {
        // Who may not give it away may not become that user either, and the start will say so.
        let _ = nix::unistd::fchown(&slave, Some(uid.into()), None);
    }
    let pty = Pty { master, slave };
    set_size(std::os::fd::AsFd::as_fd(&pty.master), size)?;
    Ok(pty)
}

/// How large the terminal is from now on (`TIOCSWINSZ`, `ioctl_tty(2)`): what is in its foreground gets SIGWINCH.
///
/// # Errors
/// `ENOTTY` when it is no terminal.
pub fn set_size(terminal: BorrowedFd<'_>, size: Size) -> io::Result<()> {
    let size = libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel reads one structure, which lives through the call.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) })
}

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    check(fd)?;
    // SAFETY: the kernel just made it, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;
    use crate::sys::terminal;

    #[test]
    fn it_is_a_terminal_of_this_size_and_not_the_controlling_one() {
        let pty = open(None, Size { columns: 100, rows: 30 }).unwrap();
        assert!(terminal::is_terminal(pty.slave.as_fd()));
        assert_eq!(terminal::size(pty.slave.as_fd()), Some((100, 30)));
        set_size(pty.master.as_fd(), Size { columns: 7, rows: 5 }).unwrap();
        assert_eq!(terminal::size(pty.slave.as_fd()), Some((7, 5)));
        assert!(terminal::foreground_group(pty.slave.as_fd()).is_err(), "it controls nobody");
    }

    #[test]
    fn what_was_written_is_there_after_the_service_is_gone() {
        let Pty { master, slave } = open(None, Size::default()).unwrap();
        nix::unistd::write(&slave, b"last words\n").unwrap();
        drop(slave);
        let mut bytes = [0; 64];
        let length = nix::unistd::read(&master, &mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"last words\r\n");
        assert_eq!(nix::unistd::read(&master, &mut bytes), Err(nix::errno::Errno::EIO));
    }
}
