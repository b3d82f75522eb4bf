//! Waiting on several descriptors: the pending connection, the missing reply or the missing input behind an event loop,
//! or `event-loop-idle`.

use std::time::Duration;

use crate::core::facts::{FdFacts, FileFacts, FileKind, Occasion, ProcessName, SocketFacts, WaitingOn, WatchedFacts};

use super::super::blocked;
use super::super::candidate::{Candidate, Grip};
use super::super::view::{Place, View, only_itself, socket_of, wakes_itself};
use super::super::{Cause, Confidence, words};
use super::connection::{self, stack};
use super::waits;

/// `epoll_wait`, `poll`, `select`, `io_uring_enter`.
pub fn poll<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let WaitingOn::Poll { call, timeout, watched } = place.wait()? else {
        return signal(view, place);
    };
    let outside: Vec<&WatchedFacts> = outside(place, watched).collect();
    let alone = outside.len() == 1 && (watched.len() == 1 || call != "poll");
    let loop_call = format!("{call}()");
    pending(place, &outside, &loop_call, alone)
        .or_else(|| silent(view, place, &outside, &loop_call, alone))
        .or_else(|| input(view, place, &outside, &loop_call))
        .or_else(|| idle(view, place, &loop_call, *timeout, watched))
}

/// What is left of the watched when the loop's own ways to wake itself are taken away.
pub fn outside<'a>(place: &Place<'_>, watched: &'a [WatchedFacts]) -> impl Iterator<Item = &'a WatchedFacts> {
    let pid = place.process.pid;
    watched.iter().filter(move |watched| !is_own(watched, pid))
}

fn is_own(watched: &WatchedFacts, pid: i32) -> bool {
    match &watched.what {
        FdFacts::Socket(socket) => {
            // By this one the Erlang VM starts programs.
            let helper = |peer: &ProcessName| peer.name == "erl_child_setup";
            let peers = &socket.peer_processes;
            let itself = only_itself(peers, pid) && !socket.unaccepted;
            itself || socket.protocol == "netlink" || (!peers.is_empty() && peers.iter().all(helper))
        }
        FdFacts::File(file) => wakes_itself(file, pid),
    }
}

/// Whether a socket is still connecting.
pub fn is_pending(socket: &SocketFacts) -> bool {
    matches!(socket.state.as_str(), "syn-sent" | "connecting")
}

fn pending(place: &Place<'_>, outside: &[&WatchedFacts], call: &str, alone: bool) -> Option<Candidate> {
    let (watched, socket) = sockets(outside).find(|(_, socket)| is_pending(socket))?;
    // Among other descriptors it may be a connection that nothing important waits for.
    let (confidence, grip) = if alone { (Confidence::Certain, Grip::Hard) } else { (Confidence::Likely, Grip::Soft) };
    let evidence =
        format!("{call} watches fd {}, a connection to {} that is not there yet", watched.fd, words::peer(socket));
    let call = format!("{call} for a connection");
    Some(connection::pending(place, socket, &call, confidence, grip, evidence))
}

fn silent(view: &View<'_>, place: &Place<'_>, outside: &[&WatchedFacts], call: &str, alone: bool) -> Option<Candidate> {
    let mute = |socket: &SocketFacts| socket.received == Some(0);
    let asked = |socket: &SocketFacts| match (socket.last_sent_ms, socket.last_received_ms) {
        (Some(sent), Some(received)) if sent < received => true,
        _ => mute(socket) && socket.acknowledged == Some(true),
    };
    // What a child says is waited for as the child is.
    let child = |socket: &SocketFacts| {
        let is_below = |peer: &ProcessName| view.descends(peer.pid, place.process.pid);
        socket.protocol.starts_with("unix") && socket.peer_processes.iter().any(is_below)
    };
    let wanted = |socket: &SocketFacts| is_outbound(view, socket) && !child(socket);
    let connected = || sockets(outside).filter(|(watched, socket)| watched.read && wanted(socket));
    let (watched, socket) = match alone {
        true => connected().next()?,
        false => connected().find(|(_, socket)| asked(socket)).or_else(|| connected().find(|(_, it)| mute(it)))?,
    };
    let (confidence, grip) = match (alone, asked(socket)) {
        // A loop over epoll may wait for other things too: timers, other threads.
        (true, _) if !call.starts_with("epoll") && !call.starts_with("io_uring") => (Confidence::Certain, Grip::Hard),
        (_, true) => (Confidence::Likely, Grip::Soft),
        (_, false) => (Confidence::Possible, Grip::Weak),
    };
    let evidence = format!("{call} watches fd {}, connected to {}", watched.fd, words::peer(socket));
    if let Some(own) = connection::unserved(view, place, socket, &evidence).filter(|_| alone) {
        return Some(own);
    }
    if alone && connection::flows(view, socket) {
        return Some(connection::receiving(view, place, socket, grip, evidence));
    }
    let (confidence, grip) = match connection::came_lately(view, socket) {
        true => (confidence.min(Confidence::Likely), grip.min(Grip::Soft)),
        false => (confidence, grip),
    };
    Some(connection::silent(place, socket, false, confidence, grip, evidence))
}

/// Whether a connection was made by the service, not to it.
fn is_outbound(view: &View<'_>, socket: &SocketFacts) -> bool {
    let connected = socket.state == "established" || socket.state == "connected";
    let local = socket.local.as_deref().and_then(words::port);
    let to_it = local.is_some()
        && view.facts.listening.iter().any(|listening| words::port(&listening.listen.to_string()) == local);
    let known = socket.peer.as_deref().is_some_and(|peer| !peer.is_empty()) || !socket.peer_processes.is_empty();
    connected && !to_it && known
}

fn input(view: &View<'_>, place: &Place<'_>, outside: &[&WatchedFacts], call: &str) -> Option<Candidate> {
    let [watched] = outside else { return None };
    let FdFacts::File(file) = &watched.what else { return None };
    let is_input = matches!(file.kind, FileKind::Terminal | FileKind::Pipe | FileKind::Fifo);
    // What a child writes is waited for as the child is.
    let from_child = file.peers.iter().any(|peer| view.descends(peer.pid, place.process.pid));
    // A pipe whose ends could not be looked for may be the loop's own.
    let unknown = file.kind == FileKind::Pipe && file.peers.is_empty() && !file.peers_complete;
    if !watched.read || !is_input || from_child || unknown || view.listens() {
        return None;
    }
    Some(waits::read((view, place), watched.fd, file, call, Confidence::Likely))
}

fn sockets<'a>(watched: &[&'a WatchedFacts]) -> impl Iterator<Item = (&'a WatchedFacts, &'a SocketFacts)> {
    watched.iter().filter_map(|watched| Some((*watched, socket_of(watched)?)))
}

fn idle(
    view: &View<'_>,
    place: &Place<'_>,
    call: &str,
    timeout: Option<Duration>,
    watched: &[WatchedFacts],
) -> Option<Candidate> {
    // Nothing watched at all is a way to sleep.
    let sleeps = watched.is_empty() && timeout.is_some() && !call.starts_with("epoll");
    if sleeps || view.listens() || blocked::of(place).is_some() {
        return None;
    }
    let likely = timeout.is_none() || call.starts_with("epoll");
    let confidence = if likely { Confidence::Likely } else { Confidence::Possible };
    let why = match about(view) {
        About::Start => {
            " and never listened: its start-up code has finished, or waits for something that no descriptor shows"
        }
        About::Stop => ", though it was asked to stop",
        About::Course => ": nothing that it watches has come",
    };
    let summary = format!("{} is idle in its event loop ({call}){why}", place.who());
    let watches = match watched {
        [] => format!("{call} watches nothing that could be read"),
        some => format!("{call} watches {}", some.iter().take(6).map(watched_name).collect::<Vec<_>>().join(", ")),
    };
    let wakes = timeout.map(|timeout| format!("it wakes by itself after at most {}", words::span(timeout)));
    Some(idle_advice(
        view,
        Candidate::new(Cause::EventLoopIdle, confidence, Grip::Idle, summary)
            .at(place)
            .evidence("no connection is pending and no process of the service listens")
            .evidence(watches)
            .evidence_all(wakes)
            .evidence_all(stack(place)),
    ))
}

/// What is asked of one that is idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// Why it is not ready.
    Start,
    /// Why it does not stop.
    Stop,
    /// What it does, long after its start.
    Course,
}

fn about(view: &View<'_>) -> About {
    let facts = view.facts;
    match facts.occasion {
        Occasion::StopTimeout => About::Stop,
        Occasion::Watchdog => About::Course,
        _ if facts.was_ready || facts.notified.ready => About::Course,
        _ => About::Start,
    }
}

fn idle_advice(view: &View<'_>, candidate: Candidate) -> Candidate {
    match about(view) {
        About::Start => candidate
            .advice(
                "make sure that the program reaches its listen() call: a callback or promise that never fires is \
                 common",
            )
            .advice("if it serves no port, let it send READY=1 or set ready = \"started\" (--ready started)"),
        About::Stop => candidate.advice(
            "let the program end when its stop signal arrives, or set the signal that ends it: stop_signal \
             (--stop-signal)",
        ),
        About::Course => candidate,
    }
}

/// A JVM whose `main` has returned: the thread that ran it waits for the end of those that are left (`DestroyJavaVM`).
pub fn returned<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let waits = place.process.runtime == "jvm" && place.thread.runtime_name.as_deref() == Some("DestroyJavaVM");
    if !waits || view.listens() {
        return None;
    }
    let summary = format!(
        "main() of {} has returned and nothing listens: what is left of it are threads that have nothing to do, or wait",
        words::process(place.process)
    );
    let left = place.process.threads.iter().filter(|thread| super::super::frames::has_told(&thread.frames));
    let left = left.filter_map(|thread| thread.runtime_name.as_deref()).take(5).collect::<Vec<_>>().join("`, `");
    Some(idle_advice(
        view,
        Candidate::new(Cause::EventLoopIdle, Confidence::Likely, Grip::Idle, summary)
            .at(place)
            .evidence("its thread `DestroyJavaVM` waits for the end of the others, as after main() in every JVM")
            .evidence_all((!left.is_empty()).then(|| format!("threads that run Java code: `{left}`"))),
    ))
}

/// `pause`, `sigwaitinfo`: how a program without an event loop idles.
fn signal(view: &View<'_>, place: &Place<'_>) -> Option<Candidate> {
    if !matches!(place.wait(), Some(WaitingOn::Signal)) || view.listens() {
        return None;
    }
    let and = match about(view) {
        About::Start => " and never listened",
        About::Stop => ", though it was asked to stop",
        About::Course => "",
    };
    let summary = format!("{} waits for a signal{and}", place.who());
    Some(idle_advice(
        view,
        Candidate::new(Cause::EventLoopIdle, Confidence::Possible, Grip::Idle, summary)
            .at(place)
            .evidence("system call: it waits for a signal to arrive")
            .evidence_all(stack(place)),
    ))
}

fn watched_name(watched: &WatchedFacts) -> String {
    match &watched.what {
        FdFacts::Socket(socket) if socket.state == "listen" => {
            format!("fd {} (listens on {})", watched.fd, socket.local.as_deref().unwrap_or("?"))
        }
        FdFacts::Socket(socket) => format!("fd {} ({} {})", watched.fd, words::protocol(socket), words::peer(socket)),
        FdFacts::File(FileFacts { kind: FileKind::Anonymous, path, .. }) => format!("fd {} ({path})", watched.fd),
        FdFacts::File(file) => format!("fd {} ({})", watched.fd, words::file(file)),
    }
}
