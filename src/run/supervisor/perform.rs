//! From actions to deeds: one method an action.

use std::time::Duration;

use tracing::warn;

use crate::core::facts::{Facts, Occasion, Refusal};
use crate::core::fleet::{FleetEvent, ServiceId};
use crate::core::report::Meta;
use crate::core::service::{Action, Event, Generation, Outlook, State, Transition};
use crate::core::settings::{Listen, Ready};
use crate::core::signal::Signal;
use crate::core::time::Moment;
use crate::run::log;
use crate::sys::sock_diag;

use super::explain::Case;
use super::inbox::{Happening, Task};
use super::{Supervisor, probe, spawn, tell};

/// How long a keeper that has not started its service yet may take to end everything.
const KEEPER_PATIENCE: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Routes one action to its method.
    pub(super) fn perform(&mut self, now: Moment, id: ServiceId, action: Action) {
        match action {
            Action::Check(generation) => self.check(now, id, generation),
            Action::Spawn { generation, .. } => self.spawn(now, id, generation),
            Action::Probe(generation) => self.probe(id, generation),
            Action::WatchHandlers(generation) => self.watch_handlers(id, generation),
            Action::StopProbing(generation) => self.with_live(id, generation, |live| live.probes.clear()),
            Action::ReleasePorts(_) => self.slots[id.0].ports.release_reserved(),
            Action::Signal(generation, signal) => self.signal(now, id, generation, signal),
            Action::FollowMain(generation, pid) => self.follow_main(now, id, generation, pid),
            Action::SignalRest(generation, signal) => {
                self.with_live(id, generation, |live| warn_of(live.keeper.signal_rest(signal)));
            }
            Action::Kill(generation) => self.with_live(id, generation, kill),
            Action::Explain { generation, attempt, occasion, ending, refusal, outlook } => {
                let mut facts = Facts::new(self.slots[id.0].settings.name.clone(), occasion);
                facts.ending = ending;
                facts.refusal = refusal.map(|refusal| *refusal);
                self.explain(now, id, Subject { generation, attempt, outlook }, facts);
            }
            Action::Tell(transition) => self.note(now, id, transition),
        }
    }

    fn with_live(&mut self, id: ServiceId, generation: Generation, act: impl FnOnce(&mut super::slot::Live)) {
        if let Some(live) = self.slots[id.0].live.as_mut().filter(|live| live.generation == generation) {
            act(live);
        }
    }

    fn answer(&mut self, id: ServiceId, event: Event) {
        self.pending.push_back(FleetEvent::Service(id, event));
    }

    fn check(&mut self, now: Moment, id: ServiceId, generation: Generation) {
        let slot = &mut self.slots[id.0];
        slot.history.begin(now);
        slot.history.note(now, "checking");
        let program = spawn::find_program(&slot.settings);
        let passed = match program {
            Ok(program) => {
                slot.program = Some(program);
                slot.ports.take().map_err(|failure| Box::new(Refusal::Port(*failure)))
            }
            Err(failure) => Err(Box::new(Refusal::Exec(failure))),
        };
        let event = match passed {
            Ok(()) => Event::PreflightPassed(generation),
            Err(refusal) => Event::PreflightFailed(generation, refusal),
        };
        self.answer(id, event);
    }

    fn spawn(&mut self, now: Moment, id: ServiceId, generation: Generation) {
        let slot = &mut self.slots[id.0];
        slot.history.spawned = Some(now);
        if slot.settings.interactive
            && let Some(console) = &mut self.console
        {
            console.lend();
        }
        match spawn::start(slot, generation, &self.outbox, id) {
            Ok(live) => slot.live = Some(live),
            Err(failure) => self.answer(id, Event::SpawnFailed(generation, Box::new(failure))),
        }
    }

    fn probe(&mut self, id: ServiceId, generation: Generation) {
        let outbox = self.outbox.clone();
        let slot = &mut self.slots[id.0];
        let awaited = slot.ports.awaited();
        let ready = slot.settings.ready.clone();
        let Some(live) = slot.live.as_mut().filter(|live| live.generation == generation) else { return };
        let keeper = live.keeper.clone();
        live.probes.push(Task::start(async move {
            match ready {
                Ready::Tcp(address) => probe::connected(address).await,
                _ => probe::listening(keeper, awaited).await,
            }
            let _ = outbox.send(Happening::ProbeSucceeded(id, generation));
        }));
    }

    fn watch_handlers(&mut self, id: ServiceId, generation: Generation) {
        let outbox = self.outbox.clone();
        self.with_live(id, generation, |live| {
            let Some(main) = live.main else { return };
            live.probes.push(Task::start(probe::handlers(main, move |caught| {
                let _ = outbox.send(Happening::HandlersSeen(id, generation, caught));
            })));
        });
    }

    fn signal(&mut self, now: Moment, id: ServiceId, generation: Generation, signal: Signal) {
        self.slots[id.0].history.note(now, format!("sent {signal}"));
        self.with_live(id, generation, |live| warn_of(live.keeper.signal_main(signal)));
    }

    fn follow_main(&mut self, now: Moment, id: ServiceId, generation: Generation, pid: i32) {
        self.slots[id.0].history.note(now, format!("main process is pid {pid} now"));
        self.with_live(id, generation, |live| {
            match live.keeper.follow(pid) {
                Ok(true) => live.main = Some(pid),
                // It has gone since it was named: the former one stays the main one.
                Ok(false) => {}
                Err(problem) => warn_of(Err(problem)),
            }
        });
    }

    /// Gathers what the loop knows and leaves the rest to a thread.
    fn explain(&mut self, now: Moment, id: ServiceId, subject: Subject, mut facts: Facts) {
        let generation = subject.generation;
        let store = self.store.clone();
        let slot = &mut self.slots[id.0];
        let live = slot.live.as_ref().filter(|live| live.generation == generation);
        let pids = live.map(|live| live.keeper.members()).unwrap_or_default();
        slot.output.settle();
        slot.history.failed = !matches!(facts.occasion, Occasion::StopTimeout | Occasion::Requested);
        let history = &slot.history;
        facts.command = spawn::command_for_people(slot);
        facts.elapsed = history.running(now).unwrap_or_else(|| now.since(history.began));
        facts.start_timeout = slot.settings.start_timeout;
        facts.ready = slot.settings.ready.clone();
        facts.was_ready = history.ready;
        facts.notified = history.notified.clone();
        facts.listening = sock_diag::all_listening_of(&pids);
        let listens = |listen: &Listen| {
            let all = sock_diag::listening(std::slice::from_ref(listen), || pids.clone());
            all.first().is_some_and(|listening| *listening)
        };
        facts.ports = slot.ports.facts(listens);
        (facts.output_tail, facts.output_age) = slot.output.tail();
        facts.memory = spawn::memory_since(history.kills_before);
        // Ended processes leave nothing to wait for: the next attempt does not wait for a disk.
        let awaited = !pids.is_empty() && !matches!(facts.occasion, Occasion::Exited | Occasion::Crashed);
        let meta = Meta {
            generation: generation.0,
            attempt: subject.attempt,
            time: log::utc_now(),
            timeline: history.timeline.clone(),
        };
        let pids = if awaited { pids } else { Vec::new() };
        let case = Case { facts, pids, meta, store, awaited, outlook: subject.outlook };
        self.explaining += 1;
        self.cases.push((id, generation, case));
        if !awaited {
            self.answer(id, Event::Explained(generation));
        }
    }

    pub(super) fn explain_on_a_thread(&mut self, id: ServiceId, generation: Generation, case: Case) {
        let outbox = self.outbox.clone();
        let awaited = case.awaited;
        let work = move || {
            let explained = Box::new(case.explain());
            let _ = outbox.send(Happening::Explained(id, generation, explained));
        };
        if let Err(problem) = std::thread::Builder::new().name("explain".into()).spawn(work) {
            self.explaining -= 1;
            warn!("the report could not be made, there is no thread for it: {problem}");
            if awaited {
                self.answer(id, Event::Explained(generation));
            }
        }
    }

    /// Notes a transition; the line about it is written when all that it comes with is done: a start does not wait for
    /// whoever reads the launcher's lines.
    fn note(&mut self, now: Moment, id: ServiceId, transition: Transition) {
        let slot = &mut self.slots[id.0];
        match &transition {
            Transition::State { to: State::Checking, .. } => {}
            Transition::State { to, .. } => {
                slot.history.ready |= *to == State::Ready;
                slot.history.note(now, to.name());
            }
            Transition::Status(text) => slot.history.note(now, format!("status: {text}")),
            Transition::SignalHeld { signal, .. } => slot.history.note(now, format!("{signal} held")),
            _ => {}
        }
        let running = slot.history.running(now);
        self.unsaid.push((id, transition, running, slot.history.ready));
    }

    /// Writes the lines about what was done.
    pub(super) fn say(&mut self) {
        for (id, transition, running, ready) in self.unsaid.drain(..) {
            let settings = &self.slots[id.0].settings;
            let subject = tell::Subject {
                service: &settings.name,
                running,
                ready,
                waits: !settings.after.is_empty(),
                failed: self.slots[id.0].history.failed,
                terminal: self.terminal,
            };
            tell::transition(&subject, &transition);
        }
    }
}

/// The generation that is to be explained.
struct Subject {
    generation: Generation,
    attempt: u32,
    outlook: Outlook,
}

/// Ends a generation. A keeper that was not heard of yet may itself wait for a program whose file system does not
/// answer, and hear nothing: it is given a moment, then killed with what it holds.
fn kill(live: &mut super::slot::Live) {
    let keeper = live.keeper.clone();
    if keeper.kill().is_err() {
        keeper.destroy();
    } else if live.main.is_none() {
        live.tasks.push(Task::start(async move {
            tokio::time::sleep(KEEPER_PATIENCE).await;
            keeper.destroy();
        }));
    }
}

fn warn_of(done: std::io::Result<()>) {
    if let Err(problem) = done {
        warn!("{problem}");
    }
}
