//! Facts made by hand for tests, as a dump would record them.

mod random;

use std::time::Duration;

use crate::core::facts::{
    Facts, FdFacts, FileFacts, FileKind, Frame, FutexFacts, FutexKind, ListenerFacts, ListeningFacts, Occasion,
    PortFacts, ProcessFacts, ProcessName, Samples, SocketFacts, ThreadFacts, WaitingOn, WatchedFacts,
};
use crate::core::settings::{Listen, PortMode};

pub use random::random;

/// A service called `api` that missed its start deadline of 30 s.
pub fn facts(processes: Vec<ProcessFacts>) -> Facts {
    let mut facts = Facts::new("api", Occasion::StartTimeout);
    facts.command = vec!["./api".to_owned()];
    facts.elapsed = Duration::from_millis(30_004);
    facts.start_timeout = Duration::from_secs(30);
    facts.processes = processes;
    facts
}

/// A process; its threads' first has its pid.
pub fn process(pid: i32, parent: i32, command: &str, threads: Vec<ThreadFacts>) -> ProcessFacts {
    let command = command.split(' ').map(str::to_owned).collect();
    ProcessFacts { pid, parent, command, runtime: "native".to_owned(), threads, ..ProcessFacts::default() }
}

/// A sleeping thread that has waited 29.8 s.
pub fn thread(tid: i32, name: &str, waiting_on: Option<WaitingOn>) -> ThreadFacts {
    let waited = Some(Duration::from_millis(29_800));
    ThreadFacts { tid, name: name.to_owned(), state: 'S', waiting_on, waited, ..ThreadFacts::default() }
}

/// The only process, pid 4711, with one thread.
pub fn single(waiting_on: WaitingOn) -> Facts {
    let mut thread = thread(4711, "api", Some(waiting_on));
    thread.frames = stack("init_redis", "main.c", 42);
    facts(vec![process(4711, 4700, "./api", vec![thread])])
}

/// libc's frame, and the user's own below it.
pub fn stack(function: &str, file: &str, line: u32) -> Vec<Frame> {
    let inner = Frame {
        function: Some("__GI___syscall".to_owned()),
        module: Some("/usr/lib/x86_64-linux-gnu/libc.so.6".to_owned()),
        address: 0x7f00_0000_1000,
        ..Frame::default()
    };
    vec![inner, frame(function, file, line)]
}

pub fn frame(function: &str, file: &str, line: u32) -> Frame {
    Frame {
        function: Some(function.to_owned()),
        file: Some(format!("/src/app/{file}")),
        line: Some(line),
        module: Some("/srv/api".to_owned()),
        address: 0x40_1000 + u64::from(line),
        ..Frame::default()
    }
}

pub fn socket(state: &str, peer: &str) -> SocketFacts {
    SocketFacts {
        protocol: "tcp".to_owned(),
        inode: 77,
        state: state.to_owned(),
        local: Some("127.0.0.1:45678".to_owned()),
        peer: (!peer.is_empty()).then(|| peer.to_owned()),
        ..SocketFacts::default()
    }
}

pub fn connecting(peer: &str) -> WaitingOn {
    WaitingOn::Connect { fd: 7, socket: SocketFacts { retransmits: Some(4), ..socket("syn-sent", peer) } }
}

pub fn listener(queued: u32, backlog: u32, pid: i32) -> ListenerFacts {
    ListenerFacts { listens: true, queued, backlog, processes: vec![named(pid, "redis-server")] }
}

pub fn named(pid: i32, name: &str) -> ProcessName {
    ProcessName { pid, name: name.to_owned() }
}

pub fn futex(kind: FutexKind, address: u64, owner: Option<i32>) -> WaitingOn {
    WaitingOn::Futex(FutexFacts { address, kind, owner, timeout_ms: None })
}

pub fn child(pid: i32, name: &str) -> WaitingOn {
    WaitingOn::Child { children: vec![named(pid, name)] }
}

pub fn sleeping(seconds: u64) -> WaitingOn {
    WaitingOn::Sleep { duration: Some(Duration::from_secs(seconds)) }
}

pub fn file(kind: FileKind, path: &str) -> FileFacts {
    FileFacts { kind, path: path.to_owned(), peers_complete: true, ..FileFacts::default() }
}

pub fn polling(call: &str, watched: Vec<WatchedFacts>) -> WaitingOn {
    WaitingOn::Poll { call: call.to_owned(), timeout: None, watched }
}

pub fn watched(fd: i32, write: bool, what: FdFacts) -> WatchedFacts {
    WatchedFacts { fd, read: !write, write, what }
}

pub fn eventfd() -> WatchedFacts {
    watched(4, false, FdFacts::File(file(FileKind::Anonymous, "anon_inode:[eventfd]")))
}

pub fn listening(address: &str, pid: i32) -> ListeningFacts {
    ListeningFacts { listen: Listen::Tcp(address.parse().unwrap()), pid }
}

pub fn port(address: &str, listening: bool) -> PortFacts {
    PortFacts {
        name: "http".to_owned(),
        listen: Listen::Tcp(address.parse().unwrap()),
        mode: PortMode::Reserve,
        listening,
        owner: None,
    }
}

/// A counter that grew by so much within 100 ms.
pub fn grew(by: u64) -> Samples {
    Samples { first: 1000, second: Some(1000 + by), apart: Duration::from_millis(100) }
}

/// Two threads that wait for each other's mutex, below a main thread that joins the first.
pub fn deadlock() -> Facts {
    let mut main = thread(4711, "api", Some(futex(FutexKind::Join, 0x10, Some(4712))));
    main.frames = stack("main", "deadlock.c", 60);
    let mut a = thread(4712, "worker_a", Some(futex(FutexKind::Mutex, 0x6020, Some(4713))));
    a.frames = stack("lock_b", "deadlock.c", 23);
    let mut b = thread(4713, "worker_b", Some(futex(FutexKind::Mutex, 0x6000, Some(4712))));
    b.frames = stack("lock_a", "deadlock.c", 31);
    facts(vec![process(4711, 4700, "./api", vec![main, a, b])])
}
