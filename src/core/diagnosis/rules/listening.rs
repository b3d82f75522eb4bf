//! What it listens on: `listening-elsewhere`, `listening-not-ready`.

use ::core::net::SocketAddr;

use crate::core::facts::{Frame, Occasion, PortFacts, ProbeFacts, WaitingOn};
use crate::core::settings::{Listen, PortMode, Ready};

use super::super::blocked::{self, Kind};
use super::super::candidate::{Candidate, Grip};
use super::super::line::Line;
use super::super::view::{View, covers};
use super::super::{Cause, Confidence, words};

/// It listens, but not where it was declared.
pub fn elsewhere<'a>(view: &View<'a>, line: Option<&Line<'a>>) -> Option<Candidate> {
    if !awaits_ready(view) {
        return None;
    }
    let declared = missing(view)?;
    let undeclared = |listen: &&Listen| !view.facts.ports.iter().any(|port| covers(listen, &port.listen));
    let others: Vec<&Listen> = view.listens_on().into_iter().filter(undeclared).collect();
    let same_port = others.iter().find(|listen| port(listen) == port(&declared) && port(&declared).is_some());
    let actual = same_port.or(others.first())?;
    let pid = view.facts.listening.iter().find(|listening| listening.listen == **actual).map(|listening| listening.pid);
    let who = pid.and_then(|pid| view.process(pid)).map_or(view.facts.service.clone(), words::process);
    let summary = format!("{who} listens on {actual}, but {declared} is declared");
    // Another port may be one for metrics that is opened before the main one.
    let (confidence, grip) = match same_port {
        Some(_) => (Confidence::Certain, Grip::Hard),
        // What its main thread waits for says more, and the port may be open beside that.
        None if main_waits(view, line) => (Confidence::Possible, Grip::Idle),
        None if others.len() == 1 => (Confidence::Likely, Grip::Soft),
        None => (Confidence::Possible, Grip::Weak),
    };
    let list = others.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut candidate = Candidate::new(Cause::ListeningElsewhere, confidence, grip, summary)
        .target(actual.to_string())
        .evidence(format!("the kernel shows that its processes listen on {list}"))
        .evidence(format!("none of them listens on {declared}"))
        .advice(format!("declare where it listens: --port {actual}, or listen = \"{actual}\""))
        .advice(format!("or tell it to listen on {declared}: PORT is in its environment"));
    if let Some(place) = pid.and_then(|pid| view.main(pid)).or(line.map(|line| line.end)) {
        candidate = candidate.at(&place);
    }
    Some(candidate)
}

/// Whether the main line ends in a wait for a child, or for another part of the program, and not where it serves.
fn main_waits(view: &View<'_>, line: Option<&Line<'_>>) -> bool {
    let Some(line) = line else { return false };
    let end = &line.end;
    if matches!(end.wait(), Some(WaitingOn::Poll { .. } | WaitingOn::Accept { .. })) {
        return false;
    }
    let listens = |pid: i32| view.facts.listening.iter().any(|listening| listening.pid == pid);
    if line.leaves_process() && !listens(end.process.pid) {
        return true;
    }
    // Servers in Java, and those in Go that wait for a signal, wait so while they serve.
    let of_signals = |frame: &Frame| frame.function.as_deref().is_some_and(|name| name.starts_with("os/signal."));
    let for_signals = end.process.tasks.iter().any(|task| task.frames.iter().any(of_signals));
    let waits = blocked::of(end).is_some_and(|blocked| !blocked.timed && blocked.kind != Kind::Join);
    waits && end.process.runtime != "jvm" && !for_signals
}

/// A declared address that nothing of the service listens on, or the probed one where that is declared.
fn missing(view: &View<'_>) -> Option<Listen> {
    let not =
        |port: &&PortFacts| !port.listening && port.mode != PortMode::Pass && !matches!(port.listen, Listen::Udp(_));
    let declared = || view.facts.ports.iter().find(not).map(|port| port.listen.clone());
    match &view.facts.ready {
        Ready::Started | Ready::Exited => None,
        Ready::Tcp(_) | Ready::Http(_) => match probed(view) {
            Some(address) if is_declared(view, &address) => {
                (!is_served(view, &address)).then_some(Listen::Tcp(address))
            }
            _ => declared(),
        },
        Ready::Auto | Ready::Notify | Ready::Listen | Ready::Fd(_) | Ready::Log(_) | Ready::Exec(_) => declared(),
    }
}

/// The address that is asked whether the service is ready.
fn probed(view: &View<'_>) -> Option<SocketAddr> {
    match &view.facts.ready {
        Ready::Tcp(address) => Some(*address),
        _ => view.facts.probe.as_ref().and_then(|probe| probe.address),
    }
}

/// Whether a port that it asks is one that the service is told to listen on.
fn is_declared(view: &View<'_>, address: &SocketAddr) -> bool {
    view.facts.ports.iter().any(|declared| port(&declared.listen) == Some(address.port()))
}

/// Whether the service itself listens where it is asked.
fn is_served(view: &View<'_>, address: &SocketAddr) -> bool {
    view.facts.listening.iter().any(|listening| answers(&listening.listen, address))
}

/// Whether a connection to `address` reaches who listens on `actual`: a wildcard is reached by any address.
fn answers(actual: &Listen, address: &SocketAddr) -> bool {
    match actual {
        Listen::Tcp(own) => own.port() == address.port() && (own.ip() == address.ip() || own.ip().is_unspecified()),
        _ => false,
    }
}

fn port(listen: &Listen) -> Option<u16> {
    match listen {
        Listen::Tcp(address) | Listen::Udp(address) => Some(address.port()),
        Listen::Unix(_) => None,
    }
}

fn awaits_ready(view: &View<'_>) -> bool {
    view.facts.occasion == Occasion::StartTimeout && !view.facts.notified.ready
}

/// It listens on all that was declared, but READY=1 never came, or the probe looks in the wrong place.
pub fn not_ready<'a>(view: &View<'a>, line: Option<&Line<'a>>) -> Option<Candidate> {
    let facts = view.facts;
    if !awaits_ready(view) || !serves_all(view) {
        return None;
    }
    let candidate = match &facts.ready {
        Ready::Tcp(_) | Ready::Http(_) if misplaced(view, line).is_some() => misplaced(view, line)?,
        Ready::Notify | Ready::Auto => not_notified(view, line),
        Ready::Tcp(address) => probe_fails(view, address)?,
        Ready::Fd(_) | Ready::Http(_) | Ready::Log(_) | Ready::Exec(_) => unshown(view, facts.probe.as_ref()?),
        Ready::Listen | Ready::Started | Ready::Exited => return None,
    };
    let listens = view.listens_on().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let candidate = candidate.evidence(format!("the kernel shows that its processes listen on {listens}"));
    Some(
        match view.facts.listening.first().and_then(|listening| view.main(listening.pid)).or(line.map(|line| line.end))
        {
            Some(place) => candidate.at(&place),
            None => candidate,
        },
    )
}

/// Whether it serves all its declared ports, or, with none declared, any.
fn serves_all(view: &View<'_>) -> bool {
    let ports = &view.facts.ports;
    let served = |port: &PortFacts| match port.mode {
        // The launcher listens on it itself: only a thread that accepts shows that it is served.
        PortMode::Pass => view.serves(&port.listen),
        _ => port.listening,
    };
    !view.listens_on().is_empty() && ports.iter().all(served)
}

/// It is asked where nothing of it listens and nobody answers, and no declared port is meant.
fn misplaced(view: &View<'_>, line: Option<&Line<'_>>) -> Option<Candidate> {
    let address = probed(view).filter(|address| !is_declared(view, address) && !is_served(view, address))?;
    if view.facts.probe.as_ref().is_some_and(|probe| probe.answered) {
        return None;
    }
    let others = view.listens_on();
    let tcp = |listen: &&Listen| match listen {
        Listen::Tcp(own) => Some(*own),
        _ => None,
    };
    let own: Vec<SocketAddr> = others.iter().filter_map(tcp).collect();
    let same_port = own.iter().find(|own| own.port() == address.port());
    let actual = same_port.or(own.first())?;
    let (confidence, grip) = match same_port {
        Some(_) => (Confidence::Certain, Grip::Hard),
        None if main_waits(view, line) => (Confidence::Possible, Grip::Idle),
        None if own.len() == 1 => (Confidence::Likely, Grip::Soft),
        None => (Confidence::Possible, Grip::Weak),
    };
    let asks = match &view.facts.ready {
        Ready::Http(probe) => probe.url.clone(),
        _ => format!("tcp://{address}"),
    };
    let host = if actual.ip().is_unspecified() { address.ip() } else { actual.ip() };
    let reached = SocketAddr::new(host, actual.port()).to_string();
    let right = asks.replacen(&address.to_string(), &reached, 1);
    let correct = match right == asks {
        true => format!("correct --ready (ready in launcher.toml): it listens on {actual}"),
        false => format!("correct --ready (ready in launcher.toml): --ready {right}"),
    };
    let name = &view.facts.service;
    let summary = format!("{name} listens on {actual}, but is asked at {asks}: the probe looks in the wrong place");
    let last = view.facts.probe.as_ref().and_then(|probe| probe.last_error.as_ref());
    Some(
        Candidate::new(Cause::ListeningNotReady, confidence, grip, summary)
            .target(address.to_string())
            .evidence(format!("none of its processes listens on {address}"))
            .evidence_all(last.map(|error| format!("the last try: {error}")))
            .advice(correct)
            .advice(format!("or let it listen on {address}")),
    )
}

fn not_notified(view: &View<'_>, line: Option<&Line<'_>>) -> Candidate {
    let facts = view.facts;
    let name = &facts.service;
    let stranger = facts.notified.strangers.iter().find(|(_, said)| said.contains("READY=1"));
    if let Some((pid, _)) = stranger {
        let summary = format!("{name} listens, but READY=1 came from pid {pid}, which is no process of this service");
        return Candidate::new(Cause::ListeningNotReady, Confidence::Certain, Grip::Hard, summary)
            .target("READY=1")
            .evidence(format!("READY=1 was sent by pid {pid} and ignored: its credentials are not the service's"))
            .advice("send READY=1 from a process that the service itself started");
    }
    let lost = facts.processes.iter().find(|process| process.has_notify_socket == Some(false));
    if let Some(process) = lost {
        let summary = format!(
            "{name} listens, but cannot say READY=1: NOTIFY_SOCKET is not in the environment of {}",
            words::process(process)
        );
        return Candidate::new(Cause::ListeningNotReady, Confidence::Certain, Grip::Hard, summary)
            .target("NOTIFY_SOCKET")
            .evidence(format!("/proc/{}/environ has no NOTIFY_SOCKET", process.pid))
            .advice(
                "let the wrapper keep NOTIFY_SOCKET: env -i, sudo and su remove it (sudo --preserve-env=NOTIFY_SOCKET)",
            )
            .advice("or let the launcher see for itself: ready = \"listen\" (--ready listen)");
    }
    let summary = format!("{name} listens, but never said READY=1");
    // With `auto` a port that listens is enough: it is not this alone that keeps the service from being ready.
    let (confidence, grip) = match facts.ready {
        Ready::Notify if facts.ports.is_empty() && main_waits(view, line) => (Confidence::Possible, Grip::Idle),
        // Without a declared port it may be one for metrics or for its own parts: what its threads wait for says more.
        Ready::Notify if facts.ports.is_empty() => (Confidence::Likely, Grip::Weak),
        Ready::Notify => (Confidence::Likely, Grip::Soft),
        _ => (Confidence::Possible, Grip::Weak),
    };
    Candidate::new(Cause::ListeningNotReady, confidence, grip, summary)
        .target("READY=1")
        .evidence("no READY=1 arrived on the notify socket")
        .evidence_all(facts.notified.status.as_ref().map(|status| format!("its last status: \"{status}\"")))
        .advice(
            "let it send READY=1 to $NOTIFY_SOCKET when it serves (sd_notify; in a script: launcher notify READY=1)",
        )
        .advice("or, if it knows nothing of that, set ready = \"listen\" (--ready listen)")
}

/// What would show that it is ready has not come: an answer, a line.
fn unshown(view: &View<'_>, probe: &ProbeFacts) -> Candidate {
    let name = &view.facts.service;
    let last = probe.last_error.as_deref();
    let but = last.map_or("that has not happened".to_owned(), str::to_owned);
    let summary = format!("{name} listens, but is ready when {}: {but}", probe.wanted);
    // An answer shows that the probe reaches a server; what a closed descriptor shows is final.
    let (confidence, grip) = match (probe.answered, last) {
        (true, Some(_)) => (Confidence::Certain, Grip::Hard),
        _ => (Confidence::Likely, Grip::Soft),
    };
    let tries = match probe.tries {
        0 => None,
        1 => Some("it was tried once".to_owned()),
        tries => Some(format!("it was tried {tries} times")),
    };
    let own = |address: &SocketAddr| view.facts.listening.iter().any(|listening| answers(&listening.listen, address));
    let other = probe.address.filter(|address| probe.answered && !own(address));
    let advice = match view.facts.ready {
        _ if other.is_some() => "look who answers there (launcher port), and ask where the service listens",
        Ready::Http(_) => "look why it answers so, or whether ready.http asks in the wrong place",
        Ready::Log(_) => "compare its output with the pattern: ready.log is matched against each whole line",
        Ready::Exec(_) => "run the command of ready.exec by hand, as the service's user, and see what it says",
        _ => "let it write a newline to that descriptor when it serves, or choose another kind of ready",
    };
    Candidate::new(Cause::ListeningNotReady, confidence, grip, summary)
        .target(probe.wanted.clone())
        .evidence_all(tries)
        .evidence_all(other.map(|address| format!("no process of {name} listens on {address}: another one answers")))
        .advice(advice)
}

fn probe_fails(view: &View<'_>, address: &SocketAddr) -> Option<Candidate> {
    let listening = view.facts.listening.iter().find(|listening| answers(&listening.listen, address))?;
    let name = &view.facts.service;
    let summary = format!("{name} listens on {}, but a connection to {address} was not answered", listening.listen);
    Some(
        Candidate::new(Cause::ListeningNotReady, Confidence::Likely, Grip::Hard, summary)
            .target(address.to_string())
            .evidence(format!("the probe of {address} never succeeded"))
            .advice(format!("look why connections to {address} are not accepted: a full backlog, a firewall rule"))
            .advice("or set ready = \"listen\" (--ready listen)"),
    )
}
