//! How a generation ends: its one report, and what comes after it.

use std::time::Duration;

use crate::core::exit::Ending;
use crate::core::facts::{Occasion, Refusal};
use crate::core::settings::{OnOpen, OnTimeout, Ready, RestartPolicy};

use super::breaker::Breaker;
use super::deadlines::Deadline;
use super::live::{Course, Failure, Main, Report};
use super::{Action, Next, Outcome, OutcomeCause, Outlook, Role, Service, State, Transition, Turn, Wish};

/// How long an answer to `Explain` is waited for: the dump has 2 s of its own, the rest is for the report.
const EXPLAIN_LIMIT: Duration = Duration::from_secs(4);

impl Service {
    /// The main process ended. What is left of the generation is told to go, too.
    pub(super) fn on_exited(&mut self, turn: &mut Turn, ending: Ending) {
        let Some(live) = self.live.as_mut().filter(|live| matches!(live.main, Main::Spawning | Main::Running)) else {
            return;
        };
        live.main = Main::Gone;
        live.ending = Some(ending);
        match live.course {
            Course::Up => {
                self.judge_ending(turn, Some(ending));
                self.begin_rest(turn);
            }
            Course::Stopping(signal) => turn.act(Action::SignalRest(live.generation, signal)),
            Course::Dumping | Course::Surviving | Course::Resting | Course::Killed => {}
        }
    }

    /// No process of the generation is left.
    pub(super) fn on_emptied(&mut self, turn: &mut Turn) {
        let Some(live) = self.live.as_mut().filter(|live| live.main != Main::Absent) else { return };
        let vanished = live.main != Main::Gone && !live.was_told_to_go();
        live.main = Main::Gone;
        self.be_over(turn);
        if vanished {
            self.go(turn, State::Stopping);
            self.fail(turn, Failure::ended(None), None);
        }
        self.settle(turn);
    }

    /// Nothing of the generation is left: there is nobody to wait for but its report.
    pub(super) fn be_over(&mut self, turn: &mut Turn) {
        self.leave_up(turn);
        self.deadlines.clear(&[Deadline::Stop, Deadline::Rest]);
        if let Some(live) = &mut self.live {
            live.over = true;
        }
    }

    /// The report is written, or is not waited for any longer.
    pub(super) fn on_explained(&mut self, turn: &mut Turn) {
        let Some(live) = self.live.as_mut().filter(|live| live.report == Report::Pending) else { return };
        live.report = Report::Done;
        self.deadlines.clear(&[Deadline::Explain]);
        match live.course {
            _ if live.over => self.settle(turn),
            Course::Dumping if live.main == Main::Gone => self.begin_rest(turn),
            Course::Dumping if live.failure == Some(Failure::Watchdog) => {
                self.begin_stop(turn, self.settings.notify.watchdog_signal);
            }
            Course::Dumping => self.begin_stop(turn, self.settings.stop_signal),
            Course::Surviving => self.kill(turn),
            Course::Up | Course::Stopping(_) | Course::Resting | Course::Killed => {}
        }
    }

    /// This generation has failed. The first failure counts, and is reported.
    pub(super) fn fail(&mut self, turn: &mut Turn, failure: Failure, refusal: Option<Box<Refusal>>) {
        let Some(live) = &mut self.live else { return };
        live.failure.get_or_insert(failure);
        self.explain(turn, failure.occasion(), refusal);
    }

    /// Asks for the one report of this generation.
    pub(super) fn explain(&mut self, turn: &mut Turn, occasion: Occasion, refusal: Option<Box<Refusal>>) {
        let Some(live) = self.live.as_mut().filter(|live| live.report == Report::None) else { return };
        live.report = Report::Pending;
        let (generation, ending, failure) = (live.generation, live.ending, live.failure);
        let outlook = self.outlook(turn, failure);
        self.deadlines.set(Deadline::Explain, turn.now + EXPLAIN_LIMIT);
        turn.act(Action::Explain { generation, attempt: self.attempt, occasion, ending, refusal, outlook });
    }

    /// What will come after this generation: the report is made before the generation is over, and says it.
    fn outlook(&mut self, turn: &Turn, failure: Option<Failure>) -> Outlook {
        let restart = &self.settings.restart;
        // An attempt after the service was ready, if only for a moment, is the first again: not of so many.
        let of = restart.max_failures.filter(|_| self.attempt == self.failures.saturating_add(1));
        let Some(failure) = failure.filter(|_| self.wish == Wish::Run) else {
            return Outlook { of, next: Next::Nothing };
        };
        match self.role {
            Role::Sole => {}
            Role::Followed => return Outlook { of: None, next: Next::NewTakesOver },
            Role::Successor | Role::Leaving => return Outlook { of: None, next: Next::OldStays },
        }
        let exhausted = restart.max_failures.is_some_and(|max| self.failures.saturating_add(1) >= max);
        let exhausted = exhausted || self.exits_on(failure);
        if restart.policy == RestartPolicy::Never || exhausted {
            return Outlook { of, next: Next::Nothing };
        }
        let opening = self.breaker.as_ref().filter(|breaker| breaker.would_open(turn.now)).map(Breaker::settings);
        let next = match opening {
            Some(breaker) if breaker.on_open == OnOpen::Cooldown => Next::Attempt(breaker.cooldown),
            Some(_) => Next::Nothing,
            None => Next::Attempt(self.draw_wait()),
        };
        Outlook { of, next }
    }

    /// Whether this failure is one after which the service is not to be started again.
    fn exits_on(&self, failure: Failure) -> bool {
        failure == Failure::StartTimeout && self.settings.on_timeout == OnTimeout::Exit
    }

    /// The wait before the next generation: drawn once, so that it is as long as was said.
    fn draw_wait(&mut self) -> Duration {
        let wait = self.drawn_wait.take().unwrap_or_else(|| self.waits.next(&self.settings.restart.backoff));
        self.drawn_wait = Some(wait);
        wait
    }

    /// Ends the generation when nothing is left of it and its report is written.
    pub(super) fn settle(&mut self, turn: &mut Turn) {
        if self.live.as_ref().is_some_and(|live| live.over && live.report != Report::Pending) {
            self.finish(turn);
        }
    }

    /// The generation is over: what is wanted decides what comes next.
    pub(super) fn finish(&mut self, turn: &mut Turn) {
        self.deadlines.clear_all();
        self.stop_probing(turn);
        self.stop_requiring(turn);
        self.release_ports(turn);
        let Some(live) = self.live.take() else { return };
        // A preflight that was cut short says nothing: the generation before it has the last word.
        let code = match live.main {
            Main::Absent if live.failure.is_none() => self.last_code.unwrap_or(0),
            _ => live.exit_code(self.wish == Wish::Stop),
        };
        self.last_code = Some(code);
        match (self.wish, live.failure) {
            (Wish::Stop, _) => self.rest(turn, State::Stopped, Outcome { code, cause: OutcomeCause::Requested }),
            (Wish::Restart, _) => {
                self.wish = Wish::Run;
                self.begin_generation(turn);
            }
            (Wish::Run, None) => self.succeeded(turn, code),
            (Wish::Run, Some(failure)) => self.failed(turn, failure, code),
        }
    }

    /// Is at rest, with nothing waited for and nothing kept.
    pub(super) fn rest(&mut self, turn: &mut Turn, state: State, outcome: Outcome) {
        self.deadlines.clear_all();
        self.signals.clear();
        self.outcome = Some(outcome);
        // Of one that has another beside it, what was stored is the other's.
        if self.role == Role::Sole && std::mem::take(&mut self.stores) {
            turn.act(Action::CloseDescriptors);
        }
        // A start that was called off before a generation began changes nothing for who waits for its end.
        if self.role == Role::Sole {
            let last = std::mem::replace(&mut self.left, self.generation);
            if self.settings.on_stop.is_some() && last != self.generation {
                turn.act(Action::Farewell);
            }
        }
        self.go(turn, state);
    }

    /// Whether an ending that nobody asked for is a success, and its report when it is not.
    fn judge_ending(&mut self, turn: &mut Turn, ending: Option<Ending>) {
        let success = matches!(ending, Some(Ending::Code(code)) if self.settings.restart.success_codes.contains(&code));
        let Some(live) = &self.live else { return };
        if success && (live.ready || self.settings.ready == Ready::Exited) {
            self.was_ready = true;
        } else {
            self.fail(turn, Failure::ended(ending), None);
        }
    }

    /// It ended by itself, and well: the row of failures is broken.
    fn succeeded(&mut self, turn: &mut Turn, code: i32) {
        self.failures = 0;
        if self.settings.restart.policy == RestartPolicy::Always && self.role == Role::Sole {
            self.back_off(turn);
        } else {
            self.rest(turn, State::Stopped, Outcome { code, cause: OutcomeCause::Completed });
        }
    }

    /// It failed: again, later, or never.
    fn failed(&mut self, turn: &mut Turn, failure: Failure, code: i32) {
        let outcome = Outcome { code, cause: OutcomeCause::Failed(failure.occasion()) };
        if self.role != Role::Sole {
            return self.rest(turn, State::Failed, outcome);
        }
        self.failures = self.failures.saturating_add(1);
        let opened = self
            .breaker
            .as_mut()
            .and_then(|breaker| breaker.failed(turn.now).map(|failures| (failures, *breaker.settings())));
        let restart = &self.settings.restart;
        if restart.policy == RestartPolicy::Never {
            return self.rest(turn, State::Failed, outcome);
        }
        let exhausted = restart.max_failures.is_some_and(|max| self.failures >= max);
        let exit_on_timeout = self.exits_on(failure);
        let exit_on_open = opened.is_some_and(|(_, settings)| settings.on_open == OnOpen::Exit);
        if exhausted || exit_on_timeout || exit_on_open {
            turn.tell(Transition::GivenUp { failures: self.failures, code });
            return self.rest(turn, State::Failed, outcome);
        }
        match opened {
            Some((failures, settings)) => {
                turn.tell(Transition::BreakerOpened { failures, cooldown: settings.cooldown });
                self.deadlines.set(Deadline::Cooldown, turn.now + settings.cooldown);
                self.go(turn, State::Open);
            }
            None => self.back_off(turn),
        }
    }

    /// The next generation comes after a while, or at once when there is nothing to wait.
    fn back_off(&mut self, turn: &mut Turn) {
        let restart = &self.settings.restart;
        let (attempt, failures, max) = (self.next_attempt(), self.failures, restart.max_failures);
        let after = self.draw_wait();
        self.drawn_wait = None;
        turn.tell(Transition::NextAttempt { attempt, failures, max, after });
        if after.is_zero() {
            return self.begin_generation(turn);
        }
        self.deadlines.set(Deadline::Backoff, turn.now + after);
        self.go(turn, State::BackingOff);
    }
}
