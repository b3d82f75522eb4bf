//! What those who ask are told of the order.

use super::{Fleet, Member, ServiceId};
use crate::core::service::{OutcomeCause, Service};

impl Fleet {
    /// Whether the launcher stays though nothing runs: a person has stopped a service of a launcher.toml, and may start it
    /// again. One that has failed for good is another matter: whoever looks after the launcher is to see that.
    pub(super) fn stays(&self) -> bool {
        let stopped = |member: &Member| {
            let outcome = member.service.outcome();
            outcome.is_some_and(|outcome| outcome.cause == OutcomeCause::Requested)
                && member.stopped_for.is_none()
                && !member.removed
        };
        !self.single_command
            && self.going_down.is_none()
            && self.failed_for_good.is_none()
            && self.members.iter().any(stopped)
    }

    /// What this service still waits for before it is started.
    pub fn awaited(&self, id: ServiceId) -> impl Iterator<Item = &Service> {
        let known = self.members.get(id.0).is_some();
        let needs = known.then(|| self.order.needs(id)).into_iter().flatten();
        let missing = needs.filter(|(after, until)| !self.is_met(*after, *until));
        missing.map(|(after, _)| &self.members[after.0].service)
    }
}
