//! The launcher's terminal, when a service runs on it interactively (`-i`): who has the foreground, and the modes.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use tracing::debug;

use crate::sys::terminal::{self, Modes};

/// The controlling terminal and how it is to be found by whoever has it after the service.
pub struct Console {
    terminal: OwnedFd,
    modes: Option<Modes>,
    /// The modes of a stopped service, for when it goes on.
    stopped_modes: Option<Modes>,
    /// Whether a service has the foreground from the launcher, who has to take it back.
    lent: bool,
}

impl Console {
    /// The launcher's controlling terminal, if it has one.
    pub fn open() -> Option<Console> {
        let terminal = terminal::controlling()?;
        let modes = terminal::modes(terminal.as_fd()).ok();
        Some(Console { terminal, modes, stopped_modes: None, lent: false })
    }

    /// A service is about to be started, which takes the foreground if the launcher has it. A launcher in the
    /// background has nothing to give: the terminal is its shell's.
    pub fn lend(&mut self) {
        self.lent = self.has_foreground();
    }

    /// The service has ended. What it has made of the terminal's modes stays when it ended in order; one that was
    /// killed may have left it raw.
    pub fn take_back(&mut self, in_order: bool) {
        if !std::mem::take(&mut self.lent) {
            return;
        }
        self.set_foreground(terminal::own_group());
        if in_order {
            self.modes = self.current_modes();
        } else {
            self.set_modes(self.modes);
        }
    }

    /// The service was stopped: the launcher has the foreground and its modes, as far as it had given them away.
    pub fn suspend(&mut self) {
        if self.lent {
            self.stopped_modes = self.current_modes();
            self.take_back(false);
        }
    }

    /// This process group has the foreground again, and its modes, if the launcher has it to give.
    pub fn resume(&mut self, group: i32) {
        self.lend();
        let modes = self.stopped_modes.take();
        if self.lent {
            self.set_modes(modes);
            self.set_foreground(group);
        }
    }

    /// Comes back when the launcher's own process group has the foreground; the kernel stops it as long as another has.
    ///
    /// # Errors
    /// Where nobody could continue the launcher.
    pub fn await_foreground(&self) -> io::Result<()> {
        terminal::await_foreground(self.terminal.as_fd())
    }

    /// Whether the launcher's own process group has the foreground.
    fn has_foreground(&self) -> bool {
        terminal::foreground_group(self.terminal.as_fd()).is_ok_and(|group| group == terminal::own_group())
    }

    fn current_modes(&self) -> Option<Modes> {
        terminal::modes(self.terminal.as_fd()).ok()
    }

    fn set_modes(&self, modes: Option<Modes>) {
        if let Some(modes) = &modes
            && let Err(problem) = terminal::set_modes(self.terminal.as_fd(), modes)
        {
            debug!("the terminal's modes could not be restored: {problem}");
        }
    }

    fn set_foreground(&self, group: i32) {
        if let Err(problem) = terminal::set_foreground_group(self.terminal.as_fd(), group) {
            debug!("the terminal's foreground could not be given to process group {group}: {problem}");
        }
    }
}
