//! A generation that gets a part of the new connections until a person decides.

use std::fmt;

use crate::core::service::{Generation, NoOverlap, State, Transition, named};

use super::overlap::Part;
use super::{Fleet, ServiceId, Turn};

/// A part of all connections, from 1 to 99 percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(u8);

impl Percent {
    /// So many percent; `None` of what is no part.
    pub fn new(percent: u8) -> Option<Percent> {
        (1..100).contains(&percent).then_some(Percent(percent))
    }

    /// Its number.
    pub fn get(self) -> u8 {
        self.0
    }
}

/// Why a service cannot have a canary now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCanary {
    /// Two generations of it cannot serve at once.
    NoOverlap(NoOverlap),
    /// Connections to this port of its cannot be steered: it does not have mode `share`.
    NotShared(String),
    /// It is not ready: there is nothing to be compared with.
    NotReady(State),
    /// All services are being stopped.
    GoingDown,
}

impl fmt::Display for NoCanary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoCanary::NoOverlap(why) => write!(f, "two generations of it cannot serve at once: {why}"),
            NoCanary::NotShared(name) => {
                let name = named(name);
                write!(
                    f,
                    "its port{name} has not mode \"share\", and only on such ports new connections can be divided"
                )
            }
            NoCanary::NotReady(state) => write!(f, "it is {}, and a canary is beside one that is ready", state.name()),
            NoCanary::GoingDown => write!(f, "launcher is going down"),
        }
    }
}

impl Fleet {
    /// Whether this service can have a canary now.
    ///
    /// # Errors
    /// Why it cannot; also when there is no such service.
    pub fn can_have_canary(&self, id: ServiceId) -> Result<(), NoCanary> {
        let Some(member) = self.members.get(id.0) else { return Err(NoCanary::NotReady(State::Stopped)) };
        let settings = member.service.settings();
        if let Some(port) = settings.undivided() {
            return Err(NoCanary::NotShared(port.to_owned()));
        }
        member.overlaps().map_err(NoCanary::NoOverlap)?;
        match member.service.state() {
            _ if self.is_going_down() => Err(NoCanary::GoingDown),
            State::Ready if member.service.is_wanted() => Ok(()),
            state => Err(NoCanary::NotReady(state)),
        }
    }

    pub(super) fn on_canary_requested(&mut self, turn: &mut Turn, id: ServiceId, percent: Percent) {
        if self.can_have_canary(id).is_ok() {
            self.restart(turn, id, Some(percent));
        }
    }

    /// One that comes up and was to be a canary will not be one.
    pub(super) fn on_promote_requested(&mut self, turn: &mut Turn, id: ServiceId) {
        let Some(member) = self.members.get_mut(id.0).filter(|member| member.successor().is_some()) else { return };
        if let Some(beside) = &mut member.beside {
            beside.canary = None;
        }
        self.settle(turn, id, State::Ready);
    }

    pub(super) fn on_rollback_requested(&mut self, turn: &mut Turn, id: ServiceId) {
        if self.members.get(id.0).is_some_and(|member| member.successor().is_some()) {
            self.members[id.0].again = None;
            self.roll_back(turn, id);
        }
    }

    /// It is ready: from now on it gets its part.
    pub(super) fn begin_canary(&mut self, turn: &mut Turn, id: ServiceId) {
        let member = &mut self.members[id.0];
        let Some(beside) = &mut member.beside else { return };
        beside.part = Part::Canary;
        let (new, percent) = (beside.service.generation(), beside.canary.map_or(0, Percent::get));
        let serving = member.service.generation().unwrap_or(Generation(0));
        self.tell(turn, id, new, Transition::CanaryServes { percent, beside: serving });
        self.steer(turn, id);
    }

    pub(super) fn roll_back(&mut self, turn: &mut Turn, id: ServiceId) {
        let member = &self.members[id.0];
        let new = member.beside.as_ref().and_then(|beside| beside.service.generation());
        let stays = member.service.generation().unwrap_or(Generation(0));
        self.tell(turn, id, new, Transition::RolledBack { stays });
        self.let_leave(turn, id);
    }
}
