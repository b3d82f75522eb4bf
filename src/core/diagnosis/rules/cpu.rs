//! What computes, or would if it were let: `busy-loop`, `slow-progress`, `cpu-throttled`.

use std::time::Duration;

use crate::core::facts::ProcessFacts;
use crate::core::progress::{BUSY, LITTLE_IO, WORKING};

use super::super::candidate::{Candidate, Grip};
use super::super::line::Line;
use super::super::view::{Place, View, share};
use super::super::{Cause, Confidence, frames, words};

/// Output younger than this counts as progress.
const FRESH: Duration = Duration::from_secs(2);

/// From this share of the time on that its cgroup is held back, the quota is what matters.
const THROTTLED: f64 = 0.2;

/// A wait for another thread that is shorter than this may be over with the next look.
const SHORT_WAIT: Duration = Duration::from_millis(50);

/// A thread that wants to run, in a cgroup that the CPU quota holds back.
pub fn throttled<'a>(_: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let thread = place.on_thread()?;
    let quota = place.process.quota?;
    let held = share(quota.throttled.growth()?, quota.throttled.apart).filter(|held| *held >= THROTTLED)?;
    let runs = thread.cpu.growth().is_some_and(|millis| millis > 0);
    // The time in which its cgroup is held back need not count as waiting for a CPU.
    if !runs || !(thread.state == 'R' || place.runnable_share().is_some_and(|share| share >= BUSY)) {
        return None;
    }
    let limit = words::cpus(quota.cpus);
    let summary =
        format!("{} is held back by the CPU quota of its cgroup: {limit}, used up{}", place.who(), place.in_frame());
    let milliseconds = quota.throttled.growth().unwrap_or(0);
    Some(
        Candidate::new(Cause::CpuThrottled, Confidence::Likely, Grip::Hard, summary)
            .at(place)
            .target(&limit)
            .evidence(format!("CPU quota of its cgroup: {limit}"))
            .evidence(format!(
                "the kernel held its cgroup back for {milliseconds} ms of {} ({:.0} %)",
                words::span(quota.throttled.apart),
                held * 100.0
            ))
            .evidence_all(frames::innermost(place.frames(), 3).into_iter().map(|frame| format!("it runs in {frame}")))
            .advice("raise the CPU limit of its container or unit (--cpus, resources.limits.cpu, CPUQuota=)")
            .advice("or give it more time: raise start_timeout (--start-timeout)"),
    )
}

/// A thread that burns CPU between the two samples.
pub fn busy<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let share = place.cpu_share().filter(|share| *share >= WORKING)?;
    place.runnable_share().filter(|runnable| *runnable >= BUSY)?;
    // Who gets a quarter of a CPU needs four times as long from one line of output to the next.
    let progress = progress(view, place.process, FRESH.div_f64(share.clamp(WORKING, 1.0)));
    let hot = frames::innermost(place.frames(), 3);
    let hottest = hot.first().map(|frame| frame.split("  ").next().unwrap_or(frame).to_owned());
    let at = match (place.frame(), &hottest) {
        (Some(frame), _) => format!(" in {}", words::frame(&frame)),
        (None, Some(function)) => format!(" in {function}"),
        (None, None) => String::new(),
    };
    let rest = if share < BUSY { " and waited for a free one the rest of the time" } else { "" };
    let used = format!("it used {:.0} % of a CPU for {}{rest}", share * 100.0, words::span(place.thread.cpu.apart));
    let candidate = if progress.is_empty() {
        let summary = format!("{} burns CPU{at} and nothing comes of it: no input, no output", place.who());
        Candidate::new(Cause::BusyLoop, Confidence::Likely, Grip::Hard, summary)
            .evidence(used)
            .evidence("it read and wrote next to nothing meanwhile, and printed nothing of late")
            .advice(format!("look at the loop{at}: what should end it, and why does that not happen?"))
            .advice("if it computes something that takes long, raise start_timeout (--start-timeout)")
    } else {
        let summary = format!("{} is working{at}: {}", place.who(), progress.join(", "));
        Candidate::new(Cause::SlowProgress, Confidence::Likely, Grip::Hard, summary)
            .evidence(used)
            .evidence_all(progress)
            .advice_all(more_time(view))
    };
    let mut candidate = candidate.at(place);
    candidate.verdict.target = candidate.verdict.frame.as_ref().map(|frame| frame.function.clone()).or(hottest);
    Some(candidate.evidence_all(hot.into_iter().map(|frame| format!("hottest frame: {frame}"))))
}

/// What gives a service that works the time it needs.
pub(super) fn more_time(view: &View<'_>) -> Vec<String> {
    let moves = match view.facts.extend_while_progressing {
        Some(most) => {
            format!("or raise extend_while_progressing, by which a start takes {} at most", words::setting(most))
        }
        None => {
            format!(
                "or let its deadline move on while it visibly works: extend_while_progressing of [service.{}]",
                view.facts.service
            )
        }
    };
    let more = "give it more time: raise start_timeout (--start-timeout)".to_owned();
    vec![more, moves, "or let it send EXTEND_TIMEOUT_USEC= while it works (sd_notify)".to_owned()]
}

/// A wait for another thread that began a moment ago, in a process that gets on, is one of many: it holds nothing up.
/// Asked once the main line is known: a child that gets on is still what its parent waits for.
pub fn momentary(view: &View<'_>, candidate: Candidate) -> Candidate {
    let is_wait = matches!(candidate.verdict.cause, Cause::LockWait | Cause::ChannelWait);
    let place = candidate.verdict.thread.filter(|_| is_wait).and_then(|tid| view.thread(tid));
    let is_short = |place: &Place<'_>| place.thread.waited.is_some_and(|waited| waited < SHORT_WAIT);
    match place.filter(|place| is_short(place) && gets_on(place.process)) {
        Some(_) => candidate.at_most(Confidence::Possible),
        None => candidate,
    }
}

/// Whether a process computes, or moves bytes, between the samples.
fn gets_on(process: &ProcessFacts) -> bool {
    used(process).is_some() || moved(process).is_some()
}

/// The share of one CPU that a process used between the samples, if that is work.
fn used(process: &ProcessFacts) -> Option<f64> {
    share(process.cpu.growth()?, process.cpu.apart).filter(|share| *share >= WORKING)
}

/// The bytes that a process moved between the samples, if they are more than a few.
fn moved(process: &ProcessFacts) -> Option<u64> {
    let apart = process.io.apart.as_secs_f64();
    process.io.growth().filter(|bytes| apart > 0.0 && *bytes as f64 / apart > LITTLE_IO)
}

/// Signs that a process gets on: bytes moved between the samples, output younger than `fresh`.
fn progress(view: &View<'_>, process: &ProcessFacts, fresh: Duration) -> Vec<String> {
    let mut signs = Vec::new();
    if let Some(bytes) = moved(process) {
        signs.push(format!("it read and wrote {} in {}", words::bytes(bytes), words::span(process.io.apart)));
    }
    // What is as old as most of the start is what every program says first.
    let fresh = fresh.min(view.facts.elapsed / 2);
    if let Some(age) = view.facts.output_age.filter(|age| *age < fresh && !view.facts.output_tail.trim().is_empty()) {
        signs.push(format!("it printed something {} ago", words::span(age)));
    }
    signs
}

/// The service as a whole gets on: CPU, input and output, or text that comes.
pub fn progressing<'a>(view: &View<'a>, line: Option<&Line<'a>>) -> Option<Candidate> {
    let mut signs = Vec::new();
    for process in view.facts.processes.iter().filter(|process| !process.zombie) {
        // What a busy thread uses is told with it.
        let told = view.places().any(|place| place.process.pid == process.pid && busy(view, &place).is_some());
        if let Some(share) = used(process).filter(|_| !told) {
            signs.push(format!("{} used {:.0} % of a CPU", words::process(process), share * 100.0));
        }
        for sign in progress(view, process, FRESH) {
            if !signs.contains(&sign) {
                signs.push(sign);
            }
        }
    }
    let place = line.map(|line| line.end).or_else(|| view.start())?;
    if signs.is_empty() {
        return None;
    }
    let confidence = if signs.len() > 1 { Confidence::Likely } else { Confidence::Possible };
    let summary = format!("{} seems to be at work: {}", view.facts.service, signs.join(", "));
    Some(
        Candidate::new(Cause::SlowProgress, confidence, Grip::Weak, summary)
            .at(&place)
            .evidence_all(signs)
            .advice_all(more_time(view)),
    )
}
