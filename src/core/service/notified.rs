//! What the processes of a service say on the notify socket (`sd_notify(3)`).

use std::time::Duration;

use crate::core::notify::{Message, WatchdogPing};

use super::deadlines::Deadline;
use super::live::Main;
use super::{Action, Sender, Service, Transition, Turn};

/// `WATCHDOG_USEC=` and `EXTEND_TIMEOUT_USEC=` at or above this mean for ever: systemd writes the largest u64.
const FOR_EVER: Duration = Duration::from_micros(u64::MAX);

impl Service {
    /// One message. Every process of the service may speak; a stranger is not heard.
    pub(super) fn on_notified(&mut self, turn: &mut Turn, sender: Sender, message: Message) {
        if self.live.as_ref().is_none_or(|live| live.main == Main::Absent) {
            return;
        }
        if let Sender::Stranger(pid) = sender {
            return self.ignore_stranger(turn, pid);
        }
        if let Some(status) = message.status {
            self.on_status(turn, status);
        }
        if let Some(pid) = message.main_pid {
            self.on_main_pid(turn, pid);
        }
        if let Some(period) = message.watchdog_period {
            self.on_watchdog_period(turn, period);
        }
        if let Some(by) = message.extend_timeout {
            self.on_extension(turn, by);
        }
        if message.stopping {
            self.on_stopping();
        }
        if message.reloading {
            self.on_reloading();
        }
        if message.ready {
            self.on_ready_message(turn);
        }
        match message.watchdog {
            Some(WatchdogPing::Alive) => self.arm_watchdog(turn),
            Some(WatchdogPing::Trigger) => self.on_watchdog_missed(turn),
            None => {}
        }
    }

    /// The watchdog runs, from now on for one period, as long as the service is ready.
    pub(super) fn arm_watchdog(&mut self, turn: &Turn) {
        let Some(live) = self.live.as_ref().filter(|live| live.is_watched()) else { return };
        match live.watchdog {
            Some(period) => self.deadlines.set(Deadline::Watchdog, turn.now + period),
            None => self.deadlines.clear(&[Deadline::Watchdog]),
        }
    }

    fn ignore_stranger(&mut self, turn: &mut Turn, pid: i32) {
        let Some(live) = &mut self.live else { return };
        if live.stranger.replace(pid) != Some(pid) {
            turn.tell(Transition::StrangerIgnored { pid });
        }
    }

    fn on_status(&mut self, turn: &mut Turn, status: String) {
        if self.status.as_deref().unwrap_or_default() != status {
            self.status = Some(status.clone());
            turn.tell(Transition::Status(status));
        }
    }

    /// MAINPID=: that process is the main one, as soon as the first one is known to run.
    fn on_main_pid(&mut self, turn: &mut Turn, pid: i32) {
        let Some(live) = self.live.as_mut().filter(|live| pid > 0 && live.pid != Some(pid)) else { return };
        match live.main {
            Main::Spawning => live.pid = Some(pid),
            Main::Running => {
                live.pid = Some(pid);
                turn.act(Action::FollowMain(live.generation, pid));
                // What the one before it handled says nothing of this one.
                self.signals.forget_handlers();
            }
            Main::Absent | Main::Gone => {}
        }
    }

    fn on_watchdog_period(&mut self, turn: &Turn, period: Duration) {
        let Some(live) = &mut self.live else { return };
        live.watchdog = Some(period).filter(|period| !period.is_zero() && *period < FOR_EVER);
        self.arm_watchdog(turn);
    }

    /// EXTEND_TIMEOUT_USEC=: the deadline of what goes on now comes no earlier than after this long. What the launcher
    /// as a whole may take to stop stays as it is.
    fn on_extension(&mut self, turn: &Turn, by: Duration) {
        let Some(live) = &self.live else { return };
        let to = turn.now + by;
        self.deadlines.extend(Deadline::Start, to);
        self.deadlines.extend(Deadline::Stop, live.budget.map_or(to, |budget| to.min(budget.stop)));
    }

    /// STOPPING=1: it goes down by itself. It stays where it is until it has ended, and that is judged as any other
    /// ending; only its watchdog may be silent from now on.
    fn on_stopping(&mut self) {
        let Some(live) = &mut self.live else { return };
        live.winding_down = true;
        self.deadlines.clear(&[Deadline::Watchdog]);
    }

    fn on_reloading(&mut self) {
        let Some(live) = self.live.as_mut().filter(|live| live.ready) else { return };
        live.reloading = true;
    }

    fn on_ready_message(&mut self, turn: &mut Turn) {
        let Some(live) = &mut self.live else { return };
        live.reloading = false;
        match live.main {
            Main::Spawning => live.said_ready |= self.criteria.message,
            Main::Running if self.criteria.message => self.become_ready(turn),
            Main::Absent | Main::Running | Main::Gone => {}
        }
    }
}
