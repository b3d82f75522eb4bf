//! The loop: what happened outside becomes an event, the core answers with actions, the actions are performed.
//!
//! It only routes. What to do is decided in [`crate::core::fleet`]; how it is done stands in the files beside this one.

mod console;
mod explain;
mod inbox;
mod listen;
mod perform;
mod ports;
mod probe;
mod slot;
mod spawn;
mod tell;

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use crate::core::exit::code;
use crate::core::fleet::{Fleet, FleetEvent, ServiceId};
use crate::core::service::{Action, Generation, Transition};
use crate::core::settings::Settings;
use crate::core::time::Moment;
use crate::run::environment;
use crate::run::output::Relays;
use crate::run::reports::ReportStore;
use crate::sys::signals::Signals;
use crate::sys::{clock, memory};

use console::Console;
use inbox::{Happening, Task, watch};
use slot::Slot;

/// How long the launcher waits, once all is over, for reports to be written and keepers to end: a file system that does
/// not answer must not keep it from giving its exit code.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// When nothing has happened for so long, the launcher makes itself small: most likely nothing will for much longer.
const QUIET: Duration = Duration::from_millis(200);

/// Everything that runs under one launcher.
pub struct Supervisor {
    settings: Settings,
    fleet: Fleet,
    slots: Vec<Slot>,
    signals: Rc<Signals>,
    store: ReportStore,
    relays: Relays,
    inbox: UnboundedReceiver<Happening>,
    outbox: UnboundedSender<Happening>,
    /// Events that came out of performing actions, to be fed next.
    pending: VecDeque<FleetEvent>,
    /// Transitions that were noted and not yet said, with how long the service ran then and whether it had been ready.
    unsaid: Vec<(ServiceId, Transition, Option<Duration>, bool)>,
    /// Failed generations whose reports are to be begun.
    cases: Vec<(ServiceId, Generation, explain::Case)>,
    /// Reports that are being made, or are to be begun.
    explaining: usize,
    /// When the launcher ends at the latest, once all is over.
    end: Option<Moment>,
    /// The terminal, when a service runs on it interactively.
    console: Option<Console>,
    /// Whether a person sits at the launcher's terminal.
    terminal: bool,
    /// What watches the signals for as long as the supervisor lives.
    _signal_watch: Task,
}

impl Supervisor {
    /// Makes ready to run what the settings say. To be called inside of a `LocalSet` of a current-thread runtime.
    ///
    /// # Errors
    /// Of making pipes, threads or watching the signals.
    pub fn new(settings: Settings, fleet: Fleet, signals: Signals) -> io::Result<Supervisor> {
        let (outbox, inbox) = unbounded_channel();
        let mut relays = Relays::default();
        let slots = settings.services.iter().map(|service| Slot::new(service, &settings, &mut relays));
        let slots = slots.collect::<io::Result<Vec<Slot>>>()?;
        relays.start_shared()?;
        let signals = Rc::new(signals);
        let signal_watch = watch(signals.clone(), Signals::fd, outbox.clone(), || Happening::SignalPending)?;
        let store = ReportStore::at(settings.launcher.report_dir.as_deref());
        Ok(Supervisor {
            fleet,
            slots,
            signals,
            store,
            relays,
            inbox,
            outbox,
            pending: VecDeque::new(),
            unsaid: Vec::new(),
            cases: Vec::new(),
            explaining: 0,
            end: None,
            console: settings.services.iter().any(|service| service.interactive).then(Console::open).flatten(),
            terminal: crate::run::log::at_terminal(),
            settings,
            _signal_watch: signal_watch,
        })
    }

    /// Runs until nothing is left to do and returns the launcher's exit code.
    pub async fn run(&mut self) -> i32 {
        self.feed(FleetEvent::StartAll);
        // Said while the first service starts: it does not hold it up.
        if let Some(line) = environment::lost_port(&self.settings, std::env::var_os("PORT").as_deref()) {
            warn!("{line}");
        }
        let mut quiet = Some(Instant::now() + QUIET);
        loop {
            let code = self.fleet.exit_code();
            if let Some(code) = code
                && self.may_leave()
            {
                return self.leave(code);
            }
            self.end = code.and(self.end.or_else(|| Some(clock::now() + LAST_WORDS)));
            let deadline = self.end.or_else(|| self.fleet.next_deadline());
            let happening = tokio::select! {
                biased;
                happening = self.inbox.recv() => happening,
                () = sleep_to(deadline) => { self.feed(FleetEvent::TimePassed); continue }
                () = sleep_until_some(quiet) => { quiet = None; memory::forget_program(); continue }
            };
            match happening {
                Some(happening) => {
                    // Not after every word of a service that says something each second.
                    if quiet.is_some() || happening.is_rare() {
                        quiet = Some(Instant::now() + QUIET);
                    }
                    self.handle(happening);
                }
                None => return code::INTERNAL,
            }
        }
    }

    /// Whether no process lives and no report is being made, or neither is waited for any longer.
    fn may_leave(&self) -> bool {
        let at_rest = self.explaining == 0 && self.slots.iter().all(|slot| slot.live.is_none());
        at_rest || self.fleet.is_out_of_time() || self.end.is_some_and(|end| end <= clock::now())
    }

    /// The end: what services wrote last is passed on.
    fn leave(&mut self, code: i32) -> i32 {
        self.slots.clear();
        std::mem::take(&mut self.relays).finish();
        code
    }

    /// Tells the core what happened and performs what it answers, until it has nothing more to say. Reports are begun
    /// last: the next generation, where it need not wait for them, is on its way by then.
    fn feed(&mut self, event: FleetEvent) {
        self.pending.push_back(event);
        while !self.pending.is_empty() {
            self.step();
            for (id, generation, case) in std::mem::take(&mut self.cases) {
                self.explain_on_a_thread(id, generation, case);
            }
        }
    }

    fn step(&mut self) {
        let mut actions: Vec<(ServiceId, Action)> = Vec::new();
        while let Some(event) = self.pending.pop_front() {
            let now = clock::now();
            self.fleet.step(now, event, &mut actions);
            for (id, action) in actions.drain(..) {
                self.perform(now, id, action);
            }
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
        relays: &mut Relays,
    ) -> io::Result<Slot> {
        let owner = spawn::output_owner(service);
        let single = settings.single_command;
        let output =
            if single { relays.single(owner)? } else { relays.prefixed(format!("{} | ", service.name), owner)? };
        Ok(Slot {
            ports: ports::Ports::new(&service.name, &service.ports),
            settings: Arc::new(service.clone()),
            output,
            program: None,
            single,
            user: spawn::user_of(service),
            live: None,
            history: slot::History::default(),
        })
    }
}
