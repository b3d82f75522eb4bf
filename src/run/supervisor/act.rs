//! What people ask to be done: passed on to the core as events, and answered when it has come about.

use std::sync::Arc;

use tokio::sync::oneshot;
use tracing::info;

use crate::core::control::command::{meant, refuse};
use crate::core::control::{Answer, Before, Outcome, Pending, Verb};
use crate::core::diagnosis::diagnose;
use crate::core::facts::{Facts, Occasion};
use crate::core::fleet::{FleetEvent, ServiceId};
use crate::core::report::{Meta, Report};
use crate::core::service::{Generation, StopCause};
use crate::core::time::Moment;
use crate::run::control::Reply;
use crate::run::{environment, log};
use crate::sys::environment::inherited;
use crate::sys::{clock, dump, procfs, sock_diag};

use super::{Supervisor, spawn};

/// How many dumps are taken at a time for those who ask.
const MOST_DUMPS: usize = 2;

/// Where an answer goes.
type Ear = oneshot::Sender<Reply>;

/// Those who wait for what they asked to come about.
#[derive(Default)]
pub struct Waiting {
    commands: Vec<(Pending, Ear)>,
    /// For the end of the launcher.
    end: Vec<Ear>,
}

impl Waiting {
    /// When [`Supervisor::look_at_commands`] is to be called though nothing has happened.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.commands.iter().filter_map(|(pending, _)| pending.next_deadline()).min()
    }
}

impl Supervisor {
    /// Does what is asked of one service. Whoever asked is answered at once, or when it has come about.
    pub(super) fn command(&mut self, service: &str, verb: Verb, wait: bool, ear: Ear) {
        let Some(id) = self.fleet.find(service) else {
            let _ = ear.send(Reply::Whole(Answer::text(404, format!("there is no service {service}\n"))));
            return;
        };
        let serving = self.fleet.service(id).and_then(|service| service.generation());
        let live = serving.and_then(|generation| self.slots[id.0].live(generation));
        let main = live.and_then(|live| live.main);
        // Where it cannot be seen, nothing speaks against it.
        let caught = main.and_then(procfs::caught_signals);
        let catches = |signal| caught.is_none_or(|set| set.contains(signal));
        let verb = meant(&self.fleet, id, verb, catches);
        if let Some(outcome) = refuse(&self.fleet, id, verb, catches) {
            let _ = ear.send(Reply::Whole(outcome.answer()));
            return;
        }
        if matches!(verb, Verb::Canary(_))
            && let Some(why) = self.cannot_steer(id)
        {
            let refused = self.fleet.service(id).map(|service| Outcome::refused(service, verb, why));
            let _ = refused.map(|refused| ear.send(Reply::Whole(refused.answer())));
            return;
        }
        let Some(event) = self.fleet.service(id).and_then(|service| verb.event(id, service)) else {
            let _ = ear.send(self.dump(id));
            return;
        };
        let what = match verb {
            Verb::Canary(percent) => format!("a canary of {service} with {}% of new connections", percent.get()),
            verb => format!("{} of {service}", verb.name()),
        };
        info!(service, event = "asked", command = verb.name(), "{what} was asked for");
        self.note_asked(id, serving, verb);
        let before = Before::of(&self.fleet, &self.control.ledger, id);
        self.feed(event);
        let pending = Pending::new(clock::now(), &self.fleet, id, verb, before);
        if wait {
            self.control.waiting.commands.push((pending, ear));
            self.look_at_commands();
        } else if let Some(outcome) = pending.passed_on(&self.fleet) {
            let _ = ear.send(Reply::Whole(outcome.answer()));
        }
    }

    /// Remembers that a signal is asked for, not passed on: it may be held, and sent later.
    fn note_asked(&mut self, id: ServiceId, serving: Option<Generation>, verb: Verb) {
        let slot = &mut self.slots[id.0];
        let signals = &slot.settings.signals;
        let asked = match verb {
            Verb::Signal(signal) => signals.sent_for(signal),
            Verb::Reload => signals.sent_for(slot.settings.reload_signal),
            _ => None,
        };
        if let Some((signal, course)) = asked.zip(serving.and_then(|serving| slot.course_mut(serving))) {
            course.history.asked = course.history.asked.with(signal);
        }
    }

    /// Stops all services, and with them the launcher.
    pub(super) fn stop_all(&mut self, wait: bool, ear: Ear) {
        info!(event = "asked", command = "stop", "the end of launcher was asked for");
        match wait {
            true => self.control.waiting.end.push(ear),
            false => {
                let _ = ear.send(Reply::Whole(Answer::text(202, "all services are being stopped\n")));
            }
        }
        self.feed(FleetEvent::StopRequested(StopCause::Request));
    }

    /// Tells those whose command has come about, or cannot any more. Who has gone away is forgotten.
    pub(super) fn look_at_commands(&mut self) {
        if self.control.waiting.commands.is_empty() {
            return;
        }
        let now = clock::now();
        let mut commands = std::mem::take(&mut self.control.waiting.commands);
        let mut told = Vec::new();
        commands.retain_mut(|(pending, ear)| {
            if ear.is_closed() {
                return false;
            }
            let outcome = pending.look(now, &self.fleet, &self.control.ledger);
            let waits = outcome.is_none();
            told.extend(outcome.map(|outcome| (outcome, std::mem::replace(ear, oneshot::channel().0))));
            waits
        });
        self.control.waiting.commands = commands;
        for (outcome, ear) in told {
            let _ = ear.send(Reply::Whole(outcome.answer()));
        }
    }

    /// The launcher ends with this code: whoever waited for that is told.
    pub(super) fn tell_the_end(&mut self, code: i32) {
        self.look_at_commands();
        self.forget_reloads();
        for ear in std::mem::take(&mut self.control.waiting.end) {
            let outcome = Outcome::ended(&self.settings.launcher.name, code);
            let _ = ear.send(Reply::Whole(outcome.answer()));
        }
    }

    /// The stacks of a service and what it is waiting for, as `launcher dump PID` finds them, as a report.
    fn dump(&self, id: ServiceId) -> Reply {
        let slot = &self.slots[id.0];
        let service = self.fleet.service(id);
        let course = service.and_then(|service| slot.course(service.generation()?));
        let live = course.and_then(|course| course.live.as_ref());
        let pids = live.map(|live| live.keeper.members()).unwrap_or_default();
        let mut facts = Facts::new(slot.settings.name.clone(), Occasion::Requested);
        facts.command = course.map(|course| spawn::command_for_people(slot, course.generation)).unwrap_or_default();
        facts.terminal = slot.settings.terminal;
        facts.elapsed = course.and_then(|course| course.history.running(clock::now())).unwrap_or_default();
        let meta = Meta {
            generation: course.filter(|_| live.is_some()).map_or(0, |course| course.generation.0),
            attempt: service.map_or(0, |service| service.attempt()),
            time: log::utc_now(),
            timeline: course.map(|course| course.history.timeline.clone()).unwrap_or_default(),
        };
        let files = course.map(|course| course.files.variables.clone()).unwrap_or_default();
        let settings = course.map_or(&slot.settings, |course| &course.settings).clone();
        let turn = self.control.dumps.clone();
        if Arc::strong_count(&turn) > MOST_DUMPS + 1 {
            return Reply::Whole(Answer::text(503, "other dumps are being taken, try again\n"));
        }
        Reply::OnThread(Box::new(move || {
            let _turn = turn;
            facts.listening = sock_diag::all_listening_of(&pids);
            facts.processes = dump::dump(&pids, &dump::Options::default());
            let files = files.iter().map(|(name, value)| (name, value));
            facts.secrets = environment::secrets(inherited(), files.chain(&settings.environment));
            let diagnosis = diagnose(&facts);
            Answer::json(200, Report::assemble(&facts, diagnosis, meta).to_json())
        }))
    }
}
