//! Requirements: awaited between preflight and start.

use super::*;
use crate::core::facts::{RequirementProblem, Trouble};
use crate::core::requirement::{News, Target};

fn requirement(url: &str, timeout: u64) -> RequirementSettings {
    let backoff = Backoff { initial: ms(100), max: ms(400), factor: 2.0, jitter: Jitter::None };
    let target = Target::parse(url).unwrap();
    RequirementSettings { timeout: ms(timeout), try_timeout: ms(300), backoff, ..RequirementSettings::new(target) }
}

/// One whose first generation waits for a database and a cache.
fn waiting(change: impl FnOnce(&mut ServiceSettings)) -> (Bench, Vec<Action>) {
    let mut bench = Bench::new(|settings| {
        settings.requirements = vec![requirement("tcp://db:1", 2000), requirement("tcp://cache:2", 5000)];
        change(settings);
    });
    bench.send(Event::StartRequested);
    bench.send(Event::DependenciesReady);
    assert_eq!(bench.state(), State::Checking);
    let actions = bench.act(Event::PreflightPassed(G1));
    (bench, actions)
}

fn try_of(requirement: usize) -> Action {
    Action::Try { generation: G1, requirement, limit: ms(300) }
}

fn no() -> Result<(), Trouble> {
    Err(Trouble::new(RequirementProblem::Refused, "connection refused"))
}

#[test]
fn it_starts_when_all_have_answered() {
    let (mut bench, actions) = waiting(|_| {});
    assert_eq!(actions, [try_of(0), try_of(1)]);
    assert_eq!(bench.state(), State::Waiting);
    assert_eq!(bench.act(Event::DependenciesReady), [], "that was said already");
    assert_eq!(bench.act(Event::RequirementTried(G1, 1, Ok(()))), []);
    let told = bench.told(Event::RequirementTried(G1, 0, no()));
    assert!(matches!(&told[..], [Transition::Requirement(News::Missing { due: true, .. })]), "{told:?}");
    assert_eq!(bench.act_until(100), [try_of(0)]);
    let spawn = Action::Spawn { generation: G1, attempt: 1 };
    assert_eq!(bench.act(Event::RequirementTried(G1, 0, Ok(()))), [Action::StopTrying(G1), spawn]);
    assert_eq!((bench.state(), bench.deadline()), (State::Starting, Some(30_100)), "the start deadline begins here");
}

#[test]
fn one_that_does_not_answer_in_time_is_a_failure_with_69() {
    let (mut bench, _) = waiting(|settings| settings.restart.policy = RestartPolicy::Never);
    bench.send(Event::RequirementTried(G1, 1, Ok(())));
    bench.send(Event::RequirementTried(G1, 0, no()));
    let actions = bench.act_until(2000);
    let [Action::Try { .. }, Action::StopTrying(G1), Action::Explain { occasion, refusal, .. }] = &actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(*occasion, Occasion::Requirement);
    let Some(Refusal::Requirement(failure)) = refusal.as_deref() else { panic!("{refusal:?}") };
    assert_eq!(failure.summary, "tcp://db:1 did not answer within 2s: connection refused");
    assert_eq!(failure.requirements.iter().map(|fact| fact.tries).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(bench.act(Event::RequirementTried(G1, 0, Ok(()))), [], "too late");
    assert_eq!(bench.act(Event::Explained(G1)), [Action::ReleasePorts(G1)]);
    assert_eq!((bench.state(), bench.code()), (State::Failed, Some(69)));
}

#[test]
fn the_next_generation_waits_for_all_again() {
    let (mut bench, _) = waiting(|settings| settings.require_timeout = Some(ms(1000)));
    bench.send(Event::RequirementTried(G1, 1, Ok(())));
    bench.pass_until(1000);
    bench.send(Event::Explained(G1));
    assert_eq!(bench.state(), State::BackingOff);
    bench.pass_until(1200);
    let tries = bench.act(Event::PreflightPassed(G2));
    assert_eq!(tries.len(), 2, "{tries:?}");
    assert_eq!(bench.act(Event::RequirementTried(G1, 0, Ok(()))), [], "an answer to the one before");
}

#[test]
fn a_stop_ends_the_waiting_at_once() {
    let (mut bench, _) = waiting(|_| {});
    let actions = bench.act(Event::StopRequested(StopCause::Signal(Signal::TERM)));
    assert_eq!(actions, [Action::StopTrying(G1), Action::ReleasePorts(G1)]);
    assert_eq!((bench.state(), bench.code(), bench.deadline()), (State::Stopped, Some(0), None));
}

#[test]
fn a_restart_while_it_waits_changes_nothing() {
    let (mut bench, _) = waiting(|_| {});
    assert_eq!(bench.act(Event::RestartRequested), []);
    assert_eq!(bench.state(), State::Waiting);
}
