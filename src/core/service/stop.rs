//! How a service is stopped: requests, what they wait for, and the ladder from the stop signal to SIGKILL.

use std::time::Duration;

use crate::core::facts::Occasion;
use crate::core::settings::HangUp;
use crate::core::signal::Signal;
use crate::core::time::Moment;

use super::deadlines::Deadline;
use super::live::{Budget, Course, Main, Report};
use super::signals::Until;
use super::{Action, Haste, Outcome, OutcomeCause, Service, State, StopCause, Transition, Turn, Wish};

/// How long what is left of a generation gets at most after its main process has ended by itself.
const REST_GRACE: Duration = Duration::from_secs(1);

/// How long the last report of a stop that must keep a budget gets at most before SIGKILL.
const LAST_REPORT: Duration = Duration::from_secs(1);

impl Service {
    /// It is wanted no more. The first request may be kept back while the service starts (`hold_limit`), the second
    /// begins the stop at once, the third kills.
    pub(super) fn on_stop_requested(&mut self, turn: &mut Turn, cause: StopCause) {
        if self.state.is_at_rest() {
            return;
        }
        self.wish = Wish::Stop;
        self.stop_requests = self.stop_requests.saturating_add(1);
        let Some(live) = &self.live else { return self.rest_stopped(turn) };
        if self.stop_requests > 2 {
            return self.kill_now(turn, Haste::Asked);
        }
        match (live.main, live.course) {
            (Main::Absent, _) if !live.over => self.finish(turn),
            _ if live.over => self.await_report(turn),
            (_, Course::Up) => self.stop_or_hold(turn, cause),
            (_, Course::Dumping) if self.stop_requests > 1 => self.begin_stop(turn, self.stop_signal(cause)),
            (Main::Running, Course::Stopping(_)) if self.stop_requests > 1 => self.pass_on_stop(turn, cause),
            _ => {}
        }
    }

    /// It is wanted no more, and nothing is waited for.
    pub(super) fn on_kill_requested(&mut self, turn: &mut Turn) {
        if self.state.is_at_rest() {
            return;
        }
        self.wish = Wish::Stop;
        match &self.live {
            Some(_) => self.kill_now(turn, Haste::Asked),
            None => self.rest_stopped(turn),
        }
    }

    /// The launcher's stop budget: what runs of the service now is killed at `by` at the latest. A stop request that is
    /// kept back waits for two thirds of that at most, and the report on one that does not stop is asked for early
    /// enough. Holds until the generation is over.
    pub fn limit_stop(&mut self, now: Moment, by: Moment) {
        let Some(live) = &mut self.live else { return };
        let left = by.since(now);
        let budget = Budget { hold: now + left / 3 * 2, stop: now + (left - (left / 8).min(LAST_REPORT)) };
        live.budget = Some(budget);
        self.deadlines.set(Deadline::Budget, by);
        self.deadlines.cap(Deadline::Hold, budget.hold);
        self.deadlines.cap(Deadline::Stop, budget.stop);
    }

    /// A stop request has been kept back for long enough.
    pub(super) fn on_hold_limit(&mut self, turn: &mut Turn) {
        let kept = self.signals.stop().unwrap_or(self.settings.stop_signal);
        self.begin_stop(turn, kept);
    }

    /// The first rung: the stop signal, or as soon as there is a main process to send it to.
    pub(super) fn begin_stop(&mut self, turn: &mut Turn, signal: Signal) {
        self.leave_up(turn);
        let until = turn.now + self.stop_timeout();
        let Some(live) = &mut self.live else { return };
        live.course = Course::Stopping(signal);
        live.stop_began = turn.now;
        let generation = live.generation;
        let main = live.main;
        self.deadlines.set(Deadline::Stop, live.budget.map_or(until, |budget| until.min(budget.stop)));
        self.go(turn, State::Stopping);
        match main {
            Main::Running => self.stop_main(turn, signal),
            Main::Gone => turn.act(Action::SignalRest(generation, signal)),
            Main::Absent | Main::Spawning => {}
        }
    }

    /// The main process has ended by itself, and what is left of the generation is asked to go.
    pub(super) fn begin_rest(&mut self, turn: &mut Turn) {
        self.leave_up(turn);
        let Some(live) = &mut self.live else { return };
        live.course = Course::Resting;
        live.stop_began = turn.now;
        let generation = live.generation;
        self.deadlines.set(Deadline::Rest, turn.now + self.settings.stop_timeout.min(REST_GRACE));
        self.go(turn, State::Stopping);
        turn.act(Action::SignalRest(generation, self.settings.stop_signal));
    }

    /// The second rung: what has not stopped in time is looked at, then killed. A generation that has been reported on
    /// already is killed at once.
    pub(super) fn on_stop_timeout(&mut self, turn: &mut Turn) {
        let (all, drained) = (self.stop_timeout(), self.drains());
        let Some(live) = &mut self.live else { return };
        let after = turn.now.since(live.stop_began);
        turn.tell(Transition::Survived { after, cut: live.budget.is_some() && after < all, drained });
        if live.report == Report::None {
            live.course = Course::Surviving;
            self.explain(turn, Occasion::StopTimeout, None);
        } else {
            self.kill(turn);
        }
    }

    /// What was left of a generation that ended by itself has not gone in time.
    pub(super) fn on_rest_timeout(&mut self, turn: &mut Turn) {
        let Some(live) = &self.live else { return };
        turn.tell(Transition::Survived { after: turn.now.since(live.stop_began), cut: false, drained: false });
        self.kill(turn);
    }

    /// The last rung.
    pub(super) fn kill(&mut self, turn: &mut Turn) {
        self.leave_up(turn);
        self.deadlines.clear(&[Deadline::Stop, Deadline::Rest]);
        let Some(live) = self.live.as_mut().filter(|live| live.course != Course::Killed) else { return };
        live.course = Course::Killed;
        let generation = live.generation;
        self.go(turn, State::Stopping);
        turn.act(Action::Kill(generation));
    }

    /// The last rung, whatever else is waited for: a report that is not written yet is not.
    pub(super) fn kill_now(&mut self, turn: &mut Turn, why: Haste) {
        let Some(live) = &mut self.live else { return };
        self.deadlines.clear(&[Deadline::Explain]);
        if live.report == Report::Pending {
            live.report = Report::Done;
        }
        if live.over || live.main == Main::Absent {
            self.finish(turn);
        } else {
            // Of one that did not stop in time it was told that it is killed.
            if !matches!(live.course, Course::Surviving | Course::Killed) {
                turn.tell(Transition::Killed(why));
            }
            self.kill(turn);
        }
    }

    /// At rest at once: nothing runs. A generation that failed before has the last word.
    fn rest_stopped(&mut self, turn: &mut Turn) {
        let outcome = Outcome { code: self.last_code.unwrap_or(0), cause: OutcomeCause::Requested };
        self.rest(turn, State::Stopped, outcome);
    }

    /// Nothing runs, but the report is not written yet: a second request does not wait for it.
    fn await_report(&mut self, turn: &mut Turn) {
        if self.stop_requests > 1 {
            self.kill_now(turn, Haste::Asked);
        } else {
            self.go(turn, State::Stopping);
        }
    }

    /// The stop of a generation that comes up, or is up.
    fn stop_or_hold(&mut self, turn: &mut Turn, cause: StopCause) {
        let signal = self.stop_signal(cause);
        let Some(live) = &self.live else { return };
        let StopCause::Signal(arrived) = cause else { return self.begin_stop(turn, signal) };
        let settings = &self.settings.signals;
        let limit = settings.hold_limit;
        let waits = !live.ready && self.signals.is_held(settings, arrived, signal) && !limit.is_zero();
        if self.stop_requests > 1 || !waits {
            return self.begin_stop(turn, signal);
        }
        let until = turn.now + limit;
        self.deadlines.set(Deadline::Hold, live.budget.map_or(until, |budget| until.min(budget.hold)));
        self.signals.keep(signal, Until::ReleasedToStop);
        turn.tell(Transition::SignalHeld { signal, limit: Some(limit) });
        self.watch_handlers(turn);
    }

    /// A second stop request by a signal reaches a program that may hurry on it.
    fn pass_on_stop(&mut self, turn: &mut Turn, cause: StopCause) {
        let signal = self.stop_signal(cause);
        if matches!(cause, StopCause::Signal(_)) {
            self.stop_main(turn, signal);
        }
    }

    /// Asks the main process to stop by this signal, and by HUP where it may not hear that.
    pub(super) fn stop_main(&mut self, turn: &mut Turn, signal: Signal) {
        let hang_up = if signal == Signal::HUP { HangUp::Never } else { self.settings.hang_up() };
        let Some(live) = &mut self.live else { return };
        live.stop_signals = live.stop_signals.with(signal);
        if hang_up != HangUp::Never {
            // Ended by it, it was obeyed as well.
            live.stop_signals = live.stop_signals.with(Signal::HUP);
        }
        // What it ignores is looked at before: a handler may begin with that.
        if hang_up == HangUp::IfIgnored {
            turn.act(Action::HangUp(live.generation, Some(signal)));
        }
        turn.act(Action::Stop(live.generation, signal));
        if hang_up == HangUp::Always {
            turn.act(Action::HangUp(live.generation, None));
        }
    }

    /// What is sent to stop it. A rewritten signal is sent as it was rewritten; a configured stop signal (any but TERM)
    /// stands for every stop request; otherwise the request that arrived is passed on, so that Ctrl-C arrives as INT.
    fn stop_signal(&self, cause: StopCause) -> Signal {
        let configured = self.settings.stop_signal;
        match cause {
            StopCause::Signal(arrived) if self.settings.signals.rewrite.contains_key(&arrived) => {
                // A terminal that goes away stops a service that is not to hear HUP as well.
                self.settings.signals.sent_for(arrived).unwrap_or(configured)
            }
            StopCause::Signal(arrived) if configured == Signal::TERM && arrived.is_stop_request() => arrived,
            StopCause::Signal(_) | StopCause::Request => configured,
        }
    }
}
