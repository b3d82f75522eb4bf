//! What a service waits for right now, in phrases for a person: `db, which is starting`.

use crate::core::fleet::{Fleet, ServiceId};
use crate::core::report::mask;
use crate::core::requirement::words;
use crate::core::service::{Service, State};
use crate::core::settings::{PortMode, Ready};
use crate::core::time::Moment;
use crate::core::units::human_duration;

use super::status::PortStatus;

/// Everything it waits for, each a phrase that fits behind "waits for". Nothing when it serves or is at rest.
pub fn waits_for(now: Moment, fleet: &Fleet, id: ServiceId, ports: &[PortStatus]) -> Vec<String> {
    let Some(service) = fleet.service(id) else { return Vec::new() };
    match service.state() {
        State::Waiting if service.waits_for_others() => {
            let others =
                fleet.awaited(id).map(|other| format!("{}, which {}", other.settings().name, doing(other.state())));
            others.collect()
        }
        State::Waiting => {
            let facts = service.awaited_requirements(now);
            facts.iter().filter(|fact| !fact.met).map(words::line).collect()
        }
        State::Checking => vec!["the check of its files and ports".to_owned()],
        State::Starting => starting(now, service, ports),
        State::Stopping => vec![stopping(now, service)],
        State::BackingOff => vec![until(now, "the next attempt", service.next_attempt_at())],
        State::Open => vec![until(now, "a trial, its breaker is open,", service.next_attempt_at())],
        State::Ready | State::Failed | State::Stopped => Vec::new(),
    }
}

/// A state as a verb.
fn doing(state: State) -> &'static str {
    match state {
        State::Waiting => "waits itself",
        State::Checking => "is being checked",
        State::Starting => "is starting",
        State::Ready => "is ready",
        State::Stopping => "is stopping",
        State::BackingOff => "has failed and is tried again",
        State::Open => "has failed too often: its breaker is open",
        State::Failed => "has failed",
        State::Stopped => "is stopped",
    }
}

fn until(now: Moment, what: &str, at: Option<Moment>) -> String {
    match at {
        Some(at) => format!("{what} in {}", human_duration(at.since(now))),
        None => what.trim_end_matches(',').to_owned(),
    }
}

/// What would make it ready, and until when it may take.
fn starting(now: Moment, service: &Service, ports: &[PortStatus]) -> Vec<String> {
    let settings = service.settings();
    let own = |port: &&PortStatus| {
        let set = settings.ports.iter().find(|set| set.name == port.name);
        set.is_none_or(|set| set.mode != PortMode::Pass)
    };
    let silent: Vec<&str> =
        ports.iter().filter(own).filter(|port| !port.listening).map(|port| port.listen.as_str()).collect();
    let listener = || match silent.is_empty() {
        // It listens since a moment ago.
        true => "its ports".to_owned(),
        false => format!("a listener on {}", silent.join(" and ")),
    };
    let what = match &settings.ready {
        Ready::Auto if ports.iter().any(|port| own(&port)) => format!("READY=1 or {}", listener()),
        Ready::Listen => listener(),
        Ready::Auto | Ready::Notify => "READY=1 from its processes".to_owned(),
        Ready::Tcp(address) => format!("a connection to {address}"),
        Ready::Started => "its program to be executed".to_owned(),
        Ready::Exited => "its own end".to_owned(),
        Ready::Fd(number) => format!("a line on its descriptor {number}"),
        Ready::Log(pattern) => format!("a line of output that matches \"{pattern}\""),
        Ready::Http(probe) => match probe.target(|_| Some(0).filter(|_| !probe.url.contains("{port."))) {
            Ok(target) => format!("an answer of {}", target.shown),
            Err(_) => "an answer of its ready.http".to_owned(),
        },
        Ready::Exec(probe) => format!("{} to end with code 0", mask::line(&probe.command)),
    };
    vec![match service.start_deadline() {
        Some(at) if service.settings().debugged.is_none() => {
            let moved = match service.extensions() {
                0 => "",
                1 => ", extended once while it got on",
                2 => ", extended twice while it got on",
                _ => ", extended several times while it got on",
            };
            format!("{what}, for {} more at most{moved}", human_duration(at.since(now)))
        }
        // No deadline ends it while a person looks.
        Some(_) => format!("{what}, under its debugger"),
        None => what,
    }]
}

fn stopping(now: Moment, service: &Service) -> String {
    if service.is_being_explained() {
        return "its stacks to be read".to_owned();
    }
    match service.kill_at() {
        Some(at) => format!("its processes to end; they are killed in {}", human_duration(at.since(now))),
        None => "its processes to end".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::fleet::FleetEvent;
    use crate::core::service::{Event, Generation};
    use crate::core::settings::{LauncherSettings, Listen, PortSettings, ServiceSettings, Settings};

    const G1: Generation = Generation(1);
    const DB: ServiceId = ServiceId(0);
    const API: ServiceId = ServiceId(1);

    fn at(millis: u64) -> Moment {
        Moment::from_start(Duration::from_millis(millis))
    }

    fn fleet() -> Fleet {
        let service = |name: &str| {
            let mut service = ServiceSettings::new(name.to_owned(), vec!["program".into()]);
            service.restart.breaker = None;
            service.restart.backoff.jitter = crate::core::settings::Jitter::None;
            service
        };
        let (mut db, mut api) = (service("db"), service("api"));
        db.ready = Ready::Notify;
        api.after = vec!["db".into()];
        api.ports = vec![PortSettings::new("http".into(), Listen::Tcp("127.0.0.1:8080".parse().unwrap()))];
        let launcher = LauncherSettings::new("shop".to_owned());
        let mut fleet = Fleet::new(&Settings { launcher, services: vec![db, api], single_command: false }, 1).unwrap();
        fleet.step(at(0), FleetEvent::StartAll, &mut Vec::new());
        fleet
    }

    fn send(fleet: &mut Fleet, now: Moment, id: ServiceId, event: Event) {
        fleet.step(now, FleetEvent::Service(id, event), &mut Vec::new());
    }

    #[test]
    fn each_state_says_what_comes_next() {
        let mut fleet = fleet();
        let port = |listening| PortStatus { name: "http".into(), listen: "tcp://127.0.0.1:8080".into(), listening };
        assert_eq!(waits_for(at(0), &fleet, DB, &[]), ["the check of its files and ports"]);
        assert_eq!(waits_for(at(0), &fleet, API, &[]), ["db, which is being checked"]);
        send(&mut fleet, at(0), DB, Event::PreflightPassed(G1));
        send(&mut fleet, at(0), DB, Event::Spawned(G1, 10));
        assert_eq!(waits_for(at(1000), &fleet, DB, &[]), ["READY=1 from its processes, for 29.0 s more at most"]);
        send(&mut fleet, at(1000), DB, Event::ProbeSucceeded(G1));
        let ready = crate::core::notify::Message { ready: true, ..Default::default() };
        let sender = crate::core::service::Sender::Main(10);
        send(&mut fleet, at(1000), DB, Event::Notified(G1, sender, Box::new(ready)));
        assert!(waits_for(at(1000), &fleet, DB, &[]).is_empty());
        send(&mut fleet, at(1000), API, Event::PreflightPassed(G1));
        send(&mut fleet, at(1000), API, Event::Spawned(G1, 11));
        let told = waits_for(at(1000), &fleet, API, &[port(false)]);
        assert_eq!(told, ["READY=1 or a listener on tcp://127.0.0.1:8080, for 30.0 s more at most"]);
        send(&mut fleet, at(2000), API, Event::Exited(G1, crate::core::exit::Ending::Code(3)));
        assert_eq!(waits_for(at(2000), &fleet, API, &[]), ["its processes to end; they are killed in 1.0 s"]);
        send(&mut fleet, at(2000), API, Event::Emptied(G1));
        send(&mut fleet, at(2000), API, Event::Explained(G1));
        assert_eq!(waits_for(at(2100), &fleet, API, &[]), ["the next attempt in 100 ms"]);
    }
}
