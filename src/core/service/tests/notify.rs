use super::*;
use crate::core::notify::WatchdogPing;

fn watched(settings: &mut ServiceSettings) {
    settings.watchdog = Some(ms(1_000));
}

fn alive() -> Event {
    says(G1, |message| message.watchdog = Some(WatchdogPing::Alive))
}

#[test]
fn an_extension_moves_the_start_deadline_and_never_shortens_it() {
    let mut bench = Bench::spawned(|_| {});
    bench.pass_until(20_000);
    bench.send(says(G1, |message| message.extend_timeout = Some(ms(5_000))));
    assert_eq!(bench.deadline(), Some(30_000));
    bench.send(says(G1, |message| message.extend_timeout = Some(ms(20_000))));
    assert_eq!(bench.deadline(), Some(40_000));
    bench.send(says(G1, |message| message.extend_timeout = Some(Duration::MAX)));
    bench.send(says_ready(G1));
    assert_eq!(bench.deadline(), Some(80_000), "only `reset_after` is left");
}

#[test]
fn an_extension_moves_the_stop_deadline_within_the_budget() {
    let extend = || says(G1, |message| message.extend_timeout = Some(ms(60_000)));
    let mut bench = Bench::ready(|_| {});
    bench.send(Event::StopRequested(StopCause::Request));
    bench.send(extend());
    assert_eq!(bench.deadline(), Some(60_000));

    let mut bench = Bench::ready(|_| {});
    bench.service.limit_stop(bench.now, Moment::from_start(ms(16_000)));
    bench.send(Event::StopRequested(StopCause::Request));
    bench.send(extend());
    assert_eq!(bench.deadline(), Some(15_000));
}

#[test]
fn a_watchdog_runs_from_ready_and_a_miss_is_a_failure() {
    let mut bench = Bench::spawned(watched);
    assert_eq!(bench.deadline(), Some(30_000));
    bench.send(says_ready(G1));
    bench.pass_until(800);
    bench.send(alive());
    assert_eq!(bench.deadline(), Some(1_800));
    assert_eq!(occasions(&bench.pass_until(1_800)), [Occasion::Watchdog]);
    assert!(!bench.service.serves());
    assert_eq!(bench.act(alive()), [], "too late");
    assert_eq!(bench.act(Event::Explained(G1)), [Action::Signal(G1, Signal::TERM)]);
    bench.end(G1, Ending::Signal(Signal::TERM));
    assert_eq!((bench.state(), bench.service.failures()), (State::BackingOff, 1));
}

#[test]
fn a_watchdog_miss_is_never_a_success() {
    for (ending, code) in [(Ending::Code(0), 124), (Ending::Code(3), 3), (Ending::Signal(Signal::TERM), 143)] {
        let mut bench = Bench::ready(|settings| {
            watched(settings);
            settings.restart.policy = RestartPolicy::Never;
        });
        bench.pass_until(1_000);
        bench.send(Event::Explained(G1));
        bench.end(G1, ending);
        assert_eq!((bench.state(), bench.code()), (State::Failed, Some(code)), "{ending}");
    }
}

#[test]
fn a_trigger_is_a_miss_with_or_without_a_watchdog() {
    let mut bench = Bench::ready(|_| {});
    let actions = bench.send(says(G1, |message| message.watchdog = Some(WatchdogPing::Trigger)));
    assert_eq!(occasions(&actions), [Occasion::Watchdog]);
}

#[test]
fn a_service_may_set_its_own_watchdog_period() {
    let period = |period| says(G1, move |message| message.watchdog_period = Some(period));
    let mut bench = Bench::spawned(|_| {});
    bench.send(period(ms(500)));
    bench.send(says_ready(G1));
    assert_eq!(bench.deadline(), Some(500));
    bench.send(period(ms(700)));
    assert_eq!(bench.deadline(), Some(700));
    for off in [Duration::ZERO, Duration::from_micros(u64::MAX)] {
        bench.send(period(ms(700)));
        bench.send(period(off));
        assert_eq!(bench.deadline(), Some(60_000), "only `reset_after` is left");
    }
}

#[test]
fn a_service_that_goes_down_by_itself_may_be_silent() {
    let mut bench = Bench::ready(watched);
    bench.send(says(G1, |message| message.stopping = true));
    assert_eq!(bench.pass_until(10_000), []);
    bench.end(G1, Ending::Code(0));
    assert_eq!((bench.state(), bench.code()), (State::Stopped, Some(0)));
}

#[test]
fn a_status_is_told_when_it_changes() {
    let mut bench = Bench::spawned(|_| {});
    let status = |text: &'static str| says(G1, move |message| message.status = Some(text.to_owned()));
    assert_eq!(bench.told(status("connecting")), [Transition::Status("connecting".to_owned())]);
    assert_eq!(bench.told(status("connecting")), []);
    assert_eq!(bench.service.status(), Some("connecting"));
    bench.end(G1, Ending::Code(1));
    bench.pass_until(200);
    assert_eq!(bench.service.status(), None, "the next generation has not said anything");
}

#[test]
fn reloading_lasts_until_ready_again() {
    let mut bench = Bench::ready(|_| {});
    bench.send(says(G1, |message| message.reloading = true));
    assert!(bench.service.is_reloading());
    assert_eq!(bench.send(says_ready(G1)), []);
    assert!(!bench.service.is_reloading());
}

#[test]
fn another_main_process_is_followed() {
    let claim = |pid| says(G1, move |message| message.main_pid = Some(pid));
    let mut bench = Bench::ready(|_| {});
    assert_eq!(bench.act(claim(11)), [Action::FollowMain(G1, 11)]);
    assert_eq!(bench.act(claim(11)), []);
    assert_eq!(bench.act(claim(0)), []);
    assert_eq!(bench.act(claim(-1)), []);
    assert_eq!(bench.service.main_pid(), Some(11));

    let mut bench = Bench::new(|_| {});
    bench.send(Event::StartRequested);
    bench.send(Event::DependenciesReady);
    bench.send(Event::PreflightPassed(G1));
    assert_eq!(bench.act(claim(11)), []);
    assert_eq!(bench.act(Event::Spawned(G1, 10)), [Action::FollowMain(G1, 11)]);
}
