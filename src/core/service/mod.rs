//! The state machine of one service: [`Service::step`] takes what happened and says what is to be done.

mod action;
mod event;

pub use action::{Action, Transition};
pub use event::{Event, Sender, StopCause};

use serde::Serialize;

/// The number of a start of a service: counts up from 1 and never repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Generation(pub u64);

/// Where a service stands (DESIGN §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// On another service or a requirement.
    Waiting,
    /// Preflight runs.
    Checking,
    /// Its process runs, or is about to, and is not ready.
    Starting,
    /// It has said, or shown, that it serves.
    Ready,
    /// It is being stopped, or what is left of it is.
    Stopping,
    /// The next attempt comes after a while.
    BackingOff,
    /// The breaker is open: the next attempt comes after the cooldown.
    Open,
    /// Given up.
    Failed,
    /// Not running, and nobody wants it to.
    Stopped,
}
