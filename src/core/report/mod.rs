//! The record of one failed start or crash: verdict, timeline, dump, ports, last output (DESIGN §8, "The report").

pub mod mask;
pub mod name;
pub mod text;

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::diagnosis::{Diagnosis, Verdict};
use crate::core::exit::Ending;
use crate::core::facts::{
    Facts, Occasion, PortFacts, ProbeFacts, ProcessFacts, ProfileFacts, Refusal, RequirementFacts, StopLimit,
    StopLimitKey,
};
use crate::core::signal::Signal;

/// `launcher-report/1`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Always [`Report::SCHEMA`].
    pub schema: Cow<'static, str>,
    /// The service.
    pub service: String,
    /// Which start.
    pub generation: u64,
    /// Which attempt.
    pub attempt: u32,
    /// Why it was written.
    pub kind: Occasion,
    /// When it was written, UTC with milliseconds: `2026-11-23T12:33:00.123Z`.
    pub time: String,
    /// Since the generation's start.
    pub elapsed_ms: u64,
    /// What it was waiting for.
    pub verdict: Verdict,
    /// What else it could be.
    #[serde(default)]
    pub alternatives: Vec<Verdict>,
    /// What happened when.
    #[serde(default)]
    pub timeline: Vec<TimelineEntry>,
    /// Every process with its stacks.
    #[serde(default)]
    pub processes: Vec<ProcessFacts>,
    /// What the service itself says of its goroutines, where `pprof` says where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goroutine_profile: Option<ProfileFacts>,
    /// The declared ports.
    #[serde(default)]
    pub ports: Vec<PortFacts>,
    /// What had to answer before the start, when that is why it failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<RequirementFacts>,
    /// What came of looking whether it is ready, where it is asked or listened to and was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeFacts>,
    /// How the main process ended.
    #[serde(default)]
    pub exit: ReportExit,
    /// What it wrote last, where that could be seen.
    #[serde(default)]
    pub output_tail: String,
    /// How long before the report it wrote last, where that could be seen.
    #[serde(default)]
    pub output_age_ms: Option<u64>,
    /// Limits in force: `start_timeout_ms`; `extend_while_progressing_ms`, and how often it did so, `extensions`; `extended_by_service`, where it asked for more time itself; which it has not stopped within: `stop_timeout_ms`, `drain_timeout_ms` or `stop_budget_left_ms`; `memory_bytes`, `memory_peak_bytes`, `memory_kills` where readable.
    #[serde(default)]
    pub limits: serde_json::Value,
}

/// What the facts do not tell about a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Which start.
    pub generation: u64,
    /// Which attempt.
    pub attempt: u32,
    /// When it is written, UTC with milliseconds: `2026-11-23T12:33:00.123Z`.
    pub time: String,
    /// What happened when.
    pub timeline: Vec<TimelineEntry>,
}

/// A text that is no report that this version can read.
#[derive(Debug)]
pub enum ReadError {
    /// It is a report of another kind; this is what it says it is.
    Schema(String),
    /// It is no JSON, or lacks what every report has.
    Format(serde_json::Error),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadError::Schema(other) => {
                write!(f, "it is a {other:?}, this version reads {:?}: read it with a newer launcher", Report::SCHEMA)
            }
            ReadError::Format(error) => write!(f, "it is not a report: {error}"),
        }
    }
}

impl std::error::Error for ReadError {}

impl Report {
    /// The version of the format.
    pub const SCHEMA: &'static str = "launcher-report/1";
    /// So many reports of each service are kept.
    pub const KEPT: usize = 20;

    /// Puts a report together and masks what is, or looks like, a secret in all of it.
    pub fn assemble(facts: &Facts, diagnosis: Diagnosis, meta: Meta) -> Report {
        let mut report = Report {
            schema: Cow::Borrowed(Report::SCHEMA),
            service: facts.service.clone(),
            generation: meta.generation,
            attempt: meta.attempt,
            kind: facts.occasion,
            time: meta.time,
            elapsed_ms: millis(facts.elapsed),
            exit: exit(facts, &diagnosis.verdict),
            verdict: diagnosis.verdict,
            alternatives: diagnosis.alternatives,
            timeline: meta.timeline,
            processes: facts.processes.clone(),
            goroutine_profile: facts.profile.clone(),
            ports: facts.ports.clone(),
            requirements: requirements(facts),
            probe: facts.probe.clone().filter(|_| !facts.was_ready),
            output_tail: facts.output_tail.clone(),
            output_age_ms: facts.output_age.map(millis),
            limits: limits(facts),
        };
        mask::report(&mut report, &facts.known_secrets());
        report
    }

    /// The report as it is stored: JSON, indented, with a newline at its end.
    pub fn to_json(&self) -> String {
        // Nothing in a report can fail to serialise: no maps with odd keys, no failing implementations.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Writes the same, without having it in memory as a whole: with very many goroutines that is a hundred megabytes.
    ///
    /// # Errors
    /// What `out` fails with.
    pub fn write_json(&self, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        out.write_all(b"\n")
    }

    /// Reads a stored report.
    ///
    /// # Errors
    /// When it is no JSON, not a report, or one of another version.
    pub fn from_json(text: &str) -> Result<Report, ReadError> {
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        let head: Head = serde_json::from_str(text).map_err(ReadError::Format)?;
        if head.schema != Report::SCHEMA {
            return Err(ReadError::Schema(head.schema));
        }
        serde_json::from_str(text).map_err(ReadError::Format)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn exit(facts: &Facts, verdict: &Verdict) -> ReportExit {
    let (code, signal) = match facts.ending {
        Some(Ending::Code(code)) => (Some(code), None),
        Some(Ending::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    ReportExit { code, signal, out_of_memory: verdict.cause == crate::core::diagnosis::Cause::OutOfMemory }
}

fn requirements(facts: &Facts) -> Vec<RequirementFacts> {
    match &facts.refusal {
        Some(Refusal::Requirement(failure)) => failure.requirements.clone(),
        _ => Vec::new(),
    }
}

fn limits(facts: &Facts) -> serde_json::Value {
    let mut limits = serde_json::Map::new();
    if facts.start_timeout > Duration::ZERO {
        limits.insert("start_timeout_ms".to_owned(), millis(facts.start_timeout).into());
    }
    if facts.notified.extended {
        limits.insert("extended_by_service".to_owned(), true.into());
    }
    if let Some(most) = facts.extend_while_progressing {
        limits.insert("extend_while_progressing_ms".to_owned(), millis(most).into());
        limits.insert("extensions".to_owned(), facts.extensions.into());
    }
    if let Some(StopLimit { time, by }) = facts.stop_limit {
        let key = match by {
            StopLimitKey::StopTimeout => "stop_timeout_ms",
            StopLimitKey::DrainTimeout => "drain_timeout_ms",
            StopLimitKey::StopBudget => "stop_budget_left_ms",
        };
        limits.insert(key.to_owned(), millis(time).into());
    }
    if let Some(memory) = facts.memory {
        limits.insert("memory_bytes".to_owned(), memory.limit.into());
        limits.insert("memory_peak_bytes".to_owned(), memory.peak.into());
        limits.insert("memory_kills".to_owned(), memory.kills.into());
    }
    limits.into()
}

/// Something that happened, at so many milliseconds after the generation's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// Since the generation's start.
    pub at_ms: u64,
    /// What: a state, or a word of its own (`spawned pid 4711`, `status: connecting`).
    pub event: String,
}

/// How the main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportExit {
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<Signal>,
    /// Whether the memory limit ended it.
    pub out_of_memory: bool,
}
