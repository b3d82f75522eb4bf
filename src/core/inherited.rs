//! Sockets that a service manager above passed to launcher (`LISTEN_FDS`, `sd_listen_fds(3)`): which service each is for.

use super::settings::{Listen, ServiceSettings};

/// What is known of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inherited {
    /// Its name in `LISTEN_FDNAMES`; a socket unit's own name (`api.socket`) when it was given none.
    pub name: String,
    /// Where it listens, when that is an address that can be declared.
    pub listen: Option<Listen>,
}

/// What one of them is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heir {
    /// This port of this service, by their places in the settings.
    Port(usize, usize),
    /// This service, which declares no ports: it is passed on as it is.
    Service(usize),
    /// Nobody.
    Nobody,
}

/// Finds out for each which service it is for: by the name `SERVICE.PORT` or `PORT` of a port in mode `pass` or `adopt`, or by its
/// address; else by the name of a service that declares no ports. A single command without ports gets all of them. Each
/// port gets one at most.
pub fn heirs(inherited: &[Inherited], services: &[ServiceSettings], single_command: bool) -> Vec<Heir> {
    let mut heirs: Vec<Heir> = Vec::with_capacity(inherited.len());
    for socket in inherited {
        let heir = port_of(socket, services, &heirs).or_else(|| service_of(socket, services, single_command));
        heirs.push(heir.unwrap_or(Heir::Nobody));
    }
    heirs
}

fn port_of(socket: &Inherited, services: &[ServiceSettings], taken: &[Heir]) -> Option<Heir> {
    let name = plain(&socket.name);
    let all = || {
        services.iter().enumerate().flat_map(|(index, service)| {
            let passed = service.ports.iter().enumerate().filter(|(_, port)| port.mode.takes_inherited());
            passed.map(move |(place, port)| (Heir::Port(index, place), service, port))
        })
    };
    let whole = all().find(|(_, service, port)| format!("{}.{}", service.name, port.name) == name);
    let short = || all().find(|(heir, _, port)| port.name == name && !taken.contains(heir));
    let address = || all().find(|(_, _, port)| socket.listen.as_ref() == Some(&port.listen));
    let found = whole.or_else(short).or_else(address).map(|(heir, ..)| heir);
    found.filter(|heir| !taken.contains(heir))
}

fn service_of(socket: &Inherited, services: &[ServiceSettings], single_command: bool) -> Option<Heir> {
    let name = plain(&socket.name);
    let fits = |service: &ServiceSettings| service.ports.is_empty() && (single_command || service.name == name);
    services.iter().position(fits).map(Heir::Service)
}

fn plain(name: &str) -> &str {
    name.strip_suffix(".socket").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::settings::PortMode;
    use crate::core::settings::PortSettings;

    fn service(name: &str, ports: &[(&str, &str, PortMode)]) -> ServiceSettings {
        let mut service = ServiceSettings::new(name.to_owned(), vec!["program".into()]);
        for (name, listen, mode) in ports {
            let mut port = PortSettings::new((*name).to_owned(), Listen::Tcp(listen.parse().unwrap()));
            port.mode = *mode;
            service.ports.push(port);
        }
        service
    }

    fn of(services: &[ServiceSettings], single: bool, sockets: &[(&str, &str)]) -> Vec<Heir> {
        let inherited = |(name, listen): &(&str, &str)| Inherited {
            name: (*name).to_owned(),
            listen: listen.parse().ok().map(Listen::Tcp),
        };
        heirs(&sockets.iter().map(inherited).collect::<Vec<_>>(), services, single)
    }

    #[test]
    fn a_port_is_known_by_its_name_or_its_address() {
        let services = [
            service("web", &[("http", "0.0.0.0:80", PortMode::Pass), ("own", "0.0.0.0:81", PortMode::Reserve)]),
            service("api", &[("http", "0.0.0.0:82", PortMode::Pass)]),
            service("log", &[]),
        ];
        let sockets = [
            ("api.http", ""),
            ("http", ""),
            ("http", ""),
            ("x", "0.0.0.0:80"),
            ("own", "0.0.0.0:81"),
            ("log.socket", ""),
            ("log", ""),
            ("web", ""),
        ];
        let nobody = Heir::Nobody;
        let log = Heir::Service(2);
        assert_eq!(
            of(&services, false, &sockets),
            [Heir::Port(1, 0), Heir::Port(0, 0), nobody, nobody, nobody, log, log, nobody]
        );
        assert_eq!(of(&services, false, &[("unknown", "0.0.0.0:82")]), [Heir::Port(1, 0)]);
    }

    #[test]
    fn a_single_command_without_ports_gets_all() {
        let services = [service("api", &[])];
        assert_eq!(of(&services, true, &[("a", ""), ("", "1.2.3.4:5")]), [Heir::Service(0); 2]);
        let services = [service("api", &[("http", "0.0.0.0:80", PortMode::Pass)])];
        assert_eq!(of(&services, true, &[("a", ""), ("b", "0.0.0.0:80")]), [Heir::Nobody, Heir::Port(0, 0)]);
    }
}
