//! Groups of services whose limits a cgroup keeps.

use tracing::warn;

use crate::core::exec_words::{self, GroupDenied};
use crate::core::facts::{ExecFailure, MemoryFacts};
use crate::core::service::Generation;
use crate::core::settings::{GroupLimits, ServiceSettings, Settings};
use crate::sys::cgroup::{Cgroup, Delegated};
use crate::sys::memory;

use super::slot::Live;

/// Where groups of services are made, and why some cannot be.
pub struct Groups {
    delegated: Option<Delegated>,
    denied: Option<GroupDenied>,
}

impl Groups {
    /// Makes the launcher's own group ready for those of its services, before anything is started in it. Limits that
    /// cannot be kept are told; the services run without them. Nothing is touched when no service has any.
    pub fn prepare(settings: &Settings) -> Groups {
        let controllers = GroupLimits::controllers_of(&settings.services);
        if controllers.is_empty() {
            return Groups { delegated: None, denied: None };
        }
        // The launcher is about to move: what limits it as a whole is found from where it is now.
        let _ = memory::of_own_cgroup();
        let (delegated, denied) = Delegated::prepare(&controllers);
        if let Some(denied) = &denied {
            tell(denied, settings.services.iter());
        }
        if let Some(folder) = delegated.as_ref().and_then(Delegated::launcher) {
            memory::count_kills_in(&folder);
        }
        Groups { delegated, denied }
    }

    /// These services are new, or set otherwise: limits of theirs that cannot be kept are told.
    pub fn renew<'s>(&mut self, services: impl Iterator<Item = &'s ServiceSettings> + Clone) {
        let given = self.delegated.as_ref().map(Delegated::controllers).unwrap_or_default();
        let mut wanted = GroupLimits::controllers_of(services.clone());
        wanted.retain(|controller| !given.contains(controller));
        if wanted.is_empty() {
            return;
        }
        let denied = match (&mut self.delegated, &self.denied) {
            (Some(delegated), _) => delegated.add(&wanted),
            (None, Some(denied)) => Some(denied.clone()),
            (None, None) => Some(GroupDenied::TooLate),
        };
        if let Some(denied) = &denied {
            tell(denied, services);
        }
    }

    /// The limits of a service that a group keeps here.
    pub fn kept(&self, service: &ServiceSettings) -> GroupLimits {
        let limits = &service.process.group_limits;
        self.delegated.as_ref().map(|delegated| limits.kept_by(delegated.controllers())).unwrap_or_default()
    }

    /// The group of a generation, with its limits in force; `None` when it has none.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn make(
        &self,
        service: &ServiceSettings,
        limits: GroupLimits,
        generation: Generation,
    ) -> Result<Option<Cgroup>, ExecFailure> {
        let Some(delegated) = self.delegated.as_ref().filter(|_| limits.any()) else { return Ok(None) };
        let name = format!("{}-g{}-{}", service.name, generation.0, std::process::id());
        let program = service.command.first().map(|program| program.to_string_lossy()).unwrap_or_default();
        let made = delegated.create(&name, &limits.files());
        made.map(Some).map_err(|denied| exec_words::group_denied(&denied, &limits, &program))
    }

    /// The launcher ends: it goes back to where it was.
    pub fn close(&mut self) {
        self.delegated = None;
    }
}

fn tell<'s>(denied: &GroupDenied, services: impl Iterator<Item = &'s ServiceSettings>) {
    let services = services.map(|service| (service.name.as_str(), &service.process.group_limits));
    if let Some(line) = exec_words::not_kept(denied, services) {
        warn!(event = "limits-not-kept", "{line}");
    }
}

/// What the memory controller says of a generation's own group; `None` where it has none. The tighter limit is the one
/// that counts: its own, or the launcher's.
pub fn memory(live: &Live) -> Option<MemoryFacts> {
    let mut facts = live.keeper.cgroup().and_then(|group| memory::of_cgroup(group.directory()))?;
    let launchers = memory::of_own_cgroup().and_then(|memory| memory.limit);
    let own = facts.limit;
    facts.limit = [own, launchers].into_iter().flatten().min();
    facts.own = facts.limit.is_some() && facts.limit == own;
    Some(facts)
}
