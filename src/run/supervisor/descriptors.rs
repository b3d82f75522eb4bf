//! What comes along with a notification: descriptors to be kept, and the process that a MAINPID= or MAINPIDFD= means.

use std::os::fd::{AsFd as _, OwnedFd};

use tracing::warn;

use crate::core::fleet::ServiceId;
use crate::core::notify::{Attached, Message};
use crate::core::service::Generation;
use crate::sys::fd;

use super::Supervisor;
use super::slot::{Live, Slot};

/// What came with a message. A pidfd is taken out of the descriptors.
pub fn attached(live: &Live, message: &Message, fds: &mut Vec<OwnedFd>) -> Attached {
    let pid = if message.main_pidfd {
        // With more than one it is not known which, and systemd does not hear it either.
        let pidfd = if fds.len() == 1 { fds.pop() } else { None };
        pidfd.and_then(|pidfd| fd::pid_of_pidfd(pidfd.as_fd()))
    } else {
        let is_meant = |pid: &i32| {
            // Where the kernel does not tell this number, what is left is the pid.
            message.main_pidfd_id.is_none_or(|meant| fd::pidfd_id(*pid).is_none_or(|id| id == meant))
        };
        message.main_pid.filter(is_meant)
    };
    Attached { main: pid.map(|pid| (pid, live.keeper.is_member(pid))), descriptors: fds.len() }
}

impl Supervisor {
    /// Keeps the descriptors of the message that is being handled.
    pub(super) fn store(&mut self, id: ServiceId, generation: Generation, name: &str, watched: bool) {
        let slot = &mut self.slots[id.0];
        if slot.live(generation).is_none() {
            return;
        }
        let fds = std::mem::take(&mut slot.received);
        let refused = slot.store.keep(fds, name, watched, |a, b| fd::is_same(a.as_fd(), b.as_fd()));
        if refused > 0 {
            let (service, most) = (&slot.settings.name, slot.settings.notify.fd_store);
            warn!(service, "{service} has given {refused} descriptors more to keep than fd_store = {most}: closed");
        }
    }
}

/// Everything that is passed to the next generation, with its names: sockets first, then what was stored. What has
/// ended since it was stored is dropped.
pub fn to_pass(slot: &mut Slot) -> Vec<(String, std::os::fd::RawFd)> {
    use std::os::fd::AsRawFd as _;
    slot.store.forget_ended(|stored| fd::has_ended(stored.as_fd()));
    let sockets = slot.ports.passed();
    let stored = slot.store.iter().map(|(name, stored)| (name, stored.as_raw_fd()));
    sockets.into_iter().chain(stored).map(|(name, fd)| (name.to_owned(), fd)).collect()
}
