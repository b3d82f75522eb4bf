//! What contradicts something else: services that need each other, ports that overlap, placeholders without a port.

use ::core::net::{IpAddr, SocketAddr};

use super::expand;
use super::listen::is_auto;
use super::log;
use super::order;
use super::ready;
use super::suggest;
use super::tables::Draft;
use super::value::{self, ValueError};
use super::walk::Walk;
use crate::core::settings::{Listen, PortMode, PortSettings};

/// Checks everything that concerns more than one key.
pub(super) fn services(walk: &mut Walk, drafts: &[Draft]) {
    for draft in drafts {
        let service = &draft.settings;
        for (index, port) in service.ports.iter().enumerate() {
            walk.value(draft.ports[index].clone(), address_against(port, &service.ports[..index]));
        }
        if !draft.ports_unknown {
            for (word, place) in service.command.iter().zip(&draft.command) {
                walk.absent(place.clone(), placeholders_among(word, &service.ports, &draft.unread_ports));
            }
        }
        if let Some(place) = &draft.ready {
            let ports = match draft.ports_unknown {
                true => Ok(()),
                false => ready::ports_are_there(service, &draft.unread_ports),
            };
            if walk.absent(place.clone(), ports).is_some() {
                walk.value(place.clone(), ready::can_come(service));
            }
        }
    }
    ports_of_others(walk, drafts);
    one_interactive(walk, drafts);
    let files = drafts.iter().filter_map(|draft| {
        let path = &draft.settings.log.file.as_ref()?.path;
        Some((draft.settings.name.as_str(), path.as_path(), draft.log.clone()?))
    });
    log::files_of_others(walk, &files.collect::<Vec<_>>());
    order::check(walk, drafts);
}

/// Refuses `{port.NAME}` when no port of this name has a number.
pub fn placeholders(word: &std::ffi::OsStr, ports: &[PortSettings]) -> Result<(), ValueError> {
    placeholders_among(word, ports, &[])
}

/// The same when there are ports, too, of which nothing could be read but their names.
pub(super) fn placeholders_among(
    word: &std::ffi::OsStr,
    ports: &[PortSettings],
    unread: &[String],
) -> Result<(), ValueError> {
    let names = || ports.iter().map(|port| port.name.as_str()).chain(unread.iter().map(String::as_str));
    for name in expand::placeholders(word).into_iter().filter(|name| !unread.contains(name)) {
        let found = ports.iter().find(|port| port.name == name);
        let hint = match found.map(|port| &port.listen) {
            Some(Listen::Tcp(_) | Listen::Udp(_)) => continue,
            Some(Listen::Unix(path)) => format!("write its path: {}", path.display()),
            None if names().next().is_none() => "declare a port of this name".to_owned(),
            None => format!("declared here: {}", names().collect::<Vec<_>>().join(", ")),
        };
        let message = match found {
            Some(_) => format!("port {name:?} is a Unix socket and has no number"),
            None => suggest::unknown("port", &name, names()),
        };
        return Err(ValueError::new(message, hint));
    }
    Ok(())
}

/// Refuses a port that is the same as one before it of the same service.
pub fn port_against(port: &PortSettings, before: &[PortSettings]) -> Result<(), ValueError> {
    name_against(&port.name, before.iter().map(|other| other.name.as_str()))?;
    address_against(port, before)
}

/// Refuses a name that would have the same variable as one before it.
pub(super) fn name_against<'n>(name: &str, mut before: impl Iterator<Item = &'n str>) -> Result<(), ValueError> {
    let variable = value::port_variable(name);
    let Some(same) = before.find(|other| value::port_variable(other) == variable) else { return Ok(()) };
    let message = match same == name {
        true => format!("two ports are called {name:?}"),
        false => format!("ports {same:?} and {name:?} would both be {variable}"),
    };
    Err(ValueError::new(message, "give each a name of its own"))
}

/// Refuses an address that one before it has.
fn address_against(port: &PortSettings, before: &[PortSettings]) -> Result<(), ValueError> {
    match before.iter().find(|other| other.listen == port.listen && !is_auto(&port.listen)) {
        Some(same) => {
            Err(ValueError::new(format!("{} is already port {:?}", port.listen, same.name), "leave one of the two out"))
        }
        None => Ok(()),
    }
}

/// Whether two services cannot both listen so. An IPv6 wildcard is dual stack and covers every IPv4 address too.
fn overlap(a: &Listen, b: &Listen) -> bool {
    let covers = |wide: &SocketAddr, narrow: &SocketAddr| match wide.ip() {
        IpAddr::V4(ip) => ip.is_unspecified() && narrow.is_ipv4(),
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    match (a, b) {
        _ if is_auto(a) || is_auto(b) => false,
        (Listen::Tcp(a), Listen::Tcp(b)) => a.port() == b.port() && (a == b || covers(a, b) || covers(b, a)),
        // UDP sockets of different programs may share a port by address: multicast and DNS do.
        (Listen::Udp(a), Listen::Udp(b)) => a == b,
        (Listen::Unix(a), Listen::Unix(b)) => a == b,
        _ => false,
    }
}

/// Refuses a port that another service has. Two that only look at it may.
fn ports_of_others(walk: &mut Walk, drafts: &[Draft]) {
    for (index, draft) in drafts.iter().enumerate() {
        for (port, place) in draft.settings.ports.iter().zip(&draft.ports) {
            let others = drafts[..index].iter().flat_map(|other| other.settings.ports.iter().map(move |p| (other, p)));
            let taken = others
                .filter(|(_, p)| (p.mode, port.mode) != (PortMode::Check, PortMode::Check))
                .find(|(_, p)| overlap(&p.listen, &port.listen));
            if let Some((other, taken)) = taken {
                let name = &other.settings.name;
                let message = match taken.listen == port.listen {
                    true => format!("{} is already a port of service {name:?}", port.listen),
                    false => format!("{} overlaps with {} of service {name:?}", port.listen, taken.listen),
                };
                walk.error(place.clone(), message, "give each service a port of its own; \"auto\" picks a free one");
            }
        }
    }
}

/// Refuses a second service that wants the terminal.
fn one_interactive(walk: &mut Walk, drafts: &[Draft]) {
    let mut wanting = drafts.iter().filter_map(|draft| Some((draft, draft.interactive.clone()?)));
    let Some((first, _)) = wanting.next() else { return };
    for (_, place) in wanting {
        let message = format!("service {:?} already has the terminal", first.settings.name);
        walk.error(place, message, "only one service can be interactive");
    }
}
