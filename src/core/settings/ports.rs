//! The ports of a service.

use std::path::PathBuf;

use ::core::net::SocketAddr;

/// One `[[service.NAME.port]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSettings {
    /// Its name: `{port.NAME}`, `PORT_<NAME>`, LISTEN_FDNAMES.
    pub name: String,
    /// Where it listens.
    pub listen: Listen,
    /// What the launcher does with it.
    pub mode: PortMode,
    /// Until when a reserved port is held.
    pub until: HoldUntil,
    /// Whether it was asked for on the command line, and not in launcher.toml.
    pub by_flag: bool,
    /// Whose process is ended that holds it.
    pub take_over: TakeOver,
}

/// Whose process is ended that holds a port, before the service is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TakeOver {
    /// Nobody's.
    #[default]
    Never,
    /// One of the launcher's own user.
    Own,
    /// Anybody's, as far as the launcher may.
    Any,
}

/// An address a service listens on. Port 0 stands for `auto`: a free one is picked once and kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Listen {
    /// `tcp://ADDRESS:PORT`; an IPv6 wildcard is dual stack.
    Tcp(SocketAddr),
    /// `udp://ADDRESS:PORT`.
    Udp(SocketAddr),
    /// `unix:PATH`; a leading `@` stands for the abstract namespace.
    Unix(PathBuf),
}

impl Listen {
    /// The number of its port; none of a Unix socket, and none yet of `auto`.
    pub fn port(&self) -> Option<u16> {
        match self {
            Listen::Tcp(address) | Listen::Udp(address) => Some(address.port()).filter(|port| *port > 0),
            Listen::Unix(_) => None,
        }
    }
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Listen::Tcp(address) => write!(f, "tcp://{address}"),
            Listen::Udp(address) => write!(f, "udp://{address}"),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What the launcher does with a declared port (DESIGN §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PortMode {
    /// Looked at, not held.
    Check,
    /// Bound but not listening until just before exec, or until ready.
    #[default]
    Reserve,
    /// Bound, listening, held for the launcher's life, passed by LISTEN_FDS.
    Pass,
    /// Bound by the program itself with SO_REUSEPORT, by two generations at once.
    Share,
    /// The first generation's own listening socket is kept and given to the next one when that binds.
    Capture,
    /// Held as in `Pass`, and given to the program in the place of its own socket when it binds.
    Adopt,
}

impl PortMode {
    /// As they are written.
    pub const NAMES: [(&str, PortMode); 6] = [
        ("check", PortMode::Check),
        ("reserve", PortMode::Reserve),
        ("pass", PortMode::Pass),
        ("share", PortMode::Share),
        ("capture", PortMode::Capture),
        ("adopt", PortMode::Adopt),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        PortMode::NAMES.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }

    /// Whether two generations of a service can serve on it at once.
    pub fn overlaps(self) -> bool {
        matches!(self, PortMode::Pass | PortMode::Share | PortMode::Capture | PortMode::Adopt)
    }

    /// Whether a socket that was passed from above may be held for such a port.
    pub fn takes_inherited(self) -> bool {
        matches!(self, PortMode::Pass | PortMode::Adopt)
    }
}

/// Until when a reserved port is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HoldUntil {
    /// Released just before exec.
    #[default]
    Exec,
    /// Released when the service is ready.
    Ready,
}
