//! `connect-retry`: it keeps trying to reach something, and sleeps at the moment it is looked at.

use crate::core::facts::{AttemptFacts, SocketFacts, Tried, WaitingOn};

use super::super::candidate::{Candidate, Grip};
use super::super::line::{self, Line};
use super::super::view::{Place, View};
use super::super::{Cause, Confidence, words};
use super::connection::{self, stack};
use super::output::{self, Unreached};
use super::polling::is_pending;

/// Who says so often that something cannot be reached is still at it.
const INSISTS: usize = 3;

/// What was tried in vain by a thread, by the process of a place that sleeps, or by the shell that waits for the program
/// that is its pause; with the one that tries.
pub fn attempts<'a>(view: &View<'a>, place: &Place<'a>) -> Option<(Place<'a>, &'a [AttemptFacts])> {
    // All tasks of an event loop wait in its one thread: the one that sleeps between its tries is meant.
    let naps = |task: &Place<'_>| task.awaits().is_some_and(|(_, what)| what == "sleep");
    if place.awaits().is_some() && !naps(place) && view.tasks(place.process.pid).any(|task| naps(&task)) {
        return None;
    }
    let own = place.on_thread().map(|thread| thread.attempts.as_slice()).unwrap_or_default();
    if !own.is_empty() {
        return Some((*place, own));
    }
    let parent = view.main(place.process.parent);
    let seen = !place.process.attempts.is_empty() || parent.is_some_and(|parent| !parent.process.attempts.is_empty());
    if !seen {
        return None;
    }
    // A ticker or a timer's channel is a goroutine's other way to sleep.
    let ticks = |place: &Place<'_>| matches!(place.wait(), Some(WaitingOn::Channels { .. }));
    let others_sleep = || view.tasks(place.process.pid).any(|task| line::sleeps(view, &task));
    if !line::sleeps(view, place) && (!ticks(place) || others_sleep()) {
        return None;
    }
    if !place.process.attempts.is_empty() {
        return Some((*place, &place.process.attempts));
    }
    let parent = parent?;
    let attempts = parent.process.attempts.as_slice();
    (!attempts.is_empty() && place.is_main()).then_some((parent, attempts))
}

/// A thread was seen to try in vain between two sleeps.
pub fn seen_to_try<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let (place, attempts) = &attempts(view, place)?;
    let failed = |attempt: &&AttemptFacts| attempt.what == Tried::Connect && attempt.errno != 0;
    let attempts: Vec<&AttemptFacts> = attempts.iter().filter(failed).collect();
    // A name with addresses of both families is tried on both; people write the older one.
    let first = attempts.iter().find(|attempt| !attempt.address.starts_with('[')).or(attempts.first())?;
    let target = &first.address;
    let how = match first.errno {
        110 => "timed out",
        113 => "no route",
        104 => "reset",
        2 => "missing",
        11 => "full",
        _ => "refused",
    };
    let pause = match place.wait() {
        Some(WaitingOn::Sleep { duration: Some(time) }) => {
            format!("; between two tries it sleeps {}", words::span(*time))
        }
        _ => String::new(),
    };
    let summary = format!("{} keeps trying to reach {target}, which {}{pause}", place.who(), told(how));
    let tried = |attempt: &AttemptFacts| {
        let times = if attempt.times > 1 { format!(", {} times", attempt.times) } else { String::new() };
        format!("seen when it woke: connect() to {} failed (errno {}){times}", attempt.address, attempt.errno)
    };
    let failed = Unreached { how, address: Some(target.clone()), times: 1, line: String::new() };
    let candidate = Candidate::new(Cause::ConnectRetry, Confidence::Likely, Grip::Firm, summary)
        .at(place)
        .target(target)
        .evidence_all(attempts.iter().copied().map(tried))
        .evidence("it slept before, and will sleep again")
        .evidence_all(stack(place));
    Some(advise(candidate, &failed))
}

/// The last lines of output say that something cannot be reached.
pub fn said<'a>(view: &View<'a>, line: Option<&Line<'a>>) -> Option<Candidate> {
    let failed = output::unreached(&view.facts.output_tail)?;
    let place = line.map(|line| line.end);
    let sleeps = place.is_some_and(|place| line::sleeps(view, &place));
    let confidence = if sleeps || failed.times > 1 { Confidence::Likely } else { Confidence::Possible };
    // What it has said again and again, and just now, is what it is at.
    let fresh = view.facts.output_age.is_some_and(|age| age < view.facts.elapsed / 4);
    let grip = match confidence {
        Confidence::Likely if failed.times >= INSISTS && fresh => Grip::Hard,
        Confidence::Likely => Grip::Soft,
        _ => Grip::Idle,
    };
    let failed = Unreached { address: failed.address.clone().or_else(|| reached(view)), ..failed };
    let target = failed.address.clone().unwrap_or_else(|| "something".to_owned());
    let summary = format!("{} keeps trying to reach {target}, which {}", view.facts.service, told(failed.how));
    let mut candidate = Candidate::new(Cause::ConnectRetry, confidence, grip, summary);
    // The thread that tries is the one at the end of the line only if that one sleeps.
    if let Some(place) = place.filter(|_| sleeps) {
        candidate = candidate.at(&place);
    }
    candidate = candidate
        .evidence(seen(&failed))
        .evidence_all(sleeps.then(|| "between two tries it sleeps: it does so now".to_owned()))
        .evidence_all(place.filter(|_| sleeps).map(|place| stack(&place)).unwrap_or_default())
        .evidence_all(line.map(Line::told).unwrap_or_default());
    if let Some(address) = &failed.address {
        candidate = candidate.target(address);
    }
    Some(advise(candidate, &failed))
}

/// Where a connection that came about was seen to go to between two sleeps.
fn reached(view: &View<'_>) -> Option<String> {
    let processes = || view.facts.processes.iter();
    let of_threads = processes().flat_map(|process| &process.threads).flat_map(|thread| &thread.attempts);
    let mut all = processes().flat_map(|process| &process.attempts).chain(of_threads);
    all.find(|attempt| attempt.what == Tried::Connect && attempt.errno == 0).map(|attempt| attempt.address.clone())
}

fn seen(failed: &Unreached) -> String {
    match failed.times {
        1 => format!("its output says: \"{}\"", failed.line),
        times => format!("its output says so {times} times, last: \"{}\"", failed.line),
    }
}

fn told(how: &str) -> &'static str {
    match how {
        "refused" => "refuses the connection",
        "timed out" => "does not answer",
        "no route" => "cannot be reached from here (no route)",
        "reset" => "resets the connection",
        "missing" => "does not exist",
        "full" => "takes no more connections: its backlog is full",
        "no such name" => "has a name that does not resolve",
        "unavailable" => "answers that it is not available",
        _ => "fails",
    }
}

fn advise(candidate: Candidate, failed: &Unreached) -> Candidate {
    match (failed.how, &failed.address) {
        ("no such name", _) => {
            candidate.advice("correct the name, or look at /etc/resolv.conf and /etc/hosts: getent hosts NAME")
        }
        ("unavailable", Some(address)) => {
            candidate.advice(format!("look why {address}{} cannot serve: its log tells", words::usually(address)))
        }
        ("full", Some(address)) => {
            candidate.advice(format!("look why what listens on {address} does not accept connections"))
        }
        (_, Some(address)) => {
            let usually = words::usually(address);
            candidate.advice(format!("start what should listen on {address}{usually}, or correct the address"))
        }
        (_, None) => candidate.advice("start what it tries to reach, or correct the address"),
    }
}

/// A connection that is pending somewhere in the service, though no thread was seen to wait for it.
pub fn pending<'a>(view: &View<'a>) -> Option<Candidate> {
    let sockets =
        view.facts.processes.iter().flat_map(|process| process.sockets.iter().map(move |socket| (process, socket)));
    let (process, socket): (_, &SocketFacts) = sockets.into_iter().find(|(_, socket)| is_pending(socket))?;
    let place = view.main(process.pid)?;
    let evidence = format!("pid {} has a socket whose connection to {} is pending", process.pid, words::peer(socket));
    let mut candidate = connection::pending(&place, socket, "the background", Confidence::Likely, Grip::Soft, evidence);
    candidate.verdict.summary = format!(
        "{} has a connection to {} ({}) pending that is not answered",
        words::process(process),
        words::peer(socket),
        words::protocol(socket)
    );
    Some(candidate)
}
