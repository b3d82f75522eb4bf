//! What is wrong with a port, and what can be done about it, in words: facts in, summary and advice out.

use std::time::Duration;

use ::core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::errno;
use super::facts::{HoldState, HolderFacts, Kin, OwnerFacts, PortFailure, PortProblem};
use super::report::mask;
use super::settings::{Listen, TakeOver};
use super::take_over;

mod asker;
mod place;

pub use asker::Asker;
pub use place::unit_or_container;

/// What an attempt to bind met with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawPortFailure {
    /// What is wrong, as a kind.
    pub problem: PortProblem,
    /// `errno(3)` of the bind.
    pub errno: Option<i32>,
    /// For a privileged port: the first that is not (`net.ipv4.ip_unprivileged_port_start`).
    pub unprivileged_from: Option<u16>,
    /// For an address that is not on this host: those that are, of the same family.
    pub addresses: Vec<IpAddr>,
}

/// The whole of it for a person. `name` is the port's, or nothing when an address was asked about.
pub fn failure(
    asker: Asker<'_>,
    name: &str,
    listen: &Listen,
    raw: &RawPortFailure,
    owner: Option<OwnerFacts>,
) -> PortFailure {
    let port = called(name, listen);
    let (summary, advice) = match raw.problem {
        PortProblem::Taken => (taken(&port, listen, owner.as_ref()), free_it(asker, listen, owner.as_ref())),
        PortProblem::Privileged => privileged(asker, &port, listen, raw),
        PortProblem::NoSuchAddress => no_such_address(asker, &port, listen, raw),
        PortProblem::Other => other(&port, listen, raw.errno),
    };
    PortFailure {
        name: name.to_owned(),
        listen: listen.clone(),
        problem: raw.problem,
        owner,
        errno: raw.errno,
        summary,
        advice,
    }
}

/// A port by its name and its address. One without a name has its place instead, which reads like a port number.
fn called(name: &str, listen: &Listen) -> String {
    match name.parse::<u32>() {
        Ok(_) => format!("port {listen}"),
        Err(_) if name.is_empty() => listen.to_string(),
        Err(_) => format!("port {name} ({listen})"),
    }
}

/// As [`failure`] for an address that another port of the same launcher has, as two ports may be written that cannot
/// both be had.
pub fn taken_by_ourselves(mut failure: PortFailure) -> PortFailure {
    let (name, listen) = (&failure.name, &failure.listen);
    let held = failure.owner.as_ref().and_then(|owner| owner.address.clone());
    let held = held.map(|address| format!(" on {address}")).unwrap_or_default();
    let port = called(name, listen);
    failure.summary = format!("{port} cannot be had beside another port of this launcher{held}");
    failure.advice = vec![match listen {
        Listen::Tcp(_) | Listen::Udp(_) if !held.is_empty() => {
            "declare the wider of the two alone: [::] takes IPv4, too".to_owned()
        }
        _ => "give each port an address of its own".to_owned(),
    }];
    failure
}

/// That, and by whom, it is taken; one sentence without its final period.
pub fn taken(port: &str, listen: &Listen, owner: Option<&OwnerFacts>) -> String {
    let Some(owner) = owner else {
        return format!("{port} is taken, but by whom cannot be told: what held it may be gone by now");
    };
    match (owner.state, listen) {
        (HoldState::TimeWait, _) => {
            return format!(
                "{port} is not quite free: closed connections are in TIME_WAIT on it, which no process holds and \
                 which end within 60 s"
            );
        }
        (HoldState::Stale, Listen::Unix(path)) => {
            return format!(
                "{port} is free, but {} is left over from a program that is gone: nobody answers there",
                path.display()
            );
        }
        (HoldState::NotASocket, Listen::Unix(path)) => {
            return format!("{port} cannot be had: {} is there and is not a socket", path.display());
        }
        _ => {}
    }
    format!("{port} is taken: {} {}{}", who(owner), verb(owner, listen), aside(owner))
}

/// The holders, the first by its command line.
fn who(owner: &OwnerFacts) -> String {
    let user = user_of(owner);
    let Some((first, rest)) = owner.holders.split_first() else {
        let place = owner.cgroup.as_ref().map(|cgroup| format!(" in {cgroup}")).unwrap_or_default();
        let of = user.map(|user| format!(" of {user}")).unwrap_or_default();
        return format!("a process{of}{place} that cannot be seen from here");
    };
    let mut about = vec![format!("pid {}", first.pid)];
    about.extend(user);
    about.extend(owner.cgroup.clone());
    about.extend(first.running.map(|running| format!("running for {}", age(running))));
    let others = match rest {
        [] => String::new(),
        [one] => format!(" and pid {}", one.pid),
        many => format!(" and {} more (pids {})", many.len(), pids(many)),
    };
    format!("{} ({}){others}", command(first), about.join(", "))
}

fn user_of(owner: &OwnerFacts) -> Option<String> {
    match (&owner.user, owner.uid) {
        (Some(name), _) => Some(format!("user {name}")),
        (None, Some(uid)) => Some(format!("uid {uid}")),
        (None, None) => None,
    }
}

fn pids(holders: &[HolderFacts]) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<String> = holders.iter().take(SHOWN).map(|holder| holder.pid.to_string()).collect();
    if holders.len() > SHOWN {
        shown.push("…".to_owned());
    }
    shown.join(", ")
}

/// The command line, cut where it grows long.
fn command(holder: &HolderFacts) -> String {
    const LENGTH: usize = 80;
    let text = mask::line(&holder.command).replace(char::is_control, " ");
    match text.char_indices().nth(LENGTH) {
        _ if text.is_empty() => "a process".to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn verb(owner: &OwnerFacts, listen: &Listen) -> String {
    let many = owner.holders.len() > 1;
    let verb = |one: &str, several: &str| if many { several.to_owned() } else { one.to_owned() };
    let place = owner.address.clone().unwrap_or_else(|| "it".to_owned());
    match owner.state {
        HoldState::Listening if matches!(listen, Listen::Udp(_)) => {
            format!("{} bound to {place}", verb("is", "are"))
        }
        HoldState::Listening => format!("{} on {place}", verb("listens", "listen")),
        HoldState::Bound => format!("{} {place}, bound but not listening", verb("holds", "hold")),
        HoldState::Connected => format!("{} {place} as the local end of a connection", verb("uses", "use")),
        HoldState::TimeWait | HoldState::Stale | HoldState::NotASocket => format!("{} it", verb("holds", "hold")),
    }
}

fn aside(owner: &OwnerFacts) -> String {
    let Some(holder) = owner.holder() else { return String::new() };
    let generation = holder.generation.map(|generation| format!("generation {generation} of ")).unwrap_or_default();
    match (holder, &holder.service) {
        (HolderFacts { kin: Kin::Child, .. }, Some(service)) => {
            format!("; it is {generation}the service {service} of this launcher")
        }
        (HolderFacts { leftover: true, .. }, _) => {
            "; it is left over from an earlier run of this service, whose launcher is gone".to_owned()
        }
        (HolderFacts { launcher: Some(launcher), .. }, _) => {
            format!("; it runs under another launcher (pid {launcher})")
        }
        (HolderFacts { kin: Kin::Above, .. }, _) => "; launcher itself runs below it".to_owned(),
        (_, Some(service)) => format!("; it was started as {generation}the service {service}{}", chain(holder)),
        (_, None) if !holder.parents.is_empty() => format!("; it was started{}", chain(holder)),
        _ => String::new(),
    }
}

/// What started it, and what that.
fn chain(holder: &HolderFacts) -> String {
    let names = holder.parents.iter().map(|parent| {
        let name = parent.name.replace(char::is_control, " ");
        format!("{name} (pid {})", parent.pid)
    });
    let names: Vec<String> = names.collect();
    if names.is_empty() { String::new() } else { format!(" by {}", names.join(" below ")) }
}

/// What can be done about a taken address, to be followed literally.
pub fn free_it(asker: Asker<'_>, listen: &Listen, owner: Option<&OwnerFacts>) -> Vec<String> {
    let mut advice = Vec::new();
    match (owner.map(|owner| owner.state), listen) {
        (Some(HoldState::TimeWait), _) => {
            advice.push("wait a minute, or let the program set SO_REUSEADDR before it binds".to_owned());
            return advice;
        }
        (Some(HoldState::Stale), Listen::Unix(path)) => {
            advice.push(format!("rm {}", quoted(&path.display().to_string())));
            return advice;
        }
        (Some(HoldState::NotASocket), Listen::Unix(path)) => {
            advice.push(format!("move {} away, if nobody needs it, or choose another path", path.display()));
            return advice;
        }
        _ => {}
    }
    advice.extend(owner.map(|owner| stop_it(owner, listen)));
    if take_over::victims(owner, TakeOver::Own).is_ok() {
        advice.extend(asker.take_over());
    }
    advice.push(match listen {
        Listen::Unix(_) => "choose another path for the socket".to_owned(),
        Listen::Tcp(address) | Listen::Udp(address) => {
            let other = address.port().checked_add(1).unwrap_or(8080);
            asker.another(listen, *address, other)
        }
    });
    advice
}

/// How the holder is stopped for good: by what started it, else by its pid.
pub fn stop_it(owner: &OwnerFacts, listen: &Listen) -> String {
    let first = owner.holder();
    if let Some(HolderFacts { kin: Kin::Child, service: Some(service), .. }) = first {
        return format!("stop it: launcher stop {}", quoted(service));
    }
    if let Some(launcher) = first.and_then(|holder| holder.launcher) {
        return format!("stop the launcher that keeps it running: kill {launcher}");
    }
    if let (Some(program), Listen::Tcp(address) | Listen::Udp(address)) =
        (first.and_then(|holder| holder.command.first()), listen)
        && program.ends_with("docker-proxy")
    {
        let port = address.port();
        return format!("stop the container that publishes the port: docker ps --filter publish={port}");
    }
    if let Some(command) = owner.cgroup.as_deref().and_then(place::stop_command) {
        return format!("stop it: {command}");
    }
    if owner.holders.is_empty() {
        return format!("see who it is, with more rights: sudo launcher port {}", quoted(&listen.to_string()));
    }
    let pids: Vec<String> = owner.holders.iter().map(|holder| holder.pid.to_string()).collect();
    format!("stop it: kill {}", pids.join(" "))
}

/// Below the first port that anyone may bind.
fn privileged(asker: Asker<'_>, port: &str, listen: &Listen, raw: &RawPortFailure) -> (String, Vec<String>) {
    let start = raw.unprivileged_from.unwrap_or(1024);
    let summary = format!(
        "{port} may not be bound: ports below {start} need CAP_NET_BIND_SERVICE \
         (net.ipv4.ip_unprivileged_port_start is {start})"
    );
    let mut advice = Vec::new();
    if let Listen::Tcp(address) | Listen::Udp(address) = listen {
        let other = address.port().saturating_add(8000).max(start);
        advice.push(format!("choose a higher port: {}", asker.write(listen, *address, Some(other))));
        advice.push(format!("allow it for everyone: sysctl net.ipv4.ip_unprivileged_port_start={}", address.port()));
    }
    advice.push("run the launcher as root, or with CAP_NET_BIND_SERVICE".to_owned());
    (summary, advice)
}

fn no_such_address(asker: Asker<'_>, port: &str, listen: &Listen, raw: &RawPortFailure) -> (String, Vec<String>) {
    let (Listen::Tcp(address) | Listen::Udp(address)) = listen else { return other(port, listen, raw.errno) };
    let family = if address.is_ipv6() { "IPv6" } else { "IPv4" };
    let all = match address {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    if raw.addresses.is_empty() {
        let summary = format!("{port} cannot be bound: this host has no {family} address");
        let instead = match address {
            SocketAddr::V4(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let instead = SocketAddr::new(instead, address.port());
        return (
            summary,
            vec![format!("use the other family: {}", asker.write(listen, instead, Some(address.port())))],
        );
    }
    let known: Vec<String> = raw.addresses.iter().map(IpAddr::to_string).collect();
    let summary = format!(
        "{port} cannot be bound: {} is no address of this host, whose {family} addresses are {}",
        address.ip(),
        known.join(", ")
    );
    let all = asker.write(listen, SocketAddr::new(all, address.port()), Some(address.port()));
    (summary, vec![format!("use one of them, or all of them: {all}")])
}

fn other(port: &str, listen: &Listen, number: Option<i32>) -> (String, Vec<String>) {
    let Some(number) = number else { return (format!("{port} cannot be bound"), Vec::new()) };
    let summary = format!("{port} cannot be bound: {}", errno::describe(number));
    let name = errno::name(number);
    let advice = match (listen, name.as_str()) {
        (Listen::Unix(path), known) => {
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let directory = directory.map_or_else(|| ".".to_owned(), |parent| parent.display().to_string());
            match known {
                "ENOENT" => Some(format!("make the directory: mkdir -p {}", quoted(&directory))),
                "EACCES" | "EPERM" | "EROFS" => {
                    Some(format!("choose a directory that may be written: {directory} may not"))
                }
                _ => None,
            }
        }
        (Listen::Tcp(address) | Listen::Udp(address), "EINVAL") if address.is_ipv6() => Some(format!(
            "name the interface of a link-local address by its number: [{}%2]:{}",
            address.ip(),
            address.port()
        )),
        (_, "EACCES" | "EPERM") => Some("look at what forbids it: SELinux, seccomp, a systemd sandbox".to_owned()),
        _ => None,
    };
    (summary, advice.into_iter().collect())
}

/// As a shell takes it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:@+,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// `12 s`, `12 min`, `5 h`, `3 d`.
fn age(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
