//! Signals that are for the service: kept back until it is ready, or passed on.

use crate::core::settings::SignalHoldUntil;
use crate::core::signal::{Signal, SignalSet};

use super::live::{Course, Main};
use super::signals::Until;
use super::{Action, Service, State, Transition, Turn, Wish};

impl Service {
    /// The launcher was sent a signal that is for the service.
    ///
    /// One in `hold` is kept until the service is ready: by this generation, or by the next one when this one fails.
    /// Any other goes to a main process that runs or is about to. While it is asked to stop nothing more is kept. One that
    /// is rewritten to nothing is dropped.
    pub(super) fn on_signal_received(&mut self, turn: &mut Turn, arrived: Signal) {
        if self.state.is_at_rest() {
            return;
        }
        let Some(sent) = self.settings.signals.sent_for(arrived) else { return };
        let live = self.live.as_ref();
        let (main, ready) = live.map_or((Main::Absent, false), |live| (live.main, live.ready));
        let hears = main == Main::Running && live.is_some_and(|live| live.course != Course::Killed);
        let held = !ready && self.signals.is_held(&self.settings.signals, arrived, sent);
        let goes_down = self.state == State::Stopping && self.wish == Wish::Stop;
        let comes_up = matches!(self.state, State::Checking | State::Waiting | State::Starting)
            && live.is_some()
            && matches!(main, Main::Absent | Main::Spawning);
        if hears && !held {
            self.send(turn, sent);
        } else if held && !goes_down {
            self.hold(turn, sent);
        } else if comes_up {
            self.signals.keep(sent, Until::Running);
        }
    }

    /// The main process has handlers for these signals now.
    pub(super) fn on_handlers_seen(&mut self, turn: &mut Turn, handled: SignalSet) {
        if self.live.as_ref().is_some_and(|live| live.is_up() && live.main == Main::Running) {
            self.signals.see_handlers(handled);
            self.release_signals(turn);
        }
    }

    /// Delivers, in order of arrival, what may be delivered to the running main process now. A stop request that was
    /// kept begins the stop in its turn.
    pub(super) fn release_signals(&mut self, turn: &mut Turn) {
        let Some(live) = self.live.as_ref().filter(|live| live.main == Main::Running) else { return };
        for kept in self.signals.take_released(&self.settings.signals, live.ready) {
            match kept.until {
                Until::Running => self.send(turn, kept.signal),
                Until::Released => {
                    turn.tell(Transition::SignalDelivered(kept.signal));
                    self.send(turn, kept.signal);
                }
                Until::ReleasedToStop => {
                    turn.tell(Transition::SignalDelivered(kept.signal));
                    self.begin_stop(turn, kept.signal);
                }
            }
        }
    }

    /// Looks for handlers as long as something is held for them; nothing is polled for otherwise.
    pub(super) fn watch_handlers(&mut self, turn: &mut Turn) {
        let wanted = self.settings.signals.hold_until == SignalHoldUntil::Handled && self.signals.holds_any();
        let Some(live) = self.live.as_mut().filter(|live| {
            wanted && live.main == Main::Running && live.course == Course::Up && !live.ready && !live.watching_handlers
        }) else {
            return;
        };
        live.watching_handlers = true;
        turn.act(Action::WatchHandlers(live.generation));
    }

    fn hold(&mut self, turn: &mut Turn, signal: Signal) {
        if self.signals.keep(signal, Until::Released) {
            turn.tell(Transition::SignalHeld { signal, limit: None });
            self.watch_handlers(turn);
        }
    }

    fn send(&self, turn: &mut Turn, signal: Signal) {
        if let Some(live) = &self.live {
            turn.act(Action::Signal(live.generation, signal));
        }
    }
}
