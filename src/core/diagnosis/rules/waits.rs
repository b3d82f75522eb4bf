//! Waiting for a file's lock, for input, for a child: `file-lock-wait`, `input-wait`, `child-wait`.

use std::time::Duration;

use crate::core::facts::{FileFacts, FileKind, Tried, WaitingOn};
use crate::core::report::mask;

use super::super::candidate::{Candidate, Grip};
use super::super::line::Line;
use super::super::view::{Place, View, only_itself, wakes_itself};
use super::super::{Cause, Confidence, words};
use super::connection::stack;
use super::kernel::remote_file_system;
use super::locks::doing;
use super::retry;

/// A read that is about to end lasts less.
const LONG: Duration = Duration::from_secs(1);

/// `flock(2)`, `fcntl(2)` F_SETLKW.
pub fn file_lock<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let WaitingOn::FileLock { path, holders } = place.wait()? else { return None };
    let file = path.as_deref().unwrap_or("a file");
    let itself = !holders.is_empty() && holders.iter().all(|holder| holder.pid == place.process.pid);
    let held = match holders.as_slice() {
        [] => "who holds it could not be seen".to_owned(),
        _ if itself => "which it holds itself, through another descriptor".to_owned(),
        some => format!("held by {}", words::processes(some)),
    };
    let summary = format!("{} {} for the lock on {file}, {held}", place.who(), place.has_waited());
    let mut candidate = Candidate::new(Cause::FileLockWait, Confidence::Certain, Grip::Hard, summary)
        .at(place)
        .target(file)
        .evidence(format!("the kernel shows it in a blocking file lock on {file}"));
    for holder in holders {
        candidate = candidate.evidence(match view.main(holder.pid) {
            Some(own) => format!("{holder}, of this service, holds it and {}", doing(view, &own)),
            None => format!("{holder} holds it (/proc/locks)"),
        });
    }
    candidate = candidate.evidence_all(stack(place));
    Some(match holders.first() {
        Some(holder) if !itself => candidate
            .advice(format!("let {holder} finish, or stop it: kill {}", holder.pid))
            .advice(format!("see what it does: launcher dump {}", holder.pid)),
        Some(_) => candidate.advice("close the first descriptor, or lock through the same one"),
        None => candidate.advice(format!("find the holder: fuser -v {file}; or, on another host, look there")),
    })
}

/// A file that it tries to lock again and again without waiting in the kernel: seen between two sleeps.
pub fn try_lock<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let (place, attempts) = retry::attempts(view, place)?;
    let tried = attempts.iter().find(|attempt| attempt.what == Tried::FileLock)?;
    let file = &tried.address;
    let held = match tried.holders.as_slice() {
        [] => "which somebody else holds".to_owned(),
        some => format!("held by {}", words::processes(some)),
    };
    let summary = format!("{} tries again and again to lock {file}, {held}", place.who());
    let candidate = Candidate::new(Cause::FileLockWait, Confidence::Likely, Grip::Firm, summary)
        .at(&place)
        .target(file)
        .evidence(format!("seen when it woke: a lock on {file} was not given (errno {})", tried.errno))
        .evidence_all(tried.holders.iter().map(|holder| format!("{holder} holds it (/proc/locks)")))
        .evidence("it slept before, and will sleep again")
        .evidence_all(stack(&place));
    Some(match tried.holders.first() {
        Some(holder) => candidate
            .advice(format!("let {holder} finish, or stop it: kill {}", holder.pid))
            .advice(format!("see what it does: launcher dump {}", holder.pid)),
        None => candidate.advice(format!("find the holder: fuser -v {file}; or, on another host, look there")),
    })
}

/// A blocking read of a terminal, a pipe or a FIFO, or the opening of one.
pub fn input<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    match place.wait()? {
        WaitingOn::Input { fd, file } => {
            let is_input = matches!(file.kind, FileKind::Terminal | FileKind::Pipe | FileKind::Fifo);
            // A pipe without a writer has an end: who was seen to read it is about to find that.
            let has_ended = file.kind == FileKind::Pipe && file.peers.is_empty() && file.peers_complete;
            let is_input = is_input && !(has_ended && place.waited().is_some_and(|waited| waited < LONG));
            // A read of its own wake-up pipe waits for another thread, not for input.
            (is_input && !wakes_itself(file, place.process.pid))
                .then(|| read((view, place), *fd, file, "read()", Confidence::Certain))
        }
        // Finding a file takes long where its file system does not answer, and every file takes a moment on a CPU.
        WaitingOn::Open { .. } if matches!(place.thread.state, 'D' | 'R') || remote_file_system(place.thread) => None,
        // In every process of .NET a thread waits so for a debugger.
        WaitingOn::Open { path }
            if place.process.runtime == "dotnet" && words::base(path).starts_with("clr-debug-pipe-") =>
        {
            None
        }
        WaitingOn::Open { path } => {
            let summary =
                format!("{} {} to open {path}: nobody has opened its other end", place.who(), place.has_waited());
            Some(
                Candidate::new(Cause::InputWait, Confidence::Certain, Grip::Hard, summary)
                    .at(place)
                    .target(path)
                    .evidence(format!("system call: open() of {path}, which waits as long as it has no peer"))
                    .evidence_all(stack(place))
                    .advice(format!("start what should open the other end of {path}")),
            )
        }
        WaitingOn::Output { fd, file } => output(place, *fd, file),
        _ => None,
    }
}

/// A thread that waits for something to read.
pub fn read(
    (view, place): (&View<'_>, &Place<'_>),
    fd: i32,
    file: &FileFacts,
    call: &str,
    confidence: Confidence,
) -> Candidate {
    let name = words::file(file);
    let from = if fd == 0 { format!("standard input, {name}") } else { format!("{name} (fd {fd})") };
    let writer = match (file.kind, file.peers.as_slice()) {
        (FileKind::Terminal, _) => ": nobody has typed anything".to_owned(),
        (_, []) if file.peers_complete => ": nothing has it open for writing".to_owned(),
        (_, []) => String::new(),
        (_, peers) if only_itself(peers, place.process.pid) => ": nothing else has it open for writing".to_owned(),
        (_, peers) => format!(": {} could write to it, but {}", words::processes(peers), words::do_not(peers)),
    };
    let summary = format!("{} {} for input from {from}{writer}", place.who(), place.has_waited());
    let candidate = Candidate::new(Cause::InputWait, confidence, Grip::Hard, summary)
        .at(place)
        .target(if fd == 0 && file.kind != FileKind::Fifo { "stdin" } else { file.path.as_str() })
        .evidence(format!("system call: {call} on fd {fd}, {name}"))
        .evidence_all(stack(place));
    match file.kind {
        FileKind::Terminal if view.facts.terminal => {
            candidate.advice(format!("answer its question: launcher attach {}", view.facts.service))
        }
        FileKind::Terminal => candidate
            .advice("answer its question, or give it what it asks for by an option, a file or a variable")
            .advice("keep it from asking: redirect its input from /dev/null (… </dev/null)"),
        _ => match file.peers.iter().find(|peer| peer.pid != place.process.pid) {
            Some(peer) => candidate.advice(format!("see what the writer does: launcher dump {}", peer.pid)),
            None if fd == 0 => candidate.advice("redirect its input from a file or /dev/null (… </dev/null)"),
            None => candidate.advice(format!("start what should write to {name}")),
        },
    }
}

/// A write that waits for a reader.
fn output(place: &Place<'_>, fd: i32, file: &FileFacts) -> Option<Candidate> {
    if !matches!(file.kind, FileKind::Terminal | FileKind::Pipe | FileKind::Fifo) {
        return None;
    }
    let name = words::file(file);
    let reader = match (file.passed_on_to.as_deref(), file.peers.as_slice()) {
        (Some([]), _) => "what launcher writes it to takes no more".to_owned(),
        (Some(readers), _) => format!(
            "{} {} read the output of launcher, to which launcher passes it on",
            words::processes(readers),
            words::do_not(readers)
        ),
        (None, []) => "nobody reads it".to_owned(),
        (None, peers) => format!("{} {} read it", words::processes(peers), words::do_not(peers)),
    };
    let summary =
        format!("{} {} to write to {name} (fd {fd}): it is full and {reader}", place.who(), place.has_waited());
    // The table has no cause of its own for this: it is a queue whose other end does nothing.
    Some(
        Candidate::new(Cause::ChannelWait, Confidence::Certain, Grip::Hard, summary)
            .at(place)
            .target(&file.path)
            .evidence(format!("system call: a blocking write on fd {fd}, {name}"))
            .evidence_all(stack(place))
            .advice(match (file.kind, file.passed_on_to.as_deref().and_then(<[_]>::first)) {
                (_, Some(reader)) => format!("look why {reader} does not read: launcher dump {}", reader.pid),
                (FileKind::Terminal, _) => "let the terminal go on: press Ctrl-Q".to_owned(),
                _ => format!("read what is written to {name}, or close it"),
            }),
    )
}

/// The step of the main line that waits for a child's end, told beside what that child itself waits for.
pub fn child_at<'a>(view: &View<'a>, line: &Line<'a>) -> Option<Candidate> {
    let step = line.steps.iter().rfind(|step| matches!(step.from.wait(), Some(WaitingOn::Child { .. })))?;
    let child = words::process(step.to.process);
    let summary = format!("{} {} for {child}, which it started", step.from.who(), step.from.has_waited());
    Some(
        Candidate::new(Cause::ChildWait, Confidence::Likely, Grip::Idle, summary)
            .at(&step.from)
            .target(child)
            .evidence_all(line.told())
            .evidence(format!("{} {}", step.to.who(), doing(view, &step.to))),
    )
}

/// The main line ends in another process, of which nothing more can be said.
pub fn child<'a>(view: &View<'a>, line: &Line<'a>) -> Option<Candidate> {
    let last = line.steps.last()?;
    let child = words::process(line.end.process);
    let doing = doing(view, &line.end);
    let summary =
        format!("{} {} for {child}, which it started and which {doing}", last.from.who(), last.from.has_waited());
    let pid = line.end.process.pid;
    Some(
        Candidate::new(Cause::ChildWait, Confidence::Likely, Grip::Weak, summary)
            .at(&last.from)
            .target(child)
            .evidence_all(line.told())
            .evidence(format!("{} {doing}", line.end.who()))
            .evidence_all(
                line.end.call().map(|call| call.replacen("system call", &format!("system call of pid {pid}"), 1)),
            )
            .advice(format!("look at what pid {pid} is there for: {}", mask::line(&line.end.process.command))),
    )
}
