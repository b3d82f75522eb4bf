//! From a failed generation to its report: facts are gathered, the stacks taken, the verdict found, the report written.
//! All of it happens on a thread of its own: a slow disk or a hanging dump does not hold up the loop.

use std::time::Duration;

use crate::core::diagnosis::{Cause, diagnose};
use crate::core::facts::{Facts, Occasion};
use crate::core::report::{Meta, Report};
use crate::core::service::Outlook;
use crate::run::reports::ReportStore;
use crate::sys::dump;

use super::inbox::Explained;

/// A main thread that sleeps and wakes within this is waited for, to see what it tries: many retry once a second.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Everything that is needed to explain a generation away from the loop.
pub struct Case {
    /// What the loop knows.
    pub facts: Facts,
    /// The processes to look into, the main one first; none when nothing lives.
    pub pids: Vec<i32>,
    /// Which generation, when, and what happened to it.
    pub meta: Meta,
    /// Where the report goes.
    pub store: ReportStore,
    /// Whether the loop waits for it.
    pub awaited: bool,
    /// What comes after it.
    pub outlook: Outlook,
}

impl Case {
    /// Takes the dump, finds the verdict and writes the report.
    pub fn explain(mut self) -> Explained {
        if !self.pids.is_empty() {
            let missed = self.facts.occasion == Occasion::StartTimeout;
            let options =
                dump::Options { follow_sleepers: missed.then_some(LONGEST_SLEEP), ..dump::Options::default() };
            self.facts.processes = dump::dump(&self.pids, &options);
        }
        let diagnosis = diagnose(&self.facts);
        // What looks like a crash, or like an exit with 137 of a shell, until the memory is looked at.
        if diagnosis.verdict.cause == Cause::OutOfMemory
            && matches!(self.facts.occasion, Occasion::Crashed | Occasion::Exited)
        {
            self.facts.occasion = Occasion::OutOfMemory;
        }
        let report = Report::assemble(&self.facts, diagnosis, self.meta);
        let path = self.store.write(&report);
        Explained { report, path, awaited: self.awaited, outlook: self.outlook }
    }
}
