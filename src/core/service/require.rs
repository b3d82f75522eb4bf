//! What a generation waits for between its preflight and its start: its requirements, with its ports reserved.

use crate::core::facts::{Refusal, Trouble};
use crate::core::requirement::{Order, Standing, words};

use super::deadlines::Deadline;
use super::live::Failure;
use super::{Action, Service, State, Transition, Turn};

impl Service {
    /// Begins to wait for what must answer; on with the start at once when there is nothing.
    pub(super) fn require(&mut self, turn: &mut Turn) {
        if self.settings.requirements.is_empty() {
            return self.spawn(turn);
        }
        let Some(live) = &mut self.live else { return };
        live.requiring = true;
        let orders = self.vigil.begin(turn.now);
        self.go(turn, State::Waiting);
        self.try_all(turn, orders);
    }

    /// A requirement was tried.
    pub(super) fn on_requirement_tried(&mut self, turn: &mut Turn, index: usize, outcome: Result<(), Trouble>) {
        if !self.is_requiring() {
            return;
        }
        if let Some(news) = self.vigil.tried(turn.now, index, outcome) {
            turn.tell(Transition::Requirement(news));
            self.see_requirements(turn);
        }
    }

    /// One is to be tried again, or its deadline has come.
    pub(super) fn on_requirements_due(&mut self, turn: &mut Turn) {
        if self.is_requiring() {
            self.see_requirements(turn);
        }
    }

    /// Leaves off trying, once.
    pub(super) fn stop_requiring(&mut self, turn: &mut Turn) {
        self.deadlines.clear(&[Deadline::Require]);
        if let Some(live) = &mut self.live
            && std::mem::take(&mut live.requiring)
        {
            turn.act(Action::StopTrying(live.generation));
        }
    }

    fn is_requiring(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.requiring)
    }

    fn see_requirements(&mut self, turn: &mut Turn) {
        match self.vigil.standing(turn.now) {
            Standing::Met => {
                self.stop_requiring(turn);
                self.spawn(turn);
            }
            Standing::Failed => self.on_requirement_missed(turn),
            Standing::Waiting => {
                let orders = self.vigil.due(turn.now);
                self.try_all(turn, orders);
            }
        }
    }

    /// One of them did not answer in time: this generation has failed before it began.
    fn on_requirement_missed(&mut self, turn: &mut Turn) {
        let limit = self.vigil.missed(turn.now).unwrap_or_default();
        let facts = self.vigil.facts(turn.now);
        let failure = words::failure(&self.settings.requirements, facts, limit);
        self.stop_requiring(turn);
        if let Some(live) = &mut self.live {
            live.over = true;
        }
        let refusal = Box::new(Refusal::Requirement(failure));
        self.fail(turn, Failure::refused(&refusal), Some(refusal));
    }

    fn try_all(&mut self, turn: &mut Turn, orders: Vec<Order>) {
        let Some(live) = &self.live else { return };
        let generation = live.generation;
        for Order { index, limit } in orders {
            turn.act(Action::Try { generation, requirement: index, limit });
        }
        match self.vigil.next_deadline() {
            Some(at) => self.deadlines.set(Deadline::Require, at),
            None => self.deadlines.clear(&[Deadline::Require]),
        }
    }
}
