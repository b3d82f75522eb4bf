//! The processes of the world: how they begin, speak, and end.

use std::time::Duration;

use launcher::core::exit::Ending;
use launcher::core::facts::{Refusal, RequirementProblem, Trouble};
use launcher::core::notify::Message;
use launcher::core::service::{Event, Generation, Sender};
use launcher::core::signal::Signal;
use launcher::core::time::Moment;

use crate::script::{Script, ms, script};
use crate::world::{Occurrence, Stimulus, Subject, World};

/// The processes of one generation.
pub struct Processes {
    pub script: Script,
    /// `Spawn` was performed, and its main process has not begun.
    pub coming: bool,
    /// When its preflight was asked for, and whether its requirements are being tried.
    pub checked: Moment,
    pub trying: bool,
    pub main: bool,
    pub members: Vec<bool>,
    pub killed: bool,
    pub probing: bool,
    pub watching: bool,
    pub looked_at: bool,
    /// When its keeper's last message arrives: they arrive in order.
    pub channel: Moment,
}

impl Processes {
    pub fn alive(&self) -> bool {
        self.main || self.members.contains(&true)
    }
}

impl<S: Subject> World<S> {
    /// The main process begins, or cannot.
    pub fn begin(&mut self, index: usize, generation: Generation) {
        let Some(processes) = self.processes.get_mut(&(index, generation)) else { return };
        processes.coming = false;
        if let Some(failure) = processes.script.spawn.1.take() {
            return self.keeper_says(index, generation, Event::SpawnFailed(generation, Box::new(failure)));
        }
        processes.main = true;
        processes.members = vec![true; processes.script.rest.len()];
        let says = std::mem::take(&mut processes.script.says);
        let (ends, vanishes) = (processes.script.ends, processes.script.vanishes);
        let killed = processes.killed.then_some(processes.script.dies);
        self.keeper_says(index, generation, Event::Spawned(generation, 1));
        for (after, who, message) in says {
            self.at(after, Occurrence::Says(index, generation, who, message));
        }
        if let Some((after, ending)) = ends {
            self.at(after, Occurrence::MainEnds(index, generation, ending));
        }
        if let Some(after) = vanishes {
            self.at(after, Occurrence::Vanishes(index, generation));
        }
        if let Some(after) = killed {
            self.at(after, Occurrence::Dies(index, generation));
        }
    }

    pub fn main_ends(&mut self, index: usize, generation: Generation, ending: Ending) {
        let Some(processes) = self.processes.get_mut(&(index, generation)) else { return };
        if !std::mem::take(&mut processes.main) {
            return;
        }
        let alive = processes.alive();
        self.keeper_says(index, generation, Event::Exited(generation, ending));
        if !alive {
            self.keeper_says(index, generation, Event::Emptied(generation));
        }
    }

    pub fn say(&mut self, index: usize, generation: Generation, who: u8, message: Message) {
        let Some(processes) = self.processes.get(&(index, generation)) else { return };
        let (sender, alive) = match who {
            0 => (Sender::Main(1), processes.main),
            1 => (Sender::Member(2), processes.members.contains(&true)),
            _ => (Sender::Stranger(99), true),
        };
        if alive {
            self.soon(index, Event::Notified(generation, sender, Box::new(message)));
        }
    }

    pub fn check(&mut self, index: usize, generation: Generation) {
        let mut script = script(&mut self.random);
        let (after, refusal) = std::mem::replace(&mut script.preflight, (Duration::ZERO, None));
        let processes = Processes {
            script,
            coming: false,
            checked: self.now,
            trying: false,
            main: false,
            members: vec![],
            killed: false,
            probing: false,
            watching: false,
            looked_at: false,
            channel: self.now,
        };
        self.processes.insert((index, generation), processes);
        let event = match refusal {
            Some(refusal) => Event::PreflightFailed(generation, Box::<Refusal>::new(refusal)),
            None => Event::PreflightPassed(generation),
        };
        self.at(after, Occurrence::Reaches { stimulus: Stimulus::Service(index, event), genuine: true });
    }

    /// A requirement is tried: it answers, refuses, or says nothing until the try has taken too long.
    pub fn try_requirement(&mut self, index: usize, generation: Generation, requirement: usize, limit: Duration) {
        let takes = if self.random.percent(10) { limit } else { self.random.delay(ms(20)).min(limit) };
        let Some(processes) = self.processes.get_mut(&(index, generation)) else { return };
        processes.trying = true;
        let there = processes.script.requirements.get(requirement).copied().flatten();
        let answers = there.is_some_and(|after| self.now + takes >= processes.checked + after);
        let trouble = Trouble::new(RequirementProblem::Refused, "connection refused");
        let outcome = if answers && takes < limit { Ok(()) } else { Err(trouble) };
        self.at(takes, Occurrence::Tried(index, Event::RequirementTried(generation, requirement, outcome)));
    }

    /// At most one live generation of a service, and two while they overlap: told by the processes themselves.
    pub fn spawn(&mut self, index: usize, generation: Generation) -> Result<(), String> {
        let all = (index, Generation(0))..=(index, Generation(u64::MAX));
        let others = self.processes.range(all).filter(|(_, of)| of.alive() || of.coming).count();
        if others > usize::from(self.subject.beside(index).is_some()) {
            return Err(format!("{generation:?} of service {index} is started while {others} others live"));
        }
        let Some(processes) = self.processes.get_mut(&(index, generation)) else { return Ok(()) };
        processes.coming = true;
        let after = processes.script.spawn.0;
        self.at(after, Occurrence::Begins(index, generation));
        Ok(())
    }

    pub fn signal(&mut self, index: usize, generation: Generation, signal: Signal) {
        let ends = [Signal::TERM, Signal::INT, Signal::QUIT, Signal::ABRT].contains(&signal);
        let Some(processes) = self.processes.get(&(index, generation)).filter(|of| of.main && ends) else { return };
        if let Some((after, ending)) = processes.script.stops {
            let ending = ending.unwrap_or(Ending::Signal(signal));
            self.at(after, Occurrence::MainEnds(index, generation, ending));
        }
    }

    pub fn signal_rest(&mut self, index: usize, generation: Generation) {
        let Some(processes) = self.processes.get(&(index, generation)) else { return };
        for (member, after) in processes.script.rest.clone().into_iter().enumerate().take(processes.members.len()) {
            if let Some(after) = after {
                self.at(after, Occurrence::MemberEnds(index, generation, member));
            }
        }
    }
}
