//! The process that started the launcher, whose end stops everything where that is asked for (`stop_with_parent`).

use std::rc::Rc;

use tracing::{debug, info, warn};

use crate::core::fleet::FleetEvent;
use crate::core::signal::Signal;
use crate::sys::pidfd::{Parent, Process};
use crate::sys::procfs;

use super::Supervisor;
use super::inbox::{Happening, Task, watch};

/// A parent whose end is waited for.
pub struct Watched {
    pid: i32,
    /// Its command, as the kernel has it.
    name: Option<String>,
    _watch: Task,
}

impl Supervisor {
    /// Begins to wait for the end of the parent, if that is asked for. One that ends meanwhile stops everything at once.
    pub(super) fn watch_parent(&mut self) {
        if !self.settings.launcher.stop_with_parent {
            return;
        }
        let watched = Parent::of_this_process().and_then(|parent| match parent {
            Parent::There(process) => self.watched(process).map(Some),
            Parent::Ended(pid) => {
                self.stop_for_parent(pid, None);
                Ok(None)
            }
            Parent::Unseen => {
                warn!(
                    event = "no-parent",
                    "stop_with_parent does nothing here: launcher has no parent that it could see, being the first process \
                     of its pid namespace, or started from outside of it"
                );
                Ok(None)
            }
        });
        match watched {
            Ok(watched) => self.parent = watched,
            Err(problem) => warn!(
                event = "no-parent",
                "the process that started launcher cannot be watched ({problem}): its end will not stop anything"
            ),
        }
    }

    fn watched(&self, process: Process) -> std::io::Result<Watched> {
        let pid = process.pid();
        let watch = watch(Rc::new(process), Process::fd, self.outbox.clone(), || Happening::ParentEnded)?;
        // Its own even now: whoever has the pid after it would be another one.
        let name = procfs::Stat::of(pid).map(|stat| stat.name);
        Ok(Watched { pid, name, _watch: watch })
    }

    /// The parent has ended.
    pub(super) fn parent_ended(&mut self) {
        if let Some(Watched { pid, name, .. }) = self.parent.take() {
            self.stop_for_parent(pid, name);
        }
    }

    fn stop_for_parent(&mut self, pid: i32, name: Option<String>) {
        let name = name.map(|name| format!(", {name}")).unwrap_or_default();
        let told = format!("the process that started launcher (pid {pid}{name}) has ended");
        if self.fleet.is_going_down() {
            debug!(event = "parent-ended", pid, "{told}, too");
        } else {
            info!(event = "parent-ended", pid, "{told}: stopping");
        }
        self.trial_interrupted(Signal::TERM);
        self.feed(FleetEvent::ParentEnded);
    }
}
