use super::*;

#[test]
fn the_way_from_wanted_to_ready() {
    let mut bench = Bench::new(|_| {});
    assert_eq!((bench.state(), bench.service.generation(), bench.service.attempt()), (State::Stopped, None, 0));
    assert_eq!(bench.act(Event::StartRequested), []);
    assert_eq!(bench.state(), State::Waiting);
    assert_eq!(bench.act(Event::DependenciesReady), [Action::Check(G1)]);
    assert_eq!(bench.state(), State::Checking);
    assert_eq!(bench.act(Event::PreflightPassed(G1)), [Action::Spawn { generation: G1, attempt: 1 }]);
    assert_eq!(bench.state(), State::Starting);
    assert_eq!(bench.act(Event::Spawned(G1, 10)), []);
    assert_eq!(bench.service.main_pid(), Some(10));
    let actions = bench.send(says_ready(G1));
    let state = Transition::State { from: State::Starting, to: State::Ready, generation: Some(G1), attempt: 1 };
    assert_eq!(actions, [Action::ReleasePorts(G1), Action::Tell(G1, state)]);
    assert!(bench.service.serves());
}

/// What readiness comes of, for each kind: being started, READY=1, a probe.
#[test]
fn each_kind_of_readiness_looks_at_its_own_sign() {
    let address = "127.0.0.1:8080".parse().unwrap();
    let (none, reserve, pass) = (vec![], vec![PortMode::Reserve], vec![PortMode::Pass]);
    let mixed = vec![PortMode::Pass, PortMode::Check];
    for (ready, ports, signs) in [
        (Ready::Auto, &none, (true, true, false)),
        (Ready::Auto, &reserve, (false, true, true)),
        (Ready::Auto, &pass, (true, true, false)),
        (Ready::Auto, &mixed, (false, true, true)),
        (Ready::Listen, &reserve, (false, false, true)),
        (Ready::Notify, &reserve, (false, true, false)),
        (Ready::Tcp(address), &none, (false, false, true)),
        (Ready::Started, &reserve, (true, true, false)),
        (Ready::Exited, &none, (false, false, false)),
    ] {
        let make = || {
            Bench::spawned(|settings| {
                settings.ready = ready.clone();
                settings.ports = ports.iter().map(|mode| port(*mode)).collect();
            })
        };
        let started = make().state() == State::Ready;
        let mut bench = make();
        bench.send(says_ready(G1));
        let message = bench.state() == State::Ready;
        let mut bench = make();
        bench.send(Event::ProbeSucceeded(G1));
        let probe = !started && bench.state() == State::Ready;
        assert_eq!((started, message, probe), signs, "{ready:?} with {ports:?}");
    }
}

#[test]
fn probing_ends_when_it_is_ready_by_whatever_sign() {
    let with_port = |settings: &mut ServiceSettings| {
        settings.ready = Ready::Auto;
        settings.ports = vec![port(PortMode::Reserve)];
    };
    for sign in [says_ready(G1), Event::ProbeSucceeded(G1)] {
        let mut bench = Bench::new(with_port);
        bench.send(Event::StartRequested);
        bench.send(Event::DependenciesReady);
        bench.send(Event::PreflightPassed(G1));
        assert_eq!(bench.act(Event::Spawned(G1, 10)), [Action::Probe(G1)]);
        assert_eq!(bench.act(sign), [Action::StopProbing(G1), Action::ReleasePorts(G1)]);
    }
}

#[test]
fn ready_that_overtakes_the_word_of_the_spawn_is_not_lost() {
    let mut bench = Bench::new(|_| {});
    bench.send(Event::StartRequested);
    bench.send(Event::DependenciesReady);
    bench.send(Event::PreflightPassed(G1));
    bench.send(says_ready(G1));
    assert_eq!(bench.state(), State::Starting);
    bench.send(Event::Spawned(G1, 10));
    assert_eq!(bench.state(), State::Ready);
}

#[test]
fn a_stranger_is_not_heard_and_told_of_once() {
    let mut bench = Bench::spawned(|_| {});
    let message = Message { ready: true, ..Message::default() };
    let event = Event::Notified(G1, Sender::Stranger(666), message.clone().into());
    assert_eq!(bench.told(event.clone()), [Transition::StrangerIgnored { pid: 666 }]);
    assert_eq!(bench.told(event), []);
    assert_eq!(bench.state(), State::Starting);
    bench.send(Event::Notified(G1, Sender::Member(11), message.into()));
    assert_eq!(bench.state(), State::Ready);
}

#[test]
fn an_exited_service_is_done_when_it_ends_well() {
    let mut bench = Bench::spawned(|settings| settings.ready = Ready::Exited);
    assert!(!bench.service.serves());
    let actions = bench.end(G1, Ending::Code(0));
    assert_eq!(occasions(&actions), []);
    assert!(bench.service.serves());
    assert_eq!(bench.service.outcome(), Some(Outcome { code: 0, cause: OutcomeCause::Completed }));

    let mut bench = Bench::spawned(|settings| settings.ready = Ready::Exited);
    assert_eq!(occasions(&bench.end(G1, Ending::Code(1))), [Occasion::Exited]);
    assert!(!bench.service.serves());
}

#[test]
fn the_start_deadline_is_dump_report_stop_backoff_next() {
    let mut bench = Bench::spawned(|_| {});
    assert_eq!(bench.deadline(), Some(30_000));
    let explain = |occasion| Action::Explain {
        generation: G1,
        attempt: 1,
        occasion,
        ending: None,
        refusal: None,
        outlook: Outlook { of: None, next: Next::Attempt(ms(200)) },
    };
    assert_eq!(bench.act_until(30_000), [explain(Occasion::StartTimeout)]);
    assert_eq!(bench.act(says_ready(G1)), [], "too late");
    assert_eq!(bench.act(Event::Explained(G1)), [Action::Stop(G1, Signal::TERM)]);
    assert_eq!(bench.state(), State::Stopping);
    bench.send(Event::Exited(G1, Ending::Signal(Signal::TERM)));
    assert_eq!(bench.act(Event::Emptied(G1)), [Action::ReleasePorts(G1)]);
    assert_eq!(bench.state(), State::BackingOff);
    assert_eq!(bench.act_until(30_200), [Action::Check(G2)]);
    assert_eq!(bench.service.attempt(), 2);
}

#[test]
fn the_start_deadline_runs_from_the_spawn() {
    let mut bench = Bench::new(|_| {});
    bench.send(Event::StartRequested);
    bench.send(Event::DependenciesReady);
    assert_eq!(bench.deadline(), None);
    bench.pass_until(1_000);
    bench.send(Event::PreflightPassed(G1));
    assert_eq!(bench.deadline(), Some(31_000));
}

#[test]
fn a_dump_that_does_not_come_back_holds_nothing_up() {
    let mut bench = Bench::spawned(|_| {});
    bench.pass_until(30_000);
    assert_eq!(bench.act_until(33_999), []);
    assert_eq!(bench.act_until(34_000), [Action::Stop(G1, Signal::TERM)]);
    assert_eq!(bench.act(Event::Explained(G1)), [], "late");
}

#[test]
fn preflight_failures_are_reported_and_tried_again() {
    let mut bench = Bench::new(|_| {});
    bench.send(Event::StartRequested);
    bench.send(Event::DependenciesReady);
    let explain = Action::Explain {
        generation: G1,
        attempt: 1,
        occasion: Occasion::Preflight,
        ending: None,
        refusal: Some(port_taken()),
        outlook: Outlook { of: None, next: Next::Attempt(ms(200)) },
    };
    assert_eq!(bench.act(Event::PreflightFailed(G1, port_taken())), [explain]);
    assert_eq!(bench.state(), State::Checking);
    assert_eq!(waits(&bench.send(Event::Explained(G1))), [(2, 1, 200)]);
    assert_eq!(bench.act_until(200), [Action::Check(G2)]);
}
