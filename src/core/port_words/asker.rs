//! Who asks for an address, and so where another one would be written.

use ::core::net::{IpAddr, SocketAddr};

use crate::core::settings::Listen;

/// Who asks for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker<'s> {
    /// `--port`.
    Flag,
    /// A port of this service in launcher.toml.
    Key(&'s str),
    /// `http` of the launcher itself.
    Http,
    /// Somebody who only wants to know.
    Question,
}

impl Asker<'_> {
    /// How an address is written there, on this port, or on `auto`.
    pub(super) fn write(self, listen: &Listen, address: SocketAddr, port: Option<u16>) -> String {
        let udp = matches!(listen, Listen::Udp(_));
        let address = on_port(address, port);
        match self {
            Asker::Flag => format!("--port {}{address}", if udp { "udp://" } else { "" }),
            Asker::Key(service) => {
                let scheme = if udp { "udp" } else { "tcp" };
                format!("listen = \"{scheme}://{address}\" in [[service.{service}.port]]")
            }
            Asker::Http => format!("http = \"{address}\""),
            Asker::Question => format!("{}{address}", if udp { "udp://" } else { "" }),
        }
    }

    /// What to write in the place of a port that is taken.
    pub(super) fn another(self, listen: &Listen, address: SocketAddr, other: u16) -> String {
        let (other, auto) = (self.write(listen, address, Some(other)), self.write(listen, address, None));
        match self {
            Asker::Flag => {
                format!("choose another port: {other}, or {auto} for any free one, which PORT then tells")
            }
            Asker::Key(_) => {
                let auto = on_port(address, None);
                format!("choose another port: {other}, or {auto:?} for any free one, which PORT then tells")
            }
            Asker::Http => format!("choose another port: {other}"),
            Asker::Question => {
                format!(
                    "choose another port, such as {other}, or {auto} for a port of launcher's, which PORT then tells"
                )
            }
        }
    }

    /// How launcher is told to end the process that holds it.
    pub(super) fn take_over(self) -> Option<String> {
        match self {
            Asker::Flag => Some("let launcher end it before each start: --take-over".to_owned()),
            Asker::Key(service) => {
                Some(format!("let launcher end it before each start: take_over = true in [[service.{service}.port]]"))
            }
            Asker::Question => Some("let launcher end it before a start: launcher run --take-over".to_owned()),
            Asker::Http => None,
        }
    }
}

impl Asker<'_> {
    /// How launcher is told to end the process that holds it though it is of another user.
    pub fn take_over_any(self) -> Option<String> {
        match self {
            Asker::Flag | Asker::Question => Some("let launcher end it, of whomever it is: --take-over=any".to_owned()),
            Asker::Key(service) => Some(format!(
                "let launcher end it, of whomever it is: take_over = \"any\" in [[service.{service}.port]]"
            )),
            Asker::Http => None,
        }
    }
}

/// An address on this port, or on `auto`.
fn on_port(address: SocketAddr, port: Option<u16>) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    match port {
        Some(port) => format!("{ip}:{port}"),
        None => format!("{ip}:auto"),
    }
}
