use super::*;

const TERM: StopCause = StopCause::Signal(Signal::TERM);
/// What a case sets.
type Change<'a> = &'a dyn Fn(&mut ServiceSettings);

const INT: StopCause = StopCause::Signal(Signal::INT);

#[test]
fn a_service_that_ends_on_the_stop_signal_gives_0() {
    let mut bench = Bench::ready(|_| {});
    assert_eq!(bench.act(Event::StopRequested(TERM)), [Action::Stop(G1, Signal::TERM)]);
    assert_eq!(bench.state(), State::Stopping);
    assert_eq!(bench.act(Event::Exited(G1, Ending::Signal(Signal::TERM))), [Action::SignalRest(G1, Signal::TERM)]);
    assert_eq!(bench.act(Event::Emptied(G1)), []);
    assert_eq!(bench.state(), State::Stopped);
    assert_eq!(bench.service.outcome(), Some(Outcome { code: 0, cause: OutcomeCause::Requested }));
    assert_eq!(bench.deadline(), None);
}

#[test]
fn a_stop_signal_is_followed_by_hup_where_it_may_not_be_heard() {
    let stop = || Action::Stop(G1, Signal::TERM);
    let if_ignored = || vec![Action::HangUp(G1, Some(Signal::TERM)), stop()];
    let cases: [(Change<'_>, Vec<Action>, i32); 5] = [
        (&|_| {}, vec![stop()], 129),
        (&|service| service.terminal = true, if_ignored(), 0),
        (&|service| service.interactive = true, if_ignored(), 0),
        (&|service| service.send_hup = Some(true), vec![stop(), Action::HangUp(G1, None)], 0),
        (&|service| (service.terminal, service.send_hup) = (true, Some(false)), vec![stop()], 129),
    ];
    for (change, actions, code) in cases {
        let mut bench = Bench::ready(change);
        assert_eq!(bench.act(Event::StopRequested(TERM)), actions);
        bench.end(G1, Ending::Signal(Signal::HUP));
        assert_eq!((bench.state(), bench.code()), (State::Stopped, Some(code)), "{actions:?}");
    }
    let mut bench = Bench::ready(|service| (service.stop_signal, service.send_hup) = (Signal::HUP, Some(true)));
    assert_eq!(bench.act(Event::StopRequested(TERM)), [Action::Stop(G1, Signal::HUP)], "once is enough");
}

#[test]
fn a_stopped_service_gives_its_own_code_and_another_signals_number() {
    for (ending, code) in [
        (Ending::Code(0), 0),
        (Ending::Code(3), 3),
        (Ending::Code(143), 143),
        (Ending::Signal(Signal::SEGV), 139),
        (Ending::Signal(Signal::INT), 130),
    ] {
        let mut bench = Bench::ready(|_| {});
        bench.send(Event::StopRequested(TERM));
        let actions = bench.end(G1, ending);
        assert_eq!(occasions(&actions), [], "a stop that was asked for is no failure");
        assert_eq!((bench.state(), bench.code()), (State::Stopped, Some(code)), "{ending}");
    }
}

#[test]
fn the_ladder_is_signal_report_kill() {
    let mut bench = Bench::ready(|_| {});
    bench.send(Event::StopRequested(TERM));
    assert_eq!(bench.pass_until(7_999), []);
    let survived = Action::Tell(G1, Transition::Survived { after: ms(8_000), cut: false, drained: false });
    let occasion = Occasion::StopTimeout;
    let explain = Action::Explain {
        generation: G1,
        attempt: 1,
        occasion,
        ending: None,
        refusal: None,
        outlook: Outlook::default(),
    };
    assert_eq!(bench.pass_until(8_000), [survived, explain]);
    assert_eq!(bench.act(Event::Explained(G1)), [Action::Kill(G1)]);
    bench.end(G1, Ending::Signal(Signal::KILL));
    assert_eq!((bench.state(), bench.code()), (State::Stopped, Some(137)));
}

#[test]
fn what_is_left_when_the_main_process_has_stopped_goes_the_same_way() {
    let mut bench = Bench::ready(|_| {});
    bench.send(Event::StopRequested(TERM));
    bench.send(Event::Exited(G1, Ending::Signal(Signal::TERM)));
    assert_eq!(occasions(&bench.pass_until(8_000)), [Occasion::StopTimeout]);
    assert_eq!(bench.act(Event::Explained(G1)), [Action::Kill(G1)]);
    bench.send(Event::Emptied(G1));
    assert_eq!((bench.state(), bench.code()), (State::Stopped, Some(0)));
}

#[test]
fn a_generation_that_was_reported_on_is_killed_without_another_report() {
    let mut bench = Bench::spawned(|_| {});
    bench.pass_until(30_000);
    bench.send(Event::Explained(G1));
    assert_eq!(bench.act_until(38_000), [Action::Kill(G1)]);
}

#[test]
fn what_is_sent_to_stop_it() {
    let quit = |settings: &mut ServiceSettings| settings.stop_signal = Signal::QUIT;
    let rewrite = |settings: &mut ServiceSettings| {
        settings.signals.rewrite = BTreeMap::from([(Signal::TERM, Some(Signal::USR2))]);
    };
    let deaf = |settings: &mut ServiceSettings| settings.signals.rewrite = BTreeMap::from([(Signal::HUP, None)]);
    let as_it_is = |_: &mut ServiceSettings| {};
    let cases: [(Change, StopCause, Signal); 10] = [
        (&as_it_is, TERM, Signal::TERM),
        (&as_it_is, INT, Signal::INT),
        (&as_it_is, StopCause::Request, Signal::TERM),
        (&as_it_is, StopCause::Signal(Signal::HUP), Signal::TERM),
        (&quit, TERM, Signal::QUIT),
        (&quit, INT, Signal::QUIT),
        (&rewrite, TERM, Signal::USR2),
        (&rewrite, INT, Signal::INT),
        (&rewrite, StopCause::Request, Signal::TERM),
        (&deaf, StopCause::Signal(Signal::HUP), Signal::TERM),
    ];
    for (index, (change, cause, sent)) in cases.into_iter().enumerate() {
        let mut bench = Bench::ready(change);
        assert_eq!(bench.act(Event::StopRequested(cause)), [Action::Stop(G1, sent)], "case {index}");
        bench.end(G1, Ending::Signal(sent));
        assert_eq!(bench.code(), Some(0), "case {index}");
    }
}

#[test]
fn a_stop_request_waits_for_readiness_up_to_its_limit() {
    let mut bench = Bench::spawned(|_| {});
    let held = Transition::SignalHeld { signal: Signal::TERM, limit: Some(ms(5_000)) };
    assert_eq!(bench.told(Event::StopRequested(TERM)), [held]);
    assert_eq!(bench.state(), State::Starting);
    assert_eq!(bench.act_until(4_999), []);
    assert_eq!(bench.act_until(5_000), [Action::Stop(G1, Signal::TERM)]);
    assert_eq!(bench.state(), State::Stopping);
    assert_eq!(bench.deadline(), Some(13_000), "the ladder begins when the stop does");
}

#[test]
fn a_stop_request_that_waits_is_delivered_when_ready_in_its_turn() {
    let mut bench = Bench::spawned(|_| {});
    bench.send(Event::SignalReceived(Signal::HUP));
    bench.send(Event::StopRequested(TERM));
    bench.send(Event::SignalReceived(Signal::USR1));
    let actions = bench.act(says_ready(G1));
    let signal = |signal| Action::Signal(G1, signal);
    assert_eq!(actions[1..], [signal(Signal::HUP), Action::Stop(G1, Signal::TERM), signal(Signal::USR1)]);
    assert_eq!(bench.state(), State::Stopping);
}

#[test]
fn what_does_not_wait() {
    let unheld = |settings: &mut ServiceSettings| settings.signals.hold.clear();
    let no_limit = |settings: &mut ServiceSettings| settings.signals.hold_limit = ms(0);
    let as_it_is = |_: &mut ServiceSettings| {};
    let cases: [(Change, StopCause); 3] = [(&unheld, TERM), (&no_limit, TERM), (&as_it_is, StopCause::Request)];
    for (index, (change, cause)) in cases.into_iter().enumerate() {
        let mut bench = Bench::spawned(change);
        assert_eq!(bench.act(Event::StopRequested(cause)), [Action::Stop(G1, Signal::TERM)], "case {index}");
    }
}

#[test]
fn the_second_request_begins_at_once_and_the_third_kills() {
    let mut bench = Bench::spawned(|_| {});
    assert_eq!(bench.act(Event::StopRequested(TERM)), []);
    assert_eq!(bench.act(Event::StopRequested(INT)), [Action::Stop(G1, Signal::INT)]);
    assert_eq!(bench.act(Event::StopRequested(INT)), [Action::Kill(G1)]);
    assert_eq!(bench.act(Event::StopRequested(INT)), [], "once is enough");
    let actions = bench.end(G1, Ending::Signal(Signal::KILL));
    assert_eq!(occasions(&actions), []);
    assert_eq!(bench.code(), Some(137));
}

#[test]
fn a_second_request_reaches_a_service_that_is_stopping() {
    let mut bench = Bench::ready(|_| {});
    bench.send(Event::StopRequested(INT));
    assert_eq!(bench.act(Event::StopRequested(TERM)), [Action::Stop(G1, Signal::TERM)]);
    bench.end(G1, Ending::Signal(Signal::INT));
    assert_eq!(bench.code(), Some(0), "it ended on one of the stop signals");
}

#[test]
fn without_a_process_a_stop_is_immediate() {
    let stop = Event::StopRequested(TERM);
    let mut bench = Bench::new(|_| {});
    bench.send(Event::StartRequested);
    assert_eq!(bench.act(stop.clone()), []);
    assert_eq!((bench.state(), bench.code()), (State::Stopped, Some(0)));

    let mut bench = Bench::new(|_| {});
    bench.send(Event::StartRequested);
    bench.send(Event::DependenciesReady);
    assert_eq!(bench.act(stop.clone()), [Action::ReleasePorts(G1)]);
    assert_eq!((bench.state(), bench.code()), (State::Stopped, Some(0)));
    assert_eq!(bench.act(Event::PreflightPassed(G1)), [], "late");

    let mut bench = Bench::ready(|_| {});
    bench.end(G1, Ending::Code(7));
    assert_eq!(bench.state(), State::BackingOff);
    bench.send(stop);
    assert_eq!((bench.state(), bench.code()), (State::Stopped, Some(7)), "the last failure has the last word");
    assert_eq!(bench.deadline(), None);
}

#[test]
fn a_stop_before_the_spawn_is_answered_reaches_the_process() {
    let mut bench = Bench::new(|settings| settings.signals.hold.clear());
    bench.send(Event::StartRequested);
    bench.send(Event::DependenciesReady);
    bench.send(Event::PreflightPassed(G1));
    assert_eq!(bench.act(Event::StopRequested(TERM)), []);
    assert_eq!(bench.state(), State::Stopping);
    assert_eq!(bench.act(Event::Spawned(G1, 10)), [Action::Stop(G1, Signal::TERM)]);
    bench.end(G1, Ending::Signal(Signal::TERM));
    assert_eq!(bench.code(), Some(0));
}

#[test]
fn a_report_is_waited_for_by_the_first_request_and_not_by_the_second() {
    let mut bench = Bench::ready(|_| {});
    bench.send(Event::Exited(G1, Ending::Code(1)));
    bench.send(Event::Emptied(G1));
    assert_eq!(bench.act(Event::StopRequested(TERM)), []);
    assert_eq!(bench.state(), State::Stopping);
    bench.send(Event::StopRequested(TERM));
    assert_eq!((bench.state(), bench.code()), (State::Stopped, Some(1)));
}

#[test]
fn a_request_while_the_stacks_are_taken_lets_them_be_taken() {
    let mut bench = Bench::spawned(|_| {});
    bench.pass_until(30_000);
    assert_eq!(bench.act(Event::StopRequested(TERM)), []);
    assert_eq!(bench.act(Event::Explained(G1)), [Action::Stop(G1, Signal::TERM)]);
    bench.end(G1, Ending::Signal(Signal::TERM));
    assert_eq!((bench.state(), bench.code()), (State::Stopped, Some(124)));
}

#[test]
fn a_kill_request_kills_whatever_runs() {
    let mut bench = Bench::ready(|_| {});
    assert_eq!(bench.act(Event::KillRequested), [Action::Kill(G1)]);
    bench.end(G1, Ending::Signal(Signal::KILL));
    assert_eq!((bench.state(), bench.code()), (State::Stopped, Some(137)));
}

#[test]
fn why_it_is_killed_is_told_once() {
    let asked = || Transition::Killed(Haste::Asked);
    let mut bench = Bench::ready(|_| {});
    assert_eq!(bench.told(Event::KillRequested), [asked()]);
    let mut bench = Bench::ready(|_| {});
    bench.send(Event::StopRequested(TERM));
    assert_eq!(bench.told(Event::StopRequested(TERM)), []);
    assert_eq!(bench.told(Event::StopRequested(TERM)), [asked()]);
    assert_eq!(bench.told(Event::StopRequested(TERM)), [], "it is killed already");
    // One that did not stop in time was told of.
    let mut bench = Bench::ready(|_| {});
    bench.send(Event::StopRequested(TERM));
    bench.pass_until(8_000);
    assert_eq!(bench.told(Event::KillRequested), []);
}

#[test]
fn a_stop_budget_that_is_too_short_is_told_of() {
    let told = |bench: &mut Bench, until| {
        let passed = bench.pass_until(until).into_iter();
        let words = |action| match action {
            Action::Tell(_, told @ (Transition::Survived { .. } | Transition::Killed(_))) => Some(told),
            _ => None,
        };
        passed.filter_map(words).collect::<Vec<_>>()
    };
    // Nothing is told again when the report took too long.
    let mut bench = Bench::ready(|_| {});
    bench.service.limit_stop(bench.now, Moment::from_start(ms(4_000)));
    bench.send(Event::StopRequested(TERM));
    assert_eq!(told(&mut bench, 10_000), [Transition::Survived { after: ms(3_500), cut: true, drained: false }]);
    // A stop that is not under way yet when the budget is used up: its stacks are taken.
    let mut bench = Bench::spawned(|_| {});
    bench.pass_until(30_000);
    bench.service.limit_stop(bench.now, Moment::from_start(ms(31_000)));
    assert_eq!(told(&mut bench, 31_000), [Transition::Killed(Haste::Budget)]);
    // A budget that leaves all of stop_timeout is not to blame.
    let mut bench = Bench::ready(|_| {});
    bench.service.limit_stop(bench.now, Moment::from_start(ms(60_000)));
    bench.send(Event::StopRequested(TERM));
    assert_eq!(told(&mut bench, 8_000), [Transition::Survived { after: ms(8_000), cut: false, drained: false }]);
}

#[test]
fn the_budget_leaves_time_for_the_report_and_then_kills() {
    let mut bench = Bench::ready(|_| {});
    bench.service.limit_stop(bench.now, Moment::from_start(ms(4_000)));
    bench.send(Event::StopRequested(TERM));
    assert_eq!(bench.deadline(), Some(3_500), "an eighth is for the report");
    assert_eq!(occasions(&bench.pass_until(3_500)), [Occasion::StopTimeout]);
    assert_eq!(bench.act_until(3_999), []);
    assert_eq!(bench.act_until(4_000), [Action::Kill(G1)]);
    bench.send(Event::Exited(G1, Ending::Signal(Signal::KILL)));
    bench.send(Event::Emptied(G1));
    assert_eq!(bench.state(), State::Stopped, "the report is not waited for");
}

#[test]
fn the_budget_bounds_a_held_request_too() {
    let mut bench = Bench::spawned(|_| {});
    bench.service.limit_stop(bench.now, Moment::from_start(ms(3_000)));
    bench.send(Event::StopRequested(TERM));
    assert_eq!(bench.act_until(2_000), [Action::Stop(G1, Signal::TERM)]);
}

#[test]
fn a_start_takes_back_a_stop_that_waits_and_follows_one_that_runs() {
    let mut bench = Bench::spawned(|_| {});
    bench.send(Event::StopRequested(TERM));
    bench.send(Event::StartRequested);
    assert_eq!(bench.act(says_ready(G1)), [Action::ReleasePorts(G1)]);
    assert_eq!(bench.state(), State::Ready);

    bench.send(Event::StopRequested(TERM));
    bench.send(Event::StartRequested);
    bench.send(Event::Exited(G1, Ending::Signal(Signal::TERM)));
    assert_eq!(bench.act(Event::Emptied(G1)), [Action::Check(G2)]);
}

#[test]
fn a_spawn_that_fails_while_stopping_is_reported_and_not_killed() {
    let mut bench = Bench::new(|settings| settings.stop_timeout = ms(100));
    bench.send(Event::StartRequested);
    bench.send(Event::DependenciesReady);
    bench.send(Event::PreflightPassed(G1));
    bench.send(Event::StopRequested(StopCause::Request));
    assert_eq!(occasions(&bench.send(Event::SpawnFailed(G1, Box::new(not_found())))), [Occasion::ExecFailed]);
    assert_eq!(bench.pass_until(1_000), []);
    bench.send(Event::Explained(G1));
    assert_eq!((bench.state(), bench.code()), (State::Stopped, Some(127)));
}
