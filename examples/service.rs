//! A service that plays along: it takes over the socket it is passed, says when it is ready, and answers HTTP.
//!
//! ```text
//! cargo build --example service
//! launcher run --port 127.0.0.1:8080,pass --ready notify --start-timeout 3s --restart on-failure -- ./service
//! curl http://127.0.0.1:8080/        # hello from generation 1, pid 4711
//! curl http://127.0.0.1:8080/crash   # it aborts; the launcher starts it again
//! curl http://127.0.0.1:8080/        # hello from generation 2, pid 4712
//! ```
//!
//! The listening socket belongs to the launcher. A connection made while the service starts, or starts again, waits in
//! its queue and is answered by the next generation: nobody is refused.
#![allow(clippy::disallowed_methods, reason = "not part of the launcher")]

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::FromRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

fn main() -> io::Result<()> {
    let listener = match passed_listener() {
        Some(listener) => listener,
        // Without a launcher it binds for itself.
        None => TcpListener::bind(("127.0.0.1", env::var("PORT").map_or(8080, |port| port.parse().unwrap_or(8080))))?,
    };
    notify("STATUS=warming up")?;
    notify(&format!("READY=1\nSTATUS=serving on {}", listener.local_addr()?))?;
    for stream in listener.incoming() {
        // A client that goes away is no reason to end.
        if let Err(error) = stream.and_then(|stream| answer(&stream)) {
            eprintln!("service: {error}");
        }
    }
    Ok(())
}

/// The first passed socket (`sd_listen_fds(3)`): descriptor 3, if LISTEN_PID is this process.
fn passed_listener() -> Option<TcpListener> {
    let own_pid = env::var("LISTEN_PID").ok()? == std::process::id().to_string();
    let count: u32 = env::var("LISTEN_FDS").ok()?.parse().ok()?;
    // SAFETY: LISTEN_PID and LISTEN_FDS say that descriptor 3 was passed to this process; nobody else here takes it.
    (own_pid && count > 0).then(|| unsafe { TcpListener::from_raw_fd(3) })
}

/// Sends a message to whoever started this program, if it wants to know (`sd_notify(3)`).
fn notify(message: &str) -> io::Result<()> {
    let Ok(path) = env::var("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address)?;
    Ok(())
}

fn answer(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // The rest of the head is of no interest, but must be read.
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    if request.starts_with("GET /crash") {
        std::process::abort();
    }
    let generation = env::var("LAUNCHER_GENERATION").unwrap_or_else(|_| "none".into());
    let body = format!("hello from generation {generation}, pid {}\n", std::process::id());
    let mut stream = stream;
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
