//! Clients of a port that somebody is to serve, sooner or later.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::overlap::{Clients, begin, done, end};
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
        Request::try_to_send(address, protocol).unwrap()
    }

    fn try_to_send(address: SocketAddr, protocol: Protocol) -> std::io::Result<Request> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(protocol.0.as_bytes())?;
        Ok(Request(stream, protocol))
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

/// What becomes of requests that a program has in hand when it is told to stop.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It answers them first.
    Answers,
    /// It drops them, and what it accepts while it stops: no launcher can help that.
    Drops,
    /// It closes what others wait at: sockets of its own beside the one that it was given, or, by shutdown(2), the one that
    /// all generations have. Mode `share` is for the former; nothing is for the latter.
    Closes,
}

/// A real server, and how it is asked.
pub struct Server {
    pub setup: Setup,
    pub mode: Mode,
    /// What it binds.
    pub address: SocketAddr,
    pub protocol: Protocol,
    pub manner: Manner,
    /// By which it ends what it has begun; TERM otherwise.
    pub stop_signal: Option<&'static str>,
}

impl Server {
    /// One of HTTP that answers what it has begun.
    pub fn new(setup: Setup, mode: Mode, address: SocketAddr) -> Server {
        Server { setup, mode, address, protocol: HTTP, manner: Manner::Answers, stop_signal: None }
    }

    /// One that drops what it has begun.
    pub fn drops(self) -> Server {
        Server { manner: Manner::Drops, ..self }
    }

    /// One that closes what others wait at.
    pub fn closes(self) -> Server {
        Server { manner: Manner::Closes, ..self }
    }

    /// One that is told by this signal to end when it has answered.
    pub fn stopped_by(self, signal: &'static str) -> Server {
        Server { stop_signal: Some(signal), ..self }
    }

    /// The first connection, made before the program could listen, is answered, and 50 more; a restart under load, in which
    /// both generations run, refuses no one; then the program is killed, and what is asked before the next one listens is
    /// answered by that. With `capture` there is no port before the first one.
    #[track_caller]
    pub fn serves(self, command: &[&str]) {
        let Server { setup, mode, address, protocol, manner, stop_signal } = self;
        let held = Held::new(&setup);
        let word = if mode == Mode::Adopt { "adopt" } else { "capture" };
        let mut flags = flags("server", &format!("{address},{word}"));
        flags.extend(stop_signal.iter().flat_map(|signal| ["--stop-signal".to_owned(), (*signal).to_owned()]));
        let mut run = setup.flags(flags).command(held.command(command));
        run.err("server is starting");
        let early = (mode == Mode::Adopt).then(|| Request::send(reached(address), protocol));
        held.release();
        run.is_ready("server");
        if let Some(early) = early {
            is_answered(&mut run, early);
        }
        for _ in 0..50 {
            ask(&mut run, reached(address), protocol);
        }
        if manner != Manner::Closes {
            restarts_under_load(&mut run, &held, address, protocol, manner);
        }
        run.kill_service();
        run.err("server is starting");
        let early = Request::send(reached(address), protocol);
        held.release();
        is_answered(&mut run, early);
        run.is_ready("server");
        run.signal(Signal::SIGTERM);
        let ended = run.ended();
        // A JVM ends with a code of its own on TERM.
        assert!(matches!(ended.code, Some(0 | 143)), "{:?}; there was\n{}", ended.code, run.show());
        assert!(!ended.complains("falls back"), "{:#?}", ended.err);
        run.leaves_nothing();
    }
}

#[track_caller]
fn is_answered(run: &mut Running, early: Request) {
    let answered = early.answered();
    assert!(answered.is_ok(), "{answered:?}; there was\n{}", run.show());
}

#[track_caller]
fn restarts_under_load(run: &mut Running, held: &Held, address: SocketAddr, protocol: Protocol, manner: Manner) {
    let address = reached(address);
    let stopping = Arc::new(AtomicBool::new(false));
    let is_stopping = stopping.clone();
    let clients = Clients::asking(move || {
        // When it was asked it may not have been told to stop yet, and have ended when the answer does not come.
        let stopped_then = is_stopping.load(Ordering::SeqCst);
        let request = Request::try_to_send(address, protocol).map_err(|problem| {
            // Nobody is ever refused, whatever the program drops.
            assert_ne!(problem.kind(), std::io::ErrorKind::ConnectionRefused);
            problem.to_string()
        });
        let answered = request.and_then(Request::answered);
        let may_drop = manner == Manner::Drops && (stopped_then || is_stopping.load(Ordering::SeqCst));
        match answered {
            Err(_) if may_drop => Ok("dropped".to_owned()),
            answered => answered.map(|()| "answered".to_owned()),
        }
    });
    stopping.store(true, Ordering::SeqCst);
    let restart = begin(run, &["restart", "server"]);
    held.release();
    done(&end(restart));
    run.err_ever("generation 1 of server has stopped");
    stopping.store(false, Ordering::SeqCst);
    ask(run, address, protocol);
    assert!(clients.answers(run).iter().any(|answer| answer == "answered"));
}

/// Where a client finds it.
pub fn reached(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
