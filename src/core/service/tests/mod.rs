//! Rule by rule. What holds in every run is shown by the simulator (`tests/simulator`).

mod ends;
mod notify;
mod progress;
mod ready;
mod require;
mod restarts;
mod signals;
mod stops;
mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::core::exit::Ending;
use crate::core::facts::{ExecFailure, ExecProblem, PortFailure, PortProblem, Refusal};
use crate::core::notify::Message;
use crate::core::settings::*;
use crate::core::signal::Signal;

const G1: Generation = Generation(1);
const G2: Generation = Generation(2);
const G3: Generation = Generation(3);

/// A process that does not belong to the service.
const STRANGER: i32 = 666;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A service that says READY=1, is given 30 s to start and 8 s to stop, and is restarted after 200 ms, 400 ms, …
fn usual() -> ServiceSettings {
    let mut service = ServiceSettings::new("api".to_owned(), vec!["./api".into()]);
    service.ready = Ready::Notify;
    service.restart.breaker = None;
    service.restart.backoff.jitter = Jitter::None;
    service
}

fn port(mode: PortMode) -> PortSettings {
    let listen = Listen::Tcp("127.0.0.1:8080".parse().unwrap());
    PortSettings { mode, ..PortSettings::new("http".to_owned(), listen) }
}

fn not_found() -> ExecFailure {
    ExecFailure {
        problem: ExecProblem::NotFound,
        summary: "./api is not there".to_owned(),
        advice: vec![],
        errno: Some(2),
    }
}

fn port_taken() -> Box<Refusal> {
    let PortSettings { name, listen, .. } = port(PortMode::Reserve);
    let summary = "port 8080 is taken".to_owned();
    let problem = PortProblem::Taken;
    Box::new(Refusal::Port(PortFailure { name, listen, problem, owner: None, errno: None, summary, advice: vec![] }))
}

/// A message of the main process.
fn says(generation: Generation, change: impl FnOnce(&mut Message)) -> Event {
    let mut message = Message::default();
    change(&mut message);
    message.attached.main = message.main_pid.map(|pid| (pid, pid != STRANGER));
    Event::Notified(generation, Sender::Main(10), Box::new(message))
}

fn says_ready(generation: Generation) -> Event {
    says(generation, |message| message.ready = true)
}

/// A service and a clock.
struct Bench {
    service: Service,
    now: Moment,
}

impl Bench {
    /// The usual service but for this.
    fn new(change: impl FnOnce(&mut ServiceSettings)) -> Bench {
        let mut settings = usual();
        change(&mut settings);
        Bench { service: Service::new(Arc::new(settings), 1), now: Moment::ZERO }
    }

    /// One whose first generation has been spawned.
    fn spawned(change: impl FnOnce(&mut ServiceSettings)) -> Bench {
        let mut bench = Bench::new(change);
        bench.send(Event::StartRequested);
        bench.send(Event::DependenciesReady);
        bench.spawn(G1);
        bench
    }

    /// One whose first generation is ready.
    fn ready(change: impl FnOnce(&mut ServiceSettings)) -> Bench {
        let mut bench = Bench::spawned(change);
        bench.send(says_ready(G1));
        assert_eq!(bench.state(), State::Ready);
        bench
    }

    /// Everything that comes of an event.
    fn send(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.service.step(self.now, event, &mut actions);
        actions
    }

    /// What is to be done on an event, without what is only told.
    fn act(&mut self, event: Event) -> Vec<Action> {
        let mut actions = self.send(event);
        actions.retain(|action| !matches!(action, Action::Tell(..)));
        actions
    }

    /// What is told on an event, but for changes of state.
    fn told(&mut self, event: Event) -> Vec<Transition> {
        let tell = |action| match action {
            Action::Tell(_, Transition::State { .. }) => None,
            Action::Tell(_, transition) => Some(transition),
            _ => None,
        };
        self.send(event).into_iter().filter_map(tell).collect()
    }

    /// Lets time pass until so many milliseconds after the start, deadline by deadline.
    fn pass_until(&mut self, millis: u64) -> Vec<Action> {
        let end = Moment::from_start(ms(millis));
        let mut actions = Vec::new();
        while let Some(at) = self.service.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            actions.extend(self.send(Event::TimePassed));
        }
        self.now = end;
        actions
    }

    /// The same, without what is only told.
    fn act_until(&mut self, millis: u64) -> Vec<Action> {
        let mut actions = self.pass_until(millis);
        actions.retain(|action| !matches!(action, Action::Tell(..)));
        actions
    }

    /// From `checking` to a running main process.
    fn spawn(&mut self, generation: Generation) {
        self.send(Event::PreflightPassed(generation));
        self.send(Event::Spawned(generation, 10));
    }

    /// Its main process ends, nothing else is left, and the report is written if there is one.
    fn end(&mut self, generation: Generation, ending: Ending) -> Vec<Action> {
        let mut actions = self.send(Event::Exited(generation, ending));
        actions.extend(self.send(Event::Emptied(generation)));
        actions.extend(self.send(Event::Explained(generation)));
        actions
    }

    /// A generation that fails at once, from `checking` on.
    fn fail(&mut self, generation: Generation) -> Vec<Action> {
        self.spawn(generation);
        self.end(generation, Ending::Code(1))
    }

    fn state(&self) -> State {
        self.service.state()
    }

    fn code(&self) -> Option<i32> {
        self.service.outcome().map(|outcome| outcome.code)
    }

    /// When the next deadline comes, in milliseconds after the start.
    fn deadline(&self) -> Option<u128> {
        self.service.next_deadline().map(|at| at.since_start().as_millis())
    }
}

fn occasions(actions: &[Action]) -> Vec<Occasion> {
    let occasion = |action: &Action| match action {
        Action::Explain { occasion, .. } => Some(*occasion),
        _ => None,
    };
    actions.iter().filter_map(occasion).collect()
}

/// The waits that are told of: which attempt comes, after how many failures in a row, and after how many milliseconds.
fn waits(actions: &[Action]) -> Vec<(u32, u32, u128)> {
    let wait = |action: &Action| match action {
        Action::Tell(_, Transition::NextAttempt { attempt, failures, after, .. }) => {
            Some((*attempt, *failures, after.as_millis()))
        }
        _ => None,
    };
    actions.iter().filter_map(wait).collect()
}
