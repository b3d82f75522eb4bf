//! What is said while two generations of a service are there.

use tracing::{info, warn};

use crate::core::service::Transition;
use crate::core::units::human_duration;

/// Says what happens while two generations are there.
pub fn tell(service: &str, generation: u64, transition: &Transition) {
    match transition {
        Transition::Restarting { beside, canary } => {
            let part =
                canary.map(|percent| format!(" as a canary for {percent}% of new connections")).unwrap_or_default();
            let old = beside.0;
            info!(
                service,
                event = "restarting",
                generation,
                beside = old,
                "{service} is restarted: generation {generation} starts{part} while generation {old} serves on"
            );
        }
        Transition::RestartsAlone(why) => {
            let reason = why.to_string();
            info!(
                service,
                event = "restarting",
                generation,
                reason,
                "{service} is stopped before it is started again: {reason}"
            );
        }
        Transition::RestartFollows => {
            info!(
                service,
                event = "restart-follows",
                generation,
                "{service} is restarted once more after this restart"
            );
        }
        Transition::CanaryServes { percent, beside } => {
            let old = beside.0;
            info!(
                service,
                event = "canary",
                generation,
                beside = old,
                percent,
                "generation {generation} of {service} is a canary: it gets {percent}% of new connections, generation {old} \
                 the rest; launcher promote {service}, or launcher rollback {service}"
            );
        }
        Transition::Superseded { by, drain } => {
            let (by, drain) = (by.0, human_duration(*drain));
            info!(
                service,
                event = "superseded",
                generation,
                by,
                "generation {by} of {service} serves; generation {generation} ends what it has begun, within {drain}"
            );
        }
        Transition::Removed { stays, canary: true } => {
            let stays = stays.0;
            warn!(
                service,
                event = "canary-failed",
                generation,
                stays,
                "the canary of {service} has failed: generation {generation} is removed, generation {stays} serves on"
            );
        }
        Transition::Removed { stays, canary: false } => {
            let stays = stays.0;
            warn!(
                service,
                event = "restart-failed",
                generation,
                stays,
                "the restart of {service} has failed: generation {generation} is removed, generation {stays} serves on"
            );
        }
        Transition::RolledBack { stays } => {
            let stays = stays.0;
            info!(
                service,
                event = "rolled-back",
                generation,
                stays,
                "generation {generation} of {service} is taken back, generation {stays} serves on"
            );
        }
        Transition::LeftAlone { after } => {
            let after = after.0;
            warn!(
                service,
                event = "left-alone",
                generation,
                after,
                "generation {after} of {service} has ended: generation {generation}, that was to take its place, does so now"
            );
        }
        _ => {}
    }
}
