//! What is remembered of the services for those who ask: since when each is as it is, how often it was started, how it
//! failed. It is told every action, and what every report says; it decides nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::facts::Occasion;
use crate::core::fleet::ServiceId;
use crate::core::service::{Action, Generation, State, Transition};
use crate::core::time::Moment;

/// What a report found out about a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which generation.
    pub generation: Generation,
    /// Why there is a report.
    pub kind: Occasion,
    /// The verdict's cause, as a report writes it.
    pub cause: &'static str,
    /// The verdict in one sentence.
    pub summary: String,
    /// When, UTC.
    pub time: String,
    /// Where the report is, if it could be written.
    pub path: Option<String>,
    /// The exit code that stands for it (DESIGN §2).
    pub exit_code: i32,
}

/// All that is remembered.
#[derive(Debug, Clone)]
pub struct Ledger(Vec<Entry>);

/// What is remembered of one service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entry {
    /// Since when it is in its state.
    pub since: Moment,
    /// When its newest generation was executed, or was to be.
    pub spawned: Option<Moment>,
    /// How long its last start took, from there until ready.
    pub start_took: Option<Duration>,
    /// How often it was executed.
    pub starts: u64,
    /// How often it became ready.
    pub readies: u64,
    /// How often its breaker opened.
    pub breaker_opened: u64,
    /// How many signals were sent to its main process.
    pub signals_sent: u64,
    /// How many were kept back.
    pub signals_held: u64,
    /// How many reports of each kind were made of it.
    pub reports: BTreeMap<&'static str, u64>,
    /// What the last of them found.
    pub finding: Option<Finding>,
    /// The newest generation that was taken back.
    pub rolled_back: Option<Generation>,
    /// The generation that is, or was last, beside the one that serves.
    beside: Option<Generation>,
}

impl Ledger {
    /// Nothing has happened to so many services.
    pub fn new(services: usize, now: Moment) -> Ledger {
        Ledger(vec![Entry { since: now, ..Entry::default() }; services])
    }

    /// There are so many services from now on; nothing has happened to the new ones.
    pub fn grow(&mut self, services: usize, now: Moment) {
        if services > self.0.len() {
            self.0.resize(services, Entry { since: now, ..Entry::default() });
        }
    }

    /// What is remembered of a service; nothing of one that there is not.
    pub fn of(&self, id: ServiceId) -> Entry {
        self.0.get(id.0).cloned().unwrap_or_default()
    }

    /// Something is being done for a service.
    pub fn see(&mut self, now: Moment, id: ServiceId, action: &Action) {
        let Some(entry) = self.0.get_mut(id.0) else { return };
        match action {
            Action::Spawn { .. } => {
                entry.spawned = Some(now);
                entry.starts += 1;
            }
            Action::Signal(..) => entry.signals_sent += 1,
            Action::Tell(of, Transition::Restarting { .. }) => entry.beside = Some(*of),
            Action::Tell(of, Transition::Superseded { .. }) => {
                entry.beside = Some(*of);
                entry.since = now;
            }
            Action::Tell(_, Transition::LeftAlone { .. }) => entry.beside = None,
            Action::Tell(of, Transition::RolledBack { .. }) => entry.rolled_back = Some(*of),
            Action::Tell(of, Transition::State { to, .. }) => {
                // How the one that serves stands is how the service stands.
                if entry.beside != Some(*of) {
                    entry.since = now;
                }
                if *to == State::Ready {
                    entry.readies += 1;
                    entry.start_took = entry.spawned.map(|spawned| now.since(spawned));
                }
            }
            Action::Tell(_, Transition::SignalHeld { .. }) => entry.signals_held += 1,
            Action::Tell(_, Transition::BreakerOpened { .. }) => entry.breaker_opened += 1,
            _ => {}
        }
    }

    /// A report was made. One of an older generation, overtaken by that of a later one, is only counted.
    pub fn explained(&mut self, id: ServiceId, finding: Finding) {
        let Some(entry) = self.0.get_mut(id.0) else { return };
        *entry.reports.entry(finding.kind.name()).or_default() += 1;
        if entry.finding.as_ref().is_none_or(|last| last.generation <= finding.generation) {
            entry.finding = Some(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    fn goes(to: State) -> Action {
        Action::Tell(Generation(1), Transition::State { from: State::Checking, to, generation: None, attempt: 1 })
    }

    fn finding(generation: u64, kind: Occasion) -> Finding {
        let summary = format!("generation {generation}");
        Finding {
            generation: Generation(generation),
            kind,
            cause: "exited",
            summary,
            time: String::new(),
            path: None,
            exit_code: 1,
        }
    }

    #[test]
    fn counts_starts_and_how_long_they_took() {
        let (mut ledger, id) = (Ledger::new(2, at(0)), ServiceId(1));
        for (now, action) in [
            (at(1), Action::Spawn { generation: Generation(1), attempt: 1 }),
            (at(4), goes(State::Ready)),
            (at(9), Action::Spawn { generation: Generation(2), attempt: 1 }),
            (at(10), goes(State::Stopping)),
        ] {
            ledger.see(now, id, &action);
        }
        let entry = ledger.of(id);
        assert_eq!((entry.starts, entry.readies, entry.since), (2, 1, at(10)));
        assert_eq!(entry.start_took, Some(Duration::from_secs(3)));
        assert_eq!(ledger.of(ServiceId(0)), Entry::default(), "the other one");
        ledger.see(at(1), ServiceId(7), &goes(State::Ready));
        assert_eq!(ledger.of(ServiceId(7)), Entry::default(), "there is no such service");
    }

    #[test]
    fn the_newest_report_is_kept_and_all_are_counted() {
        let (mut ledger, id) = (Ledger::new(1, at(0)), ServiceId(0));
        for finding in [finding(1, Occasion::Exited), finding(3, Occasion::Exited), finding(2, Occasion::Crashed)] {
            ledger.explained(id, finding);
        }
        let entry = ledger.of(id);
        assert_eq!(entry.finding.unwrap().summary, "generation 3");
        assert_eq!(entry.reports, BTreeMap::from([("crashed", 1), ("exited", 2)]));
    }
}
