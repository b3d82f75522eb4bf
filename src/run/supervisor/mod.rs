//! The loop: what happened outside becomes an event, the core answers with actions, the actions are performed.
//!
//! It only routes. What to do is decided in [`crate::core::fleet`]; how it is done stands in the files beside this one.

mod above;
mod act;
mod attach;
mod calls;
mod check;
mod console;
mod control;
mod descriptors;
mod explain;
mod farewell;
mod group;
mod inbox;
pub mod keys;
mod lend;
mod listen;
mod parent;
mod perform;
mod ports;
mod probe;
mod progress;
mod reload;
mod share;
mod slot;
mod spawn;
mod start_up;
mod take_over;
mod tell;
mod trial;
mod watch;

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use crate::core::exit::code;
use crate::core::fd_store::FdStore;
use crate::core::fleet::{Fleet, FleetEvent, ServiceId};
use crate::core::inherited::Inherited;
use crate::core::service::{Action, Generation, Transition};
use crate::core::settings::{Ready, Settings};
use crate::core::time::Moment;
use crate::run::environment;
use crate::run::output::Outputs;
use crate::run::reports::ReportStore;
use crate::sys::signals::Signals;
use crate::sys::{clock, keeper, memory};

use console::Console;
pub use control::Http;
use inbox::watch;
pub use inbox::{Happening, Task};
pub use reload::Source;
use slot::Slot;

/// How long the launcher waits, once all is over, for reports to be written and keepers to end: a file system that does
/// not answer must not keep it from giving its exit code.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// When nothing has happened for so long, the launcher makes itself small: most likely nothing will for much longer.
const QUIET: Duration = Duration::from_millis(200);

/// So long it is left as large as it is by what comes often, as questions do.
const OFTEN: Duration = Duration::from_secs(10);

/// When the launcher makes itself small, after something happened. One that is small stays so for a word of a service: to
/// wake up once more for it would cost more than the pages that it touched.
fn small_at(before: Option<Instant>, happening: &Happening) -> Option<Instant> {
    let soon = Instant::now() + QUIET;
    match before {
        _ if happening.is_rare() => Some(soon),
        Some(at) => Some(at.max(soon)),
        None if matches!(happening, Happening::NotifyReadable(..)) => None,
        None => Some(soon + OFTEN),
    }
}

/// A transition of a generation, with how long that ran then and whether it had been ready.
type Line = (ServiceId, Generation, Transition, Option<Duration>, bool);

/// Everything that runs under one launcher.
pub struct Supervisor {
    settings: Settings,
    fleet: Fleet,
    slots: Vec<Slot>,
    signals: Rc<Signals>,
    store: ReportStore,
    outputs: Outputs,
    inbox: UnboundedReceiver<Happening>,
    outbox: UnboundedSender<Happening>,
    /// Events that came out of performing actions, to be fed next.
    pending: VecDeque<FleetEvent>,
    /// Generations that are to be checked.
    checks: check::Checks,
    /// Transitions that were noted and not yet said.
    unsaid: Vec<Line>,
    /// Failed generations whose reports are to be begun.
    cases: Vec<(ServiceId, Generation, explain::Case)>,
    /// When the launcher ends at the latest, once all is over.
    end: Option<Moment>,
    /// Where groups of services with limits are made.
    groups: group::Groups,
    /// The service manager above.
    manager: above::Manager,
    /// What people ask, and what is remembered for them.
    control: control::Control,
    /// Where launcher.toml is read again, and for whom.
    reloading: reload::Reloading,
    /// What is watched, and what has changed.
    watching: watch::Watching,
    /// What is shown of the start.
    start_up: start_up::Display,
    /// The terminal, when a service runs on it interactively.
    console: Option<Console>,
    /// What a person types.
    keys: Option<keys::Keys>,
    /// Whether a person sits at the launcher's terminal.
    terminal: bool,
    /// What is tried and watched, when all of this is a trial.
    trial: Option<trial::Watched>,
    /// The process that started the launcher, when the launcher ends with it.
    parent: Option<parent::Watched>,
    /// What watches the signals for as long as the supervisor lives.
    _signal_watch: Task,
}

impl Supervisor {
    /// Makes ready to run what the settings say. To be called inside of a `LocalSet` of a current-thread runtime.
    ///
    /// # Errors
    /// Of making pipes, threads or watching the signals.
    pub fn new(
        settings: Settings,
        fleet: Fleet,
        signals: Signals,
        inherited: Vec<(Inherited, OwnedFd)>,
        http: Option<Http>,
    ) -> io::Result<Supervisor> {
        let (outbox, inbox) = unbounded_channel();
        let mut outputs = Outputs::new(&settings);
        let slots = settings.services.iter().map(|service| Slot::new(service, &settings, &mut outputs));
        let mut slots = slots.collect::<io::Result<Vec<Slot>>>()?;
        above::hand_down(inherited, &settings, &mut slots);
        let signals = Rc::new(signals);
        let signal_watch = watch(signals.clone(), Signals::fd, outbox.clone(), || Happening::SignalPending)?;
        let store = ReportStore::at(settings.launcher.report_dir.as_deref());
        let control = control::Control::new(&settings, http, &outbox)?;
        Ok(Supervisor {
            reloading: reload::Reloading::default(),
            watching: watch::Watching::default(),
            start_up: start_up::Display::new(clock::now(), &settings, &fleet),
            fleet,
            slots,
            signals,
            store,
            outputs,
            inbox,
            outbox,
            pending: VecDeque::new(),
            checks: check::Checks::default(),
            unsaid: Vec::new(),
            cases: Vec::new(),
            end: None,
            groups: group::Groups::prepare(&settings),
            manager: above::Manager::from_environment(),
            control,
            console: settings.services.iter().any(|service| service.interactive).then(Console::open).flatten(),
            keys: None,
            terminal: crate::run::log::at_terminal(),
            trial: None,
            parent: None,
            settings,
            _signal_watch: signal_watch,
        })
    }

    /// Runs until nothing is left to do and returns the launcher's exit code.
    pub async fn run(&mut self) -> i32 {
        self.watch_parent();
        self.feed(FleetEvent::StartAll);
        // Said while the first service starts: it does not hold it up.
        if let Some(line) = environment::lost_port(&self.settings, std::env::var_os("PORT").as_deref()) {
            warn!("{line}");
        }
        if self.trial.is_none() {
            self.watch_files();
        }
        self.open_keys();
        let mut quiet = Some(Instant::now() + QUIET);
        loop {
            self.checks.begin_turn();
            let code = self.fleet.exit_code();
            if let Some(code) = code
                && self.may_leave()
            {
                return self.leave(code).await;
            }
            self.end = code.and(self.end.or_else(|| Some(clock::now() + LAST_WORDS)));
            let deadline = self.end.or_else(|| self.fleet.next_deadline());
            let trial = self.trial.as_ref().and_then(trial::Watched::next_deadline);
            let asked = [self.control.waiting.next_deadline(), self.reloading.next_deadline()];
            let asked = asked.into_iter().flatten().min();
            let deadline = [deadline, self.manager.next_deadline(), trial, asked].into_iter().flatten().min();
            let happening = tokio::select! {
                biased;
                happening = self.inbox.recv() => happening,
                () = sleep_to(deadline) => { self.feed(FleetEvent::TimePassed); continue }
                () = sleep_to(self.watching.next_deadline()) => { self.changes_due(); continue }
                () = sleep_to(self.start_up.next_deadline()) => { self.show_start(); continue }
                () = sleep_until_some(quiet) => { quiet = None; self.settle(); continue }
                () = sleep_until_some(self.control.opens) => { self.open_control(); continue }
                () = yield_now(), if self.checks.are_put_off() => { self.check_those_put_off(); continue }
            };
            match happening {
                Some(happening) => {
                    quiet = small_at(quiet, &happening);
                    self.handle(happening);
                    if self.checks.are_overdue() {
                        self.check_those_put_off();
                    }
                }
                None => return code::INTERNAL,
            }
        }
    }

    /// Whether no process lives and no report is being made, or neither is waited for any longer.
    fn may_leave(&self) -> bool {
        let is_over = |slot: &Slot| slot.lives().next().is_none() && slot.explaining == 0 && slot.farewell.is_none();
        let at_rest = self.slots.iter().all(is_over);
        at_rest || self.fleet.is_out_of_time() || self.end.is_some_and(|end| end <= clock::now())
    }

    /// Nothing has happened for a while: what did not need to be done at once is done now.
    fn settle(&self) {
        keeper::await_ended();
        memory::trim_heap();
        memory::forget_program();
        memory::forget_stack();
    }

    fn show_start(&mut self) {
        self.start_up.show(clock::now(), &self.fleet);
    }

    /// The end: what services wrote last is passed on.
    async fn leave(&mut self, code: i32) -> i32 {
        self.control.close();
        self.keys = None;
        self.slots.iter_mut().for_each(|slot| slot.explaining = 0);
        self.say();
        self.slots.clear();
        std::mem::replace(&mut self.outputs, Outputs::new(&self.settings)).finish();
        self.tell_the_end(code);
        self.control.see_out().await;
        keeper::await_ended();
        self.groups.close();
        code
    }

    /// Tells the core what happened and performs what it answers, until it has nothing more to say. Reports are begun
    /// last: the next generation, where it need not wait for them, is on its way by then.
    fn feed(&mut self, event: FleetEvent) {
        self.pending.push_back(event);
        self.feed_pending();
    }

    fn feed_pending(&mut self) {
        while !self.pending.is_empty() {
            self.step();
            for (id, generation, case) in std::mem::take(&mut self.cases) {
                self.explain_on_a_thread(id, generation, case);
            }
            self.look_at_trial();
        }
        self.end_sharing();
        self.start_up.look(clock::now(), &self.fleet);
        self.look_at_commands();
        self.look_at_reloads();
        self.look_at_terminals();
        self.manager.look(clock::now(), &self.fleet);
    }

    fn step(&mut self) {
        let mut actions: Vec<(ServiceId, Action)> = Vec::new();
        while let Some(event) = self.pending.pop_front() {
            let now = clock::now();
            self.fleet.step(now, event, &mut actions);
            for (id, action) in actions.drain(..) {
                self.control.ledger.see(now, id, &action);
                self.perform(now, id, action);
            }
            self.open_control_for_ready();
            self.say();
        }
    }
}

/// Sleeps until the moment, or for ever.
async fn sleep_to(deadline: Option<Moment>) {
    match deadline {
        Some(deadline) => sleep_until(Instant::now() + deadline.since(clock::now())).await,
        None => std::future::pending().await,
    }
}

async fn sleep_until_some(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

impl Slot {
    fn new(
        service: &crate::core::settings::ServiceSettings,
        settings: &Settings,
        outputs: &mut Outputs,
    ) -> io::Result<Slot> {
        let owner = spawn::output_owner(service);
        let single = settings.single_command;
        let read = matches!(service.ready, Ready::Log(_));
        let output = if single { outputs.single(owner, read)? } else { outputs.of(service, owner) };
        let user = spawn::user_of(service);
        Ok(Slot {
            ports: ports::Ports::new(&service.name, &service.ports, user),
            settings: Arc::new(service.clone()),
            coming: None,
            alone: false,
            sharing: None,
            output,
            terminal: Arc::default(),
            looking: None,
            explaining: 0,
            farewell: None,
            single,
            user,
            courses: Vec::new(),
            store: FdStore::new(service.notify.fd_store),
            received: Vec::new(),
        })
    }
}
