use std::collections::BTreeMap;

use super::*;
use crate::core::exit::Ending;
use crate::core::fleet::FleetEvent;
use crate::core::notify::Message;
use crate::core::service::{Action, Sender};
use crate::core::settings::{
    Jitter, LauncherSettings, Listen, PortMode, PortSettings, Ready, ServiceSettings, Settings,
};

const API: ServiceId = ServiceId(0);

fn at(millis: u64) -> Moment {
    Moment::from_start(Duration::from_millis(millis))
}

/// A launcher with one service that says READY=1, and what is remembered of it.
struct Bench {
    fleet: Fleet,
    ledger: Ledger,
    now: Moment,
}

impl Bench {
    fn new(change: impl FnOnce(&mut ServiceSettings)) -> Bench {
        let mut service = ServiceSettings::new("api".to_owned(), vec!["program".into()]);
        service.ready = Ready::Notify;
        service.restart.breaker = None;
        service.restart.backoff.jitter = Jitter::None;
        change(&mut service);
        let launcher = LauncherSettings::new("shop".to_owned());
        let fleet = Fleet::new(&Settings { launcher, services: vec![service], single_command: false }, 1).unwrap();
        let mut bench = Bench { fleet, ledger: Ledger::new(1, at(0)), now: at(0) };
        bench.send(FleetEvent::StartAll);
        bench
    }

    /// Its first generation is ready.
    fn ready() -> Bench {
        Bench::ready_with(|_| {})
    }

    fn ready_with(change: impl FnOnce(&mut ServiceSettings)) -> Bench {
        let mut bench = Bench::new(change);
        bench.starts(1);
        bench.says(1, |message| message.ready = true);
        bench
    }

    fn send(&mut self, event: FleetEvent) {
        let mut actions: Vec<(ServiceId, Action)> = Vec::new();
        self.fleet.step(self.now, event, &mut actions);
        actions.iter().for_each(|(id, action)| self.ledger.see(self.now, *id, action));
    }

    fn to(&mut self, event: Event) {
        self.send(FleetEvent::Service(API, event));
    }

    fn starts(&mut self, generation: u64) {
        self.to(Event::PreflightPassed(Generation(generation)));
        self.to(Event::Spawned(Generation(generation), 10));
    }

    fn says(&mut self, generation: u64, change: impl FnOnce(&mut Message)) {
        let mut message = Message::default();
        change(&mut message);
        self.to(Event::Notified(Generation(generation), Sender::Main(10), Box::new(message)));
    }

    fn ends(&mut self, generation: u64, ending: Ending) {
        self.to(Event::Exited(Generation(generation), ending));
        self.to(Event::Emptied(Generation(generation)));
        self.to(Event::Explained(Generation(generation)));
    }

    fn reported(&mut self, generation: u64, kind: Occasion, exit_code: i32) {
        let summary = "it waits for the database".to_owned();
        let (generation, time) = (Generation(generation), String::new());
        self.ledger
            .explained(API, Finding { generation, kind, cause: "unknown", summary, time, path: None, exit_code });
    }

    fn state(&self) -> State {
        self.fleet.service(API).unwrap().state()
    }

    /// Asks for something that is not refused.
    fn ask(&mut self, verb: Verb) -> Pending {
        assert_eq!(refuse(&self.fleet, API, verb, |_| true), None);
        let before = Before::of(&self.fleet, &self.ledger, API);
        let event = verb.event(API, self.fleet.service(API).unwrap()).unwrap();
        self.send(event);
        Pending::new(self.now, &self.fleet, API, verb, before)
    }

    /// What came of it: done or not, the exit code, the sentence.
    fn look(&self, pending: &mut Pending) -> Option<(bool, i32, String)> {
        let outcome = pending.look(self.now, &self.fleet, &self.ledger)?;
        assert_eq!(outcome.done, outcome.exit_code == 0);
        Some((outcome.done, outcome.exit_code, outcome.message))
    }
}

fn done(text: &str) -> Option<(bool, i32, String)> {
    Some((true, 0, text.to_owned()))
}

fn failed(code: i32, text: &str) -> Option<(bool, i32, String)> {
    Some((false, code, text.to_owned()))
}

#[test]
fn a_restart_is_over_when_the_next_generation_is_ready() {
    let mut bench = Bench::ready();
    let mut restart = bench.ask(Verb::Restart);
    assert_eq!((bench.look(&mut restart), bench.state()), (None, State::Stopping));
    bench.ends(1, Ending::Signal(Signal::TERM));
    bench.starts(2);
    assert_eq!(bench.look(&mut restart), None);
    bench.now = at(1500);
    bench.says(2, |message| message.ready = true);
    assert_eq!(bench.look(&mut restart), done("api is ready after 1.5 s"));
}

#[test]
fn or_when_it_has_failed_with_its_verdict() {
    let mut bench = Bench::ready();
    let mut restart = bench.ask(Verb::Restart);
    bench.ends(1, Ending::Signal(Signal::TERM));
    bench.starts(2);
    bench.ends(2, Ending::Code(3));
    assert_eq!((bench.look(&mut restart), bench.state()), (None, State::BackingOff), "its report is about to come");
    bench.reported(1, Occasion::Exited, 9);
    bench.reported(2, Occasion::StopTimeout, 9);
    assert_eq!(bench.look(&mut restart), None, "reports of other things");
    bench.reported(2, Occasion::Exited, 3);
    assert_eq!(bench.look(&mut restart), failed(3, "api did not become ready: it waits for the database"));
    // An exit with 0 is no success of a start.
    bench.reported(2, Occasion::Exited, 0);
    assert_eq!(bench.look(&mut restart).unwrap().1, 124);
}

#[test]
fn a_report_that_never_comes_is_not_waited_for_for_ever() {
    let mut bench = Bench::ready();
    let mut restart = bench.ask(Verb::Restart);
    bench.ends(1, Ending::Signal(Signal::TERM));
    bench.starts(2);
    bench.ends(2, Ending::Code(3));
    assert_eq!((bench.look(&mut restart), restart.next_deadline()), (None, Some(at(5000))));
    bench.now = at(5000);
    assert_eq!(bench.look(&mut restart), failed(124, "api did not become ready"));
}

#[test]
fn a_restart_of_what_waits_is_its_next_start() {
    let mut bench = Bench::new(|_| {});
    assert_eq!(bench.state(), State::Checking);
    let mut restart = bench.ask(Verb::Restart);
    bench.starts(1);
    bench.says(1, |message| message.ready = true);
    assert!(bench.look(&mut restart).unwrap().0, "a preflight that had begun is as good as a new one");

    bench.ends(1, Ending::Code(3));
    assert_eq!(bench.state(), State::BackingOff);
    let mut restart = bench.ask(Verb::Restart);
    bench.starts(2);
    bench.says(2, |message| message.ready = true);
    assert!(bench.look(&mut restart).unwrap().0);
}

#[test]
fn what_is_stopped_by_a_person_stays_so_and_the_launcher_with_it() {
    let mut bench = Bench::ready();
    let mut stop = bench.ask(Verb::Stop);
    assert_eq!(bench.look(&mut stop), None);
    bench.ends(1, Ending::Signal(Signal::TERM));
    assert_eq!(bench.look(&mut stop), done("api has stopped"));
    assert_eq!((bench.fleet.exit_code(), bench.state()), (None, State::Stopped));
    let mut again = bench.ask(Verb::Stop);
    assert_eq!(bench.look(&mut again), done("api was not running"));

    let mut start = bench.ask(Verb::Start);
    bench.starts(2);
    bench.says(2, |message| message.ready = true);
    assert_eq!(bench.look(&mut start), done("api is ready after 0 ms"));
    let mut again = bench.ask(Verb::Start);
    assert_eq!(bench.look(&mut again), done("api is ready already"));

    let mut stop = bench.ask(Verb::Stop);
    bench.ends(2, Ending::Code(7));
    assert_eq!(bench.look(&mut stop), done("api has stopped, with exit code 7"));
    bench.send(FleetEvent::StopRequested(StopCause::Request));
    assert_eq!(bench.fleet.exit_code(), Some(7), "now it may end");
}

#[test]
fn a_stop_while_two_generations_run_is_done_when_both_are_gone() {
    let mut bench = Bench::ready_with(|service| {
        let listen = Listen::Tcp("127.0.0.1:8080".parse().unwrap());
        service.ports = vec![PortSettings { mode: PortMode::Pass, ..PortSettings::new("http".to_owned(), listen) }];
    });
    bench.ask(Verb::Restart);
    bench.starts(2);
    assert!(bench.fleet.beside(API).is_some());
    let mut stop = bench.ask(Verb::Stop);
    bench.ends(1, Ending::Signal(Signal::TERM));
    assert_eq!((bench.state(), bench.look(&mut stop)), (State::Stopped, None));
    bench.ends(2, Ending::Signal(Signal::TERM));
    assert_eq!(bench.look(&mut stop), done("api has stopped"));
}

#[test]
fn commands_that_cross_each_other_all_get_an_answer() {
    let mut bench = Bench::ready();
    let mut restart = bench.ask(Verb::Restart);
    let mut stop = bench.ask(Verb::Stop);
    bench.ends(1, Ending::Signal(Signal::TERM));
    assert_eq!(bench.look(&mut restart), failed(71, "api was stopped before it was ready"));
    assert_eq!(bench.look(&mut stop), done("api has stopped"));

    let mut start = bench.ask(Verb::Start);
    bench.starts(2);
    bench.says(2, |message| message.ready = true);
    assert!(bench.look(&mut start).unwrap().0);
    let mut stop = bench.ask(Verb::Stop);
    let mut start = bench.ask(Verb::Start);
    bench.ends(2, Ending::Signal(Signal::TERM));
    bench.starts(3);
    assert_eq!(bench.look(&mut stop), failed(71, "api was started again meanwhile"));
    bench.says(3, |message| message.ready = true);
    assert!(bench.look(&mut start).unwrap().0);
}

#[test]
fn while_all_goes_down_nothing_is_begun() {
    let mut bench = Bench::ready();
    let mut restart = bench.ask(Verb::Restart);
    bench.send(FleetEvent::StopRequested(StopCause::Request));
    assert_eq!(bench.look(&mut restart), failed(71, "api was stopped before it was ready"));
    for verb in [Verb::Start, Verb::Restart, Verb::Reload, Verb::Signal(Signal::USR1)] {
        let refused = refuse(&bench.fleet, API, verb, |_| true).unwrap();
        assert_eq!((refused.status, refused.message.as_str()), (409, "all services are being stopped"));
    }
    let mut stop = bench.ask(Verb::Stop);
    bench.ends(1, Ending::Signal(Signal::TERM));
    assert!(bench.look(&mut stop).unwrap().0);
}

#[test]
fn a_reload_is_followed_where_the_service_tells_of_it() {
    let mut bench = Bench::ready();
    let mut reload = bench.ask(Verb::Reload);
    assert_eq!((bench.look(&mut reload), reload.next_deadline()), (None, Some(at(1000))));
    bench.says(1, |message| message.reloading = true);
    assert_eq!((bench.look(&mut reload), reload.next_deadline()), (None, None));
    bench.now = at(3000);
    bench.says(1, |message| message.ready = true);
    assert_eq!(bench.look(&mut reload), done("api has reloaded, in 3.0 s"));

    let mut silent = bench.ask(Verb::Reload);
    bench.now = at(4000);
    assert_eq!(bench.look(&mut silent), done("api was sent SIGHUP; it does not say when it has reloaded"));
    let mut deadly = bench.ask(Verb::Reload);
    bench.ends(1, Ending::Signal(Signal::HUP));
    let told = failed(124, "api ended, or was stopped, when it had been sent SIGHUP");
    assert_eq!(bench.look(&mut deadly), told);
}

#[test]
fn a_reload_that_would_end_the_service_is_refused() {
    let bench = Bench::ready();
    let refused = refuse(&bench.fleet, API, Verb::Reload, |_| false).unwrap();
    assert!(refused.message.contains("no handler for SIGHUP") && refused.status == 409, "{refused:?}");
    let bench = Bench::new(|_| {});
    let refused = refuse(&bench.fleet, API, Verb::Reload, |_| true).unwrap();
    assert_eq!(refused.message, "api is not ready (checking), so there is nothing to reload");
    let refused = refuse(&bench.fleet, API, Verb::Dump, |_| true).unwrap();
    assert_eq!(refused.message, "no process of api runs (checking)");
}

#[test]
fn a_signal_is_sent_or_held_or_refused() {
    let mut bench = Bench::ready();
    let mut sent = bench.ask(Verb::Signal(Signal::USR1));
    assert_eq!(bench.look(&mut sent), done("api was sent SIGUSR1"));
    let mut bench = Bench::new(|_| {});
    bench.starts(1);
    for _ in 0..2 {
        let mut held = bench.ask(Verb::Signal(Signal::HUP));
        assert_eq!(bench.look(&mut held), done("api is not ready: SIGHUP is held until it is"));
    }
    bench.ends(1, Ending::Code(1));
    let mut lost = bench.ask(Verb::Signal(Signal::WINCH));
    let told = failed(71, "api does not run (backing-off), so SIGWINCH was not sent");
    assert_eq!(bench.look(&mut lost), told);
}

#[test]
fn what_came_of_it_is_read_back_as_it_was_written() {
    let mut bench = Bench::ready();
    let mut stop = bench.ask(Verb::Stop);
    bench.ends(1, Ending::Signal(Signal::TERM));
    let outcome = stop.look(bench.now, &bench.fleet, &bench.ledger).unwrap();
    let answer = outcome.answer();
    assert_eq!((answer.code, answer.content_type), (200, "application/json"));
    let read: Outcome = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(read, Outcome { status: 0, ..outcome });
    let keys: BTreeMap<String, serde_json::Value> = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(keys["command"], "stop");
}

/// Its first generation is ready, and its port can be shared.
fn sharing() -> Bench {
    let mut bench = Bench::new(|service| {
        let listen = Listen::Tcp("127.0.0.1:80".parse().unwrap());
        service.ports = vec![PortSettings { mode: PortMode::Share, ..PortSettings::new("http".to_owned(), listen) }];
    });
    bench.starts(1);
    bench.says(1, |message| message.ready = true);
    bench
}

fn canary(percent: u8) -> Verb {
    Verb::Canary(Percent::new(percent).unwrap())
}

const SERVES: &str = "generation 2 of api is ready and gets 10% of new connections; launcher promote api, or launcher \
                      rollback api";

#[test]
fn a_canary_is_there_when_it_is_ready_and_promoted_when_it_serves() {
    let mut bench = sharing();
    let mut asked = bench.ask(canary(10));
    bench.starts(2);
    assert_eq!(bench.look(&mut asked), None);
    bench.says(2, |message| message.ready = true);
    assert_eq!(bench.look(&mut asked), done(SERVES));
    let mut promote = bench.ask(Verb::Promote);
    assert_eq!(bench.look(&mut promote), done("generation 2 of api serves now"));
    let refused = refuse(&bench.fleet, API, Verb::Promote, |_| true).unwrap();
    assert!(refused.status == 409 && refused.message.starts_with("api has no canary; "), "{refused:?}");
}

#[test]
fn a_promotion_of_what_is_not_ready_yet_waits_for_it() {
    let mut bench = sharing();
    let mut asked = bench.ask(canary(10));
    bench.starts(2);
    let mut promote = bench.ask(Verb::Promote);
    assert_eq!((bench.look(&mut asked), bench.look(&mut promote)), (None, None));
    bench.says(2, |message| message.ready = true);
    assert_eq!(bench.look(&mut promote), done("generation 2 of api serves now"));
    assert!(bench.look(&mut asked).unwrap().0, "it is ready, with all of them");
}

#[test]
fn whoever_asked_for_what_is_taken_back_is_told() {
    let mut bench = sharing();
    let told = "generation 2 of api was taken back, generation 1 serves on";
    for verb in [canary(10), Verb::Restart] {
        let mut asked = bench.ask(verb);
        bench.starts(2);
        let mut rollback = bench.ask(Verb::Rollback);
        assert_eq!((bench.look(&mut rollback), bench.look(&mut asked)), (done(told), failed(71, told)));
        bench = sharing();
    }
    let refused = refuse(&bench.fleet, API, Verb::Rollback, |_| true).unwrap();
    assert!(refused.message.starts_with("api has no canary; "), "{refused:?}");
    // One that was checked for a restart, and is a canary by the time that it is ready.
    let mut restart = bench.ask(Verb::Restart);
    let refused = refuse(&bench.fleet, API, Verb::Promote, |_| true).unwrap();
    assert!(refused.message.starts_with("generation 2 of api is no canary: "), "{refused:?}");
    let mut asked = bench.ask(canary(10));
    bench.starts(2);
    bench.says(2, |message| message.ready = true);
    assert_eq!((bench.look(&mut restart), bench.look(&mut asked)), (done(SERVES), done(SERVES)));
    // A restart takes it back, and is another generation.
    let mut restart = bench.ask(Verb::Restart);
    bench.reported(2, Occasion::StopTimeout, 9);
    bench.now = at(300);
    bench.send(FleetEvent::TimePassed);
    bench.ends(2, Ending::Signal(Signal::TERM));
    bench.starts(3);
    assert_eq!(bench.look(&mut restart), None);
    bench.says(3, |message| message.ready = true);
    assert_eq!(bench.look(&mut restart), done("api is ready after 300 ms"));
}

#[test]
fn a_canary_that_is_not_to_be_had_is_refused() {
    let bench = Bench::ready();
    let refused = refuse(&bench.fleet, API, canary(10), |_| true).unwrap();
    assert_eq!(refused.message, "api cannot have a canary: two generations of it cannot serve at once: it has no port");
    let bench = Bench::new(|service| {
        let listen = Listen::Tcp("127.0.0.1:80".parse().unwrap());
        service.ports = vec![PortSettings { mode: PortMode::Share, ..PortSettings::new("http".to_owned(), listen) }];
    });
    let refused = refuse(&bench.fleet, API, canary(10), |_| true).unwrap();
    assert_eq!(refused.message, "api cannot have a canary: it is checking, and a canary is beside one that is ready");
}
