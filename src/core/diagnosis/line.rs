//! The main line: from the first thread of the first process along what that one waits for inside the service, to the
//! last link of the chain.

use std::collections::BTreeSet;

use crate::core::facts::{FdFacts, FileKind, Frame, FutexKind, ProcessName, WaitingOn, WatchedFacts};

use super::blocked;
use super::candidate::Grip;
use super::frames;
use super::rules::{self, connection, kernel};
use super::view::{Place, View};
use super::words;

/// So many tasks of an event loop are looked at for the one that holds it up.
const TASKS: usize = 2000;

/// One step of the chain.
pub struct Step<'a> {
    /// Who waits.
    pub from: Place<'a>,
    /// In what way: `waits in wait4() for the end of`.
    pub how: &'static str,
    /// For whom.
    pub to: Place<'a>,
    /// Whether it may wait for other things as well, as an event loop does.
    pub loose: bool,
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
        let mut seen = vec![end.key()];
        let mut steps = Vec::new();
        // A stopped thread waits for nobody, whatever call it was stopped in.
        while kernel::stopped(view, &end).is_none() {
            let Some(step) = next(view, &end) else { break };
            // A circle has no last link: the one before it closes is as good as any.
            if seen.contains(&step.to.key()) {
                break;
            }
            seen.push(step.to.key());
            end = step.to;
            steps.push(step);
        }
        Some(Line { steps, end })
    }

    /// The chain in words, a sentence for each step.
    pub fn told(&self) -> Vec<String> {
        let to = |step: &Step<'_>| match step.from.process.pid == step.to.process.pid || step.to.task.is_none() {
            true => step.to.who(),
            // What ends, or writes, is a process, not one of its goroutines.
            false => words::process(step.to.process),
        };
        self.steps.iter().map(|step| format!("{} {} {}", step.from.who(), step.how, to(step))).collect()
    }

    /// Whether a step of it is but one thing among others.
    pub fn is_loose(&self) -> bool {
        self.steps.iter().any(|step| step.loose)
    }

    /// Whether it leads into another process.
    pub fn leaves_process(&self) -> bool {
        self.steps.iter().any(|step| step.from.process.pid != step.to.process.pid)
    }
}

fn next<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Step<'a>> {
    let step = |how, to| Some(Step { from: *place, how, to, loose: false });
    let pid = place.process.pid;
    if let Some((tasks, what)) = place.awaits() {
        if let Some(to) = tightest(view, tasks.iter().filter_map(|id| view.task(pid, *id))) {
            return step("awaits", to);
        }
        if let Some(to) = executor(view, place) {
            return step("awaits what is done by", to);
        }
        // The loop hears of the child's end by a signal or from a thread, in which nothing else shows.
        if what.starts_with("Process.")
            && let Some(to) = child(view, pid, &[])
        {
            return step("awaits the end of", to);
        }
        return loop_of_children(view, place);
    }
    if place.task.is_none()
        && (matches!(place.wait(), Some(WaitingOn::Poll { .. })) || turns(place))
        && let Some(to) = tightest(view, not_awaited(view, pid))
    {
        return step("runs the event loop of", to);
    }
    // Runtimes wait for children by many calls: poll, epoll, a futex.
    if !matches!(place.wait(), Some(WaitingOn::Child { .. }))
        && blocked::waits_for_child(place)
        && let Some(to) = child(view, pid, &[])
    {
        return step("waits for the end of", to);
    }
    if let Some(to) = worker(view, place) {
        return Some(Step { from: *place, how: "waits for a result, and jobs are run by", to, loose: true });
    }
    match place.wait() {
        Some(WaitingOn::Child { children }) if is_in(place, "vfork") => {
            step("waits in vfork() for the exec or the end of", child(view, pid, children)?)
        }
        Some(WaitingOn::Child { children }) => step("waits in wait4() for the end of", child(view, pid, children)?),
        // How shells wait for their jobs: for SIGCHLD.
        Some(WaitingOn::Signal) if place.thread.syscall.as_deref().is_some_and(|call| call.contains("sigsuspend")) => {
            step("waits in sigsuspend() for", child(view, pid, &[])?)
        }
        Some(WaitingOn::Futex(futex)) if futex.kind == FutexKind::Join => {
            let to = futex.owner.and_then(|tid| view.thread(tid)).or_else(|| joined(view, place))?;
            step("waits in pthread_join() for the end of", to)
        }
        Some(WaitingOn::Input { file, .. }) if matches!(file.kind, FileKind::Pipe | FileKind::Fifo) => {
            step("reads a pipe that is written by", descendant(view, pid, &file.peers)?)
        }
        Some(WaitingOn::Poll { .. }) => loop_of_children(view, place),
        Some(WaitingOn::Futex(_)) if frames::passes_within(place.frames(), PARKED) => {
            step("waits for a task of its runtime, whose event loop is run by", driver(view, place)?)
        }
        // One that has not accepted the connection has no message to give, and one that sends holds nothing up.
        Some(WaitingOn::Receive { socket, .. }) if !socket.unaccepted && !connection::flows(view, socket) => {
            step("waits for a message from", descendant(view, pid, &socket.peer_processes)?)
        }
        _ if place.on_thread().is_some_and(kernel::waits_for_vfork) => {
            step("waits in vfork() for", child(view, pid, &[])?)
        }
        _ => None,
    }
}

/// Whether the kernel shows its thread in this call.
fn is_in(place: &Place<'_>, call: &str) -> bool {
    place.on_thread().is_some_and(|thread| thread.syscall.as_deref().is_some_and(|text| text.starts_with(call)))
}

/// Whether it is on a CPU in its event loop's own code, between two steps of the tasks.
fn turns(place: &Place<'_>) -> bool {
    let in_loop = |frame: &Frame| frame.function.as_deref().is_some_and(|name| name.ends_with("_run_once"));
    let on_cpu = place.thread.state == 'R' && place.wait().is_none();
    on_cpu && place.process.runtime == "cpython" && frames::above_users(place.frames()).iter().any(in_loop)
}

/// The thread of a pool that is held in the job it runs, for one that waits for the result of a job.
fn worker<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Place<'a>> {
    // In Python and Java, with a part of the file or of the whole name.
    const WAITS: [&str; 2] = ["Future.result", "java.util.concurrent.FutureTask.get"];
    const WORKS: [&str; 2] = ["_WorkItem.run", "java.util.concurrent.FutureTask.run"];
    let within = |place: &Place<'_>, names: &[&str], frames: &[Frame]| {
        place.task.is_none()
            && frames.iter().filter_map(|frame| frame.function.as_deref()).any(|name| names.contains(&name))
    };
    if !within(place, &WAITS, frames::above_users(place.frames())) {
        return None;
    }
    let works = |other: &Place<'a>| {
        other.process.pid == place.process.pid && !other.same(place) && within(other, &WORKS, other.frames())
    };
    let held = |other: &Place<'a>| rules::explain(view, other).is_some_and(|candidate| candidate.grip > Grip::Idle);
    tightest(view, view.places().filter(works).filter(held))
}

/// How tokio keeps the thread that it was started by.
const PARKED: &str = "tokio::runtime::park::";

/// The thread that runs the event loop of a parked one's runtime, if that loop waits for something in particular.
fn driver<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Place<'a>> {
    let pid = place.process.pid;
    let drives = |other: &Place<'a>| {
        let polls = matches!(other.wait(), Some(WaitingOn::Poll { .. }));
        polls && frames::passes_within(other.frames(), "tokio::runtime::")
    };
    let loops = view.places().filter(|other| other.process.pid == pid && !other.same(place) && drives(other));
    let driver = tightest(view, loops)?;
    let held = rules::explain(view, &driver).is_some_and(|candidate| candidate.grip > Grip::Idle);
    (held || loop_of_children(view, &driver).is_some()).then_some(driver)
}

/// The thread that does the work which a task awaits from its loop's executor.
fn executor<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Place<'a>> {
    const HANDED_OVER: [&str; 4] = ["getaddrinfo", "getnameinfo", "run_in_executor", "to_thread"];
    let pid = place.process.pid;
    let handed_over = |function: &str| HANDED_OVER.contains(&function.rsplit('.').next().unwrap_or(function));
    if !place.frames().iter().filter_map(|frame| frame.function.as_deref()).any(handed_over) {
        return None;
    }
    let threads = view.places().filter(|other| other.process.pid == pid && other.task.is_none() && !other.is_main());
    let held = |other: &Place<'a>| rules::explain(view, other).is_some_and(|candidate| candidate.grip > Grip::Idle);
    tightest(view, threads.filter(held))
}

/// From a loop that is idle but for what a child writes, or for its end.
fn loop_of_children<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Step<'a>> {
    let Some(WaitingOn::Poll { call, watched, .. }) = place.wait() else { return None };
    let peers: Vec<ProcessName> = watched.iter().flat_map(pipe_peers).cloned().collect();
    let to = descendant(view, place.process.pid, &peers)?;
    if rules::explain(view, place).is_some_and(|candidate| candidate.grip > Grip::Idle) {
        return None;
    }
    // Of a loop over epoll the pipes of children may be but one part; `poll` and `select` are what reads from them.
    let loose = call.starts_with("epoll");
    if loose && view.listens() {
        return None;
    }
    Some(Step { from: *place, how: "polls a pipe that is written by", to, loose })
}

/// The tasks of a process that no other one awaits: the others are reached through those.
fn not_awaited<'a>(view: &View<'a>, pid: i32) -> impl Iterator<Item = Place<'a>> {
    let awaited = |task: Place<'a>| {
        let own = task.task.map(|task| task.id);
        let others = task.awaits().map(|(tasks, _)| tasks).unwrap_or_default();
        others.iter().copied().filter(move |other| Some(*other) != own)
    };
    let awaited: BTreeSet<u64> = view.tasks(pid).flat_map(awaited).collect();
    view.tasks(pid).filter(move |place| place.task.is_some_and(|task| !awaited.contains(&task.id))).take(TASKS)
}

fn pipe_peers(watched: &WatchedFacts) -> &[ProcessName] {
    match &watched.what {
        FdFacts::File(file) if watched.read && matches!(file.kind, FileKind::Pipe | FileKind::Fifo) => &file.peers,
        // Node has sockets in the place of pipes.
        FdFacts::Socket(socket) if watched.read && socket.protocol.starts_with("unix") => &socket.peer_processes,
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
    // Of two that nothing holds a task that only sleeps for a while is what is waited for least.
    let naps = |place: &Place<'a>| place.awaits().is_some_and(|(_, what)| what == "sleep");
    let grip = |place: &Place<'a>| {
        let grip = rules::explain(view, place).map_or(Grip::Idle, |candidate| candidate.grip);
        (grip, !naps(place))
    };
    // `max_by_key` keeps the last of the equal: reversed, so that the first child wins.
    let mut places: Vec<Place<'a>> = places.collect();
    places.reverse();
    places.into_iter().max_by_key(grip)
}

/// A thread that sleeps for a while and will go on by itself.
pub fn sleeps(view: &View<'_>, place: &Place<'_>) -> bool {
    match place.wait() {
        Some(WaitingOn::Channels { .. }) => blocked::may_be_timer(view, place),
        Some(WaitingOn::Sleep { .. }) => true,
        Some(WaitingOn::Poll { timeout, .. }) => timeout.is_some(),
        Some(WaitingOn::Futex(futex)) => futex.timeout_ms.is_some(),
        _ => false,
    }
}
