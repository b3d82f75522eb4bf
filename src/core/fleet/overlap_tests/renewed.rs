//! launcher.toml sets the service otherwise.

use super::*;

/// What has become of the service that launcher.toml sets otherwise now.
fn renewed(bench: &Bench, change: impl FnOnce(&mut ServiceSettings), anew: bool) -> FleetEvent {
    let mut settings = bench.fleet.service(API).unwrap().next_settings().clone();
    change(&mut settings);
    FleetEvent::Renewed(vec![(API, Renewal::Changed { settings: settings.into(), anew })])
}

/// The program of the generation that serves.
fn command(bench: &Bench) -> std::ffi::OsString {
    bench.fleet.service(API).unwrap().settings().command[0].clone()
}

/// launcher.toml has changed: what comes up is set as it was before.
#[test]
fn what_comes_up_as_it_was_set_before_goes_and_one_that_is_set_otherwise_follows_beside_the_old_one() {
    let mut bench = Bench::passing();
    bench.to(Event::RestartRequested);
    bench.start(G2);
    let event = renewed(&bench, |settings| settings.command = vec!["other".into()], true);
    let actions = bench.send(event);
    assert!(has(&actions, &TERM_2) && !has(&actions, &TERM_1), "{actions:?}");
    let actions = bench.end(G2, Ending::Code(0));
    assert_eq!(told(&actions), [&Transition::Restarting { beside: G1, canary: None }]);
    assert!(has(&actions, &Action::Check(G3)) && !has(&actions, &TERM_1), "{actions:?}");
    assert_eq!(command(&bench), "program");
    bench.start(G3);
    assert!(has(&bench.become_ready(G3), &TERM_1));
    assert_eq!(command(&bench), "other");
    bench.end(G1, Ending::Code(0));
    // What the one that runs takes over is no reason.
    let event = renewed(&bench, |settings| settings.stop_timeout *= 2, false);
    assert_eq!(bench.send(event), []);
    let actions = bench.to(Event::RestartRequested);
    assert_eq!(told(&actions), [&Transition::Restarting { beside: G3, canary: None }]);
    let event = renewed(&bench, |settings| settings.stop_timeout *= 2, false);
    let actions = bench.send(event);
    assert!(has(&actions, &Action::Check(Generation(5))), "it begins again with that: {actions:?}");
    bench.start(Generation(5));
    bench.become_ready(Generation(5));
    assert_eq!(bench.stands().0, Generation(5));
    assert_eq!(bench.fleet.service(API).unwrap().settings().stop_timeout, ms(32_000));
}

#[test]
fn one_that_is_not_ready_as_it_is_set_now_leaves_the_old_one_as_it_was_set() {
    let mut bench = Bench::passing();
    let event = renewed(&bench, |settings| settings.command = vec!["other".into()], true);
    let actions = bench.send(event);
    assert_eq!(told(&actions), [&Transition::Restarting { beside: G1, canary: None }]);
    bench.start(G2);
    let actions = bench.end(G2, Ending::Code(1));
    assert_eq!(told(&actions), [&Transition::Removed { stays: G1, canary: false }]);
    assert_eq!((bench.stands(), command(&bench)), ((G1, State::Ready, None), "program".into()));
    // What goes on is looked after as it was started, also by what it could take over.
    let stop_timeout = bench.fleet.service(API).unwrap().settings().stop_timeout;
    let event = renewed(&bench, |settings| settings.stop_timeout *= 2, false);
    assert_eq!(bench.send(event), []);
    assert_eq!(bench.fleet.service(API).unwrap().settings().stop_timeout, stop_timeout);
    // Whatever starts it next takes what the file says: a restart, or its end.
    bench.to(Event::RestartRequested);
    bench.start(G3);
    bench.become_ready(G3);
    assert_eq!((bench.stands().0, command(&bench)), (G3, "other".into()));
    assert_eq!(bench.fleet.service(API).unwrap().settings().stop_timeout, 2 * stop_timeout);
}

#[test]
fn launcher_toml_is_compared_with_what_serves_on_or_comes() {
    let mut bench = Bench::passing();
    let set_as = |bench: &Bench| bench.fleet.set_as(API).unwrap().command[0].clone();
    let other = |settings: &mut ServiceSettings| settings.command = vec!["other".into()];
    let event = renewed(&bench, other, true);
    bench.send(event);
    assert_eq!(set_as(&bench), "other", "it is on its way");
    bench.start(G2);
    bench.end(G2, Ending::Code(1));
    assert_eq!(set_as(&bench), "program", "it did not come about");
    // The file is as it was, but for what the one that serves takes over.
    let back = |settings: &mut ServiceSettings| {
        (settings.command, settings.stop_timeout) = (vec!["program".into()], ms(7));
    };
    let event = renewed(&bench, back, false);
    assert_eq!(bench.send(event), []);
    let settings = bench.fleet.service(API).unwrap().settings();
    assert_eq!((settings, settings.stop_timeout), (bench.fleet.set_as(API).unwrap(), ms(7)));
    bench.to(Event::RestartRequested);
    bench.start(G3);
    bench.become_ready(G3);
    assert_eq!((bench.stands().0, command(&bench)), (G3, "program".into()));
    bench.end(G1, Ending::Code(0));
    let event = renewed(&bench, other, true);
    bench.send(event);
    bench.start(Generation(4));
    bench.end(Generation(4), Ending::Code(1));
    // Its end is answered by a start with what the file says.
    bench.end(G3, Ending::Code(1));
    assert_eq!((bench.stands().1, set_as(&bench)), (State::BackingOff, "other".into()));
}

/// What was counted against the old one is for its own breaker.
#[test]
fn one_with_another_breaker_has_that() {
    let mut bench = Bench::passing();
    let breaker = BreakerSettings { failures: 1, within: ms(1000), cooldown: ms(500), on_open: OnOpen::Cooldown };
    let event = renewed(
        &bench,
        |settings| {
            settings.command = vec!["other".into()];
            settings.restart.breaker = Some(breaker);
        },
        true,
    );
    bench.send(event);
    bench.start(G2);
    bench.become_ready(G2);
    bench.end(G1, Ending::Code(0));
    bench.end(G2, Ending::Code(1));
    assert_eq!(bench.stands(), (G2, State::Open, None));
}

#[test]
fn the_end_of_the_old_one_is_taken_for_a_start_as_it_is_set_now() {
    let mut bench = Bench::passing();
    let event = renewed(&bench, |settings| settings.command = vec!["other".into()], true);
    bench.send(event);
    bench.start(G2);
    bench.end(G1, Ending::Code(1));
    assert_eq!((bench.stands(), command(&bench)), ((G2, State::Starting, None), "other".into()));
}

#[test]
fn what_two_generations_have_together_is_not_changed_beside_another() {
    type Change = (&'static str, fn(&mut ServiceSettings));
    let changes: [Change; 4] = [
        ("port", |service| service.ports[0].name = "web".into()),
        ("user", |service| service.user = Some("app".into())),
        ("group", |service| service.process.group = Some("app".into())),
        ("log", |service| service.log.forward = false),
    ];
    for (key, change) in changes {
        let mut bench = Bench::passing();
        let event = renewed(&bench, change, true);
        let actions = bench.send(event);
        assert_eq!(told(&actions), [&Transition::RestartsAlone(NoOverlap::Changed(key))]);
        assert!(has(&actions, &TERM_1));
    }
    // Nor what two cannot have as they are set now.
    let mut bench = Bench::passing();
    let event = renewed(&bench, |service| service.ready = Ready::Exited, true);
    assert_eq!(told(&bench.send(event)), [&Transition::RestartsAlone(NoOverlap::Exits)]);
}
