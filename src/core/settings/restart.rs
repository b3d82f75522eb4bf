//! When and how a service is started again.

use std::time::Duration;

/// The `[service.NAME.restart]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct RestartSettings {
    /// After which endings it is started again.
    pub policy: RestartPolicy,
    /// How long is waited between one generation's end and the next one's start.
    pub backoff: Backoff,
    /// A service that was ready for so long has its counts reset.
    pub reset_after: Duration,
    /// Exit codes that count as success.
    pub success_codes: Vec<i32>,
    /// When it is not started again for a while; never when absent.
    pub breaker: Option<BreakerSettings>,
    /// After so many failed generations in a row it is given up; never when absent.
    pub max_failures: Option<u32>,
}

/// After which endings a service is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestartPolicy {
    /// Never.
    Never,
    /// After anything but a success code.
    #[default]
    OnFailure,
    /// After everything but a requested stop.
    Always,
}

/// Exponential backoff.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// Before the first restart.
    pub initial: Duration,
    /// At most.
    pub max: Duration,
    /// By how much each one is longer than the one before; at least 1.
    pub factor: f64,
    /// How much of it is left to chance.
    pub jitter: Jitter,
}

/// How much of a backoff is left to chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Jitter {
    /// Anything from zero to the whole of it.
    #[default]
    Full,
    /// Half of it and anything up to the other half.
    Equal,
    /// Exactly it.
    None,
}

/// The `breaker` of a service: too many failures within a window open it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// So many failures…
    pub failures: u32,
    /// …within this window open it.
    pub within: Duration,
    /// How long it stays open before one trial.
    pub cooldown: Duration,
    /// What an opened breaker means.
    pub on_open: OnOpen,
}

/// What an opened breaker means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnOpen {
    /// Wait for the cooldown, then try once.
    #[default]
    Cooldown,
    /// The service has failed for good.
    Exit,
}
