//! What came of a trial: as JSON, and as text for a person.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::core::exit::code;
use crate::core::time::Moment;
use crate::core::units::human_duration;

use super::phase::{Clocks, Phase};
use super::{Member, Told};

/// What `launcher verify --json` writes.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// `launcher-verify/1`.
    pub schema: &'static str,
    /// The launcher's name.
    pub name: String,
    /// Whether everything started, became ready and stopped.
    pub passed: bool,
    /// The exit code.
    pub exit_code: i32,
    /// The phase that failed first.
    pub failed_phase: Option<Phase>,
    /// How long all of it took, in milliseconds.
    #[serde(rename = "elapsed_ms", serialize_with = "as_millis")]
    pub elapsed: Duration,
    /// All phases, in their order.
    pub phases: Vec<PhaseRecord>,
    /// All services.
    pub services: Vec<ServiceRecord>,
    /// The ports that were put on others.
    pub moved_ports: Vec<MovedPort>,
}

/// One phase.
#[derive(Debug, Clone, Serialize)]
pub struct PhaseRecord {
    /// Which one.
    pub phase: Phase,
    /// What came of it.
    pub status: Status,
    /// How long some service was in it, in milliseconds.
    #[serde(rename = "elapsed_ms", serialize_with = "as_millis")]
    pub elapsed: Duration,
    /// Why it failed.
    pub failures: Vec<Failure>,
}

/// What came of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Status {
    Passed,
    Failed,
    /// It was not reached.
    Skipped,
}

/// Something that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The phase in which it failed.
    #[serde(skip)]
    pub phase: Phase,
    /// The service, when it is about one.
    pub service: Option<String>,
    /// The exit code it stands for.
    #[serde(rename = "exit_code")]
    pub code: i32,
    /// The verdict's cause, or a code of `launcher check`, or another word for it.
    pub cause: String,
    /// What happened, in a few words, when the summary is the verdict's.
    pub headline: Option<String>,
    /// How sure the verdict is, when there is one.
    pub confidence: Option<&'static str>,
    /// The whole of it for a person; no final period.
    pub summary: String,
    /// What shows it.
    pub evidence: Vec<String>,
    /// What can be done, in the imperative.
    pub advice: Vec<String>,
    /// Where the report is.
    pub report: Option<String>,
}

/// One service.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceRecord {
    /// Its name.
    pub service: String,
    /// How long it took from the beginning of its preflight until it was ready, in milliseconds.
    #[serde(rename = "ready_after_ms", serialize_with = "as_some_millis")]
    pub ready_after: Option<Duration>,
}

/// A port that was put on another one (`--ports auto`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MovedPort {
    /// The service.
    pub service: String,
    /// The port's name.
    pub port: String,
    /// Where it is declared.
    pub declared: String,
    /// Where it was tried.
    pub tried: String,
}

/// A figure that nobody measures: microseconds are enough.
fn as_millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_micros() as f64 / 1e3)
}

fn as_some_millis<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => as_millis(time, serializer),
        None => serializer.serialize_none(),
    }
}

impl Failure {
    /// Something that failed in this phase, with exit code 125 until another is set.
    pub fn new(phase: Phase, cause: impl Into<String>, summary: String) -> Failure {
        Failure {
            phase,
            service: None,
            code: code::INTERNAL,
            cause: cause.into(),
            headline: None,
            confidence: None,
            summary,
            evidence: Vec::new(),
            advice: Vec::new(),
            report: None,
        }
    }

    /// The same as a report has it.
    pub(super) fn of_told(phase: Phase, told: &Told) -> Failure {
        let verdict = &told.verdict;
        Failure {
            headline: Some(told.headline.clone()),
            confidence: Some(verdict.confidence.name()),
            evidence: verdict.evidence.clone(),
            advice: verdict.advice.clone(),
            report: told.report.clone(),
            ..Failure::new(phase, verdict.cause.name(), verdict.summary.clone())
        }
    }

    /// What happened and why, in one line; said once where headline and summary are the same.
    pub(super) fn line(&self) -> String {
        let same = |headline: &&String| !self.summary.starts_with(headline.as_str());
        match self.headline.as_ref().filter(same) {
            Some(headline) if headline.contains(&self.summary) => headline.clone(),
            Some(headline) => format!("{headline}: {}", self.summary),
            None => self.summary.clone(),
        }
    }
}

impl ServiceRecord {
    pub(super) fn of(member: &Member) -> ServiceRecord {
        ServiceRecord { service: member.name.clone(), ready_after: member.ready_after }
    }
}

impl Record {
    /// The version of the format.
    pub const SCHEMA: &'static str = "launcher-verify/1";

    /// A trial of which nothing failed.
    pub(super) fn new(name: &str, clocks: &Clocks, now: Moment, elapsed: Duration) -> Record {
        let phase = |phase| PhaseRecord {
            phase,
            status: Status::Passed,
            elapsed: clocks.total(now, phase),
            failures: Vec::new(),
        };
        Record {
            schema: Record::SCHEMA,
            name: name.to_owned(),
            passed: true,
            exit_code: 0,
            failed_phase: None,
            elapsed,
            phases: Phase::ALL.into_iter().map(phase).collect(),
            services: Vec::new(),
            moved_ports: Vec::new(),
        }
    }

    /// A trial that ended before anything was started: in `phase`, which took so long.
    pub fn ended_in(name: &str, elapsed: Duration, failure: Failure) -> Record {
        let mut clocks = Clocks::default();
        clocks.took(failure.phase, elapsed);
        let mut record = Record::new(name, &clocks, Moment::ZERO, elapsed);
        record.fail(failure);
        record.skip_after_failure(false);
        record
    }

    /// Adds something that failed; the first one decides the exit code.
    pub fn fail(&mut self, failure: Failure) {
        if self.passed {
            (self.passed, self.exit_code, self.failed_phase) = (false, failure.code, Some(failure.phase));
        }
        if let Some(record) = self.phases.get_mut(failure.phase as usize) {
            record.status = Status::Failed;
            record.failures.push(failure);
        }
    }

    /// What comes after the first failed phase was not reached; what was `started` was stopped all the same.
    pub(super) fn skip_after_failure(&mut self, started: bool) {
        let first = self.phases.iter().position(|phase| phase.status == Status::Failed).unwrap_or(usize::MAX);
        for (index, phase) in self.phases.iter_mut().enumerate() {
            let stopped = phase.phase == Phase::Stop && started;
            if index > first && phase.status == Status::Passed && !stopped {
                phase.status = Status::Skipped;
            }
        }
    }

    /// A line for each phase, each failure below its phase, and what came of all, for a person.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for MovedPort { service, port, declared, tried } in &self.moved_ports {
            text.push_str(&format!("  {service}: port {port} was tried on {tried}, in place of {declared}\n"));
        }
        for PhaseRecord { phase, status, elapsed, failures } in &self.phases {
            let (sign, time) = match status {
                Status::Passed => ('✓', human_duration(*elapsed)),
                Status::Failed => ('✗', human_duration(*elapsed)),
                Status::Skipped => ('-', "not reached".to_owned()),
            };
            text.push_str(&format!("{sign} {:<13} {time}\n", phase.name()));
            for failure in failures {
                text.push_str(&failure.text());
            }
        }
        let name = &self.name;
        text.push_str(&match self.failed_phase {
            None => format!("launcher: {name} starts, becomes ready and stops ({})\n", human_duration(self.elapsed)),
            Some(phase) => {
                format!("launcher: {name} failed in phase {}: exit code {}\n", phase.name(), self.exit_code)
            }
        });
        text
    }
}

impl Failure {
    /// Lines below the phase; what can be done was said with the report, if there is one.
    fn text(&self) -> String {
        let line = self.line();
        let whose = self.service.as_deref().filter(|service| !line.starts_with(*service));
        let whose = whose.map(|service| format!("{service}: ")).unwrap_or_default();
        let mut text = format!("    {whose}{line} [{}]\n", self.cause);
        for line in self.advice.iter().filter(|_| self.report.is_none()) {
            text.push_str(&format!("      try {line}\n"));
        }
        text
    }
}
