//! The judge of one service: what of a changed launcher.toml holds at once, and what for the next generation.

use std::sync::Arc;
use std::time::Duration;

use launcher::core::reload::is_anew;
use launcher::core::settings::ServiceSettings;
use launcher::core::time::Moment;

use crate::generation::Generation;
use crate::watch::{REPORT, SLACK, Watch};

impl Watch {
    /// It is set otherwise: what runs takes that over, or what comes next.
    pub fn renew(&mut self, now: Moment, settings: &Arc<ServiceSettings>, anew: bool) {
        self.renewed = true;
        self.renewed_at_rest |= self.state.is_at_rest();
        if self.live.is_none() {
            // Another breaker has not opened yet.
            self.open_until = self.open_until.filter(|_| self.breaker == settings.restart.breaker);
            self.breaker = settings.restart.breaker;
        }
        // What was to come next, and may have been given up, does not matter for what runs.
        let as_it_runs = !is_anew(&self.settings, settings);
        let goes_on = |live: &Generation| !anew && live.has_begun() && as_it_runs;
        if self.live.as_ref().is_none_or(goes_on) {
            let limit = self.settings.signals.hold_limit.max(settings.signals.hold_limit);
            self.hold_limit = self.stops.map(|_| limit);
            (self.settings, self.next) = (Arc::clone(settings), None);
            // Who is looked at before it is told to stop has as long as is set by then.
            let stop_timeout = self.stop_timeout();
            if let Some(live) = self.live.as_mut().filter(|live| !live.told) {
                live.kill_by = live.kill_by.map(|at| at.max(now + stop_timeout + REPORT + SLACK));
            }
        } else {
            self.next = Some(Arc::clone(settings));
        }
    }

    /// How long it has from being told to stop to its end.
    pub fn stop_timeout(&self) -> Duration {
        if self.leaves { self.settings.drain_timeout } else { self.settings.stop_timeout }
    }
}
