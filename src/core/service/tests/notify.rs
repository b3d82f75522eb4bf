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
    assert_eq!(bench.act(Event::Explained(G1)), [Action::Stop(G1, Signal::ABRT)]);
    bench.end(G1, Ending::Signal(Signal::ABRT));
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

#[test]
fn a_stranger_never_becomes_the_main_process() {
    let mut bench = Bench::ready(|_| {});
    let actions = bench.send(says(G1, |message| message.main_pid = Some(STRANGER)));
    assert_eq!(actions, [Action::Tell(G1, Transition::MainPidRefused { pid: STRANGER })]);
    assert_eq!(bench.service.main_pid(), Some(10));
}

fn ready_from(sender: Sender) -> Event {
    Event::Notified(G1, sender, Box::new(Message { ready: true, ..Message::default() }))
}

#[test]
fn who_is_heard_is_set() {
    let heard = |access, sender| {
        let mut bench = Bench::spawned(|settings| settings.notify.access = access);
        bench.send(ready_from(sender));
        bench.state() == State::Ready
    };
    let (main, member, stranger) = (Sender::Main(10), Sender::Member(11), Sender::Stranger(12));
    for (access, of) in [
        (NotifyAccess::None, [false, false, false]),
        (NotifyAccess::Main, [true, false, false]),
        (NotifyAccess::Exec, [true, false, false]),
        (NotifyAccess::All, [true, true, false]),
    ] {
        assert_eq!([main, member, stranger].map(|sender| heard(access, sender)), of, "{access:?}");
    }
}

#[test]
fn who_is_heard_can_be_changed_until_the_generation_ends() {
    let mut bench = Bench::spawned(|settings| settings.notify.access = NotifyAccess::Main);
    let access = |access| says(G1, move |message| message.access = Some(access));
    let refused = Transition::SenderRefused { pid: 11, access: NotifyAccess::Main };
    assert_eq!(bench.told(ready_from(Sender::Member(11))), [refused]);
    assert_eq!(bench.told(ready_from(Sender::Member(11))), [], "told once");
    bench.send(access(NotifyAccess::All));
    bench.send(ready_from(Sender::Member(11)));
    assert_eq!(bench.state(), State::Ready);
    bench.send(access(NotifyAccess::None));
    let refused = Transition::SenderRefused { pid: 10, access: NotifyAccess::None };
    assert_eq!(bench.told(access(NotifyAccess::All)), [refused], "from none there is no way back");
    bench.end(G1, Ending::Code(1));
    bench.pass_until(1_000);
    bench.spawn(G2);
    bench.send(says_ready(G2));
    assert_eq!(bench.state(), State::Ready);
}

fn stores(generation: Generation, name: Option<&'static str>) -> Event {
    says(generation, move |message| {
        message.store = true;
        message.attached.descriptors = 2;
        message.fd_name = name.map(str::to_owned);
    })
}

#[test]
fn descriptors_are_kept_from_generation_to_generation_and_closed_at_rest() {
    let mut bench = Bench::ready(|_| {});
    let store = |name: &str, watched| Action::StoreDescriptors { generation: G1, name: name.to_owned(), watched };
    assert_eq!(bench.act(stores(G1, None)), [store("stored", true)]);
    let mut event = stores(G1, Some("db"));
    if let Event::Notified(_, _, message) = &mut event {
        message.unwatched = true;
    }
    assert_eq!(bench.act(event), [store("db", false)]);
    let forget = |name: Option<&str>| {
        let name = name.map(str::to_owned);
        says(G1, move |message| (message.unstore, message.fd_name) = (true, name))
    };
    assert_eq!(bench.act(forget(None)), []);
    assert_eq!(bench.act(forget(Some("db"))), [Action::ForgetDescriptors(G1, "db".to_owned())]);
    let ends = |actions: &[Action]| actions.iter().filter(|action| **action == Action::CloseDescriptors).count();
    assert_eq!(ends(&bench.end(G1, Ending::Code(1))), 0);
    assert_eq!(ends(&bench.pass_until(1_000)), 0);
    bench.spawn(G2);
    bench.send(Event::StopRequested(StopCause::Request));
    assert_eq!(ends(&bench.end(G2, Ending::Signal(Signal::TERM))), 1);
    // There is nothing to close a second time.
    bench.send(Event::StartRequested);
    assert_eq!(ends(&bench.send(Event::StopRequested(StopCause::Request))), 0);
}

#[test]
fn a_message_without_descriptors_stores_nothing() {
    let mut bench = Bench::ready(|_| {});
    assert_eq!(bench.act(says(G1, |message| message.store = true)), []);
}

#[test]
fn what_missed_its_watchdog_is_sent_the_signal_that_is_set_for_that() {
    let mut bench = Bench::ready(watched);
    bench.pass_until(1_000);
    assert_eq!(bench.act(Event::Explained(G1)), [Action::Stop(G1, Signal::ABRT)]);
    assert_eq!(bench.act_until(9_000), [Action::Kill(G1)], "it has been reported on already");
}

#[test]
fn trouble_is_told() {
    let mut bench = Bench::ready(|_| {});
    let told = bench.told(says(G1, |message| {
        message.errno = Some(2);
        message.bus_error = Some("org.example.Gone".to_owned());
        message.exit_status = Some(3);
    }));
    let texts = ["ERRNO=2: ENOENT (no such file or directory)", "BUSERROR=org.example.Gone", "EXIT_STATUS=3"];
    assert_eq!(told, texts.map(|text| Transition::Trouble(text.to_owned())));
}

#[test]
fn a_reload_knows_when_it_began() {
    let mut bench = Bench::ready(|_| {});
    bench.send(says(G1, |message| (message.reloading, message.monotonic) = (true, Some(ms(77)))));
    assert_eq!(bench.service.reload_began(), Some(ms(77)));
    bench.send(says_ready(G1));
    assert_eq!(bench.service.reload_began(), None);
}
