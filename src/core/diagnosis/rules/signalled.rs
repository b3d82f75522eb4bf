//! Waiting for another part of the program that does nothing: `channel-wait`.

use std::time::Duration;

use crate::core::facts::{FutexKind, WaitingOn};

use super::super::asleep::{Asleep, is_programs};
use super::super::blocked::{self, Blocked, Kind};
use super::super::candidate::{Candidate, Grip};
use super::super::frames;
use super::super::place::Place;
use super::super::view::View;
use super::super::{Cause, Confidence, words};
use super::connection::stack;

/// A sleep of a task that is no step of something longer.
const LONG_SLEEP: Duration = Duration::from_secs(5);

/// A channel, condition, semaphore, queue or message that somebody has yet to signal.
pub fn signalled<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let mut blocked = blocked::of(place)?;
    blocked.timed |= blocked::may_be_timer(view, place);
    // A JVM that did not tell its stacks in time shows nobody of the program, whoever runs. One that did has threads of
    // its own, which wait for work, and the one that started it, which waits for its end.
    let untold =
        place.process.runtime == "jvm" && place.process.threads.iter().all(|thread| thread.runtime_state.is_none());
    if !is_programs(place) && !untold {
        return None;
    }
    let here = view.asleep(place.process.pid);
    let (own, own_asleep) = (usize::from(is_programs(place)), usize::from(is_programs(place) && !blocked.timed));
    let others = here.programs.saturating_sub(own);
    let asleep = here.programs_asleep.saturating_sub(own_asleep);
    // A runtime parks its main thread while its event loop runs elsewhere: that loop says more.
    let unknown = matches!(place.wait(), Some(WaitingOn::Futex(futex)) if futex.kind == FutexKind::Unknown);
    if unknown && !blocked.told && here.poll > 0 {
        return None;
    }
    let nobody = !blocked.timed && asleep == others && !untold;
    let others_in_locks = here.in_locks.saturating_sub(usize::from(blocked.kind == Kind::Lock));
    let (confidence, grip, why) = match (nobody, others) {
        _ if blocked.forever => (Confidence::Certain, Grip::Hard, "nothing can end this wait"),
        // A library's own thread may have the connection that the wait is about.
        (true, _) if library_watches(view, place) => (Confidence::Possible, Grip::Idle, "it has not been signalled"),
        // The lock that another waits for says more.
        (true, _) if others_in_locks > 0 => (Confidence::Possible, Grip::Weak, "it has not been signalled"),
        // The kernel has it for all processes.
        (true, _) if matches!(place.wait(), Some(WaitingOn::Ipc { .. })) => {
            (Confidence::Likely, Grip::Soft, "neither this process nor another one has ended the wait")
        }
        (true, 0) => (Confidence::Likely, Grip::Soft, "there is nothing else in the process that could end the wait"),
        (true, _) => (Confidence::Likely, Grip::Soft, "everything else in the process waits so too"),
        (false, _) => (Confidence::Possible, Grip::Idle, "it has not been signalled"),
    };
    let what = &blocked.what;
    let summary = format!("{}{} {} on {what}: {why}", place.who(), place.in_frame(), place.has_waited());
    Some(
        candidate(place, &blocked, confidence, grip, summary)
            .evidence(match others {
                0 => "nothing else in the process runs code".to_owned(),
                1 => format!(
                    "the process has one other that runs code, {} asleep so",
                    if asleep == 0 { "not" } else { "also" }
                ),
                _ => format!("the process has {others} others that run code, {} of them asleep so", asleep.min(others)),
            })
            .evidence_all(also(&here, place)),
    )
}

/// Whether a thread that runs none of the program's code watches what may bring something from outside.
fn library_watches(view: &View<'_>, place: &Place<'_>) -> bool {
    if place.process.runtime != "jvm" {
        return false;
    }
    let here = view.places().filter(|other| other.process.pid == place.process.pid && !is_programs(other));
    let mut watched = here.filter_map(|other| match other.wait() {
        Some(WaitingOn::Poll { watched, .. }) => Some(super::polling::outside(&other, watched).next().is_some()),
        _ => None,
    });
    watched.any(|outside| outside)
}

/// What a few of the others are blocked in.
fn also(here: &Asleep<'_>, place: &Place<'_>) -> Vec<String> {
    let others = here.all.iter().filter(|(other, _)| !other.same(place) && is_programs(other)).take(3);
    let told = |(other, blocked): &(Place<'_>, Option<Blocked>)| {
        Some(format!("{} waits{} on {}", other.number(), other.in_frame(), blocked.as_ref()?.what))
    };
    others.filter_map(told).collect()
}

/// A task that awaits what no task and no descriptor will give.
pub fn awaiting<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let (_, what) = place.awaits()?;
    // As long as another one does not give the loop back, what it awaits cannot come.
    if holder(view, place.process.pid).is_some() {
        return None;
    }
    let mut timer = false;
    // What the event loop watches is what the awaited result most likely comes from.
    if let Some(WaitingOn::Poll { call, watched, timeout }) = place.wait() {
        timer = timeout.is_some() && !call.is_empty();
        if super::polling::outside(place, watched).next().is_some() || (timer && !is_signalled(what)) {
            return None;
        }
    }
    let pid = place.process.pid;
    let others = view.tasks(pid).filter(|other| !other.same(place)).count();
    let others = format!("{others} other task{}", if others == 1 { "" } else { "s" });
    let threads = view.places().filter(|other| {
        other.process.pid == pid && other.task.is_none() && !other.is_main() && frames::has_told(other.frames())
    });
    let threads = threads.count();
    let (confidence, grip, why, evidence) = match (timer, threads) {
        (false, 0) => (
            Confidence::Likely,
            Grip::Soft,
            "nothing that its event loop watches could end the wait",
            format!("the event loop has {others}, no timer, and watches nothing from outside"),
        ),
        // Another thread may have the result in hand.
        (false, _) => (
            Confidence::Possible,
            Grip::Weak,
            "only another thread could end the wait",
            format!("the event loop has {others}, no timer, and watches nothing; {threads} other threads run"),
        ),
        (true, _) => (
            Confidence::Possible,
            Grip::Weak,
            "its event loop only waits for a timer",
            format!("the event loop has {others}, a timer, and watches nothing from outside"),
        ),
    };
    let summary = format!("{}{} waits for {what}, and {why}", place.who(), place.in_frame());
    Some(
        Candidate::new(Cause::ChannelWait, confidence, grip, summary)
            .at(place)
            .target(what)
            .evidence(evidence)
            .evidence_all(stack(place))
            .advice("look for who should have set, sent or finished it: did that task end, or never start?"),
    )
}

/// The task that keeps its event loop from going on: it runs, and the loop's thread waits in a call of its.
fn holder<'a>(view: &View<'a>, pid: i32) -> Option<Place<'a>> {
    let runs = |place: &Place<'_>| place.task.is_some_and(|task| task.state == "running" && task.thread.is_some());
    let waits = |place: &Place<'_>| !matches!(place.thread.waiting_on, None | Some(WaitingOn::Poll { .. }));
    let process = view.process(pid).filter(|process| process.runtime == "cpython")?;
    view.tasks(process.pid).find(|place| runs(place) && waits(place))
}

/// A task that sleeps by a blocking call: nothing of its event loop goes on meanwhile.
pub fn sleeps_in_loop<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let Some(WaitingOn::Sleep { duration: Some(time) }) = place.on_thread()?.waiting_on.as_ref() else { return None };
    let task = holder(view, place.process.pid).filter(|task| task.thread.tid == place.thread.tid)?;
    // A short one is a step of something longer.
    if *time < LONG_SLEEP {
        return None;
    }
    let (time, others) = (words::span(*time), view.tasks(place.process.pid).count().saturating_sub(1));
    let summary = format!(
        "{}{} sleeps for {time} by a blocking call and so blocks its event loop: no other task can go on",
        task.who(),
        place.in_frame(),
    );
    Some(
        Candidate::new(Cause::ChannelWait, Confidence::Likely, Grip::Soft, summary)
            .at(place)
            .target(task.number())
            .evidence_all(place.call())
            .evidence(format!("{} runs, and {others} other tasks wait for it to give the loop back", task.number()))
            .evidence_all(stack(place))
            .advice("let it sleep by the loop (await asyncio.sleep), or in a thread (asyncio.to_thread)"),
    )
}

/// Whether what a task awaits is ended by another task of the program, whatever the event loop watches.
fn is_signalled(what: &str) -> bool {
    ["Event.", "Condition.", "Queue.", "Barrier.", "Semaphore.", "Lock."].iter().any(|class| what.starts_with(class))
}

fn candidate(place: &Place<'_>, blocked: &Blocked, sure: Confidence, grip: Grip, summary: String) -> Candidate {
    let by = if blocked.told { "the kernel or the runtime shows it" } else { "its stack shows it" };
    Candidate::new(Cause::ChannelWait, sure, grip, summary)
        .at(place)
        .target(&blocked.what)
        .evidence(format!("{by} asleep on {}", blocked.what))
        .evidence_all(stack(place))
        .advice("look for who should have sent, signalled or finished: did that thread end, or never start?")
}
