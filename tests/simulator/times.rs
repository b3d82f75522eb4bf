//! The judge of one service: what becomes of signals, and that nothing is put off for longer than its limit.

use launcher::core::service::{Action, Event, State, Transition};
use launcher::core::settings::SignalHoldUntil;
use launcher::core::time::Moment;

use crate::step::Step;
use crate::watch::{Judged, REPORT, SLACK, Watch, require};

impl Watch {
    /// What becomes of a signal that arrives: held, sent, or dropped for a reason.
    pub(crate) fn judge_signals(&mut self, step: &Step) -> Judged {
        let becomes_ready =
            |action: &Action| matches!(action, Action::Tell(_, Transition::State { to: State::Ready, .. }));
        if step.has(becomes_ready) {
            require(self.held.is_empty(), "what is held is delivered when it is ready")?;
        }
        let Some(Event::SignalReceived(arrived)) = step.event else { return Ok(()) };
        let signals = &self.settings.signals;
        let Some(sent) = signals.rewrite.get(arrived).copied().unwrap_or(Some(*arrived)) else {
            let sent = step.has(|action| matches!(action, Action::Signal(..)));
            return require(!sent, "a signal that is rewritten to nothing is not sent");
        };
        let listed = signals.hold.contains(arrived) || signals.hold.contains(&sent);
        let ready = self.live.as_ref().is_some_and(|live| live.ready);
        let waits = !matches!(step.before, State::Failed | State::Stopped | State::Stopping | State::Ready);
        if listed && !ready && waits && signals.hold_until == SignalHoldUntil::Ready {
            return require(self.held.contains(&(sent, false)), "a signal in `hold` is held");
        }
        let runs = self.live.as_ref().is_some_and(|live| live.runs() && !live.killed);
        let passed = step.has(|action| matches!(action, Action::Signal(_, signal) if *signal == sent));
        require(!runs || (listed && !ready) || passed, "a signal that is not held is sent at once")
    }

    /// Nothing is put off for longer than its limit.
    pub(crate) fn judge_times(&mut self, step: &Step) -> Judged {
        let now = step.now;
        let late = |by: Option<Moment>| by.is_some_and(|by| now > by);
        self.judge_stop(step)?;
        if let Some((count, since)) = self.stops {
            let begun = self.state == State::Stopping || self.state.is_at_rest();
            let limit = self.hold_limit.unwrap_or(self.settings.signals.hold_limit).max(REPORT) + SLACK;
            require(begun || now <= since + limit, "a stop request waits no longer than its limit")?;
            let killed = self.live.as_ref().is_none_or(|live| live.killed || live.gone.is_some());
            require(count < 3 || killed, "a third stop request kills")?;
        }
        let Some(live) = &self.live else { return Ok(()) };
        let requires = live.gone.is_none() && !live.spawn;
        if let Some(by) = requires.then(|| live.required_by(&self.settings)).flatten() {
            require(now <= by + SLACK, "a requirement is waited for no longer than its deadline")?;
        }
        if live.gone.is_some() {
            return require(!late(live.gone.map(|at| at + REPORT + SLACK)), "a generation that is gone is over");
        }
        require(live.killed || !late(live.kill_by), "every stop ends within its ladder")
    }

    /// Whoever is to stop is told so, as soon as there is somebody to tell, and looked at no more.
    fn judge_stop(&mut self, step: &Step) -> Judged {
        let Some(live) = self.live.as_mut().filter(|_| self.state == State::Stopping) else { return Ok(()) };
        require(!live.probing, "what is stopping is not probed")?;
        live.told |= step.has(|action| matches!(action, Action::Stop(..)));
        // With a report it may be that its stacks are taken first.
        require(live.told || live.killed || live.reports > 0 || !live.runs(), "what is to stop is told so")
    }
}
