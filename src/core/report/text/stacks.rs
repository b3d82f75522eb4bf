//! Processes with their threads and tasks, equal ones folded, what says most first.

use std::collections::BTreeMap;

use crate::core::diagnosis::{frames as own_code, words};
use crate::core::facts::{Frame, LockFacts, ProcessFacts, ThreadFacts};
use crate::core::report::mask;

use super::layout::{Paint, Style, clean};
use super::{frames, tasks};

/// So many numbers of folded threads are shown.
const NUMBERS: usize = 8;
/// So many names of folded threads are shown.
const NAMES: usize = 3;
/// So many locks of a thread are shown.
const LOCKS: usize = 8;

/// How stacks are shown.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// Whether every thread and every frame is shown for itself.
    pub all: bool,
    /// The layout.
    pub style: Style,
}

/// All processes with all their threads; the process and the thread with the number `focus` come first.
pub fn processes(processes: &[ProcessFacts], focus: Option<i32>, shown: Shown) -> Vec<String> {
    let mut ordered: Vec<&ProcessFacts> = processes.iter().collect();
    let has_focus = |process: &ProcessFacts| process.threads.iter().any(|thread| Some(thread.tid) == focus);
    // Stable: the others stay in their order, parents before children.
    ordered.sort_by_key(|process| !has_focus(process));
    let mut lines = Vec::new();
    for process in ordered {
        lines.extend(self::process(process, focus, shown));
    }
    lines
}

fn process(process: &ProcessFacts, focus: Option<i32>, shown: Shown) -> Vec<String> {
    let style = shown.style;
    let command = mask::line(&process.command);
    let name = if command.is_empty() { words::process_name(process) } else { &command };
    let version = process.runtime_version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let runtime = if process.runtime.is_empty() { String::new() } else { format!(", {}{version}", process.runtime) };
    let ended = if process.zombie { ", ended, not yet reaped" } else { "" };
    let about = clean(&format!("(parent {}{runtime}{ended})", process.parent));
    let head = style.paint(Paint::Strong, &clean(&format!("process {}  {name}", process.pid)));
    let mut lines = vec![format!("{head}  {}", style.paint(Paint::Dim, &about))];
    if let Some(error) = &process.dump_error {
        lines.push(style.paint(Paint::Warning, &clean(&format!("  not all could be read: {error}"))));
    }
    if process.paused_ms > 0.0 {
        lines.push(format!("  held for {:.1} ms", process.paused_ms));
    }
    // Where the program's code runs as tasks (Go), the threads that carry them show little of it: they come after, but
    // for the one that the verdict is about, if any of their own code is on it. What belongs to the runtime itself comes last.
    let (first, others): (Vec<_>, Vec<_>) =
        fold(&process.threads, process.pid, focus, shown.all).into_iter().partition(|group| {
            let says_more = process.tasks.is_empty() || group.iter().any(|thread| own_code::has_own(&thread.frames));
            says_more && group.iter().any(|thread| Some(thread.tid) == focus)
        });
    let (own, system) = tasks::groups(&process.tasks, focus, shown.all);
    first.iter().for_each(|group| lines.extend(threads(group, process, shown)));
    own.iter().for_each(|group| lines.extend(tasks::lines(group, process, shown)));
    others.iter().for_each(|group| lines.extend(threads(group, process, shown)));
    system.iter().for_each(|group| lines.extend(tasks::lines(group, process, shown)));
    lines.push(String::new());
    lines
}

/// Threads of the same state and stack together. The one in focus comes first, then those in the program's own code,
/// and of these the main thread, then the few before the many: a stack that a thread has for itself says most.
fn fold(threads: &[ThreadFacts], pid: i32, focus: Option<i32>, all: bool) -> Vec<Vec<&ThreadFacts>> {
    let groups = group(threads, |thread| {
        // Threads that hold a lock and wait for another make a cycle, and then each one counts.
        let alone = all || (thread.locks.iter().any(|lock| lock.held) && thread.locks.iter().any(|lock| !lock.held));
        let call = call_name(thread);
        let state = thread.runtime_state.as_deref();
        (alone.then_some(thread.tid), thread.state, state, stack_key(&thread.frames), call)
    });
    let has = |group: &[&ThreadFacts], tid: i32| group.iter().any(|thread| thread.tid == tid);
    let runs_own = |group: &[&ThreadFacts]| group.first().is_some_and(|thread| own_code::has_own(&thread.frames));
    let mut groups = groups;
    groups.sort_by_key(|group| {
        let in_focus = focus.is_some_and(|tid| has(group, tid));
        (!in_focus, !runs_own(group), !has(group, pid), group.len())
    });
    groups
}

/// Things with the same key together, in the order in which the first of each comes.
pub fn group<'a, T, K: Ord>(things: &'a [T], key: impl Fn(&'a T) -> K) -> Vec<Vec<&'a T>> {
    let mut groups: Vec<Vec<&T>> = Vec::new();
    let mut index = BTreeMap::new();
    for thing in things {
        let at = *index.entry(key(thing)).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.push(thing),
            None => groups.push(vec![thing]),
        }
    }
    groups
}

/// What makes two stacks the same for a reader: functions and lines, or addresses where no function is known.
pub fn stack_key(frames: &[Frame]) -> Vec<(Option<&str>, u64)> {
    frames
        .iter()
        .map(|frame| match &frame.function {
            Some(function) => (Some(function.as_str()), u64::from(frame.line.unwrap_or(0))),
            None => (None, frame.address),
        })
        .collect()
}

fn call_name(thread: &ThreadFacts) -> &str {
    thread.syscall.as_deref().unwrap_or_default().split('(').next().unwrap_or_default()
}

fn threads(group: &[&ThreadFacts], process: &ProcessFacts, shown: Shown) -> Vec<String> {
    let Some(first) = group.first() else { return Vec::new() };
    let state = if first.state.is_control() { '?' } else { first.state };
    let told = first.runtime_state.as_ref().map(|state| format!(" [{state}]")).unwrap_or_default();
    let same_call = group.iter().all(|thread| thread.syscall == first.syscall);
    let call = match &first.syscall {
        Some(call) if same_call => format!("  {call}"),
        Some(_) => format!("  {}(…)", call_name(first)),
        None => String::new(),
    };
    let longest = group.iter().filter_map(|thread| thread.waited).max();
    let waited = longest.map(|time| format!("  for {}", words::span(time))).unwrap_or_default();
    let mut lines = vec![format!("  {}", clean(&format!("{}  {state}{told}{call}{waited}", names(group))))];
    // Of folded threads only what all of them have.
    let common = |lock: &&LockFacts| group.iter().all(|thread| thread.locks.contains(lock));
    lines.extend(first.locks.iter().filter(common).take(LOCKS).map(|lock| format!("       {}", self::lock(lock))));
    lines.extend(frames::lines(&first.frames, &process.runtime, shown));
    lines
}

/// What the threads of a group are called.
fn names(group: &[&ThreadFacts]) -> String {
    let told: Vec<&str> = group.iter().filter_map(|thread| thread.runtime_name.as_deref()).collect();
    let quoted = |names: &[&str]| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    match group {
        [one] => match (told.first(), one.name.is_empty()) {
            (Some(name), _) => format!("thread {} {}", one.tid, quoted(&[name])),
            (None, true) => format!("thread {}", one.tid),
            (None, false) => format!("thread {} `{}`", one.tid, one.name),
        },
        many => {
            let numbers: Vec<String> = many.iter().take(NUMBERS).map(|thread| thread.tid.to_string()).collect();
            let mut text = format!("threads {}", numbers.join(", "));
            if many.len() > NUMBERS {
                text.push_str(", …");
            }
            if !told.is_empty() {
                let more = if told.len() > NAMES { ", …" } else { "" };
                text.push_str(&format!(" {}{more}", quoted(&told[..told.len().min(NAMES)])));
            }
            format!("{text}  × {}", count(many.len()))
        }
    }
}

fn lock(lock: &LockFacts) -> String {
    let verb = if lock.held { "holds" } else { "waits for" };
    // The initialization of a class is told without an address.
    match lock.address {
        0 => clean(&format!("{verb} the {}", lock.class)),
        address => clean(&format!("{verb} <{address:#x}> (a {})", lock.class)),
    }
}

/// A count with its thousands apart: `9 997`.
pub fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
