//! The signal table: what is kept back until the service is ready, and what is sent instead of what arrived.

use crate::core::settings::{SignalHoldUntil, SignalSettings};
use crate::core::signal::{Signal, SignalSet};

/// A signal that is kept, as it will be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// What will be sent.
    pub(super) signal: Signal,
    /// Until when.
    pub(super) until: Until,
}

/// Until when a signal is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Until there is a process to send it to: it is not held, only early.
    Running,
    /// Until it is released (`hold_until`).
    Released,
    /// The same, and then the stop begins with it.
    ReleasedToStop,
}

/// The kept signals of a service, in the order of their arrival, each once.
#[derive(Debug, Clone, Default)]
pub(super) struct SignalTable {
    kept: Vec<Kept>,
    /// What the main process of this generation has handlers for, as far as that was looked at.
    handled: SignalSet,
}

impl SignalTable {
    /// Whether a signal is kept back from a service that is not ready. It is so when the signal that arrived is in
    /// `hold`, and also when the one sent instead is: either way the user said that it is for a ready program.
    pub(super) fn is_held(&self, settings: &SignalSettings, arrived: Signal, sent: Signal) -> bool {
        (settings.hold.contains(&arrived) || settings.hold.contains(&sent)) && !self.is_handled(settings, sent)
    }

    /// Keeps a signal; says whether it was not yet there.
    pub(super) fn keep(&mut self, signal: Signal, until: Until) -> bool {
        let kept = Kept { signal, until };
        let new = !self.kept.contains(&kept);
        if new {
            self.kept.push(kept);
        }
        new
    }

    /// Whether something waits for a handler or for readiness.
    pub(super) fn holds_any(&self) -> bool {
        self.kept.iter().any(|kept| kept.until != Until::Running)
    }

    /// The main process is seen to have handlers for these.
    pub(super) fn see_handlers(&mut self, handled: SignalSet) {
        self.handled.0 |= handled.0;
    }

    /// Another main process: nothing is known of its handlers.
    pub(super) fn forget_handlers(&mut self) {
        self.handled = SignalSet::default();
    }

    /// Takes out what may be sent to a running main process now, in order of arrival.
    pub(super) fn take_released(&mut self, settings: &SignalSettings, ready: bool) -> Vec<Kept> {
        let (released, kept) = std::mem::take(&mut self.kept)
            .into_iter()
            .partition(|kept| ready || kept.until == Until::Running || self.is_handled(settings, kept.signal));
        self.kept = kept;
        released
    }

    /// The signal of a stop request that is kept.
    pub(super) fn stop(&self) -> Option<Signal> {
        self.kept.iter().find(|kept| kept.until == Until::ReleasedToStop).map(|kept| kept.signal)
    }

    /// Drops a stop request that is kept: it has begun, or is taken back.
    pub(super) fn drop_stop(&mut self) {
        self.kept.retain(|kept| kept.until != Until::ReleasedToStop);
    }

    /// Drops everything: there will be no one to send it to.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }

    fn is_handled(&self, settings: &SignalSettings, signal: Signal) -> bool {
        settings.hold_until == SignalHoldUntil::Handled && self.handled.contains(signal)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::core::settings::SignalTarget;

    fn settings(hold: &[Signal], hold_until: SignalHoldUntil) -> SignalSettings {
        SignalSettings {
            hold: hold.to_vec(),
            hold_until,
            hold_limit: Duration::from_secs(5),
            rewrite: BTreeMap::from([(Signal::HUP, Some(Signal::USR1))]),
            to: SignalTarget::Main,
        }
    }

    fn signals(kept: Vec<Kept>) -> Vec<Signal> {
        kept.into_iter().map(|kept| kept.signal).collect()
    }

    #[test]
    fn each_is_kept_once_in_order_of_arrival() {
        let settings = settings(&[Signal::USR1, Signal::USR2], SignalHoldUntil::Ready);
        let mut table = SignalTable::default();
        let new = [Signal::USR2, Signal::USR1, Signal::USR2].map(|signal| table.keep(signal, Until::Released));
        assert_eq!(new, [true, true, false]);
        assert_eq!(signals(table.take_released(&settings, false)), []);
        assert_eq!(signals(table.take_released(&settings, true)), [Signal::USR2, Signal::USR1]);
        assert_eq!(signals(table.take_released(&settings, true)), []);
    }

    #[test]
    fn a_rewritten_signal_is_held_when_either_is_in_hold() {
        let table = SignalTable::default();
        let sent = settings(&[], SignalHoldUntil::Ready).sent_for(Signal::HUP).unwrap();
        assert_eq!(sent, Signal::USR1);
        for (hold, held) in [([Signal::HUP], true), ([Signal::USR1], true), ([Signal::INT], false)] {
            assert_eq!(table.is_held(&settings(&hold, SignalHoldUntil::Ready), Signal::HUP, sent), held, "{hold:?}");
        }
    }

    #[test]
    fn a_handler_releases_its_own_signal_only_and_only_when_asked_for() {
        let hold = [Signal::USR1, Signal::USR2];
        let mut table = SignalTable::default();
        table.keep(Signal::USR1, Until::Released);
        table.keep(Signal::USR2, Until::Released);
        table.see_handlers(SignalSet::default().with(Signal::USR2));
        assert_eq!(signals(table.take_released(&settings(&hold, SignalHoldUntil::Ready), false)), []);
        let handled = settings(&hold, SignalHoldUntil::Handled);
        assert_eq!(signals(table.take_released(&handled, false)), [Signal::USR2]);
        assert!(!table.is_held(&handled, Signal::USR2, Signal::USR2));
        assert!(table.is_held(&handled, Signal::USR1, Signal::USR1));
        table.forget_handlers();
        assert!(table.is_held(&handled, Signal::USR2, Signal::USR2));
    }
}
