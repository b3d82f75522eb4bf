//! From actions to deeds: one method an action.

use std::time::Duration;

use tracing::warn;

use crate::core::facts::{Facts, Occasion, SentFor, StopLimit, StopLimitKey};
use crate::core::fleet::{FleetEvent, Part, ServiceId};
use crate::core::report::Meta;
use crate::core::requirement::{News, words as requirement_words};
use crate::core::service::{Action, Event, Generation, Outlook, State, Transition};
use crate::core::settings::{Listen, Ready, SignalTarget};
use crate::core::share::Plan;
use crate::core::signal::Signal;
use crate::core::time::Moment;
use crate::run::{log, require};
use crate::sys::{procfs, sock_diag};

use super::explain::Case;
use super::inbox::{Happening, Task};
use super::slot::History;
use super::{Line, Supervisor, group, probe, spawn, tell};

/// How long a keeper that has not started its service yet may take to end everything.
const KEEPER_PATIENCE: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Routes one action to its method.
    pub(super) fn perform(&mut self, now: Moment, id: ServiceId, action: Action) {
        match action {
            Action::Check(generation) => {
                // A successor has what is coming for itself, until it takes the place of the one that serves.
                if !self.is_successor(id, generation) {
                    self.slots[id.0].take_coming(&mut self.outputs);
                }
                self.check(now, id, generation);
            }
            Action::Try { generation, requirement, limit } => self.try_requirement(id, generation, requirement, limit),
            Action::StopTrying(generation) => {
                if let Some(course) = self.slots[id.0].course_mut(generation) {
                    course.tries.clear();
                }
                log::progress(&self.slots[id.0].settings.name, None);
            }
            Action::Spawn { generation, .. } => self.spawn(now, id, generation),
            Action::Probe(generation) => self.probe(id, generation),
            Action::WatchHandlers(generation) => self.watch_handlers(id, generation),
            Action::WatchProgress(generation) => self.watch_progress(now, id, generation),
            Action::StopProbing(generation) => self.with_live(id, generation, |live| {
                live.probes.clear();
                live.looked = None;
            }),
            Action::ReleasePorts(generation) => {
                self.forget_check(id, generation);
                self.slots[id.0].ports.release_reserved();
            }
            Action::Signal(generation, signal) => self.signal(now, id, generation, (signal, SentFor::PassedOn)),
            Action::Stop(generation, signal) => {
                // Who has come since the last look is not to be mixed up with who goes.
                self.look_at_shares(id);
                self.signal(now, id, generation, (signal, SentFor::Stop));
                self.with_live(id, generation, |live| warn_of(live.keeper.resume()));
            }
            Action::HangUp(generation, ignored) => self.hang_up(now, id, generation, ignored),
            Action::FollowMain(generation, pid) => self.follow_main(now, id, generation, pid),
            Action::StoreDescriptors { generation, name, watched } => self.store(id, generation, &name, watched),
            Action::ForgetDescriptors(_, name) => self.slots[id.0].store.forget(&name),
            Action::CloseDescriptors => self.slots[id.0].store.clear(),
            Action::SignalRest(generation, signal) => {
                self.with_live(id, generation, |live| warn_of(live.keeper.signal_rest(signal)));
            }
            Action::Kill(generation) => {
                if let Some(course) = self.slots[id.0].course_mut(generation) {
                    course.history.killed = true;
                }
                self.with_live(id, generation, kill);
            }
            Action::Explain { generation, attempt, occasion, ending, refusal, outlook } => {
                let mut facts = Facts::new(self.slots[id.0].settings.name.clone(), occasion);
                facts.ending = ending;
                facts.refusal = refusal.map(|refusal| *refusal);
                self.explain(now, id, Subject { generation, attempt, outlook }, facts);
            }
            Action::Farewell => self.bid_farewell(id),
            Action::Steer { to, canary } => self.steer(id, Plan { to, canary }),
            Action::Tell(generation, transition) => self.note(now, id, generation, transition),
        }
    }

    fn is_successor(&self, id: ServiceId, generation: Generation) -> bool {
        let beside = self.fleet.beside(id).filter(|(_, part, _)| *part != Part::Leaving);
        beside.is_some_and(|(service, ..)| service.generation() == Some(generation))
    }

    fn with_live(&mut self, id: ServiceId, generation: Generation, act: impl FnOnce(&mut super::slot::Live)) {
        if let Some(live) = self.slots[id.0].live_mut(generation) {
            act(live);
        }
    }

    pub(super) fn answer(&mut self, id: ServiceId, event: Event) {
        self.pending.push_back(FleetEvent::Service(id, event));
    }

    fn spawn(&mut self, now: Moment, id: ServiceId, generation: Generation) {
        let slot = &mut self.slots[id.0];
        if let Some(course) = slot.course_mut(generation) {
            course.history.spawned = Some(now);
        }
        if slot.settings.interactive
            && let Some(console) = &mut self.console
        {
            console.lend();
        }
        match spawn::start(slot, generation, &self.outbox, id, &self.groups) {
            Ok(live) => {
                if let Some(course) = slot.course_mut(generation) {
                    course.live = Some(live);
                }
            }
            Err(failure) => self.answer(id, Event::SpawnFailed(generation, Box::new(failure))),
        }
    }

    fn try_requirement(&mut self, id: ServiceId, generation: Generation, index: usize, limit: Duration) {
        let outbox = self.outbox.clone();
        let slot = &mut self.slots[id.0];
        let service = slot.settings_of(generation).clone();
        let Some(requirement) = service.requirements.get(index).cloned() else { return };
        let task = Task::start(async move {
            let outcome = require::attempt(requirement, Some(service), limit).await;
            let _ = outbox.send(Happening::RequirementTried(id, generation, index, outcome));
        });
        if let Some(course) = slot.course_mut(generation) {
            course.tries.insert(index, task);
        }
    }

    fn probe(&mut self, id: ServiceId, generation: Generation) {
        let outbox = self.outbox.clone();
        let slot = &mut self.slots[id.0];
        let awaited = slot.ports.awaited();
        let service = slot.settings_of(generation).clone();
        let Some(live) = slot.live_mut(generation) else { return };
        let keeper = live.keeper.clone();
        let sign = live.sign.take();
        live.probes.push(Task::start(async move {
            match (sign, &service.ready) {
                (Some(sign), _) => sign.come(service).await,
                (None, Ready::Tcp(address)) => probe::connected(*address).await,
                (None, _) => probe::listening(keeper, awaited).await,
            }
            let _ = outbox.send(Happening::ProbeSucceeded(id, generation));
        }));
        self.watch_declared_ports(id, generation);
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

    pub(super) fn signal(&mut self, now: Moment, id: ServiceId, generation: Generation, sent: (Signal, SentFor)) {
        let (signal, why) = sent;
        self.slots[id.0].sends(now, generation, signal, why);
        let to = self.slots[id.0].settings_of(generation).signals.to;
        self.with_live(id, generation, |live| {
            warn_of(match to {
                SignalTarget::Main => live.keeper.signal_main(signal),
                SignalTarget::Group => live.keeper.signal_group(signal),
            });
        });
    }

    /// Sends HUP, unless it is only for one that ignores a signal and does not. A shell that is setting up its line editor at
    /// this very moment has a handler for TERM, and then is given its `stop_timeout`.
    fn hang_up(&mut self, now: Moment, id: ServiceId, generation: Generation, ignored: Option<Signal>) {
        let main = self.slots[id.0].live(generation).and_then(|live| live.main);
        let ignores = |signal| main.and_then(procfs::ignored_signals).is_some_and(|set| set.contains(signal));
        if ignored.is_none_or(ignores) {
            self.signal(now, id, generation, (Signal::HUP, SentFor::Stop));
        }
    }

    fn follow_main(&mut self, now: Moment, id: ServiceId, generation: Generation, pid: i32) {
        self.slots[id.0].note(now, generation, format!("main process is pid {pid} now"));
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
        let pids = slot.live(generation).map(|live| live.keeper.members()).unwrap_or_default();
        slot.output.settle();
        facts.command = spawn::command_for_people(slot, generation);
        let Some(course) = slot.courses.iter_mut().find(|course| course.generation == generation) else { return };
        course.history.failed = !matches!(facts.occasion, Occasion::StopTimeout | Occasion::Requested);
        let history = &course.history;
        facts.elapsed = history.running(now).unwrap_or_else(|| now.since(history.began));
        facts.start_timeout = course.settings.start_timeout;
        facts.extend_while_progressing = course.settings.extend_while_progressing;
        facts.extensions = history.extensions;
        facts.ready = course.settings.ready.clone();
        facts.terminal = course.settings.terminal;
        facts.probe = course.live.as_ref().and_then(|live| live.probed.as_ref()).map(|probed| probed.borrow().clone());
        facts.was_ready = history.ready;
        facts.notified = history.notified.clone();
        facts.stop_limit = history.stop_limit;
        facts.sent = history.sent(now);
        facts.listening = sock_diag::all_listening_of(&pids);
        let listens = |listen: &Listen| {
            let all = sock_diag::listening(std::slice::from_ref(listen), || pids.clone());
            all.first().is_some_and(|listening| *listening)
        };
        facts.ports = slot.ports.facts(listens);
        (facts.output_tail, facts.output_age) = slot.output.tail();
        facts.memory =
            course.live.as_ref().and_then(group::memory).or_else(|| spawn::memory_since(history.kills_before));
        // Ended processes leave nothing to wait for: the next attempt does not wait for a disk.
        let awaited = !pids.is_empty() && !matches!(facts.occasion, Occasion::Exited | Occasion::Crashed);
        let meta = Meta {
            generation: generation.0,
            attempt: subject.attempt,
            time: log::utc_now(),
            timeline: history.timeline.clone(),
        };
        let pids = if awaited { pids } else { Vec::new() };
        let settings = course.settings.clone();
        let files = course.files.clone();
        let outlook = subject.outlook;
        let case = Case { facts, pids, settings, files, meta, store, awaited, outlook };
        self.slots[id.0].explaining += 1;
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
            self.slots[id.0].explaining -= 1;
            warn!("the report could not be made, there is no thread for it: {problem}");
            if awaited {
                self.answer(id, Event::Explained(generation));
            }
        }
    }

    /// Notes a transition; the line about it is written when all that it comes with is done: a start does not wait for
    /// whoever reads the launcher's lines.
    fn note(&mut self, now: Moment, id: ServiceId, generation: Generation, transition: Transition) {
        if let Some(trial) = &mut self.trial {
            trial.trial.heard(now, id, &transition);
        }
        self.start_up.note(now, id, &transition);
        if matches!(transition, Transition::Superseded { .. } | Transition::LeftAlone { .. }) {
            self.slots[id.0].take_coming(&mut self.outputs);
        }
        let course = self.slots[id.0].course_mut(generation);
        let (mut none, mut settings) = (History::default(), None);
        let history = course.map_or(&mut none, |course| {
            settings = Some(course.settings.clone());
            &mut course.history
        });
        match &transition {
            Transition::State { to: State::Checking, .. } => {}
            Transition::State { to, .. } => {
                history.ready |= *to == State::Ready;
                history.note(now, to.name());
            }
            Transition::Requirement(News::Missing { due: false, slower: None, .. }) => {}
            Transition::Requirement(news) => history.note(now, requirement_words::news(None, news)),
            Transition::Status(text) => history.note(now, format!("status: {text}")),
            Transition::Trouble(text) => history.note(now, text.clone()),
            Transition::Extended(extension) => {
                history.extensions = extension.times;
                history.note(now, tell::extension(extension));
            }
            Transition::SignalHeld { signal, .. } => history.note(now, format!("{signal} held")),
            Transition::Survived { after, cut, drained } => {
                history.stop_limit = settings.map(|settings| match (cut, drained) {
                    (true, _) => StopLimit { time: *after, by: StopLimitKey::StopBudget },
                    (false, true) => StopLimit { time: settings.drain_timeout, by: StopLimitKey::DrainTimeout },
                    (false, false) => StopLimit { time: settings.stop_timeout, by: StopLimitKey::StopTimeout },
                });
            }
            _ => {}
        }
        let (running, ready) = (history.running(now), history.ready);
        self.unsaid.push((id, generation, transition, running, ready));
    }

    /// Writes the lines about what was done. What comes of a failure is said after the failure itself, whose report is
    /// made meanwhile, unless the next generation is faster.
    pub(super) fn say(&mut self) {
        let mut kept: Vec<Line> = Vec::new();
        for line in std::mem::take(&mut self.unsaid) {
            let (id, _, transition, ..) = &line;
            let id = *id;
            if self.slots[id.0].explaining > 0 && is_consequence(transition) {
                kept.push(line);
                continue;
            }
            let earlier = kept.extract_if(.., |(of, ..)| *of == id);
            earlier.chain([line]).for_each(|line| self.say_line(line));
        }
        self.unsaid = kept;
    }

    fn say_line(&self, (id, generation, transition, running, ready): Line) {
        let slot = &self.slots[id.0];
        // One that has left, or was taken back, is gone from the fleet when its end is told.
        let serving = self.fleet.service(id).and_then(|service| service.generation());
        let is_another = generation.0 > 0 && serving.is_some_and(|serving| serving != generation);
        // Where it waits for nothing it has gone on already.
        let service = self.fleet.service(id).filter(|service| service.waits_for_others());
        let waits: Vec<&str> = service.iter().flat_map(|_| self.fleet.unmet(id)).map(|(name, _)| name).collect();
        let subject = tell::Subject {
            service: &slot.settings.name,
            running,
            ready,
            waits: waits.join(", "),
            watched: slot.settings.watch.is_on() && self.trial.is_none(),
            failed: slot.course(generation).is_some_and(|course| course.history.failed),
            generation: generation.0,
            beside: self.fleet.beside(id).is_some() || is_another,
            terminal: self.terminal,
        };
        tell::transition(&subject, &transition);
        if slot.terminal.is_watched()
            && let Some(text) = tell::for_attached(&subject, &transition)
        {
            slot.terminal.note(text);
        }
        if let Some(debugged) = slot.settings_of(generation).debugged.as_ref().filter(|_| is_start(&transition)) {
            tell::debugged(&slot.settings.name, generation.0, debugged);
        }
    }
}

fn is_start(transition: &Transition) -> bool {
    matches!(transition, Transition::State { to: State::Starting, .. })
}

/// What comes after a generation that has failed.
fn is_consequence(transition: &Transition) -> bool {
    match transition {
        Transition::NextAttempt { .. } | Transition::GivenUp { .. } | Transition::BreakerOpened { .. } => true,
        Transition::FailureSpread(_) | Transition::Removed { .. } => true,
        Transition::State { to, .. } => matches!(to, State::BackingOff | State::Open | State::Failed),
        _ => false,
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
