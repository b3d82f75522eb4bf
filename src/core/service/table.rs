//! Which event can happen in which state. Nothing but the tests asks: the state machine takes every event in every
//! state. The simulator shows that the table is right both ways: what it excludes never happens, and all else does.

use super::{Event, Generation, State};

/// An event without what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum EventKind {
    StartRequested,
    DependenciesReady,
    StopRequested,
    KillRequested,
    RestartRequested,
    SignalReceived,
    PreflightPassed,
    PreflightFailed,
    RequirementTried,
    Spawned,
    SpawnFailed,
    Notified,
    ProbeSucceeded,
    Progressed,
    HandlersSeen,
    Exited,
    Emptied,
    Explained,
    TimePassed,
}

impl EventKind {
    /// All of them.
    pub const ALL: [EventKind; 19] = [
        EventKind::StartRequested,
        EventKind::DependenciesReady,
        EventKind::StopRequested,
        EventKind::KillRequested,
        EventKind::RestartRequested,
        EventKind::SignalReceived,
        EventKind::PreflightPassed,
        EventKind::PreflightFailed,
        EventKind::RequirementTried,
        EventKind::Spawned,
        EventKind::SpawnFailed,
        EventKind::Notified,
        EventKind::ProbeSucceeded,
        EventKind::Progressed,
        EventKind::HandlersSeen,
        EventKind::Exited,
        EventKind::Emptied,
        EventKind::Explained,
        EventKind::TimePassed,
    ];
}

impl State {
    /// All of them.
    pub const ALL: [State; 9] = [
        State::Waiting,
        State::Checking,
        State::Starting,
        State::Ready,
        State::Stopping,
        State::BackingOff,
        State::Open,
        State::Failed,
        State::Stopped,
    ];

    /// Whether the event can happen in this state, in a world where nothing comes late: the events of a generation that
    /// is over are dropped by its number, whatever the state.
    pub fn can_meet(self, kind: EventKind) -> bool {
        match kind {
            // What people ask for, and time, come as they like.
            EventKind::StartRequested
            | EventKind::StopRequested
            | EventKind::KillRequested
            | EventKind::RestartRequested
            | EventKind::SignalReceived
            | EventKind::TimePassed => true,
            EventKind::DependenciesReady => self == State::Waiting,
            EventKind::PreflightPassed | EventKind::PreflightFailed => self == State::Checking,
            // The second of its two kinds: what it comes after is ready, its preflight has passed.
            EventKind::RequirementTried => self == State::Waiting,
            // The answer to `Spawn` is awaited in `starting`, and in `stopping` when a stop came before it.
            EventKind::Spawned | EventKind::SpawnFailed => matches!(self, State::Starting | State::Stopping),
            EventKind::Notified
            | EventKind::ProbeSucceeded
            | EventKind::Progressed
            | EventKind::HandlersSeen
            | EventKind::Exited
            | EventKind::Emptied => matches!(self, State::Starting | State::Ready | State::Stopping),
            // A failed preflight leaves it `checking`, a requirement `waiting`, and a failed spawn `starting`, until
            // the report is written.
            EventKind::Explained => {
                matches!(self, State::Checking | State::Waiting | State::Starting | State::Stopping)
            }
        }
    }
}

impl Event {
    /// What kind it is of.
    pub fn kind(&self) -> EventKind {
        match self {
            Event::StartRequested => EventKind::StartRequested,
            Event::DependenciesReady => EventKind::DependenciesReady,
            Event::StopRequested(_) => EventKind::StopRequested,
            Event::KillRequested => EventKind::KillRequested,
            Event::RestartRequested => EventKind::RestartRequested,
            Event::SignalReceived(_) => EventKind::SignalReceived,
            Event::PreflightPassed(_) => EventKind::PreflightPassed,
            Event::PreflightFailed(..) => EventKind::PreflightFailed,
            Event::RequirementTried(..) => EventKind::RequirementTried,
            Event::Spawned(..) => EventKind::Spawned,
            Event::SpawnFailed(..) => EventKind::SpawnFailed,
            Event::Notified(..) => EventKind::Notified,
            Event::ProbeSucceeded(_) => EventKind::ProbeSucceeded,
            Event::Progressed(..) => EventKind::Progressed,
            Event::HandlersSeen(..) => EventKind::HandlersSeen,
            Event::Exited(..) => EventKind::Exited,
            Event::Emptied(_) => EventKind::Emptied,
            Event::Explained(_) => EventKind::Explained,
            Event::TimePassed => EventKind::TimePassed,
        }
    }

    /// Which generation it is of, when it is of one.
    pub fn generation(&self) -> Option<Generation> {
        match self {
            Event::PreflightPassed(generation)
            | Event::PreflightFailed(generation, _)
            | Event::RequirementTried(generation, ..)
            | Event::Spawned(generation, _)
            | Event::SpawnFailed(generation, _)
            | Event::Notified(generation, ..)
            | Event::ProbeSucceeded(generation)
            | Event::Progressed(generation, _)
            | Event::HandlersSeen(generation, _)
            | Event::Exited(generation, _)
            | Event::Emptied(generation)
            | Event::Explained(generation) => Some(*generation),
            Event::StartRequested
            | Event::DependenciesReady
            | Event::StopRequested(_)
            | Event::KillRequested
            | Event::RestartRequested
            | Event::SignalReceived(_)
            | Event::TimePassed => None,
        }
    }
}
