use super::*;
use crate::core::progress::Sign;

/// The table, written out a second time: a row for each event, the states in which it can be met.
#[test]
fn the_table_of_states_and_events_is_this_one() {
    use State::*;
    let running = [Starting, Ready, Stopping];
    for kind in EventKind::ALL {
        let states: &[State] = match kind {
            EventKind::DependenciesReady => &[Waiting],
            EventKind::PreflightPassed | EventKind::PreflightFailed => &[Checking],
            EventKind::Spawned | EventKind::SpawnFailed => &[Starting, Stopping],
            EventKind::RequirementTried => &[Waiting],
            EventKind::Explained => &[Checking, Waiting, Starting, Stopping],
            EventKind::Notified
            | EventKind::ProbeSucceeded
            | EventKind::Progressed
            | EventKind::HandlersSeen
            | EventKind::Exited
            | EventKind::Emptied => &running,
            EventKind::StartRequested
            | EventKind::StopRequested
            | EventKind::KillRequested
            | EventKind::RestartRequested
            | EventKind::SignalReceived
            | EventKind::TimePassed => &State::ALL,
        };
        for state in State::ALL {
            assert_eq!(state.can_meet(kind), states.contains(&state), "{kind:?} in {state:?}");
        }
    }
}

#[test]
fn an_event_of_another_generation_is_dropped() {
    let mut bench = Bench::ready(|_| {});
    for generation in [Generation(0), G2, Generation(u64::MAX)] {
        for event in [
            Event::PreflightPassed(generation),
            Event::PreflightFailed(generation, port_taken()),
            Event::RequirementTried(generation, 0, Ok(())),
            Event::Spawned(generation, 1),
            Event::SpawnFailed(generation, Box::new(not_found())),
            says_ready(generation),
            Event::ProbeSucceeded(generation),
            Event::Progressed(generation, vec![Sign::Wrote]),
            Event::Exited(generation, Ending::Code(1)),
            Event::Emptied(generation),
            Event::Explained(generation),
        ] {
            assert_eq!(bench.send(event), []);
            assert_eq!(bench.state(), State::Ready);
        }
    }
}

#[test]
fn a_generation_that_is_over_has_no_say_while_the_next_one_waits() {
    let mut bench = Bench::ready(|_| {});
    bench.end(G1, Ending::Code(1));
    assert_eq!(bench.state(), State::BackingOff);
    for event in [says_ready(G1), Event::Exited(G1, Ending::Code(0)), Event::Emptied(G1), Event::Explained(G1)] {
        assert_eq!(bench.send(event), []);
    }
}
