//! Waiting for another program over a socket: `connect-wait`, `reply-wait`.

use std::time::Duration;

use crate::core::facts::{ListenerFacts, PortFacts, SocketFacts, WaitingOn};
use crate::core::settings::PortMode;

use super::super::candidate::{Candidate, Grip};
use super::super::view::{Place, View, only_itself};
use super::super::{Cause, Confidence, words};
use super::{cpu, locks};

/// What came within this has come lately.
const LATELY: Duration = Duration::from_secs(1);
/// So many pieces of data are no greeting and no short answer any more.
const PIECES: u32 = 3;

/// A blocking `connect(2)`.
pub fn connect<'a>(_: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let WaitingOn::Connect { fd, socket } = place.wait()? else { return None };
    // Between the two readings the connection may have come about: then the socket does not show it.
    let confidence = if socket.state == "established" { Confidence::Likely } else { Confidence::Certain };
    let by = if place.task.is_some() { "the runtime's poller watches" } else { "system call:" };
    let call = format!("{by} connect(fd {fd}) to {}", words::peer(socket));
    Some(pending(place, socket, "connect()", confidence, Grip::Hard, call))
}

/// A connection that is not answered, whichever call waits for it.
pub fn pending(
    place: &Place<'_>,
    socket: &SocketFacts,
    call: &str,
    confidence: Confidence,
    grip: Grip,
    evidence: String,
) -> Candidate {
    let peer = words::peer(socket);
    let kind = words::protocol(socket);
    let silence = Silence::of(socket);
    let summary =
        format!("{} {} in {call} to {peer} ({kind}): {}", place.who(), place.has_waited(), silence.told(socket));
    let mut candidate = Candidate::new(Cause::ConnectWait, confidence, grip, summary)
        .at(place)
        .target(&peer)
        .evidence(evidence)
        .evidence_all(socket_evidence(socket))
        .evidence_all(stack(place));
    for advice in silence.advice(&peer) {
        candidate = candidate.advice(advice);
    }
    candidate.advice("if the answer only takes long, raise start_timeout (--start-timeout)")
}

/// Why a connection attempt gets no answer.
enum Silence<'a> {
    /// The listener's backlog is full: it listens but does not accept.
    Full(&'a ListenerFacts),
    /// A listener on this host that has room.
    Local(&'a ListenerFacts),
    /// On this host, where nothing listens: the kernel would refuse, so something drops the packets.
    Dropped,
    /// Another host.
    Remote,
    /// A Unix socket of which no more is known: `connect(2)` only waits there when the backlog is full.
    Unix,
}

impl Silence<'_> {
    fn of(socket: &SocketFacts) -> Silence<'_> {
        match &socket.peer_listener {
            // The kernel lets one more in than the backlog says.
            Some(listener) if listener.listens && listener.queued > 0 && listener.queued >= listener.backlog => {
                Silence::Full(listener)
            }
            Some(listener) if listener.listens => Silence::Local(listener),
            _ if words::protocol(socket) == "unix" => Silence::Unix,
            Some(_) => Silence::Dropped,
            None => Silence::Remote,
        }
    }

    fn told(&self, socket: &SocketFacts) -> String {
        let no_answer = if socket.state == "syn-sent" { "SYN sent, no answer" } else { "no answer" };
        match self {
            Silence::Full(listener) => {
                format!("the backlog of {} is full, it does not accept", listener_name(listener))
            }
            Silence::Local(listener) => format!("{no_answer}, though {} listens there", listener_name(listener)),
            Silence::Dropped => format!("{no_answer}, and nothing listens there"),
            Silence::Remote => no_answer.to_owned(),
            Silence::Unix => "its listener's backlog is full".to_owned(),
        }
    }

    fn advice(&self, peer: &str) -> Vec<String> {
        let usually = words::usually(peer);
        match self {
            Silence::Full(listener) => vec![
                format!("look why {} does not accept connections on {peer}{usually}", listener_name(listener)),
                match listener.processes.first() {
                    Some(process) => format!("launcher dump {}", process.pid),
                    None => format!("restart what listens on {peer}"),
                },
            ],
            Silence::Unix => vec![format!("look why what listens on {peer} does not accept connections")],
            Silence::Local(_) | Silence::Dropped => vec![
                format!("start what should listen on {peer}{usually}"),
                format!("look for a firewall rule that drops packets to {peer}: a closed port would refuse at once"),
            ],
            Silence::Remote => vec![
                format!("start what should listen on {peer}{usually}, or correct the address"),
                format!(
                    "look for a firewall or a route that drops packets to {peer}: a closed port would refuse at once"
                ),
            ],
        }
    }
}

fn listener_name(listener: &ListenerFacts) -> String {
    if listener.processes.is_empty() { "its listener".to_owned() } else { words::processes(&listener.processes) }
}

/// What the kernel tells of a socket.
pub fn socket_evidence(socket: &SocketFacts) -> Vec<String> {
    let mut evidence = Vec::new();
    if !socket.state.is_empty() {
        let again = match socket.retransmits {
            Some(count) if count > 0 => format!(", sent again {count} times"),
            _ => String::new(),
        };
        evidence.push(format!("socket state: {}{again}", socket.state));
    }
    if let Some(listener) = &socket.peer_listener {
        evidence.push(match listener.listens {
            true => format!(
                "{} listens there; its backlog holds {} of {} connections",
                listener_name(listener),
                listener.queued,
                listener.backlog
            ),
            false => "nothing on this host listens there".to_owned(),
        });
    }
    if !socket.peer_processes.is_empty() {
        evidence.push(format!("at the other end: {}", words::processes(&socket.peer_processes)));
    }
    if let Some(usual) = socket.peer.as_deref().and_then(words::port).and_then(words::usual_service) {
        evidence.push(format!("that port is usually {usual}"));
    }
    evidence
}

/// A blocking read from, or write to, a connected socket.
pub fn reply<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let (fd, socket, sends) = match place.wait()? {
        WaitingOn::Receive { fd, socket } => (fd, socket, false),
        WaitingOn::Send { fd, socket } => (fd, socket, true),
        _ => return None,
    };
    let call = if sends { "send" } else { "receive" };
    let by = if place.task.is_some() { "its runtime's poller waits:" } else { "system call:" };
    let evidence = format!("{by} a blocking {call} on fd {fd}, connected to {}", words::peer(socket));
    if let Some(own) = unserved(view, place, socket, &evidence) {
        return Some(own);
    }
    if only_itself(&socket.peer_processes, place.process.pid) || socket.protocol == "netlink" {
        return None;
    }
    if socket.peer.as_deref().unwrap_or_default().is_empty() && socket.peer_processes.is_empty() {
        return unconnected(view, place, socket);
    }
    if !sends && flows(view, socket) {
        return Some(receiving(view, place, socket, Grip::Hard, evidence));
    }
    let unread = !sends && socket.receive_queue > 0;
    // Of a Unix socket it is not told when data came: the wait is as young as that.
    let young = socket.last_received_ms.is_none() && place.waited().is_some_and(|waited| waited < lately(view));
    let (confidence, grip) = match unread {
        true => (Confidence::Possible, Grip::Hard),
        false if came_lately(view, socket) => (Confidence::Likely, Grip::Soft),
        false if young => (Confidence::Likely, Grip::Hard),
        false => (Confidence::Certain, Grip::Hard),
    };
    Some(silent(place, socket, sends, confidence, grip, evidence))
}

/// A connection to the service's own port, or to one of a process that it started, which is not accepted.
pub fn unserved(view: &View<'_>, place: &Place<'_>, socket: &SocketFacts, evidence: &str) -> Option<Candidate> {
    if !socket.unaccepted {
        return None;
    }
    let peer = words::peer(socket);
    let (who, waited, kind) = (place.who(), place.has_waited(), words::protocol(socket));
    let of_service = || socket.peer_processes.iter().filter_map(|holder| view.process(holder.pid));
    let is_it = |port: &&PortFacts| kind == "tcp" && words::port(&port.listen.to_string()) == words::port(&peer);
    let kept = |port: &&PortFacts| matches!(port.mode, PortMode::Pass | PortMode::Adopt | PortMode::Capture);
    let kept = view.facts.ports.iter().filter(is_it).find(kept);
    let new = |summary: String| {
        Candidate::new(Cause::ReplyWait, Confidence::Certain, Grip::Hard, summary)
            .at(place)
            .target(&peer)
            .evidence(evidence)
            .evidence("the connection waits in the listener's backlog: nothing has accepted it")
    };
    let found = if kept.is_some() || of_service().any(|process| process.pid == place.process.pid) {
        let summary = format!(
            "{who} {waited} for an answer from its own port {peer} ({kind}), on which it has not begun to accept \
             connections"
        );
        let queue = |port: &PortFacts| {
            let mode = port.mode.name();
            format!("launcher keeps that port open for it (mode {mode}), so connections queue until it accepts them")
        };
        new(summary)
            .evidence_all(kept.map(queue))
            .advice(format!("ask {peer} only when it is served: after the start of the server, or from another thread"))
    } else {
        let process = of_service().next()?;
        let other = words::process(process);
        let doing = view.main(process.pid).map(|main| locks::doing(view, &main));
        let doing = doing.map(|doing| format!(", and {doing}")).unwrap_or_default();
        let summary = format!(
            "{who} {waited} for a reply from {other}, of this service, on {peer} ({kind}): that one does not accept the \
             connection{doing}"
        );
        new(summary)
            .advice(format!("look why {other} does not accept connections on {peer}"))
            .advice(format!("launcher dump {}", process.pid))
    };
    Some(found.evidence_all(stack(place)))
}

/// What is young in a start: of one that is short only a part of it.
fn lately(view: &View<'_>) -> Duration {
    let elapsed = view.facts.elapsed;
    if elapsed.is_zero() { LATELY } else { LATELY.min(elapsed / 4) }
}

/// Whether the peer has said something a moment ago. Before it says anything that time counts from the connection.
pub fn came_lately(view: &View<'_>, socket: &SocketFacts) -> bool {
    let ago = socket.last_received_ms.map(Duration::from_millis);
    socket.received.is_some_and(|bytes| bytes > 0) && ago.is_some_and(|ago| ago < lately(view))
}

/// Whether data keeps coming that was asked for but once: a transfer that runs.
pub fn flows(view: &View<'_>, socket: &SocketFacts) -> bool {
    let asked_since = matches!((socket.last_sent_ms, socket.last_received_ms), (Some(sent), Some(came)) if sent < came);
    came_lately(view, socket) && !asked_since && socket.arrivals.is_some_and(|pieces| pieces >= PIECES)
}

/// Whether a thread receives where nothing that was asked is unanswered, as far as times are told.
pub fn asked_nothing(place: &Place<'_>) -> bool {
    let Some(WaitingOn::Receive { socket, .. }) = place.wait() else { return false };
    let pending = matches!((socket.last_sent_ms, socket.last_received_ms), (Some(sent), Some(came)) if sent < came);
    let unheard = socket.received == Some(0) && socket.acknowledged != Some(false);
    socket.received.is_some() && !pending && !unheard
}

/// A peer that is sending: what is waited for is the rest.
pub fn receiving(view: &View<'_>, place: &Place<'_>, socket: &SocketFacts, grip: Grip, evidence: String) -> Candidate {
    let peer = words::peer(socket);
    let bytes = words::bytes(socket.received.unwrap_or(0));
    let ago = millis(socket.last_received_ms.unwrap_or(0));
    let summary = format!(
        "{} is receiving from {peer} ({}){}: {bytes} came so far, the last of it {ago} ago",
        place.who(),
        words::protocol(socket),
        place.in_frame(),
    );
    let pieces = socket.arrivals.unwrap_or(0);
    Candidate::new(Cause::SlowProgress, Confidence::Likely, grip, summary)
        .at(place)
        .target(&peer)
        .evidence(format!("{bytes} came from {peer} in {pieces} pieces, and nothing was asked since (tcp_info)"))
        .evidence(evidence)
        .evidence_all(socket_evidence(socket))
        .evidence_all(stack(place))
        .advice_all(cpu::more_time(view))
        .advice(format!(
            "if it comes too slowly, look why {peer} sends no faster, or let the start wait for less of it"
        ))
}

/// A datagram socket without a peer: a server on its own port waits for requests, another one for some reply.
fn unconnected(view: &View<'_>, place: &Place<'_>, socket: &SocketFacts) -> Option<Candidate> {
    let local = socket.local.as_deref()?;
    let serves = view.facts.ports.iter().any(|port| words::port(&port.listen.to_string()) == words::port(local));
    if serves || words::protocol(socket) != "udp" {
        return None;
    }
    let summary = format!("{} {} for a datagram on {local}", place.who(), place.has_waited());
    Some(
        Candidate::new(Cause::ReplyWait, Confidence::Possible, Grip::Weak, summary)
            .at(place)
            .target(local)
            .evidence(format!("system call: a blocking receive on the unconnected socket {local}"))
            .evidence_all(stack(place))
            .advice(format!("start, or correct the address of, what should send to {local}")),
    )
}

/// A connected peer that says nothing, or that takes nothing more.
pub fn silent(
    place: &Place<'_>,
    socket: &SocketFacts,
    sends: bool,
    confidence: Confidence,
    grip: Grip,
    evidence: String,
) -> Candidate {
    let mut peer = words::peer(socket);
    if let Some(process) = socket.peer_processes.first().filter(|_| words::protocol(socket) == "unix") {
        peer = format!("{peer}, {process}");
    }
    let kind = words::protocol(socket);
    let what = if sends { "to send to" } else { "for a reply from" };
    let why = match (sends, socket.last_received_ms, socket.last_sent_ms) {
        (true, ..) => ": connected, but the peer takes no more data".to_owned(),
        (false, Some(received), Some(sent)) if sent < received => {
            format!(": connected, asked {} ago, nothing came back", millis(sent))
        }
        (false, Some(received), _) => format!(": connected, nothing came for {}", millis(received)),
        _ => ": connected, but the peer says nothing".to_owned(),
    };
    let usual = socket.peer.as_deref().and_then(words::port).and_then(words::usual_service);
    let usual = usual.map(|name| format!(", usually {name}")).unwrap_or_default();
    let summary = format!("{} {} {what} {peer} ({kind}{usual}){why}", place.who(), place.has_waited());
    let usually = words::usually(&peer);
    let mut candidate = Candidate::new(Cause::ReplyWait, confidence, grip, summary)
        .at(place)
        .target(words::peer(socket))
        .evidence(evidence)
        .evidence_all(socket_evidence(socket))
        .evidence_all(stack(place))
        .advice(format!("look why {peer}{usually} does not answer"));
    if let Some(process) = socket.peer_processes.first() {
        candidate = candidate.advice(format!("launcher dump {}", process.pid));
    }
    candidate.advice("give the client a timeout for replies; if the answer only takes long, raise start_timeout")
}

fn millis(millis: u64) -> String {
    words::span(std::time::Duration::from_millis(millis))
}

/// Where the thread stands in its code, as evidence.
pub fn stack(place: &Place<'_>) -> Vec<String> {
    place.frame().map(|frame| format!("stack: {}", words::frame(&frame))).into_iter().collect()
}
