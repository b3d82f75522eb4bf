//! What the judge knows of one generation.

use std::time::Duration;

use launcher::core::notify::{Message, WatchdogPing};
use launcher::core::time::Moment;

use crate::watch::{REPORT, SLACK};

/// What is known of the live generation.
#[derive(Default)]
pub struct Generation {
    pub number: u64,
    pub passed: bool,
    pub spawn: bool,
    pub spawned: bool,
    pub exited: bool,
    /// No process of it is left: emptied, or never started.
    pub gone: Option<Moment>,
    pub ready: bool,
    pub ready_at: Option<Moment>,
    /// It is the one that an open breaker allows.
    pub trial: bool,
    /// It comes up no more: it is stopping, or being explained.
    pub down: bool,
    /// It ended by itself.
    pub resting: bool,
    /// It was sent a signal while it was stopping.
    pub told: bool,
    pub killed: bool,
    pub reports: u32,
    /// It has to have a report.
    pub failed: bool,
    pub ports_released: bool,
    pub probing: bool,
    pub probed: bool,
    pub start_deadline: Option<Moment>,
    pub watchdog: Option<Moment>,
    pub period: Option<Duration>,
    pub winding_down: bool,
    /// Then it must have been killed, or be gone.
    pub kill_by: Option<Moment>,
}

impl Generation {
    pub fn runs(&self) -> bool {
        self.spawned && !self.exited && self.gone.is_none()
    }

    pub fn up(&self) -> bool {
        !self.down && !self.exited && self.gone.is_none()
    }

    pub fn arm(&mut self, now: Moment) {
        if self.ready && self.up() && !self.winding_down {
            self.watchdog = self.period.map(|period| now + period);
        }
    }

    pub fn listen_to(&mut self, now: Moment, message: &Message, excused: bool) {
        if let Some(period) = message.watchdog_period {
            self.period = Some(period).filter(|period| !period.is_zero() && *period < Duration::from_secs(1_000_000));
            self.arm(now);
        }
        if let Some(by) = message.extend_timeout {
            self.start_deadline = self.start_deadline.map(|at| at.max(now + by)).filter(|_| !self.ready);
            self.kill_by = self.kill_by.map(|at| at.max(now + by + REPORT + SLACK));
        }
        if message.stopping {
            self.winding_down = true;
            self.watchdog = None;
        }
        match message.watchdog {
            Some(WatchdogPing::Alive) => self.arm(now),
            Some(WatchdogPing::Trigger) => self.failed |= self.spawn && self.up() && !excused,
            None => {}
        }
    }
}
