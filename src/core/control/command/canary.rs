//! What is asked of canaries, and of any generation that comes up beside the one that serves.

use crate::core::fleet::{Fleet, Part, ServiceId};
use crate::core::service::{Generation, Service, State};

use super::Verb;

fn number(service: &Service) -> u64 {
    service.generation().map_or(0, |generation| generation.0)
}

/// Why a command makes no sense now.
pub fn refuse(fleet: &Fleet, id: ServiceId, verb: Verb) -> Option<String> {
    let service = fleet.service(id)?;
    let name = &service.settings().name;
    let beside = fleet.beside(id);
    let comes_up = beside.filter(|(beside, part, _)| *part != Part::Leaving && beside.is_wanted());
    match (verb, comes_up) {
        (Verb::Canary(_), _) => {
            let why = fleet.can_have_canary(id).err()?;
            Some(format!("{name} cannot have a canary: {why}"))
        }
        (_, None) => Some(format!(
            "{name} has no canary; launcher restart {name} --canary 10% starts one, where its ports are shared"
        )),
        (Verb::Promote, Some((beside, _, None))) => Some(format!(
            "generation {} of {name} is no canary: it takes the place of generation {} as soon as it is ready",
            number(beside),
            number(service)
        )),
        _ => None,
    }
}

/// The generation that is to come of it: one that comes up already, or the one after all that were begun.
pub fn target(fleet: &Fleet, id: ServiceId) -> Option<Generation> {
    let (beside, part, _) = fleet.beside(id)?;
    let newest = beside.generation().max(fleet.service(id)?.generation())?;
    match part {
        // Numbers of those that were removed do not come again.
        _ if fleet.will_restart_again(id) => Some(Generation(newest.0 + 1)),
        Part::Successor | Part::Canary => beside.generation(),
        Part::Leaving => None,
    }
}

/// What is said when the generation that was asked for is ready, as a canary.
pub fn serves(fleet: &Fleet, id: ServiceId, target: Generation, verb: Verb) -> Option<String> {
    let service = fleet.service(id)?;
    let (canary, part, percent) = fleet.beside(id)?;
    let is_it = part == Part::Canary && canary.state() == State::Ready && canary.generation() >= Some(target);
    if !is_it || !matches!(verb, Verb::Restart | Verb::Replace | Verb::Canary(_)) {
        return None;
    }
    let (name, percent) = (&service.settings().name, percent?.get());
    Some(format!(
        "generation {} of {name} is ready and gets {percent}% of new connections; launcher promote {name}, or launcher \
         rollback {name}",
        number(canary)
    ))
}

/// What is said when it has taken the place of the one before.
pub fn promoted(service: &Service) -> String {
    format!("generation {} of {} serves now", number(service), service.settings().name)
}

/// What is said when it was taken back.
pub fn taken_back(service: &Service, target: Generation) -> String {
    let name = &service.settings().name;
    format!("generation {} of {name} was taken back, generation {} serves on", target.0, number(service))
}

/// What has come of a rollback, which is at once.
pub fn rolled_back(fleet: &Fleet, id: ServiceId, service: &Service) -> super::Outcome {
    let gone = fleet.beside(id).and_then(|(beside, ..)| beside.generation());
    let text = match gone {
        Some(gone) => taken_back(service, gone),
        None => format!("generation {} of {} serves on", number(service), service.settings().name),
    };
    super::outcome(service, Verb::Rollback, 0, 200, text)
}
