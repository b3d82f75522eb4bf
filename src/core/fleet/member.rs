//! One service, and what the fleet knows of it: the generation that serves, and another one beside it at times.

use crate::core::service::{Action, Event, Generation, NoOverlap, Service, State, StopCause};
use crate::core::time::Moment;

use super::ServiceId;
use super::canary::Percent;
use super::overlap::{Beside, Part};

/// One service, and what the fleet knows of it.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// The generation that serves, or is the only one.
    pub(super) service: Service,
    /// Another one, for a while.
    pub(super) beside: Option<Beside>,
    /// A restart was asked for that can only begin later.
    pub(super) again: Option<Again>,
    /// Why two generations cannot overlap, though the settings say that they can.
    pub(super) alone: Option<NoOverlap>,
    /// It is wanted when the launcher begins.
    pub(super) selected: bool,
    /// launcher.toml has it no more.
    pub(super) removed: bool,
    /// It is at rest, and what `on_stop` says is to be done once nothing is beside it.
    pub(super) farewell: bool,
    pub(super) stop: Stop,
    /// What its failure means for others was seen to.
    pub(super) failure_seen: bool,
    /// It is stopped because this one has failed for good.
    pub(super) stopped_for: Option<ServiceId>,
}

/// A restart that is to follow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Again {
    pub(super) canary: Option<Percent>,
    /// The newest generation when it was asked for: a newer one is what was wished for.
    pub(super) since: Option<Generation>,
}

/// How it stands with the stop of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Nobody asked for it.
    No,
    /// It is to stop when nothing that comes after it runs any more.
    Asked(StopCause),
    /// It was told to.
    Told,
}

/// What others of the fleet may depend on.
pub(super) type Standing = (State, bool, bool, bool, Option<Generation>);

impl Member {
    pub(super) fn new(service: Service) -> Member {
        let (beside, again, alone, stopped_for) = (None, None, None, None);
        Member {
            service,
            beside,
            again,
            alone,
            selected: true,
            removed: false,
            farewell: false,
            stop: Stop::No,
            failure_seen: false,
            stopped_for,
        }
    }

    /// Whether a second generation, set as launcher.toml has it by now, can serve beside the first.
    pub(super) fn overlaps(&self) -> Result<(), NoOverlap> {
        match &self.alone {
            Some(why) => Err(why.clone()),
            None => self.service.settings().overlaps_with(self.service.next_settings()),
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let beside = self.beside.as_ref().and_then(Beside::next_deadline);
        Moment::first(self.service.next_deadline(), beside)
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.service.state().is_at_rest() && self.beside.is_none()
    }

    pub(super) fn may_run(&self) -> bool {
        self.service.may_run() || self.beside.as_ref().is_some_and(|beside| beside.service.may_run())
    }

    pub(super) fn standing(&self) -> Standing {
        let (service, beside) = (&self.service, self.beside.is_some());
        (service.state(), service.serves(), self.may_run(), beside, service.generation())
    }

    pub(super) fn limit_stop(&mut self, now: Moment, by: Moment) {
        self.service.limit_stop(now, by);
        if let Some(beside) = &mut self.beside {
            beside.service.limit_stop(now, by);
        }
    }

    /// Takes in an event: what carries a generation is for that one, wishes are for the one that serves, and whatever
    /// else is for both.
    pub(super) fn take_in(&mut self, now: Moment, event: Event, actions: &mut Vec<Action>) {
        let ends = matches!(event, Event::StopRequested(_) | Event::KillRequested);
        if ends {
            self.again = None;
        }
        let Some(beside) = &mut self.beside else { return self.service.step(now, event, actions) };
        match event {
            Event::StartRequested | Event::DependenciesReady | Event::RestartRequested => {
                self.service.step(now, event, actions);
            }
            event if event.generation().is_some() && event.generation() == beside.service.generation() => {
                beside.service.step(now, event, actions);
            }
            event if event.generation().is_some() => self.service.step(now, event, actions),
            event => {
                if ends {
                    // No one is to take its place any more.
                    self.service.be_alone();
                }
                self.service.step(now, event.clone(), actions);
                match event {
                    Event::StopRequested(cause) => beside.stop(now, cause, actions),
                    event => beside.service.step(now, event, actions),
                }
            }
        }
    }

    /// Which of the two is meant by what is said of a canary, or of one that comes up.
    pub(super) fn successor(&self) -> Option<&Beside> {
        self.beside.as_ref().filter(|beside| beside.part != Part::Leaving && beside.service.is_wanted())
    }
}
