//! `sd_notify(3)`, well and badly.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use super::steps::{Failure, Step};
use super::text;

/// Steps about the notify socket.
pub fn perform(step: &Step, rest: &str) -> Result<(), Failure> {
    match step.verb.as_str() {
        "notify" => send(rest.as_bytes(), &[]),
        "notify-by-crate" => {
            Ok(sd_notify::notify(&[sd_notify::NotifyState::Ready, sd_notify::NotifyState::Status(rest)])?)
        }
        "barrier" => barrier(),
        "flood-notify" => send(&noise(rest.parse()?), &[]),
        "notify-fds" => many_descriptors(rest.parse()?),
        "notify-storm" => (0..rest.parse()?).try_for_each(|n: u32| send(format!("STATUS=storm {n}").as_bytes(), &[])),
        "store" => store(rest),
        "store-socket" => store_socket(rest),
        "notify-pidfd" => send(b"MAINPIDFD=1", &[own_pidfd()?.as_raw_fd()]),
        other => Err(Failure(format!("{other} is no step about the notify socket"))),
    }
}

fn connected() -> Result<UnixDatagram, Failure> {
    let path = std::env::var("NOTIFY_SOCKET").map_err(|_| Failure("there is no NOTIFY_SOCKET".into()))?;
    let socket = UnixDatagram::unbound()?;
    match path.strip_prefix('@') {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(path)?,
    }
    Ok(socket)
}

/// Says this.
pub fn say(message: &str) -> Result<(), Failure> {
    send(message.as_bytes(), &[])
}

fn send(message: &[u8], descriptors: &[RawFd]) -> Result<(), Failure> {
    let socket = connected()?;
    let rights = [ControlMessage::ScmRights(descriptors)];
    let control = if descriptors.is_empty() { &[][..] } else { &rights[..] };
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(message)], control, MsgFlags::empty(), None)?;
    Ok(())
}

/// Gives a file that holds this text away: `NAME TEXT`.
fn store(rest: &str) -> Result<(), Failure> {
    let (name, text) = rest.split_once(' ').ok_or_else(|| Failure("store NAME TEXT".into()))?;
    let file = nix::sys::memfd::memfd_create("stored", nix::sys::memfd::MFdFlags::empty())?;
    nix::unistd::write(&file, text.as_bytes())?;
    send(format!("FDSTORE=1\nFDNAME={name}").as_bytes(), &[file.as_raw_fd()])
}

/// Gives one end of a connection away whose other end goes with this process: `NAME [FDPOLL=0]`.
fn store_socket(rest: &str) -> Result<(), Failure> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    let (name, more) = rest.split_once(' ').unwrap_or((rest, ""));
    send(format!("FDSTORE=1\nFDNAME={name}\n{more}").as_bytes(), &[ours.as_raw_fd()])?;
    std::mem::forget(theirs);
    Ok(())
}

/// A descriptor of this process.
fn own_pidfd() -> Result<OwnedFd, Failure> {
    // SAFETY: makes a descriptor, which nobody else knows of.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) as RawFd };
    // SAFETY: as above; a failure is no descriptor.
    if fd < 0 { Err(std::io::Error::last_os_error().into()) } else { Ok(unsafe { OwnedFd::from_raw_fd(fd) }) }
}

/// Sends BARRIER=1 and waits until everything sent before was processed.
fn barrier() -> Result<(), Failure> {
    let (read, write) = nix::unistd::pipe()?;
    send(b"BARRIER=1", &[write.as_raw_fd()])?;
    drop(write);
    nix::unistd::read(&read, &mut [0])?;
    Ok(())
}

/// Bytes of every kind, the same ones each time.
fn noise(length: usize) -> Vec<u8> {
    let mut seed = 0x9e37_79b9_u32;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Sends descriptors along that nobody asked for, and closes its own: then only the receiver can keep them open. Says
/// `descriptors closed` when the receiver has closed them all.
fn many_descriptors(count: usize) -> Result<(), Failure> {
    let (read, write) = nix::unistd::pipe()?;
    let copies = (0..count).map(|_| nix::unistd::dup(&write)).collect::<Result<Vec<OwnedFd>, _>>()?;
    let numbers: Vec<RawFd> = copies.iter().map(AsRawFd::as_raw_fd).collect();
    send(b"X_NOISE=1", &numbers)?;
    drop((copies, write));
    nix::unistd::read(&read, &mut [0])?;
    text::write_line(1, "descriptors closed");
    Ok(())
}
