use std::time::Duration;

use super::*;
use crate::core::exit::Ending;
use crate::core::fleet::tests::settings;
use crate::core::fleet::{Fleet, FleetEvent};
use crate::core::report::text::{Style, width};
use crate::core::requirement::Target;
use crate::core::service::{Action, Event, Generation};
use crate::core::settings::{After, ExecProbe, HttpProbe, Ready, RequirementSettings, Settings};

/// A fleet whose start is watched.
struct Bench {
    fleet: Fleet,
    start: StartUp,
    now: Moment,
    progress: Progress,
}

impl Bench {
    fn new(settings: &Settings) -> Bench {
        let fleet = Fleet::new(settings, 1).unwrap();
        let start = StartUp::new(Moment::ZERO, &fleet);
        let mut bench = Bench { fleet, start, now: Moment::ZERO, progress: Progress::Going };
        bench.send(0, FleetEvent::StartAll);
        bench
    }

    /// So many milliseconds after the start this happens.
    fn send(&mut self, at: u64, event: FleetEvent) {
        self.now = Moment::from_start(Duration::from_millis(at));
        let mut actions = Vec::new();
        self.fleet.step(self.now, event, &mut actions);
        for (id, action) in actions {
            if let Action::Tell(_, transition) = action {
                self.start.note(self.now, id, &transition);
            }
        }
        self.progress = self.start.look(self.now, &self.fleet);
    }

    fn to(&mut self, at: u64, id: usize, event: Event) {
        self.send(at, FleetEvent::Service(ServiceId(id), event));
    }

    fn spawn(&mut self, at: u64, id: usize) {
        self.to(at, id, Event::PreflightPassed(Generation(1)));
        self.to(at, id, Event::Spawned(Generation(1), 10));
    }

    fn ready(&mut self, at: u64, id: usize) {
        let message = crate::core::notify::Message::parse(b"READY=1");
        let sender = crate::core::service::Sender::Main(10);
        self.to(at, id, Event::Notified(Generation(1), sender, Box::new(message)));
    }

    fn end(&mut self, at: u64, id: usize, code: i32) {
        self.to(at, id, Event::Exited(Generation(1), Ending::Code(code)));
        self.to(at, id, Event::Emptied(Generation(1)));
        self.to(at, id, Event::Explained(Generation(1)));
    }

    fn lines(&self, width: usize, most: usize) -> Vec<String> {
        self.start.lines(self.now, &self.fleet, Style { width, colour: false }, most)
    }

    fn path(&self) -> String {
        path_text(&self.start.critical_path(&self.fleet))
    }
}

fn notifying(services: &[(&str, &[&str])]) -> Settings {
    let mut settings = settings(services);
    settings.services.iter_mut().for_each(|service| service.ready = Ready::Notify);
    settings
}

#[test]
fn the_critical_path_is_what_the_start_had_to_wait_for() {
    let mut bench = Bench::new(&notifying(&[("cache", &[]), ("db", &[]), ("api", &["db", "cache"]), ("mail", &[])]));
    [0, 1, 3].into_iter().for_each(|id| bench.spawn(0, id));
    bench.ready(100, 0);
    bench.ready(3_500, 3);
    bench.ready(2_900, 1);
    bench.spawn(2_900, 2);
    assert_eq!(bench.progress, Progress::Going);
    bench.ready(4_100, 2);
    assert_eq!(bench.progress, Progress::Done);
    assert_eq!(bench.path(), "db 2.9 s → api 1.2 s");
    assert_eq!(bench.start.took(), Duration::from_millis(4_100));
}

#[test]
fn the_end_of_a_task_counts_where_that_is_waited_for() {
    let mut settings = settings(&[("migrate", &[]), ("api", &[])]);
    settings.services[1].after = vec![After { service: "migrate".into(), until: Until::Exited }];
    let mut bench = Bench::new(&settings);
    bench.spawn(100, 0);
    assert_eq!(bench.lines(80, 9)[1], "· api      waiting               waits for the end of migrate");
    bench.end(2_000, 0, 0);
    bench.spawn(2_000, 1);
    assert_eq!(bench.path(), "migrate 2.0 s → api 0 ms");
    assert_eq!(bench.lines(80, 9)[0], "✓ migrate  done           2.0 s");
}

#[test]
fn a_long_path_names_its_longest_steps() {
    let step =
        |(index, millis): (usize, &u64)| Step { name: format!("s{index}"), took: Duration::from_millis(*millis) };
    let path: Vec<Step> = [9, 8, 1, 1, 7, 6, 5, 1, 4, 3, 2].iter().enumerate().map(step).collect();
    let expected = "s0 9 ms → s1 8 ms → … → s4 7 ms → s5 6 ms → s6 5 ms → … → s8 4 ms → s9 3 ms → s10 2 ms";
    assert_eq!(path_text(&path), expected);
}

#[test]
fn each_service_says_what_it_waits_for_right_now() {
    let mut settings = notifying(&[("db", &[]), ("api", &["db"]), ("web", &["api", "db"])]);
    settings.services[0].requirements = vec![RequirementSettings::new(Target::parse("tcp://127.0.0.1:5432").unwrap())];
    let mut bench = Bench::new(&settings);
    assert!(bench.lines(80, 9)[0].ends_with("checking       0.0 s  is being checked"));
    bench.to(0, 0, Event::PreflightPassed(Generation(1)));
    assert!(bench.lines(80, 9)[0].ends_with("waits for what it requires"));
    let refused = crate::core::requirement::words::connect_trouble("127.0.0.1:5432", 111, "");
    bench.to(2_900, 0, Event::RequirementTried(Generation(1), 0, Err(refused)));
    let lines = [
        "· db   waiting        2.9 s  waits for tcp://127.0.0.1:5432: connection refused by 127.0.0.1:5432",
        "· api  waiting               waits for db",
        "· web  waiting               waits for api, db",
    ];
    assert_eq!(bench.lines(120, 9), lines);
    assert_eq!(bench.lines(30, 9)[1], "· api waits for db");
    assert_eq!(bench.start.sentences(bench.now, &bench.fleet)[1], ("api", "waits for db".to_owned()));
    bench.send(3_000, FleetEvent::TimePassed);
    bench.to(3_000, 0, Event::RequirementTried(Generation(1), 0, Ok(())));
    bench.to(3_000, 0, Event::Spawned(Generation(1), 10));
    assert!(
        bench.lines(120, 9)[0].ends_with("starting       3.0 s  waits for its READY=1"),
        "{:?}",
        bench.lines(120, 9)
    );
    let message = crate::core::notify::Message::parse(b"STATUS=warming \x1b[2Jup");
    let sender = crate::core::service::Sender::Main(10);
    bench.to(3_000, 0, Event::Notified(Generation(1), sender, Box::new(message)));
    let line = &bench.lines(120, 9)[0];
    assert!(line.contains("it says: warming") && !line.contains('\x1b'), "{line}");
}

#[test]
fn each_way_of_being_ready_is_told() {
    let told = |ready| {
        let mut settings = notifying(&[("api", &[])]);
        settings.services[0].ready = ready;
        let mut bench = Bench::new(&settings);
        bench.spawn(0, 0);
        bench.start.sentences(bench.now, &bench.fleet).remove(0).1
    };
    let (url, command) = ("http://127.0.0.1:8080/readyz", vec!["pg_isready".to_owned(), "-q".to_owned()]);
    assert_eq!(told(Ready::Http(Box::new(HttpProbe::new(url.to_owned())))), format!("waits for an answer of {url}"));
    assert_eq!(told(Ready::Log("^up".to_owned())), "waits for a line that matches \"^up\"");
    assert_eq!(told(Ready::Exec(Box::new(ExecProbe::new(command)))), "waits for \"pg_isready -q\" to end with code 0");
    assert_eq!(told(Ready::Fd(3)), "waits for a line on its descriptor 3");
    assert_eq!(told(Ready::Tcp("127.0.0.1:8080".parse().unwrap())), "waits for a connection to 127.0.0.1:8080");
    assert_eq!(told(Ready::Exited), "waits for its end");
}

#[test]
fn no_line_is_wider_than_the_window_and_no_table_is_higher() {
    let names: Vec<String> = (0..30).map(|index| format!("a-service-with-quite-a-long-name-{index}")).collect();
    let services: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &[] as &[&str])).collect();
    let mut bench = Bench::new(&notifying(&services));
    (0..30).for_each(|id| bench.spawn(0, id));
    (0..10).for_each(|id| bench.ready(10, id));
    for columns in [1, 2, 3, 20, 39, 80] {
        for most in [0, 1, 5, 29, 30] {
            let lines = bench.lines(columns, most);
            assert!(
                lines.len() <= most && lines.iter().all(|line| width(line) < columns.max(2)),
                "{columns}: {lines:?}"
            );
        }
    }
    let lines = bench.lines(60, 5);
    assert_eq!((lines.len(), lines[4].trim()), (5, "10 of 30 are ready, 16 more are on their way"));
}

#[test]
fn a_failure_for_good_ends_the_start() {
    let mut bench = Bench::new(&notifying(&[("db", &[]), ("mail", &[])]));
    bench.spawn(0, 0);
    bench.spawn(0, 1);
    bench.end(500, 0, 3);
    assert_eq!(bench.progress, Progress::Going, "mail may still be ready");
    assert!(bench.lines(80, 9)[0].starts_with("✗ db    failed"));
    bench.ready(900, 1);
    assert_eq!(bench.progress, Progress::Broken);
}
