//! Connections divided between two generations.

use super::*;

#[test]
fn new_connections_are_steered_before_the_old_one_is_told_to_stop() {
    let mut bench = Bench::sharing();
    bench.to(Event::RestartRequested);
    bench.start(G2);
    let actions = bench.become_ready(G2);
    assert!(has(&actions, &Action::Steer { to: G2, canary: None }) && !has(&actions, &TERM_1), "{actions:?}");
    // What was on its way to it still arrives.
    assert!(has(&bench.pass(200), &TERM_1));
    assert!(has(&bench.end(G1, Ending::Code(0)), &Action::Steer { to: G2, canary: None }));
}

fn with_canary() -> Bench {
    let mut bench = Bench::sharing();
    let percent = Percent::new(10).unwrap();
    let actions = bench.send(FleetEvent::CanaryRequested(API, percent));
    assert_eq!(told(&actions), [&Transition::Restarting { beside: G1, canary: Some(10) }]);
    bench.start(G2);
    let actions = bench.become_ready(G2);
    assert_eq!(told(&actions), [&Transition::CanaryServes { percent: 10, beside: G1 }]);
    assert!(has(&actions, &Action::Steer { to: G1, canary: Some((G2, 10)) }), "{actions:?}");
    assert_eq!(bench.pass(600_000), [], "it stays as long as nobody says anything");
    bench
}

#[test]
fn a_canary_is_promoted() {
    let mut bench = with_canary();
    let actions = bench.send(FleetEvent::PromoteRequested(API));
    assert!(has(&actions, &Action::Steer { to: G2, canary: None }), "{actions:?}");
    assert!(has(&bench.pass(200), &TERM_1));
    bench.end(G1, Ending::Code(0));
    assert_eq!(bench.stands(), (G2, State::Ready, None));
}

#[test]
fn a_canary_is_rolled_back() {
    let mut bench = with_canary();
    let actions = bench.send(FleetEvent::RollbackRequested(API));
    assert_eq!(told(&actions), [&Transition::RolledBack { stays: G1 }]);
    assert!(has(&actions, &Action::Steer { to: G1, canary: None }), "{actions:?}");
    assert!(has(&bench.pass(200), &TERM_2));
    bench.end(G2, Ending::Code(0));
    assert_eq!(bench.stands(), (G1, State::Ready, None));
    assert_eq!(bench.send(FleetEvent::RollbackRequested(API)), []);
    assert_eq!(bench.send(FleetEvent::PromoteRequested(API)), []);
}

#[test]
fn a_canary_that_fails_is_removed_and_one_that_meets_a_restart_gives_way() {
    let mut bench = with_canary();
    let actions = bench.end(G2, Ending::Code(1));
    assert_eq!(told(&actions), [&Transition::Removed { stays: G1, canary: true }]);
    assert!(has(&actions, &Action::Steer { to: G1, canary: None }), "{actions:?}");
    let mut bench = with_canary();
    let actions = bench.to(Event::RestartRequested);
    assert_eq!(told(&actions), [&Transition::RolledBack { stays: G1 }]);
    bench.pass(200);
    assert!(has(&bench.end(G2, Ending::Code(0)), &Action::Check(G3)));
    assert_eq!(bench.stands(), (G1, State::Ready, Some((G3, Part::Successor))));
}

/// launcher.toml has changed: the canary is not set so, and goes, and what is set otherwise comes if it must.
#[test]
fn a_canary_that_meets_other_settings_gives_way() {
    for anew in [false, true] {
        let mut bench = with_canary();
        let mut settings = bench.fleet.service(API).unwrap().settings().clone();
        settings.stop_timeout *= 2;
        let renewal = Renewal::Changed { settings: settings.into(), anew };
        let actions = bench.send(FleetEvent::Renewed(vec![(API, renewal)]));
        assert!(told(&actions).contains(&&Transition::RolledBack { stays: G1 }), "{actions:?}");
        assert!(has(&actions, &Action::Steer { to: G1, canary: None }) && !has(&actions, &TERM_2), "{actions:?}");
        assert!(has(&bench.pass(200), &TERM_2));
        assert_eq!(has(&bench.end(G2, Ending::Code(0)), &Action::Check(G3)), anew);
    }
}

/// It serves as long as the other one does.
#[test]
fn a_stop_stops_a_canary_with_the_other_one() {
    let mut bench = with_canary();
    let actions = bench.to(Event::StopRequested(StopCause::Request));
    assert!(has(&actions, &TERM_1) && has(&actions, &TERM_2), "{actions:?}");
    assert_eq!(told(&actions), [] as [&Transition; 0]);
    bench.end(G2, Ending::Code(0));
    bench.end(G1, Ending::Code(0));
    assert_eq!((bench.stands().1, bench.stands().2), (State::Stopped, None));
}

#[test]
fn what_is_bound_by_one_process_alone_has_no_canary() {
    let mut bench = Bench::sharing();
    bench.send(FleetEvent::CanaryRequested(API, Percent::new(10).unwrap()));
    let actions = bench.send(FleetEvent::PortNotKept(API, "http".to_owned()));
    assert_eq!(told(&actions), [&Transition::RolledBack { stays: G1 }]);
    bench.pass(200);
    assert_eq!(bench.stands(), (G1, State::Ready, None), "and no restart of it follows");
    let why = NoOverlap::Exclusive("http".to_owned());
    assert_eq!(bench.fleet.can_have_canary(API), Err(NoCanary::NoOverlap(why.clone())));
    assert_eq!(
        why.to_string(),
        r#"its program binds its port "http" without SO_REUSEPORT, so only one process can listen"#
    );
    assert_eq!(told(&bench.to(Event::RestartRequested)), [&Transition::RestartsAlone(why)]);
}

#[test]
fn a_canary_needs_a_shared_port_and_something_to_be_compared_with() {
    let bench = Bench::passing();
    assert_eq!(bench.fleet.can_have_canary(API), Err(NoCanary::NotShared("http".to_owned())));
    let mut bench = Bench::sharing();
    assert_eq!(bench.fleet.can_have_canary(API), Ok(()));
    bench.end(G1, Ending::Code(1));
    assert_eq!(bench.fleet.can_have_canary(API), Err(NoCanary::NotReady(State::BackingOff)));
    assert_eq!((Percent::new(0), Percent::new(100)), (None, None));
}
