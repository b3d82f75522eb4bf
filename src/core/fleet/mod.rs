//! Several services: started in order, stopped in reverse, and one exit code for all.

mod ask;
mod canary;
mod ending;
mod failure;
mod member;
mod order;
mod overlap;
#[cfg(test)]
mod overlap_tests;
mod renew;
mod stop;
#[cfg(test)]
pub(in crate::core) mod tests;

pub use canary::{NoCanary, Percent};
pub use order::OrderError;
pub use overlap::Part;
pub use renew::Renewal;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::service::{Action, Event, Outcome, Service, State, StopCause};
use super::settings::{Settings, Until};
use super::signal::Signal;
use super::time::Moment;

use member::Member;
use member::Stop;
use order::Order;
use stop::GoingDown;

/// A service by its place in [`Settings::services`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub usize);

/// Something that happened to the launcher or to one of its services.
#[derive(Debug, Clone, PartialEq)]
pub enum FleetEvent {
    /// It happened to this service.
    Service(ServiceId, Event),
    /// The launcher begins: every selected service is wanted.
    StartAll,
    /// launcher.toml has changed, and [`Fleet::take_in`] has taken that in: these services are concerned.
    Renewed(Vec<(ServiceId, Renewal)>),
    /// This service is to be started anew beside the generation that serves, and get so many percent of the new connections
    /// until it is promoted or rolled back. Nothing happens when [`Fleet::can_have_canary`] says no.
    CanaryRequested(ServiceId, Percent),
    /// The canary of this service is to take the place of the generation that serves.
    PromoteRequested(ServiceId),
    /// The generation that was started beside the one that serves is to go; the one that serves stays.
    RollbackRequested(ServiceId),
    /// The port of this name of this service is to be kept open for two generations, and cannot be.
    PortNotKept(ServiceId, String),
    /// The launcher is to end. A second request cuts short what the first still waits for, a third kills.
    StopRequested(StopCause),
    /// The process that started the launcher has ended, and the launcher is to end with it: as on TERM, unless it does already.
    ParentEnded,
    /// The launcher was sent a signal that is for its services.
    SignalReceived(Signal),
    /// Time has passed: [`Fleet::next_deadline`] has come.
    TimePassed,
}

/// All services of one launcher.
#[derive(Debug, Clone)]
pub struct Fleet {
    order: Order,
    members: Vec<Member>,
    stop_budget: Duration,
    /// What the launcher ends with in place of a code with which a program ended.
    exit_codes: BTreeMap<u8, u8>,
    /// There is one command, without a file: when it ends, the launcher does.
    single_command: bool,
    started: bool,
    going_down: Option<GoingDown>,
    /// The stop budget is used up: whatever is left is left.
    expired: bool,
    /// How services ended, in the order in which they did; one that was started again is not in it.
    ended: Vec<(ServiceId, Outcome)>,
    /// Services that are started again when their files change, so that nothing is over while one of them rests.
    revived: Vec<ServiceId>,
    /// A service has failed for good, and its `on_failure` does not keep the others: once nothing is left that they are
    /// there for, all are stopped.
    failed_for_good: Option<ServiceId>,
}

impl Fleet {
    /// All these services; none is started yet. `seed` decides what is left to chance in their backoffs.
    ///
    /// # Errors
    /// When `after` names services that there are not, or leads round in a circle.
    pub fn new(settings: &Settings, seed: u64) -> Result<Fleet, OrderError> {
        let order = Order::of(&settings.services)?;
        let seeds = (0..).map(|index: u64| seed ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let service = |(settings, seed)| Member::new(Service::new(Arc::new(Clone::clone(settings)), seed));
        let members = settings.services.iter().zip(seeds).map(service);
        Ok(Fleet {
            order,
            members: members.collect(),
            stop_budget: settings.launcher.stop_budget,
            exit_codes: settings.launcher.map_exit.clone(),
            single_command: settings.single_command,
            started: false,
            going_down: None,
            expired: false,
            ended: Vec::new(),
            revived: Vec::new(),
            failed_for_good: None,
        })
    }

    /// Only these services, and what they need, are started by [`FleetEvent::StartAll`].
    ///
    /// # Errors
    /// When there is no service of one of these names.
    pub fn only<S: AsRef<str>>(&mut self, names: &[S]) -> Result<(), OrderError> {
        let find = |name: &S| self.find(name.as_ref()).ok_or(OrderError::UnknownService(name.as_ref().to_owned()));
        let wanted = names.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        for (member, needed) in self.members.iter_mut().zip(self.order.needed_by(&wanted)) {
            member.selected = needed;
        }
        Ok(())
    }

    /// The service of this name.
    pub fn find(&self, name: &str) -> Option<ServiceId> {
        self.services().find(|(_, service)| service.settings().name == name).map(|(id, _)| id)
    }

    /// One service; `None` when there is none of this number.
    pub fn service(&self, id: ServiceId) -> Option<&Service> {
        self.members.get(id.0).map(|member| &member.service)
    }

    /// All services, in the order in which they were written or came to it later. One that was removed is among them until
    /// nothing of it runs.
    pub fn services(&self) -> impl Iterator<Item = (ServiceId, &Service)> {
        let members = self.members.iter().enumerate().filter(|(_, member)| !member.is_gone());
        members.map(|(index, member)| (ServiceId(index), &member.service))
    }

    /// The services that are started with the launcher: all, or those selected and what they need.
    pub fn wanted(&self) -> impl Iterator<Item = (ServiceId, &Service)> {
        self.services().filter(|(id, _)| self.members[id.0].selected)
    }

    /// What a service comes after, and until when it waits for each of them.
    pub fn needs(&self, id: ServiceId) -> impl Iterator<Item = (ServiceId, Until)> {
        self.order.needs(id)
    }

    /// What a service still waits for, by name, and until when.
    pub fn unmet(&self, id: ServiceId) -> impl Iterator<Item = (&str, Until)> {
        let unmet = self.order.needs(id).filter(|(after, until)| !self.is_met(*after, *until));
        unmet.map(|(after, until)| (self.members[after.0].service.settings().name.as_str(), until))
    }

    /// When the launcher ends at the latest, once all services are being stopped.
    pub fn end_of_stop(&self) -> Option<Moment> {
        self.going_down.map(|down| down.end)
    }

    /// Takes in what happened and appends what is to be done for which service, to be performed in that order.
    pub fn step(&mut self, now: Moment, event: FleetEvent, actions: &mut Vec<(ServiceId, Action)>) {
        let mut turn = Turn { now, actions, scratch: Vec::new(), changed: false };
        match event {
            FleetEvent::Service(id, event) => self.on_service(&mut turn, id, event),
            FleetEvent::CanaryRequested(id, percent) => self.on_canary_requested(&mut turn, id, percent),
            FleetEvent::PromoteRequested(id) => self.on_promote_requested(&mut turn, id),
            FleetEvent::RollbackRequested(id) => self.on_rollback_requested(&mut turn, id),
            FleetEvent::PortNotKept(id, name) => self.on_port_not_kept(&mut turn, id, name),
            FleetEvent::StartAll => self.on_start_all(&mut turn),
            FleetEvent::StopRequested(cause) => self.on_stop_requested(&mut turn, cause),
            FleetEvent::ParentEnded => self.on_parent_ended(&mut turn),
            FleetEvent::Renewed(renewals) => self.on_renewed(&mut turn, renewals),
            FleetEvent::SignalReceived(signal) => self.on_signal_received(&mut turn, signal),
            FleetEvent::TimePassed => self.on_time_passed(&mut turn),
        }
        while std::mem::take(&mut turn.changed) {
            self.advance(&mut turn);
        }
    }

    /// When [`FleetEvent::TimePassed`] is to come next.
    pub fn next_deadline(&self) -> Option<Moment> {
        if self.expired || self.is_at_rest() {
            return None;
        }
        let own = self.going_down.map(|down| down.end);
        self.members.iter().fold(own, |first, member| Moment::first(first, member.next_deadline()))
    }

    /// Whether the stop budget is used up: the launcher ends now, whatever still runs.
    pub fn is_out_of_time(&self) -> bool {
        self.expired
    }

    /// Whether all services are being stopped.
    pub fn is_going_down(&self) -> bool {
        self.going_down.is_some()
    }

    fn is_at_rest(&self) -> bool {
        self.members.iter().all(Member::is_at_rest)
    }

    fn ids(&self) -> impl Iterator<Item = ServiceId> + use<> {
        (0..self.members.len()).map(ServiceId)
    }

    fn state(&self, id: ServiceId) -> State {
        self.members[id.0].service.state()
    }

    fn may_run(&self, id: ServiceId) -> bool {
        self.members[id.0].may_run()
    }

    /// One event of one service. What people ask for concerns others, too: a service is started with all that it needs,
    /// and stopped after all that need it. While all go down nobody can have one started.
    fn on_service(&mut self, turn: &mut Turn, id: ServiceId, event: Event) {
        if id.0 >= self.members.len() {
            return;
        }
        match event {
            Event::StartRequested | Event::RestartRequested
                if self.going_down.is_some() || self.members[id.0].removed => {}
            Event::StartRequested => self.start_with_stopped(turn, id),
            Event::RestartRequested => self.restart(turn, id, None),
            Event::StopRequested(cause) if self.members[id.0].stop != Stop::Told => {
                for above in flagged(self.order.needing(id)) {
                    self.members[above.0].stopped_for = None;
                    self.ask_to_stop(turn, above, if above == id { cause } else { StopCause::Request });
                }
            }
            event => self.pass(turn, id, event),
        }
    }

    fn on_start_all(&mut self, turn: &mut Turn) {
        self.started = true;
        if self.going_down.is_some() {
            return;
        }
        let selected: Vec<_> = self.ids().filter(|id| self.members[id.0].selected).collect();
        self.start(turn, &selected);
    }

    fn on_signal_received(&mut self, turn: &mut Turn, signal: Signal) {
        for id in self.ids() {
            self.pass(turn, id, Event::SignalReceived(signal));
        }
    }

    fn on_time_passed(&mut self, turn: &mut Turn) {
        for id in self.ids() {
            if self.members[id.0].next_deadline().is_some_and(|at| at <= turn.now) {
                self.pass(turn, id, Event::TimePassed);
            }
        }
        self.expired |= self.going_down.is_some_and(|down| down.end <= turn.now);
    }

    /// Wants these services and what they need, but for tasks that are done. A stop that was asked for, but not yet
    /// told, is taken back.
    fn start(&mut self, turn: &mut Turn, ids: &[ServiceId]) {
        for id in flagged(self.order.needed_by(ids)) {
            let member = &mut self.members[id.0];
            member.stop = Stop::No;
            member.stopped_for = None;
            if ids.contains(&id) || !member.service.has_completed() {
                self.pass(turn, id, Event::StartRequested);
            }
        }
    }

    /// After something has changed: tells what may start, or stop, now.
    fn advance(&mut self, turn: &mut Turn) {
        self.spread_failures(turn);
        if self.going_down.is_none() {
            self.start_what_can(turn);
            self.give_up_waiting(turn);
        }
        self.stop_what_can(turn);
    }

    /// A service starts when all that it comes after serve, or have ended.
    fn start_what_can(&mut self, turn: &mut Turn) {
        for id in self.ids().filter(|id| self.members[id.0].service.waits_for_others()).collect::<Vec<_>>() {
            if self.order.needs(id).all(|(after, until)| self.is_met(after, until)) {
                self.pass(turn, id, Event::DependenciesReady);
            }
        }
    }

    /// Whether this service has come as far as it is waited for.
    fn is_met(&self, after: ServiceId, until: Until) -> bool {
        let service = &self.members[after.0].service;
        match until {
            Until::Ready => service.serves(),
            Until::Exited => service.has_completed(),
        }
    }

    /// Lets a service take in an event, and notes what became of it.
    fn pass(&mut self, turn: &mut Turn, id: ServiceId, event: Event) {
        let before = self.members[id.0].standing();
        self.members[id.0].take_in(turn.now, event, &mut turn.scratch);
        if self.members[id.0].beside.is_some() {
            // Not while something of it is left.
            self.members[id.0].farewell |= turn.scratch.extract_if(.., |one| *one == Action::Farewell).count() > 0;
        }
        turn.hand_over(id);
        self.settle(turn, id, before.0);
        if before == self.members[id.0].standing() {
            return;
        }
        turn.changed = true;
        self.ended.retain(|(ended, _)| *ended != id);
        // How one ends that was removed is nobody's exit code.
        let outcome = self.members[id.0].service.outcome().filter(|_| !self.members[id.0].removed);
        self.ended.extend(outcome.map(|outcome| (id, outcome)));
    }
}

/// The services whose flag is set.
fn flagged(flags: Vec<bool>) -> impl Iterator<Item = ServiceId> {
    flags.into_iter().enumerate().filter(|(_, flag)| *flag).map(|(index, _)| ServiceId(index))
}

/// One call of [`Fleet::step`].
struct Turn<'a> {
    now: Moment,
    actions: &'a mut Vec<(ServiceId, Action)>,
    /// What one service wants done.
    scratch: Vec<Action>,
    /// A service is in another state, so others may be able to go on.
    changed: bool,
}

impl Turn<'_> {
    /// What was wanted done last, for this service.
    fn hand_over(&mut self, id: ServiceId) {
        self.actions.extend(self.scratch.drain(..).map(|action| (id, action)));
    }
}
