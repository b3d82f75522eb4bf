//! A service that hangs at its first start, the way many do: in a connection that is never answered.
//!
//! ```text
//! cargo build --example hangs
//! launcher run --ready notify --start-timeout 3s --restart on-failure -- ./hangs
//! ```
//!
//! The listener it connects to has a full backlog, as that of an overloaded database has: the kernel drops the SYN, and
//! `connect()` waits for minutes. From inside nothing is to be seen; the launcher says after 3 s that the service waits
//! in `connect()`, to which address, and in which line. Then it starts it again, and the second generation is ready.
#![allow(clippy::disallowed_methods, reason = "not part of the launcher")]

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

fn main() -> io::Result<()> {
    let first_start = std::env::var("LAUNCHER_GENERATION").map_or(true, |generation| generation == "1");
    if first_start {
        let (database, _others) = overloaded_database()?;
        println!("hangs: connecting to the database at {database}…");
        connect_to_database(database)?;
    }
    println!("hangs: connected");
    notify_ready()?;
    loop {
        std::thread::park();
    }
}

/// What does not come back.
fn connect_to_database(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect(address)
}

/// A listener whose queue is full and stays full: nobody accepts. It lives as long as this process.
fn overloaded_database() -> io::Result<(SocketAddr, Vec<TcpStream>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    // SAFETY: the descriptor is that of a listening socket; listen(2) again only makes its queue short.
    if unsafe { libc::listen(listener.as_raw_fd(), 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let address = listener.local_addr()?;
    let mut others = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        others.push(stream);
    }
    std::mem::forget(listener);
    Ok((address, others))
}

/// Says READY=1 (`sd_notify(3)`).
fn notify_ready() -> io::Result<()> {
    let Ok(path) = std::env::var("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match path.strip_prefix('@') {
        Some(name) => std::os::unix::net::SocketAddr::from_abstract_name(name)?,
        None => std::os::unix::net::SocketAddr::from_pathname(&path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address)?;
    Ok(())
}
