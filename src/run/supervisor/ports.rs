//! The ports of one service: checked before every generation, held as their mode says.

use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

use crate::core::adopt::Way;
use crate::core::facts::{PortFacts, PortFailure};
use crate::core::listen::{port_of, with_port};
use crate::core::port_words::Asker;
use crate::core::settings::{HoldUntil, Listen, PortMode, PortSettings, TakeOver};
use crate::run::preflight;
use crate::sys::port::{self, Held};

use super::lend::Watching;
use super::share::Shared;

/// The ports of one service.
pub struct Ports {
    pub(super) service: String,
    pub(super) ports: Vec<Port>,
    /// Sockets from above that are passed on as they are, with their names.
    given: Vec<(String, OwnedFd)>,
    /// The uid that the service runs as.
    pub(super) user: u32,
    /// What tells of sockets that were shut down.
    pub(super) watching: Option<Watching>,
}

/// One port, and the socket by which it is held.
pub struct Port {
    pub(super) settings: PortSettings,
    /// Where it listens; with port `auto` the number that was picked the first time.
    pub(super) listen: Listen,
    pub(super) held: Option<Held>,
    /// Whether what is held is kept from one generation to the next.
    pub(super) kept: bool,
    /// How it is treated in the modes `adopt` and `capture`, once that is decided.
    pub(super) way: Option<Way>,
    /// Whether it was seen that it cannot be given to a second generation while the first has it.
    pub(super) single: bool,
    /// In mode `share`: the groups of its sockets, while two generations are there.
    pub(super) shared: Vec<Shared>,
}

impl Ports {
    /// Ports of which none is held yet.
    pub fn new(service: &str, settings: &[PortSettings], user: u32) -> Ports {
        let ports = settings.iter().map(Port::new).collect();
        Ports { service: service.to_owned(), ports, given: Vec::new(), user, watching: None }
    }

    /// Ports that are set otherwise. One that is set as before stays as it is, held and with its number; what is there no
    /// more is let go.
    pub fn renew(&mut self, settings: &[PortSettings], user: u32) {
        let mut old = std::mem::take(&mut self.ports);
        let port = |settings: &PortSettings| {
            let same = old.iter().position(|port| port.settings == *settings);
            same.map_or_else(|| Port::new(settings), |place| old.swap_remove(place))
        };
        self.ports = settings.iter().map(port).collect();
        self.user = user;
    }

    /// The service is there no more: nothing is held for it.
    pub fn close(&mut self) {
        self.ports = self.ports.iter().map(|port| Port::new(&port.settings)).collect();
        self.given.clear();
        self.watching = None;
    }

    /// This port was passed from above: it is held from now on, wherever it listens.
    pub fn inherit(&mut self, place: usize, listen: Option<Listen>, socket: OwnedFd) {
        let Some(port) = self.ports.get_mut(place) else { return };
        port.listen = listen.unwrap_or(port.listen.clone());
        port.held = Some(Held::inherited(port.listen.clone(), socket));
        port.kept = true;
    }

    /// This socket from above is passed on as it is.
    pub fn pass_on(&mut self, name: String, socket: OwnedFd) {
        self.given.push((name, socket));
    }

    /// Picks a number now for every port `auto`; with `all` for those with a number, too, in its place. They are held
    /// until they are checked. What cannot be had is left for then.
    pub fn pick_free(&mut self, all: bool) {
        for port in self.ports.iter_mut().filter(|port| port.held.is_none()) {
            if all {
                port.listen = with_port(&port.listen, 0);
            }
            if port_of(&port.listen) == Some(0) {
                let _ = port.take(&self.service, self.user);
            }
        }
    }

    /// Where each port is now.
    pub fn places(&self) -> impl Iterator<Item = &Listen> {
        self.ports.iter().map(|port| &port.listen)
    }

    /// Where the port of this name is written.
    pub fn asker<'s>(&self, name: &str, service: &'s str) -> Option<Asker<'s>> {
        let port = self.ports.iter().find(|port| port.settings.name == name)?;
        Some(preflight::asker(service, &port.settings))
    }

    /// Whose process is ended for the port of this name.
    pub fn take_over(&self, name: &str) -> TakeOver {
        let port = self.ports.iter().find(|port| port.settings.name == name);
        port.map_or(TakeOver::Never, |port| port.settings.take_over)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.ports.len()
    }

    /// Checks every port and holds those that are to be held. `beside`: another generation serves on them.
    ///
    /// # Errors
    /// The first port that cannot be had, with its owner. What is held already stays held.
    pub fn take(&mut self, beside: bool) -> Result<(), Box<PortFailure>> {
        for port in &mut self.ports {
            if !port.kept {
                port.held = None;
            }
        }
        // What is shared with that one can be bound, as was seen.
        for port in self.ports.iter_mut().filter(|port| !beside || port.settings.mode != PortMode::Share) {
            port.take(&self.service, self.user)?;
        }
        Ok(())
    }

    /// The port, by name, that was to be kept open for two generations and cannot be.
    pub fn not_kept(&self) -> Option<&str> {
        let single = |port: &&Port| port.single || (port.way.is_some() && !port.is_lent());
        self.ports.iter().find(single).map(|port| port.settings.name.as_str())
    }

    /// A second generation is checked while the first has the ports: what is not kept by now it would not get.
    pub fn look_at_kept(&mut self) {
        for port in &mut self.ports {
            port.single |= port.is_lent() && !port.kept;
        }
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
            let reserved = match port.settings.mode {
                PortMode::Reserve => port.settings.until == until,
                // Released at exec where no call is answered, else at the bind; at the end in any case.
                PortMode::Adopt | PortMode::Capture => !port.kept && (!port.is_lent() || until == HoldUntil::Ready),
                // The program that has it shares it with its next generation alone.
                PortMode::Share => true,
                PortMode::Check | PortMode::Pass => false,
            };
            if reserved {
                port.held = None;
            }
        }
    }

    /// The sockets to pass, with their names, in the order in which they were declared.
    pub fn passed(&self) -> Vec<(&str, RawFd)> {
        let passed = self.ports.iter().filter(|port| port.settings.mode == PortMode::Pass);
        let passed = passed
            .filter_map(|port| Some((port.settings.name.as_str(), port.held.as_ref()?.descriptor()?.as_raw_fd())));
        passed.chain(self.given.iter().map(|(name, fd)| (name.as_str(), fd.as_raw_fd()))).collect()
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

    /// Each port's name, where it is, and whether the launcher itself listens on it.
    pub fn shown(&self) -> impl Iterator<Item = (&str, &Listen, bool)> {
        self.ports.iter().map(|port| {
            let held = port.settings.mode == PortMode::Pass && port.held.is_some();
            (port.settings.name.as_str(), &port.listen, held)
        })
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
    fn new(settings: &PortSettings) -> Port {
        let (settings, listen) = (settings.clone(), settings.listen.clone());
        Port { settings, listen, held: None, kept: false, way: None, single: false, shared: Vec::new() }
    }

    fn take(&mut self, service: &str, user: u32) -> Result<(), Box<PortFailure>> {
        let way = self.way(service, user);
        if self.held.is_some() && (way != Way::Leave || self.settings.mode == PortMode::Pass) {
            return Ok(());
        }
        let held = match self.settings.mode {
            PortMode::Check => port::pick(&self.listen).and_then(|picked| {
                self.listen = picked;
                port::examine(&self.listen).map(|()| None)
            }),
            PortMode::Reserve => port::reserve(&self.listen).map(Some),
            PortMode::Pass => port::listen(&self.listen).map(Some),
            PortMode::Adopt | PortMode::Capture => match way {
                Way::Adopt => port::listen_for_good(&self.listen).map(Some),
                Way::Capture | Way::Make | Way::Leave => port::reserve(&self.listen).map(Some),
            },
            PortMode::Share => port::reserve(&self.listen).map(Some),
        };
        match held {
            Ok(held) => {
                if let Some(held) = &held {
                    self.listen = held.address().clone();
                }
                self.kept = held.is_some() && (self.settings.mode == PortMode::Pass || self.way == Some(Way::Adopt));
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
    use crate::sys::testing::succeeds;

    fn ports(all: &[(&str, PortMode, HoldUntil)]) -> Ports {
        let settings: Vec<PortSettings> = all
            .iter()
            .enumerate()
            .map(|(index, (listen, mode, until))| PortSettings {
                mode: *mode,
                until: *until,
                ..PortSettings::new(format!("p{index}"), crate::core::config::listen::listen(listen).unwrap())
            })
            .collect();
        Ports::new("api", &settings, nix::unistd::geteuid().as_raw())
    }

    fn address(ports: &Ports, index: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], ports.numbers()[index].1))
    }

    /// Binds as a stranger does, without any option.
    fn bind(address: SocketAddr) -> std::io::Result<()> {
        Socket::new(Domain::IPV4, Type::STREAM, None)?.bind(&address.into())
    }

    fn is_held(address: SocketAddr) -> bool {
        bind(address).is_err()
    }

    /// It is let go of: nobody but what another test is just starting can have a copy.
    #[track_caller]
    fn gets_free(address: SocketAddr) {
        succeeds(|| bind(address));
    }

    #[test]
    fn what_is_reserved_until_ready_is_let_go_when_told_so_whenever_that_is() {
        let mut ports = ports(&[
            ("127.0.0.1:auto", PortMode::Reserve, HoldUntil::Ready),
            ("127.0.0.1:auto", PortMode::Reserve, HoldUntil::Exec),
        ]);
        // The check has taken them, and the generation ends before it was executed.
        ports.take(false).unwrap();
        assert!(is_held(address(&ports, 0)) && is_held(address(&ports, 1)));
        ports.release_reserved();
        gets_free(address(&ports, 0));
        gets_free(address(&ports, 1));
        // At exec, only what is reserved until then is let go.
        ports.take(false).unwrap();
        ports.release_for_exec();
        gets_free(address(&ports, 1));
        assert!(is_held(address(&ports, 0)));
    }

    #[test]
    fn a_check_that_fails_half_way_keeps_nothing_after_its_end() {
        let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = stranger.local_addr().unwrap().to_string();
        let mut ports = ports(&[
            ("127.0.0.1:auto", PortMode::Reserve, HoldUntil::Ready),
            (&taken, PortMode::Reserve, HoldUntil::Ready),
        ]);
        let failure = ports.take(false).unwrap_err();
        assert!(failure.summary.contains(&taken), "{}", failure.summary);
        ports.release_reserved();
        gets_free(address(&ports, 0));
    }

    #[test]
    fn what_is_set_otherwise_is_let_go_and_what_is_not_stays_held() {
        let mut all = ports(&[
            ("127.0.0.1:auto", PortMode::Pass, HoldUntil::Exec),
            ("127.0.0.1:auto", PortMode::Reserve, HoldUntil::Ready),
        ]);
        all.take(false).unwrap();
        let (first, second) = (address(&all, 0), address(&all, 1));
        let mut settings: Vec<PortSettings> = all.ports.iter().map(|port| port.settings.clone()).collect();
        settings[1].until = HoldUntil::Exec;
        settings.reverse();
        all.renew(&settings, all.user);
        assert_eq!(address(&all, 0), first, "the other one has no number yet");
        gets_free(second);
        assert!(is_held(first));
        all.close();
        gets_free(first);
        assert!(all.numbers().is_empty());
    }

    #[test]
    fn a_passed_port_stays_held_and_keeps_its_number() {
        let mut ports = ports(&[("127.0.0.1:auto", PortMode::Pass, HoldUntil::Exec)]);
        ports.take(false).unwrap();
        let first = address(&ports, 0);
        ports.release_for_exec();
        ports.release_reserved();
        std::net::TcpStream::connect(first).unwrap();
        ports.take(false).unwrap();
        assert_eq!(address(&ports, 0), first);
        assert!(ports.awaited().is_empty());
    }
}
