//! Asking a launcher by HTTP, with nothing in between: bytes out, bytes in.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use super::{PATIENCE, Running};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The status line and the headers, in lower case.
    pub head: String,
    /// What comes after.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn of(bytes: &[u8]) -> Answer {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Answer { code: code.unwrap_or_else(|| panic!("{head}")), head: head.to_lowercase(), body: body.to_owned() }
    }
}

/// Sends this text to the control socket and reads the answer to its end.
#[track_caller]
pub fn raw_unix(socket: &Path, text: &str) -> Answer {
    exchange(connect(socket), text)
}

/// A connection to the control socket.
#[track_caller]
pub fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A request to the control socket.
#[track_caller]
pub fn unix(socket: &Path, method: &str, target: &str) -> Answer {
    raw_unix(socket, &format!("{method} {target} HTTP/1.0\r\n\r\n"))
}

/// A request to an address.
#[track_caller]
pub fn tcp(address: SocketAddr, method: &str, target: &str) -> Answer {
    raw_tcp(address, &format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n\r\n"))
}

/// Sends this text to an address and reads the answer to its end.
#[track_caller]
pub fn raw_tcp(address: SocketAddr, text: &str) -> Answer {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    exchange(stream, text)
}

#[track_caller]
fn exchange(mut stream: impl Read + Write, text: &str) -> Answer {
    stream.write_all(text.as_bytes()).unwrap();
    Answer::of(&until_end(&mut stream))
}

/// All that comes until the connection ends, or is reset.
pub fn until_end(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return bytes,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return bytes,
            Err(error) => panic!("{error}; there was {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
}

/// What a command has written, and its exit code.
#[derive(Debug)]
pub struct Told {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Running {
    /// Waits until the control socket is open, which a launcher with `log_level = "debug"` tells, and says where it is.
    #[track_caller]
    pub fn control_socket(&mut self) -> std::path::PathBuf {
        let line = self.err_ever("launcher is controlled at ");
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        json["path"].as_str().unwrap().into()
    }

    /// Runs another command of the launcher in the folder of this run, to its end.
    #[track_caller]
    pub fn command(&self, words: &[&str]) -> Told {
        Told::of(&mut self.command_as(env!("CARGO_BIN_EXE_launcher"), words))
    }

    /// The same, to be changed or started otherwise.
    pub fn command_as(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(words).current_dir(self.home().path()).env("XDG_RUNTIME_DIR", self.home().runtime());
        command.env("XDG_STATE_HOME", self.home().join("state"));
        command
    }
}

impl Told {
    #[track_caller]
    pub fn of(command: &mut Command) -> Told {
        let output = command.stdin(std::process::Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Told { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}
