//! What those who ask are told beside the state: what is waited for, and until when.

use crate::core::facts::RequirementFacts;
use crate::core::time::Moment;

use super::deadlines::Deadline;
use super::live::Course;
use super::{Service, State};

impl Service {
    /// Its requirements, while it waits for them.
    pub fn awaited_requirements(&self, now: Moment) -> Vec<RequirementFacts> {
        let requiring = self.live.as_ref().is_some_and(|live| live.requiring);
        if requiring { self.vigil.facts(now) } else { Vec::new() }
    }

    /// By when it must be ready, while it starts.
    pub fn start_deadline(&self) -> Option<Moment> {
        self.deadlines.get(Deadline::Start).map(|at| self.patience().map_or(at, |patience| patience.max(at)))
    }

    /// When its next attempt comes, while it waits for that.
    pub fn next_attempt_at(&self) -> Option<Moment> {
        match self.state {
            State::BackingOff => self.deadlines.get(Deadline::Backoff),
            State::Open => self.deadlines.get(Deadline::Cooldown),
            _ => None,
        }
    }

    /// When what runs of it is killed, while it is asked to stop; nothing is said of one whose stacks are taken.
    pub fn kill_at(&self) -> Option<Moment> {
        let stop = [Deadline::Stop, Deadline::Rest, Deadline::Budget].map(|deadline| self.deadlines.get(deadline));
        stop.into_iter().flatten().min().filter(|_| self.state == State::Stopping)
    }

    /// Whether its stacks are being taken: it missed a deadline.
    pub fn is_being_explained(&self) -> bool {
        self.live.as_ref().is_some_and(|live| matches!(live.course, Course::Dumping | Course::Surviving))
    }

    /// Until when a stop request is kept back, if one is.
    pub fn held_stop_until(&self) -> Option<Moment> {
        self.deadlines.get(Deadline::Hold)
    }
}
