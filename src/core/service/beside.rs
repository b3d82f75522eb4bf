//! Two generations of a service at once, each a [`Service`] of its own: what one is to the other. Who is beside whom, and
//! for how long, is the fleet's to decide (`core/fleet/overlap.rs`).

use std::fmt;
use std::time::Duration;

use crate::core::settings::{NotifyPlace, PortMode, Ready, ServiceSettings};
use crate::core::time::Moment;

use super::breaker::Breaker;
use super::deadlines::{Deadline, Deadlines};
use super::signals::SignalTable;
use super::{Generation, Service, State, Wish};

/// How long a successor that is ready as soon as it is started must have lived before the old one is let go: one that
/// ends at once, for a wrong option say, must not have cost the one that served.
const PROOF: Duration = Duration::from_secs(1);

/// What a generation is to the one beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It alone is the service.
    Sole,
    /// It serves, and a successor is beside it: when it ends, that takes its place.
    Followed,
    /// It comes up beside the one that serves, or serves a part: when it ends, it was that.
    Successor,
    /// Another one serves in its place: it ends what it has begun.
    Leaving,
}

/// Why two generations of a service cannot serve at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoOverlap {
    /// It has no port, so nobody is refused anything.
    NoPort,
    /// Its port of this name is not kept open for both.
    Port(String, PortMode),
    /// Its port of this name was to be kept open for both, and could not be.
    NotKept(String),
    /// Its port of this name is bound by its program without SO_REUSEPORT.
    Exclusive(String),
    /// Its next generation is set otherwise by this key, which is of what two generations have together.
    Changed(&'static str),
    /// Its debugger has one address for it.
    Debugged,
    /// It has the terminal, and there is one.
    Interactive,
    /// What it listens to for notifications is a path, and there is one.
    NotifySocket,
    /// It is ready when it has ended.
    Exits,
    /// A probe would be answered by the old one, and show nothing of the new one.
    Probe,
}

impl fmt::Display for NoOverlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoOverlap::NoPort => write!(f, "it has no port"),
            NoOverlap::Port(name, mode) => {
                let (name, mode) = (named(name), mode.name());
                write!(f, "its port{name} has mode \"{mode}\", which only one process can listen on")
            }
            NoOverlap::NotKept(name) => {
                write!(f, "launcher could not keep its port{} open for it, so only one process can listen", named(name))
            }
            NoOverlap::Exclusive(name) => {
                let name = named(name);
                write!(f, "its program binds its port{name} without SO_REUSEPORT, so only one process can listen")
            }
            NoOverlap::Changed(key) => write!(f, "its {key} is set otherwise by now"),
            NoOverlap::Debugged => write!(f, "it waits for its debugger, which finds one process"),
            NoOverlap::Interactive => write!(f, "it has the terminal"),
            NoOverlap::NotifySocket => write!(f, "its notify_socket is one path"),
            NoOverlap::Exits => write!(f, "it is ready when it has ended"),
            NoOverlap::Probe => write!(f, "what it is probed by would be answered by the old one"),
        }
    }
}

/// The name of a port in a sentence; none of one that has only its number.
pub fn named(port: &str) -> String {
    if port.parse::<u32>().is_ok() { String::new() } else { format!(" {port:?}") }
}

impl ServiceSettings {
    /// Whether a second generation can serve beside the first.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn overlaps(&self) -> Result<(), NoOverlap> {
        if let Some(port) = self.ports.iter().find(|port| !port.mode.overlaps()) {
            return Err(NoOverlap::Port(port.name.clone(), port.mode));
        }
        match () {
            () if self.ports.is_empty() => Err(NoOverlap::NoPort),
            () if self.debugged.is_some() => Err(NoOverlap::Debugged),
            () if self.interactive => Err(NoOverlap::Interactive),
            () if matches!(self.notify.socket, NotifyPlace::At(_)) => Err(NoOverlap::NotifySocket),
            () if self.ready == Ready::Exited => Err(NoOverlap::Exits),
            () if matches!(self.ready, Ready::Tcp(_) | Ready::Http(_) | Ready::Exec(_)) => Err(NoOverlap::Probe),
            () => Ok(()),
        }
    }

    /// Whether a generation that is set as `next` can serve beside one that is set as this is.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn overlaps_with(&self, next: &ServiceSettings) -> Result<(), NoOverlap> {
        let together = [
            ("port", self.ports == next.ports),
            ("user", self.user == next.user),
            ("group", self.process.group == next.process.group),
            ("log", self.log == next.log),
        ];
        match together.iter().find(|(_, same)| !same) {
            Some((key, _)) => Err(NoOverlap::Changed(key)),
            None => self.overlaps().and_then(|()| next.overlaps()),
        }
    }

    /// Whether new connections can be steered to one of two generations.
    pub fn steers(&self) -> bool {
        self.ports.iter().any(|port| port.mode == PortMode::Share)
    }

    /// The first port on which new connections cannot be divided between two generations.
    pub fn undivided(&self) -> Option<&str> {
        self.ports.iter().find(|port| port.mode != PortMode::Share).map(|port| port.name.as_str())
    }
}

impl Service {
    /// Whether it is wanted to run, and neither to stop nor to be stopped and started again.
    pub fn is_wanted(&self) -> bool {
        self.wish == Wish::Run
    }

    /// Whether another generation may be put beside this one: it serves, and nothing else is under way.
    pub fn can_be_followed(&self) -> bool {
        self.state == State::Ready && self.role == Role::Sole && self.is_wanted()
    }

    /// The next generation of the same service, which waits to be started beside this one.
    pub fn begin_successor(&mut self) -> Service {
        self.role = Role::Followed;
        let mut successor = Service {
            state: State::Waiting,
            wish: Wish::Run,
            stop_requests: 0,
            role: Role::Successor,
            live: None,
            attempt: 0,
            was_ready: false,
            last_code: None,
            outcome: None,
            status: None,
            signals: SignalTable::default(),
            deadlines: Deadlines::default(),
            breaker: self.settings.restart.breaker.map(Breaker::new),
            ..self.clone()
        };
        successor.forget_failures();
        self.newest = Generation(self.newest.0 + 1);
        successor
    }

    /// It alone is the service again, or from now on.
    pub fn be_alone(&mut self) {
        self.role = Role::Sole;
    }

    /// It is the service from now on, in the place of this one: what was counted against that is its own now.
    pub fn replace(&mut self, old: &Service) {
        self.role = Role::Sole;
        self.failures = old.failures;
        self.waits = old.waits.clone();
        // One that is set otherwise has its own.
        if self.breaker.as_ref().map(Breaker::settings) == old.breaker.as_ref().map(Breaker::settings) {
            self.breaker = old.breaker.clone();
        }
        self.stores |= old.stores;
        self.newest = self.newest.max(old.newest);
    }

    /// Nothing is left of the other one: what that has stored is for this one. Says whether it is nobody's, for this one is
    /// at rest.
    pub fn inherit_store(&mut self, other: &Service) -> bool {
        self.stores |= other.stores;
        self.state.is_at_rest() && std::mem::take(&mut self.stores)
    }

    /// Another one serves in its place, or is to: once it is asked to stop it has `drain_timeout` for it. One that is
    /// stopped already, because it failed say, has begun nothing that is worth the wait.
    pub fn leave(&mut self) {
        self.role = if self.state == State::Stopping { Role::Successor } else { Role::Leaving };
    }

    /// One that leaves is to be gone as soon as any other that is asked to stop.
    pub fn hasten(&mut self, now: Moment) {
        self.role = Role::Successor;
        self.deadlines.cap(Deadline::Stop, now + self.settings.stop_timeout);
    }

    /// How long it has from the stop signal to SIGKILL.
    pub(super) fn stop_timeout(&self) -> Duration {
        if self.drains() { self.settings.drain_timeout } else { self.settings.stop_timeout }
    }

    /// Whether it ends what it has begun, for another one serves in its place.
    pub(super) fn drains(&self) -> bool {
        self.role == Role::Leaving
    }

    /// How long it must live to be ready, when being started is all that is asked of it.
    pub(super) fn proof(&self) -> Option<Duration> {
        (self.role == Role::Successor).then(|| PROOF.min(self.settings.start_timeout / 2))
    }
}
