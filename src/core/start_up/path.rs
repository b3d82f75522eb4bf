//! The critical path: the services, one after the other, that the whole start had to wait for.

use std::time::Duration;

use crate::core::fleet::Fleet;
use crate::core::settings::Until;
use crate::core::units::human_duration;

use super::{StartUp, Track};

/// So many services of a path are named; of a longer one the shortest are left out.
const MOST_NAMED: usize = 8;

/// One service of the critical path, and how long the start waited for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The service.
    pub name: String,
    /// From when it could be started until it was as far as the next one waited for.
    pub took: Duration,
}

impl StartUp {
    /// From the first service to the one that was ready last. Empty as long as none is.
    pub fn critical_path(&self, fleet: &Fleet) -> Vec<Step> {
        let last = self.tracks.iter().filter_map(|track| Some((track, Until::Ready, track.served?)));
        let mut at = last.max_by_key(|(.., met)| *met);
        let mut path = Vec::new();
        while let Some((track, _, met)) = at {
            let free = track.free.unwrap_or(self.began);
            path.push(Step { name: track.name.clone(), took: met.since(free) });
            at = self.awaited_last(fleet, track);
        }
        path.reverse();
        path
    }

    /// What this one waited for last.
    fn awaited_last(&self, fleet: &Fleet, track: &Track) -> Option<(&Track, Until, crate::core::time::Moment)> {
        let needs = fleet.needs(track.id).filter_map(|(id, until)| {
            let track = self.track(id)?;
            Some((track, until, track.met(until)?))
        });
        needs.max_by_key(|(.., met)| *met)
    }

    /// How long the whole start took: until the last one was ready.
    pub fn took(&self) -> Duration {
        let last = self.tracks.iter().filter_map(|track| track.served).max();
        last.map_or(Duration::ZERO, |last| last.since(self.began))
    }
}

/// `db 2.9 s → api 1.2 s`.
pub fn path_text(path: &[Step]) -> String {
    let mut by_length: Vec<Duration> = path.iter().map(|step| step.took).collect();
    by_length.sort_unstable_by(|a, b| b.cmp(a));
    let shortest = by_length.get(MOST_NAMED - 1).copied().unwrap_or_default();
    let mut words: Vec<String> = Vec::new();
    let mut named = 0;
    for step in path {
        if step.took >= shortest && named < MOST_NAMED {
            named += 1;
            words.push(format!("{} {}", step.name, human_duration(step.took)));
        } else if words.last().is_none_or(|last| last != "…") {
            words.push("…".to_owned());
        }
    }
    words.join(" → ")
}
