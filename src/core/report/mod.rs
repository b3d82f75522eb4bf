//! The record of one failed start or crash: verdict, timeline, dump, ports, last output (DESIGN §8, "The report").

use serde::Serialize;

use crate::core::diagnosis::Verdict;
use crate::core::facts::{Occasion, PortFacts, ProcessFacts};
use crate::core::signal::Signal;

/// `launcher-report/1`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Always [`Report::SCHEMA`].
    pub schema: &'static str,
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
    pub alternatives: Vec<Verdict>,
    /// What happened when.
    pub timeline: Vec<TimelineEntry>,
    /// Every process with its stacks.
    pub processes: Vec<ProcessFacts>,
    /// The declared ports.
    pub ports: Vec<PortFacts>,
    /// How the main process ended.
    pub exit: ReportExit,
    /// What it wrote last, where that could be seen.
    pub output_tail: String,
    /// Limits in force.
    pub limits: serde_json::Value,
}

impl Report {
    /// The version of the format.
    pub const SCHEMA: &'static str = "launcher-report/1";
}

/// Something that happened, at so many milliseconds after the generation's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimelineEntry {
    /// Since the generation's start.
    pub at_ms: u64,
    /// What: a state, or a word of its own (`spawned pid 4711`, `status: connecting`).
    pub event: String,
}

/// How the main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ReportExit {
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<Signal>,
    /// Whether the memory limit ended it.
    pub out_of_memory: bool,
}
