//! `on_stop`: what is done when a service has come to rest.

use tracing::{info, warn};

use crate::core::facts::{RequirementProblem, Trouble};
use crate::core::fleet::ServiceId;
use crate::core::settings::RequirementSettings;
use crate::run::require;

use super::Supervisor;
use super::inbox::{Happening, Task};

impl Supervisor {
    /// Does what `on_stop` says. The launcher does not end before, unless it is out of time.
    pub(super) fn bid_farewell(&mut self, id: ServiceId) {
        let outbox = self.outbox.clone();
        let slot = &mut self.slots[id.0];
        let service = slot.settings.clone();
        let Some(on_stop) = service.on_stop.clone() else { return };
        slot.farewell = Some(Task::start(async move {
            let settings = RequirementSettings::new(on_stop.target);
            let outcome = require::attempt(settings, Some(service), on_stop.timeout).await;
            let _ = outbox.send(Happening::Farewelled(id, outcome));
        }));
    }

    /// It is done, or was tried.
    pub(super) fn farewelled(&mut self, id: ServiceId, outcome: Result<(), Trouble>) {
        let slot = &mut self.slots[id.0];
        slot.farewell = None;
        let service = &slot.settings.name;
        let what = slot.settings.on_stop.as_ref().map_or("", |on_stop| on_stop.target.shown.as_str());
        match outcome {
            Ok(()) => info!(service, event = "on-stop", "{service}: on_stop is done: {what}"),
            // Who was to be told has gone already.
            Err(Trouble { problem: RequirementProblem::Refused, message }) => {
                info!(service, event = "on-stop", "{service}: on_stop finds nobody to tell: {message}");
            }
            Err(trouble) => {
                warn!(service, event = "on-stop-failed", "{service}: on_stop failed ({what}): {}", trouble.message);
            }
        }
    }
}
