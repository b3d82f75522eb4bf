//! The phases of a trial, and how long each took.

use std::time::Duration;

use serde::Serialize;

use crate::core::time::Moment;

/// A phase of a trial, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// launcher.toml and the command line are read.
    Config,
    /// Programs, files, variables and ports are looked at.
    Preflight,
    /// What must answer first is waited for.
    Requirements,
    /// Programs are executed.
    Start,
    /// They become ready, answer as they should, and stay so.
    Ready,
    /// All of it is stopped.
    Stop,
}

impl Phase {
    /// All of them, in their order.
    pub const ALL: [Phase; 6] =
        [Phase::Config, Phase::Preflight, Phase::Requirements, Phase::Start, Phase::Ready, Phase::Stop];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Config => "config",
            Phase::Preflight => "preflight",
            Phase::Requirements => "requirements",
            Phase::Start => "start",
            Phase::Ready => "ready",
            Phase::Stop => "stop",
        }
    }
}

/// How long somebody was in a phase: services in it at the same time are counted once.
#[derive(Debug, Clone, Copy, Default)]
struct Clock {
    inside: u32,
    since: Moment,
    total: Duration,
}

/// The clocks of all phases.
#[derive(Debug, Clone, Default)]
pub struct Clocks([Clock; Phase::ALL.len()]);

impl Clocks {
    /// Somebody begins with a phase.
    pub fn enter(&mut self, now: Moment, phase: Phase) {
        let clock = &mut self.0[phase as usize];
        if clock.inside == 0 {
            clock.since = now;
        }
        clock.inside += 1;
    }

    /// Somebody is done with a phase.
    pub fn leave(&mut self, now: Moment, phase: Phase) {
        let clock = &mut self.0[phase as usize];
        clock.inside = clock.inside.saturating_sub(1);
        if clock.inside == 0 {
            clock.total += now.since(clock.since);
        }
    }

    /// A phase took this long by itself.
    pub fn took(&mut self, phase: Phase, time: Duration) {
        self.0[phase as usize].total += time;
    }

    /// How long a phase took so far.
    pub fn total(&self, now: Moment, phase: Phase) -> Duration {
        let clock = &self.0[phase as usize];
        clock.total + if clock.inside > 0 { now.since(clock.since) } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_once_however_many_are_in_a_phase() {
        let at = |millis| Moment::from_start(Duration::from_millis(millis));
        let mut clocks = Clocks::default();
        clocks.enter(at(0), Phase::Ready);
        clocks.enter(at(10), Phase::Ready);
        clocks.leave(at(20), Phase::Ready);
        assert_eq!(clocks.total(at(25), Phase::Ready), Duration::from_millis(25));
        clocks.leave(at(30), Phase::Ready);
        clocks.enter(at(100), Phase::Ready);
        clocks.leave(at(101), Phase::Ready);
        assert_eq!(clocks.total(at(200), Phase::Ready), Duration::from_millis(31));
        assert_eq!(clocks.total(at(200), Phase::Stop), Duration::ZERO);
    }
}
