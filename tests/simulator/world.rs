//! A world in virtual time: processes, keepers, people. It answers the actions of the core with events, each after a
//! delay that is left to chance.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use launcher::core::exit::Ending;
use launcher::core::notify::Message;
use launcher::core::progress::Sign;
use launcher::core::service::{Action, Event, Generation, Service, State, StopCause, Transition};
use launcher::core::settings::ServiceSettings;
use launcher::core::signal::{Signal, SignalSet};
use launcher::core::time::Moment;

use crate::coverage::Coverage;
use crate::processes::Processes;
use crate::random::Random;
use crate::script::ms;
use crate::seats::Seats;

/// What is simulated: one service, or a fleet of them.
pub trait Subject {
    fn step(&mut self, now: Moment, stimulus: Stimulus, actions: &mut Vec<(usize, Action)>);
    fn next_deadline(&self) -> Option<Moment>;
    fn service(&self, index: usize) -> &Service;
    /// The generation beside the one that serves.
    fn beside(&self, _: usize) -> Option<&Service> {
        None
    }
    fn count(&self) -> usize;
    /// Whether `DependenciesReady` has to come from outside.
    fn needs_dependencies(&self) -> bool;
    /// What must hold for all of it after a step.
    fn check(&mut self, now: Moment, stimulus: &Stimulus, actions: &[(usize, Action)]) -> Result<(), String>;
    /// Which event of its own a service gets by this.
    fn event_for(&self, index: usize, stimulus: &Stimulus) -> Option<Event>;
    /// Whether a change of launcher.toml is one, and then whether what runs has to be started anew for it.
    fn takes_in(&self, stimulus: &Stimulus) -> Option<bool>;
    /// Whether the launcher may end.
    fn is_over(&self) -> bool;
    /// Whether it ends with something that could not be killed.
    fn has_expired(&self) -> bool;
}

/// Something that happens to the subject.
#[derive(Debug, Clone)]
pub enum Stimulus {
    Service(usize, Event),
    Canary(usize, u8),
    Promote(usize),
    RollBack(usize),
    NotKept(usize),
    /// launcher.toml sets this service otherwise.
    Changed(usize, Arc<ServiceSettings>),
    /// launcher.toml has it no more.
    Removed(usize),
    /// And has it again.
    Added(usize, Arc<ServiceSettings>),
    StartAll,
    Stop(StopCause),
    Signal(Signal),
    TimePassed,
}

/// Something that happens in the world.
#[derive(Debug)]
pub enum Occurrence {
    /// It reaches the subject. Not genuine: for the second time.
    Reaches {
        stimulus: Stimulus,
        genuine: bool,
    },
    /// A requirement was tried; nobody hears of it when the trying was left off.
    Tried(usize, Event),
    Begins(usize, Generation),
    MainEnds(usize, Generation, Ending),
    MemberEnds(usize, Generation, usize),
    Says(usize, Generation, u8, Message),
    Listens(usize, Generation),
    Handles(usize, Generation, SignalSet),
    GetsOn(usize, Generation),
    Dies(usize, Generation),
    Vanishes(usize, Generation),
}

/// All of it.
pub struct World<S> {
    pub subject: S,
    pub random: Random,
    pub now: Moment,
    queue: BinaryHeap<Reverse<(Moment, u64, usize)>>,
    occurrences: Vec<Option<Occurrence>>,
    pub processes: BTreeMap<(usize, Generation), Processes>,
    pub seats: Vec<Option<Seats>>,
    /// What the subject waits for since its last step.
    deadline: Option<Moment>,
    /// The deadline that is waited for, and when the timer goes off: a little late at times.
    timer: Option<(Moment, Moment)>,
    /// How often in a row time has passed and a deadline was left behind.
    left_behind: usize,
    pub coverage: Coverage,
    trace: bool,
}

impl<S: Subject> World<S> {
    pub fn new(subject: S, random: Random, trace: bool) -> World<S> {
        let seats = (0..subject.count())
            .map(|index| Some(Seats::new(Arc::new(subject.service(index).settings().clone()))))
            .collect();
        World {
            subject,
            random,
            now: Moment::ZERO,
            queue: BinaryHeap::new(),
            occurrences: Vec::new(),
            processes: BTreeMap::new(),
            seats,
            deadline: None,
            timer: None,
            left_behind: 0,
            coverage: Coverage::default(),
            trace,
        }
    }

    /// Lives through a start, some people's doings, and a last stop.
    pub fn run(&mut self) -> Result<(), String> {
        let horizon = self.random.pick(&[ms(300), ms(4000), ms(20_000)]);
        self.at(Duration::ZERO, Occurrence::Reaches { stimulus: Stimulus::StartAll, genuine: true });
        for _ in 0..self.random.pick(&[0, 1, 2, 6, 15]) {
            let stimulus = self.somebodys_wish();
            let delay = self.random.delay(horizon);
            self.at(delay, Occurrence::Reaches { stimulus, genuine: true });
        }
        for _ in 0..self.random.pick(&[1, 1, 2, 3]) {
            let stimulus = Stimulus::Stop(self.stop_cause());
            let delay = horizon + self.random.delay(ms(6000));
            self.at(delay, Occurrence::Reaches { stimulus, genuine: true });
        }
        for _ in 0..50_000 {
            if self.subject.has_expired() {
                return Ok(());
            }
            if !self.go_on()? {
                return self.end();
            }
        }
        Err("it never comes to an end".to_owned())
    }

    /// Nothing is left to happen: everything must be at rest, and no process left.
    fn end(&self) -> Result<(), String> {
        for index in 0..self.subject.count() {
            let state = self.subject.service(index).state();
            if !state.is_at_rest() || self.subject.beside(index).is_some() {
                return Err(format!("service {index} is left in {state:?}"));
            }
        }
        match self.processes.iter().find(|(_, processes)| processes.alive()) {
            Some((of, _)) => Err(format!("processes of {of:?} are left")),
            None if !self.subject.is_over() => Err("the launcher could not end".to_owned()),
            None => Ok(()),
        }
    }

    /// The next thing that happens. False when there is none.
    fn go_on(&mut self) -> Result<bool, String> {
        let deadline = self.deadline;
        if self.timer.map(|(deadline, _)| deadline) != deadline {
            let late = self.random.maybe(20, |random| random.delay(ms(3))).unwrap_or_default();
            self.timer = deadline.map(|deadline| (deadline, deadline.max(self.now) + late));
        }
        let next = self.queue.peek().map(|Reverse((at, ..))| *at);
        if let Some((_, at)) = self.timer.filter(|(_, at)| next.is_none_or(|next| *at <= next)) {
            self.now = at;
            self.timer = None;
            self.reach(Stimulus::TimePassed, true)?;
            return self.judge_deadlines().map(|()| true);
        }
        let Some(Reverse((at, _, index))) = self.queue.pop() else { return Ok(false) };
        self.now = at;
        let Some(occurrence) = self.occurrences[index].take() else { return Ok(true) };
        self.happen(occurrence)?;
        Ok(true)
    }

    /// After time has passed every deadline lies ahead, but for those that services have set for each other.
    fn judge_deadlines(&mut self) -> Result<(), String> {
        let left = self.deadline.is_some_and(|deadline| deadline <= self.now);
        self.left_behind = if left { self.left_behind + 1 } else { 0 };
        if self.left_behind >= self.subject.count() {
            return Err("a deadline is left behind".to_owned());
        }
        Ok(())
    }

    pub fn at(&mut self, delay: Duration, occurrence: Occurrence) {
        self.queue.push(Reverse((self.now + delay, self.random.next(), self.occurrences.len())));
        self.occurrences.push(Some(occurrence));
    }

    /// An event reaches the subject soon.
    pub fn soon(&mut self, index: usize, event: Event) {
        let delay = self.random.delay(ms(5));
        self.at(delay, Occurrence::Reaches { stimulus: Stimulus::Service(index, event), genuine: true });
    }

    /// The keeper of a generation says something: in order.
    pub fn keeper_says(&mut self, index: usize, generation: Generation, event: Event) {
        let soon = self.now + self.random.delay(ms(5));
        let Some(processes) = self.processes.get_mut(&(index, generation)) else { return };
        processes.channel = soon.max(processes.channel + Duration::from_nanos(1));
        let delay = processes.channel.since(self.now);
        self.at(delay, Occurrence::Reaches { stimulus: Stimulus::Service(index, event), genuine: true });
    }

    fn happen(&mut self, occurrence: Occurrence) -> Result<(), String> {
        match occurrence {
            Occurrence::Reaches { stimulus, genuine } => return self.reach(stimulus, genuine),
            Occurrence::Tried(index, event) => {
                let of = event.generation().and_then(|of| self.processes.get(&(index, of)));
                if of.is_some_and(|of| of.trying) {
                    return self.reach(Stimulus::Service(index, event), true);
                }
            }
            Occurrence::Begins(index, generation) => self.begin(index, generation),
            Occurrence::MainEnds(index, generation, ending) => self.main_ends(index, generation, ending),
            Occurrence::MemberEnds(index, generation, member) => {
                let Some(processes) = self.processes.get_mut(&(index, generation)) else { return Ok(()) };
                if std::mem::take(&mut processes.members[member]) && !processes.alive() {
                    self.keeper_says(index, generation, Event::Emptied(generation));
                }
            }
            Occurrence::Says(index, generation, who, message) => self.say(index, generation, who, message),
            Occurrence::Listens(index, generation) => {
                if self.processes.get(&(index, generation)).is_some_and(|of| of.probing && of.alive()) {
                    self.soon(index, Event::ProbeSucceeded(generation));
                }
            }
            Occurrence::Handles(index, generation, handled) => {
                if self.processes.get(&(index, generation)).is_some_and(|of| of.watching && of.main) {
                    self.soon(index, Event::HandlersSeen(generation, handled));
                }
            }
            Occurrence::GetsOn(index, generation) => {
                if self.processes.get(&(index, generation)).is_some_and(|of| of.looked_at && of.alive()) {
                    self.soon(index, Event::Progressed(generation, vec![Sign::Wrote]));
                }
            }
            Occurrence::Dies(index, generation) => {
                let Some(processes) = self.processes.get_mut(&(index, generation)) else { return Ok(()) };
                let left = processes.alive();
                processes.members.fill(false);
                if processes.main {
                    self.main_ends(index, generation, Ending::Signal(Signal::KILL));
                } else if left {
                    self.keeper_says(index, generation, Event::Emptied(generation));
                }
            }
            Occurrence::Vanishes(index, generation) => {
                let Some(processes) = self.processes.get_mut(&(index, generation)) else { return Ok(()) };
                let left = processes.alive();
                processes.members.fill(false);
                processes.main = false;
                if left {
                    self.keeper_says(index, generation, Event::Emptied(generation));
                }
            }
        }
        Ok(())
    }

    /// Something reaches the subject: it takes a step, which is judged and performed.
    fn reach(&mut self, stimulus: Stimulus, genuine: bool) -> Result<(), String> {
        if let Stimulus::Service(index, Event::DependenciesReady) = stimulus
            && !self.subject.service(index).waits_for_others()
        {
            return Ok(()); // whoever orders services looks first
        }
        let mut actions = Vec::new();
        if self.trace {
            eprintln!("{:?} {stimulus:?}{}", self.now, if genuine { "" } else { " (again)" });
        }
        if let Stimulus::Changed(index, settings) | Stimulus::Added(index, settings) = &stimulus
            && let Some(anew) = self.subject.takes_in(&stimulus)
            && let Some(seats) = &mut self.seats[*index]
        {
            seats.renew(self.now, settings, anew);
        }
        let events: Vec<_> = (0..self.seats.len()).map(|index| self.subject.event_for(index, &stimulus)).collect();
        self.subject.step(self.now, stimulus.clone(), &mut actions);
        self.deadline = self.subject.next_deadline();
        if self.trace {
            actions.iter().for_each(|(index, action)| eprintln!("      {index}: {action:?}"));
        }
        self.judge(&events, genuine, &actions)?;
        self.subject.check(self.now, &stimulus, &actions)?;
        if let Stimulus::Service(index, event) = &stimulus
            && genuine
            && event.generation().is_some()
            && self.random.percent(4)
        {
            let delay = self.random.delay(ms(5000));
            let stimulus = Stimulus::Service(*index, event.clone());
            self.at(delay, Occurrence::Reaches { stimulus, genuine: false });
        }
        actions.into_iter().try_for_each(|(index, action)| self.perform(index, action))
    }

    /// New connections go only where somebody serves.
    fn steer(&self, index: usize, to: Generation, canary: Option<(Generation, u8)>) -> Result<(), String> {
        let service = self.subject.service(index);
        let beside = self.subject.beside(index).map(|beside| (beside.generation(), beside.state()));
        // In the same step it may have been told to stop.
        let served = matches!(service.state(), State::Ready | State::Stopping);
        let serves = service.generation() == Some(to) && served;
        let shares =
            canary.is_none_or(|(of, part)| beside == Some((Some(of), State::Ready)) && (1..100).contains(&part));
        if serves && shares { Ok(()) } else { Err(format!("connections to {to:?} and {canary:?} are lost")) }
    }

    fn perform(&mut self, index: usize, action: Action) -> Result<(), String> {
        match action {
            Action::Check(generation) => self.check(index, generation),
            Action::Spawn { generation, .. } => return self.spawn(index, generation),
            Action::Probe(generation) => {
                let Some(processes) = self.processes.get_mut(&(index, generation)) else { return Ok(()) };
                processes.probing = true;
                if let Some(after) = processes.script.listens {
                    self.at(after, Occurrence::Listens(index, generation));
                }
            }
            Action::Try { generation, requirement, limit } => {
                self.try_requirement(index, generation, requirement, limit);
            }
            Action::StopTrying(generation) => {
                let Some(processes) = self.processes.get_mut(&(index, generation)) else { return Ok(()) };
                processes.trying = false;
            }
            Action::WatchHandlers(generation) => {
                let Some(processes) = self.processes.get_mut(&(index, generation)) else { return Ok(()) };
                processes.watching = true;
                for (after, handled) in std::mem::take(&mut processes.script.handlers) {
                    self.at(after, Occurrence::Handles(index, generation, handled));
                }
            }
            Action::WatchProgress(generation) => {
                let Some(processes) = self.processes.get_mut(&(index, generation)) else { return Ok(()) };
                processes.looked_at = true;
                for after in std::mem::take(&mut processes.script.gets_on) {
                    self.at(after, Occurrence::GetsOn(index, generation));
                }
            }
            Action::StopProbing(generation) => {
                let Some(of) = self.processes.get_mut(&(index, generation)) else { return Ok(()) };
                (of.probing, of.watching, of.looked_at) = (false, false, false);
            }
            Action::Signal(generation, signal) | Action::Stop(generation, signal) => {
                self.signal(index, generation, signal)
            }
            // None of them ignores anything.
            Action::HangUp(generation, None) => self.signal(index, generation, Signal::HUP),
            Action::HangUp(_, Some(_)) => {}
            Action::SignalRest(generation, _) => self.signal_rest(index, generation),
            Action::Kill(generation) => {
                let Some(processes) = self.processes.get_mut(&(index, generation)) else { return Ok(()) };
                processes.killed = true;
                let dies = processes.script.dies;
                self.at(dies, Occurrence::Dies(index, generation));
            }
            Action::Explain { generation, .. } => {
                let explains = self.processes.get(&(index, generation)).and_then(|of| of.script.explains);
                if let Some(after) = explains {
                    let stimulus = Stimulus::Service(index, Event::Explained(generation));
                    self.at(after, Occurrence::Reaches { stimulus, genuine: true });
                }
            }
            Action::Tell(_, Transition::State { to: State::Waiting, .. }) if self.subject.needs_dependencies() => {
                self.soon(index, Event::DependenciesReady);
            }
            Action::Steer { to, canary } => return self.steer(index, to, canary),
            Action::ReleasePorts(_)
            | Action::FollowMain(..)
            | Action::StoreDescriptors { .. }
            | Action::ForgetDescriptors(..)
            | Action::CloseDescriptors
            | Action::Farewell
            | Action::Tell(..) => {}
        }
        Ok(())
    }
}
