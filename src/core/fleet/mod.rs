//! Several services: started in order, stopped in reverse, and one exit code for all.

mod order;
#[cfg(test)]
mod tests;

pub use order::OrderError;

use std::sync::Arc;
use std::time::Duration;

use super::service::{Action, Event, Outcome, OutcomeCause, Service, State, StopCause};
use super::settings::Settings;
use super::signal::Signal;
use super::time::Moment;

use order::Order;

/// What SIGKILL, the reaping and the launcher's own end take of the stop budget, at most.
const LAST_MARGIN: Duration = Duration::from_millis(250);

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
    /// The launcher is to end. A second request cuts short what the first still waits for, a third kills.
    StopRequested(StopCause),
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
    started: bool,
    going_down: Option<GoingDown>,
    /// The stop budget is used up: whatever is left is left.
    expired: bool,
    /// How services ended, in the order in which they did; one that was started again is not in it.
    ended: Vec<(ServiceId, Outcome)>,
}

/// One service, and what the fleet knows of it.
#[derive(Debug, Clone)]
struct Member {
    service: Service,
    /// It is wanted when the launcher begins.
    selected: bool,
    stop: Stop,
}

/// How it stands with the stop of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Nobody asked for it.
    No,
    /// It is to stop when nothing that comes after it runs any more.
    Asked(StopCause),
    /// It was told to.
    Told,
}

/// All services are being stopped.
#[derive(Debug, Clone, Copy)]
struct GoingDown {
    /// How often that was asked for by a person; 0 when a service could never be started.
    requests: u32,
    /// What runs then is killed: each service has its own deadline for that, no later than this one.
    kill: Moment,
    /// Then the launcher ends, whatever still runs.
    end: Moment,
}

impl Fleet {
    /// All these services; none is started yet. `seed` decides what is left to chance in their backoffs.
    ///
    /// # Errors
    /// When `after` names services that there are not, or leads round in a circle.
    pub fn new(settings: &Settings, seed: u64) -> Result<Fleet, OrderError> {
        let order = Order::of(&settings.services)?;
        let seeds = (0..).map(|index: u64| seed ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let members = settings.services.iter().zip(seeds).map(|(settings, seed)| Member {
            service: Service::new(Arc::new(settings.clone()), seed),
            selected: true,
            stop: Stop::No,
        });
        Ok(Fleet {
            order,
            members: members.collect(),
            stop_budget: settings.launcher.stop_budget,
            started: false,
            going_down: None,
            expired: false,
            ended: Vec::new(),
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
        self.members.iter().position(|member| member.service.settings().name == name).map(ServiceId)
    }

    /// One service; `None` when there is none of this number.
    pub fn service(&self, id: ServiceId) -> Option<&Service> {
        self.members.get(id.0).map(|member| &member.service)
    }

    /// All services, in the order in which they were written.
    pub fn services(&self) -> impl Iterator<Item = (ServiceId, &Service)> {
        self.members.iter().enumerate().map(|(index, member)| (ServiceId(index), &member.service))
    }

    /// Takes in what happened and appends what is to be done for which service, to be performed in that order.
    pub fn step(&mut self, now: Moment, event: FleetEvent, actions: &mut Vec<(ServiceId, Action)>) {
        let mut turn = Turn { now, actions, scratch: Vec::new(), changed: false };
        match event {
            FleetEvent::Service(id, event) => self.on_service(&mut turn, id, event),
            FleetEvent::StartAll => self.on_start_all(&mut turn),
            FleetEvent::StopRequested(cause) => self.on_stop_requested(&mut turn, cause),
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
        self.members.iter().filter_map(|member| member.service.next_deadline()).chain(own).min()
    }

    /// With which code the launcher ends, as soon as it can: when all services are at rest, or the stop budget is used
    /// up. The first service that failed decides; when none did, the first that ended with another code than 0.
    pub fn exit_code(&self) -> Option<i32> {
        let over = self.started && (self.expired || self.is_at_rest());
        let failed = |outcome: &&Outcome| matches!(outcome.cause, OutcomeCause::Failed(_));
        let mut outcomes = self.ended.iter().map(|(_, outcome)| outcome);
        let decisive = outcomes.clone().find(failed).or_else(|| outcomes.find(|outcome| outcome.code != 0));
        let killed = 128 + Signal::KILL.number();
        let otherwise = if self.is_at_rest() { 0 } else { killed };
        over.then(|| decisive.map_or(otherwise, |outcome| outcome.code))
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
        self.members.iter().all(|member| member.service.state().is_at_rest())
    }

    fn ids(&self) -> impl Iterator<Item = ServiceId> + use<> {
        (0..self.members.len()).map(ServiceId)
    }

    fn state(&self, id: ServiceId) -> State {
        self.members[id.0].service.state()
    }

    fn may_run(&self, id: ServiceId) -> bool {
        self.members[id.0].service.may_run()
    }

    /// One event of one service. What people ask for concerns others, too: a service is started with all that it needs,
    /// and stopped after all that need it. While all go down nobody can have one started.
    fn on_service(&mut self, turn: &mut Turn, id: ServiceId, event: Event) {
        if id.0 >= self.members.len() {
            return;
        }
        match event {
            Event::StartRequested | Event::RestartRequested if self.going_down.is_some() => {}
            Event::StartRequested => self.start(turn, &[id]),
            Event::RestartRequested => {
                self.start(turn, &self.order.after[id.0].clone());
                self.members[id.0].stop = Stop::No;
                self.pass(turn, id, event);
            }
            Event::StopRequested(cause) if self.members[id.0].stop != Stop::Told => {
                for above in flagged(self.order.needing(id)) {
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

    /// The first request begins to stop all, the last first. A second one reaches those that have been told already,
    /// and whoever is told after it is given no time to become ready. A third one kills all.
    fn on_stop_requested(&mut self, turn: &mut Turn, cause: StopCause) {
        self.started = true;
        self.go_down(turn, cause);
        let Some(down) = &mut self.going_down else { return };
        down.requests = down.requests.saturating_add(1);
        match down.requests {
            1 => {}
            2 => self.hurry(turn, cause),
            _ => self.kill_all(turn),
        }
    }

    fn on_signal_received(&mut self, turn: &mut Turn, signal: Signal) {
        for id in self.ids() {
            self.pass(turn, id, Event::SignalReceived(signal));
        }
    }

    fn on_time_passed(&mut self, turn: &mut Turn) {
        for id in self.ids() {
            if self.members[id.0].service.next_deadline().is_some_and(|at| at <= turn.now) {
                self.pass(turn, id, Event::TimePassed);
            }
        }
        self.expired |= self.going_down.is_some_and(|down| down.end <= turn.now);
    }

    /// Wants these services and what they need. A stop that was asked for, but not yet told, is taken back.
    fn start(&mut self, turn: &mut Turn, ids: &[ServiceId]) {
        for id in flagged(self.order.needed_by(ids)) {
            self.members[id.0].stop = Stop::No;
            self.pass(turn, id, Event::StartRequested);
        }
    }

    /// Begins to stop all: the budget runs from here.
    fn go_down(&mut self, turn: &mut Turn, cause: StopCause) {
        if self.going_down.is_some() {
            return;
        }
        let kill = turn.now + (self.stop_budget - (self.stop_budget / 10).min(LAST_MARGIN));
        self.going_down = Some(GoingDown { requests: 0, kill, end: turn.now + self.stop_budget });
        for id in self.ids() {
            // One that was told to stop before has to keep the budget from now on, too.
            self.ask_to_stop(turn, id, cause);
            self.members[id.0].service.limit_stop(turn.now, kill);
        }
    }

    fn ask_to_stop(&mut self, turn: &mut Turn, id: ServiceId, cause: StopCause) {
        let stop = &mut self.members[id.0].stop;
        if *stop == Stop::No {
            *stop = Stop::Asked(cause);
            turn.changed = true;
        }
    }

    fn hurry(&mut self, turn: &mut Turn, cause: StopCause) {
        for id in self.ids() {
            match &mut self.members[id.0].stop {
                Stop::Told => self.pass(turn, id, Event::StopRequested(cause)),
                stop => *stop = Stop::Asked(StopCause::Request),
            }
        }
    }

    fn kill_all(&mut self, turn: &mut Turn) {
        for id in self.ids() {
            self.members[id.0].stop = Stop::Told;
            self.pass(turn, id, Event::KillRequested);
        }
    }

    /// After something has changed: tells what may start, or stop, now.
    fn advance(&mut self, turn: &mut Turn) {
        if self.going_down.is_none() {
            self.start_what_can(turn);
        }
        self.stop_what_can(turn);
    }

    /// A service starts when all that it comes after serve. When one of them has failed for good it never can: then all
    /// are stopped, and that failure is the launcher's.
    fn start_what_can(&mut self, turn: &mut Turn) {
        for id in self.ids().filter(|id| self.state(*id) == State::Waiting).collect::<Vec<_>>() {
            if self.order.after[id.0].iter().any(|after| self.state(*after) == State::Failed) {
                return self.go_down(turn, StopCause::Request);
            }
            if self.order.after[id.0].iter().all(|after| self.members[after.0].service.serves()) {
                self.pass(turn, id, Event::DependenciesReady);
            }
        }
    }

    /// A service stops when nothing that comes after it runs; one of which nothing runs, at once, so that it is not
    /// started again.
    fn stop_what_can(&mut self, turn: &mut Turn) {
        for id in self.ids() {
            let Stop::Asked(cause) = self.members[id.0].stop else { continue };
            let runs_above = self.order.before[id.0].iter().any(|before| self.may_run(*before));
            if !self.may_run(id) || !runs_above {
                self.share_budget(turn.now, id);
                self.members[id.0].stop = Stop::Told;
                self.pass(turn, id, Event::StopRequested(cause));
            }
        }
    }

    /// What is left of the stop budget is shared by the services that stand one after the other: what one does not use
    /// is the next one's.
    fn share_budget(&mut self, now: Moment, id: ServiceId) {
        let Some(GoingDown { kill, .. }) = self.going_down else { return };
        let depth = self.order.depth(id, &|id| self.may_run(id)).max(1);
        self.members[id.0].service.limit_stop(now, now + kill.since(now) / depth);
    }

    /// Lets a service take in an event, and notes what became of it.
    fn pass(&mut self, turn: &mut Turn, id: ServiceId, event: Event) {
        let service = &mut self.members[id.0].service;
        let before = (service.state(), service.serves(), service.may_run());
        service.step(turn.now, event, &mut turn.scratch);
        turn.actions.extend(turn.scratch.drain(..).map(|action| (id, action)));
        if before == (service.state(), service.serves(), service.may_run()) {
            return;
        }
        turn.changed = true;
        self.ended.retain(|(ended, _)| *ended != id);
        self.ended.extend(service.outcome().map(|outcome| (id, outcome)));
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
