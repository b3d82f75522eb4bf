//! What is simulated: a fleet.

use std::collections::BTreeMap;
use std::sync::Arc;

use launcher::core::fleet::{Fleet, FleetEvent, Percent, Renewal, ServiceId};
use launcher::core::reload::Difference;
use launcher::core::service::{Action, Event, Generation, OutcomeCause, Service, State, Transition};
use launcher::core::settings::*;
use launcher::core::time::Moment;

use crate::random::Random;
use crate::script::{ms, settings, wait_for};
use crate::world::{Stimulus, Subject};

/// launcher.toml with these services.
pub fn file(services: Vec<ServiceSettings>) -> Settings {
    let launcher = LauncherSettings {
        name: "shop".to_owned(),
        report_dir: None,
        log_format: LogFormat::Text,
        log_level: LogLevel::Info,
        ..LauncherSettings::new("shop".to_owned())
    };
    Settings { launcher, services, single_command: false }
}

/// A fleet, and the judge of what holds between its services.
pub struct Several {
    fleet: Fleet,
    /// What launcher.toml says.
    file: Settings,
    /// The services that it has no more.
    removed: Vec<bool>,
    /// The one that was selected, if one was.
    only: Option<usize>,
    after: Vec<Vec<usize>>,
    budget: std::time::Duration,
    /// Since when all are going down because somebody asked.
    going_down: Option<Moment>,
    /// Generations that were killed, and those of which something may run.
    running: BTreeMap<(usize, Generation), bool>,
    /// The newest generation of each service that was started beside another one.
    successors: Vec<Generation>,
    /// Services that somebody wants restarted: they stop for themselves.
    restarted: Vec<bool>,
    /// Services that wait for what they require; in the same state they may wait for others.
    requiring: Vec<bool>,
}

impl Several {
    pub fn new(random: &mut Random) -> Several {
        let count = 2 + random.below(4) as usize;
        let mut after = Vec::new();
        let mut services = Vec::new();
        for index in 0..count {
            let needs: Vec<usize> = (0..index).filter(|_| random.percent(40)).collect();
            let names = needs.iter().map(|need| wait_for(random, *need)).collect();
            services.push(settings(random, format!("s{index}"), names));
            after.push(needs);
        }
        let budget = random.pick(&[ms(500), ms(3000), ms(9000)]);
        let mut file = file(services);
        file.launcher.stop_budget = budget;
        let mut fleet = Fleet::new(&file, random.next()).unwrap();
        let only = random.maybe(20, |random| random.below(count as u64) as usize);
        if let Some(only) = only {
            fleet.only(&[format!("s{only}")]).unwrap();
        }
        let (restarted, requiring, removed) = (vec![false; count], vec![false; count], vec![false; count]);
        let (running, successors) = (BTreeMap::new(), vec![Generation(0); count]);
        Several {
            fleet,
            file,
            removed,
            only,
            after,
            budget,
            going_down: None,
            running,
            successors,
            restarted,
            requiring,
        }
    }

    /// Whether this changes launcher.toml: nobody takes away what another one needs.
    fn changes_file(&self, stimulus: &Stimulus) -> bool {
        let mut services = self.file.services.iter();
        match stimulus {
            Stimulus::Changed(index, _) => !self.removed[*index],
            Stimulus::Added(index, settings) => {
                let there = |after: &After| services.clone().any(|service| service.name == after.service);
                self.removed[*index] && settings.after.iter().all(there)
            }
            Stimulus::Removed(index) => {
                let name = format!("s{index}");
                let needs = |service: &ServiceSettings| service.after.iter().any(|after| after.service == name);
                !self.removed[*index] && !services.any(needs)
            }
            _ => false,
        }
    }

    /// Takes in what launcher.toml says now.
    fn take_in(&mut self, stimulus: &Stimulus) -> Option<FleetEvent> {
        if !self.changes_file(stimulus) {
            return None;
        }
        let anew = self.takes_in(stimulus);
        let services = &mut self.file.services;
        let renewal = match stimulus {
            Stimulus::Changed(index, settings) => {
                *services.iter_mut().find(|service| service.name == settings.name)? = (**settings).clone();
                anew.map(|anew| (*index, Renewal::Changed { settings: Arc::clone(settings), anew }))
            }
            Stimulus::Added(index, settings) => {
                services.push((**settings).clone());
                self.removed[*index] = false;
                Some((*index, Renewal::Added(Arc::clone(settings))))
            }
            Stimulus::Removed(index) => {
                let name = format!("s{index}");
                services.retain(|service| service.name != name);
                self.removed[*index] = true;
                Some((*index, Renewal::Removed))
            }
            _ => None,
        };
        self.fleet.take_in(&self.file, 1).unwrap();
        let renewal = renewal?;
        Some(FleetEvent::Renewed(vec![(ServiceId(renewal.0), renewal.1)]))
    }

    /// What is started has what it needs; what is told to stop has nothing above it that runs.
    fn check_order(&self, stimulus: &Stimulus, actions: &[(usize, Action)]) -> Result<(), String> {
        for (index, action) in actions {
            let Action::Tell(of, Transition::State { from, to, .. }) = action else { continue };
            let beside = self.successors[*index] == *of;
            if (*from, *to) == (State::Waiting, State::Checking) && !self.requiring[*index] && !beside {
                // In the same step a need may have gone on, but then it served in between.
                let untils = self.service(*index).settings().after.iter().map(|after| after.until);
                let unmet = self.after[*index].iter().zip(untils).find(|(need, until)| {
                    let service = self.service(**need);
                    let completed = service.outcome().is_some_and(|of| of.cause == OutcomeCause::Completed);
                    let ready = *until == Until::Ready && service.state() == State::Ready;
                    !(ready || completed || service.settings().ready == Ready::Exited)
                });
                if let Some((need, _)) = unmet {
                    return Err(format!("{index} is started before {need} is ready"));
                }
            }
            let of_its_own = match stimulus {
                Stimulus::Service(of, event) => of == index && !matches!(event, Event::StopRequested(_)),
                Stimulus::RollBack(of) | Stimulus::Promote(of) | Stimulus::Canary(of, _) | Stimulus::NotKept(of) => {
                    of == index
                }
                // Not beside itself, if what was set otherwise forbids that.
                Stimulus::Changed(of, _) => of == index,
                Stimulus::TimePassed => true,
                _ => false,
            };
            let told = *to == State::Stopping && self.service(*index).may_run();
            // One that comes up beside another is nobody's need yet.
            let told = told && !(beside && self.service(*index).generation() != Some(*of));
            if told && !of_its_own && !self.restarted[*index] && !self.is_killed(*index, actions) {
                let mut above = (0..self.after.len()).filter(|above| self.after[*above].contains(index));
                if let Some(above) = above.find(|above| self.service(*above).may_run()) {
                    return Err(format!("{index} is stopped before {above}"));
                }
            }
        }
        Ok(())
    }

    /// Whether `of` is, or needs, directly or not, the other one.
    fn needs(&self, of: usize, other: usize) -> bool {
        of == other || self.after[of].iter().any(|need| self.needs(*need, other))
    }

    fn is_killed(&self, index: usize, actions: &[(usize, Action)]) -> bool {
        actions.iter().any(|(of, action)| *of == index && matches!(action, Action::Kill(_)))
    }

    /// After the budget nothing is left that was not killed, and the launcher may end.
    fn check_budget(&self, now: Moment) -> Result<(), String> {
        let Some(since) = self.going_down else { return Ok(()) };
        let late = ms(4); // of the timer
        let margin = (self.budget / 10).min(ms(250));
        let alive = self.running.iter().find(|(_, killed)| !**killed);
        if let Some((index, _)) = alive.filter(|_| now > since + (self.budget - margin) + late) {
            let (index, of) = index;
            return Err(format!("{of:?} of {index} outlives the stop budget"));
        }
        if now > since + self.budget + late && self.fleet.exit_code().is_none() {
            return Err("the stop budget is over and the launcher does not end".to_owned());
        }
        Ok(())
    }
}

impl Subject for Several {
    fn step(&mut self, now: Moment, stimulus: Stimulus, actions: &mut Vec<(usize, Action)>) {
        let event = match stimulus {
            Stimulus::Service(index, event) => FleetEvent::Service(ServiceId(index), event),
            Stimulus::StartAll => FleetEvent::StartAll,
            Stimulus::Stop(cause) => FleetEvent::StopRequested(cause),
            Stimulus::Signal(signal) => FleetEvent::SignalReceived(signal),
            Stimulus::Canary(index, part) => FleetEvent::CanaryRequested(ServiceId(index), Percent::new(part).unwrap()),
            Stimulus::Promote(index) => FleetEvent::PromoteRequested(ServiceId(index)),
            Stimulus::NotKept(index) => FleetEvent::PortNotKept(ServiceId(index), "http".to_owned()),
            Stimulus::RollBack(index) => FleetEvent::RollbackRequested(ServiceId(index)),
            Stimulus::TimePassed => FleetEvent::TimePassed,
            Stimulus::Changed(..) | Stimulus::Removed(_) | Stimulus::Added(..) => {
                let Some(event) = self.take_in(&stimulus) else { return };
                event
            }
        };
        let mut of_fleet = Vec::new();
        self.fleet.step(now, event, &mut of_fleet);
        actions.extend(of_fleet.into_iter().map(|(id, action)| (id.0, action)));
    }

    fn next_deadline(&self) -> Option<Moment> {
        self.fleet.next_deadline()
    }

    fn service(&self, index: usize) -> &Service {
        self.fleet.service(ServiceId(index)).unwrap()
    }

    fn beside(&self, index: usize) -> Option<&Service> {
        self.fleet.beside(ServiceId(index)).map(|(beside, ..)| beside)
    }

    fn count(&self) -> usize {
        self.after.len()
    }

    fn needs_dependencies(&self) -> bool {
        false
    }

    fn check(&mut self, now: Moment, stimulus: &Stimulus, actions: &[(usize, Action)]) -> Result<(), String> {
        if let Stimulus::Service(index, Event::RestartRequested | Event::StartRequested)
        | Stimulus::Changed(index, _)
        | Stimulus::Added(index, _) = stimulus
        {
            self.restarted[*index] = true;
        }
        if matches!(stimulus, Stimulus::Stop(_)) {
            self.going_down.get_or_insert(now);
        }
        for (index, action) in actions {
            match action {
                Action::Tell(of, Transition::Restarting { .. }) => self.successors[*index] = *of,
                Action::Spawn { generation, .. } => {
                    if self.going_down.is_some() {
                        return Err(format!("{index} is started while all go down"));
                    }
                    self.running.insert((*index, *generation), false);
                }
                Action::Kill(generation) => {
                    self.running.insert((*index, *generation), true);
                }
                Action::Tell(_, Transition::State { to: State::Ready | State::Starting | State::Stopping, .. }) => {}
                Action::Tell(of, Transition::State { .. }) => {
                    // It is over, or another one of the same machine begins.
                    let (main, beside) = (self.service(*index), self.beside(*index));
                    let there = [main.generation(), beside.and_then(Service::generation)];
                    self.running.retain(|(other, number), _| {
                        other != index || (number != of && there.contains(&Some(*number)))
                    });
                    self.restarted[*index] = false;
                }
                _ => {}
            }
        }
        self.check_order(stimulus, actions)?;
        for (index, action) in actions {
            if let Action::Tell(_, Transition::State { from, to, .. }) = action {
                self.requiring[*index] = (*from, *to) == (State::Checking, State::Waiting);
            }
        }
        self.check_budget(now)
    }

    fn event_for(&self, index: usize, stimulus: &Stimulus) -> Option<Event> {
        match stimulus {
            Stimulus::Service(of, event @ (Event::StartRequested | Event::RestartRequested)) => {
                // A service is started with all that it needs, unless all go down.
                let there = !self.removed[*of] && !self.fleet.is_going_down();
                let reached = self.needs(*of, index) && there;
                reached.then(|| if *of == index { event.clone() } else { Event::StartRequested })
            }
            // Whether that reaches the service now is up to those that come after it.
            Stimulus::Service(_, Event::StopRequested(_)) | Stimulus::Stop(_) => None,
            Stimulus::StartAll => {
                let selected = self.only.is_none_or(|only| self.needs(only, index));
                Some(Event::StartRequested).filter(|_| selected && !self.fleet.is_going_down())
            }
            Stimulus::Service(of, event) => (*of == index).then(|| event.clone()),
            Stimulus::Signal(signal) => Some(Event::SignalReceived(*signal)),
            Stimulus::TimePassed => Some(Event::TimePassed),
            Stimulus::Canary(of, part) => {
                let can = self.fleet.can_have_canary(ServiceId(*of)).is_ok() && Percent::new(*part).is_some();
                Some(Event::StartRequested).filter(|_| can && *of != index && self.needs(*of, index))
            }
            Stimulus::Promote(_) | Stimulus::RollBack(_) | Stimulus::NotKept(_) => None,
            Stimulus::Added(of, _) => {
                let added = self.changes_file(stimulus) && !self.fleet.is_going_down();
                Some(Event::StartRequested).filter(|_| added && self.needs(*of, index))
            }
            // Whether it is restarted for that is up to how it stands.
            Stimulus::Changed(..) | Stimulus::Removed(_) => None,
        }
    }

    fn takes_in(&self, stimulus: &Stimulus) -> Option<bool> {
        match stimulus {
            Stimulus::Changed(index, settings) if !self.removed[*index] => {
                let before = self.file.services.iter().find(|service| service.name == settings.name)?;
                let difference = Difference::between(&file(vec![before.clone()]), &file(vec![(**settings).clone()]));
                difference.of(&settings.name).map(|changed| changed.anew)
            }
            Stimulus::Added(..) => self.changes_file(stimulus).then_some(true),
            _ => None,
        }
    }

    fn is_over(&self) -> bool {
        self.fleet.exit_code().is_some()
    }

    fn has_expired(&self) -> bool {
        self.fleet.is_out_of_time() && self.fleet.services().any(|(_, service)| !service.state().is_at_rest())
    }
}
