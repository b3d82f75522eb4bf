//! What the processes of a service say on the notify socket (`sd_notify(3)`).

use std::time::Duration;

use crate::core::errno;
use crate::core::fd_store::UNNAMED;
use crate::core::notify::{Message, WatchdogPing};
use crate::core::settings::NotifyAccess;

use super::deadlines::Deadline;
use super::live::Main;
use super::{Action, Sender, Service, Transition, Turn};

/// `WATCHDOG_USEC=` and `EXTEND_TIMEOUT_USEC=` at or above this mean for ever: systemd writes the largest u64.
const FOR_EVER: Duration = Duration::from_micros(u64::MAX);

impl Service {
    /// Whether it has said RELOADING=1 and not yet READY=1 again.
    pub fn is_reloading(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.reloading)
    }

    /// When the reload that goes on began, on `CLOCK_MONOTONIC`, if it said so (MONOTONIC_USEC=).
    pub fn reload_began(&self) -> Option<Duration> {
        self.live.as_ref().filter(|live| live.reloading).and_then(|live| live.reload_began)
    }

    /// Whether its current generation has said READY=1 on the notify socket.
    pub fn speaks(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.spoke)
    }

    /// One message. Who of the service may speak is set by `notify_access`; a stranger is never heard.
    pub(super) fn on_notified(&mut self, turn: &mut Turn, sender: Sender, message: Message) {
        if self.live.as_ref().is_none_or(|live| live.main == Main::Absent) {
            return;
        }
        if let Sender::Stranger(pid) = sender {
            return self.ignore_stranger(turn, pid);
        }
        if !self.is_heard(turn, sender) {
            return;
        }
        self.on_descriptors(turn, &message);
        self.on_trouble(turn, &message);
        if let Some(status) = message.status {
            self.on_status(turn, status);
        }
        if let Some((pid, belongs)) = message.attached.main {
            self.on_main_pid(turn, pid, belongs);
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
            self.on_reloading(message.monotonic);
        }
        if message.ready {
            self.on_ready_message(turn);
        }
        match message.watchdog {
            Some(WatchdogPing::Alive) => self.arm_watchdog(turn),
            Some(WatchdogPing::Trigger) => self.on_watchdog_missed(turn),
            None => {}
        }
        if let (Some(access), Some(live)) = (message.access, &mut self.live) {
            live.access = access;
        }
    }

    /// Whether this process of the service may speak. There are no commands of the launcher's own that could speak for
    /// it, so that `exec` is `main`.
    fn is_heard(&mut self, turn: &mut Turn, sender: Sender) -> bool {
        let Some(live) = &mut self.live else { return false };
        let (pid, heard) = match sender {
            Sender::Main(pid) => (pid, live.access != NotifyAccess::None),
            Sender::Member(pid) => (pid, live.access == NotifyAccess::All),
            Sender::Stranger(pid) => (pid, false),
        };
        if !heard && live.stranger.replace(pid) != Some(pid) {
            turn.tell(Transition::SenderRefused { pid, access: live.access });
        }
        heard
    }

    /// FDSTOREREMOVE=1 and FDSTORE=1. The first counts when both are there, as systemd has it; without a name it means
    /// nothing.
    fn on_descriptors(&mut self, turn: &mut Turn, message: &Message) {
        let Some(live) = &self.live else { return };
        let generation = live.generation;
        if message.unstore {
            if let Some(name) = message.fd_name.clone().filter(|_| self.stores) {
                turn.act(Action::ForgetDescriptors(generation, name));
            }
        } else if message.store && message.attached.descriptors > 0 {
            self.stores = true;
            let name = message.fd_name.clone().unwrap_or_else(|| UNNAMED.to_owned());
            turn.act(Action::StoreDescriptors { generation, name, watched: !message.unwatched });
        }
    }

    /// ERRNO=, BUSERROR= and EXIT_STATUS= are for people: they change nothing.
    fn on_trouble(&self, turn: &mut Turn, message: &Message) {
        if let Some(errno) = message.errno.filter(|errno| *errno > 0) {
            turn.tell(Transition::Trouble(format!("ERRNO={errno}: {}", errno::describe(errno))));
        }
        if let Some(error) = &message.bus_error {
            turn.tell(Transition::Trouble(format!("BUSERROR={error}")));
        }
        if let Some(status) = message.exit_status {
            turn.tell(Transition::Trouble(format!("EXIT_STATUS={status}")));
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

    /// MAINPID= or MAINPIDFD=: that process is the main one, as soon as the first one is known to run. It has to be one
    /// of the service: nobody may have the launcher wait for, and signal, a stranger.
    fn on_main_pid(&mut self, turn: &mut Turn, pid: i32, belongs: bool) {
        if !belongs {
            return turn.tell(Transition::MainPidRefused { pid });
        }
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

    fn on_reloading(&mut self, began: Option<Duration>) {
        let Some(live) = self.live.as_mut().filter(|live| live.ready) else { return };
        live.reloading = true;
        live.reload_began = began;
    }

    fn on_ready_message(&mut self, turn: &mut Turn) {
        let Some(live) = &mut self.live else { return };
        live.spoke = true;
        live.reloading = false;
        match live.main {
            Main::Spawning => live.said_ready |= self.criteria.message,
            Main::Running if self.criteria.message => self.become_ready(turn),
            Main::Absent | Main::Running | Main::Gone => {}
        }
    }
}
