//! Waiting for a name to resolve: `dns-wait`.

use crate::core::facts::{SocketFacts, WaitingOn};

use super::super::candidate::{Candidate, Grip};
use super::super::view::{Place, View, socket_of};
use super::super::{Cause, Confidence, frames, words};
use super::connection::stack;

/// Functions that look up a name, under which any wait is one for the resolver.
const RESOLVER: [&str; 12] = [
    "getaddrinfo",
    "gethostbyname",
    "gethostbyname2_r",
    "gethostbyname_r",
    "gaih_inet",
    "getnameinfo",
    "res_search",
    "res_query",
    "__res_context_search",
    "__res_context_query",
    "__res_context_send",
    "name_from_dns",
];

/// Services that look names up for others, by a part of their socket's path: what they are, and the source of
/// `nsswitch.conf` that leads there.
const SERVICES: [(&str, &str, &str); 5] = [
    ("/sss/", "sssd", "sss"),
    ("/nscd/", "nscd", ""),
    ("avahi-daemon", "Avahi (mDNS)", "mdns"),
    ("systemd/resolve", "systemd-resolved", "resolve"),
    ("/nslcd/", "nslcd", "ldap"),
];

/// Any wait inside a look-up of a name.
pub fn waits<'a>(_: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let sockets: Vec<&SocketFacts> = match place.wait()? {
        WaitingOn::Receive { socket, .. } | WaitingOn::Connect { socket, .. } => vec![socket],
        WaitingOn::Poll { watched, .. } => watched.iter().filter_map(socket_of).collect(),
        WaitingOn::Futex(_) | WaitingOn::Child { .. } | WaitingOn::FileLock { .. } => return None,
        _ => Vec::new(),
    };
    let is_dns = |socket: &&&SocketFacts| {
        let port = socket.peer.as_deref().and_then(words::port);
        port == Some(53) && socket.state != "syn-sent" && words::protocol(socket) == "udp"
    };
    let server = sockets.iter().find(is_dns).copied();
    let looks_up = frames::passes_through(place.frames(), &RESOLVER);
    if server.is_none() && !looks_up {
        return None;
    }
    let service = sockets.iter().find_map(|socket| service(socket)).filter(|_| server.is_none());
    let alone = server.is_some() && sockets.len() <= 2;
    let (confidence, grip) = match (alone, looks_up) {
        (true, _) => (Confidence::Certain, Grip::Hard),
        (false, true) => (Confidence::Likely, Grip::Hard),
        (false, false) => (Confidence::Likely, Grip::Soft),
    };
    let name = server.and_then(|server| server.asks.as_deref());
    let peer = server.map(words::peer).or_else(|| service.map(|service| service.1.to_owned()));
    let from = match (&peer, service) {
        (_, Some((name, ..))) => format!(" from {name}"),
        (Some(server), None) => format!(" from {server}"),
        (None, None) => String::new(),
    };
    let wanted = name.map_or("a name".to_owned(), |name| format!("the name {name}"));
    let summary = format!("{} {} for {wanted} to resolve: no answer{from}", place.who(), place.has_waited());
    let mut candidate = Candidate::new(Cause::DnsWait, confidence, grip, summary).at(place);
    if let Some(server) = server.map(words::peer) {
        candidate = candidate.evidence(format!("it waits on a UDP socket to {server}, the port of DNS"));
    }
    if let Some(name) = name {
        candidate = candidate.evidence(format!("the query in its memory asks for {name}"));
    }
    if let Some((name, path, _)) = service {
        candidate = candidate.evidence(format!("it waits on {path}, the socket of {name}"));
    }
    if looks_up {
        candidate = candidate.evidence("its stack is inside a look-up of a name (getaddrinfo and the like)");
    }
    if let Some(peer) = peer {
        candidate = candidate.target(peer);
    }
    let settings = settings(place, service.map(|(.., source)| source));
    advise(candidate.evidence_all(settings).evidence_all(stack(place)), name, service.map(|(name, ..)| name))
}

/// The service behind a Unix socket, its path, and the source that leads to it.
fn service(socket: &SocketFacts) -> Option<(&'static str, &str, &'static str)> {
    let path = socket.peer.as_deref().filter(|_| words::protocol(socket) == "unix")?;
    let (_, name, source) = SERVICES.iter().find(|(part, ..)| path.contains(part))?;
    Some((name, path, source))
}

/// What the files say by which the process looks names up.
fn settings(place: &Place<'_>, source: Option<&str>) -> Vec<String> {
    let Some(resolver) = &place.process.resolver else { return Vec::new() };
    let mut evidence = Vec::new();
    if source.is_none() && !resolver.servers.is_empty() {
        let servers = resolver.servers.join(", ");
        let each = if resolver.servers.len() == 1 { "it" } else { "each" };
        let (timeout, attempts, patience) = (resolver.timeout, resolver.attempts, resolver.patience());
        evidence.push(format!(
            "/etc/resolv.conf: nameserver {servers}; {each} is asked up to {attempts} times, {timeout} s each, so that a \
             look-up without an answer takes {patience} s"
        ));
    }
    if let Some(hosts) = &resolver.hosts {
        evidence.push(format!("/etc/nsswitch.conf: hosts: {hosts}"));
    }
    evidence
}

fn advise(candidate: Candidate, name: Option<&str>, service: Option<&str>) -> Option<Candidate> {
    let by_hand = format!("try the name by hand: getent hosts {}", name.unwrap_or("NAME"));
    Some(match service {
        Some(service) => candidate
            .advice(format!(
                "look whether {service} runs and answers, or take it out of the hosts line of /etc/nsswitch.conf"
            ))
            .advice(by_hand),
        None => candidate
            .advice("look at the nameserver lines of /etc/resolv.conf: does that server answer from here?")
            .advice(by_hand),
    })
}
