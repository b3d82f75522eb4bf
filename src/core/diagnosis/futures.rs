//! Tasks of Rust: their records tell what each runs and whether somebody awaits it, not where it stands.

use std::collections::BTreeMap;

use crate::core::facts::{Frame, ProcessFacts, TaskFacts, WaitingOn};

use super::candidate::{Candidate, Grip};
use super::rules::polling;
use super::view::{Place, View};
use super::{Cause, Confidence, VerdictFrame, frames, words};

/// So many kinds of tasks are told.
const KINDS: usize = 4;

/// Whether a process's tasks are of this sort.
pub fn are_of(process: &ProcessFacts) -> bool {
    process.runtime == "native"
}

/// The program's own tasks that have not ended: one of each kind, and how many there are. They may be very many, and those
/// of one kind share their stack.
fn own(process: &ProcessFacts) -> Vec<(&TaskFacts, usize)> {
    let mut kinds: BTreeMap<(usize, bool), (&TaskFacts, usize)> = BTreeMap::new();
    for task in process.tasks.iter().filter(|_| are_of(process)) {
        kinds.entry((task.frames.as_ptr().addr(), is_awaited(task))).or_insert((task, 0)).1 += 1;
    }
    let mut own: Vec<_> = kinds.into_values().filter(|(task, _)| frames::has_own(&task.frames)).collect();
    own.sort_by_key(|(task, _)| task.id);
    own
}

fn is_awaited(task: &TaskFacts) -> bool {
    task.state.ends_with("awaited")
}

/// The program's own task that is awaited, if those are all of one kind: the main line waits for it, or for one that does.
fn awaited(process: &ProcessFacts) -> Option<&TaskFacts> {
    let function = |task: &TaskFacts| frames::users(&task.frames).map(|frame| frame.function);
    let own = own(process);
    let mut all = own.into_iter().map(|(task, _)| task).filter(|task| is_awaited(task));
    let first = all.next()?;
    all.all(|other| function(other) == function(first)).then_some(first)
}

/// The frame that stands for a task.
fn frame(task: &TaskFacts) -> Option<VerdictFrame> {
    frames::users(&task.frames)
}

fn name(task: &TaskFacts) -> String {
    let function = frame(task).map(|frame| format!(" ({})", frame.function)).unwrap_or_default();
    format!("task {}{function}", task.id)
}

/// The program's own tasks in one line, those that are awaited first.
fn told(process: &ProcessFacts) -> Option<String> {
    let mut kinds: BTreeMap<(bool, String), usize> = BTreeMap::new();
    for (task, count) in own(process) {
        let function = frame(task).map(|frame| frame.function).unwrap_or_default();
        *kinds.entry((!is_awaited(task), function)).or_default() += count;
    }
    let one = |((others, function), count): (&(bool, String), &usize)| {
        let times = if *count > 1 { format!(" × {count}") } else { String::new() };
        format!("{function}{times}{}", if *others { "" } else { " (awaited)" })
    };
    let mut list: Vec<String> = kinds.iter().take(KINDS).map(one).collect();
    if kinds.len() > KINDS {
        list.push("…".to_owned());
    }
    (!list.is_empty()).then(|| format!("tasks that have not ended: {}", list.join(", ")))
}

/// Whether a thread waits in the runtime itself, and not in what a task does.
fn is_idle(place: &Place<'_>) -> bool {
    let of_runtime = |frame: &Frame| frame.function.as_ref().is_some_and(|name| name.contains("tokio::runtime::"));
    let stack = place.frames();
    place.task.is_none() && stack.iter().position(of_runtime).is_some_and(|at| !frames::has_own(&stack[..at]))
}

/// Adds what the tasks tell to an explanation of a thread that would run them.
pub fn tell(candidate: Candidate, place: &Place<'_>) -> Candidate {
    if !is_idle(place) {
        return candidate;
    }
    let mut candidate = candidate.evidence_all(told(place.process));
    if let Some(frame) = awaited(place.process).and_then(frame) {
        candidate.verdict.frame = Some(frame);
    }
    candidate
}

/// A task that is awaited while all are idle, and the loop that runs them waits for nothing from outside and no time.
pub fn awaiting<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let Some(WaitingOn::Poll { call, timeout: None, watched }) = place.wait() else { return None };
    let process = place.process;
    let task = awaited(process)?;
    let moves = !is_idle(place)
        || process.tasks.iter().any(|task| !task.state.starts_with("pending"))
        || process.threads.iter().any(|thread| thread.state == 'R')
        || polling::outside(place, watched).next().is_some()
        || view.children(process.pid).next().is_some();
    if moves {
        return None;
    }
    let summary = format!(
        "{} of {} has not ended and is awaited, and nothing that its event loop watches could end the wait",
        name(task),
        words::process(process)
    );
    let candidate = Candidate::new(Cause::ChannelWait, Confidence::Likely, Grip::Soft, summary)
        .at(place)
        .target(frame(task)?.function)
        .evidence(format!("{call}() watches nothing from outside, and no timer runs"))
        .advice("look for who should have sent, set or finished what it awaits: did that task end, or never start?");
    Some(candidate)
}
