mod canary;
mod renewed;

use super::*;
use crate::core::exit::Ending;
use crate::core::notify::Message;
use crate::core::service::{Generation, NoOverlap, Sender, Transition};
use crate::core::settings::*;

const G1: Generation = Generation(1);
const G2: Generation = Generation(2);
const G3: Generation = Generation(3);
const API: ServiceId = ServiceId(0);

fn ms(millis: u64) -> std::time::Duration {
    std::time::Duration::from_millis(millis)
}

fn settings(mode: PortMode) -> Settings {
    let mut service = ServiceSettings::new("api".to_owned(), vec!["program".into()]);
    let listen = Listen::Tcp("127.0.0.1:8080".parse().unwrap());
    service.ports = vec![PortSettings { mode, ..PortSettings::new("http".to_owned(), listen) }];
    service.ready = Ready::Notify;
    service.drain_timeout = ms(20_000);
    service.restart.backoff = Backoff { initial: ms(200), max: ms(200), factor: 1.0, jitter: Jitter::None };
    Settings { launcher: LauncherSettings::new("shop".to_owned()), services: vec![service], single_command: false }
}

struct Bench {
    fleet: Fleet,
    now: Moment,
}

impl Bench {
    /// One service whose first generation is ready.
    fn new(settings: &Settings) -> Bench {
        let mut bench = Bench { fleet: Fleet::new(settings, 1).unwrap(), now: Moment::ZERO };
        bench.send(FleetEvent::StartAll);
        bench.start(G1);
        bench.become_ready(G1);
        assert_eq!(bench.stands(), (G1, State::Ready, None));
        bench
    }

    fn passing() -> Bench {
        Bench::new(&settings(PortMode::Pass))
    }

    fn sharing() -> Bench {
        Bench::new(&settings(PortMode::Share))
    }

    fn send(&mut self, event: FleetEvent) -> Vec<Action> {
        let mut actions = Vec::new();
        self.fleet.step(self.now, event, &mut actions);
        actions.into_iter().map(|(_, action)| action).collect()
    }

    fn to(&mut self, event: Event) -> Vec<Action> {
        self.send(FleetEvent::Service(API, event))
    }

    fn start(&mut self, of: Generation) {
        self.to(Event::PreflightPassed(of));
        self.to(Event::Spawned(of, 10 + of.0 as i32));
    }

    fn become_ready(&mut self, of: Generation) -> Vec<Action> {
        let said = Box::new(Message { ready: true, ..Message::default() });
        self.to(Event::Notified(of, Sender::Main(1), said))
    }

    fn end(&mut self, of: Generation, ending: Ending) -> Vec<Action> {
        let mut actions = self.to(Event::Exited(of, ending));
        actions.extend(self.to(Event::Emptied(of)));
        actions.extend(self.to(Event::Explained(of)));
        actions
    }

    /// Lets so many milliseconds pass.
    fn pass(&mut self, millis: u64) -> Vec<Action> {
        let end = self.now + ms(millis);
        let mut actions = Vec::new();
        while let Some(at) = self.fleet.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            actions.extend(self.send(FleetEvent::TimePassed));
        }
        self.now = end;
        actions
    }

    /// Which generation serves, how it stands, and what is beside it.
    fn stands(&self) -> (Generation, State, Option<(Generation, Part)>) {
        let service = self.fleet.service(API).unwrap();
        let beside = self.fleet.beside(API).map(|(beside, part, _)| (beside.generation().unwrap(), part));
        (service.generation().unwrap(), service.state(), beside)
    }
}

/// What is told but for changes of state.
fn told(actions: &[Action]) -> Vec<&Transition> {
    let all = actions.iter().filter_map(|action| if let Action::Tell(_, told) = action { Some(told) } else { None });
    all.filter(|told| !matches!(told, Transition::State { .. } | Transition::SignalHeld { .. })).collect()
}

fn has(actions: &[Action], action: &Action) -> bool {
    actions.contains(action)
}

const TERM_1: Action = Action::Stop(G1, Signal::TERM);
const TERM_2: Action = Action::Stop(G2, Signal::TERM);

#[test]
fn the_new_one_takes_the_place_when_it_is_ready_and_the_old_one_drains() {
    let mut bench = Bench::passing();
    let actions = bench.to(Event::RestartRequested);
    assert!(has(&actions, &Action::Check(G2)), "{actions:?}");
    assert_eq!(told(&actions), [&Transition::Restarting { beside: G1, canary: None }]);
    bench.start(G2);
    assert_eq!(bench.stands(), (G1, State::Ready, Some((G2, Part::Successor))));
    let actions = bench.become_ready(G2);
    assert_eq!(told(&actions), [&Transition::Superseded { by: G2, drain: ms(20_000) }]);
    assert!(has(&actions, &TERM_1), "{actions:?}");
    assert_eq!(bench.stands(), (G2, State::Ready, Some((G1, Part::Leaving))));
    // It has longer than stop_timeout, and ends in its own time.
    assert_eq!(bench.pass(19_000), []);
    bench.end(G1, Ending::Code(0));
    assert_eq!(bench.stands(), (G2, State::Ready, None));
    // And what does not drain is reported and killed as ever.
    bench.to(Event::RestartRequested);
    bench.start(G3);
    bench.become_ready(G3);
    let actions = bench.pass(20_000);
    assert!(actions.iter().any(|action| matches!(action, Action::Explain { generation: G2, .. })), "{actions:?}");
    assert!(has(&bench.to(Event::Explained(G2)), &Action::Kill(G2)));
    bench.to(Event::Emptied(G2));
    assert_eq!(bench.stands(), (G3, State::Ready, None));
}

#[test]
fn one_that_is_not_ready_in_time_is_reported_and_removed_and_the_old_one_stays() {
    let mut bench = Bench::passing();
    bench.to(Event::RestartRequested);
    bench.start(G2);
    let actions = bench.pass(30_000);
    assert!(actions.iter().any(|action| matches!(action, Action::Explain { generation: G2, .. })), "{actions:?}");
    assert!(has(&bench.to(Event::Explained(G2)), &TERM_2));
    let actions = bench.end(G2, Ending::Signal(Signal::TERM));
    assert_eq!(told(&actions), [&Transition::Removed { stays: G1, canary: false }]);
    assert_eq!(bench.stands(), (G1, State::Ready, None));
    assert_eq!(bench.fleet.service(API).unwrap().failures(), 0, "it counts for nobody");
    // Numbers never repeat.
    assert!(has(&bench.to(Event::RestartRequested), &Action::Check(G3)));
}

#[test]
fn one_that_ends_at_once_does_not_cost_the_old_one() {
    let mut settings = settings(PortMode::Pass);
    settings.services[0].ready = Ready::Started;
    let mut bench = Bench { fleet: Fleet::new(&settings, 1).unwrap(), now: Moment::ZERO };
    bench.send(FleetEvent::StartAll);
    bench.start(G1);
    bench.to(Event::RestartRequested);
    bench.start(G2);
    bench.pass(900);
    bench.end(G2, Ending::Code(1));
    assert_eq!(bench.stands(), (G1, State::Ready, None));
    bench.to(Event::RestartRequested);
    bench.start(G3);
    assert!(has(&bench.pass(1000), &TERM_1));
    assert_eq!(bench.stands(), (G3, State::Ready, Some((G1, Part::Leaving))));
}

#[test]
fn restarts_at_the_same_time_are_one_and_one_more_follows_what_has_begun() {
    let mut bench = Bench::passing();
    bench.to(Event::RestartRequested);
    // It is only checked: what it will execute is what was wished for.
    assert_eq!(bench.to(Event::RestartRequested), []);
    bench.to(Event::PreflightPassed(G2));
    assert!(!bench.fleet.will_restart_again(API));
    // It was executed: its program may be older than these wishes.
    assert_eq!(told(&bench.to(Event::RestartRequested)), [&Transition::RestartFollows]);
    assert_eq!(bench.to(Event::RestartRequested), []);
    bench.to(Event::Spawned(G2, 12));
    bench.become_ready(G2);
    assert_eq!(bench.stands(), (G2, State::Ready, Some((G1, Part::Leaving))));
    assert!(has(&bench.end(G1, Ending::Code(0)), &Action::Check(G3)));
    bench.start(G3);
    bench.become_ready(G3);
    bench.end(G2, Ending::Code(0));
    assert_eq!(bench.stands(), (G3, State::Ready, None));
}

#[test]
fn when_the_old_one_ends_meanwhile_the_new_one_is_the_service() {
    let mut bench = Bench::passing();
    bench.to(Event::RestartRequested);
    bench.start(G2);
    let actions = bench.end(G1, Ending::Signal(Signal::SEGV));
    let reports = actions.iter().filter(|action| matches!(action, Action::Explain { generation: G1, .. })).count();
    assert_eq!(reports, 1, "{actions:?}");
    assert_eq!(told(&actions), [&Transition::LeftAlone { after: G1 }]);
    assert_eq!(bench.stands(), (G2, State::Starting, None));
    assert_eq!(bench.fleet.exit_code(), None);
    // From here on it is a start as any other: it is tried again when it fails.
    bench.end(G2, Ending::Code(1));
    assert_eq!(bench.stands(), (G2, State::BackingOff, None));
    assert!(has(&bench.pass(200), &Action::Check(G3)));
}

#[test]
fn a_stop_stops_both_and_cuts_a_drain_short() {
    let mut bench = Bench::passing();
    bench.to(Event::RestartRequested);
    bench.start(G2);
    let actions = bench.to(Event::StopRequested(StopCause::Request));
    assert!(has(&actions, &TERM_1) && has(&actions, &TERM_2), "{actions:?}");
    bench.end(G1, Ending::Code(0));
    assert_eq!(bench.fleet.exit_code(), None, "the other one still runs");
    bench.end(G2, Ending::Code(0));
    assert_eq!((bench.stands().1, bench.stands().2), (State::Stopped, None));
    assert_eq!(bench.fleet.exit_code(), None, "a person may start it again");
    bench.send(FleetEvent::StopRequested(StopCause::Request));
    assert_eq!(bench.fleet.exit_code(), Some(0));

    let mut bench = Bench::passing();
    bench.to(Event::RestartRequested);
    bench.start(G2);
    bench.become_ready(G2);
    let actions = bench.to(Event::StopRequested(StopCause::Signal(Signal::TERM)));
    assert!(has(&actions, &TERM_2) && !has(&actions, &TERM_1), "it was asked already: {actions:?}");
    // stop_timeout from now on, not drain_timeout.
    let actions = bench.pass(8_000);
    assert!(actions.iter().any(|action| matches!(action, Action::Explain { generation: G1, .. })), "{actions:?}");
    let actions = bench.to(Event::KillRequested);
    assert!(has(&actions, &Action::Kill(G1)) && has(&actions, &Action::Kill(G2)), "{actions:?}");
}

#[test]
fn one_that_does_not_end_what_it_has_begun_is_told_with_its_own_limit() {
    let mut bench = Bench::passing();
    bench.to(Event::RestartRequested);
    bench.start(G2);
    bench.become_ready(G2);
    let actions = bench.pass(20_000);
    let survived = Transition::Survived { after: ms(20_000), cut: false, drained: true };
    assert!(has(&actions, &Action::Tell(G1, survived)), "{actions:?}");
}

#[test]
fn a_signal_reaches_both_the_one_that_comes_up_once_it_is_ready() {
    let mut bench = Bench::passing();
    bench.to(Event::RestartRequested);
    bench.start(G2);
    let hup = |of| Action::Signal(of, Signal::HUP);
    let actions = bench.to(Event::SignalReceived(Signal::HUP));
    assert!(has(&actions, &hup(G1)) && !has(&actions, &hup(G2)), "{actions:?}");
    assert!(has(&bench.become_ready(G2), &hup(G2)));
}

#[test]
fn what_cannot_overlap_is_stopped_first_and_told_why() {
    let mut bench = Bench::new(&settings(PortMode::Reserve));
    let actions = bench.to(Event::RestartRequested);
    let why = NoOverlap::Port("http".to_owned(), PortMode::Reserve);
    assert_eq!(why.to_string(), r#"its port "http" has mode "reserve", which only one process can listen on"#);
    assert_eq!(told(&actions), [&Transition::RestartsAlone(why)]);
    assert!(has(&actions, &TERM_1));
    assert!(has(&bench.end(G1, Ending::Code(0)), &Action::Check(G2)));

    let cannot = |change: fn(&mut ServiceSettings)| {
        let mut service = settings(PortMode::Pass).services.remove(0);
        change(&mut service);
        service.overlaps().unwrap_err()
    };
    assert_eq!(cannot(|service| service.ports.clear()), NoOverlap::NoPort);
    assert_eq!(cannot(|service| service.interactive = true), NoOverlap::Interactive);
    assert_eq!(cannot(|service| service.ready = Ready::Exited), NoOverlap::Exits);
    assert_eq!(cannot(|service| service.ready = Ready::Tcp("127.0.0.1:1".parse().unwrap())), NoOverlap::Probe);
    assert_eq!(cannot(|service| service.notify.socket = NotifyPlace::At("/run/n".into())), NoOverlap::NotifySocket);
}

/// Found out when the new one is checked, or binds: nothing that it does is held against it.
#[test]
fn one_that_would_not_get_the_port_goes_and_comes_again_when_the_old_one_has_gone() {
    let mut bench = Bench::new(&settings(PortMode::Adopt));
    bench.to(Event::RestartRequested);
    bench.start(G2);
    let actions = bench.send(FleetEvent::PortNotKept(API, "http".to_owned()));
    assert!(has(&actions, &TERM_2) && !has(&actions, &TERM_1), "{actions:?}");
    let actions = bench.end(G2, Ending::Code(1));
    let why = NoOverlap::NotKept("http".to_owned());
    assert_eq!(
        why.to_string(),
        r#"launcher could not keep its port "http" open for it, so only one process can listen"#
    );
    assert_eq!(told(&actions), [&Transition::RestartsAlone(why.clone())]);
    assert!(has(&actions, &TERM_1) && !actions.iter().any(|action| matches!(action, Action::Explain { .. })));
    assert!(has(&bench.end(G1, Ending::Code(0)), &Action::Check(G3)));
    bench.start(G3);
    bench.become_ready(G3);
    // From now on it is known.
    assert_eq!(told(&bench.to(Event::RestartRequested)), [&Transition::RestartsAlone(why)]);
}

/// `on_stop` is for when nothing of it is left.
#[test]
fn what_is_done_at_rest_waits_for_both() {
    let mut settings = settings(PortMode::Pass);
    let target = crate::core::requirement::Target::parse("http://127.0.0.1:1/quit").unwrap();
    settings.services[0].on_stop = Some(OnStop::new(target));
    let mut bench = Bench::new(&settings);
    bench.to(Event::RestartRequested);
    bench.start(G2);
    bench.end(G2, Ending::Code(1));
    bench.to(Event::RestartRequested);
    bench.start(G3);
    bench.become_ready(G3);
    bench.to(Event::StopRequested(StopCause::Request));
    assert!(!has(&bench.end(G3, Ending::Code(0)), &Action::Farewell));
    assert!(has(&bench.end(G1, Ending::Code(0)), &Action::Farewell));
}
