//! The service manager above: what is said to it, and the sockets that it passed.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tracing::{debug, info, warn};

use crate::core::above::Above;
use crate::core::fleet::{Fleet, ServiceId};
use crate::core::inherited::{Heir, Inherited, heirs};
use crate::core::settings::Settings;
use crate::core::time::Moment;
use crate::sys::notify_socket::Client;

use super::slot::Slot;

/// When a message that found no room is sent again.
const AGAIN: Duration = Duration::from_millis(50);
/// How many of them are kept: a manager that takes none for so long is gone, or hangs itself.
const MOST_UNSENT: usize = 32;

/// The conversation with a service manager, if there is one.
pub struct Manager {
    conversation: Option<(Client, Above)>,
    unsent: VecDeque<String>,
    retry: Option<Moment>,
}

impl Manager {
    /// There is none to talk to.
    pub fn none() -> Manager {
        Manager { conversation: None, unsent: VecDeque::new(), retry: None }
    }

    /// The manager that the variables of the environment name.
    pub fn from_environment() -> Manager {
        let address: Option<OsString> = std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty());
        let client = address.and_then(|address| match Client::new(&address) {
            Ok(client) => Some(client),
            Err(problem) => {
                let address = address.to_string_lossy();
                warn!("NOTIFY_SOCKET={address} was inherited and cannot be used: {problem}");
                None
            }
        });
        let conversation = client.map(|client| (client, Above::new(watchdog())));
        Manager { conversation, unsent: VecDeque::new(), retry: None }
    }

    /// Whether there is one to talk to.
    pub fn is_there(&self) -> bool {
        self.conversation.is_some()
    }

    /// Says what has changed.
    pub fn look(&mut self, now: Moment, fleet: &Fleet) {
        let Some((client, above)) = &mut self.conversation else { return };
        self.unsent.extend(above.look(now, fleet));
        self.retry = None;
        while let Some(message) = self.unsent.front() {
            match client.send(message.as_bytes()) {
                Ok(()) => {}
                Err(problem) if problem.kind() == io::ErrorKind::WouldBlock && self.unsent.len() <= MOST_UNSENT => {
                    self.retry = Some(now + AGAIN);
                    return;
                }
                Err(problem) => debug!("the service manager could not be told: {problem}"),
            }
            self.unsent.pop_front();
        }
    }

    /// When [`Manager::look`] is to be called though nothing has happened.
    pub fn next_deadline(&self) -> Option<Moment> {
        let own = self.conversation.as_ref().and_then(|(_, above)| above.next_deadline());
        [own, self.retry].into_iter().flatten().min()
    }

    /// A HUP is passed on to the services.
    pub fn reload_asked(&mut self, now: Moment) {
        if let Some((_, above)) = &mut self.conversation {
            above.reload_asked(now);
        }
    }

    /// What was found out about a failed generation.
    pub fn explained(&mut self, id: ServiceId, verdict: &str) {
        if let Some((_, above)) = &mut self.conversation {
            above.explained(id, verdict);
        }
    }
}

/// How often the manager wants to hear from this process (`sd_watchdog_enabled(3)`).
fn watchdog() -> Option<Duration> {
    let meant = std::env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string());
    let period = std::env::var("WATCHDOG_USEC").ok().filter(|_| meant)?.parse().ok()?;
    Some(Duration::from_micros(period)).filter(|period| !period.is_zero())
}

/// Gives each inherited socket to the service it is for, and closes those that are for nobody.
pub fn hand_down(inherited: Vec<(Inherited, OwnedFd)>, settings: &Settings, slots: &mut [Slot]) {
    let (sockets, fds): (Vec<_>, Vec<_>) = inherited.into_iter().unzip();
    let heirs = heirs(&sockets, &settings.services, settings.single_command);
    for ((socket, fd), heir) in sockets.into_iter().zip(fds).zip(heirs) {
        let name = &socket.name;
        let address = socket.listen.as_ref().map(|listen| format!(" ({listen})")).unwrap_or_default();
        let slot = match heir {
            Heir::Port(index, _) | Heir::Service(index) => slots.get_mut(index),
            Heir::Nobody => None,
        };
        match (heir, slot) {
            (Heir::Port(_, place), Some(slot)) => slot.ports.inherit(place, socket.listen.clone(), fd),
            (Heir::Service(_), Some(slot)) => slot.ports.pass_on(socket.name.clone(), fd),
            _ => {
                let hint = "declare a port of this name with mode = \"pass\"";
                warn!("the socket {name:?}{address} that launcher was passed is for no service and is closed; {hint}");
                continue;
            }
        }
        info!(event = "socket-inherited", "the socket {name:?}{address} was passed from above");
    }
}
