//! The measured programs' child: this program itself, in one of its roles.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Nanoseconds on `CLOCK_MONOTONIC`, which all processes share.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Says its pid and a number on one line, and waits for ever.
pub fn play(role: &str) {
    let number = if role == "notify" { notify() } else { now() };
    let _ = writeln!(std::io::stdout(), "{} {number}", std::process::id());
    loop {
        std::thread::park();
    }
}

/// Sends READY=1 and BARRIER=1, and tells how many nanoseconds it took until the barrier was lifted.
fn notify() -> u64 {
    let path = std::env::var("NOTIFY_SOCKET").expect("NOTIFY_SOCKET");
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let socket = UnixDatagram::unbound().expect("a socket");
    socket.connect_addr(&address.expect("an address")).expect("the launcher's socket");
    let (mut read, write) = std::io::pipe().expect("a pipe");
    let begun = now();
    socket.send(b"READY=1").expect("READY=1");
    send_with_descriptor(&socket, b"BARRIER=1", write.as_raw_fd());
    drop(write);
    let _ = std::io::Read::read(&mut read, &mut [0]);
    now() - begun
}

fn send_with_descriptor(socket: &UnixDatagram, message: &[u8], fd: i32) {
    let iov = libc::iovec { iov_base: message.as_ptr().cast_mut().cast(), iov_len: message.len() };
    let mut control = [0_u64; 8];
    // SAFETY: `control` is larger than the space for one descriptor and aligned for a header; all pointers live until
    // sendmsg(2) has returned.
    let sent = unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = (&raw const iov).cast_mut();
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = libc::CMSG_SPACE(4) as _;
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        (*first).cmsg_level = libc::SOL_SOCKET;
        (*first).cmsg_type = libc::SCM_RIGHTS;
        (*first).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(first).cast::<i32>().write_unaligned(fd);
        libc::sendmsg(socket.as_raw_fd(), &raw const header, 0)
    };
    assert!(sent > 0, "{}", std::io::Error::last_os_error());
}
