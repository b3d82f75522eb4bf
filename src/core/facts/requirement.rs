//! Requirements: what was tried, and what came of it.

use serde::{Deserialize, Serialize};

/// Why a requirement did not answer, in one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What kind it is of.
    pub problem: RequirementProblem,
    /// The whole of it for a person, with the address; no final period.
    pub message: String,
}

impl Trouble {
    /// Trouble of this kind.
    pub fn new(problem: RequirementProblem, message: impl Into<String>) -> Trouble {
        Trouble { problem, message: message.into() }
    }
}

/// What keeps a requirement from being met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequirementProblem {
    /// Nothing listens there (ECONNREFUSED).
    Refused,
    /// There is no way to it (ENETUNREACH, EHOSTUNREACH).
    NoRoute,
    /// Nothing came back in time.
    Timeout,
    /// Its name could not be resolved.
    Dns,
    /// No secure connection came about.
    Tls,
    /// It answers, but not as it should: still starting, another protocol, another status.
    Answer,
    /// It closed or reset the connection.
    Closed,
    /// There is no such file.
    Missing,
    /// The kernel does not permit it.
    NotPermitted,
    /// A command ended with a failure.
    Failed,
    /// Anything else; the message says it.
    Other,
}

/// One requirement of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequirementFacts {
    /// Its URL, without passwords.
    pub url: String,
    /// What is done to see whether it answers.
    pub tried: String,
    /// Whether it answered.
    pub met: bool,
    /// How often it was tried.
    pub tries: u32,
    /// How long it took to answer, or for how long it was waited for, in milliseconds.
    pub waited_ms: u64,
    /// What kind the last failure was of.
    pub problem: Option<RequirementProblem>,
    /// The last failure.
    pub last_error: Option<String>,
    /// Whether its breaker is open: it had failed so often in a row that it was tried less often.
    pub breaker_open: bool,
}

/// A generation that was not started because a requirement did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequirementFailure {
    /// The whole of it for a person; no final period.
    pub summary: String,
    /// What can be done, in the imperative.
    pub advice: Vec<String>,
    /// All requirements of the service, those that answered too.
    pub requirements: Vec<RequirementFacts>,
}

impl RequirementFailure {
    /// The first one that did not answer.
    pub fn first(&self) -> Option<&RequirementFacts> {
        self.requirements.iter().find(|requirement| !requirement.met)
    }
}
