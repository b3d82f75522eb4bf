//! The facts with an index over them: threads and processes by number, parents and children, listeners.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use ::core::net::SocketAddr;

use crate::core::facts::{
    Facts, FileFacts, FileKind, ProcessFacts, ProcessName, SocketFacts, TaskFacts, ThreadFacts, WaitingOn, WatchedFacts,
};
use crate::core::settings::Listen;

use super::asleep::Asleep;
pub use super::place::{Place, share};

/// The facts, indexed.
pub struct View<'a> {
    /// All of them.
    pub facts: &'a Facts,
    processes: BTreeMap<i32, &'a ProcessFacts>,
    threads: BTreeMap<i32, Place<'a>>,
    asleep: RefCell<BTreeMap<i32, Rc<Asleep<'a>>>>,
}

impl<'a> View<'a> {
    /// Indexes the facts.
    pub fn new(facts: &'a Facts) -> View<'a> {
        let processes = facts.processes.iter().map(|process| (process.pid, process)).collect();
        let threads = threads(facts).map(|place| (place.thread.tid, place)).collect();
        View { facts, processes, threads, asleep: RefCell::default() }
    }

    /// Every thread that still runs code, and every task of the program. Threads of a runtime that spreads its tasks over
    /// them are left out where the tasks are known.
    pub fn places(&self) -> impl Iterator<Item = Place<'a>> + use<'a> {
        threads(self.facts).filter(|place| !carries_tasks(place.process)).chain(tasks(self.facts))
    }

    /// What the threads and tasks of a process are blocked in, worked out once.
    pub fn asleep(&self, pid: i32) -> Rc<Asleep<'a>> {
        let known = self.asleep.borrow().get(&pid).cloned();
        known.unwrap_or_else(|| {
            let asleep = Rc::new(Asleep::of(self.places().filter(|place| place.process.pid == pid)));
            self.asleep.borrow_mut().insert(pid, Rc::clone(&asleep));
            asleep
        })
    }

    /// The task of a process with this number.
    pub fn task(&self, pid: i32, id: u64) -> Option<Place<'a>> {
        let process = self.process(pid)?;
        tasks_of(process).find(|place| place.task.is_some_and(|task| task.id == id))
    }

    /// The tasks of a process that belong to the program.
    pub fn tasks(&self, pid: i32) -> impl Iterator<Item = Place<'a>> + use<'a> {
        self.process(pid).into_iter().flat_map(tasks_of)
    }

    /// The process with this number, if it belongs to the service.
    pub fn process(&self, pid: i32) -> Option<&'a ProcessFacts> {
        self.processes.get(&pid).copied()
    }

    /// The thread with this number, if it belongs to the service.
    pub fn thread(&self, tid: i32) -> Option<Place<'a>> {
        self.threads.get(&tid).copied()
    }

    /// Where the service's main line starts: the main function of its first living process.
    pub fn start(&self) -> Option<Place<'a>> {
        self.facts.processes.iter().find_map(main_of)
    }

    /// Where the main function of a process of the service runs.
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

fn threads(facts: &Facts) -> impl Iterator<Item = Place<'_>> {
    facts
        .processes
        .iter()
        .filter(|process| !process.zombie)
        .flat_map(|process| process.threads.iter().map(move |thread| Place::of_thread(process, thread)))
        .filter(|place| !matches!(place.thread.state, 'Z' | 'X'))
}

fn tasks(facts: &Facts) -> impl Iterator<Item = Place<'_>> {
    facts.processes.iter().filter(|process| !process.zombie).flat_map(tasks_of)
}

/// Tasks of the program, not of its runtime, of which it is known where they stand: not those of Rust, whose records only
/// tell what they run (`futures`).
fn tasks_of(process: &ProcessFacts) -> impl Iterator<Item = Place<'_>> {
    let place = move |task| Some(Place { process, thread: thread_of(process, task)?, task: Some(task) });
    let stand = process.tasks.iter().filter(|task| !task.system && !super::futures::are_of(process));
    stand.filter_map(place)
}

/// The thread that runs a task, or the one that stands for the process.
fn thread_of<'a>(process: &'a ProcessFacts, task: &TaskFacts) -> Option<&'a ThreadFacts> {
    let runs = task.thread.and_then(|tid| process.threads.iter().find(|thread| thread.tid == tid));
    runs.or_else(|| main_thread(process).map(|place| place.thread))
}

/// Whether its threads only carry its tasks: goroutines go from one to another.
fn carries_tasks(process: &ProcessFacts) -> bool {
    process.runtime == "go" && !process.tasks.is_empty()
}

/// Where the main function of a process runs: goroutine 1, the JVM's thread `main`, or the first thread.
fn main_of(process: &ProcessFacts) -> Option<Place<'_>> {
    if carries_tasks(process)
        && let Some(main) = tasks_of(process).find(Place::is_main)
    {
        return Some(main);
    }
    if process.runtime == "jvm"
        && let Some(main) = process.threads.iter().find(|thread| thread.runtime_name.as_deref() == Some("main"))
    {
        return Some(Place::of_thread(process, main));
    }
    main_thread(process)
}

/// The first thread of a process, or, when that one has ended, the next.
fn main_thread(process: &ProcessFacts) -> Option<Place<'_>> {
    if process.zombie {
        return None;
    }
    let alive = || process.threads.iter().filter(|thread| !matches!(thread.state, 'Z' | 'X'));
    let thread = alive().find(|thread| thread.tid == process.pid).or_else(|| alive().next())?;
    Some(Place::of_thread(process, thread))
}
