//! What becomes of the others when a service has failed for good.

use crate::core::service::{OutcomeCause, Spread, State, StopCause, Transition};
use crate::core::settings::OnFailure;

use super::{Fleet, ServiceId, Turn, flagged};

impl Fleet {
    /// Sees to services that have failed for good since the last look, and to what can never come any more.
    pub(super) fn spread_failures(&mut self, turn: &mut Turn) {
        for id in self.ids() {
            let failed = self.state(id) == State::Failed;
            let seen = std::mem::replace(&mut self.members[id.0].failure_seen, failed);
            if failed && !seen && self.going_down.is_none() {
                self.on_failed_for_good(turn, id);
            }
        }
        if self.failed_for_good.is_some_and(|failed| self.state(failed) != State::Failed) {
            // Somebody has started it again.
            self.failed_for_good = self.ids().find(|id| self.state(*id) == State::Failed && self.spreads(*id));
        }
        if self.going_down.is_some() {
            return;
        }
        if let Some(failed) = self.failed_for_good
            && self.is_pointless()
            && !self.may_revive()
        {
            let of = self.members[failed.0].service.generation();
            self.tell(turn, failed, of, Transition::FailureSpread(Spread::NothingLeft));
            self.go_down(turn, StopCause::Request);
        }
    }

    /// Those that wait for others, when nothing runs that could still become what they wait for, would wait for ever.
    pub(super) fn give_up_waiting(&mut self, turn: &mut Turn) {
        let stuck = |id: ServiceId| self.members[id.0].service.waits_for_others();
        let any = self.started && self.ids().any(stuck);
        if any && !self.may_revive() && self.ids().all(|id| stuck(id) || self.state(id).is_at_rest()) {
            self.go_down(turn, StopCause::Request);
        }
    }

    /// Starts a service with what it needs, and with those that were stopped because it had failed.
    pub(super) fn start_with_stopped(&mut self, turn: &mut Turn, id: ServiceId) {
        let stopped = self.ids().filter(|above| self.members[above.0].stopped_for == Some(id));
        let all: Vec<ServiceId> = std::iter::once(id).chain(stopped).collect();
        self.start(turn, &all);
    }

    /// These services are started again when their files change: the launcher stays for that.
    pub fn stay_for_changes(&mut self, services: &[ServiceId]) {
        self.revived = services.to_vec();
    }

    /// Whether a service is one to be started again by itself: not one that a person has stopped.
    pub fn may_be_restarted(&self, id: ServiceId) -> bool {
        let Some(member) = self.members.get(id.0).filter(|member| self.going_down.is_none() && !member.removed) else {
            return false;
        };
        let stopped = member.service.state() == State::Stopped && member.stopped_for.is_none();
        !(stopped && member.service.outcome().is_none_or(|outcome| outcome.cause == OutcomeCause::Requested))
    }

    /// Whether a service that rests may come back when its files change.
    pub(super) fn may_revive(&self) -> bool {
        self.revived.iter().any(|id| self.state(*id).is_at_rest() && self.may_be_restarted(*id))
    }

    fn spreads(&self, id: ServiceId) -> bool {
        self.members[id.0].service.settings().on_failure != OnFailure::Keep
    }

    fn on_failed_for_good(&mut self, turn: &mut Turn, id: ServiceId) {
        if self.spreads(id) {
            self.failed_for_good.get_or_insert(id);
        }
        let spread = match self.members[id.0].service.settings().on_failure {
            OnFailure::Keep => return,
            OnFailure::StopAll => {
                let others = self.ids().any(|other| !self.state(other).is_at_rest());
                self.go_down(turn, StopCause::Request);
                others.then_some(Spread::All)
            }
            OnFailure::StopDependents => {
                let stopped = self.stop_dependents(turn, id);
                (!stopped.is_empty()).then_some(Spread::Dependents(stopped))
            }
        };
        if let Some(spread) = spread {
            let of = self.members[id.0].service.generation();
            self.tell(turn, id, of, Transition::FailureSpread(spread));
        }
    }

    /// Stops what comes after this one, directly or not, and gives their names.
    fn stop_dependents(&mut self, turn: &mut Turn, id: ServiceId) -> Vec<String> {
        let mut stopped = Vec::new();
        for above in flagged(self.order.needing(id)).filter(|above| *above != id) {
            if self.state(above).is_at_rest() || self.members[above.0].service.has_completed() {
                continue;
            }
            stopped.push(self.members[above.0].service.settings().name.clone());
            self.members[above.0].stopped_for = Some(id);
            self.ask_to_stop(turn, above, StopCause::Request);
        }
        stopped
    }

    /// Whether all that nothing else comes after, which is what the launcher is there for, has come to its end without
    /// anybody having asked for that, and others still run.
    fn is_pointless(&self) -> bool {
        let is_last = |id: &ServiceId| {
            self.members[id.0].selected && !self.order.before[id.0].iter().any(|above| self.members[above.0].selected)
        };
        let is_over = |id: ServiceId| {
            let member = &self.members[id.0];
            let by_itself = member.service.outcome().is_some_and(|outcome| outcome.cause != OutcomeCause::Requested);
            self.state(id).is_at_rest() && (by_itself || member.stopped_for.is_some())
        };
        self.ids().filter(is_last).all(is_over) && self.ids().any(|id| !self.state(id).is_at_rest())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Event;
    use super::super::tests::*;
    use super::*;
    use crate::core::exit::Ending;
    use crate::core::fleet::FleetEvent;
    use crate::core::settings::{After, Ready, Until};
    use crate::core::signal::Signal;

    const WEB: [(&str, &[&str]); 4] = [("db", &[]), ("api", &["db"]), ("web", &["api"]), ("mail", &[])];

    fn bench(on_failure: OnFailure) -> Bench {
        let mut settings = settings(&WEB);
        settings.services[0].on_failure = on_failure;
        let mut bench = Bench::new(&settings);
        bench.send(FleetEvent::StartAll);
        bench.spawn_all(4);
        bench
    }

    fn states(bench: &Bench) -> [State; 4] {
        [0, 1, 2, 3].map(|id| bench.state(id))
    }

    #[test]
    fn what_comes_after_it_is_stopped_and_what_does_not_goes_on() {
        let mut bench = bench(OnFailure::StopDependents);
        assert_eq!(bench.end(0, Ending::Code(5)), [term(2)], "in reverse");
        assert_eq!(bench.end(2, Ending::Signal(Signal::TERM)), [term(1)]);
        bench.end(1, Ending::Signal(Signal::TERM));
        assert_eq!(states(&bench), [State::Failed, State::Stopped, State::Stopped, State::Ready]);
        assert_eq!(bench.fleet.exit_code(), None);
        bench.end(3, Ending::Code(9));
        assert_eq!(bench.fleet.exit_code(), Some(5), "the first cause");
    }

    #[test]
    fn what_was_stopped_for_it_comes_back_with_it() {
        let mut bench = bench(OnFailure::StopDependents);
        bench.end(0, Ending::Code(5));
        bench.end(2, Ending::Signal(Signal::TERM));
        bench.end(1, Ending::Signal(Signal::TERM));
        bench.to(0, Event::RestartRequested);
        assert_eq!(states(&bench), [State::Checking, State::Waiting, State::Waiting, State::Ready]);
    }

    #[test]
    fn all_can_be_stopped() {
        let mut bench = bench(OnFailure::StopAll);
        assert_eq!(bench.end(0, Ending::Code(5)), [term(2), term(3)]);
        bench.end(2, Ending::Code(6));
        bench.end(1, Ending::Code(7));
        bench.end(3, Ending::Code(8));
        assert_eq!(bench.fleet.exit_code(), Some(5));
    }

    #[test]
    fn or_none() {
        let mut bench = bench(OnFailure::Keep);
        assert_eq!(bench.end(0, Ending::Code(5)), []);
        assert_eq!(states(&bench), [State::Failed, State::Ready, State::Ready, State::Ready]);
    }

    #[test]
    fn what_waits_for_ever_does_not_keep_the_launcher() {
        let mut settings = settings(&[("db", &[]), ("api", &["db"]), ("mail", &[])]);
        settings.services[0].ready = Ready::Notify;
        settings.services[0].on_failure = OnFailure::Keep;
        let mut bench = Bench::new(&settings);
        bench.send(FleetEvent::StartAll);
        bench.spawn(0);
        bench.spawn(2);
        bench.end(0, Ending::Code(5));
        assert_eq!([0, 1, 2].map(|id| bench.state(id)), [State::Failed, State::Waiting, State::Ready]);
        bench.end(2, Ending::Code(0));
        assert_eq!((bench.state(1), bench.fleet.exit_code()), (State::Stopped, Some(5)));
    }

    #[test]
    fn what_runs_for_others_alone_is_stopped_when_they_have_failed() {
        let mut bench = Bench::ready(&[("db", &[]), ("cache", &[]), ("api", &["db", "cache"]), ("seed", &["db"])]);
        bench.end(3, Ending::Code(0));
        assert_eq!(bench.end(2, Ending::Code(3)), [term(0), term(1)], "seed is done, api has failed");
        bench.end(0, Ending::Code(0));
        bench.end(1, Ending::Code(0));
        assert_eq!(bench.fleet.exit_code(), Some(3));
    }

    #[test]
    fn a_service_that_a_person_stopped_is_no_failure() {
        let mut bench = Bench::ready(&[("db", &[]), ("api", &["db"]), ("mail", &[])]);
        bench.to(1, Event::StopRequested(StopCause::Request));
        bench.end(1, Ending::Code(0));
        bench.end(2, Ending::Code(3));
        assert_eq!([0, 1, 2].map(|id| bench.state(id)), [State::Ready, State::Stopped, State::Failed]);
        assert_eq!(bench.fleet.exit_code(), None);
    }

    #[test]
    fn the_end_of_a_task_can_be_waited_for() {
        let mut settings = settings(&[("migrate", &[]), ("api", &[]), ("web", &["api"])]);
        settings.services[1].after = vec![After { service: "migrate".into(), until: Until::Exited }];
        let mut bench = Bench::new(&settings);
        bench.send(FleetEvent::StartAll);
        bench.spawn(0);
        assert_eq!((bench.state(0), bench.state(1)), (State::Ready, State::Waiting), "ready is not enough");
        bench.end(0, Ending::Code(0));
        assert_eq!((bench.state(0), bench.state(1)), (State::Stopped, State::Checking));
        bench.spawn(1);
        bench.spawn(2);
        bench.to(1, Event::RestartRequested);
        assert_eq!(bench.state(0), State::Stopped, "what is done is not done again for another");
        bench.to(0, Event::RestartRequested);
        assert_eq!(bench.state(0), State::Checking, "but for itself");
    }

    #[test]
    fn a_task_that_fails_keeps_what_waits_for_it_from_starting() {
        let mut settings = settings(&[("db", &[]), ("migrate", &["db"]), ("api", &[])]);
        settings.services[1].ready = Ready::Exited;
        settings.services[2].after = vec!["db".into(), After { service: "migrate".into(), until: Until::Exited }];
        let mut bench = Bench::new(&settings);
        bench.send(FleetEvent::StartAll);
        bench.spawn(0);
        bench.spawn(1);
        let actions = bench.end(1, Ending::Code(3));
        assert_eq!(actions.last(), Some(&term(0)), "nothing is left to run for");
        assert_eq!(bench.state(2), State::Stopped);
        bench.end(0, Ending::Signal(Signal::TERM));
        assert_eq!(bench.fleet.exit_code(), Some(3));
    }
}
