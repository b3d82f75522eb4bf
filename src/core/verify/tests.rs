use super::*;
use crate::core::exit::Ending;
use crate::core::facts::{ListeningFacts, RequirementFacts, RequirementProblem};
use crate::core::fleet::FleetEvent;
use crate::core::service::{Action, Event, Generation, StopCause};
use crate::core::settings::{HttpProbe, LauncherSettings, PortSettings, Ready, ServiceSettings};

const G1: Generation = Generation(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Ready when an address answers.
fn probed() -> Ready {
    Ready::Tcp("127.0.0.1:8080".parse().unwrap())
}

/// A trial of services, by name and how they are known to be ready.
struct Bench {
    fleet: Fleet,
    trial: Trial,
    now: Moment,
    orders: Vec<Order>,
}

impl Bench {
    fn new(services: &[(&str, Ready)], plan: Plan) -> Bench {
        let service = |(name, ready): &(&str, Ready)| {
            let mut service = ServiceSettings::new((*name).to_owned(), vec!["program".into()]);
            service.ready = ready.clone();
            service
        };
        let launcher = LauncherSettings::new("shop".to_owned());
        let declared = Settings { launcher, services: services.iter().map(service).collect(), single_command: false };
        let mut settings = declared.clone();
        settings_of_trial(&mut settings);
        let trial = Trial::new(Moment::ZERO, &declared, plan, ms(3));
        let mut bench =
            Bench { fleet: Fleet::new(&settings, 1).unwrap(), trial, now: Moment::ZERO, orders: Vec::new() };
        bench.feed(FleetEvent::StartAll);
        bench
    }

    fn feed(&mut self, event: FleetEvent) {
        let mut actions = Vec::new();
        self.fleet.step(self.now, event, &mut actions);
        for (id, action) in actions {
            if let Action::Tell(_, transition) = action {
                self.trial.heard(self.now, id, &transition);
            }
        }
        let order = self.trial.look(self.now, &self.fleet);
        self.obey(order);
    }

    fn obey(&mut self, order: Option<Order>) {
        self.orders.extend(order);
        if order == Some(Order::Stop) {
            self.feed(FleetEvent::StopRequested(StopCause::Request));
        }
    }

    fn to(&mut self, id: usize, event: Event) {
        self.feed(FleetEvent::Service(ServiceId(id), event));
    }

    /// Executes the service, each phase before taking 10 ms.
    fn spawn(&mut self, id: usize) {
        self.after(10);
        self.to(id, Event::PreflightPassed(G1));
        self.after(10);
        self.trial.spawned(self.now, ServiceId(id));
        self.to(id, Event::Spawned(G1, 10));
    }

    fn end(&mut self, id: usize, ending: Ending) {
        self.to(id, Event::Exited(G1, ending));
        self.to(id, Event::Emptied(G1));
        self.to(id, Event::Explained(G1));
    }

    fn after(&mut self, millis: u64) {
        self.now = self.now + ms(millis);
        self.feed(FleetEvent::TimePassed);
    }

    fn expected(&mut self, met: bool) {
        let fact = RequirementFacts {
            url: "http://h/".to_owned(),
            tried: "an HTTP request".to_owned(),
            met,
            tries: 2,
            waited_ms: 5000,
            problem: Some(RequirementProblem::Answer),
            last_error: Some("it answers with status 503".to_owned()),
            breaker_open: false,
        };
        let order = self.trial.expected(self.now, &[fact]);
        self.obey(order);
    }

    fn finish(self) -> Record {
        let code = self.fleet.exit_code().expect("everything has ended");
        self.trial.finish(self.now, &self.fleet, "shop", code)
    }
}

fn plan(hold: Option<u64>, expects: bool) -> Plan {
    Plan { hold: hold.map(ms), expects }
}

fn statuses(record: &Record) -> Vec<Status> {
    record.phases.iter().map(|phase| phase.status).collect()
}

use Status::{Failed, Passed, Skipped};

#[test]
fn what_is_ready_is_stopped_and_every_phase_has_its_time() {
    let mut bench = Bench::new(&[("a", probed()), ("b", probed())], plan(None, false));
    bench.spawn(0);
    bench.to(0, Event::ProbeSucceeded(G1));
    bench.spawn(1);
    assert_eq!(bench.orders, []);
    bench.after(100);
    bench.to(1, Event::ProbeSucceeded(G1));
    assert_eq!(bench.orders, [Order::Stop]);
    bench.after(7);
    bench.end(0, Ending::Signal(Signal::TERM));
    bench.end(1, Ending::Code(0));
    let record = bench.finish();
    assert_eq!((record.exit_code, record.passed, record.failed_phase), (0, true, None));
    let times: Vec<u128> = record.phases.iter().map(|phase| phase.elapsed.as_millis()).collect();
    // b was checked while a was started and ready.
    assert_eq!(times, [3, 30, 0, 20, 100, 7]);
    assert_eq!(record.services[1].ready_after, Some(ms(140)));
    assert!(record.text().ends_with("launcher: shop starts, becomes ready and stops (147 ms)\n"), "{}", record.text());
}

#[test]
fn a_service_that_ends_before_it_is_ready_fails_its_phase_and_is_not_started_again() {
    let mut bench = Bench::new(&[("a", Ready::Notify), ("b", Ready::Notify)], plan(None, false));
    bench.spawn(0);
    bench.spawn(1);
    bench.end(0, Ending::Code(3));
    assert_eq!(bench.orders, [Order::Stop]);
    bench.end(1, Ending::Signal(Signal::TERM));
    let record = bench.finish();
    assert_eq!((record.exit_code, record.failed_phase), (3, Some(Phase::Ready)));
    assert_eq!(statuses(&record), [Passed, Passed, Passed, Passed, Failed, Passed]);
    // One that ends with 0 and has not said that it is ready has not done what it was to do.
    let mut bench = Bench::new(&[("a", Ready::Notify)], plan(None, false));
    bench.spawn(0);
    bench.end(0, Ending::Code(0));
    assert_eq!(bench.finish().exit_code, 124);
}

#[test]
fn what_nothing_shows_to_be_ready_is_watched_for_a_second() {
    let mut bench = Bench::new(&[("a", Ready::Started)], plan(None, false));
    bench.spawn(0);
    assert_eq!(bench.orders, []);
    bench.after(999);
    assert_eq!(bench.orders, []);
    let mut other = Bench::new(&[("a", Ready::Started)], plan(None, false));
    other.spawn(0);
    other.after(500);
    other.end(0, Ending::Code(1));
    let record = other.finish();
    assert_eq!((record.exit_code, record.failed_phase), (1, Some(Phase::Ready)));
    bench.after(1);
    assert_eq!(bench.orders, [Order::Stop]);
}

#[test]
fn what_is_to_end_may_and_what_is_to_stay_may_not() {
    let ends = |ready: Ready, hold| {
        let mut bench = Bench::new(&[("a", ready)], plan(hold, false));
        bench.spawn(0);
        bench.end(0, Ending::Code(0));
        let record = bench.finish();
        (record.exit_code, record.failed_phase)
    };
    assert_eq!(ends(Ready::Exited, None), (0, None));
    assert_eq!(ends(Ready::Exited, Some(10_000)), (0, None));
    assert_eq!(ends(Ready::Started, None), (0, None));
    assert_eq!(ends(Ready::Started, Some(10_000)), (124, Some(Phase::Ready)));
}

#[test]
fn what_is_expected_must_come_true_and_still_be_true_after_a_while() {
    let ready = |plan| {
        let mut bench = Bench::new(&[("a", probed())], plan);
        bench.spawn(0);
        bench.to(0, Event::ProbeSucceeded(G1));
        assert_eq!(bench.orders, [Order::Expect]);
        bench
    };
    let mut bench = ready(plan(None, true));
    bench.expected(true);
    assert_eq!(bench.orders, [Order::Expect, Order::Stop]);
    bench.end(0, Ending::Code(0));
    assert_eq!(bench.finish().exit_code, 0);
    let mut bench = ready(plan(None, true));
    bench.expected(false);
    bench.end(0, Ending::Code(0));
    let record = bench.finish();
    assert_eq!((record.exit_code, record.failed_phase), (124, Some(Phase::Ready)));
    let summary = "--expect http://h/: it answers with status 503 (2 tries in 5.0 s)";
    assert_eq!(record.phases[4].failures[0].summary, summary);
    let mut bench = ready(plan(Some(2000), true));
    bench.expected(true);
    bench.after(1999);
    assert_eq!(bench.orders, [Order::Expect]);
    bench.after(1);
    assert_eq!(bench.orders, [Order::Expect, Order::Expect]);
    bench.expected(false);
    bench.end(0, Ending::Code(0));
    let record = bench.finish();
    assert!(record.phases[4].failures[0].summary.contains("after it had come true"), "{record:?}");
}

#[test]
fn a_service_that_does_not_stop_well_fails_the_stop() {
    let stopped = |ending| {
        let mut bench = Bench::new(&[("a", probed())], plan(None, false));
        bench.spawn(0);
        bench.to(0, Event::ProbeSucceeded(G1));
        bench.end(0, ending);
        let record = bench.finish();
        (record.exit_code, record.failed_phase)
    };
    assert_eq!(stopped(Ending::Code(143)), (0, None));
    assert_eq!(stopped(Ending::Code(1)), (1, Some(Phase::Stop)));
    assert_eq!(stopped(Ending::Signal(Signal::SEGV)), (139, Some(Phase::Stop)));
}

#[test]
fn an_interruption_is_no_pass() {
    let mut bench = Bench::new(&[("a", probed())], plan(None, false));
    bench.spawn(0);
    bench.trial.interrupted(bench.now, Signal::INT);
    bench.feed(FleetEvent::StopRequested(StopCause::Signal(Signal::INT)));
    bench.feed(FleetEvent::StopRequested(StopCause::Signal(Signal::INT)));
    bench.end(0, Ending::Signal(Signal::INT));
    let record = bench.finish();
    assert_eq!((record.exit_code, record.failed_phase), (130, Some(Phase::Ready)));
}

#[test]
fn what_was_not_reached_is_skipped() {
    let mut bench = Bench::new(&[("a", probed())], plan(None, false));
    bench.after(10);
    let refusal = crate::core::facts::Refusal::Exec(crate::core::facts::ExecFailure {
        problem: crate::core::facts::ExecProblem::NotFound,
        summary: "a is not there".to_owned(),
        advice: vec![],
        errno: None,
    });
    bench.to(0, Event::PreflightFailed(G1, Box::new(refusal)));
    bench.to(0, Event::Explained(G1));
    let record = bench.finish();
    assert_eq!((record.exit_code, record.failed_phase), (127, Some(Phase::Preflight)));
    assert_eq!(statuses(&record), [Passed, Failed, Skipped, Skipped, Skipped, Skipped]);
}

/// A trial whose port is declared on 8080 and tried on 40000.
fn moved_bench(ready: Ready, declared: &str) -> Bench {
    let listen = |text: &str| crate::core::config::listen::listen(text).unwrap();
    let mut bench = Bench::new(&[("a", probed())], plan(None, false));
    let mut service = ServiceSettings::new("a".to_owned(), vec!["program".into()]);
    (service.ready, service.ports) = (ready, vec![PortSettings::new("http".to_owned(), listen(declared))]);
    let launcher = LauncherSettings::new("shop".to_owned());
    let file = Settings { launcher, services: vec![service], single_command: false };
    let tried = listen("127.0.0.1:40000");
    let moved = moved::Move { service: "a".into(), port: "http".into(), declared: listen(declared), tried };
    bench.trial = Trial::new(Moment::ZERO, &file, plan(None, false), ms(3)).with_moves(&file, &[moved]);
    bench
}

fn listens_on(places: &[&str]) -> Vec<ListeningFacts> {
    let listen = |place: &&str| crate::core::config::listen::listen(place).unwrap();
    places.iter().map(|place| ListeningFacts { listen: listen(place), pid: 10 }).collect()
}

#[test]
fn a_service_that_keeps_to_its_declared_port_is_not_waited_for() {
    let mut bench = moved_bench(Ready::Listen, "0.0.0.0:8080");
    let places = bench.trial.declared_places(ServiceId(0));
    let places: Vec<String> = places.iter().map(ToString::to_string).collect();
    assert_eq!(places, ["tcp://0.0.0.0:8080", "tcp://127.0.0.1:8080", "tcp://[::1]:8080"]);
    bench.spawn(0);
    for other in [&["127.0.0.1:9000"][..], &["127.0.0.1:8080", "0.0.0.0:40000"], &["udp://127.0.0.1:8080"], &[]] {
        assert_eq!(bench.trial.stayed(bench.now, ServiceId(0), &listens_on(other), false), None, "{other:?}");
    }
    // What it says does not make it ready.
    let order = bench.trial.stayed(bench.now, ServiceId(0), &listens_on(&["127.0.0.1:8080"]), true);
    assert_eq!(order, Some(Order::Stop));
    bench.obey(order);
    bench.end(0, Ending::Signal(Signal::TERM));
    let record = bench.finish();
    assert_eq!((record.exit_code, record.failed_phase), (124, Some(Phase::Ready)));
    let failure = &record.phases[Phase::Ready as usize].failures[0];
    assert_eq!((failure.cause.as_str(), failure.confidence), ("listening-elsewhere", Some("certain")));
    let summary = "a (pid 10) listens on tcp://127.0.0.1:8080, where its port http is declared, and not on \
                   tcp://127.0.0.1:40000, where --ports auto has put it";
    assert_eq!(failure.summary, summary);
}

#[test]
fn a_service_that_may_still_say_ready_is_waited_for_longer_and_for_good_once_it_says_something() {
    let declared = listens_on(&["127.0.0.1:8080"]);
    let mut bench = moved_bench(Ready::Auto, "127.0.0.1:8080");
    bench.spawn(0);
    let grace = bench.trial.grace(ServiceId(0));
    assert!(grace > moved_bench(Ready::Listen, "127.0.0.1:8080").trial.grace(ServiceId(0)) && grace < ms(30_000));
    assert_eq!(bench.trial.stayed(bench.now, ServiceId(0), &declared, true), None);
    let order = bench.trial.stayed(bench.now, ServiceId(0), &declared, false);
    assert_eq!(order, Some(Order::Stop));
    bench.obey(order);
    bench.end(0, Ending::Signal(Signal::TERM));
    let record = bench.finish();
    let failure = &record.phases[Phase::Ready as usize].failures[0];
    assert!(failure.evidence.iter().any(|line| line.contains("nothing on its notify socket")), "{failure:?}");
    assert!(failure.advice.iter().any(|line| line.contains("--ready notify")), "{failure:?}");
}

#[test]
fn a_service_that_is_ready_by_something_else_may_keep_to_its_port() {
    let places = |ready: Ready| moved_bench(ready, "127.0.0.1:8080").trial.declared_places(ServiceId(0)).len();
    let http = |url: &str| Ready::Http(Box::new(HttpProbe::new(url.to_owned())));
    let tcp = |address: &str| Ready::Tcp(address.parse().unwrap());
    for awaited in [Ready::Auto, Ready::Listen, probed(), http("http://localhost:8080/"), http("http://h:{port.http}/")]
    {
        assert_eq!(places(awaited.clone()), 1, "{awaited:?}");
    }
    for other in [Ready::Notify, Ready::Started, tcp("127.0.0.1:9000"), http("http://localhost:9000/")] {
        assert_eq!(places(other.clone()), 0, "{other:?}");
    }
}
