//! Asking a launcher by its control socket. HTTP/1.0, so that a body ends with the connection and has no frames.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

/// How long a launcher that lives may take to answer what it can answer at once.
pub const SOON: Duration = Duration::from_secs(5);

/// The most that the head of an answer may hold, in bytes.
const LARGEST_HEAD: usize = 16 * 1024;

/// The most that is read of an answer that is read whole, in bytes.
const LARGEST: u64 = 1 << 30;

/// What a launcher has answered.
#[derive(Debug)]
pub struct Answered {
    /// The status code.
    pub code: u16,
    /// What of the body came with the head.
    begin: Vec<u8>,
    stream: UnixStream,
}

impl Answered {
    /// The whole body as text.
    ///
    /// # Errors
    /// Of reading it; when it is not UTF-8.
    pub fn text(self) -> io::Result<String> {
        let mut bytes = self.begin;
        self.stream.take(LARGEST).read_to_end(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| io::Error::other("the answer is not UTF-8"))
    }

    /// The connection, which is no HTTP any more, and what of it came with the head.
    pub fn into_connection(self) -> (UnixStream, Vec<u8>) {
        (self.stream, self.begin)
    }

    /// Passes the body on as it comes, until it ends, as it does with the launcher.
    ///
    /// # Errors
    /// Of writing.
    pub fn pass_on(mut self, to: &mut dyn Write) -> io::Result<()> {
        // Where that fails it ends sooner than it might.
        let _ = self.stream.set_read_timeout(None);
        to.write_all(&self.begin)?;
        to.flush()?;
        let mut piece = vec![0; 64 * 1024];
        loop {
            match self.stream.read(&mut piece) {
                Ok(length) if length > 0 => {
                    to.write_all(&piece[..length])?;
                    to.flush()?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => return Ok(()),
            }
        }
    }
}

/// Asks, and waits for the head of the answer for so long at most; for ever when `limit` is absent.
///
/// # Errors
/// Of connecting (nobody is there any more: `ConnectionRefused`), of the connection, and `WouldBlock` or `TimedOut` when
/// the time is over.
pub fn ask(socket: &Path, method: &str, target: &str, limit: Option<Duration>) -> io::Result<Answered> {
    exchange(socket, &format!("{method} {target} HTTP/1.0\r\n\r\n"), limit)
}

/// Asks that the connection becomes one of this protocol: it has, if the answer's code is 101.
///
/// # Errors
/// As of [`ask`].
pub fn upgrade(socket: &Path, target: &str, protocol: &str) -> io::Result<Answered> {
    let head =
        format!("POST {target} HTTP/1.1\r\nHost: launcher\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n");
    exchange(socket, &head, Some(SOON))
}

fn exchange(socket: &Path, head: &str, limit: Option<Duration>) -> io::Result<Answered> {
    let connection = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Also how long a connect waits for room when nobody lets anybody in.
    connection.set_write_timeout(Some(SOON))?;
    connection.set_read_timeout(limit)?;
    connection.connect(&SockAddr::unix(socket)?)?;
    let mut stream = UnixStream::from(OwnedFd::from(connection));
    stream.write_all(head.as_bytes())?;
    let mut begin = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece)?;
        begin.extend_from_slice(&piece[..length]);
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&begin) {
            Ok(httparse::Status::Complete(head)) => {
                let code = response.code.unwrap_or_default();
                begin.drain(..head);
                return Ok(Answered { code, begin, stream });
            }
            Ok(httparse::Status::Partial) if length > 0 && begin.len() < LARGEST_HEAD => {}
            Ok(httparse::Status::Partial) if begin.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => return Err(io::Error::other("what answers there is no launcher")),
        }
    }
}
