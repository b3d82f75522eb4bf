//! What came of a command.

use serde::{Deserialize, Serialize};

use crate::core::exit::code;
use crate::core::service::{Generation, Service, State};

use super::super::Answer;
use super::super::ledger::Finding;
use super::Verb;

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The service; empty when all were meant.
    pub service: String,
    /// What was asked.
    pub command: String,
    /// Whether it has come about.
    pub done: bool,
    /// With which code a command line tells it.
    pub exit_code: i32,
    /// What came of it, in a sentence.
    pub message: String,
    /// The state of the service then.
    pub state: String,
    /// Its generation then.
    pub generation: u64,
    /// Where a report says more.
    pub report: Option<String>,
    /// In HTTP.
    #[serde(skip)]
    pub status: u16,
}

impl Outcome {
    /// As it is answered.
    pub fn answer(&self) -> Answer {
        // Nothing in it can fail to serialise.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        Answer::json(self.status, text)
    }

    /// It makes no sense now, for this reason.
    pub fn refused(service: &Service, verb: Verb, why: String) -> Outcome {
        outcome(service, verb, code::PREFLIGHT, 409, why)
    }

    /// All services have ended, and the launcher does with this code.
    pub fn ended(launcher: &str, launcher_code: i32) -> Outcome {
        let message = match launcher_code {
            0 => format!("{launcher} has ended"),
            code => format!("{launcher} has ended with exit code {code}"),
        };
        Outcome {
            service: String::new(),
            command: "stop".to_owned(),
            done: true,
            exit_code: 0,
            message,
            state: State::Stopped.name().to_owned(),
            generation: 0,
            report: None,
            status: 200,
        }
    }
}

/// It was not ready; with `stays`, the generation before it serves on.
pub(super) fn failed(service: &Service, verb: Verb, finding: &Finding, stays: bool) -> Outcome {
    let name = &service.settings().name;
    let mut text = format!("{name} did not become ready: {}", finding.summary);
    if let Some(Generation(number)) = service.generation().filter(|_| stays) {
        let former = service.settings() != service.next_settings();
        let former = if former { ", as it was set before" } else { "" };
        text = format!("{text}; generation {number} serves on{former}");
    }
    // An exit with 0 before it was ready is no success.
    let code = if finding.exit_code == 0 { code::DEADLINE } else { finding.exit_code };
    Outcome { report: finding.path.clone(), ..outcome(service, verb, code, 503, text) }
}

/// What came of a command, with an exit code and a status.
pub(super) fn outcome(service: &Service, verb: Verb, exit_code: i32, status: u16, message: String) -> Outcome {
    Outcome {
        service: service.settings().name.clone(),
        command: verb.name().to_owned(),
        done: exit_code == 0,
        exit_code,
        message,
        state: service.state().name().to_owned(),
        generation: service.generation().map_or(0, |generation| generation.0),
        report: None,
        status,
    }
}
