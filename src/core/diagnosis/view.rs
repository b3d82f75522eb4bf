//! The facts with an index over them: threads and processes by number, parents and children, listeners.

use std::collections::BTreeMap;
use std::time::Duration;

use ::core::net::SocketAddr;

use crate::core::facts::{
    Facts, FileFacts, FileKind, ProcessFacts, ProcessName, SocketFacts, ThreadFacts, WaitingOn, WatchedFacts,
};
use crate::core::settings::Listen;

use super::{VerdictFrame, frames, words};

/// One thread in its process: where something waits.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The process.
    pub process: &'a ProcessFacts,
    /// Its thread.
    pub thread: &'a ThreadFacts,
}

impl<'a> Place<'a> {
    /// What the thread waits on, as far as the kernel shows it.
    pub fn wait(&self) -> Option<&'a WaitingOn> {
        self.thread.waiting_on.as_ref()
    }

    /// Whether it is its process's first thread.
    pub fn is_main(&self) -> bool {
        self.thread.tid == self.process.pid
    }

    /// The innermost frame of the user's own code.
    pub fn frame(&self) -> Option<VerdictFrame> {
        frames::users(&self.thread.frames)
    }

    /// The thread for a sentence: `api (pid 4711)`, or ``thread 4712 `worker` of api (pid 4711)``.
    pub fn who(&self) -> String {
        match (self.is_main(), self.process.threads.len()) {
            (true, 0 | 1) => words::process(self.process),
            (true, _) => format!("the main thread of {}", words::process(self.process)),
            (false, _) => format!("{} of {}", self.number(), words::process(self.process)),
        }
    }

    /// The thread alone: ``thread 4712 `worker` ``.
    pub fn number(&self) -> String {
        match self.thread.name.as_str() {
            "" => format!("thread {}", self.thread.tid),
            name => format!("thread {} `{name}`", self.thread.tid),
        }
    }

    /// ` in lock_b() at deadlock.c:23`, or nothing when no frame of the user's own is known.
    pub fn in_frame(&self) -> String {
        self.frame().map(|frame| format!(" in {}", words::frame(&frame))).unwrap_or_default()
    }

    /// `has waited 29.8 s`, or `waits` when it is not known how long.
    pub fn has_waited(&self) -> String {
        match self.thread.waited {
            Some(time) => format!("has waited {}", words::span(time)),
            None => "waits".to_owned(),
        }
    }

    /// The share of one CPU that it used between the samples, if two were taken far enough apart to say.
    pub fn cpu_share(&self) -> Option<f64> {
        share(self.thread.cpu.growth()?, self.thread.cpu.apart)
    }

    /// The share of the time between the samples in which it ran or waited for a free CPU: near 1 for one that computes
    /// without a pause, however many others want the CPU.
    pub fn runnable_share(&self) -> Option<f64> {
        let queued = self.thread.queued.growth().unwrap_or(0);
        share(self.thread.cpu.growth()?.saturating_add(queued), self.thread.cpu.apart)
    }

    /// Whether it is the same thread.
    pub fn same(&self, other: &Place<'_>) -> bool {
        self.thread.tid == other.thread.tid && self.process.pid == other.process.pid
    }
}

/// `millis` as a share of `apart`. The kernel counts CPU time in ticks of 10 ms, so less than 20 ms tells nothing.
pub fn share(millis: u64, apart: Duration) -> Option<f64> {
    (apart >= Duration::from_millis(20)).then(|| millis as f64 / (apart.as_secs_f64() * 1000.0))
}

/// The facts, indexed.
pub struct View<'a> {
    /// All of them.
    pub facts: &'a Facts,
    processes: BTreeMap<i32, &'a ProcessFacts>,
    threads: BTreeMap<i32, Place<'a>>,
}

impl<'a> View<'a> {
    /// Indexes the facts.
    pub fn new(facts: &'a Facts) -> View<'a> {
        let processes = facts.processes.iter().map(|process| (process.pid, process)).collect();
        let threads = places(facts).map(|place| (place.thread.tid, place)).collect();
        View { facts, processes, threads }
    }

    /// Every thread that still runs code.
    pub fn places(&self) -> impl Iterator<Item = Place<'a>> + use<'a> {
        places(self.facts)
    }

    /// The process with this number, if it belongs to the service.
    pub fn process(&self, pid: i32) -> Option<&'a ProcessFacts> {
        self.processes.get(&pid).copied()
    }

    /// The thread with this number, if it belongs to the service.
    pub fn thread(&self, tid: i32) -> Option<Place<'a>> {
        self.threads.get(&tid).copied()
    }

    /// Where the service's main line starts: the first thread of its first living process.
    pub fn start(&self) -> Option<Place<'a>> {
        self.facts.processes.iter().find_map(main_of)
    }

    /// The main thread of a process of the service.
    pub fn main(&self, pid: i32) -> Option<Place<'a>> {
        main_of(self.process(pid)?)
    }

    /// The living children of a process.
    pub fn children(&self, pid: i32) -> impl Iterator<Item = &'a ProcessFacts> + use<'a> {
        self.facts
            .processes
            .iter()
            .filter(move |process| process.parent == pid && process.pid != pid && !process.zombie)
    }

    /// Whether a process descends from another one.
    pub fn descends(&self, pid: i32, from: i32) -> bool {
        let mut current = pid;
        // Bounded: facts may claim a circle of parents.
        for _ in 0..self.facts.processes.len() {
            match self.process(current) {
                Some(process) if process.parent == from => return true,
                Some(process) => current = process.parent,
                None => return false,
            }
        }
        false
    }

    /// Sockets that the service itself listens on, wherever that was seen: not those that were only passed to it.
    pub fn listens_on(&self) -> Vec<&'a Listen> {
        let passed = |listen: &Listen| {
            self.facts.ports.iter().any(|port| {
                port.mode == crate::core::settings::PortMode::Pass
                    && covers(listen, &port.listen)
                    && !self.serves(listen)
            })
        };
        let mut found: Vec<&Listen> = Vec::new();
        for listening in &self.facts.listening {
            if !found.contains(&&listening.listen) && !passed(&listening.listen) {
                found.push(&listening.listen);
            }
        }
        found
    }

    /// Whether the service listens on anything at all.
    pub fn listens(&self) -> bool {
        !self.listens_on().is_empty()
            || self.places().any(|place| matches!(place.wait(), Some(WaitingOn::Accept { .. })))
    }

    /// Whether some thread accepts, or polls for, connections on this address.
    pub fn serves(&self, listen: &Listen) -> bool {
        let is_it = |socket: &SocketFacts| socket.state == "listen" && local_is(socket, listen);
        self.places().any(|place| match place.wait() {
            Some(WaitingOn::Accept { socket, .. }) => local_is(socket, listen),
            Some(WaitingOn::Poll { watched, .. }) => watched.iter().filter_map(socket_of).any(is_it),
            _ => false,
        })
    }
}

/// The socket that is watched, if it is one.
pub fn socket_of(watched: &WatchedFacts) -> Option<&SocketFacts> {
    match &watched.what {
        crate::core::facts::FdFacts::Socket(socket) => Some(socket),
        crate::core::facts::FdFacts::File(_) => None,
    }
}

/// Whether a pipe or socket only leads back to its own process: how event loops wake themselves.
pub fn only_itself(peers: &[ProcessName], pid: i32) -> bool {
    !peers.is_empty() && peers.iter().all(|peer| peer.pid == pid)
}

/// Whether a file is of the kinds by which a program wakes itself: eventfd, timerfd, signalfd, its own pipe.
pub fn wakes_itself(file: &FileFacts, pid: i32) -> bool {
    match file.kind {
        FileKind::Anonymous => true,
        FileKind::Pipe => only_itself(&file.peers, pid),
        _ => false,
    }
}

/// Whether who listens on `actual` also serves `declared`: the same, or the wildcard of its family, or of both.
pub fn covers(actual: &Listen, declared: &Listen) -> bool {
    let within = |actual: &SocketAddr, declared: &SocketAddr| {
        let wildcard = actual.ip().is_unspecified() && (actual.is_ipv6() || declared.is_ipv4());
        actual.port() == declared.port() && (actual.ip() == declared.ip() || wildcard)
    };
    match (actual, declared) {
        (Listen::Tcp(actual), Listen::Tcp(declared)) | (Listen::Udp(actual), Listen::Udp(declared)) => {
            within(actual, declared)
        }
        (Listen::Unix(actual), Listen::Unix(declared)) => actual == declared,
        _ => false,
    }
}

fn local_is(socket: &SocketFacts, listen: &Listen) -> bool {
    let Some(local) = &socket.local else { return false };
    match listen {
        Listen::Tcp(address) | Listen::Udp(address) => local.parse::<SocketAddr>().is_ok_and(|local| local == *address),
        Listen::Unix(path) => std::path::Path::new(local) == path,
    }
}

fn places(facts: &Facts) -> impl Iterator<Item = Place<'_>> {
    facts
        .processes
        .iter()
        .filter(|process| !process.zombie)
        .flat_map(|process| process.threads.iter().map(move |thread| Place { process, thread }))
        .filter(|place| !matches!(place.thread.state, 'Z' | 'X'))
}

/// The first thread of a process, or, when that one has ended, the next.
fn main_of(process: &ProcessFacts) -> Option<Place<'_>> {
    if process.zombie {
        return None;
    }
    let alive = || process.threads.iter().filter(|thread| !matches!(thread.state, 'Z' | 'X'));
    let thread = alive().find(|thread| thread.tid == process.pid).or_else(|| alive().next())?;
    Some(Place { process, thread })
}
