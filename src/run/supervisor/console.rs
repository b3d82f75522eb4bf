//! The launcher's terminal, when a service runs on it interactively (`-i`): who has the foreground.

use std::os::fd::{AsFd as _, OwnedFd};

use tracing::debug;

use crate::sys::terminal::{self, Modes};

/// The controlling terminal and how it was when the launcher started.
pub struct Console {
    terminal: OwnedFd,
    modes: Option<Modes>,
}

impl Console {
    /// The launcher's controlling terminal, if it has one.
    pub fn open() -> Option<Console> {
        let terminal = terminal::controlling()?;
        let modes = terminal::modes(terminal.as_fd()).ok();
        Some(Console { terminal, modes })
    }

    /// The launcher has the foreground again, and the terminal its modes: a killed program may have left it raw.
    pub fn take_back(&self) {
        self.set_foreground(terminal::own_group());
        if let Some(modes) = &self.modes
            && let Err(problem) = terminal::set_modes(self.terminal.as_fd(), modes)
        {
            debug!("the terminal's modes could not be restored: {problem}");
        }
    }

    /// This process group has the foreground.
    pub fn give_to(&self, group: i32) {
        self.set_foreground(group);
    }

    fn set_foreground(&self, group: i32) {
        if let Err(problem) = terminal::set_foreground_group(self.terminal.as_fd(), group) {
            debug!("the terminal's foreground could not be given to process group {group}: {problem}");
        }
    }
}
