//! From facts to a verdict: what the service is waiting for, in one sentence, with its evidence.

mod advice;
mod asleep;
mod blocked;
mod candidate;
pub(crate) mod frames;
mod futures;
mod line;
mod place;
mod rules;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod view;
pub(crate) mod words;

pub use view::{covers, only_itself};

use serde::{Deserialize, Serialize};

use crate::core::exit::Ending;
use crate::core::facts::{Facts, Frame, Occasion, WaitingOn};

use candidate::{Candidate, Grip};
use line::Line;
use rules::{bind, connection, cpu, endings, listening, locks, retry, waits};
use view::View;

/// What a service is waiting for (DESIGN §8).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The cause.
    pub cause: Cause,
    /// How sure it is.
    pub confidence: Confidence,
    /// One sentence for a person; no final period.
    pub summary: String,
    /// What shows it, the strongest first.
    pub evidence: Vec<String>,
    /// What can be done, in the imperative, to be followed literally.
    pub advice: Vec<String>,
    /// The process it is about.
    pub process: Option<i32>,
    /// The thread it is about.
    pub thread: Option<i32>,
    /// What it waits for: an address, a path, a lock, a port.
    pub target: Option<String>,
    /// The innermost frame of the user's own code.
    pub frame: Option<VerdictFrame>,
}

/// A frame as the verdict names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictFrame {
    /// The function.
    pub function: String,
    /// The source file.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
}

impl VerdictFrame {
    /// The same frame as a verdict names it, if its function is known.
    pub fn of(frame: &Frame) -> Option<VerdictFrame> {
        Some(VerdictFrame { function: frame.function.clone()?, file: frame.file.clone(), line: frame.line })
    }
}

/// The causes a verdict can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Cause {
    ConnectWait,
    ConnectRetry,
    ReplyWait,
    DnsWait,
    LockCycle,
    LockWait,
    FileLockWait,
    ChannelWait,
    EventLoopIdle,
    ChildWait,
    InputWait,
    DiskWait,
    EntropyWait,
    BusyLoop,
    SlowProgress,
    CpuThrottled,
    Stopped,
    ListeningElsewhere,
    ListeningNotReady,
    PortTaken,
    ExecFailed,
    Crashed,
    Exited,
    OutOfMemory,
    /// Also what a cause of a later version is read back as.
    #[serde(other)]
    Unknown,
}

/// How sure a verdict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// One explanation among others.
    Possible,
    /// The facts fit, and little else does.
    Likely,
    /// Shown by kernel or runtime state.
    Certain,
}

/// The verdict and, in order, what else it could be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The best explanation.
    pub verdict: Verdict,
    /// Others, in order.
    pub alternatives: Vec<Verdict>,
}

impl Cause {
    /// Its name in the report: `connect-wait`.
    pub fn name(self) -> &'static str {
        match self {
            Cause::ConnectWait => "connect-wait",
            Cause::ConnectRetry => "connect-retry",
            Cause::ReplyWait => "reply-wait",
            Cause::DnsWait => "dns-wait",
            Cause::LockCycle => "lock-cycle",
            Cause::LockWait => "lock-wait",
            Cause::FileLockWait => "file-lock-wait",
            Cause::ChannelWait => "channel-wait",
            Cause::EventLoopIdle => "event-loop-idle",
            Cause::ChildWait => "child-wait",
            Cause::InputWait => "input-wait",
            Cause::DiskWait => "disk-wait",
            Cause::EntropyWait => "entropy-wait",
            Cause::BusyLoop => "busy-loop",
            Cause::SlowProgress => "slow-progress",
            Cause::CpuThrottled => "cpu-throttled",
            Cause::Stopped => "stopped",
            Cause::ListeningElsewhere => "listening-elsewhere",
            Cause::ListeningNotReady => "listening-not-ready",
            Cause::PortTaken => "port-taken",
            Cause::ExecFailed => "exec-failed",
            Cause::Crashed => "crashed",
            Cause::Exited => "exited",
            Cause::OutOfMemory => "out-of-memory",
            Cause::Unknown => "unknown",
        }
    }
}

impl Confidence {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Confidence::Possible => "possible",
            Confidence::Likely => "likely",
            Confidence::Certain => "certain",
        }
    }
}

/// So many other explanations are told at most.
const ALTERNATIVES: usize = 4;
/// So many threads are looked at: enough for any program that a person could be told about.
const THREADS: usize = 2000;

/// Finds what the service is waiting for. It never guesses: when nothing can be shown the cause is `unknown`.
pub fn diagnose(facts: &Facts) -> Diagnosis {
    let view = View::new(facts);
    let line = Line::of(&view);
    let outlived = outlived(facts);
    let mut candidates = if outlived.is_some() { endings::beside(&view) } else { endings(&view) };
    if (facts.ending.is_none() || outlived.is_some()) && facts.refusal.is_none() {
        candidates.extend(line.as_ref().and_then(|line| on_line(&view, line)));
        candidates.extend(line.as_ref().and_then(|line| waits::child_at(&view, line)));
        beside(&view, line.as_ref(), &mut candidates);
        candidates.extend(service(&view, line.as_ref()));
        candidates = candidates.into_iter().map(|candidate| cpu::momentary(&view, candidate)).collect();
    }
    candidates.push(unknown(&view, line.as_ref()));
    let mut diagnosis = choose(candidates);
    asked_for(&view, &mut diagnosis.verdict, line.as_ref());
    if let Some(before) = outlived {
        diagnosis.verdict.summary = format!("{before}: {}", diagnosis.verdict.summary);
    }
    advice::fit(facts, &mut diagnosis);
    diagnosis
}

/// The main process has ended as it was to, and others of the service go on: what they wait for is what a report on a
/// stop is about.
fn outlived(facts: &Facts) -> Option<String> {
    let ending = facts.ending.filter(|_| facts.occasion == Occasion::StopTimeout)?;
    let how = match ending {
        Ending::Code(code) => format!("has exited with code {code}"),
        Ending::Signal(signal) => format!("has ended on {signal}"),
    };
    let name = &facts.service;
    match facts.processes.iter().filter(|process| !process.zombie).count() {
        0 => None,
        1 => Some(format!("{name} {how}, but one of its processes goes on")),
        count => Some(format!("{name} {how}, but {count} of its processes go on")),
    }
}

/// The address that the last lines of output say was in use already, as `launcher port` takes it.
pub fn bind_refused(tail: &str) -> Option<String> {
    rules::bind::bind_refused(tail)
}

/// Whether the last lines of output say that something cannot be reached, or is tried again and again.
pub fn speaks_of_retries(tail: &str) -> bool {
    rules::output::unreached(tail).is_some()
}

/// What waits may be a library's task, or a program that was started: where the user's code stands that it does so for is
/// what the user knows.
fn asked_for(view: &View<'_>, verdict: &mut Verdict, line: Option<&Line<'_>>) {
    let Some(line) = line.filter(|_| verdict.frame.is_none() && verdict.thread.is_some()) else { return };
    // Go reads an answer of HTTP in a goroutine of its own: who sent the request waits in another.
    let sends = |place: &view::Place<'_>| frames::passes_within(place.frames(), "net/http.(*persistConn).roundTrip");
    let mut tasks = verdict.process.into_iter().flat_map(|pid| view.tasks(pid));
    if let Some(place) = tasks.find(|place| sends(place) && place.frame().is_some()) {
        verdict.frame = place.frame();
        verdict.evidence.push(format!("{} waits for it{}", place.number(), place.in_frame()));
        return;
    }
    let back = std::iter::once(&line.end).chain(line.steps.iter().rev().map(|step| &step.from));
    let Some(place) = back.into_iter().find(|place| place.frame().is_some()) else { return };
    // Of another process only what started the one that the verdict is about is of interest.
    let on_line = |pid: i32| line.end.process.pid == pid || line.steps.iter().any(|step| step.from.process.pid == pid);
    if !verdict.process.is_some_and(on_line) {
        return;
    }
    verdict.frame = place.frame();
    verdict.evidence.push(format!("{} waits for it{}", place.number(), place.in_frame()));
}

fn endings(view: &View<'_>) -> Vec<Candidate> {
    let found = [endings::refused(view), endings::out_of_memory(view), bind::bind_failed(view), endings::ended(view)];
    found.into_iter().flatten().collect()
}

/// What holds the last link of the main line; the chain that led there is told.
fn on_line<'a>(view: &View<'a>, line: &Line<'a>) -> Option<Candidate> {
    let explained = rules::explain(view, &line.end).filter(|candidate| {
        // In another process a loose explanation is worth less than that the child is waited for.
        !line.leaves_process() || (candidate.grip > Grip::Idle && candidate.verdict.confidence > Confidence::Possible)
    });
    let candidate = match explained {
        Some(candidate) => candidate.evidence_all(line.told()),
        None if line.leaves_process() => waits::child(view, line)?,
        None => return None,
    };
    let mut candidate = candidate.on_line();
    if line.is_loose() {
        candidate.verdict.confidence = candidate.verdict.confidence.min(Confidence::Likely);
    }
    Some(candidate)
}

/// What holds other threads and processes than the last link; many that are held by the same thing count as one.
fn beside<'a>(view: &View<'a>, line: Option<&Line<'a>>, candidates: &mut Vec<Candidate>) {
    // The steps before the last link are told with it.
    let on_line = |place: &view::Place<'a>| {
        line.is_some_and(|line| place.same(&line.end) || line.steps.iter().any(|step| step.from.same(place)))
    };
    for place in view.places().filter(|place| !on_line(place)).take(THREADS) {
        let found = rules::explain(view, &place).map(Candidate::beside);
        let useful = found.filter(|found| found.grip > Grip::Idle || found.verdict.cause == Cause::EventLoopIdle);
        // Of a process whose main thread runs the loop the other loops are the runtime's own helpers.
        let is_helper = |found: &Candidate| {
            let main = view.main(place.process.pid).filter(|main| !main.same(&place));
            found.verdict.cause == Cause::EventLoopIdle
                && main.is_some_and(|main| matches!(main.wait(), Some(WaitingOn::Poll { .. })))
        };
        let Some(mut found) = useful.filter(|found| !is_helper(found)) else { continue };
        // Reading input is what helper threads are for, and one that asked nothing listens to whatever may come. What
        // another process waits for is its work.
        let is_thread = place.process.pid == view.start().map_or(0, |start| start.process.pid);
        let listens = found.verdict.cause == Cause::ReplyWait && connection::asked_nothing(&place);
        if is_thread && (listens || found.verdict.cause == Cause::InputWait) {
            found = found.at_most(if listens { Confidence::Possible } else { Confidence::Certain });
        }
        if !candidates.iter().any(|known| same(known, &found)) {
            candidates.push(found);
        }
    }
    // A deadlock is looked for everywhere, however many threads there are.
    let hidden = view.places().skip(THREADS).find_map(|place| locks::cycle(view, &place));
    candidates.extend(hidden.map(Candidate::beside).filter(|found| !candidates.iter().any(|known| same(known, found))));
}

fn service<'a>(view: &View<'a>, line: Option<&Line<'a>>) -> Vec<Candidate> {
    let found = [
        retry::said(view, line),
        retry::pending(view),
        listening::elsewhere(view, line),
        listening::not_ready(view, line),
        cpu::progressing(view, line),
    ];
    found.into_iter().flatten().collect()
}

/// Whether two explanations say the same of different threads: the same thing waited for, or the same circle of locks.
fn same(one: &Candidate, other: &Candidate) -> bool {
    let members = |candidate: &Candidate| {
        let target = candidate.verdict.target.clone().unwrap_or_default();
        let mut members: Vec<String> = target.split(" -> ").map(str::to_owned).collect();
        members.sort();
        members
    };
    one.verdict.cause == other.verdict.cause && members(one) == members(other)
}

/// The best explanation first; then the others that say something else.
fn choose(mut candidates: Vec<Candidate>) -> Diagnosis {
    // Stable: of equals the rule that was asked first wins.
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.score()));
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        let told = candidate.verdict.cause == Cause::Unknown && !kept.is_empty();
        if !told && !kept.iter().any(|known| same(known, &candidate)) {
            kept.push(candidate);
        }
    }
    let mut verdicts = kept.into_iter().map(|candidate| candidate.verdict);
    let verdict = verdicts.next().unwrap_or_else(|| {
        Candidate::new(Cause::Unknown, Confidence::Possible, Grip::Idle, "nothing is known of the service").verdict
    });
    Diagnosis { verdict, alternatives: verdicts.take(ALTERNATIVES).collect() }
}

/// What is left when no rule fits: what was seen, and no cause.
fn unknown<'a>(view: &View<'a>, line: Option<&Line<'a>>) -> Candidate {
    let facts = view.facts;
    let listens = view.listens_on().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let Some(place) = line.map(|line| line.end) else {
        let summary =
            format!("what {} waits for could not be shown: no thread of it could be looked at", facts.service);
        return finish_unknown(view, Candidate::new(Cause::Unknown, Confidence::Possible, Grip::Idle, summary));
    };
    let doing = match place.wait() {
        Some(WaitingOn::Poll { call, .. }) if !listens.is_empty() => {
            format!("is idle in {call}() and listens on {listens}")
        }
        _ => locks::doing(view, &place),
    };
    let serves = !listens.is_empty() && matches!(place.wait(), Some(WaitingOn::Poll { .. } | WaitingOn::Accept { .. }));
    let why = match facts.occasion {
        Occasion::Requested if serves => "it seems to wait for requests",
        _ => "nothing shows what it waits for",
    };
    let summary = match locks::awaited_event(&place) {
        // That is shown; who is to bring it about is not.
        Some(event) => format!("{} {event}", place.who()),
        None => format!("{} {doing}: {why}", place.who()),
    };
    let candidate = Candidate::new(Cause::Unknown, Confidence::Possible, Grip::Idle, summary)
        .at(&place)
        .evidence(format!("{} {doing}", place.number()))
        .evidence_all(place.call())
        .evidence_all(
            place
                .on_thread()
                .and_then(|thread| thread.wchan.as_ref())
                .map(|wchan| format!("it sleeps in the kernel's {wchan}()")),
        )
        .evidence_all(connection::stack(&place))
        .evidence_all(line.map(Line::told).unwrap_or_default());
    finish_unknown(view, candidate)
}

fn finish_unknown(view: &View<'_>, mut candidate: Candidate) -> Candidate {
    for process in &view.facts.processes {
        let not_whole = |error: &String| format!("the dump of {} is not whole: {error}", words::process(process));
        candidate = candidate.evidence_all(process.dump_error.as_ref().map(not_whole));
    }
    let candidate = candidate
        .evidence_all(view.facts.notified.status.as_ref().map(|status| format!("its last status: \"{status}\"")));
    match view.facts.occasion {
        // The stacks are in the same answer.
        Occasion::Requested => candidate.advice("look again in a while: what has not moved by then is stuck"),
        _ => candidate
            .advice(format!("read the stacks of its threads: launcher report {}", view.facts.service))
            .advice("if it only takes long, raise start_timeout (--start-timeout)"),
    }
}
