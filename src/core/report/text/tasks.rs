//! Tasks of a runtime: goroutines, asyncio's tasks, virtual threads.

use crate::core::diagnosis::{frames as own_code, words};
use crate::core::facts::{ChannelFacts, FdFacts, FileFacts, ProcessFacts, TaskFacts, WaitingOn, WatchedFacts};

use super::frames;
use super::layout::clean;
use super::stacks::{Shown, count, group, stack_key};

/// So many numbers of folded tasks are shown.
const NUMBERS: usize = 5;
/// So many things that one task waits on are shown.
const THINGS: usize = 4;

/// Equal tasks together.
type Groups<'a> = Vec<Vec<&'a TaskFacts>>;

/// Tasks of the same state and stack together: the program's own, and the runtime's. The one that the thread in focus runs
/// comes first, then those in the program's own code, the few before the many.
pub fn groups(tasks: &[TaskFacts], focus: Option<i32>, all: bool) -> (Groups<'_>, Groups<'_>) {
    let mut groups =
        group(tasks, |task| (all.then_some(task.id), task.system, task.state.as_str(), stack_key(&task.frames)));
    groups.sort_by_key(|group| {
        let in_focus = focus.is_some() && group.iter().any(|task| task.thread == focus);
        let own = group.first().is_some_and(|task| own_code::has_own(&task.frames));
        (!in_focus, !own, group.len())
    });
    groups.into_iter().partition(|group| group.first().is_some_and(|task| !task.system))
}

/// The lines of a group.
pub fn lines(group: &[&TaskFacts], process: &ProcessFacts, shown: Shown) -> Vec<String> {
    let Some(first) = group.first() else { return Vec::new() };
    let longest = group.iter().filter_map(|task| task.waited).max();
    let state = [first.state.clone(), longest.map(words::span).unwrap_or_default()];
    let state: Vec<String> = state.into_iter().filter(|part| !part.is_empty()).collect();
    let state = if state.is_empty() { String::new() } else { format!(" [{}]", state.join(", ")) };
    let on = |task: &&TaskFacts| task.waiting_on.as_ref().and_then(|on| waits(on, process));
    let waiting = on(first).filter(|text| group.iter().all(|task| on(task).as_ref() == Some(text)));
    let waiting = waiting.map(|text| format!("  {text}")).unwrap_or_default();
    let thread = match (group, first.thread) {
        ([_], Some(thread)) => format!("  on thread {thread}"),
        _ => String::new(),
    };
    let system = if first.system { "  of the runtime itself" } else { "" };
    let mut lines = vec![format!("  {}", clean(&format!("{}{state}{waiting}{thread}{system}", names(group, process))))];
    lines.extend(frames::lines(&first.frames, &process.runtime, shown));
    if let Some(created) = &first.created_by {
        let by = created.task.filter(|_| group.len() == 1).map(|id| format!(" in {}", called(id, process)));
        let frame = words::frame_line(&created.frame);
        lines.push(clean(&format!("         created by {frame}{}", by.unwrap_or_default())));
    }
    lines
}

fn names(group: &[&TaskFacts], process: &ProcessFacts) -> String {
    let kind = kind(&process.runtime);
    let [one] = group else {
        let mut list: Vec<String> = group.iter().take(NUMBERS).map(|task| label(task)).collect();
        if group.len() > NUMBERS {
            list.push("…".to_owned());
        }
        return format!("{kind}s {}  × {}", list.join(", "), count(group.len()));
    };
    format!("{kind} {}", label(one))
}

/// A task's name, or its number.
fn label(task: &TaskFacts) -> String {
    task.name.as_ref().map_or_else(|| task.id.to_string(), |name| format!("{name:?}"))
}

/// What the runtime calls its tasks.
fn kind(runtime: &str) -> &'static str {
    match runtime {
        "go" => "goroutine",
        "jvm" => "virtual thread",
        _ => "task",
    }
}

/// A task of the process as it is called elsewhere in the text.
fn called(id: u64, process: &ProcessFacts) -> String {
    let known = process.tasks.iter().find(|task| task.id == id);
    format!("{} {}", kind(&process.runtime), known.map_or_else(|| id.to_string(), label))
}

/// What a task waits on, for a person.
fn waits(on: &WaitingOn, process: &ProcessFacts) -> Option<String> {
    Some(match on {
        WaitingOn::Channels { channels } if channels.is_empty() => "on nothing that could wake it".to_owned(),
        WaitingOn::Channels { channels } => list(channels.iter().map(channel), channels.len(), " or "),
        WaitingOn::RuntimeLock { address, class, owner, owner_task } => {
            let owner = owner_task.map(|task| called(task, process)).or(owner.map(|tid| format!("thread {tid}")));
            let owner = owner.map(|owner| format!(", held by {owner}")).unwrap_or_default();
            format!("waits for {class} <{address:#x}>{owner}")
        }
        WaitingOn::Tasks { tasks, what } => {
            let named = list(tasks.iter().map(|task| called(*task, process)), tasks.len(), ", ");
            let parts: Vec<&str> =
                [what.as_str(), named.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
            (!parts.is_empty()).then(|| format!("awaits {}", parts.join(": ")))?
        }
        WaitingOn::Connect { fd, socket } => format!("connects (fd {fd}) to {}", words::peer(socket)),
        WaitingOn::Receive { fd, socket } => format!("waits for data (fd {fd}) from {}", words::peer(socket)),
        WaitingOn::Send { fd, socket } => format!("waits to send (fd {fd}) to {}", words::peer(socket)),
        WaitingOn::Accept { fd, socket } => {
            format!("accepts (fd {fd}) on {}", socket.local.as_deref().unwrap_or("a socket"))
        }
        WaitingOn::Input { fd, file } => format!("reads (fd {fd}) from {}", of_file(file)),
        WaitingOn::Output { fd, file } => format!("writes (fd {fd}) to {}", of_file(file)),
        WaitingOn::Poll { watched, .. } => {
            format!("polls {}", list(watched.iter().map(descriptor), watched.len(), ", "))
        }
        WaitingOn::Sleep { duration: Some(time) } => format!("sleeps for {}", words::span(*time)),
        WaitingOn::Sleep { duration: None } => "sleeps".to_owned(),
        WaitingOn::Child { children } => format!("waits for {}", words::processes(children)),
        _ => return None,
    })
}

fn channel(channel: &ChannelFacts) -> String {
    let verb = if channel.sending { "sends to" } else { "receives from" };
    match (channel.address, channel.capacity) {
        (0, _) => format!("{verb} a nil channel"),
        (address, 0) => format!("{verb} channel <{address:#x}> (not buffered)"),
        (address, capacity) => format!("{verb} channel <{address:#x}> ({} of {capacity})", channel.length),
    }
}

fn descriptor(watched: &WatchedFacts) -> String {
    let what = match &watched.what {
        FdFacts::Socket(socket) if socket.state == "listen" => socket.local.clone().unwrap_or_default(),
        FdFacts::Socket(socket) => words::peer(socket),
        FdFacts::File(file) => of_file(file),
    };
    format!("fd {} ({what})", watched.fd)
}

fn of_file(file: &FileFacts) -> String {
    words::file(file)
}

/// The first few of some things.
fn list(things: impl Iterator<Item = String>, count: usize, between: &str) -> String {
    let mut shown: Vec<String> = things.take(THINGS).collect();
    if count > THINGS {
        shown.push("…".to_owned());
    }
    shown.join(between)
}
