//! Signals that the launcher itself sent to a service.

use std::time::Duration;

use crate::core::signal::Signal;

/// A signal that the launcher sent to a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentFacts {
    /// Which.
    pub signal: Signal,
    /// How long ago it sent it last.
    pub ago: Duration,
    /// Why it did.
    pub why: SentFor,
}

/// Why the launcher sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentFor {
    /// `launcher signal` or `launcher reload` asked for it.
    Asked,
    /// It was sent to the launcher, and is for the service.
    PassedOn,
    /// A watched file changed (`on_change`).
    Change,
    /// The service is stopped.
    Stop,
}
