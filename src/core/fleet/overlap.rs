//! Two generations of a service at once, for a restart that refuses no one: the new one is started beside the old one,
//! takes its place when it is ready, and is removed when it is not. ARCHITECTURE.md has the table.

use std::time::Duration;

use crate::core::service::{Action, Event, Generation, NoOverlap, Service, State, StopCause, Transition};
use crate::core::settings::PortMode;
use crate::core::time::Moment;

use super::canary::Percent;
use super::member::{Again, Member};
use super::{Fleet, ServiceId, Turn};

/// How long one that leaves still accepts what was on its way to it when new connections were steered to the other: a
/// handshake over a slow network, and what waits in its queue. Its listening socket, closed, resets both.
const LINGER: Duration = Duration::from_millis(200);

/// What a generation beside the one that serves is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It comes up.
    Successor,
    /// It is ready, and gets its part until it is promoted or rolled back.
    Canary,
    /// It ends what it has begun.
    Leaving,
}

impl Part {
    /// Its name, in `launcher status`.
    pub fn name(self) -> &'static str {
        match self {
            Part::Successor => "successor",
            Part::Canary => "canary",
            Part::Leaving => "leaving",
        }
    }
}

/// A generation beside the one that serves.
#[derive(Debug, Clone)]
pub(super) struct Beside {
    pub(super) service: Service,
    pub(super) part: Part,
    /// Its part, if it is to be a canary.
    pub(super) canary: Option<Percent>,
    /// Until then it is not asked to stop: it still gets what was on its way.
    linger: Option<Moment>,
    /// The service is being stopped.
    hastened: bool,
}

impl Beside {
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        [self.service.next_deadline(), self.linger].into_iter().flatten().min()
    }

    /// The service is to stop. One that leaves was asked already: it only gets less time for it.
    pub(super) fn stop(&mut self, now: Moment, cause: StopCause, actions: &mut Vec<Action>) {
        let first = !std::mem::replace(&mut self.hastened, true);
        if self.part != Part::Leaving || !first {
            return self.service.step(now, Event::StopRequested(cause), actions);
        }
        if self.linger.take().is_some() {
            self.service.step(now, Event::StopRequested(StopCause::Request), actions);
        }
        self.service.hasten(now);
    }
}

impl Fleet {
    /// The generation beside the one that serves, what it is, and its part of the connections if it is to have one.
    pub fn beside(&self, id: ServiceId) -> Option<(&Service, Part, Option<Percent>)> {
        let beside = self.members.get(id.0)?.beside.as_ref()?;
        Some((&beside.service, beside.part, beside.canary))
    }

    /// Whether a restart of this service begins beside the generation that serves.
    ///
    /// # Errors
    /// Why two generations of it cannot serve at once; also when there is no such service.
    pub fn overlaps(&self, id: ServiceId) -> Result<(), NoOverlap> {
        self.members.get(id.0).map_or(Err(NoOverlap::NoPort), Member::overlaps)
    }

    /// Whether a restart was asked for that only begins when the one that goes on is over.
    pub fn will_restart_again(&self, id: ServiceId) -> bool {
        self.members.get(id.0).is_some_and(|member| member.again.is_some())
    }

    /// Restarts a service, with all that it needs: beside the generation that serves, if one does and two can.
    pub(super) fn restart(&mut self, turn: &mut Turn, id: ServiceId, canary: Option<Percent>) {
        let rests = self.state(id).is_at_rest();
        self.start_with_stopped(turn, id);
        if rests {
            return; // it is on its way now
        }
        let member = &mut self.members[id.0];
        if !member.service.is_wanted() || (member.beside.is_none() && !member.service.can_be_followed()) {
            return self.pass(turn, id, Event::RestartRequested);
        }
        let Some(beside) = &mut member.beside else {
            return match member.overlaps() {
                Ok(()) => self.begin_successor(turn, id, canary),
                Err(why) => {
                    self.tell(turn, id, self.members[id.0].service.generation(), Transition::RestartsAlone(why));
                    self.pass(turn, id, Event::RestartRequested);
                }
            };
        };
        let comes_up = beside.part == Part::Successor && beside.service.is_wanted();
        if comes_up && !beside.service.may_run() {
            beside.canary = canary;
            return;
        }
        let since = beside.service.generation().max(member.service.generation());
        let first = member.again.replace(Again { canary, since }).is_none();
        if beside.part == Part::Canary {
            self.roll_back(turn, id);
        } else if first {
            self.tell(turn, id, since, Transition::RestartFollows);
        }
    }

    /// One that comes up would not get the port: it goes, and the service is stopped before it is started again.
    pub(super) fn on_port_not_kept(&mut self, turn: &mut Turn, id: ServiceId, name: String) {
        let Some(member) = self.members.get_mut(id.0) else { return };
        let shared =
            member.service.settings().ports.iter().any(|port| port.name == name && port.mode == PortMode::Share);
        member.alone.get_or_insert(if shared { NoOverlap::Exclusive(name) } else { NoOverlap::NotKept(name) });
        let comes_up = member.successor().is_some_and(|beside| beside.part == Part::Successor);
        let Some(beside) = member.beside.as_mut().filter(|_| comes_up) else { return };
        let since = beside.service.generation().max(member.service.generation());
        if beside.canary.is_some() {
            member.again = None;
            return self.roll_back(turn, id);
        }
        beside.part = Part::Leaving;
        member.again = Some(Again { canary: None, since });
        member.service.be_alone();
        self.stop_leaving(turn, id);
    }

    /// Starts another generation beside the one that serves.
    fn begin_successor(&mut self, turn: &mut Turn, id: ServiceId, canary: Option<Percent>) {
        let member = &mut self.members[id.0];
        let Some(old) = member.service.generation() else { return };
        let mut service = member.service.begin_successor();
        service.step(turn.now, Event::DependenciesReady, &mut turn.scratch);
        let new = service.generation();
        member.beside = Some(Beside { service, part: Part::Successor, canary, linger: None, hastened: false });
        let canary = canary.map(Percent::get);
        self.tell(turn, id, new, Transition::Restarting { beside: old, canary });
        turn.hand_over(id);
        turn.changed = true;
    }

    /// After anything has happened to a service: what becomes of the two generations.
    pub(super) fn settle(&mut self, turn: &mut Turn, id: ServiceId, before: State) {
        let member = &mut self.members[id.0];
        let serves = member.service.state() == State::Ready;
        let Some(beside) = &mut member.beside else {
            if serves && before != State::Ready {
                self.steer(turn, id);
            }
            return self.restart_again(turn, id);
        };
        let state = beside.service.state();
        match beside.part {
            _ if state.is_at_rest() => self.clear_beside(turn, id),
            Part::Leaving if beside.linger.is_some_and(|until| until <= turn.now) => self.stop_leaving(turn, id),
            Part::Leaving => {}
            _ if !beside.service.is_wanted() => {}
            _ if member.service.state().is_at_rest() => self.leave_alone(turn, id),
            _ if state != State::Ready => {}
            _ if beside.canary.is_none() => self.supersede(turn, id),
            Part::Successor => self.begin_canary(turn, id),
            Part::Canary => {}
        }
    }

    /// The new one is ready: it takes the place of the old one, which ends what it has begun.
    fn supersede(&mut self, turn: &mut Turn, id: ServiceId) {
        let member = &mut self.members[id.0];
        let Some(beside) = &mut member.beside else { return };
        std::mem::swap(&mut member.service, &mut beside.service);
        member.service.replace(&beside.service);
        let (old, by) = (beside.service.generation(), member.service.generation().unwrap_or(Generation(0)));
        let drain = member.service.settings().drain_timeout;
        self.tell(turn, id, old, Transition::Superseded { by, drain });
        self.let_leave(turn, id);
    }

    /// The one beside is not wanted any more.
    pub(super) fn let_leave(&mut self, turn: &mut Turn, id: ServiceId) {
        self.members[id.0].service.be_alone();
        let steers = self.members[id.0].service.settings().steers();
        if let Some(beside) = &mut self.members[id.0].beside {
            (beside.part, beside.canary) = (Part::Leaving, None);
            beside.service.leave();
            beside.linger = Some(if steers { turn.now + LINGER } else { turn.now });
        }
        self.steer(turn, id);
        turn.changed = true;
        self.settle(turn, id, State::Ready);
    }

    /// The service is to stop, as soon as nothing that comes after it runs: nothing new is begun until then.
    pub(super) fn forget_successor(&mut self, turn: &mut Turn, id: ServiceId) {
        let member = &mut self.members[id.0];
        member.again = None;
        let comes_up = member.successor().is_some();
        let Some(beside) = member.beside.as_mut().filter(|_| comes_up) else { return };
        if beside.part == Part::Canary {
            // It serves, and stops with the other one.
            return;
        }
        (beside.part, beside.canary) = (Part::Leaving, None);
        member.service.be_alone();
        self.stop_leaving(turn, id);
    }

    fn stop_leaving(&mut self, turn: &mut Turn, id: ServiceId) {
        if let Some(beside) = &mut self.members[id.0].beside {
            beside.linger = None;
            beside.service.step(turn.now, Event::StopRequested(StopCause::Request), &mut turn.scratch);
            turn.hand_over(id);
        }
        turn.changed = true;
        self.settle(turn, id, State::Ready);
    }

    /// The old one has ended by itself: the new one is the service, wherever it stands.
    fn leave_alone(&mut self, turn: &mut Turn, id: ServiceId) {
        let member = &mut self.members[id.0];
        let Some(beside) = member.beside.take() else { return };
        let old = std::mem::replace(&mut member.service, beside.service);
        member.service.replace(&old);
        let (new, after) = (member.service.generation(), old.generation().unwrap_or(Generation(0)));
        self.tell(turn, id, new, Transition::LeftAlone { after });
        turn.changed = true;
        self.settle(turn, id, State::Stopped);
    }

    /// Nothing is left of the one beside.
    fn clear_beside(&mut self, turn: &mut Turn, id: ServiceId) {
        let member = &mut self.members[id.0];
        let Some(beside) = member.beside.take() else { return };
        member.service.be_alone();
        if member.service.inherit_store(&beside.service) {
            turn.actions.push((id, Action::CloseDescriptors));
        }
        if std::mem::take(&mut member.farewell) && member.service.state().is_at_rest() {
            turn.actions.push((id, Action::Farewell));
        }
        let stays = member.service.generation().unwrap_or(Generation(0));
        if beside.part != Part::Leaving && beside.service.is_wanted() {
            let canary = beside.part == Part::Canary;
            self.tell(turn, id, beside.service.generation(), Transition::Removed { stays, canary });
        }
        turn.changed = true;
        if self.members[id.0].service.state() == State::Ready {
            self.steer(turn, id);
        }
        self.restart_again(turn, id);
    }

    /// It is set otherwise, so what comes up as it was set before is of no use: it goes, and a restart follows with what it
    /// is set to now.
    pub(super) fn begin_anew(&mut self, turn: &mut Turn, id: ServiceId) {
        let Some(beside) = self.members[id.0].successor() else { return };
        let since = beside.service.generation();
        if beside.canary.is_some() {
            return self.roll_back(turn, id);
        }
        let follows = !self.is_going_down();
        self.forget_successor(turn, id);
        self.members[id.0].again = Some(Again { canary: None, since }).filter(|_| follows);
        self.settle(turn, id, State::Ready);
    }

    /// Begins a restart that had to wait, when nothing is beside the one that serves.
    fn restart_again(&mut self, turn: &mut Turn, id: ServiceId) {
        let going_down = self.is_going_down();
        let member = &mut self.members[id.0];
        let Some(again) = member.again else { return };
        let state = member.service.state();
        if going_down || state.is_at_rest() || member.service.generation() > again.since {
            member.again = None;
        } else if state == State::Ready {
            member.again = None;
            self.restart(turn, id, again.canary);
        }
    }

    pub(super) fn steer(&self, turn: &mut Turn, id: ServiceId) {
        let member = &self.members[id.0];
        let Some(to) = member.service.generation().filter(|_| member.service.settings().steers()) else { return };
        let canary = member
            .beside
            .as_ref()
            .filter(|beside| beside.part == Part::Canary)
            .and_then(|beside| Some((beside.service.generation()?, beside.canary?.get())));
        turn.actions.push((id, Action::Steer { to, canary }));
    }

    pub(super) fn tell(&self, turn: &mut Turn, id: ServiceId, of: Option<Generation>, transition: Transition) {
        turn.actions.push((id, Action::Tell(of.unwrap_or(Generation(0)), transition)));
    }
}
