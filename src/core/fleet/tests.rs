use super::*;
use crate::core::exit::Ending;
use crate::core::service::{Generation, Transition};
use crate::core::settings::*;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Services that are ready when they are started, by name and what they come after.
pub fn settings(services: &[(&str, &[&str])]) -> Settings {
    let service = |(name, after): &(&str, &[&str])| {
        let mut service = ServiceSettings::new((*name).to_owned(), vec!["program".into()]);
        service.after = after.iter().map(|name| After::from(*name)).collect();
        service.ready = Ready::Started;
        service.signals.hold = vec![Signal::TERM];
        service.restart.policy = RestartPolicy::Never;
        service.restart.breaker = None;
        service.restart.backoff = Backoff { initial: ms(200), max: ms(200), factor: 1.0, jitter: Jitter::None };
        service
    };
    let launcher = LauncherSettings::new("shop".to_owned());
    Settings { launcher, services: services.iter().map(service).collect(), single_command: false }
}

pub struct Bench {
    pub fleet: Fleet,
    now: Moment,
}

const G1: Generation = Generation(1);
const TERM: FleetEvent = FleetEvent::StopRequested(StopCause::Signal(Signal::TERM));

impl Bench {
    pub fn new(settings: &Settings) -> Bench {
        Bench { fleet: Fleet::new(settings, 1).unwrap(), now: Moment::ZERO }
    }

    /// Services all of which are ready.
    pub fn ready(services: &[(&str, &[&str])]) -> Bench {
        let mut bench = Bench::new(&settings(services));
        bench.send(FleetEvent::StartAll);
        bench.spawn_all(services.len());
        assert!(bench.fleet.services().all(|(_, service)| service.state() == State::Ready));
        bench
    }

    /// Executes so many services, each as soon as it is to be.
    pub fn spawn_all(&mut self, count: usize) {
        while let Some(id) = (0..count).find(|id| self.state(*id) == State::Checking) {
            self.spawn(id);
        }
    }

    /// What is to be done, without what is told.
    pub fn send(&mut self, event: FleetEvent) -> Vec<(usize, Action)> {
        let mut actions = Vec::new();
        self.fleet.step(self.now, event, &mut actions);
        actions.retain(|(_, action)| !matches!(action, Action::Tell(..)));
        actions.into_iter().map(|(id, action)| (id.0, action)).collect()
    }

    pub fn to(&mut self, id: usize, event: Event) -> Vec<(usize, Action)> {
        self.send(FleetEvent::Service(ServiceId(id), event))
    }

    pub fn spawn(&mut self, id: usize) -> Vec<(usize, Action)> {
        self.to(id, Event::PreflightPassed(G1));
        self.to(id, Event::Spawned(G1, 10))
    }

    pub fn end(&mut self, id: usize, ending: Ending) -> Vec<(usize, Action)> {
        self.to(id, Event::Exited(G1, ending));
        let mut actions = self.to(id, Event::Emptied(G1));
        actions.extend(self.to(id, Event::Explained(G1)));
        actions
    }

    /// Lets time pass until so many milliseconds after the start, deadline by deadline.
    pub fn pass_until(&mut self, millis: u64) -> Vec<(usize, Action)> {
        let end = Moment::from_start(ms(millis));
        let mut actions = Vec::new();
        while let Some(at) = self.fleet.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            actions.extend(self.send(FleetEvent::TimePassed));
        }
        self.now = end;
        actions
    }

    pub fn state(&self, id: usize) -> State {
        self.fleet.service(ServiceId(id)).unwrap().state()
    }
}

pub fn term(id: usize) -> (usize, Action) {
    (id, Action::Stop(G1, Signal::TERM))
}

const DB_API: [(&str, &[&str]); 2] = [("db", &[]), ("api", &["db"])];

#[test]
fn the_end_of_the_parent_stops_all_as_a_signal_would_and_hurries_nobody() {
    let mut bench = Bench::ready(&DB_API);
    assert_eq!(bench.send(FleetEvent::ParentEnded), [term(1)], "in reverse");
    assert_eq!(bench.send(FleetEvent::ParentEnded), []);
    assert_eq!(bench.send(TERM), [], "the first that somebody asks for");
    assert_eq!(bench.send(TERM), [term(1)], "the second");
    assert_eq!(bench.end(1, Ending::Signal(Signal::TERM)), [term(0)]);
    bench.end(0, Ending::Signal(Signal::TERM));
    assert_eq!(bench.fleet.exit_code(), Some(0));

    let mut bench = Bench::ready(&DB_API);
    bench.send(TERM);
    bench.send(FleetEvent::ParentEnded);
    assert_eq!(bench.send(TERM), [term(1)], "the second request, not the third, which kills");
}

#[test]
fn nothing_is_started_when_the_parent_has_ended_before() {
    let mut bench = Bench::new(&settings(&DB_API));
    bench.send(FleetEvent::ParentEnded);
    assert_eq!(bench.send(FleetEvent::StartAll), []);
    assert_eq!(bench.fleet.exit_code(), Some(0));
}

#[test]
fn a_circle_is_named_in_full() {
    let error = |services: &[(&str, &[&str])]| Fleet::new(&settings(services), 1).unwrap_err();
    let circle = error(&[("api", &["db"]), ("db", &["api"])]);
    assert!(circle.to_string().ends_with("api → db → api"), "{circle}");
    let own = error(&[("api", &["api"])]);
    assert_eq!(own, OrderError::Cycle(vec!["api".to_owned(), "api".to_owned()]));
    let long = error(&[("web", &["a"]), ("a", &["b", "c"]), ("b", &[]), ("c", &["b", "d"]), ("d", &["a"])]);
    assert!(long.to_string().ends_with(": a → c → d → a"), "{long}");
}

#[test]
fn a_name_that_there_is_not_is_refused() {
    let error = Fleet::new(&settings(&[("api", &["bd"])]), 1).unwrap_err();
    assert_eq!(error.to_string(), r#"service "api" comes after "bd", but there is no service of that name"#);
    let twice = Fleet::new(&settings(&[("api", &[]), ("api", &[])]), 1).unwrap_err();
    assert_eq!(twice, OrderError::Duplicate("api".to_owned()));
    let mut fleet = Fleet::new(&settings(&DB_API), 1).unwrap();
    assert_eq!(fleet.only(&["web"]), Err(OrderError::UnknownService("web".to_owned())));
}

#[test]
fn a_service_starts_when_what_it_needs_is_ready() {
    let mut bench = Bench::new(&settings(&DB_API));
    assert_eq!(bench.send(FleetEvent::StartAll), [(0, Action::Check(G1))]);
    assert_eq!(bench.state(1), State::Waiting);
    bench.to(0, Event::PreflightPassed(G1));
    assert_eq!(bench.to(0, Event::Spawned(G1, 10)), [(0, Action::ReleasePorts(G1)), (1, Action::Check(G1))]);
    assert_eq!(bench.fleet.exit_code(), None);
}

#[test]
fn only_what_is_named_and_what_it_needs_is_started() {
    let mut bench = Bench::new(&settings(&[("db", &[]), ("api", &["db"]), ("web", &["api"]), ("mail", &[])]));
    bench.fleet.only(&["api"]).unwrap();
    bench.send(FleetEvent::StartAll);
    let states = [0, 1, 2, 3].map(|id| bench.state(id));
    assert_eq!(states, [State::Checking, State::Waiting, State::Stopped, State::Stopped]);
}

#[test]
fn a_service_that_is_done_is_as_good_as_ready() {
    let mut settings = settings(&[("migrate", &[]), ("api", &["migrate"])]);
    settings.services[0].ready = Ready::Exited;
    let mut bench = Bench::new(&settings);
    bench.send(FleetEvent::StartAll);
    bench.spawn(0);
    assert_eq!(bench.state(1), State::Waiting);
    bench.end(0, Ending::Code(0));
    assert_eq!((bench.state(0), bench.state(1)), (State::Stopped, State::Checking));
}

#[test]
fn they_stop_in_reverse() {
    let mut bench = Bench::ready(&DB_API);
    assert_eq!(bench.send(TERM), [term(1)]);
    bench.to(1, Event::Exited(G1, Ending::Signal(Signal::TERM)));
    assert_eq!(bench.fleet.exit_code(), None);
    assert_eq!(bench.to(1, Event::Emptied(G1)), [term(0)]);
    bench.end(0, Ending::Signal(Signal::TERM));
    assert_eq!(bench.fleet.exit_code(), Some(0));
    assert_eq!(bench.fleet.next_deadline(), None);
}

#[test]
fn a_level_that_does_not_stop_leaves_the_next_one_its_share() {
    let mut bench = Bench::ready(&DB_API);
    bench.send(TERM);
    // 8.75 s for two levels: 4.375 s each, of which an eighth is for the report.
    let actions = bench.pass_until(4_375);
    assert!(matches!(actions[0].1, Action::Explain { .. }), "{actions:?}");
    assert_eq!(actions[1..], [(1, Action::Kill(G1))]);
    bench.to(1, Event::Exited(G1, Ending::Signal(Signal::KILL)));
    assert_eq!(bench.to(1, Event::Emptied(G1)), [term(0)]);
    assert_eq!(bench.pass_until(8_749).len(), 1, "the report");
    assert_eq!(bench.pass_until(8_750), [(0, Action::Kill(G1))]);
    bench.end(0, Ending::Signal(Signal::KILL));
    assert_eq!(bench.fleet.exit_code(), Some(137));
}

#[test]
fn what_cannot_be_killed_does_not_keep_the_launcher() {
    let mut bench = Bench::ready(&DB_API);
    bench.send(TERM);
    let actions = bench.pass_until(8_999);
    assert!(actions.contains(&(1, Action::Kill(G1))) && actions.contains(&(0, Action::Kill(G1))), "{actions:?}");
    assert_eq!(bench.fleet.exit_code(), None);
    bench.pass_until(9_000);
    assert_eq!(bench.fleet.exit_code(), Some(137));
    assert_eq!(bench.fleet.next_deadline(), None);
}

#[test]
fn the_third_request_kills_all() {
    let mut bench = Bench::ready(&DB_API);
    bench.send(TERM);
    assert_eq!(bench.send(TERM), [term(1)], "only what has been told");
    assert_eq!(bench.send(TERM), [(0, Action::Kill(G1)), (1, Action::Kill(G1))]);
}

#[test]
fn nothing_is_started_while_all_go_down() {
    let mut settings = settings(&DB_API);
    settings.services[0].restart.policy = RestartPolicy::Always;
    let mut bench = Bench::new(&settings);
    bench.send(FleetEvent::StartAll);
    bench.spawn(0);
    bench.spawn(1);
    bench.send(TERM);
    assert_eq!(bench.to(0, Event::StartRequested), []);
    assert_eq!(bench.to(0, Event::RestartRequested), []);
    bench.end(0, Ending::Code(0));
    assert_eq!(bench.state(0), State::Stopped);
    assert_eq!(bench.send(FleetEvent::StartAll), []);
}

#[test]
fn a_failure_that_leaves_others_waiting_for_ever_is_the_launchers() {
    let mut bench = Bench::new(&settings(&[("log", &[]), ("db", &[]), ("api", &["db", "log"])]));
    bench.send(FleetEvent::StartAll);
    bench.spawn(0);
    bench.to(1, Event::PreflightPassed(G1));
    let failure = crate::core::facts::ExecFailure {
        problem: crate::core::facts::ExecProblem::NotFound,
        summary: String::new(),
        advice: vec![],
        errno: None,
    };
    bench.to(1, Event::SpawnFailed(G1, Box::new(failure)));
    let actions = bench.to(1, Event::Explained(G1));
    assert!(actions.contains(&term(0)), "{actions:?}");
    assert_eq!([0, 1, 2].map(|id| bench.state(id)), [State::Stopping, State::Failed, State::Stopped]);
    bench.end(0, Ending::Signal(Signal::TERM));
    assert_eq!(bench.fleet.exit_code(), Some(127));
}

#[test]
fn a_failure_that_nobody_needs_leaves_the_others_running() {
    let mut bench = Bench::ready(&[("mail", &[]), ("api", &[])]);
    bench.end(0, Ending::Code(5));
    assert_eq!((bench.state(0), bench.state(1)), (State::Failed, State::Ready));
    assert_eq!(bench.fleet.exit_code(), None);
    bench.end(1, Ending::Code(0));
    assert_eq!(bench.fleet.exit_code(), Some(5));
}

#[test]
fn the_first_failure_decides_the_exit_code() {
    let mut bench = Bench::ready(&[("a", &[]), ("b", &[]), ("c", &[])]);
    bench.end(2, Ending::Code(0));
    bench.end(1, Ending::Code(4));
    bench.end(0, Ending::Code(3));
    assert_eq!(bench.fleet.exit_code(), Some(4));
}

#[test]
fn stopping_one_stops_those_that_need_it_first() {
    let mut bench = Bench::ready(&[("db", &[]), ("api", &["db"]), ("mail", &[])]);
    assert_eq!(bench.to(0, Event::StopRequested(StopCause::Request)), [term(1)]);
    assert_eq!(bench.end(1, Ending::Code(0)), [term(0)]);
    bench.end(0, Ending::Code(0));
    assert_eq!([0, 1, 2].map(|id| bench.state(id)), [State::Stopped, State::Stopped, State::Ready]);
    assert_eq!(bench.fleet.exit_code(), None);
    assert_eq!(bench.to(1, Event::StartRequested), [(0, Action::Check(Generation(2)))], "with what it needs");
}

#[test]
fn a_signal_is_for_all() {
    let mut bench = Bench::ready(&DB_API);
    let actions = bench.send(FleetEvent::SignalReceived(Signal::HUP));
    assert_eq!(actions, [0, 1].map(|id| (id, Action::Signal(G1, Signal::HUP))));
}

#[test]
fn nothing_to_do_is_done_when_it_is_asked_to_stop() {
    let mut bench = Bench::new(&settings(&DB_API));
    assert_eq!(bench.fleet.exit_code(), None);
    bench.send(TERM);
    assert_eq!(bench.fleet.exit_code(), Some(0));
    let mut actions = Vec::new();
    bench.fleet.step(bench.now, FleetEvent::Service(ServiceId(9), Event::StartRequested), &mut actions);
    assert_eq!(actions, [], "there is no such service");
}

#[test]
fn what_is_told_carries_its_service() {
    let mut fleet = Fleet::new(&settings(&DB_API), 1).unwrap();
    let mut actions = Vec::new();
    fleet.step(Moment::ZERO, FleetEvent::StartAll, &mut actions);
    let waiting = |id| {
        let to = State::Waiting;
        let state = Transition::State { from: State::Stopped, to, generation: None, attempt: 0 };
        (ServiceId(id), Action::Tell(Generation(0), state))
    };
    assert_eq!(actions[..2], [waiting(0), waiting(1)]);
}
