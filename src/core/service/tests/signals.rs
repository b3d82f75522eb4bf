use super::*;
use crate::core::signal::SignalSet;

fn handled(signals: &[Signal]) -> Event {
    Event::HandlersSeen(G1, signals.iter().copied().collect::<SignalSet>())
}

#[test]
fn held_signals_come_at_ready_each_once_in_order() {
    let mut bench = Bench::spawned(|_| {});
    let held = |signal| vec![Transition::SignalHeld { signal, limit: None }];
    assert_eq!(bench.told(Event::SignalReceived(Signal::USR2)), held(Signal::USR2));
    assert_eq!(bench.told(Event::SignalReceived(Signal::HUP)), held(Signal::HUP));
    assert_eq!(bench.told(Event::SignalReceived(Signal::USR2)), []);
    let actions = bench.act(says_ready(G1));
    assert_eq!(actions[1..], [Action::Signal(G1, Signal::USR2), Action::Signal(G1, Signal::HUP)]);
    assert_eq!(bench.act(Event::SignalReceived(Signal::HUP)), [Action::Signal(G1, Signal::HUP)]);
}

#[test]
fn a_signal_that_is_not_held_goes_to_the_process_as_soon_as_there_is_one() {
    let winch = Event::SignalReceived(Signal::WINCH);
    let mut bench = Bench::new(|_| {});
    bench.send(Event::StartRequested);
    assert_eq!(bench.send(winch.clone()), [], "nobody is coming");
    bench.send(Event::DependenciesReady);
    bench.send(Event::PreflightPassed(G1));
    assert_eq!(bench.send(winch.clone()), []);
    assert_eq!(bench.act(Event::Spawned(G1, 10)), [Action::Signal(G1, Signal::WINCH)]);
    assert_eq!(bench.act(winch), [Action::Signal(G1, Signal::WINCH)]);
}

#[test]
fn a_held_signal_is_kept_for_the_next_attempt() {
    let mut bench = Bench::spawned(|_| {});
    bench.send(Event::SignalReceived(Signal::HUP));
    bench.end(G1, Ending::Code(1));
    bench.pass_until(200);
    bench.spawn(G2);
    assert_eq!(bench.act(says_ready(G2))[1..], [Action::Signal(G2, Signal::HUP)]);
}

#[test]
fn a_held_signal_is_dropped_when_the_stop_begins() {
    let mut bench = Bench::spawned(|_| {});
    bench.send(Event::SignalReceived(Signal::HUP));
    let stop = bench.act(Event::StopRequested(StopCause::Request));
    assert_eq!(stop, [Action::Stop(G1, Signal::TERM)], "it would kill what is not ready");
    assert_eq!(bench.send(Event::SignalReceived(Signal::USR1)), []);
    bench.end(G1, Ending::Code(0));
    bench.send(Event::StartRequested);
    bench.send(Event::DependenciesReady);
    bench.spawn(G2);
    assert_eq!(bench.act(says_ready(G2)), [Action::ReleasePorts(G2)]);
}

#[test]
fn what_is_rewritten_is_sent_rewritten() {
    let mut bench = Bench::spawned(|settings| {
        settings.signals.rewrite = BTreeMap::from([(Signal::HUP, Some(Signal::USR1))]);
    });
    let held = Transition::SignalHeld { signal: Signal::USR1, limit: None };
    assert_eq!(bench.told(Event::SignalReceived(Signal::HUP)), [held]);
    assert_eq!(bench.act(says_ready(G1))[1..], [Action::Signal(G1, Signal::USR1)]);
    assert_eq!(bench.act(Event::SignalReceived(Signal::HUP)), [Action::Signal(G1, Signal::USR1)]);
}

#[test]
fn what_is_rewritten_to_nothing_is_neither_held_nor_sent() {
    let mut bench = Bench::spawned(|settings| {
        settings.signals.rewrite = BTreeMap::from([(Signal::HUP, None)]);
    });
    assert_eq!(bench.send(Event::SignalReceived(Signal::HUP)), []);
    assert_eq!(bench.act(says_ready(G1)), [Action::ReleasePorts(G1)]);
    assert_eq!(bench.send(Event::SignalReceived(Signal::HUP)), []);
}

#[test]
fn handlers_are_looked_for_only_when_something_waits_for_one() {
    let until_handled = |settings: &mut ServiceSettings| settings.signals.hold_until = SignalHoldUntil::Handled;
    let mut bench = Bench::spawned(until_handled);
    assert_eq!(bench.act(Event::SignalReceived(Signal::HUP)), [Action::WatchHandlers(G1)]);
    assert_eq!(bench.act(Event::SignalReceived(Signal::USR1)), [], "once is enough");
    assert_eq!(bench.act(handled(&[Signal::USR1])), [Action::Signal(G1, Signal::USR1)]);
    assert_eq!(bench.act(Event::SignalReceived(Signal::USR1)), [Action::Signal(G1, Signal::USR1)]);
    let stop = bench.act(Event::StopRequested(StopCause::Signal(Signal::TERM)));
    assert_eq!(stop, []);
    let begins = [Action::StopProbing(G1), Action::Stop(G1, Signal::TERM)];
    assert_eq!(bench.act(handled(&[Signal::TERM])), begins, "a stop request waits for its handler, too");
}

#[test]
fn what_was_held_before_the_spawn_is_looked_for_from_the_spawn_on() {
    let mut bench = Bench::new(|settings| settings.signals.hold_until = SignalHoldUntil::Handled);
    bench.send(Event::StartRequested);
    bench.send(Event::SignalReceived(Signal::HUP));
    bench.send(Event::DependenciesReady);
    bench.send(Event::PreflightPassed(G1));
    assert_eq!(bench.act(Event::Spawned(G1, 10)), [Action::WatchHandlers(G1)]);
}

#[test]
fn at_rest_nothing_is_kept() {
    let mut bench = Bench::new(|_| {});
    assert_eq!(bench.send(Event::SignalReceived(Signal::HUP)), []);
}
