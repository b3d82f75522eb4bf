//! Locks in memory: `lock-cycle`, `lock-wait`, `channel-wait`.

use crate::core::facts::{FutexFacts, FutexKind, WaitingOn};

use super::super::candidate::{Candidate, Grip};
use super::super::view::{Place, View};
use super::super::{Cause, Confidence, words};
use super::connection::stack;

/// Circles longer than this are not looked for: nobody could read them, and the search would take long.
const LONGEST_CIRCLE: usize = 64;

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
    let futex = futex(place)?;
    match (futex.kind, owner(futex)) {
        (FutexKind::Join, _) => None,
        (_, Some(owner)) => match view.thread(owner) {
            Some(holder) => Some(held(view, place, futex, &holder)),
            None => Some(abandoned(place, futex, owner)),
        },
        (FutexKind::Mutex | FutexKind::RwLock | FutexKind::Lock, None) => Some(nameless(view, place, futex)),
        _ => None,
    }
}

/// Whom a thread waits for, where that is one thread and known.
fn edge<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Edge<'a>> {
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
        _ => None,
    }
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
        let lock = place.wait().map(lock_name).unwrap_or_default();
        std::iter::once(format!("{} waits{}{lock}; the owner is read from the lock", place.number(), place.in_frame()))
    });
    let names: Vec<String> = circle.iter().map(|place| place.thread.tid.to_string()).collect();
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

fn lock_name(wait: &WaitingOn) -> String {
    match wait {
        WaitingOn::Futex(FutexFacts { kind: FutexKind::Join, .. }) => " for a thread's end".to_owned(),
        WaitingOn::Futex(futex) => format!(" for the lock at {:#x}", futex.address),
        WaitingOn::FileLock { path: Some(path), .. } => format!(" for the lock on {path}"),
        _ => String::new(),
    }
}

/// The holder is known and does something else.
fn held(view: &View<'_>, place: &Place<'_>, futex: &FutexFacts, holder: &Place<'_>) -> Candidate {
    let doing = doing(view, holder);
    let summary = format!(
        "{}{} {} for the lock held by {}{}, which {doing}",
        place.number(),
        place.in_frame(),
        place.has_waited(),
        holder.number(),
        holder.in_frame(),
    );
    let confidence = if is_proven(futex.kind) { Confidence::Certain } else { Confidence::Likely };
    Candidate::new(Cause::LockWait, confidence, Grip::Hard, summary)
        .at(place)
        .target(format!("the lock at {:#x}, held by {}", futex.address, holder.number()))
        .evidence(format!("the owner in the lock at {:#x} is {}", futex.address, holder.thread.tid))
        .evidence(format!("{} {doing}", holder.number()))
        .evidence_all(holder.thread.syscall.as_ref().map(|call| format!("{} is in {call}", holder.number())))
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
        Some(WaitingOn::Input { file, .. }) => format!("reads {}", words::file(file)),
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
        Some(WaitingOn::Poll { call, .. }) => format!("is in {call}()"),
        Some(WaitingOn::Signal) => "waits for a signal".to_owned(),
        Some(WaitingOn::Entropy) => "waits for random numbers".to_owned(),
        Some(WaitingOn::Ipc { call } | WaitingOn::Other { call }) => format!("is in {call}()"),
        None => state(place),
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
    let summary = format!(
        "{}{} {} for a lock held by thread {owner}, which has ended without releasing it",
        place.number(),
        place.in_frame(),
        place.has_waited()
    );
    Candidate::new(Cause::LockWait, Confidence::Likely, Grip::Hard, summary)
        .at(place)
        .target(format!("the lock at {:#x}", futex.address))
        .evidence(format!(
            "the owner in the lock at {:#x} is {owner}, which is no thread of this service",
            futex.address
        ))
        .evidence_all(stack(place))
        .advice("release the lock on every way out of the thread that takes it")
        .advice("a lock shared between processes wants PTHREAD_MUTEX_ROBUST")
}

/// A lock that does not tell its owner.
fn nameless(view: &View<'_>, place: &Place<'_>, futex: &FutexFacts) -> Candidate {
    let pid = place.process.pid;
    let alone = view.places().filter(|other| other.process.pid == pid).count() == 1;
    let waiters: Vec<Place<'_>> =
        view.places().filter(|other| other.process.pid == pid && is_nameless(other)).collect();
    let all = waiters.len() > 1 && waiters.len() == view.places().filter(|other| other.process.pid == pid).count();
    let different = waiters.iter().any(|other| self::futex(other).is_some_and(|other| other.address != futex.address));
    let no_owner = "locks of this kind record no owner, so who holds it cannot be read";
    let summary = format!("{}{} {} for a lock", place.number(), place.in_frame(), place.has_waited());
    let candidate = if alone && futex.timeout_ms.is_none() {
        let summary = format!("{summary} that no other thread could release: it is the only one of its process");
        Candidate::new(Cause::LockCycle, Confidence::Likely, Grip::Hard, summary)
            .advice("do not take a lock twice in one thread")
    } else if all && different {
        let summary = format!(
            "{summary}, and so do all {} threads of its process: they seem to wait for each other",
            waiters.len()
        );
        Candidate::new(Cause::LockCycle, Confidence::Possible, Grip::Hard, summary)
            .advice("take locks in the same order everywhere")
    } else {
        let summary = format!("{summary}; who holds it cannot be read");
        Candidate::new(Cause::LockWait, Confidence::Possible, Grip::Hard, summary)
            .advice("look at the stacks of the other threads for the one that holds it: launcher report")
    };
    candidate
        .at(place)
        .target(format!("the lock at {:#x}", futex.address))
        .evidence(format!("it is in a wait of a lock at {:#x}", futex.address))
        .evidence(no_owner)
        .evidence_all(stack(place))
}

fn is_nameless(place: &Place<'_>) -> bool {
    let kinds = [FutexKind::Mutex, FutexKind::RwLock, FutexKind::Lock];
    futex(place).is_some_and(|futex| futex.owner.is_none_or(|owner| owner <= 0) && kinds.contains(&futex.kind))
}

fn futex<'a>(place: &Place<'a>) -> Option<&'a FutexFacts> {
    match place.wait()? {
        WaitingOn::Futex(futex) => Some(futex),
        _ => None,
    }
}

/// A condition, semaphore, queue or message that somebody has yet to signal.
pub fn condition<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let (what, timed) = match place.wait()? {
        WaitingOn::Futex(futex) => (futex_name(futex.kind), futex.timeout_ms.is_some()),
        WaitingOn::Ipc { call } => (call.as_str(), false),
        _ => return None,
    };
    let pid = place.process.pid;
    let others: Vec<Place<'_>> = view.places().filter(|other| other.process.pid == pid && !other.same(place)).collect();
    let unknown = futex(place).is_some_and(|futex| futex.kind == FutexKind::Unknown);
    // A runtime parks its main thread while its event loop runs elsewhere: that loop says more.
    if unknown && others.iter().any(|other| matches!(other.wait(), Some(WaitingOn::Poll { .. }))) {
        return None;
    }
    let asleep = |other: &Place<'_>| futex(other).is_some_and(|futex| futex.timeout_ms.is_none());
    let nobody = !timed && matches!(place.wait(), Some(WaitingOn::Futex(_))) && others.iter().all(asleep);
    let (confidence, grip, why) = match (nobody, others.len()) {
        (true, 0) => (Confidence::Likely, Grip::Weak, "there is no other thread that could signal it"),
        (true, _) => (Confidence::Likely, Grip::Weak, "every other thread of the process waits so too"),
        (false, _) => (Confidence::Possible, Grip::Idle, "it has not been signalled"),
    };
    let summary = format!("{}{} {} on {what}: {why}", place.who(), place.in_frame(), place.has_waited());
    Some(
        Candidate::new(Cause::ChannelWait, confidence, grip, summary)
            .at(place)
            .target(what)
            .evidence(format!("the kernel shows it asleep on {what}"))
            .evidence(format!(
                "the process has {} other threads, {} of them asleep so",
                others.len(),
                others.iter().filter(|other| asleep(other)).count()
            ))
            .evidence_all(stack(place))
            .advice("look for who should have sent, signalled or finished: did that thread end, or never start?"),
    )
}

fn futex_name(kind: FutexKind) -> &'static str {
    match kind {
        FutexKind::Condition => "a condition variable",
        FutexKind::Semaphore => "a semaphore",
        FutexKind::Join => "the end of another thread",
        FutexKind::Mutex | FutexKind::RwLock | FutexKind::Lock => "a lock",
        FutexKind::Unknown => "a futex (a channel, a queue, a condition or a parked thread)",
    }
}
