//! What is set about the notify socket of a service (`sd_notify(3)`).

use std::path::PathBuf;

use crate::core::signal::Signal;

/// The keys of `[service.NAME]` about what a service says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifySettings {
    /// Who of the service is heard.
    pub access: NotifyAccess,
    /// Where the socket is.
    pub socket: NotifyPlace,
    /// How many descriptors are kept for the next generation (`FDSTORE=1`) at most.
    pub fd_store: usize,
    /// What the main process is sent when it missed its watchdog.
    pub watchdog_signal: Signal,
}

impl Default for NotifySettings {
    fn default() -> NotifySettings {
        NotifySettings {
            access: NotifyAccess::All,
            socket: NotifyPlace::Usual,
            fd_store: 64,
            watchdog_signal: Signal::ABRT,
        }
    }
}

/// Where the notify socket of a service is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NotifyPlace {
    /// At a path of its own for each generation where the service is ready by what it says there and a folder can be made
    /// for that: some clients know nothing but paths. Else in the abstract namespace, which costs less.
    #[default]
    Usual,
    /// In the abstract namespace, which a service in a network namespace of its own does not reach.
    Abstract,
    /// At this path.
    At(PathBuf),
}

/// Whose messages are heard (`NotifyAccess=`, `systemd.service(5)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NotifyAccess {
    /// Nobody's: there is no notify socket.
    None,
    /// The main process's.
    Main,
    /// The main process's, and those of commands that launcher itself runs for the service.
    Exec,
    /// Those of every process of the service.
    #[default]
    All,
}

impl NotifyAccess {
    /// All of them, by the names they have in a file and in `NOTIFYACCESS=`.
    pub const NAMES: [(&'static str, NotifyAccess); 4] = [
        ("none", NotifyAccess::None),
        ("main", NotifyAccess::Main),
        ("exec", NotifyAccess::Exec),
        ("all", NotifyAccess::All),
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        NotifyAccess::NAMES.iter().find(|(_, access)| *access == self).map_or("all", |(name, _)| name)
    }
}
