//! `launcher init`: a first launcher.toml from what is there already: a Procfile, a Dockerfile, a compose file or a
//! command line. Each guess stands with its reason, for a person to correct.

mod command;
mod compose;
mod dockerfile;
mod inits;
mod procfile;
mod shell;
#[cfg(test)]
mod tests;
mod write;

use ::core::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::config::value::name_from;

pub use command::from_command;
pub use compose::from_compose;
pub use dockerfile::from_dockerfile;
pub use procfile::from_procfile;
pub use write::write;

/// What a launcher.toml is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Lines of `name: command`.
    Procfile,
    /// What builds an image.
    Dockerfile,
    /// Services of docker compose.
    Compose,
}

/// The files that are looked for, the first that is there is taken: what says most comes first.
pub const NAMES: [(&str, Source); 7] = [
    ("compose.yaml", Source::Compose),
    ("compose.yml", Source::Compose),
    ("docker-compose.yaml", Source::Compose),
    ("docker-compose.yml", Source::Compose),
    ("Procfile", Source::Procfile),
    ("Dockerfile", Source::Dockerfile),
    ("Containerfile", Source::Dockerfile),
];

impl Source {
    /// What a file is by its name.
    pub fn of(path: &Path) -> Option<Source> {
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        let any = |words: &[&str]| words.iter().any(|word| name.contains(word));
        match () {
            () if name.ends_with(".yml") || name.ends_with(".yaml") => Some(Source::Compose),
            () if any(&["procfile"]) => Some(Source::Procfile),
            () if any(&["dockerfile", "containerfile"]) => Some(Source::Dockerfile),
            () => None,
        }
    }
}

/// The files beside the source, which may say more.
pub trait Files {
    /// The text of a file, by its path from the source's folder; `None` when it cannot be read.
    fn text(&self, path: &str) -> Option<String>;
}

/// A source that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitError {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl InitError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> InitError {
        InitError { message: message.into(), hint: hint.into() }
    }
}

/// A launcher.toml that is being made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// What was not taken over, and why.
    pub notes: Vec<String>,
    /// Its services.
    pub services: Vec<Service>,
}

/// One service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// What is to be said of it.
    pub notes: Vec<String>,
    /// Its program and arguments.
    pub command: Vec<String>,
    /// Why its command is this.
    pub command_notes: Vec<String>,
    /// Other keys.
    pub keys: Vec<Key>,
    /// What it comes after.
    pub after: Vec<String>,
    /// Variables of its own.
    pub environment: Vec<(String, String)>,
    /// Its ports.
    pub ports: Vec<Port>,
    /// What must answer first: a URL, and why.
    pub requirements: Vec<(String, String)>,
}

/// A key of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its value, as TOML.
    pub value: String,
    /// Why it is this.
    pub note: String,
    /// Whether it holds; else it is only shown.
    pub holds: bool,
}

/// A port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Where it listens.
    pub host: IpAddr,
    /// Its number.
    pub number: u16,
    /// Whether it is of UDP.
    pub udp: bool,
    /// How it is known.
    pub note: String,
}

impl Port {
    /// A TCP port on all addresses.
    fn any(number: u16, note: impl Into<String>) -> Port {
        Port { host: IpAddr::V4(Ipv4Addr::UNSPECIFIED), number, udp: false, note: note.into() }
    }
}

impl Service {
    /// A service of this name, or of what of it can be one.
    fn named(text: &str) -> Service {
        Service { name: name_from(text), ..Service::default() }
    }

    fn key(&mut self, name: &'static str, value: String, note: impl Into<String>) {
        self.keys.push(Key { name, value, note: note.into(), holds: true });
    }

    fn shown(&mut self, name: &'static str, value: String, note: impl Into<String>) {
        self.keys.push(Key { name, value, note: note.into(), holds: false });
    }

    fn port(&mut self, port: Port) {
        if !self.ports.iter().any(|other| (other.number, other.udp) == (port.number, port.udp)) {
            self.ports.push(port);
        }
    }
}
