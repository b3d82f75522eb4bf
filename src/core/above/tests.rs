use std::collections::BTreeMap;

use super::*;
use crate::core::fleet::FleetEvent;
use crate::core::notify::Message;
use crate::core::service::{Event, Generation, Sender, StopCause};
use crate::core::settings::*;
use crate::core::signal::Signal;

const G1: Generation = Generation(1);

fn seconds(seconds: u64) -> Moment {
    Moment::from_start(Duration::from_secs(seconds))
}

/// A fleet, and what is said of it.
struct Bench {
    fleet: Fleet,
    above: Above,
    now: Moment,
}

impl Bench {
    fn new(names: &[&str], watchdog: Option<Duration>, change: impl Fn(&mut ServiceSettings)) -> Bench {
        let services = names.iter().map(|name| {
            let mut service = ServiceSettings::new((*name).to_owned(), vec!["program".into()]);
            service.ready = Ready::Notify;
            service.environment = BTreeMap::new();
            change(&mut service);
            service
        });
        let settings = Settings {
            launcher: LauncherSettings::new("test".to_owned()),
            services: services.collect(),
            single_command: false,
        };
        let fleet = Fleet::new(&settings, 1).unwrap();
        Bench { fleet, above: Above::new(watchdog), now: seconds(100) }
    }

    fn feed(&mut self, event: FleetEvent) -> Vec<String> {
        self.fleet.step(self.now, event, &mut Vec::new());
        self.above.look(self.now, &self.fleet)
    }

    fn tell(&mut self, index: usize, event: Event) -> Vec<String> {
        self.feed(FleetEvent::Service(ServiceId(index), event))
    }

    fn says(&mut self, index: usize, change: impl FnOnce(&mut Message)) -> Vec<String> {
        let mut message = Message::default();
        change(&mut message);
        self.tell(index, Event::Notified(G1, Sender::Main(10), Box::new(message)))
    }

    fn start(&mut self, index: usize) {
        self.tell(index, Event::PreflightPassed(G1));
        self.tell(index, Event::Spawned(G1, 10));
    }

    /// One service, ready.
    fn ready(watchdog: Option<Duration>) -> Bench {
        let mut bench = Bench::new(&["api"], watchdog, |_| {});
        bench.feed(FleetEvent::StartAll);
        bench.start(0);
        bench.says(0, |message| message.ready = true);
        bench
    }

    fn at(&mut self, at: Moment) -> Vec<String> {
        self.now = at;
        self.feed(FleetEvent::TimePassed)
    }
}

#[test]
fn ready_is_said_when_all_are() {
    let mut bench = Bench::new(&["db", "api"], None, |_| {});
    let first = bench.feed(FleetEvent::StartAll).concat();
    assert!(first.contains("STATUS=0 of 2 ready; db checking; api checking\n"), "{first}");
    bench.start(0);
    bench.start(1);
    let status = bench.says(0, |message| message.ready = true).concat();
    assert_eq!(status, "STATUS=1 of 2 ready; api starting\n");
    let status = bench.says(1, |message| message.status = Some("warming up".into())).concat();
    assert_eq!(status, "STATUS=1 of 2 ready; api starting: warming up\n");
    let all = bench.says(1, |message| message.ready = true).concat();
    assert_eq!(all, "STATUS=2 of 2 ready\nREADY=1\n");
    assert_eq!(bench.says(1, |message| message.ready = true), Vec::<String>::new(), "said once");
}

#[test]
fn patience_is_asked_for_until_the_next_deadline() {
    let mut bench = Bench::new(&["api"], None, |_| {});
    let text = bench.feed(FleetEvent::StartAll).concat();
    assert!(text.contains("EXTEND_TIMEOUT_USEC=20000000\n"), "{text}");
    assert_eq!(bench.tell(0, Event::PreflightPassed(G1)).concat(), "STATUS=starting\nEXTEND_TIMEOUT_USEC=40000000\n");
    // The service asks for more itself.
    bench.tell(0, Event::Spawned(G1, 10));
    bench.now = seconds(120);
    let text = bench.says(0, |message| message.extend_timeout = Some(Duration::from_secs(60))).concat();
    assert_eq!(text, "EXTEND_TIMEOUT_USEC=70000000\n");
    // It misses its deadline: the dump, the stop and the next attempt take time, too.
    let text = bench.at(seconds(180)).concat();
    assert!(text.contains("STATUS=stopping\n"), "{text}");
    bench.above.explained(ServiceId(0), "api waits for db");
    let text = bench.tell(0, Event::Explained(G1)).concat();
    assert!(text.contains("STATUS=stopping: api waits for db\n"), "{text}");
}

#[test]
fn patience_is_asked_for_when_a_deadline_moves_on_by_itself() {
    let mut bench = Bench::new(&["api"], None, |service| {
        service.extend_while_progressing = Some(Duration::from_secs(300));
    });
    bench.feed(FleetEvent::StartAll);
    bench.start(0);
    bench.now = seconds(120);
    // The manager was told of 130 s and a margin.
    assert_eq!(bench.tell(0, Event::Progressed(G1, vec![])), Vec::<String>::new());
    assert_eq!(bench.at(seconds(130)).concat(), "EXTEND_TIMEOUT_USEC=30000000\n");
}

#[test]
fn an_open_breaker_asks_for_no_patience_and_no_watchdog() {
    let breaker = BreakerSettings { failures: 1, ..BreakerSettings::default() };
    let mut bench = Bench::new(&["api"], Some(Duration::from_secs(10)), |service| {
        service.restart.breaker = Some(breaker);
    });
    assert!(bench.feed(FleetEvent::StartAll).concat().contains("WATCHDOG=1\n"));
    bench.start(0);
    for event in [Event::Exited(G1, crate::core::exit::Ending::Code(1)), Event::Emptied(G1)] {
        bench.tell(0, event);
    }
    let text = bench.tell(0, Event::Explained(G1)).concat();
    assert_eq!(text, "STATUS=open\n");
    assert_eq!(bench.at(seconds(106)), Vec::<String>::new(), "no WATCHDOG=1");
}

#[test]
fn the_watchdog_is_fed_twice_a_period() {
    let mut bench = Bench::ready(Some(Duration::from_secs(10)));
    for at in [105, 110, 115] {
        assert_eq!(bench.above.next_deadline(), Some(seconds(at)));
        assert_eq!(bench.at(seconds(at)), ["WATCHDOG=1\n"]);
    }
}

#[test]
fn a_reload_by_the_service_is_passed_on() {
    let mut bench = Bench::ready(None);
    let began = Some(Duration::from_secs(99));
    let said = bench.says(0, |message| (message.reloading, message.monotonic) = (true, began));
    assert_eq!(said, ["RELOADING=1\nMONOTONIC_USEC=99000000\n"]);
    assert_eq!(bench.says(0, |message| message.status = Some("x".into())), ["STATUS=ready: x\n"]);
    assert_eq!(bench.says(0, |message| message.ready = true), ["READY=1\n"]);
    assert_eq!(bench.above.next_deadline(), None);
}

#[test]
fn a_reload_that_was_asked_for_is_over_when_the_service_says_so_or_says_nothing() {
    let mut bench = Bench::ready(None);
    bench.above.reload_asked(bench.now);
    let said = bench.feed(FleetEvent::SignalReceived(Signal::HUP));
    assert_eq!(said, ["RELOADING=1\nMONOTONIC_USEC=100000000\n"]);
    bench.now = bench.now + Duration::from_millis(5);
    assert_eq!(bench.says(0, |message| message.reloading = true), Vec::<String>::new());
    assert_eq!(bench.above.next_deadline(), None);
    bench.now = seconds(103);
    assert_eq!(bench.says(0, |message| message.ready = true), ["READY=1\n"]);

    bench.above.reload_asked(bench.now);
    bench.feed(FleetEvent::SignalReceived(Signal::HUP));
    assert_eq!(bench.above.next_deadline(), Some(seconds(104)));
    assert_eq!(bench.at(seconds(104)), ["READY=1\n"]);
}

#[test]
fn a_service_that_does_not_speak_is_reloaded_at_once() {
    let mut bench = Bench::new(&["api"], None, |service| service.ready = Ready::Started);
    bench.feed(FleetEvent::StartAll);
    bench.start(0);
    bench.above.reload_asked(bench.now);
    let said = bench.feed(FleetEvent::SignalReceived(Signal::HUP));
    assert_eq!(said, ["RELOADING=1\nMONOTONIC_USEC=100000000\n", "READY=1\n"]);
}

#[test]
fn stopping_is_said_once_with_the_time_it_takes() {
    let mut bench = Bench::ready(Some(Duration::from_secs(10)));
    let stop = || FleetEvent::StopRequested(StopCause::Signal(Signal::TERM));
    assert_eq!(bench.feed(stop()), ["STATUS=stopping\nSTOPPING=1\nEXTEND_TIMEOUT_USEC=19000000\n"]);
    assert_eq!(bench.feed(stop()), Vec::<String>::new());
    assert_eq!(bench.at(seconds(105)), ["WATCHDOG=1\n"], "it lives still");
}
