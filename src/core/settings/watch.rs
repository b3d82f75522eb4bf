//! Which files are watched while a service is developed, and what is done when they change.

use std::path::PathBuf;

use crate::core::signal::Signal;

/// What a service is watched by; nothing when there is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WatchSettings {
    /// The folder that patterns are seen from.
    pub folder: PathBuf,
    /// Patterns of files; one that begins with `!` takes files out again.
    pub patterns: Vec<String>,
    /// What is done when one of them has changed.
    pub on_change: OnChange,
}

impl WatchSettings {
    /// Whether anything is watched.
    pub fn is_on(&self) -> bool {
        !self.patterns.is_empty()
    }
}

/// What is done when files have changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OnChange {
    /// The service is restarted.
    #[default]
    Restart,
    /// Its main process is sent this signal.
    Signal(Signal),
    /// A command is run; when it ends well the service is restarted, unless that is not wanted.
    Exec {
        /// The program and its arguments; never empty.
        command: Vec<String>,
        /// Whether the service is restarted then.
        restart: bool,
    },
}
