//! The start of several services, seen as a whole: where each stands, what it is waiting for right now, and which of
//! them the start had to wait for.

mod path;
mod table;
#[cfg(test)]
mod tests;

pub use path::{Step, path_text};

use std::collections::BTreeMap;

use crate::core::fleet::{Fleet, ServiceId};
use crate::core::requirement::News;
use crate::core::service::{State, Transition};
use crate::core::settings::Until;
use crate::core::time::Moment;

/// The start of all that a launcher begins with.
#[derive(Debug, Clone)]
pub struct StartUp {
    began: Moment,
    tracks: Vec<Track>,
}

/// Where one service is on its way.
#[derive(Debug, Clone)]
struct Track {
    id: ServiceId,
    name: String,
    /// Since when nothing that it comes after is waited for.
    free: Option<Moment>,
    /// Since when it serves.
    served: Option<Moment>,
    /// Since when it has ended with a success code.
    completed: Option<Moment>,
    /// What it requires and what does not answer, with why not.
    missing: BTreeMap<String, String>,
    /// When it is tried again, and which attempt that will be.
    retry: Option<(Moment, Option<u32>)>,
}

/// How far the start has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Something is still waited for.
    Going,
    /// All that was to be started serves, or has done what it was for.
    Done,
    /// It will not come to that: something has failed for good, was stopped, or all go down.
    Broken,
}

impl StartUp {
    /// The start of what this fleet begins with, now.
    pub fn new(now: Moment, fleet: &Fleet) -> StartUp {
        let track = |(id, service): (ServiceId, &crate::core::service::Service)| Track {
            id,
            name: service.settings().name.clone(),
            free: None,
            served: None,
            completed: None,
            missing: BTreeMap::new(),
            retry: None,
        };
        StartUp { began: now, tracks: fleet.wanted().map(track).collect() }
    }

    /// When it began.
    pub fn began(&self) -> Moment {
        self.began
    }

    /// Takes in what is told of one service.
    pub fn note(&mut self, now: Moment, id: ServiceId, transition: &Transition) {
        let Some(track) = self.tracks.iter_mut().find(|track| track.id == id) else { return };
        match transition {
            Transition::State { to: State::Checking, .. } => {
                track.free.get_or_insert(now);
                track.missing.clear();
                track.retry = None;
            }
            Transition::State { to: State::Starting, .. } => track.missing.clear(),
            Transition::Requirement(News::Missing { url, error, .. }) => {
                track.missing.insert(url.clone(), error.clone());
            }
            Transition::Requirement(News::Met { url, .. }) => {
                track.missing.remove(url);
            }
            Transition::NextAttempt { attempt, after, .. } => track.retry = Some((now + *after, Some(*attempt))),
            Transition::BreakerOpened { cooldown, .. } => track.retry = Some((now + *cooldown, None)),
            _ => {}
        }
    }

    /// Looks at where all stand, to be called after whatever happened.
    pub fn look(&mut self, now: Moment, fleet: &Fleet) -> Progress {
        for track in &mut self.tracks {
            let Some(service) = fleet.service(track.id) else { continue };
            track.served = if service.serves() { track.served.or(Some(now)) } else { None };
            track.completed = if service.has_completed() { track.completed.or(Some(now)) } else { None };
        }
        let at_rest = |track: &Track| fleet.service(track.id).is_none_or(|service| service.state().is_at_rest());
        if fleet.is_going_down() {
            Progress::Broken
        } else if self.tracks.iter().all(|track| track.served.is_some()) {
            Progress::Done
        } else if self.tracks.iter().all(|track| track.served.is_some() || at_rest(track)) {
            Progress::Broken
        } else {
            Progress::Going
        }
    }

    fn track(&self, id: ServiceId) -> Option<&Track> {
        self.tracks.iter().find(|track| track.id == id)
    }
}

impl Track {
    /// Since when it is as far as another one waits for.
    fn met(&self, until: Until) -> Option<Moment> {
        match until {
            Until::Ready => self.served,
            Until::Exited => self.completed,
        }
    }
}
