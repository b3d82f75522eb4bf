use super::*;
use crate::core::requirement::Target;

#[test]
fn who_waits_for_its_end_is_told_once_it_is_at_rest() {
    let target = Target::parse("http://127.0.0.1:15020/quitquitquit").unwrap();
    let farewells = |actions: &[Action]| actions.iter().filter(|action| **action == Action::Farewell).count();
    let mut bench = Bench::ready(|service| service.on_stop = Some(OnStop::new(target)));
    let actions = bench.end(G1, Ending::Code(1));
    assert_eq!((farewells(&actions), bench.state()), (0, State::BackingOff), "it is started again");
    bench.pass_until(10_000);
    bench.spawn(G2);
    let stop = bench.send(Event::StopRequested(StopCause::Request));
    assert_eq!(farewells(&stop), 0, "it still runs");
    assert_eq!(farewells(&bench.end(G2, Ending::Signal(Signal::TERM))), 1);
    assert_eq!(bench.state(), State::Stopped);
    bench.send(Event::StartRequested);
    assert_eq!(farewells(&bench.send(Event::StopRequested(StopCause::Request))), 0, "the same end is told once");
    // What has never begun leaves nobody waiting.
    let mut bench = Bench::new(|service| service.on_stop = Some(OnStop::new(Target::parse("exec:true").unwrap())));
    bench.send(Event::StartRequested);
    assert_eq!(farewells(&bench.send(Event::StopRequested(StopCause::Request))), 0);
}

fn never(settings: &mut ServiceSettings) {
    settings.restart.policy = RestartPolicy::Never;
    settings.ready = Ready::Auto;
}

#[test]
fn a_command_that_ends_gives_its_code() {
    for (ending, state, code) in [
        (Ending::Code(0), State::Stopped, 0),
        (Ending::Code(1), State::Failed, 1),
        (Ending::Code(255), State::Failed, 255),
        (Ending::Signal(Signal::TERM), State::Failed, 143),
        (Ending::Signal(Signal::SEGV), State::Failed, 139),
    ] {
        let mut bench = Bench::spawned(never);
        assert_eq!(bench.state(), State::Ready);
        let actions = bench.end(G1, ending);
        assert_eq!(occasions(&actions).len(), usize::from(state == State::Failed), "{ending}");
        assert_eq!((bench.state(), bench.code()), (state, Some(code)), "{ending}");
        assert_eq!(bench.deadline(), None);
    }
}

#[test]
fn the_kind_of_a_failure_is_how_it_ended() {
    let mut bench = Bench::ready(|_| {});
    assert_eq!(occasions(&bench.end(G1, Ending::Code(1))), [Occasion::Exited]);
    let mut bench = Bench::ready(|_| {});
    assert_eq!(occasions(&bench.end(G1, Ending::Signal(Signal::SEGV))), [Occasion::Crashed]);
}

#[test]
fn success_before_ready_is_a_failed_start_but_gives_its_code() {
    let mut bench = Bench::spawned(|settings| settings.restart.policy = RestartPolicy::Never);
    assert_eq!(occasions(&bench.end(G1, Ending::Code(0))), [Occasion::Exited]);
    assert_eq!((bench.state(), bench.code()), (State::Failed, Some(0)));
}

#[test]
fn a_success_code_is_what_the_settings_say() {
    let mut bench = Bench::ready(|settings| settings.restart.success_codes = vec![0, 3]);
    assert_eq!(occasions(&bench.end(G1, Ending::Code(3))), []);
    assert_eq!((bench.state(), bench.code()), (State::Stopped, Some(3)));
}

#[test]
fn what_is_left_gets_a_signal_a_second_and_then_sigkill() {
    let mut bench = Bench::ready(|_| {});
    let actions = bench.act(Event::Exited(G1, Ending::Code(0)));
    assert_eq!(actions, [Action::SignalRest(G1, Signal::TERM)]);
    assert_eq!(bench.pass_until(999), []);
    let survived = Action::Tell(G1, Transition::Survived { after: ms(1_000), cut: false, drained: false });
    assert_eq!(bench.pass_until(1_000), [survived, Action::Kill(G1)]);
    bench.send(Event::Emptied(G1));
    assert_eq!((bench.state(), bench.code()), (State::Stopped, Some(0)));
}

#[test]
fn the_next_generation_waits_for_the_last_process_and_the_report() {
    for order in [[Event::Emptied(G1), Event::Explained(G1)], [Event::Explained(G1), Event::Emptied(G1)]] {
        let mut bench = Bench::ready(|_| {});
        bench.send(Event::Exited(G1, Ending::Code(1)));
        let [first, second] = order;
        bench.send(first);
        assert_eq!(bench.state(), State::Stopping);
        bench.send(second);
        assert_eq!(bench.state(), State::BackingOff);
    }
}

#[test]
fn a_failed_exec_gives_its_code_and_leaves_nothing_to_wait_for() {
    for (problem, code) in [
        (ExecProblem::NotFound, 127),
        (ExecProblem::NotExecutable, 126),
        (ExecProblem::WrongArchitecture, 126),
        (ExecProblem::User, 71),
    ] {
        let mut bench = Bench::new(never);
        bench.send(Event::StartRequested);
        bench.send(Event::DependenciesReady);
        bench.send(Event::PreflightPassed(G1));
        let actions = bench.send(Event::SpawnFailed(G1, Box::new(ExecFailure { problem, ..not_found() })));
        assert_eq!(occasions(&actions), [Occasion::ExecFailed]);
        bench.send(Event::Explained(G1));
        assert_eq!((bench.state(), bench.code()), (State::Failed, Some(code)), "{problem:?}");
    }
}

#[test]
fn a_preflight_failure_gives_71_or_the_code_of_the_exec() {
    for (refusal, code) in [(port_taken(), 71), (Box::new(Refusal::Exec(not_found())), 127)] {
        let mut bench = Bench::new(never);
        bench.send(Event::StartRequested);
        bench.send(Event::DependenciesReady);
        bench.send(Event::PreflightFailed(G1, refusal));
        bench.send(Event::Explained(G1));
        assert_eq!((bench.state(), bench.code()), (State::Failed, Some(code)));
    }
}

#[test]
fn a_missed_deadline_without_restarts_gives_124() {
    let mut bench = Bench::spawned(|settings| settings.restart.policy = RestartPolicy::Never);
    bench.pass_until(30_000);
    bench.send(Event::Explained(G1));
    bench.end(G1, Ending::Code(0));
    assert_eq!((bench.state(), bench.code()), (State::Failed, Some(124)));
    assert_eq!(
        bench.service.outcome().map(|outcome| outcome.cause),
        Some(OutcomeCause::Failed(Occasion::StartTimeout))
    );
}

#[test]
fn a_generation_that_vanishes_with_its_keeper_is_a_crash_of_ours() {
    let mut bench = Bench::ready(|settings| settings.restart.policy = RestartPolicy::Never);
    assert_eq!(occasions(&bench.send(Event::Emptied(G1))), [Occasion::Crashed]);
    bench.send(Event::Explained(G1));
    assert_eq!((bench.state(), bench.code()), (State::Failed, Some(125)));
}

#[test]
fn the_main_process_may_end_while_its_stacks_are_taken() {
    let mut bench = Bench::spawned(|_| {});
    bench.pass_until(30_000);
    assert_eq!(bench.act(Event::Exited(G1, Ending::Code(0))), []);
    assert_eq!(bench.act(Event::Explained(G1)), [Action::SignalRest(G1, Signal::TERM)]);
    bench.send(Event::Emptied(G1));
    assert_eq!(bench.state(), State::BackingOff);
}

#[test]
fn a_failed_generation_has_one_report_however_it_ends() {
    let mut bench = Bench::spawned(|_| {});
    let mut actions = bench.pass_until(30_000);
    actions.extend(bench.send(Event::Explained(G1)));
    actions.extend(bench.pass_until(38_000));
    actions.extend(bench.end(G1, Ending::Signal(Signal::KILL)));
    assert_eq!(occasions(&actions), [Occasion::StartTimeout]);
}
