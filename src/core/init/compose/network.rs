//! Ports of a compose service, and servers that only are an image.

use crate::core::files::tree::{Node, Value};

use super::super::command::address;
use super::super::dockerfile::exposed;
use super::super::{Port, Service};
use super::{Reader, get};

/// Images of known servers: a part of the name, the scheme of their requirement, the port.
const SERVERS: [(&str, &str, u16); 12] = [
    ("postgres", "postgres", 5432),
    ("postgis", "postgres", 5432),
    ("timescale", "postgres", 5432),
    ("mysql", "mysql", 3306),
    ("mariadb", "mysql", 3306),
    ("percona", "mysql", 3306),
    ("redis", "redis", 6379),
    ("valkey", "redis", 6379),
    ("rabbitmq", "amqp", 5672),
    ("kafka", "kafka", 9092),
    ("nats", "tcp", 4222),
    ("mongo", "tcp", 27017),
];

impl Reader<'_> {
    /// The requirement that stands for a service that only is an image: its URL, and why.
    pub(super) fn server(&mut self, name: &str, node: &Node) -> Option<(String, String)> {
        let image = self.text_of(node, "image").unwrap_or_default();
        let base = image.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let base = base.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let known = SERVERS.iter().find(|(part, ..)| base.contains(part));
        let published = self.published(node).into_iter();
        let wanted = known.map(|(_, _, port)| *port);
        let published =
            published.filter(|port| wanted.is_none_or(|wanted| wanted == port.target)).find_map(|port| port.host);
        let scheme = known.map_or("tcp", |(_, scheme, _)| *scheme);
        match (published, wanted) {
            (Some(number), _) => Some((
                format!("{scheme}://127.0.0.1:{number}"),
                format!(
                    "{name} ({image}), by the port it publishes on this host. In a container of its network it is {name}."
                ),
            )),
            (None, Some(port)) => Some((
                format!("{scheme}://{name}:{port}"),
                format!("{name} ({image}) publishes no port: reached by its name, in its network alone."),
            )),
            (None, None) => None,
        }
    }

    /// The ports that it publishes or exposes.
    pub(super) fn ports(&mut self, service: &mut Service, node: &Node) {
        for Published { target, host, udp } in self.published(node) {
            let outside = host.map(|host| format!("; the container publishes it as {host}")).unwrap_or_default();
            let note = format!("From ports: it listens on {target}{outside}.");
            service.port(Port { udp, ..Port::any(target, note) });
        }
        let expose = get(node, "expose").map(|node| self.texts(node)).unwrap_or_default();
        for (number, udp) in expose.iter().flat_map(|text| exposed(text)) {
            service.port(Port { udp, ..Port::any(number, "From expose.") });
        }
    }

    fn published(&mut self, node: &Node) -> Vec<Published> {
        let Some(Node { value: Value::List(ports), .. }) = get(node, "ports") else { return Vec::new() };
        let mut all = Vec::new();
        for port in ports {
            match self.text(port) {
                Some(text) => all.extend(short_port(&text)),
                None => {
                    let target = self.text_of(port, "target").and_then(|text| text.parse().ok());
                    let host = self.text_of(port, "published").and_then(|text| text.parse().ok());
                    let udp = self.text_of(port, "protocol").is_some_and(|text| text == "udp");
                    all.extend(target.map(|target| Published { target, host, udp }));
                }
            }
        }
        all
    }
}

/// A published port: what the program listens on, and what it is on the host.
struct Published {
    target: u16,
    host: Option<u16>,
    udp: bool,
}

/// `80`, `8080:80`, `127.0.0.1:8080:80/udp`; of a range the first.
fn short_port(text: &str) -> Option<Published> {
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let first = |text: &str| text.split('-').next().and_then(|text| text.parse::<u16>().ok());
    let (outside, target) = numbers.rsplit_once(':').map_or((None, numbers), |(a, b)| (Some(a), b));
    let host = outside.and_then(|outside| first(outside).or_else(|| address(outside).map(|(_, number)| number)));
    Some(Published { target: first(target)?, host, udp: protocol == "udp" })
}
