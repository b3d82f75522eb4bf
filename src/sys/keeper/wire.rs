//! What the launcher and a keeper say to each other: datagrams of four numbers over a `SOCK_SEQPACKET` pair.

use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use super::raw;

/// One datagram: its kind, then what belongs to it.
pub(super) type Packet = [i32; 4];

/// From the keeper: the service was executed; its pid. Its pidfd may come along.
pub(super) const SPAWNED: i32 = 1;
/// From the keeper: it was not; stage and errno.
pub(super) const EXEC_FAILED: i32 = 2;
/// From the keeper: the main process ended; pid, `CLD_…` code or -1 when it is not known, exit code or signal.
pub(super) const EXITED: i32 = 3;
/// From the keeper: the same, and nothing is left below it: its own end follows within microseconds.
pub(super) const EXITED_LAST: i32 = 6;
/// From the keeper: the main process was stopped by this signal.
pub(super) const STOPPED: i32 = 4;
/// From the keeper: the main process was continued.
pub(super) const CONTINUED: i32 = 5;

/// From the service before it is executed: the descriptor by which its calls are taken comes along.
pub(super) const LISTENER: i32 = 7;

/// To the keeper: end everything.
pub(super) const KILL: i32 = 16;
/// To the keeper: this signal to the main process.
pub(super) const SIGNAL_MAIN: i32 = 17;
/// To the keeper: this signal to the main process's group.
pub(super) const SIGNAL_GROUP: i32 = 18;
/// To the keeper: this signal to every process that is left, and let go on what is stopped.
pub(super) const SIGNAL_REST: i32 = 19;
/// To the keeper: this process is the main one now.
pub(super) const FOLLOW: i32 = 20;

/// To the keeper: let every process go on that is stopped.
pub(super) const RESUME: i32 = 21;

const SIZE: usize = size_of::<Packet>();

/// Both ends, non-blocking.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: the kernel writes two numbers.
    if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both were just made, and nobody else knows of them.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// What came in.
pub(super) enum Received {
    /// A datagram, and the descriptor that came with it, if one did; -1 otherwise.
    Packet(Packet, RawFd),
    /// Nothing for now.
    Nothing,
    /// The other end is closed.
    End,
}

/// Room for one descriptor beside a datagram, aligned as `cmsg(3)` asks.
#[repr(C, align(8))]
struct Control([u8; 24]);

/// Sends one datagram without waiting, with a descriptor when that is not -1. The errno when it was not sent.
pub(super) fn send(socket: RawFd, packet: Packet, fd: RawFd) -> Result<(), i32> {
    let mut control = Control([0; 24]);
    let mut part = libc::iovec { iov_base: packet.as_ptr().cast_mut().cast(), iov_len: SIZE };
    // SAFETY: all zero is a valid msghdr.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &mut part;
    header.msg_iovlen = 1;
    if fd >= 0 {
        header.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: these only compute sizes and addresses within `control`, which has room for one descriptor.
        unsafe {
            header.msg_controllen = libc::CMSG_SPACE(size_of::<RawFd>() as u32) as _;
            let message = libc::CMSG_FIRSTHDR(&header);
            (*message).cmsg_level = libc::SOL_SOCKET;
            (*message).cmsg_type = libc::SCM_RIGHTS;
            (*message).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
            libc::CMSG_DATA(message).cast::<RawFd>().write_unaligned(fd);
        }
    }
    loop {
        // SAFETY: the header points to memory that lives through the call; the kernel only reads it.
        if unsafe { libc::sendmsg(socket, &header, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) } >= 0 {
            return Ok(());
        }
        match raw::errno() {
            libc::EINTR => {}
            errno => return Err(errno),
        }
    }
}

/// Receives one datagram without waiting.
pub(super) fn receive(socket: RawFd) -> Received {
    let mut packet: Packet = [0; 4];
    let mut control = Control([0; 24]);
    let mut part = libc::iovec { iov_base: packet.as_mut_ptr().cast(), iov_len: SIZE };
    let mut header = MaybeUninit::<libc::msghdr>::zeroed();
    // SAFETY: all zero is a valid msghdr.
    let header = unsafe { header.assume_init_mut() };
    header.msg_iov = &mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len() as _;
    loop {
        // SAFETY: the header points to memory that lives through the call, with its true sizes.
        let count = unsafe { libc::recvmsg(socket, header, libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC) };
        match count {
            0 => return Received::End,
            1.. => return Received::Packet(packet, received_fd(header)),
            _ => match raw::errno() {
                // The other end was closed before it had read everything: told once, ahead of what it had sent.
                libc::EINTR | libc::ECONNRESET => {}
                libc::EAGAIN | libc::ENOMEM | libc::ENOBUFS => return Received::Nothing,
                _ => return Received::End,
            },
        }
    }
}

fn received_fd(header: &libc::msghdr) -> RawFd {
    // SAFETY: the kernel filled the control buffer and its length; the macros stay within both.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(header);
        if message.is_null()
            || (*message).cmsg_level != libc::SOL_SOCKET
            || (*message).cmsg_type != libc::SCM_RIGHTS
            || (*message).cmsg_len < libc::CMSG_LEN(size_of::<RawFd>() as u32) as _
        {
            return -1;
        }
        libc::CMSG_DATA(message).cast::<RawFd>().read_unaligned()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn what_was_sent_before_the_end_comes_before_it_whatever_was_left_unread() {
        let (ours, theirs) = pair().unwrap();
        send(theirs.as_raw_fd(), [EXITED_LAST, 1, 2, 3], -1).unwrap();
        send(ours.as_raw_fd(), [RESUME, 0, 0, 0], -1).unwrap();
        drop(theirs);
        assert!(matches!(receive(ours.as_raw_fd()), Received::Packet([EXITED_LAST, 1, 2, 3], -1)));
        assert!(matches!(receive(ours.as_raw_fd()), Received::End));
        assert!(matches!(receive(ours.as_raw_fd()), Received::End));
    }
}
