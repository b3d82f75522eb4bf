//! Ports that a trial puts on others (`--ports auto`), and what has to follow them.

use ::core::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::core::listen::reaches;
use crate::core::requirement::{Place, Stream, Target, What};
use crate::core::settings::{Listen, Ready, ServiceSettings};

use super::record::MovedPort;

/// A port that is tried on another than declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The service.
    pub service: String,
    /// The port's name.
    pub port: String,
    /// Where it is declared.
    pub declared: Listen,
    /// Where it is tried.
    pub tried: Listen,
}

impl Move {
    /// The same for the record.
    pub fn record(&self) -> MovedPort {
        MovedPort {
            service: self.service.clone(),
            port: self.port.clone(),
            declared: self.declared.to_string(),
            tried: self.tried.to_string(),
        }
    }

    /// The number that stands for the port of this TCP address, if that reaches the declared one.
    pub(super) fn number_for(&self, asked: SocketAddr) -> Option<u16> {
        match &self.declared {
            Listen::Tcp(declared) if reaches(*declared, false, asked) => self.tried.port(),
            _ => None,
        }
    }
}

/// Lets what a service is asked for, and what it asks for, follow the ports: an address of a moved port would be that
/// of somebody else now.
pub fn follow(service: &mut ServiceSettings, moves: &[Move]) {
    match &mut service.ready {
        Ready::Tcp(address) => {
            if let Some(number) = moves.iter().find_map(|moved| moved.number_for(*address)) {
                address.set_port(number);
            }
        }
        Ready::Http(probe) => {
            // With {port.NAME} in it it follows by itself, and is no URL yet.
            if let Ok(mut target) = Target::parse(&probe.url) {
                probe.url = follow_target(&mut target, moves, &probe.url);
            }
        }
        _ => {}
    }
    for requirement in &mut service.requirements {
        let shown = requirement.target.shown.clone();
        requirement.target.shown = follow_target(&mut requirement.target, moves, &shown);
    }
}

/// Lets a target follow the ports, if its host is this one by number or by the name localhost. Gives `text`, its URL in
/// some form, with the port it has then.
pub fn follow_target(target: &mut Target, moves: &[Move], text: &str) -> String {
    let unchanged = text.to_owned();
    let What::Stream(Stream { place: Place::Host(host, port), .. }) = &mut target.what else { return unchanged };
    let Some(asked) = address(host, *port) else { return unchanged };
    let Some(number) = moves.iter().find_map(|moved| moved.number_for(asked)) else { return unchanged };
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let (with_port, instead) = (format!("{host}:{port}"), format!("{host}:{number}"));
    let written = if text.contains(&with_port) { &with_port } else { &host };
    *port = number;
    text.replacen(written.as_str(), &instead, 1)
}

/// The address of a host of this name, if it is known without asking for it.
fn address(host: &str, port: u16) -> Option<SocketAddr> {
    let ip = match host {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        host => host.parse().ok(),
    };
    ip.map(|ip| SocketAddr::new(ip, port))
}

/// The address that a URL names.
pub(super) fn address_of(url: &str) -> Option<SocketAddr> {
    match Target::parse(url).ok()?.what {
        What::Stream(Stream { place: Place::Host(host, port), .. }) => address(&host, port),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::settings::RequirementSettings;

    fn moved(declared: &str, tried: &str) -> Move {
        let listen = |text: &str| crate::core::config::listen::listen(text).unwrap();
        Move { service: "a".into(), port: "http".into(), declared: listen(declared), tried: listen(tried) }
    }

    #[test]
    fn what_names_a_moved_port_follows_it_and_nothing_else_does() {
        let moves = [moved("0.0.0.0:8080", "0.0.0.0:40000"), moved("127.0.0.1:80", "127.0.0.1:40001")];
        let shown = |url: &str| {
            let mut target = Target::parse(url).unwrap();
            let shown = target.shown.clone();
            follow_target(&mut target, &moves, &shown)
        };
        assert_eq!(shown("http://127.0.0.1:8080/8080"), "http://127.0.0.1:40000/8080");
        assert_eq!(shown("http://localhost:8080"), "http://localhost:40000");
        assert_eq!(shown("http://localhost/x"), "http://localhost:40001/x");
        for other in ["http://127.0.0.1:8081", "http://example.org:8080", "udp:x", "tcp://10.0.0.1:80"] {
            if Target::parse(other).is_ok() {
                assert_eq!(shown(other), other);
            }
        }
        let mut service = ServiceSettings::new("b".into(), vec!["b".into()]);
        service.ready = Ready::Tcp("127.0.0.1:8080".parse().unwrap());
        service.requirements = vec![RequirementSettings::new(Target::parse("tcp://127.0.0.1:80").unwrap())];
        follow(&mut service, &moves);
        assert_eq!(service.ready, Ready::Tcp("127.0.0.1:40000".parse().unwrap()));
        assert_eq!(service.requirements[0].target.shown, "tcp://127.0.0.1:40001");
    }
}
