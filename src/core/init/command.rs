//! From a command line, and what every command line shows of itself.

use ::core::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::super::config::value::name_from;
use super::{Draft, Port, Service, inits};

/// Flags after which an address or a port stands that a server listens on.
const PORT_FLAGS: [&str; 12] = [
    "port",
    "p",
    "listen",
    "bind",
    "b",
    "addr",
    "address",
    "http",
    "http-port",
    "listen-address",
    "http-address",
    "server.port",
];

/// One service that runs this command.
pub fn from_command(words: &[String]) -> Draft {
    let mut service = Service { command: words.to_vec(), ..Service::default() };
    look_at_command(&mut service);
    let program = service.command.first().map(String::as_str).unwrap_or_default();
    let file = Path::new(program).file_name().map_or_else(|| program.into(), |name| name.to_string_lossy());
    service.name = name_from(&file);
    if service.ports.is_empty() {
        service.notes.push(
            "No port is seen in the command: it counts as ready as soon as it is executed, unless it says READY=1. If it \
             listens, declare its port: [[service.NAME.port]] listen = \"tcp://0.0.0.0:8080\""
                .replace("NAME", &service.name),
        );
    }
    Draft { notes: Vec::new(), services: vec![service] }
}

/// Takes off an init that launcher stands for, and guesses the port from the arguments.
pub fn look_at_command(service: &mut Service) {
    inits::take_off(service);
    if service.ports.is_empty()
        && let Some(port) = port_of(&service.command)
    {
        service.port(port);
    }
}

/// The port that a flag of the command names.
fn port_of(command: &[String]) -> Option<Port> {
    for (index, word) in command.iter().enumerate().skip(1) {
        let flag = word.strip_prefix("-D").or_else(|| word.strip_prefix("--")).or_else(|| word.strip_prefix('-'));
        let Some(flag) = flag else { continue };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, command.get(index + 1).map(String::as_str)),
        };
        let listed = PORT_FLAGS.contains(&name.to_ascii_lowercase().as_str());
        if let Some((host, number)) = value.filter(|_| listed).and_then(address) {
            let shown = word.split('=').next().unwrap_or(word);
            let note = format!("Guessed from {shown} in the command.");
            return Some(Port { host, ..Port::any(number, note) });
        }
    }
    None
}

/// `8080`, `:8080`, `127.0.0.1:8080`, `[::1]:8080`, `tcp://0.0.0.0:8080`.
pub fn address(text: &str) -> Option<(IpAddr, u16)> {
    let text = text.split_once("://").map_or(text, |(_, address)| address);
    let text = text.split('/').next().unwrap_or(text);
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let number = port.parse::<u16>().ok().filter(|number| *number > 0)?;
    let host = host.trim_matches(['[', ']']);
    let host = match host {
        "" | "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host => host.parse().ok()?,
    };
    Some((host, number))
}
