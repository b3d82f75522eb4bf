use super::*;
use crate::core::progress::Sign;

/// 30 s to start, and 70 s in all while it gets on.
fn patient(settings: &mut ServiceSettings) {
    settings.extend_while_progressing = Some(ms(70_000));
}

fn got_on() -> Event {
    Event::Progressed(G1, vec![Sign::Used(40)])
}

fn extensions(actions: &[Action]) -> Vec<(u32, u128)> {
    let extension = |action: &Action| match action {
        Action::Tell(_, Transition::Extended(extension)) => Some((extension.times, extension.to.as_millis())),
        _ => None,
    };
    actions.iter().filter_map(extension).collect()
}

#[test]
fn nobody_looks_at_a_service_whose_deadline_does_not_move() {
    let mut bench = Bench::spawned(|_| {});
    bench.pass_until(10_000);
    assert_eq!(bench.send(got_on()), []);
    assert_eq!(occasions(&bench.pass_until(30_000)), [Occasion::StartTimeout]);
}

#[test]
fn a_service_is_looked_at_from_its_start_until_it_is_ready() {
    let mut bench = Bench::new(patient);
    bench.send(Event::StartRequested);
    bench.send(Event::DependenciesReady);
    bench.send(Event::PreflightPassed(G1));
    assert_eq!(bench.act(Event::Spawned(G1, 10)), [Action::WatchProgress(G1)]);
    assert_eq!(bench.act(says_ready(G1)), [Action::StopProbing(G1), Action::ReleasePorts(G1)]);
    assert_eq!(bench.send(got_on()), []);
    assert_eq!(bench.service.extensions(), 0);
}

#[test]
fn its_deadline_moves_on_when_it_comes_and_as_far_as_the_last_sign_allows() {
    let mut bench = Bench::spawned(patient);
    for at in [5_000, 12_000, 29_000] {
        bench.pass_until(at);
        assert_eq!(bench.send(got_on()), []);
    }
    assert_eq!(bench.deadline(), Some(30_000));
    let until = bench.service.start_deadline().map(|at| at.since_start().as_millis());
    assert_eq!(until, Some(59_000), "that it will move is known already");
    let actions = bench.pass_until(31_000);
    assert_eq!((extensions(&actions), occasions(&actions)), (vec![(1, 59_000)], vec![]));
    assert_eq!(bench.service.extensions(), 1);
    // It stands still from then on.
    assert_eq!(occasions(&bench.pass_until(58_999)), []);
    let actions = bench.pass_until(59_000);
    assert_eq!((extensions(&actions), occasions(&actions)), (vec![], vec![Occasion::StartTimeout]));
}

#[test]
fn its_start_takes_no_longer_than_the_key_says() {
    let mut bench = Bench::spawned(patient);
    let mut moved = Vec::new();
    for at in (1..70).map(|second| second * 1000) {
        moved.extend(extensions(&bench.pass_until(at)));
        bench.send(got_on());
    }
    assert_eq!(moved, [(1, 59_000), (2, 70_000)]);
    assert_eq!(occasions(&bench.pass_until(70_000)), [Occasion::StartTimeout]);
}

#[test]
fn what_it_asks_for_itself_may_be_more() {
    let mut bench = Bench::spawned(patient);
    bench.send(got_on());
    bench.send(says(G1, |message| message.extend_timeout = Some(ms(90_000))));
    assert_eq!(extensions(&bench.pass_until(89_000)), []);
    assert_eq!(occasions(&bench.pass_until(90_000)), [Occasion::StartTimeout]);
}

#[test]
fn the_next_generation_begins_anew() {
    let mut bench = Bench::spawned(patient);
    bench.pass_until(20_000);
    bench.send(got_on());
    bench.pass_until(30_000);
    bench.end(G1, Ending::Code(1));
    bench.pass_until(30_200);
    bench.spawn(G2);
    assert_eq!((bench.service.extensions(), bench.deadline()), (0, Some(60_200)));
    assert_eq!(bench.send(got_on()), [], "of the one before");
    assert_eq!(occasions(&bench.pass_until(60_200)), [Occasion::StartTimeout]);
}
