//! The judge of one service: sees every event and every action, keeps its own books, and knows the rules of DESIGN §10.
//! It shares no code with the state machine.

use std::sync::Arc;
use std::time::Duration;

use launcher::core::exit::Ending;
use launcher::core::service::{Action, Event, Service, State, Transition};
use launcher::core::settings::{BreakerSettings, Ready, ServiceSettings, SignalHoldUntil};
use launcher::core::signal::Signal;
use launcher::core::time::Moment;

use crate::coverage::Coverage;
use crate::generation::Generation;
use crate::step::Step;

/// How long a report may be waited for.
pub const REPORT: Duration = Duration::from_secs(4);
/// What late timers may add.
pub const SLACK: Duration = Duration::from_millis(30);

pub type Judged = Result<(), String>;

pub fn require(holds: bool, rule: &str) -> Judged {
    if holds { Ok(()) } else { Err(rule.to_owned()) }
}

/// The books on one service.
pub struct Watch {
    pub(crate) settings: Arc<ServiceSettings>,
    /// How the next generation is set.
    pub(crate) next: Option<Arc<ServiceSettings>>,
    /// It was set otherwise in this step.
    pub(crate) renewed: bool,
    /// The breaker that it has: another one is only for the next generation.
    pub(crate) breaker: Option<BreakerSettings>,
    /// It was at rest then: what is to be done when it comes to rest was not to be done.
    pub(crate) renewed_at_rest: bool,
    pub(crate) last: u64,
    pub(crate) state: State,
    pub(crate) live: Option<Generation>,
    /// What was told to be held, in order; the flag tells a stop request.
    pub(crate) held: Vec<(Signal, bool)>,
    pub(crate) open_until: Option<Moment>,
    /// Stop requests since it was last wanted, and since when.
    pub(crate) stops: Option<(u32, Moment)>,
    /// Descriptors of it are kept.
    pub(crate) stores: bool,
    /// The generation after which `on_stop` was done.
    pub(crate) left: u64,
    /// Another generation serves in its place.
    pub(crate) leaves: bool,
    /// How long a stop request waits that came before it was set otherwise.
    pub(crate) hold_limit: Option<Duration>,
}

impl Watch {
    pub fn new(settings: Arc<ServiceSettings>) -> Watch {
        Watch {
            breaker: settings.restart.breaker,
            settings,
            next: None,
            renewed: false,
            renewed_at_rest: false,
            last: 0,
            state: State::Stopped,
            live: None,
            held: vec![],
            open_until: None,
            stops: None,
            stores: false,
            left: 0,
            leaves: false,
            hold_limit: None,
        }
    }

    pub fn is_at_rest(&self) -> bool {
        self.state.is_at_rest()
    }

    /// Judges a step in which nothing happened to this service. False when it was set otherwise in it: that is more.
    pub fn pass_time(&mut self, now: Moment, after: &Service) -> Result<bool, String> {
        if self.renewed {
            return Ok(false);
        }
        self.judge_times(&Step { now, event: None, before: self.state, actions: &[] })?;
        require(after.state() == self.state, "the state is not what was told")?;
        require(!self.state.is_at_rest() || after.next_deadline().is_none(), "a deadline is left at rest")?;
        Ok(true)
    }

    /// Judges one step, event by event and action by action.
    #[allow(clippy::too_many_arguments)]
    pub fn observe(
        &mut self,
        now: Moment,
        event: Option<&Event>,
        genuine: bool,
        actions: &[&Action],
        after: Option<&Service>,
        sole: bool,
        coverage: &mut Coverage,
    ) -> Judged {
        let before = self.state;
        let step = Step { now, event, before, actions };
        if let Some(event) = event {
            let of_live = event.generation().is_none_or(|of| self.live.as_ref().is_some_and(|g| g.number == of.0));
            if of_live && genuine {
                let kind = event.kind();
                if !before.can_meet(kind) {
                    return Err(format!("{kind:?} was met in {before:?}"));
                }
                coverage.0[before as usize][kind as usize] += 1;
            }
            self.count_stops(&step);
            if of_live {
                self.take_in(&step);
            } else {
                require(actions.is_empty(), "a late event of another generation had an effect")?;
            }
        }
        for action in actions {
            self.judge(&step, action).map_err(|rule| format!("{action:?}: {rule}"))?;
        }
        self.judge_signals(&step)?;
        self.judge_times(&step)?;
        require(after.is_none_or(|after| after.state() == self.state), "the state is not what was told")?;
        self.renewed = false;
        if let Some(live) = &self.live {
            require(live.reports == u32::from(live.failed), "a failed generation has one report, another none")?;
        }
        if self.state.is_at_rest() {
            require(after.is_none_or(|after| after.next_deadline().is_none()), "a deadline is left at rest")?;
            let ended = after.is_none_or(|after| after.outcome().is_some());
            require(self.last == 0 || ended, "it is at rest without an outcome")?;
            self.held.clear();
            self.stops = None;
            require(!self.stores || !sole, "what was stored is closed at rest")?;
            let left = self.settings.on_stop.is_none() || self.left == self.last || self.renewed_at_rest || !sole;
            require(left, "on_stop is done at rest")?;
            if self.settings.on_stop.is_none() && sole {
                self.left = self.last;
            }
        }
        Ok(())
    }

    fn count_stops(&mut self, step: &Step) {
        match step.event {
            Some(Event::StopRequested(_)) if !step.before.is_at_rest() => {
                let (count, since) = self.stops.unwrap_or((0, step.now));
                self.stops = Some((count + 1, since));
            }
            Some(Event::StartRequested | Event::RestartRequested) => {
                self.stops = None;
                self.held.retain(|(_, stop)| !stop);
            }
            _ => {}
        }
    }

    /// Books what an event of the live generation says.
    fn take_in(&mut self, step: &Step) {
        let settings = &self.settings;
        let hold_pending = self.held.iter().any(|(_, stop)| *stop);
        // When a held stop request comes to its end first, the stop begins and a deadline does not matter any more.
        let stops = |action: &Action| matches!(action, Action::Tell(_, Transition::State { to: State::Stopping, .. }));
        let excused = hold_pending && step.has(stops) && !step.has(|action| matches!(action, Action::Explain { .. }));
        let Some(live) = &mut self.live else { return };
        match step.event {
            Some(Event::PreflightPassed(_)) if step.before == State::Checking => live.passed = Some(step.now),
            Some(Event::RequirementTried(_, index, outcome)) => live.tried(step.now, *index, outcome.is_ok(), settings),
            Some(Event::PreflightFailed(..)) if live.passed.is_none() && live.gone.is_none() => {
                live.gone = Some(step.now);
                live.failed = true;
            }
            Some(Event::Spawned(..)) if live.spawn && live.gone.is_none() => live.spawned = true,
            Some(Event::SpawnFailed(..)) if live.spawn && !live.spawned && live.gone.is_none() => {
                live.gone = Some(step.now);
                live.failed |= !live.killed;
            }
            Some(Event::Exited(_, ending)) if !live.exited && live.gone.is_none() => {
                live.exited = true;
                if !live.down {
                    let success = matches!(ending, Ending::Code(code) if settings.restart.success_codes.contains(code));
                    live.failed |= !(success && (live.ready || settings.ready == Ready::Exited));
                    live.resting = true;
                }
            }
            Some(Event::Emptied(_)) if live.spawn && live.gone.is_none() => {
                live.gone = Some(step.now);
                live.failed |= !live.exited && !live.down;
            }
            Some(Event::TimePassed) => {
                live.require(step.now, settings);
                let missed = |deadline: Option<Moment>| deadline.is_some_and(|deadline| deadline <= step.now);
                let up = live.up() && !excused;
                // A stop budget that ends at the same time comes first or not: either is right.
                let up = up && !step.has(|action| matches!(action, Action::Kill(_)));
                if up {
                    live.miss_start(step.now, settings);
                }
                live.failed |= up && live.ready && missed(live.watchdog);
            }
            Some(Event::Progressed(..)) if live.looked_at => live.got_on = Some(step.now),
            Some(Event::Notified(_, sender, message)) if live.hears(*sender) => {
                live.listen_to(step.now, message, excused);
            }
            _ => {}
        }
    }

    /// Judges and books one action.
    fn judge(&mut self, step: &Step, action: &Action) -> Judged {
        let now = step.now;
        if let Action::Check(generation) = action {
            return self.judge_check(step, generation.0);
        }
        if let Action::Tell(_, transition) = action {
            return self.judge_told(step, transition);
        }
        if *action == Action::CloseDescriptors {
            return require(std::mem::take(&mut self.stores), "nothing was stored");
        }
        if *action == Action::Farewell {
            let over = self.live.as_ref().is_none_or(|live| !live.spawn || live.gone.is_some());
            require(over, "something of it is left")?;
            return require(std::mem::replace(&mut self.left, self.last) != self.last, "on_stop is done once");
        }
        let live = self.live.as_mut().ok_or("there is no live generation")?;
        match action {
            Action::Spawn { generation, .. } => {
                require(generation.0 == live.number && live.passed.is_some() && !live.spawn, "nothing to spawn")?;
                require(live.met.len() == self.settings.requirements.len(), "a requirement is not met")?;
                require(live.gone.is_none(), "it has failed already")?;
                require(self.open_until.is_none(), "an open breaker never spawns")?;
                live.spawn = true;
                live.start_deadline = Some(now + self.settings.start_timeout);
                live.spawned_at = Some(now);
                live.period = self.settings.watchdog;
            }
            Action::Try { requirement, limit, .. } => {
                require(live.passed.is_some() && !live.spawn && live.gone.is_none(), "nothing to wait for")?;
                require(!live.met.contains(requirement) && !limit.is_zero(), "it has answered")?;
                require(live.tries.insert(*requirement), "it is being tried")?;
                live.requiring = true;
            }
            Action::StopTrying(_) => {
                require(std::mem::take(&mut live.requiring), "nothing was tried")?;
                live.tries.clear();
            }
            Action::Probe(_) => {
                require(live.runs() && !live.probed, "nothing to probe")?;
                live.probing = true;
                live.probed = true;
            }
            Action::WatchHandlers(_) => {
                require(live.runs() && !live.ready, "no handlers to look for")?;
                live.probing = true;
            }
            Action::WatchProgress(_) => {
                require(live.runs() && !live.ready && !live.looked_at, "nobody cares whether it gets on")?;
                require(self.settings.extend_while_progressing.is_some(), "its deadline does not move")?;
                (live.probing, live.looked_at) = (true, true);
            }
            Action::StopProbing(_) => {
                live.looked_at = false;
                require(std::mem::take(&mut live.probing), "nothing was probed")?;
            }
            Action::ReleasePorts(_) => {
                require(!std::mem::replace(&mut live.ports_released, true), "ports are released once")?;
            }
            Action::Signal(..) | Action::Stop(..) | Action::HangUp(..) => {
                require(live.runs() && !live.killed, "there is no main process")?
            }
            Action::FollowMain(_, pid) => require(live.runs() && step.names_main(*pid), "no such main process")?,
            Action::SignalRest(..) => require(live.exited && !live.killed, "the main process is there")?,
            Action::Kill(_) => {
                require(live.spawn && live.gone.is_none(), "nothing to kill")?;
                require(!std::mem::replace(&mut live.killed, true), "it is killed once")?;
            }
            Action::Explain { .. } => {
                live.reports += 1;
                live.down = true;
            }
            Action::StoreDescriptors { .. } => {
                require(live.spawn && step.sends_descriptors(), "nothing to store")?;
                self.stores = true;
            }
            Action::ForgetDescriptors(..) => require(self.stores, "nothing was stored")?,
            Action::Steer { .. } | Action::Farewell => {}
            Action::Check(_) | Action::Tell(..) | Action::CloseDescriptors => {}
        }
        Ok(())
    }

    fn judge_check(&mut self, step: &Step, number: u64) -> Judged {
        require(number > self.last, "generation numbers never repeat")?;
        self.last = number;
        self.renewed_at_rest = false;
        let open = self.open_until.is_some();
        if let Some(until) = self.open_until.take() {
            let asked = self.renewed || matches!(step.event, Some(Event::RestartRequested));
            require(asked || step.now >= until, "an open breaker waits for its cooldown")?;
        }
        self.close()?;
        if let Some(next) = self.next.take() {
            self.settings = next;
        }
        // Another breaker has not opened yet.
        let trial = open && self.breaker == self.settings.restart.breaker;
        self.breaker = self.settings.restart.breaker;
        let access = self.settings.notify.access;
        self.live = Some(Generation { number, trial, access, ..Generation::default() });
        Ok(())
    }

    /// The books on a generation are closed: it is over.
    fn close(&mut self) -> Judged {
        let Some(live) = self.live.take() else { return Ok(()) };
        require(!live.spawn || live.gone.is_some(), "at most one generation lives")?;
        require(live.ports_released, "the ports of a generation are released")?;
        require(!live.probing && !live.requiring, "what was probed is left")?;
        require(live.reports == u32::from(live.failed), "a failed generation has one report, another none")
    }

    fn judge_told(&mut self, step: &Step, transition: &Transition) -> Judged {
        match transition {
            Transition::State { from, to, .. } => return self.judge_state(step, *from, *to),
            Transition::BreakerOpened { cooldown, .. } => self.open_until = Some(step.now + *cooldown),
            Transition::SignalHeld { signal, limit } => {
                let entry = (*signal, limit.is_some());
                require(!self.held.contains(&entry), "each signal is held once")?;
                self.held.push(entry);
            }
            Transition::SignalDelivered(signal) => {
                let at = self.held.iter().position(|(held, _)| held == signal);
                let at = at.ok_or("it was not held")?;
                let in_order = self.settings.signals.hold_until == SignalHoldUntil::Handled || at == 0;
                require(in_order, "held signals are delivered in order of arrival")?;
                self.held.remove(at);
                let delivers = |action: &Action| matches!(action, Action::Signal(_, sent) | Action::Stop(_, sent) if sent == signal);
                let sent = step.has(delivers);
                require(sent, "a delivered signal is sent")?;
            }
            Transition::Survived { .. } => {
                let live = self.live.as_mut().ok_or("nothing lives")?;
                live.failed |= !live.resting;
            }
            Transition::NextAttempt { .. } => {
                let live = self.live.as_ref().ok_or("nothing lives")?;
                let proven = live.proven_at.is_some_and(|at| step.now >= at);
                require(!live.trial || !live.failed || proven, "a failed trial opens the breaker again")?;
            }
            // Words for people.
            _ => {}
        }
        Ok(())
    }

    fn judge_state(&mut self, step: &Step, from: State, to: State) -> Judged {
        use State::*;
        let possible: &[State] = match from {
            Stopped | Failed => &[Waiting],
            Waiting => &[Checking, Starting, Stopping, Stopped, BackingOff, Open, Failed],
            Checking => &[Waiting, Starting, Stopping, Stopped, BackingOff, Open, Failed],
            Starting => &[Ready, Stopping, Stopped, BackingOff, Open, Failed, Checking],
            Ready => &[Stopping],
            Stopping => &[Stopped, Failed, BackingOff, Open, Checking],
            BackingOff | Open => &[Checking, Stopped],
        };
        require(from == self.state && possible.contains(&to), "there is no such way")?;
        self.state = to;
        if to == State::Open {
            require(self.open_until.is_some(), "a breaker opens with a word")?;
        }
        if matches!(to, BackingOff | Open | Failed | Stopped) {
            self.open_until = self.open_until.filter(|_| to == Open);
            return self.close();
        }
        let limit = self.stop_timeout();
        let Some(live) = &mut self.live else { return Ok(()) };
        match to {
            Ready => {
                require(!live.down && live.runs(), "only what is coming up becomes ready")?;
                live.ready = true;
                live.proven_at = Some(step.now + self.settings.restart.reset_after);
                live.arm(step.now);
            }
            Stopping => {
                live.down = true;
                live.kill_by = Some(step.now + limit + REPORT + SLACK);
                self.held.retain(|(_, stop)| !stop);
            }
            _ => {}
        }
        Ok(())
    }
}
