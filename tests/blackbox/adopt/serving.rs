//! Clients of a port that somebody is to serve, sooner or later.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use crate::support::*;

/// A command that waits until it is told to go on, once for each time that it is started.
pub struct Held {
    gate: PathBuf,
}

impl Held {
    /// In the folder of this run.
    pub fn new(setup: &Setup) -> Held {
        Held { gate: setup.home().fifo("gate") }
    }

    /// The command, held at the gate.
    pub fn command(&self, command: &[&str]) -> Vec<String> {
        let gate = self.gate.display().to_string();
        let words = ["sh", "-c", "read word <\"$0\"; exec \"$@\"", &gate];
        words.iter().chain(command).map(|word| (*word).to_owned()).collect()
    }

    /// Lets the next one go on. Waits until it is there.
    pub fn release(&self) {
        std::fs::write(&self.gate, "go\n").unwrap();
    }
}

/// What is asked, and what an answer has in it.
#[derive(Clone, Copy)]
pub struct Protocol(pub &'static str, pub &'static str);

pub const HTTP: Protocol = Protocol("GET / HTTP/1.0\r\nHost: here\r\n\r\n", "200 OK");
pub const REDIS: Protocol = Protocol("PING\r\nQUIT\r\n", "+PONG");

/// A request that was sent.
pub struct Request(TcpStream, Protocol);

impl Request {
    /// Connects and asks.
    #[track_caller]
    pub fn send(address: SocketAddr, protocol: Protocol) -> Request {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(protocol.0.as_bytes()).unwrap();
        Request(stream, protocol)
    }

    /// Whether it was answered as it should be.
    pub fn answered(mut self) -> Result<(), String> {
        let mut answer = Vec::new();
        let read = self.0.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer).into_owned();
        if text.contains(self.1.1) { Ok(()) } else { Err(format!("{text:?} {read:?}")) }
    }
}

/// One request is answered.
#[track_caller]
pub fn ask(run: &mut Running, address: SocketAddr, protocol: Protocol) {
    let answered = Request::send(address, protocol).answered();
    assert!(answered.is_ok(), "{answered:?}; there was\n{}", run.show());
}

/// A service by this name with this port, which starts again at once.
pub fn flags(name: &str, port: &str) -> Vec<String> {
    let flags = [
        "--name",
        name,
        "--ready",
        "listen",
        "--start-timeout",
        "60s",
        "--restart",
        "always",
        "--backoff",
        "1ms..1ms",
        "--port",
        port,
    ];
    flags.iter().map(|flag| (*flag).to_owned()).collect()
}

/// How the port is treated in the end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Adopt,
    Capture,
}

/// The first connection, made before the program could listen, is answered, and 50 more; the program is killed, and what
/// is asked before the next one listens is answered by that. With `capture` there is no port before the first one.
#[track_caller]
pub fn serves(setup: Setup, mode: Mode, address: SocketAddr, protocol: Protocol, command: &[&str]) {
    let held = Held::new(&setup);
    let word = if mode == Mode::Adopt { "adopt" } else { "capture" };
    let mut run = setup.flags(flags("server", &format!("{address},{word}"))).command(held.command(command));
    run.err("server is starting");
    let early = (mode == Mode::Adopt).then(|| Request::send(reached(address), protocol));
    held.release();
    run.is_ready("server");
    if let Some(early) = early {
        let answered = early.answered();
        assert!(answered.is_ok(), "{answered:?}; there was\n{}", run.show());
    }
    for _ in 0..50 {
        ask(&mut run, reached(address), protocol);
    }
    run.kill_service();
    run.err("server is starting");
    let early = Request::send(reached(address), protocol);
    held.release();
    let answered = early.answered();
    assert!(answered.is_ok(), "{answered:?}; there was\n{}", run.show());
    run.is_ready("server");
    run.signal(Signal::SIGTERM);
    let ended = run.ended();
    // A JVM ends with a code of its own on TERM.
    assert!(matches!(ended.code, Some(0 | 143)), "{:?}; there was\n{}", ended.code, run.show());
    assert!(!ended.complains("falls back"), "{:#?}", ended.err);
    run.leaves_nothing();
}

/// Where a client finds it.
pub fn reached(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
