//! The main line: from the first thread of the first process along what that one waits for inside the service, to the
//! last link of the chain.

use crate::core::facts::{FdFacts, FileKind, FutexKind, ProcessName, WaitingOn, WatchedFacts};

use super::candidate::Grip;
use super::rules::{self, kernel};
use super::view::{Place, View};

/// One step of the chain.
pub struct Step<'a> {
    /// Who waits.
    pub from: Place<'a>,
    /// In what way: `waits in wait4() for the end of`.
    pub how: &'static str,
    /// For whom.
    pub to: Place<'a>,
}

/// The chain.
pub struct Line<'a> {
    /// Its steps, none when the first thread itself is the last link.
    pub steps: Vec<Step<'a>>,
    /// Its last link.
    pub end: Place<'a>,
}

impl<'a> Line<'a> {
    /// Follows the chain from where the service starts.
    pub fn of(view: &View<'a>) -> Option<Line<'a>> {
        let mut end = view.start()?;
        let mut seen = vec![end.thread.tid];
        let mut steps = Vec::new();
        // A stopped thread waits for nobody, whatever call it was stopped in.
        while kernel::stopped(view, &end).is_none() {
            let Some(step) = next(view, &end) else { break };
            // A circle has no last link: the one before it closes is as good as any.
            if seen.contains(&step.to.thread.tid) {
                break;
            }
            seen.push(step.to.thread.tid);
            end = step.to;
            steps.push(step);
        }
        Some(Line { steps, end })
    }

    /// The chain in words, a sentence for each step.
    pub fn told(&self) -> Vec<String> {
        self.steps.iter().map(|step| format!("{} {} {}", step.from.who(), step.how, step.to.who())).collect()
    }

    /// Whether it leads into another process.
    pub fn leaves_process(&self) -> bool {
        self.steps.iter().any(|step| step.from.process.pid != step.to.process.pid)
    }
}

fn next<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Step<'a>> {
    let step = |how, to| Some(Step { from: *place, how, to });
    let pid = place.process.pid;
    match place.wait() {
        Some(WaitingOn::Child { children }) => step("waits in wait4() for the end of", child(view, pid, children)?),
        Some(WaitingOn::Futex(futex)) if futex.kind == FutexKind::Join => {
            let to = futex.owner.and_then(|tid| view.thread(tid)).or_else(|| joined(view, place))?;
            step("waits in pthread_join() for the end of", to)
        }
        Some(WaitingOn::Input { file, .. }) if matches!(file.kind, FileKind::Pipe | FileKind::Fifo) => {
            step("reads a pipe that is written by", descendant(view, pid, &file.peers)?)
        }
        // Of a loop over epoll the pipes of children are but one part; `poll` and `select` are what reads from them.
        Some(WaitingOn::Poll { call, watched, .. }) if !call.starts_with("epoll") => {
            let held = rules::explain(view, place).is_some_and(|candidate| candidate.grip > Grip::Idle);
            let peers: Vec<ProcessName> = watched.iter().flat_map(pipe_peers).cloned().collect();
            if held { None } else { step("polls a pipe that is written by", descendant(view, pid, &peers)?) }
        }
        Some(WaitingOn::Receive { socket, .. }) => {
            step("waits for a message from", descendant(view, pid, &socket.peer_processes)?)
        }
        _ if kernel::waits_for_vfork(place.thread) => step("waits in vfork() for", child(view, pid, &[])?),
        _ => None,
    }
}

fn pipe_peers(watched: &WatchedFacts) -> &[ProcessName] {
    match &watched.what {
        FdFacts::File(file) if watched.read && matches!(file.kind, FileKind::Pipe | FileKind::Fifo) => &file.peers,
        _ => &[],
    }
}

/// The child that is waited for: of several, the one that is held the tightest.
fn child<'a>(view: &View<'a>, pid: i32, named: &[ProcessName]) -> Option<Place<'a>> {
    let by_name = named.iter().filter_map(|name| view.main(name.pid));
    let found: Vec<Place<'a>> = by_name.collect();
    if found.is_empty() {
        return tightest(view, view.children(pid).filter_map(|process| view.main(process.pid)));
    }
    tightest(view, found.into_iter())
}

/// The only other thread of the process, when it is not told which one is joined.
fn joined<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Place<'a>> {
    let mut others = view.places().filter(|other| other.process.pid == place.process.pid && !other.same(place));
    let only = others.next()?;
    others.next().is_none().then_some(only)
}

/// The descendant of a process among those at the other end of its pipe or socket.
fn descendant<'a>(view: &View<'a>, pid: i32, peers: &[ProcessName]) -> Option<Place<'a>> {
    // A pipeline's writer is often inherited further down: the process that is furthest down holds up the others.
    let below = peers.iter().filter(|peer| view.descends(peer.pid, pid)).filter_map(|peer| view.main(peer.pid));
    tightest(view, below)
}

fn tightest<'a>(view: &View<'a>, places: impl Iterator<Item = Place<'a>>) -> Option<Place<'a>> {
    let grip = |place: &Place<'a>| rules::explain(view, place).map_or(Grip::Idle, |candidate| candidate.grip);
    // `max_by_key` keeps the last of the equal: reversed, so that the first child wins.
    let mut places: Vec<Place<'a>> = places.collect();
    places.reverse();
    places.into_iter().max_by_key(grip)
}

/// A thread that sleeps for a while and will go on by itself.
pub fn sleeps(place: &Place<'_>) -> bool {
    match place.wait() {
        Some(WaitingOn::Sleep { .. }) => true,
        Some(WaitingOn::Poll { timeout, .. }) => timeout.is_some(),
        Some(WaitingOn::Futex(futex)) => futex.timeout_ms.is_some(),
        _ => false,
    }
}
