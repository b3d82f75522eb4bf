//! A trial (`launcher verify`): what the loop tells it, and what it has the loop do.

use std::sync::Arc;

use tokio::time::sleep;

use crate::core::facts::{ListeningFacts, RequirementFacts};
use crate::core::fleet::{FleetEvent, ServiceId};
use crate::core::report::text;
use crate::core::service::{Generation, StopCause};
use crate::core::settings::{Listen, PortSettings, RequirementSettings};
use crate::core::signal::Signal;
use crate::core::time::Moment;
use crate::core::verify::moved::{self, Move};
use crate::core::verify::{Order, Record, Told, Trial};
use crate::run::require::patience;
use crate::sys::{clock, sock_diag};

use super::inbox::{Explained, Happening, Task};
use super::{Supervisor, above, probe};

/// A trial with what it needs of the world.
pub struct Watched {
    /// What decides.
    pub trial: Trial,
    /// What is expected of services that are ready, with `{port.NAME}` and declared ports as they are now.
    expectations: Vec<RequirementSettings>,
    trying: Option<Task>,
}

impl Watched {
    /// When it is to be looked at though nothing has happened.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.trial.next_deadline()
    }
}

impl Supervisor {
    /// All that runs is a trial from here on. No service manager is told of it: nothing starts for good.
    pub fn try_out(&mut self, trial: Trial, expectations: Vec<RequirementSettings>) {
        self.manager = above::Manager::none();
        self.trial = Some(Watched { trial, expectations, trying: None });
    }

    /// What came of the trial, once everything has ended with this code.
    pub fn judge_trial(&mut self, launcher_code: i32) -> Option<Record> {
        let name = &self.settings.launcher.name;
        self.trial.take().map(|watched| watched.trial.finish(clock::now(), &self.fleet, name, launcher_code))
    }

    /// Picks free ports before anything is started, so that their numbers are known: for those that are `auto`, and with
    /// `all` for every declared one, on the same address. What refers to one that was moved so in this file follows it:
    /// `ready.tcp` and requirements.
    pub fn pick_ports(&mut self, all: bool) -> Vec<Move> {
        let mut moves = Vec::new();
        for slot in &mut self.slots {
            slot.ports.pick_free(all);
            let places = slot.settings.ports.iter().zip(slot.ports.places());
            let was_moved = |port: &PortSettings, now: &Listen| port.listen.port().is_some() && port.listen != *now;
            for (port, listen) in places.filter(|(port, now)| was_moved(port, now)) {
                moves.push(Move {
                    service: slot.settings.name.clone(),
                    port: port.name.clone(),
                    declared: port.listen.clone(),
                    tried: listen.clone(),
                });
            }
        }
        for slot in &mut self.slots {
            moved::follow(Arc::make_mut(&mut slot.settings), &moves);
        }
        moves
    }

    /// The number of each port that has one, with its service and its name.
    pub fn port_numbers(&self) -> Vec<(String, String, u16)> {
        let of_slot = |slot: &super::Slot| {
            let name = slot.settings.name.clone();
            let numbers = slot.ports.numbers().into_iter();
            numbers.map(move |(port, number)| (name.clone(), port.to_owned(), number)).collect::<Vec<_>>()
        };
        self.slots.iter().flat_map(of_slot).collect()
    }

    /// Lets the trial see how it stands, and does what it says.
    pub(super) fn look_at_trial(&mut self) {
        let Some(watched) = &mut self.trial else { return };
        let order = watched.trial.look(clock::now(), &self.fleet);
        self.obey_trial(order);
    }

    fn obey_trial(&mut self, order: Option<Order>) {
        match order {
            None => {}
            Some(Order::Stop) => {
                if let Some(watched) = &mut self.trial {
                    watched.trying = None;
                }
                self.pending.push_back(FleetEvent::StopRequested(StopCause::Request));
            }
            Some(Order::Expect) => {
                let outbox = self.outbox.clone();
                let Some(watched) = &mut self.trial else { return };
                let expectations = watched.expectations.clone();
                watched.trying = Some(Task::start(async move {
                    let facts = patience::until_met(&expectations, |_| {}).await;
                    let _ = outbox.send(Happening::Expected(facts));
                }));
            }
        }
    }

    pub(super) fn expected(&mut self, facts: &[RequirementFacts]) {
        let Some(watched) = &mut self.trial else { return };
        let order = watched.trial.expected(clock::now(), facts);
        self.obey_trial(order);
        self.feed(FleetEvent::TimePassed);
    }

    pub(super) fn trial_spawned(&mut self, now: Moment, id: ServiceId) {
        if let Some(watched) = &mut self.trial {
            watched.trial.spawned(now, id);
        }
    }

    /// Looks whether a service comes to listen where its ports are declared, though they are elsewhere.
    pub(super) fn watch_declared_ports(&mut self, id: ServiceId, generation: Generation) {
        let Some(watched) = &self.trial else { return };
        let (places, grace) = (watched.trial.declared_places(id), watched.trial.grace(id));
        let outbox = self.outbox.clone();
        let Some(live) = self.slots[id.0].live_mut(generation).filter(|_| !places.is_empty()) else { return };
        let keeper = live.keeper.clone();
        live.probes.push(Task::start(async move {
            probe::listening_anywhere(keeper.clone(), places).await;
            sleep(grace).await;
            let listening = sock_diag::all_listening_of(&keeper.members());
            let _ = outbox.send(Happening::Stayed(id, generation, listening));
        }));
    }

    pub(super) fn trial_stayed(&mut self, id: ServiceId, generation: Generation, listening: &[ListeningFacts]) {
        // One that is ready or stopping is not looked at any more.
        let looked_at = self.slots[id.0].live(generation).is_some_and(|live| !live.probes.is_empty());
        let spoke = self.slots[id.0].course(generation).is_some_and(|course| course.history.spoken_to);
        let Some(watched) = self.trial.as_mut().filter(|_| looked_at) else { return };
        let order = watched.trial.stayed(clock::now(), id, listening, spoke);
        self.obey_trial(order);
        self.feed_pending();
    }

    pub(super) fn trial_explained(&mut self, id: ServiceId, explained: &Explained) {
        let generation = Generation(explained.report.generation);
        let limit = self.limit_of(id, generation, explained.report.kind);
        if let Some(watched) = &mut self.trial {
            let report = &explained.report;
            let headline = text::headline(report, limit);
            let path = explained.path.as_ref().ok().map(|path| path.display().to_string());
            watched.trial.explained(id, Told { headline, verdict: report.verdict.clone(), report: path });
        }
    }

    pub(super) fn trial_interrupted(&mut self, signal: Signal) {
        if let Some(watched) = &mut self.trial {
            watched.trial.interrupted(clock::now(), signal);
        }
    }
}
