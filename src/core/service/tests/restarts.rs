use super::*;

/// What a report announces to come next.
fn outlooks(actions: &[Action]) -> Vec<Outlook> {
    let outlook = |action: &Action| match action {
        Action::Explain { outlook, .. } => Some(*outlook),
        _ => None,
    };
    actions.iter().filter_map(outlook).collect()
}

fn breaker(on_open: OnOpen) -> impl FnOnce(&mut ServiceSettings) {
    move |settings| {
        settings.restart.breaker =
            Some(BreakerSettings { failures: 2, within: ms(10_000), cooldown: ms(60_000), on_open });
    }
}

#[test]
fn each_backoff_is_longer_and_each_attempt_counted() {
    let mut bench = Bench::spawned(|settings| settings.restart.max_failures = Some(5));
    assert_eq!(waits(&bench.end(G1, Ending::Code(1))), [(2, 1, 200)]);
    bench.pass_until(200);
    assert_eq!(waits(&bench.fail(G2)), [(3, 2, 400)]);
    bench.pass_until(600);
    assert_eq!(waits(&bench.fail(G3)), [(4, 3, 800)]);
    assert_eq!(bench.service.failures(), 3);
}

#[test]
fn attempts_count_from_the_last_readiness_but_failures_go_on() {
    let mut bench = Bench::ready(|settings| settings.restart.max_failures = Some(5));
    assert_eq!(waits(&bench.end(G1, Ending::Code(1))), [(1, 1, 200)], "attempts are counted anew, failures go on");
    bench.pass_until(200);
    bench.spawn(G2);
    bench.send(says_ready(G2));
    assert_eq!(bench.service.attempt(), 1);
    assert_eq!(waits(&bench.end(G2, Ending::Code(1))), [(1, 2, 400)]);
}

#[test]
fn being_ready_for_long_enough_starts_the_counts_again() {
    let mut bench = Bench::ready(|settings| settings.restart.max_failures = Some(2));
    bench.end(G1, Ending::Code(1));
    bench.pass_until(200);
    bench.spawn(G2);
    bench.send(says_ready(G2));
    bench.pass_until(60_200);
    assert_eq!(bench.service.failures(), 0);
    assert_eq!(waits(&bench.end(G2, Ending::Code(1))), [(1, 1, 200)]);
}

#[test]
fn no_backoff_is_no_wait() {
    let mut bench = Bench::ready(|settings| settings.restart.backoff.initial = ms(0));
    let actions = bench.end(G1, Ending::Signal(Signal::KILL));
    assert!(actions.contains(&Action::Check(G2)));
}

#[test]
fn enough_failures_in_a_row_and_it_is_given_up_with_the_last_code() {
    let mut bench = Bench::spawned(|settings| settings.restart.max_failures = Some(2));
    bench.end(G1, Ending::Code(1));
    bench.pass_until(200);
    bench.spawn(G2);
    let actions = bench.end(G2, Ending::Code(9));
    assert!(actions.contains(&Action::Tell(G2, Transition::GivenUp { failures: 2, code: 9 })));
    assert_eq!((bench.state(), bench.code()), (State::Failed, Some(9)));
    assert_eq!(bench.deadline(), None);
}

#[test]
fn the_last_attempt_that_misses_its_deadline_gives_124() {
    let mut bench = Bench::spawned(|settings| settings.restart.max_failures = Some(1));
    bench.pass_until(30_000);
    bench.send(Event::Explained(G1));
    bench.end(G1, Ending::Signal(Signal::TERM));
    assert_eq!((bench.state(), bench.code()), (State::Failed, Some(124)));
}

#[test]
fn on_timeout_exit_fails_at_the_first_missed_deadline_only() {
    let exit = |settings: &mut ServiceSettings| settings.on_timeout = OnTimeout::Exit;
    let mut bench = Bench::spawned(exit);
    bench.pass_until(30_000);
    bench.send(Event::Explained(G1));
    bench.end(G1, Ending::Signal(Signal::TERM));
    assert_eq!((bench.state(), bench.code()), (State::Failed, Some(124)));

    let mut bench = Bench::spawned(exit);
    bench.end(G1, Ending::Code(1));
    assert_eq!(bench.state(), State::BackingOff);
}

#[test]
fn always_restarts_after_success_and_that_breaks_the_row() {
    let mut bench = Bench::ready(|settings| {
        settings.restart.policy = RestartPolicy::Always;
        settings.restart.max_failures = Some(2);
    });
    bench.end(G1, Ending::Code(1));
    bench.pass_until(200);
    bench.spawn(G2);
    bench.send(says_ready(G2));
    let actions = bench.end(G2, Ending::Code(0));
    assert_eq!((occasions(&actions), waits(&actions)), (vec![], vec![(1, 0, 400)]));
    bench.pass_until(600);
    bench.fail(G3);
    assert_eq!(bench.state(), State::BackingOff, "one failure, not two");
}

#[test]
fn on_failure_leaves_a_success_alone() {
    let mut bench = Bench::ready(|_| {});
    bench.end(G1, Ending::Code(0));
    assert_eq!(bench.service.outcome(), Some(Outcome { code: 0, cause: OutcomeCause::Completed }));
}

#[test]
fn a_breaker_opens_waits_and_allows_one_trial() {
    let mut bench = Bench::spawned(breaker(OnOpen::Cooldown));
    bench.end(G1, Ending::Code(1));
    bench.pass_until(200);
    let opened = Action::Tell(G2, Transition::BreakerOpened { failures: 2, cooldown: ms(60_000) });
    assert!(bench.fail(G2).contains(&opened));
    assert_eq!(bench.state(), State::Open);
    assert_eq!(bench.act_until(60_199), []);
    assert_eq!(bench.act_until(60_200), [Action::Check(G3)]);
    assert!(bench.fail(G3).iter().any(|action| matches!(action, Action::Tell(_, Transition::BreakerOpened { .. }))));
    assert_eq!(bench.state(), State::Open, "the trial failed");
}

#[test]
fn a_trial_that_is_ready_for_long_enough_closes_the_breaker_and_one_that_is_not_does_not() {
    for (ready_for, state) in [(59_999, State::Open), (60_000, State::BackingOff)] {
        let mut bench = Bench::spawned(breaker(OnOpen::Cooldown));
        bench.end(G1, Ending::Code(1));
        bench.pass_until(200);
        bench.fail(G2);
        bench.pass_until(60_200);
        bench.spawn(G3);
        bench.send(says_ready(G3));
        bench.pass_until(60_200 + ready_for);
        bench.end(G3, Ending::Code(1));
        assert_eq!(bench.state(), state, "ready for {ready_for} ms");
    }
}

#[test]
fn a_breaker_that_exits_is_the_end() {
    let mut bench = Bench::spawned(breaker(OnOpen::Exit));
    bench.end(G1, Ending::Code(1));
    bench.pass_until(200);
    bench.fail(G2);
    assert_eq!((bench.state(), bench.code()), (State::Failed, Some(1)));
}

#[test]
fn a_restart_counts_nothing_and_waits_for_nothing() {
    let mut bench = Bench::ready(|_| {});
    assert_eq!(bench.act(Event::RestartRequested), [Action::Stop(G1, Signal::TERM)]);
    bench.send(Event::Exited(G1, Ending::Code(1)));
    assert_eq!(bench.act(Event::Emptied(G1)), [Action::Check(G2)]);
    assert_eq!(bench.service.failures(), 0);
}

#[test]
fn a_restart_gets_a_service_out_of_every_wait() {
    let mut bench = Bench::spawned(breaker(OnOpen::Cooldown));
    bench.end(G1, Ending::Code(1));
    assert_eq!(bench.state(), State::BackingOff);
    assert_eq!(bench.act(Event::RestartRequested), [Action::Check(G2)]);
    bench.fail(G2);
    assert_eq!(bench.state(), State::Open);
    assert_eq!(bench.act(Event::RestartRequested), [Action::Check(G3)], "that is its trial");
    bench.fail(G3);
    assert_eq!(bench.state(), State::Open);

    let mut bench = Bench::spawned(|settings| settings.restart.policy = RestartPolicy::Never);
    bench.end(G1, Ending::Code(1));
    assert_eq!(bench.state(), State::Failed);
    bench.send(Event::RestartRequested);
    assert_eq!((bench.state(), bench.code()), (State::Waiting, None));
    assert_eq!(bench.act(Event::DependenciesReady), [Action::Check(G2)]);
}

#[test]
fn a_restart_of_one_that_will_not_stop_kills_it_first() {
    let mut bench = Bench::ready(|_| {});
    bench.send(Event::RestartRequested);
    assert_eq!(occasions(&bench.pass_until(8_000)), [Occasion::StopTimeout]);
    assert_eq!(bench.act(Event::Explained(G1)), [Action::Kill(G1)]);
    let actions = bench.end(G1, Ending::Signal(Signal::KILL));
    assert!(actions.contains(&Action::Check(G2)));
    assert_eq!(bench.service.failures(), 0);
}

#[test]
fn a_stop_after_a_restart_wins_and_the_other_way_round() {
    let mut bench = Bench::ready(|_| {});
    bench.send(Event::RestartRequested);
    bench.send(Event::StopRequested(StopCause::Request));
    bench.end(G1, Ending::Signal(Signal::TERM));
    assert_eq!((bench.state(), bench.code()), (State::Stopped, Some(0)));

    let mut bench = Bench::ready(|_| {});
    bench.send(Event::StopRequested(StopCause::Request));
    bench.send(Event::RestartRequested);
    bench.end(G1, Ending::Signal(Signal::TERM));
    assert_eq!(bench.state(), State::Checking);
}

#[test]
fn the_wait_that_a_report_announces_is_the_one_that_follows() {
    let jitters = [Jitter::Full, Jitter::Equal, Jitter::None];
    for jitter in jitters {
        let mut bench = Bench::spawned(|settings| {
            settings.restart.max_failures = Some(3);
            settings.restart.backoff.jitter = jitter;
        });
        // By a missed deadline, whose report is made before the generation is over, and by an exit.
        let announced = outlooks(&bench.pass_until(30_000));
        bench.send(Event::Explained(G1));
        let followed = bench.end(G1, Ending::Signal(Signal::TERM));
        assert_eq!(announced, [next_attempt(&followed)], "{jitter:?}");
        bench.pass_until(31_000);
        let actions = bench.fail(G2);
        assert_eq!(outlooks(&actions), [next_attempt(&actions)], "{jitter:?}");
        bench.pass_until(32_000);
        assert_eq!(
            outlooks(&bench.fail(G3)),
            [Outlook { of: Some(3), next: Next::Nothing }],
            "{jitter:?}: the last one"
        );
        assert_eq!(bench.state(), State::Failed);
    }
}

/// The outlook that would have told of the next attempt as it is told in the end.
fn next_attempt(actions: &[Action]) -> Outlook {
    let next = actions.iter().find_map(|action| match action {
        Action::Tell(_, Transition::NextAttempt { attempt, failures, max, after }) => {
            let of = max.filter(|_| *attempt == failures + 1);
            Some(Outlook { of, next: Next::Attempt(*after) })
        }
        _ => None,
    });
    next.expect("another attempt comes")
}

#[test]
fn a_report_announces_nothing_when_nothing_comes() {
    let none = |of| [Outlook { of, next: Next::Nothing }];
    let mut bench = Bench::spawned(|settings| settings.restart.policy = RestartPolicy::Never);
    assert_eq!(outlooks(&bench.end(G1, Ending::Code(1))), none(None));

    let mut bench = Bench::spawned(|settings| settings.on_timeout = OnTimeout::Exit);
    assert_eq!(outlooks(&bench.pass_until(30_000)), none(None));

    let mut bench = Bench::spawned(|settings| settings.restart.max_failures = Some(1));
    assert_eq!(outlooks(&bench.end(G1, Ending::Code(1))), none(Some(1)));

    let mut bench = Bench::ready(|_| {});
    bench.send(Event::StopRequested(StopCause::Request));
    assert_eq!(outlooks(&bench.pass_until(8_000)), none(None), "it was asked to stop");
}

#[test]
fn a_report_announces_the_cooldown_of_the_breaker_that_its_failure_opens() {
    for (on_open, next) in [(OnOpen::Cooldown, Next::Attempt(ms(60_000))), (OnOpen::Exit, Next::Nothing)] {
        let mut bench = Bench::spawned(breaker(on_open));
        assert_eq!(outlooks(&bench.end(G1, Ending::Code(1))), [Outlook { of: None, next: Next::Attempt(ms(200)) }]);
        bench.pass_until(200);
        assert_eq!(outlooks(&bench.fail(G2)), [Outlook { of: None, next }]);
    }
}
