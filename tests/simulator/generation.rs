//! What the judge knows of one generation.

use std::collections::BTreeSet;
use std::time::Duration;

use launcher::core::notify::{Message, WatchdogPing};
use launcher::core::service::Sender;
use launcher::core::settings::NotifyAccess;
use launcher::core::settings::ServiceSettings;
use launcher::core::time::Moment;

use crate::watch::{REPORT, SLACK};

/// What is known of the live generation.
#[derive(Default)]
pub struct Generation {
    pub number: u64,
    /// Since when its preflight has passed.
    pub passed: Option<Moment>,
    /// Requirements that are being tried, and those that have answered.
    pub tries: BTreeSet<usize>,
    pub met: BTreeSet<usize>,
    pub requiring: bool,
    pub spawn: bool,
    pub spawned: bool,
    pub exited: bool,
    /// No process of it is left: emptied, or never started.
    pub gone: Option<Moment>,
    pub ready: bool,
    /// When it has been ready for long enough.
    pub proven_at: Option<Moment>,
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
    /// When it was spawned, whether it is looked at for progress, and when it was last seen to get on.
    pub spawned_at: Option<Moment>,
    pub looked_at: bool,
    pub got_on: Option<Moment>,
    pub watchdog: Option<Moment>,
    pub period: Option<Duration>,
    pub winding_down: bool,
    /// Who is heard.
    pub access: NotifyAccess,
    /// Then it must have been killed, or be gone.
    pub kill_by: Option<Moment>,
}

impl Generation {
    pub fn runs(&self) -> bool {
        self.spawned && !self.exited && self.gone.is_none()
    }

    /// Whether it has come beyond its check and its requirements, or is over.
    pub fn has_begun(&self) -> bool {
        self.spawn || self.gone.is_some()
    }

    pub fn up(&self) -> bool {
        !self.down && !self.exited && self.gone.is_none()
    }

    /// When the first requirement that has not answered must have.
    pub fn required_by(&self, settings: &ServiceSettings) -> Option<Moment> {
        let began = self.passed?;
        let missing = settings.requirements.iter().enumerate().filter(|(index, _)| !self.met.contains(index));
        let limit = missing.map(|(_, of)| settings.require_timeout.unwrap_or(of.timeout).min(of.timeout)).min();
        limit.map(|limit| began + limit)
    }

    /// A requirement was tried. What is heard for the second time says nothing.
    pub fn tried(&mut self, now: Moment, index: usize, answers: bool, settings: &ServiceSettings) {
        if self.tries.remove(&index) {
            self.met.extend(answers.then_some(index));
            self.require(now, settings);
        }
    }

    /// A requirement that is not met by its deadline is a failure, of a generation that then is over.
    pub fn require(&mut self, now: Moment, settings: &ServiceSettings) {
        let missed = self.required_by(settings).is_some_and(|by| by <= now);
        if missed && !self.spawn && self.gone.is_none() {
            self.gone = Some(now);
            self.failed = true;
        }
    }

    /// Its start deadline has come, or has not: it moves as far as what was seen last allows, or is missed.
    pub fn miss_start(&mut self, now: Moment, settings: &ServiceSettings) {
        if self.ready || self.start_deadline.is_none_or(|deadline| deadline > now) {
            return;
        }
        let most = self.spawned_at.zip(settings.extend_while_progressing).map(|(at, most)| at + most);
        let until = self.got_on.zip(most).map(|(at, most)| most.min(at + settings.start_timeout));
        match until.filter(|until| *until > now) {
            Some(until) => self.start_deadline = Some(until),
            None => self.failed = true,
        }
    }

    pub fn arm(&mut self, now: Moment) {
        if self.ready && self.up() && !self.winding_down {
            self.watchdog = self.period.map(|period| now + period);
        }
    }

    /// Whether this sender may speak for it.
    pub fn hears(&self, sender: Sender) -> bool {
        match sender {
            Sender::Main(_) => self.access != NotifyAccess::None,
            Sender::Member(_) => self.access == NotifyAccess::All,
            Sender::Stranger(_) => false,
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
        // It is heard from its spawn on.
        self.access = message.access.filter(|_| self.spawn).unwrap_or(self.access);
    }
}
