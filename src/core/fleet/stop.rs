//! How all services, or some, are stopped: in reverse, within the stop budget.

use std::time::Duration;

use crate::core::service::{Event, StopCause};
use crate::core::signal::Signal;
use crate::core::time::Moment;

use super::member::Stop;
use super::{Fleet, ServiceId, Turn};

/// What SIGKILL, the reaping and the launcher's own end take of the stop budget, at most.
const LAST_MARGIN: Duration = Duration::from_millis(250);

/// All services are being stopped.
#[derive(Debug, Clone, Copy)]
pub(super) struct GoingDown {
    /// How often that was asked for by a person; 0 when a service could never be started.
    pub(super) requests: u32,
    /// What runs then is killed: each service has its own deadline for that, no later than this one.
    pub(super) kill: Moment,
    /// Then the launcher ends, whatever still runs.
    pub(super) end: Moment,
}

impl Fleet {
    /// The first request begins to stop all, the last first. A second one reaches those that have been told already,
    /// and whoever is told after it is given no time to become ready. A third one kills all.
    pub(super) fn on_stop_requested(&mut self, turn: &mut Turn, cause: StopCause) {
        self.started = true;
        self.go_down(turn, cause);
        let Some(down) = &mut self.going_down else { return };
        down.requests = down.requests.saturating_add(1);
        match down.requests {
            1 => {}
            2 => self.hurry(turn, cause),
            _ => self.kill_all(turn),
        }
    }

    /// Nobody has asked: a stop that is under way goes on as it would, and the first request after this one hurries nobody.
    /// Whoever ends the parent and the launcher by one signal to both has asked once.
    pub(super) fn on_parent_ended(&mut self, turn: &mut Turn) {
        self.started = true;
        self.go_down(turn, StopCause::Signal(Signal::TERM));
    }

    /// Begins to stop all: the budget runs from here.
    pub(super) fn go_down(&mut self, turn: &mut Turn, cause: StopCause) {
        if self.going_down.is_some() {
            return;
        }
        let kill = turn.now + (self.stop_budget - (self.stop_budget / 10).min(LAST_MARGIN));
        self.going_down = Some(GoingDown { requests: 0, kill, end: turn.now + self.stop_budget });
        for id in self.ids() {
            // One that was told to stop before has to keep the budget from now on, too.
            self.ask_to_stop(turn, id, cause);
            self.members[id.0].limit_stop(turn.now, kill);
        }
    }

    pub(super) fn ask_to_stop(&mut self, turn: &mut Turn, id: ServiceId, cause: StopCause) {
        let stop = &mut self.members[id.0].stop;
        if *stop == Stop::No {
            *stop = Stop::Asked(cause);
            turn.changed = true;
            self.forget_successor(turn, id);
        }
    }

    fn hurry(&mut self, turn: &mut Turn, cause: StopCause) {
        for id in self.ids() {
            match &mut self.members[id.0].stop {
                Stop::Told => self.pass(turn, id, Event::StopRequested(cause)),
                stop => *stop = Stop::Asked(StopCause::Request),
            }
        }
    }

    fn kill_all(&mut self, turn: &mut Turn) {
        for id in self.ids() {
            self.members[id.0].stop = Stop::Told;
            self.pass(turn, id, Event::KillRequested);
        }
    }

    /// A service stops when nothing that comes after it runs; one of which nothing runs, at once, so that it is not
    /// started again.
    pub(super) fn stop_what_can(&mut self, turn: &mut Turn) {
        for id in self.ids() {
            let Stop::Asked(cause) = self.members[id.0].stop else { continue };
            let runs_above = self.order.before[id.0].iter().any(|before| self.may_run(*before));
            if !self.members[id.0].service.may_run() || !runs_above {
                self.share_budget(turn.now, id);
                self.members[id.0].stop = Stop::Told;
                self.pass(turn, id, Event::StopRequested(cause));
            }
        }
    }

    /// What is left of the stop budget is shared by the services that stand one after the other: what one does not use
    /// is the next one's.
    fn share_budget(&mut self, now: Moment, id: ServiceId) {
        let Some(GoingDown { kill, .. }) = self.going_down else { return };
        let depth = self.order.depth(id, &|id| self.may_run(id)).max(1);
        self.members[id.0].limit_stop(now, now + kill.since(now) / depth);
    }
}
