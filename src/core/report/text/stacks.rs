//! Processes, their threads and their stacks, with equal ones folded.

use crate::core::diagnosis::words;
use crate::core::facts::{FoundBy, Frame, ProcessFacts, TaskFacts, ThreadFacts};
use crate::core::report::mask;

use super::layout::{Paint, Style, clean};

/// So many frames of a stack are shown; the innermost ones.
const FRAMES: usize = 64;
/// So many numbers of folded threads are shown.
const NUMBERS: usize = 8;

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
    let command = mask::command(&process.command).join(" ");
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
    for group in fold(&process.threads, process.pid, focus, shown.all) {
        lines.extend(threads(&group, shown));
    }
    lines.extend(tasks(&process.tasks, shown));
    lines.push(String::new());
    lines
}

/// Threads of the same state and stack together. The one in focus comes first, then the main thread, then the few
/// before the many: a stack that a thread has for itself says most.
fn fold(threads: &[ThreadFacts], pid: i32, focus: Option<i32>, all: bool) -> Vec<Vec<&ThreadFacts>> {
    let mut groups: Vec<Vec<&ThreadFacts>> = Vec::new();
    let mut index = std::collections::BTreeMap::new();
    for thread in threads {
        let alone = all.then_some(thread.tid);
        let key = (alone, thread.state, stack_key(&thread.frames), call_name(thread));
        let at = *index.entry(key).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.push(thread),
            None => groups.push(vec![thread]),
        }
    }
    let has = |group: &[&ThreadFacts], tid: i32| group.iter().any(|thread| thread.tid == tid);
    groups.sort_by_key(|group| (!focus.is_some_and(|tid| has(group, tid)), !has(group, pid), group.len()));
    groups
}

/// What makes two stacks the same for a reader: functions and lines, or addresses where no function is known.
fn stack_key(frames: &[Frame]) -> Vec<(Option<&str>, u64)> {
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

fn threads(group: &[&ThreadFacts], shown: Shown) -> Vec<String> {
    let Some(first) = group.first() else { return Vec::new() };
    let names = match group {
        [_] if first.name.is_empty() => format!("thread {}", first.tid),
        [_] => format!("thread {} `{}`", first.tid, first.name),
        many => format!("threads {}  × {}", numbers(many), many.len()),
    };
    let same_call = group.iter().all(|thread| thread.syscall == first.syscall);
    let call = match &first.syscall {
        Some(call) if same_call => format!("  {call}"),
        Some(_) => format!("  {}(…)", call_name(first)),
        None => String::new(),
    };
    let longest = group.iter().filter_map(|thread| thread.waited).max();
    let waited = longest.map(|time| format!("  for {}", words::span(time))).unwrap_or_default();
    let state = if first.state.is_control() { '?' } else { first.state };
    let mut lines = vec![format!("  {}", clean(&format!("{names}  {state}{call}{waited}")))];
    lines.extend(frames(&first.frames, shown));
    lines
}

fn numbers(threads: &[&ThreadFacts]) -> String {
    let mut text = threads.iter().take(NUMBERS).map(|thread| thread.tid.to_string()).collect::<Vec<_>>().join(", ");
    if threads.len() > NUMBERS {
        text.push_str(", …");
    }
    text
}

fn tasks(tasks: &[TaskFacts], shown: Shown) -> Vec<String> {
    let mut groups: Vec<Vec<&TaskFacts>> = Vec::new();
    let mut index = std::collections::BTreeMap::new();
    for task in tasks {
        let at = *index
            .entry((shown.all.then_some(task.id), task.state.as_str(), stack_key(&task.frames)))
            .or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.push(task),
            None => groups.push(vec![task]),
        }
    }
    groups.sort_by_key(Vec::len);
    let mut lines = Vec::new();
    for group in groups {
        let Some(first) = group.first() else { continue };
        let count = if group.len() > 1 { format!("  × {}", group.len()) } else { String::new() };
        let longest = group.iter().filter_map(|task| task.waited).max();
        let waited = longest.map(|time| format!("  for {}", words::span(time))).unwrap_or_default();
        lines.push(format!("  {}", clean(&format!("task {}{count}  {}{waited}", first.id, first.state))));
        lines.extend(frames(&first.frames, shown));
    }
    lines
}

fn frames(frames: &[Frame], shown: Shown) -> Vec<String> {
    let mut lines = Vec::new();
    let most = if shown.all { frames.len() } else { FRAMES };
    for (index, frame) in frames.iter().take(most).enumerate() {
        let mut about = String::new();
        if frame.inlined {
            about.push_str("  inlined");
        }
        if frame.found == FoundBy::Guess {
            about.push_str("  a guess");
        }
        let line = clean(&words::frame_line(frame));
        lines.push(format!("    {index:>3}  {line}{}", shown.style.paint(Paint::Dim, &about)));
    }
    if frames.len() > most {
        lines.push(format!("         … {} more", frames.len() - most));
    }
    lines
}
