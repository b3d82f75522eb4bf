//! What computes: `busy-loop`, `slow-progress`.

use std::time::Duration;

use crate::core::facts::ProcessFacts;

use super::super::candidate::{Candidate, Grip};
use super::super::line::Line;
use super::super::view::{Place, View, share};
use super::super::{Cause, Confidence, frames, words};

/// From this share of one CPU on a thread does little but compute.
const BUSY: f64 = 0.8;
/// From this share on a service does something worth calling progress.
const WORKING: f64 = 0.05;
/// Output younger than this counts as progress.
const FRESH: Duration = Duration::from_secs(2);
/// Less input and output than this a second is not what a program computes on.
const LITTLE_IO: f64 = 64.0 * 1024.0;

/// A thread that burns CPU between the two samples.
pub fn busy<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let share = place.cpu_share().filter(|share| *share >= WORKING)?;
    place.runnable_share().filter(|runnable| *runnable >= BUSY)?;
    let progress = progress(view, place.process);
    let hot = frames::innermost(&place.thread.frames, 3);
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
            .advice("give it more time: raise start_timeout (--start-timeout)")
            .advice("or let it send EXTEND_TIMEOUT_USEC= while it works (sd_notify)")
    };
    let mut candidate = candidate.at(place);
    candidate.verdict.target = candidate.verdict.frame.as_ref().map(|frame| frame.function.clone()).or(hottest);
    Some(candidate.evidence_all(hot.into_iter().map(|frame| format!("hottest frame: {frame}"))))
}

/// Signs that a process gets on: bytes moved between the samples, fresh output.
fn progress(view: &View<'_>, process: &ProcessFacts) -> Vec<String> {
    let mut signs = Vec::new();
    if let (Some(bytes), apart) = (process.io.growth(), process.io.apart)
        && apart > Duration::ZERO
        && bytes as f64 / apart.as_secs_f64() > LITTLE_IO
    {
        signs.push(format!("it read and wrote {} in {}", words::bytes(bytes), words::span(apart)));
    }
    if let Some(age) = view.facts.output_age.filter(|age| *age < FRESH && !view.facts.output_tail.trim().is_empty()) {
        signs.push(format!("it printed something {} ago", words::span(age)));
    }
    signs
}

/// The service as a whole gets on: CPU, input and output, or text that comes.
pub fn progressing<'a>(view: &View<'a>, line: Option<&Line<'a>>) -> Option<Candidate> {
    let mut signs = Vec::new();
    for process in view.facts.processes.iter().filter(|process| !process.zombie) {
        let used = process.cpu.growth().and_then(|millis| share(millis, process.cpu.apart));
        // What a busy thread uses is told with it.
        let told = view.places().any(|place| place.process.pid == process.pid && busy(view, &place).is_some());
        if let Some(share) = used.filter(|share| *share >= WORKING && !told) {
            signs.push(format!("{} used {:.0} % of a CPU", words::process(process), share * 100.0));
        }
        for sign in progress(view, process) {
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
            .advice("give it more time: raise start_timeout (--start-timeout)")
            .advice("or let it send EXTEND_TIMEOUT_USEC= while it works (sd_notify)"),
    )
}
