//! The ports of one service: checked before every generation, held as their mode says.

use std::os::fd::{AsRawFd as _, RawFd};

use crate::core::facts::{PortFacts, PortFailure};
use crate::core::settings::{HoldUntil, Listen, PortMode, PortSettings};
use crate::run::preflight;
use crate::sys::port::{self, Held};

/// The ports of one service.
pub struct Ports {
    service: String,
    ports: Vec<Port>,
}

/// One port, and the socket by which it is held.
struct Port {
    settings: PortSettings,
    /// Where it listens; with port `auto` the number that was picked the first time.
    listen: Listen,
    held: Option<Held>,
}

impl Ports {
    /// Ports of which none is held yet.
    pub fn new(service: &str, settings: &[PortSettings]) -> Ports {
        let port =
            |settings: &PortSettings| Port { settings: settings.clone(), listen: settings.listen.clone(), held: None };
        Ports { service: service.to_owned(), ports: settings.iter().map(port).collect() }
    }

    /// Checks every port and holds those that are to be held.
    ///
    /// # Errors
    /// The first port that cannot be had, with its owner. What is held already stays held.
    pub fn take(&mut self) -> Result<(), Box<PortFailure>> {
        for port in &mut self.ports {
            if port.settings.mode != PortMode::Pass {
                port.held = None;
            }
        }
        for port in &mut self.ports {
            port.take(&self.service)?;
        }
        Ok(())
    }

    /// Lets go of what is held only until exec: to be called right before it.
    pub fn release_for_exec(&mut self) {
        self.release(HoldUntil::Exec);
    }

    /// Lets go of what is reserved until the service is ready, and of what may still be held from before.
    pub fn release_reserved(&mut self) {
        self.release(HoldUntil::Exec);
        self.release(HoldUntil::Ready);
    }

    fn release(&mut self, until: HoldUntil) {
        for port in &mut self.ports {
            if port.settings.mode == PortMode::Reserve && port.settings.until == until {
                port.held = None;
            }
        }
    }

    /// The sockets to pass, with their names, in the order in which they were declared.
    pub fn passed(&self) -> Vec<(&str, RawFd)> {
        let passed = self.ports.iter().filter(|port| port.settings.mode == PortMode::Pass);
        passed
            .filter_map(|port| Some((port.settings.name.as_str(), port.held.as_ref()?.descriptor()?.as_raw_fd())))
            .collect()
    }

    /// The number of each port that has one, by name.
    pub fn numbers(&self) -> Vec<(&str, u16)> {
        self.ports.iter().filter_map(|port| Some((port.settings.name.as_str(), number(&port.listen)?))).collect()
    }

    /// The addresses that the service itself must listen on to be ready.
    pub fn awaited(&self) -> Vec<Listen> {
        let own = self.ports.iter().filter(|port| port.settings.mode != PortMode::Pass);
        own.map(|port| port.listen.clone()).collect()
    }

    /// All ports for a report; `listening` says of an address whether a process of the service listens on it.
    pub fn facts(&self, listening: impl Fn(&Listen) -> bool) -> Vec<PortFacts> {
        let fact = |port: &Port| {
            let held = port.settings.mode == PortMode::Pass && port.held.is_some();
            let listening = held || listening(&port.listen);
            // While the launcher holds the port itself, the owner found would be the launcher.
            let owner =
                if listening || port.held.is_some() { None } else { port::owner(&port.listen, Some(&self.service)) };
            PortFacts {
                name: port.settings.name.clone(),
                listen: port.listen.clone(),
                mode: port.settings.mode,
                listening,
                owner,
            }
        };
        self.ports.iter().map(fact).collect()
    }
}

impl Port {
    fn take(&mut self, service: &str) -> Result<(), Box<PortFailure>> {
        if self.held.is_some() {
            return Ok(());
        }
        let held = match self.settings.mode {
            PortMode::Check => port::pick(&self.listen).and_then(|picked| {
                self.listen = picked;
                port::examine(&self.listen).map(|()| None)
            }),
            PortMode::Reserve => port::reserve(&self.listen).map(Some),
            PortMode::Pass => port::listen(&self.listen).map(Some),
        };
        match held {
            Ok(held) => {
                if let Some(held) = &held {
                    self.listen = held.address().clone();
                }
                self.held = held;
                Ok(())
            }
            Err(refused) => {
                let settings = PortSettings { listen: self.listen.clone(), ..self.settings.clone() };
                Err(Box::new(preflight::port_failure(service, &settings, &refused)))
            }
        }
    }
}

/// The port number of an address that has one.
fn number(listen: &Listen) -> Option<u16> {
    match listen {
        Listen::Tcp(address) | Listen::Udp(address) => Some(address.port()).filter(|port| *port != 0),
        Listen::Unix(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use socket2::{Domain, Socket, Type};

    use super::*;

    fn ports(all: &[(&str, PortMode, HoldUntil)]) -> Ports {
        let settings: Vec<PortSettings> = all
            .iter()
            .enumerate()
            .map(|(index, (listen, mode, until))| PortSettings {
                name: format!("p{index}"),
                listen: crate::core::config::listen::listen(listen).unwrap(),
                mode: *mode,
                until: *until,
            })
            .collect();
        Ports::new("api", &settings)
    }

    fn address(ports: &Ports, index: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], ports.numbers()[index].1))
    }

    /// Binds as a stranger does, without any option.
    fn is_free(address: SocketAddr) -> bool {
        Socket::new(Domain::IPV4, Type::STREAM, None).unwrap().bind(&address.into()).is_ok()
    }

    #[test]
    fn what_is_reserved_until_ready_is_let_go_when_told_so_whenever_that_is() {
        let mut ports = ports(&[
            ("127.0.0.1:auto", PortMode::Reserve, HoldUntil::Ready),
            ("127.0.0.1:auto", PortMode::Reserve, HoldUntil::Exec),
        ]);
        // The check has taken them, and the generation ends before it was executed.
        ports.take().unwrap();
        assert!(!is_free(address(&ports, 0)) && !is_free(address(&ports, 1)));
        ports.release_reserved();
        assert!(is_free(address(&ports, 0)) && is_free(address(&ports, 1)));
        // At exec, only what is reserved until then is let go.
        ports.take().unwrap();
        ports.release_for_exec();
        assert!(!is_free(address(&ports, 0)) && is_free(address(&ports, 1)));
    }

    #[test]
    fn a_check_that_fails_half_way_keeps_nothing_after_its_end() {
        let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = stranger.local_addr().unwrap().to_string();
        let mut ports = ports(&[
            ("127.0.0.1:auto", PortMode::Reserve, HoldUntil::Ready),
            (&taken, PortMode::Reserve, HoldUntil::Ready),
        ]);
        let failure = ports.take().unwrap_err();
        assert!(failure.summary.contains(&taken), "{}", failure.summary);
        ports.release_reserved();
        assert!(is_free(address(&ports, 0)));
    }

    #[test]
    fn a_passed_port_stays_held_and_keeps_its_number() {
        let mut ports = ports(&[("127.0.0.1:auto", PortMode::Pass, HoldUntil::Exec)]);
        ports.take().unwrap();
        let first = address(&ports, 0);
        ports.release_for_exec();
        ports.release_reserved();
        std::net::TcpStream::connect(first).unwrap();
        ports.take().unwrap();
        assert_eq!(address(&ports, 0), first);
        assert!(ports.awaited().is_empty());
    }
}
