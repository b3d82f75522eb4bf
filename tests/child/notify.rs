//! `sd_notify(3)`, well and badly.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use super::steps::{Failure, Step};
use super::text;

/// Steps about the notify socket.
pub fn perform(step: &Step, rest: &str) -> Result<(), Failure> {
    match step.verb.as_str() {
        "notify" => send(rest.as_bytes(), &[]),
        "barrier" => barrier(),
        "flood-notify" => send(&noise(rest.parse()?), &[]),
        "notify-fds" => many_descriptors(rest.parse()?),
        "notify-storm" => (0..rest.parse()?).try_for_each(|n: u32| send(format!("STATUS=storm {n}").as_bytes(), &[])),
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

fn send(message: &[u8], descriptors: &[RawFd]) -> Result<(), Failure> {
    let socket = connected()?;
    let rights = [ControlMessage::ScmRights(descriptors)];
    let control = if descriptors.is_empty() { &[][..] } else { &rights[..] };
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(message)], control, MsgFlags::empty(), None)?;
    Ok(())
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
