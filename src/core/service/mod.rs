//! The state machine of one service: [`Service::step`] takes what happened and says what is to be done.
//!
//! ```text
//! stopped ──▶ waiting ──▶ checking ──▶ waiting ──▶ starting ──▶ ready
//!    ▲         for others  ▲    │     for what it     │          │
//!    │   backoff, cooldown │    │       requires      │ deadline │ exit, watchdog, stop
//!    │                     │    │ refused  │ deadline ▼          ▼
//!    │         backing-off, open ◀─────────┴──────── stopping ◀──┘
//!    ├── asked, or done ──────────────────────┤
//!  failed ◀── given up ───────────────────────┘
//! ```
//!
//! One method for each event, in files by theme:
//!
//! - `start`: from the wish to have it to its being ready; `notified`: what it says on the notify socket;
//! - `progress`: a start deadline that moves on while it visibly gets on;
//! - `require`: what it waits for between its preflight and its start;
//! - `stop`: stop requests, the ladder from stop signal to SIGKILL; `held`: signals that pass through;
//! - `end`: how a generation ends, its one report, and what comes after it;
//! - `live`: the generation under way; `beside`: when another one of the same service is;
//! - `deadlines`, `signals`, `breaker`: tables without any say of their own;
//! - `renew`: other settings, because launcher.toml has changed;
//! - `table`: which event can happen in which state; `view`: what those who ask are told.
//!
//! Three rules hold it together:
//!
//! - There is one live generation at most; the fleet keeps a second one beside it by a second `Service`. Events carry their generation; those of another one are dropped.
//! - A failed generation has one report, and is over when no process of it is left *and* that report is written, unless
//!   a last stop request or the stop budget does not wait for it.
//! - Whatever is waited for has a deadline in the one table, which is empty once the service is at rest.

mod action;
mod beside;
mod breaker;
mod deadlines;
mod end;
mod event;
mod held;
mod live;
mod notified;
mod progress;
mod renew;
mod require;
mod signals;
mod start;
mod stop;
mod table;
#[cfg(test)]
mod tests;
mod view;

pub use action::{Action, Extension, Haste, Next, Outlook, Spread, Transition};
pub use beside::{NoOverlap, named};
pub use event::{Event, Sender, StopCause};
pub use table::EventKind;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::core::backoff::Waits;
use crate::core::facts::{Occasion, Refusal};
use crate::core::requirement::Vigil;
use crate::core::settings::{Ready, ServiceSettings};
use crate::core::time::Moment;

use beside::Role;
use breaker::Breaker;
use deadlines::{Deadline, Deadlines};
use live::{Criteria, Live, Main};
use signals::SignalTable;

/// How long a preflight may take, as far as anybody is told.
const CHECK_LIMIT: Duration = Duration::from_secs(10);

/// The number of a start of a service: counts up from 1 and never repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Generation(pub u64);

/// Where a service stands (DESIGN §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// On another service or a requirement.
    Waiting,
    /// Preflight runs.
    Checking,
    /// Its process runs, or is about to, and is not ready.
    Starting,
    /// It has said, or shown, that it serves.
    Ready,
    /// It is being stopped, or what is left of it is.
    Stopping,
    /// The next attempt comes after a while.
    BackingOff,
    /// The breaker is open: the next attempt comes after the cooldown.
    Open,
    /// Given up.
    Failed,
    /// Not running, and nobody wants it to.
    Stopped,
}

impl State {
    /// Its name, as DESIGN §1 writes it.
    pub fn name(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Checking => "checking",
            State::Starting => "starting",
            State::Ready => "ready",
            State::Stopping => "stopping",
            State::BackingOff => "backing-off",
            State::Open => "open",
            State::Failed => "failed",
            State::Stopped => "stopped",
        }
    }

    /// Whether it is over for the service until somebody asks for it again.
    pub fn is_at_rest(self) -> bool {
        matches!(self, State::Failed | State::Stopped)
    }
}

/// How it ended, once a service is at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code it passes on (DESIGN §2).
    pub code: i32,
    /// Why it is at rest.
    pub cause: OutcomeCause,
}

/// Why a service is at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeCause {
    /// It ended by itself with a success code, and its restart policy leaves it at that. Those that come after it may
    /// be started.
    Completed,
    /// It was asked to stop.
    Requested,
    /// Its last generation failed, and there will be no other.
    Failed(Occasion),
}

/// What is wanted of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// That it runs.
    Run,
    /// That it stops.
    Stop,
    /// That it stops, and is started again at once.
    Restart,
}

/// One service.
#[derive(Debug, Clone)]
pub struct Service {
    settings: Arc<ServiceSettings>,
    /// Other settings, for the next generation.
    next: Option<Arc<ServiceSettings>>,
    criteria: Criteria,
    state: State,
    wish: Wish,
    /// Stop requests since it was last wanted: a second hurries, a third kills.
    stop_requests: u32,
    role: Role,
    live: Option<Live>,
    generation: Generation,
    /// The newest number that is used up: by itself, or by a generation beside it.
    newest: Generation,
    attempt: u32,
    /// The current generation, or the last one, was ready: the next one is attempt 1.
    was_ready: bool,
    /// Failed generations in a row.
    failures: u32,
    /// The exit code of the last generation that ended.
    last_code: Option<i32>,
    outcome: Option<Outcome>,
    status: Option<String>,
    signals: SignalTable,
    deadlines: Deadlines,
    waits: Waits,
    /// The wait that was drawn for what comes after the current generation, once it has failed.
    drawn_wait: Option<Duration>,
    breaker: Option<Breaker>,
    /// Descriptors of it are kept.
    stores: bool,
    /// The newest generation at the last rest.
    left: Generation,
    /// Its requirements, and how it stands with them.
    vigil: Vigil,
}

/// One call of [`Service::step`]: the time, and where its actions go.
struct Turn<'a> {
    now: Moment,
    /// Of whom it is told.
    generation: Generation,
    actions: &'a mut Vec<Action>,
}

impl Turn<'_> {
    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn tell(&mut self, transition: Transition) {
        self.act(Action::Tell(self.generation, transition));
    }
}

impl Service {
    /// A service that nobody wants yet. `seed` decides what is left to chance in its backoff.
    pub fn new(settings: Arc<ServiceSettings>, seed: u64) -> Service {
        Service {
            criteria: Criteria::of(&settings),
            state: State::Stopped,
            wish: Wish::Run,
            stop_requests: 0,
            role: Role::Sole,
            live: None,
            generation: Generation(0),
            newest: Generation(0),
            attempt: 0,
            was_ready: false,
            failures: 0,
            last_code: None,
            outcome: None,
            status: None,
            signals: SignalTable::default(),
            deadlines: Deadlines::default(),
            waits: Waits::new(seed),
            drawn_wait: None,
            breaker: settings.restart.breaker.map(Breaker::new),
            stores: false,
            left: Generation(0),
            vigil: Vigil::new(&settings.requirements, settings.require_timeout, seed),
            settings,
            next: None,
        }
    }

    /// Takes in what happened and appends what is to be done, to be performed in that order.
    ///
    /// Any event may come in any state. One of a generation that is over is dropped; so is one that makes no sense
    /// ([`State::can_meet`]). Time only passes by [`Event::TimePassed`].
    pub fn step(&mut self, now: Moment, event: Event, actions: &mut Vec<Action>) {
        if event.generation().is_some_and(|of| self.live.as_ref().is_none_or(|live| live.generation != of)) {
            return;
        }
        let turn = &mut Turn { now, generation: self.generation, actions };
        match event {
            Event::StartRequested => self.on_start_requested(turn),
            Event::DependenciesReady => self.on_dependencies_ready(turn),
            Event::StopRequested(cause) => self.on_stop_requested(turn, cause),
            Event::KillRequested => self.on_kill_requested(turn),
            Event::RestartRequested => self.on_restart_requested(turn),
            Event::SignalReceived(signal) => self.on_signal_received(turn, signal),
            Event::PreflightPassed(_) => self.on_preflight_passed(turn),
            Event::PreflightFailed(_, refusal) => self.on_preflight_failed(turn, refusal),
            Event::RequirementTried(_, index, outcome) => self.on_requirement_tried(turn, index, outcome),
            Event::Spawned(_, pid) => self.on_spawned(turn, pid),
            Event::SpawnFailed(_, failure) => self.on_spawn_failed(turn, Box::new(Refusal::Exec(*failure))),
            Event::Notified(_, sender, message) => self.on_notified(turn, sender, *message),
            Event::ProbeSucceeded(_) => self.on_probe_succeeded(turn),
            Event::Progressed(_, signs) => self.on_progressed(turn, signs),
            Event::HandlersSeen(_, handled) => self.on_handlers_seen(turn, handled),
            Event::Exited(_, ending) => self.on_exited(turn, ending),
            Event::Emptied(_) => self.on_emptied(turn),
            Event::Explained(_) => self.on_explained(turn),
            Event::TimePassed => self.on_time_passed(turn),
        }
    }

    /// When [`Event::TimePassed`] is to come next; never, as long as nothing else happens, when `None`.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.deadlines.next()
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Its current generation, or the last one; `None` before the first.
    pub fn generation(&self) -> Option<Generation> {
        Some(self.generation).filter(|generation| generation.0 > 0)
    }

    /// Which attempt that is, counted from 1; 0 before the first.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// How many generations have failed in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// How it ended: known as soon as it is at rest after having been started, until it is started again.
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// What it last said by STATUS=, in its current generation.
    pub fn status(&self) -> Option<&str> {
        self.status.as_deref()
    }

    /// Until when nothing may be heard of a service that comes up, or is to be tried again soon. `None` when nothing is
    /// expected of it: it is ready, at rest, waits for others, or its breaker is open.
    pub fn start_horizon(&self, now: Moment) -> Option<Moment> {
        match self.state {
            State::Ready | State::Open | State::Failed | State::Stopped => None,
            State::Checking => Some(self.deadlines.latest().unwrap_or(now + CHECK_LIMIT)),
            State::Waiting | State::Starting | State::Stopping | State::BackingOff => self.deadlines.latest(),
        }
    }

    /// The pid of its main process, while that runs.
    pub fn main_pid(&self) -> Option<i32> {
        self.live.as_ref().filter(|live| live.main == Main::Running).and_then(|live| live.pid)
    }

    /// Whether a process of it runs, or is about to.
    pub fn may_run(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.main != Main::Absent && !live.over)
    }

    /// Whether it waits for what it comes after; in the same state it may wait for its requirements.
    pub fn waits_for_others(&self) -> bool {
        self.state == State::Waiting && self.live.is_none()
    }

    /// Whether those that come after it may be started: it is ready, or has done what it was for.
    pub fn serves(&self) -> bool {
        self.state == State::Ready || self.has_completed()
    }

    /// Whether it has ended with a success code, and nobody has wanted it again since.
    pub fn has_completed(&self) -> bool {
        self.outcome.is_some_and(|outcome| outcome.cause == OutcomeCause::Completed)
            || (self.settings.ready == Ready::Exited && self.was_ready)
    }

    /// How it was set.
    pub fn settings(&self) -> &ServiceSettings {
        &self.settings
    }

    /// Is in another state from now on, and says so.
    fn go(&mut self, turn: &mut Turn, to: State) {
        let from = std::mem::replace(&mut self.state, to);
        if from != to {
            let generation = self.generation();
            turn.tell(Transition::State { from, to, generation, attempt: self.attempt });
        }
    }

    /// Handles every deadline that has come, the earliest first.
    fn on_time_passed(&mut self, turn: &mut Turn) {
        while let Some(deadline) = self.deadlines.take_due(turn.now) {
            match deadline {
                Deadline::Require => self.on_requirements_due(turn),
                Deadline::Start => self.on_start_timeout(turn),
                Deadline::Proof => self.become_ready(turn),
                Deadline::Watchdog => self.on_watchdog_missed(turn),
                Deadline::Reset => self.forget_failures(),
                Deadline::Hold => self.on_hold_limit(turn),
                Deadline::Explain => self.on_explained(turn),
                Deadline::Stop => self.on_stop_timeout(turn),
                Deadline::Rest => self.on_rest_timeout(turn),
                Deadline::Budget => self.kill_now(turn, Haste::Budget),
                Deadline::Backoff => self.begin_generation(turn),
                Deadline::Cooldown => self.begin_trial(turn),
            }
        }
    }

    /// All is well, or begun anew: nothing is counted against it.
    fn forget_failures(&mut self) {
        self.failures = 0;
        self.drawn_wait = None;
        self.waits.reset();
        self.vigil.forget();
        if let Some(breaker) = &mut self.breaker {
            breaker.close();
        }
    }
}
