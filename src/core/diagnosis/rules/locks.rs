//! Locks in memory, of the C library and of runtimes: `lock-cycle`, `lock-wait`.

use crate::core::facts::{FutexFacts, FutexKind, WaitingOn, WatchedFacts};

use super::super::blocked::{self, Blocked, Kind};

use super::super::candidate::{Candidate, Grip};
use super::super::place::Place;
use super::super::view::{View, socket_of};
use super::super::{Cause, Confidence, words};
use super::connection::stack;
use super::polling;

/// Circles longer than this are not looked for: nobody could read them, and the search would take long.
const LONGEST_CIRCLE: usize = 64;

/// How the lock of a class that is being initialised is called; its name follows.
const INITIALIZATION: &str = "initialization of ";

/// One link of the waits-for graph.
struct Edge<'a> {
    /// Who is waited for.
    to: Place<'a>,
    /// Whether it is for a lock that one holds, not for its end.
    lock: bool,
    /// Whether it is sure that this is whom it waits for.
    proven: bool,
}

/// The owner in a lock's memory. Conditions and semaphores have none, whatever stands in that place.
fn owner(futex: &FutexFacts) -> Option<i32> {
    match futex.kind {
        FutexKind::Condition | FutexKind::Semaphore => None,
        _ => futex.owner.filter(|owner| *owner > 0),
    }
}

/// Whether a futex is known to be of a kind that has its owner in it: else the number may be another thing.
fn is_proven(kind: FutexKind) -> bool {
    matches!(kind, FutexKind::Mutex | FutexKind::RwLock | FutexKind::Lock | FutexKind::Join)
}

/// A wait for a lock whose owner is known, or of a kind that has one.
pub fn lock<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    if let Some(candidate) = cycle(view, place) {
        return Some(candidate);
    }
    // What is known of a file's lock and its holder is told as that.
    let in_memory = !matches!(place.wait(), Some(WaitingOn::FileLock { .. }));
    if let Some(edge) = edge(view, place).filter(|edge| in_memory && edge.lock && !edge.to.same(place)) {
        return Some(held(view, place, &edge));
    }
    if let Some(futex) = futex(place).filter(|futex| futex.kind != FutexKind::Join)
        && let Some(owner) = owner(futex)
    {
        let told = if was_forked(view, place) { forked } else { abandoned };
        return Some(told(place, futex, owner));
    }
    let blocked = blocked::of(place).filter(|blocked| blocked.kind == Kind::Lock)?;
    Some(nameless(view, place, &blocked))
}

/// Whom a thread waits for, where that is one thread and known.
fn edge<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Edge<'a>> {
    if let Some(edge) = runtime_edge(view, place) {
        return Some(edge);
    }
    match place.wait()? {
        WaitingOn::Futex(futex) => {
            let to = view.thread(owner(futex)?)?;
            Some(Edge { to, lock: futex.kind != FutexKind::Join, proven: is_proven(futex.kind) })
        }
        WaitingOn::FileLock { holders, .. } => {
            let [holder] = holders.as_slice() else { return None };
            let process = view.process(holder.pid)?;
            // Which of several threads will let go of it is not known.
            let [_] = process.threads.as_slice() else { return None };
            let to = view.main(holder.pid).filter(|to| !to.same(place))?;
            Some(Edge { to, lock: true, proven: true })
        }
        WaitingOn::RuntimeLock { owner, owner_task, .. } => {
            let task = owner_task.and_then(|id| view.task(place.process.pid, id));
            let to = task.or_else(|| view.thread((*owner)?))?;
            Some(Edge { to, lock: true, proven: true })
        }
        _ => None,
    }
}

/// The thread of the same process that holds the lock which the runtime says this one waits for.
fn runtime_edge<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Edge<'a>> {
    let wanted = blocked::wanted_lock(place)?;
    if let Some(class) = wanted.class.strip_prefix(INITIALIZATION) {
        return initializer(view, place, class);
    }
    // `Object.wait()` names the monitor too, but waits to be told, not for its release.
    blocked::of(place).filter(|blocked| blocked.kind == Kind::Lock)?;
    let holds = |other: &Place<'_>| other.thread.locks.iter().any(|lock| lock.held && lock.address == wanted.address);
    let threads = place.process.threads.iter().map(|thread| Place::of_thread(place.process, thread));
    let to = threads.into_iter().find(holds).and_then(|holder| view.thread(holder.thread.tid))?;
    Some(Edge { to, lock: true, proven: true })
}

/// The thread that initialises a class: its static initializer runs there, and nowhere else until it has ended.
fn initializer<'a>(view: &View<'a>, place: &Place<'a>, class: &str) -> Option<Edge<'a>> {
    let runs = format!("{class}.<clinit>");
    let is_it = |other: &Place<'_>| other.frames().iter().any(|frame| frame.function.as_deref() == Some(&runs));
    let threads = place.process.threads.iter().map(|thread| Place::of_thread(place.process, thread));
    let to = threads.into_iter().find(|other| is_it(other) && !other.same(place))?;
    Some(Edge { to: view.thread(to.thread.tid)?, lock: true, proven: true })
}

/// The circle that this thread is part of, if it waits for one that waits, in the end, for it.
pub fn cycle<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let mut circle = vec![*place];
    let mut locks = Vec::new();
    let mut proven = true;
    let mut current = *place;
    loop {
        let edge = edge(view, &current)?;
        locks.push(edge.lock);
        proven &= edge.proven;
        if edge.to.same(place) {
            break;
        }
        // A circle further on, of which this thread is no part, is told where it is.
        if circle.len() == LONGEST_CIRCLE || circle.iter().any(|seen| seen.same(&edge.to)) {
            return None;
        }
        circle.push(edge.to);
        current = edge.to;
    }
    // Threads that only join each other hold no lock.
    let confidence = if proven { Confidence::Certain } else { Confidence::Likely };
    locks.contains(&true).then(|| cycle_candidate(&circle, &locks, confidence))
}

fn cycle_candidate(circle: &[Place<'_>], locks: &[bool], confidence: Confidence) -> Candidate {
    let next = |index: usize| &circle[(index + 1) % circle.len()];
    let told = |index: usize| {
        let place = &circle[index];
        let other = next(index);
        let what = if locks[index] { "the lock held by" } else { "the end of" };
        let whom = if circle.len() == 1 { "itself".to_owned() } else { other.number() };
        format!("{}{} waits for {what} {whom}", place.number(), place.in_frame())
    };
    let steps: Vec<String> = (0..circle.len()).map(told).collect();
    let summary = match steps.as_slice() {
        [alone] => format!("deadlock: {alone}"),
        [first, rest @ ..] => format!("deadlock: {first}, and {}", rest.join(", and ")),
        [] => "deadlock".to_owned(),
    };
    let stacks = circle.iter().flat_map(|place| {
        let from = if blocked::wanted_lock(place).is_some() { "told by its runtime" } else { "read from the lock" };
        let lock = lock_name(place);
        std::iter::once(format!("{} waits{}{lock}; the owner is {from}", place.number(), place.in_frame()))
    });
    let names: Vec<String> = circle.iter().map(Place::short).collect();
    let candidate = Candidate::new(Cause::LockCycle, confidence, Grip::Firm, summary)
        .at(&circle[0])
        .target(names.join(" -> "))
        .evidence_all(stacks);
    match circle.len() {
        1 => candidate.advice("do not take a lock twice in one thread, or make the mutex recursive"),
        _ => candidate
            .advice("take these locks in the same order everywhere")
            .advice("or release the first before the second is taken"),
    }
}

fn lock_name(place: &Place<'_>) -> String {
    if let Some(lock) = blocked::wanted_lock(place) {
        if lock.class.starts_with(INITIALIZATION) {
            return format!(" for the {}", lock.class);
        }
        return format!(" for the lock {:#x} of a {}", lock.address, lock.class);
    }
    match place.wait() {
        Some(WaitingOn::Futex(FutexFacts { kind: FutexKind::Join, .. })) => " for a thread's end".to_owned(),
        Some(WaitingOn::Futex(FutexFacts { address, .. }) | WaitingOn::RuntimeLock { address, .. }) => {
            format!(" for the lock at {address:#x}")
        }
        Some(WaitingOn::FileLock { path: Some(path), .. }) => format!(" for the lock on {path}"),
        _ => String::new(),
    }
}

/// The holder is known and does something else.
fn held(view: &View<'_>, place: &Place<'_>, edge: &Edge<'_>) -> Candidate {
    let holder = &edge.to;
    let doing = doing(view, holder);
    let lock = lock_name(place);
    let lock = lock.trim_start_matches(" for ");
    let summary = format!(
        "{}{} {} for the lock held by {}{}, which {doing}",
        place.number(),
        place.in_frame(),
        place.has_waited(),
        holder.number(),
        holder.in_frame(),
    );
    let confidence = if edge.proven { Confidence::Certain } else { Confidence::Likely };
    Candidate::new(Cause::LockWait, confidence, Grip::Hard, summary)
        .at(place)
        .target(format!("{lock}, held by {}", holder.number()))
        .evidence(format!("the owner of {lock} is {}", holder.number()))
        .evidence(format!("{} {doing}", holder.number()))
        .evidence_all(
            holder.call().map(|call| format!("{} is in {}", holder.number(), call.replace("system call: ", ""))),
        )
        .evidence_all(stack(place))
        .advice(format!("look at what {} does while it holds the lock{}", holder.number(), holder.in_frame()))
        .advice("do not wait for anything slow while a lock is held")
}

/// What a thread does, in few words.
pub fn doing(view: &View<'_>, place: &Place<'_>) -> String {
    match place.wait() {
        Some(WaitingOn::Connect { socket, .. }) => format!("is in connect() to {}", words::peer(socket)),
        Some(WaitingOn::Receive { socket, .. }) => format!("waits for data from {}", words::peer(socket)),
        Some(WaitingOn::Send { socket, .. }) => format!("waits to send to {}", words::peer(socket)),
        Some(WaitingOn::Accept { .. }) => "waits for a connection to accept".to_owned(),
        Some(WaitingOn::Input { file, .. }) => {
            awaited_event(place).unwrap_or_else(|| format!("reads {}", words::file(file)))
        }
        Some(WaitingOn::Output { file, .. }) => format!("writes to {}", words::file(file)),
        Some(WaitingOn::Open { path }) => format!("opens {path}"),
        Some(WaitingOn::Sleep { duration: Some(time) }) => format!("sleeps for {}", words::span(*time)),
        Some(WaitingOn::Sleep { duration: None }) => "sleeps".to_owned(),
        Some(WaitingOn::Child { children }) if !children.is_empty() => {
            format!("waits for the end of {}", words::processes(children))
        }
        Some(WaitingOn::Child { .. }) => "waits for a child".to_owned(),
        Some(WaitingOn::FileLock { path, .. }) => {
            format!("waits for the lock on {}", path.as_deref().unwrap_or("a file"))
        }
        Some(WaitingOn::Futex(futex)) => match futex.owner.and_then(|owner| view.thread(owner)) {
            Some(other) if futex.kind == FutexKind::Join => format!("waits for the end of {}", other.number()),
            Some(other) => format!("waits for a lock held by {}", other.number()),
            None => "waits on a futex".to_owned(),
        },
        Some(WaitingOn::Poll { call, watched, .. }) => polls(place, call, watched),
        Some(WaitingOn::Signal) => "waits for a signal".to_owned(),
        Some(WaitingOn::Entropy) => "waits for random numbers".to_owned(),
        Some(WaitingOn::Channels { .. }) => "waits on a channel".to_owned(),
        Some(WaitingOn::RuntimeLock { class, .. }) => format!("waits for a {class}"),
        Some(WaitingOn::Tasks { what, .. }) => format!("awaits {what}"),
        Some(WaitingOn::Ipc { call } | WaitingOn::Other { call }) => format!("is in {call}()"),
        None => state(place),
    }
}

/// What it waits for, where it reads what is there to tell of something: an eventfd, a timer, a queue.
pub fn awaited_event(place: &Place<'_>) -> Option<String> {
    let Some(WaitingOn::Input { file, .. }) = place.wait() else { return None };
    words::event(file, place.on_thread().and_then(|thread| thread.syscall.as_deref()))
}

/// Many libraries poll for the one socket that they then read.
fn polls(place: &Place<'_>, call: &str, watched: &[WatchedFacts]) -> String {
    let mut outside = polling::outside(place, watched);
    let (first, others) = (outside.next(), outside.next());
    match first.and_then(socket_of).filter(|_| others.is_none()) {
        Some(socket) if polling::is_pending(socket) => format!("connects to {}", words::peer(socket)),
        Some(socket) if socket.peer.is_some() => format!("waits for data from {}", words::peer(socket)),
        _ => format!("is in {call}()"),
    }
}

fn state(place: &Place<'_>) -> String {
    match place.thread.state {
        'R' => "is running".to_owned(),
        'T' | 't' => "is stopped".to_owned(),
        'D' => "is in uninterruptible sleep".to_owned(),
        _ => "does something that could not be read".to_owned(),
    }
}

/// The thread that took it is gone, or belongs to another program that shares the memory.
fn abandoned(place: &Place<'_>, futex: &FutexFacts, owner: i32) -> Candidate {
    let held = format!("held by thread {owner}, which has ended without releasing it");
    ownerless(place, futex, &held, &format!("{owner}, which is no thread of this service"))
        .advice("release the lock on every way out of the thread that takes it")
        .advice("a lock shared between processes wants PTHREAD_MUTEX_ROBUST")
}

/// A copy of a process has the locks of all its threads, but not the threads.
fn forked(place: &Place<'_>, futex: &FutexFacts, owner: i32) -> Candidate {
    let held = format!("that thread {owner} held when its process was forked: that thread is none of this one");
    ownerless(place, futex, &held, &format!("{owner}, which is no thread of its process"))
        .advice("do not fork while other threads run, or let the child call nothing but exec")
}

/// A lock whose owner is there no more: how it is held, and who that was.
fn ownerless(place: &Place<'_>, futex: &FutexFacts, held: &str, owner: &str) -> Candidate {
    let summary = format!("{}{} {} for a lock {held}", place.number(), place.in_frame(), place.has_waited());
    Candidate::new(Cause::LockWait, Confidence::Likely, Grip::Hard, summary)
        .at(place)
        .target(format!("the lock at {:#x}", futex.address))
        .evidence(format!("the owner in the lock at {:#x} is {owner}", futex.address))
        .evidence_all(stack(place))
}

/// A lock that does not tell its owner.
fn nameless(view: &View<'_>, place: &Place<'_>, blocked: &Blocked) -> Candidate {
    let here = view.asleep(place.process.pid);
    let (all, wanted) = (here.all.len(), here.in_untimed_locks);
    // Where the addresses are not known, two that wait may well wait for the same lock.
    let different = here.locks.iter().any(|lock| lock.is_none() || *lock != blocked.address);
    let stuck = here.asleep == all && !blocked.timed;
    let what = &blocked.what;
    let summary = format!("{}{} {} for {what}", place.number(), place.in_frame(), place.has_waited());
    let candidate = if stuck && all == 1 && was_forked(view, place) {
        let summary = format!("{summary} that no thread of its process has: it was taken before the fork, it seems");
        Candidate::new(Cause::LockWait, Confidence::Likely, Grip::Hard, summary)
            .advice("do not fork while other threads run, or let the child call nothing but exec")
    } else if stuck && all == 1 {
        let summary = format!("{summary} that nothing else could release: nothing else runs in its process");
        Candidate::new(Cause::LockCycle, Confidence::Likely, Grip::Hard, summary)
            .advice("do not take a lock twice in one thread")
    } else if stuck && wanted > 1 && different {
        let summary = format!("{summary}; {wanted} wait so in its process, it seems for each other");
        let found = Candidate::new(Cause::LockCycle, Confidence::Possible, Grip::Hard, summary);
        return lock_facts(view, place, blocked, found)
            .advice("take locks in the same order everywhere")
            .target(everyone_in_locks(view, place));
    } else if stuck && here.joins && wanted == 1 {
        let summary = format!("{summary}, and what waits for its end seems to hold it");
        Candidate::new(Cause::LockCycle, Confidence::Possible, Grip::Hard, summary)
            .advice("do not wait for the end of a thread while holding a lock that it takes")
    } else {
        let summary = format!("{summary}; who holds it cannot be read");
        Candidate::new(Cause::LockWait, Confidence::Possible, Grip::Hard, summary)
            .advice("look at the stacks of the other threads for the one that holds it: launcher report")
    };
    lock_facts(view, place, blocked, candidate)
}

/// Whether its process is a copy of one with several threads, of which only the one that forked lives on in it.
fn was_forked(view: &View<'_>, place: &Place<'_>) -> bool {
    let parent = view.process(place.process.parent);
    parent.is_some_and(|parent| parent.threads.len() > 1 && parent.command == place.process.command)
}

/// The names of all of its process that wait for locks, as a circle's members are told.
fn everyone_in_locks(view: &View<'_>, place: &Place<'_>) -> String {
    let here = view.asleep(place.process.pid);
    here.lockers().take(LONGEST_CIRCLE).map(|(other, _)| other.short()).collect::<Vec<_>>().join(" -> ")
}

fn lock_facts(view: &View<'_>, place: &Place<'_>, blocked: &Blocked, candidate: Candidate) -> Candidate {
    let what = &blocked.what;
    let at = blocked.address.map(|address| format!(" at {address:#x}")).unwrap_or_default();
    let others = waiting_in_locks(view, place);
    candidate
        .at(place)
        .target(format!("{what}{at}"))
        .evidence(format!("it is in a wait of {what}{at}"))
        .evidence("locks of this kind record no owner, so who holds it cannot be read")
        .evidence_all(stack(place))
        .evidence_all(others)
}

/// Others of its process that wait for locks too: at most three.
fn waiting_in_locks(view: &View<'_>, place: &Place<'_>) -> Vec<String> {
    let here = view.asleep(place.process.pid);
    let others = here.lockers().filter(|(other, _)| !other.same(place)).take(3);
    others
        .map(|(other, blocked)| format!("{} waits{} for {}", other.number(), other.in_frame(), blocked.what))
        .collect()
}

fn futex<'a>(place: &Place<'a>) -> Option<&'a FutexFacts> {
    match place.wait()? {
        WaitingOn::Futex(futex) => Some(futex),
        _ => None,
    }
}
