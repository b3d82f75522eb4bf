//! Not a world but noise: any event at any time, of any generation. Nothing may panic, and what can be said of a
//! service without knowing its world must hold.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use launcher::core::exit::Ending;
use launcher::core::facts::{ExecFailure, ExecProblem, Refusal, RequirementProblem, Trouble};
use launcher::core::fleet::{Fleet, FleetEvent, Percent, Renewal, ServiceId};
use launcher::core::notify::Message;
use launcher::core::service::{Action, Event, EventKind, Generation, Sender, Service, State, StopCause};
use launcher::core::settings::{LauncherSettings, LogFormat, LogLevel, Settings};
use launcher::core::signal::{Signal, SignalSet};
use launcher::core::time::Moment;

use crate::random::Random;
use crate::script::{SIGNALS, changed, ending, message, ms, settings, wait_for};

fn failure() -> ExecFailure {
    ExecFailure { problem: ExecProblem::NotFound, summary: String::new(), advice: vec![], errno: None }
}

fn event(random: &mut Random, kind: EventKind, generation: Generation) -> Event {
    let signal = random.pick(&SIGNALS);
    match kind {
        EventKind::StartRequested => Event::StartRequested,
        EventKind::DependenciesReady => Event::DependenciesReady,
        EventKind::StopRequested => Event::StopRequested(random.pick(&[StopCause::Request, StopCause::Signal(signal)])),
        EventKind::KillRequested => Event::KillRequested,
        EventKind::RestartRequested => Event::RestartRequested,
        EventKind::SignalReceived => Event::SignalReceived(signal),
        EventKind::PreflightPassed => Event::PreflightPassed(generation),
        EventKind::PreflightFailed => Event::PreflightFailed(generation, Box::new(Refusal::Exec(failure()))),
        EventKind::RequirementTried => {
            let trouble = Trouble::new(RequirementProblem::Refused, "");
            let outcome = if random.percent(50) { Ok(()) } else { Err(trouble) };
            Event::RequirementTried(generation, random.below(3) as usize, outcome)
        }
        EventKind::Spawned => Event::Spawned(generation, 7),
        EventKind::SpawnFailed => Event::SpawnFailed(generation, Box::new(failure())),
        EventKind::Notified => Event::Notified(generation, sender(random), Box::new(said(random))),
        EventKind::ProbeSucceeded => Event::ProbeSucceeded(generation),
        EventKind::Progressed => Event::Progressed(generation, vec![]),
        EventKind::HandlersSeen => Event::HandlersSeen(generation, SignalSet(random.next())),
        EventKind::Exited => Event::Exited(generation, exit(random)),
        EventKind::Emptied => Event::Emptied(generation),
        EventKind::Explained => Event::Explained(generation),
        EventKind::TimePassed => Event::TimePassed,
    }
}

fn sender(random: &mut Random) -> Sender {
    let pid = random.below(5) as i32;
    random.pick(&[Sender::Main(pid), Sender::Member(pid), Sender::Stranger(pid)])
}

fn exit(random: &mut Random) -> Ending {
    if random.percent(5) { Ending::Code(random.next() as i32) } else { ending(random) }
}

fn said(random: &mut Random) -> Message {
    let mut message = message(random);
    if random.percent(5) {
        message.attached.main = Some((random.next() as i32, true));
        message.extend_timeout = Some(Duration::from_nanos(random.next()));
        message.watchdog_period = Some(Duration::MAX);
    }
    message
}

fn some_event(random: &mut Random, newest: u64) -> Event {
    let kind = random.pick(&EventKind::ALL);
    let of = if random.percent(90) { newest } else { random.below(newest + 2) };
    event(random, kind, Generation(of))
}

/// What can be said of any service after any step.
fn check(service: &Service, actions: &[Action], checked: &mut u64, explained: &mut BTreeSet<u64>) {
    if service.state().is_at_rest() {
        assert_eq!(service.next_deadline(), None, "a deadline is left at rest");
    }
    for action in actions {
        match action {
            Action::Check(generation) => {
                assert!(generation.0 > *checked, "generation numbers repeat");
                *checked = generation.0;
            }
            Action::Explain { generation, .. } => {
                assert!(explained.insert(generation.0), "a second report on {generation:?}");
            }
            Action::Spawn { generation, .. } if service.generation() == Some(*generation) => {
                assert_eq!(service.state(), State::Starting);
            }
            _ => {}
        }
    }
}

/// An event that cannot happen in this state has no effect whatever.
fn check_impossible(random: &mut Random, service: &Service, now: Moment) {
    let kind = random.pick(&EventKind::ALL);
    if service.state().can_meet(kind) {
        return;
    }
    let event = event(random, kind, service.generation().unwrap_or(Generation(0)));
    let (mut copy, mut actions) = (service.clone(), vec![]);
    copy.step(now, event.clone(), &mut actions);
    assert_eq!(actions, [], "{event:?} in {:?} has an effect", service.state());
    assert_eq!(format!("{copy:?}"), format!("{service:?}"), "{event:?} in {:?} leaves a trace", service.state());
}

/// One service in noise.
pub fn one_service(seed: u64) {
    let mut random = Random::new(seed);
    let settings = settings(&mut random, "api".to_owned(), vec![]);
    let mut service = Service::new(Arc::new(settings), seed);
    let (mut now, mut checked, mut explained) = (Moment::ZERO, 0, BTreeSet::new());
    for _ in 0..150 {
        let limit = random.pick(&[ms(5), ms(500), ms(60_000)]);
        now = now + random.delay(limit);
        let event = some_event(&mut random, checked);
        let mut actions = vec![];
        service.step(now, event, &mut actions);
        check(&service, &actions, &mut checked, &mut explained);
        if random.percent(3) {
            check_impossible(&mut random, &service, now);
        }
    }
}

/// A service is set otherwise, or is said to be started anew for what it could take over.
fn reload(random: &mut Random, fleet: &mut Fleet, file: &mut Settings) -> FleetEvent {
    let index = random.below(file.services.len() as u64) as usize;
    let settings = changed(random, &file.services[index]);
    file.services[index] = settings.clone();
    fleet.take_in(file, random.next()).unwrap();
    let renewal = Renewal::Changed { settings: Arc::new(settings), anew: random.percent(50) };
    FleetEvent::Renewed(vec![(ServiceId(index), renewal)])
}

/// Several services in noise.
pub fn several_services(seed: u64) {
    let mut random = Random::new(seed);
    let services = (0..4).map(|index| {
        let after = (0..index).filter(|_| random.percent(50)).collect::<Vec<_>>();
        let after = after.into_iter().map(|need| wait_for(&mut random, need)).collect();
        settings(&mut random, format!("s{index}"), after)
    });
    let services = services.collect();
    let launcher = LauncherSettings {
        name: String::new(),
        stop_budget: random.pick(&[Duration::ZERO, ms(900), Duration::MAX]),
        report_dir: None,
        log_format: LogFormat::Auto,
        log_level: LogLevel::Info,
        ..LauncherSettings::new(String::new())
    };
    let mut file = Settings { launcher, services, single_command: false };
    let mut fleet = Fleet::new(&file, seed).unwrap();
    let (mut now, mut newest) = (Moment::ZERO, [(); 4].map(|()| (0, BTreeSet::new())));
    for _ in 0..200 {
        let limit = random.pick(&[ms(5), ms(500), ms(60_000)]);
        now = now + random.delay(limit);
        let index = random.below(5) as usize; // one more than there are
        let event = match random.below(47) {
            45.. => reload(&mut random, &mut fleet, &mut file),
            43 => FleetEvent::PortNotKept(ServiceId(index), "1".to_owned()),
            40 => FleetEvent::CanaryRequested(ServiceId(index), Percent::new(10).unwrap()),
            41 => FleetEvent::PromoteRequested(ServiceId(index)),
            42 => FleetEvent::RollbackRequested(ServiceId(index)),
            0 => FleetEvent::StopRequested(StopCause::Signal(Signal::TERM)),
            44 => FleetEvent::ParentEnded,
            1 => FleetEvent::SignalReceived(random.pick(&SIGNALS)),
            2..=5 => FleetEvent::StartAll,
            6..=9 => FleetEvent::TimePassed,
            _ => {
                let checked = newest.get(index).map_or(0, |(checked, _)| *checked);
                FleetEvent::Service(ServiceId(index), some_event(&mut random, checked))
            }
        };
        let mut actions = vec![];
        fleet.step(now, event, &mut actions);
        for (index, (checked, explained)) in newest.iter_mut().enumerate() {
            let mine: Vec<_> = actions.iter().filter(|(id, _)| id.0 == index).map(|(_, of)| of.clone()).collect();
            check(fleet.service(ServiceId(index)).unwrap(), &mine, checked, explained);
        }
    }
}
