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
    assert_eq!(told(&actions), [&Transition::Removed { stays: G1 }]);
    assert!(has(&actions, &Action::Steer { to: G1, canary: None }), "{actions:?}");
    let mut bench = with_canary();
    let actions = bench.to(Event::RestartRequested);
    assert_eq!(told(&actions), [&Transition::RolledBack { stays: G1 }]);
    bench.pass(200);
    assert!(has(&bench.end(G2, Ending::Code(0)), &Action::Check(G3)));
    assert_eq!(bench.stands(), (G1, State::Ready, Some((G3, Part::Successor))));
}

#[test]
fn a_canary_needs_a_shared_port_and_something_to_be_compared_with() {
    let bench = Bench::passing();
    assert_eq!(bench.fleet.can_have_canary(API), Err(NoCanary::NotShared));
    let mut bench = Bench::sharing();
    assert_eq!(bench.fleet.can_have_canary(API), Ok(()));
    bench.end(G1, Ending::Code(1));
    assert_eq!(bench.fleet.can_have_canary(API), Err(NoCanary::NotReady(State::BackingOff)));
    assert_eq!((Percent::new(0), Percent::new(100)), (None, None));
}
