//! What is over, or never began: `exec-failed`, `port-taken`, `out-of-memory`, `crashed`, `exited`.

use std::time::Duration;

use crate::core::errno;
use crate::core::exit::Ending;
use crate::core::facts::{
    ExecFailure, ExecProblem, FileFailure, MemoryFacts, Occasion, OwnerFacts, PortFailure, Refusal, RequirementFailure,
    RequirementProblem, SentFacts, SentFor,
};
use crate::core::report::mask;
use crate::core::requirement::words as requirement_words;
use crate::core::signal::Signal;

use super::super::candidate::{Candidate, Grip};
use super::super::view::View;
use super::super::{Cause, Confidence, words};
use super::output::{self, LastWords};

/// A signal that the launcher sent longer ago than this is not the one that ended it.
const SENT_LATELY: Duration = Duration::from_secs(5);
/// SIGPIPE.
const PIPE: i32 = 13;

/// It was not started at all.
pub fn refused<'a>(view: &View<'a>) -> Option<Candidate> {
    match view.facts.refusal.as_ref()? {
        Refusal::Exec(failure) => Some(exec_failed(view, failure)),
        Refusal::Port(failure) => Some(port_refused(failure)),
        Refusal::File(failure) => Some(file_wrong(failure)),
        Refusal::Requirement(failure) => Some(requirement_missing(failure)),
    }
}

/// It was not started because a file or a variable is not as it must be. The line itself is the evidence.
fn file_wrong(failure: &FileFailure) -> Candidate {
    let mut candidate = Candidate::new(Cause::ExecFailed, Confidence::Certain, Grip::Firm, &failure.summary);
    for line in failure.shown.iter().flat_map(|shown| shown.lines()) {
        candidate = candidate.evidence(line.to_owned());
    }
    for advice in &failure.advice {
        candidate = candidate.advice(advice);
    }
    match &failure.place {
        Some(place) => candidate.target(format!("{}:{}", place.file, place.line)),
        None => candidate,
    }
}

/// It was not started because something outside did not answer: seen by the launcher's own tries.
fn requirement_missing(failure: &RequirementFailure) -> Candidate {
    let first = failure.first();
    let cause = match first.and_then(|first| first.problem) {
        Some(RequirementProblem::Dns) => Cause::DnsWait,
        Some(RequirementProblem::Timeout) | None => Cause::ConnectWait,
        Some(RequirementProblem::Answer | RequirementProblem::Closed | RequirementProblem::Tls) => Cause::ReplyWait,
        Some(_) => Cause::ConnectRetry,
    };
    let mut candidate = Candidate::new(cause, Confidence::Certain, Grip::Firm, &failure.summary)
        .evidence_all(failure.requirements.iter().filter(|fact| !fact.met).map(requirement_words::line))
        .evidence_all(failure.requirements.iter().filter(|fact| fact.met).map(requirement_words::line));
    for advice in &failure.advice {
        candidate = candidate.advice(advice);
    }
    match first {
        Some(first) => candidate.target(&first.url),
        None => candidate,
    }
}

fn exec_failed(view: &View<'_>, failure: &ExecFailure) -> Candidate {
    let mut candidate = Candidate::new(Cause::ExecFailed, Confidence::Certain, Grip::Firm, &failure.summary).evidence(
        match failure.errno {
            // What NotExecutable stands for beside the x bit.
            Some(number) => match errno::name(number).as_str() {
                "ETXTBSY" => format!("somebody has it open for writing (errno {number})"),
                "E2BIG" => format!("the kernel takes no more in arguments and environment (errno {number})"),
                _ => format!("{} (errno {number})", problem(failure.problem)),
            },
            // The launcher's own preparation: the summary says what is wrong with it.
            None if failure.problem == ExecProblem::Stage => "found before it was tried".to_owned(),
            None => format!("found before it was tried: {}", problem(failure.problem)),
        },
    );
    if let Some(program) = view.facts.command.first() {
        candidate = candidate.target(program);
    }
    for advice in &failure.advice {
        candidate = candidate.advice(advice);
    }
    candidate
}

fn problem(problem: ExecProblem) -> &'static str {
    match problem {
        ExecProblem::NotFound => "there is no such file, there or on PATH",
        ExecProblem::IsDirectory => "it is a directory",
        ExecProblem::NotExecutable => "it has no x bit for this user",
        ExecProblem::NoExecMount => "its file system is mounted noexec",
        ExecProblem::InterpreterMissing => "the interpreter of the script is missing",
        ExecProblem::LoaderMissing => "the ELF loader is missing",
        ExecProblem::LibraryMissing => "its loader does not find a shared library",
        ExecProblem::WrongArchitecture => "it is made for another architecture",
        ExecProblem::BadFormat => "it is neither a script nor a program",
        ExecProblem::Directory => "its working directory cannot be entered",
        ExecProblem::User => "its user cannot be taken on",
        ExecProblem::Stage => "a step between fork and exec failed",
        ExecProblem::Launcher => "the launcher itself could not go on",
    }
}

fn port_refused(failure: &PortFailure) -> Candidate {
    let address = failure.listen.to_string();
    let mut candidate = Candidate::new(Cause::PortTaken, Confidence::Certain, Grip::Firm, &failure.summary)
        .target(address)
        .evidence_all(failure.errno.map(|errno| format!("bind() gives {}", errno::describe(errno))))
        .evidence_all(failure.owner.iter().flat_map(owner_evidence));
    for advice in &failure.advice {
        candidate = candidate.advice(advice);
    }
    candidate
}

pub(super) fn owner_evidence(owner: &OwnerFacts) -> Vec<String> {
    let mut evidence: Vec<String> = owner
        .holders
        .iter()
        .map(|holder| {
            let since = holder.running.map(|time| format!(", running for {}", words::span(time))).unwrap_or_default();
            let own = if holder.leftover { ", a leftover of this service" } else { "" };
            format!("held by pid {}: {}{since}{own}", holder.pid, mask::line(&holder.command))
        })
        .collect();
    if evidence.is_empty() {
        let user = owner.user.clone().or(owner.uid.map(|uid| format!("uid {uid}")));
        evidence.extend(user.map(|user| format!("held by a process of {user} that may not be looked into")));
    }
    evidence.extend(owner.cgroup.as_ref().map(|cgroup| format!("the socket belongs to {cgroup}")));
    evidence.extend(owner.address.as_ref().map(|address| format!("it is held on {address}")));
    evidence
}

/// The main process ended.
pub fn ended<'a>(view: &View<'a>) -> Option<Candidate> {
    let facts = view.facts;
    // Why it could not run at all says more than that it ended.
    if facts.refusal.is_some() {
        return None;
    }
    if facts.ending.is_none() && facts.occasion == Occasion::Crashed {
        return Some(vanished(view));
    }
    let words = output::last_words(&facts.output_tail);
    let candidate = match facts.ending? {
        Ending::Code(code) => exited(view, code, words.as_ref()),
        Ending::Signal(signal) => crashed(view, signal, words.as_ref()),
    };
    let candidate = candidate.evidence_all(words.as_ref().map(|words| format!("its last words: \"{}\"", words.text)));
    let unreached = output::unreached(&facts.output_tail).and_then(|failed| failed.address);
    let candidate = match unreached {
        Some(address) => candidate.advice(format!("start what should listen on {address}{}", words::usually(&address))),
        None => candidate,
    };
    let place = words.as_ref().and_then(|words| words.frame.as_ref());
    let mut candidate = match (place.and_then(|frame| Some((frame.file.as_ref()?, frame.line?))), &words) {
        (Some((file, line)), _) => candidate.advice(format!("look at {file}, line {line}")),
        (None, Some(_)) => candidate.advice(format!("read its last lines: launcher report {}", facts.service)),
        // What ended it is known.
        (None, None) if matches!(facts.ending, Some(Ending::Signal(it)) if sent_lately(view, it).is_some()) => {
            candidate
        }
        (None, None) => candidate.advice("run it by hand: it printed nothing that the launcher could see"),
    };
    // That it could not bind says more than that it then ended.
    if output::address_in_use(&facts.output_tail).is_some() {
        candidate.grip = Grip::Hard;
    }
    candidate.verdict.process = facts.processes.first().map(|process| process.pid);
    candidate.verdict.frame = words.and_then(|words| words.frame);
    Some(candidate)
}

/// It is gone, and its keeper did not tell how.
fn vanished(view: &View<'_>) -> Candidate {
    let name = &view.facts.service;
    let after = words::span(view.facts.elapsed);
    let summary = format!("{name} was ended with its keeper, which somebody killed, after {after}");
    Candidate::new(Cause::Crashed, Confidence::Likely, Grip::Firm, summary)
        .evidence("the launcher's own process above it ended before it did: whatever was below that is killed")
        .advice("find who killed a process named launcher-keeper: a script that kills by name, a person")
        .advice("or the kernel, out of memory: dmesg | grep -i 'killed process'")
}

fn exited(view: &View<'_>, code: i32, words: Option<&LastWords>) -> Candidate {
    let name = &view.facts.service;
    let when = if view.facts.was_ready || view.facts.notified.ready { "" } else { " before it was ready" };
    let after = words::span(view.facts.elapsed);
    let because = match words {
        Some(words) => format!(": {}", words.text),
        // At a terminal of its own it is not seen what it writes.
        None if view.facts.terminal || code == 0 => String::new(),
        None => ": it printed nothing".to_owned(),
    };
    let summary = format!("{name} exited with code {code}{when}, after {after}{because}");
    let candidate = Candidate::new(Cause::Exited, Confidence::Certain, Grip::Firm, summary)
        .evidence(format!("the kernel reports exit code {code}"));
    match code {
        0 => candidate
            .advice("if it puts itself into the background, keep it in the foreground (often -f or --no-daemon)")
            .advice("if it is a task that ends, set ready = \"exited\" (--ready exited)"),
        13 if view.facts.command.first().is_some_and(|program| words::base(program) == "node") => {
            candidate.evidence("node exits with 13 when a top-level await is never settled")
        }
        126 => candidate.evidence("a shell exits with 126 when a command cannot be executed"),
        127 => candidate.evidence("a shell exits with 127 when a command is not found"),
        129..=192 => match Signal::from_number(code - 128) {
            Some(signal) => {
                candidate.evidence(format!("a shell exits with {code} when its command is ended by {signal}"))
            }
            None => candidate,
        },
        _ => candidate,
    }
}

fn crashed(view: &View<'_>, signal: Signal, words: Option<&LastWords>) -> Candidate {
    let name = &view.facts.service;
    let when = if view.facts.was_ready || view.facts.notified.ready { "" } else { " before it was ready" };
    let after = words::span(view.facts.elapsed);
    let because = words.filter(|words| words.recognised).map(|words| format!(": {}", words.text)).unwrap_or_default();
    let summary = format!("{name} was ended by {signal}{when}, after {after}{}{because}", meaning(signal));
    let candidate = Candidate::new(Cause::Crashed, Confidence::Certain, Grip::Firm, summary)
        .evidence(format!("the kernel reports that {signal} ended it"))
        .target(signal.to_string());
    if view.facts.stop_requested {
        return candidate
            .evidence("the launcher had asked it to stop")
            .advice("let it end by itself on the stop signal");
    }
    if let Some(sent) = sent_lately(view, signal) {
        return sent_by_launcher(candidate, sent);
    }
    match signal {
        Signal::KILL => candidate
            .evidence("who sent it is not known: the launcher did not; the kernel sends it when memory runs out")
            .advice("look into the kernel's log for the OOM killer: dmesg | grep -i 'killed process'"),
        Signal::TERM | Signal::INT | Signal::HUP => candidate
            .evidence("the launcher did not send it")
            .advice("find who stops it from outside: a script, an orchestrator, a time limit"),
        _ if leaves_core(signal) => {
            candidate.advice("look at the core dump, if there is one: coredumpctl info, or ulimit -c unlimited and gdb")
        }
        _ if signal.number() == PIPE => candidate
            .evidence("the kernel sends it to who writes to a pipe or a connection that nobody reads")
            .advice("look who closed the other end, or let it ignore SIGPIPE and handle the error of the write"),
        _ => candidate
            .evidence("the launcher did not send it")
            .advice(format!("find who sends it {signal}, or let it handle that: without a handler it ends a program")),
    }
}

/// What the launcher sent of this signal a moment before the end: later ones are another's.
fn sent_lately<'a>(view: &View<'a>, signal: Signal) -> Option<&'a SentFacts> {
    view.facts.sent.iter().find(|sent| sent.signal == signal && sent.ago <= SENT_LATELY)
}

/// The launcher itself sent the signal that ended it.
fn sent_by_launcher(candidate: Candidate, sent: &SentFacts) -> Candidate {
    let (signal, ago) = (sent.signal, words::span(sent.ago));
    let why = match sent.why {
        SentFor::Asked => "as it was asked to (launcher signal, launcher reload)",
        SentFor::PassedOn => "and so passed on what it was sent itself",
        SentFor::Change => "as a watched file had changed (on_change)",
        SentFor::Stop => "to stop it",
    };
    let candidate = candidate.evidence(format!("the launcher sent it {signal} {ago} before, {why}"));
    let candidate = match sent.why {
        SentFor::PassedOn => candidate.advice(format!("find who sends {signal} to launcher: it passes that on")),
        SentFor::Asked | SentFor::Change | SentFor::Stop => candidate,
    };
    match signal {
        Signal::KILL => candidate.advice("to end it in order, use launcher stop; to have another, launcher restart"),
        _ => candidate.advice(format!(
            "let it handle {signal}, without which it ends a program, or send it nothing or another one for that \
             (--rewrite {}=none)",
            signal.name()
        )),
    }
}

/// Whether the kernel makes a core dump of what this signal ends (`signal(7)`).
fn leaves_core(signal: Signal) -> bool {
    matches!(signal.number(), 3..=8 | 11 | 24 | 25 | 31)
}

fn meaning(signal: Signal) -> &'static str {
    match signal.number() {
        4 => " (illegal instruction)",
        6 => " (abort)",
        7 => " (bus error)",
        8 => " (arithmetic error)",
        11 => " (segmentation fault)",
        31 => " (forbidden system call: a seccomp filter)",
        _ => "",
    }
}

/// The memory limit ended it, or one of its processes.
pub fn out_of_memory<'a>(view: &View<'a>) -> Option<Candidate> {
    let facts = view.facts;
    let memory = facts.memory.unwrap_or_default();
    let killed = matches!(facts.ending, Some(Ending::Signal(Signal::KILL) | Ending::Code(137)));
    let full =
        matches!((memory.limit, memory.peak), (Some(limit), Some(peak)) if limit > 0 && peak >= limit - limit / 20);
    let confidence = if memory.kills > 0 {
        Confidence::Certain
    } else if killed && full && !facts.stop_requested && sent_lately(view, Signal::KILL).is_none() {
        Confidence::Likely
    } else if facts.occasion == Occasion::OutOfMemory {
        Confidence::Possible
    } else {
        return None;
    };
    let summary = format!("{} was killed by the memory limit{}", facts.service, amounts(memory));
    // A kill beside a main process that lives on, or that ended by itself, is not the whole story.
    let grip = if facts.ending.is_some() { Grip::Firm } else { Grip::Hard };
    let processes = if memory.kills == 1 { "process" } else { "processes" };
    let counted = format!("the kernel's counter: {} {processes} of its cgroup killed since it started", memory.kills);
    let raise = match memory.own {
        true => format!("raise memory of [service.{}.limits], or let it use less", facts.service),
        false => "raise the memory limit of its container or unit, or let it use less".to_owned(),
    };
    let mut candidate = Candidate::new(Cause::OutOfMemory, confidence, grip, summary)
        .evidence_all((memory.kills > 0).then_some(counted))
        .evidence_all(killed.then(|| "it was ended by SIGKILL".to_owned()))
        .evidence_all(memory.peak.map(|peak| format!("memory used at most: {}", words::bytes(peak))))
        .advice(raise);
    if let Some(limit) = memory.limit {
        candidate = candidate.target(words::bytes(limit)).evidence(format!("memory limit: {}", words::bytes(limit)));
    }
    Some(candidate)
}

/// Of the endings the one that the kernel counts: it may be why the main process has ended, or others beside what goes
/// on. What holds that firmly comes first.
pub fn beside<'a>(view: &View<'a>) -> Vec<Candidate> {
    out_of_memory(view).map(|found| Candidate { grip: Grip::Hard, ..found }).into_iter().collect()
}

fn amounts(memory: MemoryFacts) -> String {
    match (memory.limit, memory.peak) {
        (Some(limit), Some(peak)) => format!(": limit {}, peak {}", words::bytes(limit), words::bytes(peak)),
        (Some(limit), None) => format!(" of {}", words::bytes(limit)),
        _ => String::new(),
    }
}
