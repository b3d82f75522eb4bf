//! The messages of `sd_notify(3)`: one datagram, lines of `KEY=VALUE`.

use std::time::Duration;

/// What one datagram says. Keys that are not known are ignored, as the protocol asks; so are values that make no sense.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// `READY=1`.
    pub ready: bool,
    /// `RELOADING=1`.
    pub reloading: bool,
    /// `STOPPING=1`.
    pub stopping: bool,
    /// `MONOTONIC_USEC=`: when the reload began, on `CLOCK_MONOTONIC`.
    pub monotonic: Option<Duration>,
    /// `STATUS=`, without control characters.
    pub status: Option<String>,
    /// `ERRNO=`.
    pub errno: Option<i32>,
    /// `BUSERROR=`.
    pub bus_error: Option<String>,
    /// `EXIT_STATUS=`.
    pub exit_status: Option<i32>,
    /// `MAINPID=`.
    pub main_pid: Option<i32>,
    /// `WATCHDOG=`.
    pub watchdog: Option<WatchdogPing>,
    /// `WATCHDOG_USEC=`: the new watchdog period.
    pub watchdog_period: Option<Duration>,
    /// `EXTEND_TIMEOUT_USEC=`: from now on so long.
    pub extend_timeout: Option<Duration>,
    /// `BARRIER=1`, alone in its datagram: the one descriptor sent along is closed when everything before is processed.
    pub barrier: bool,
}

/// `WATCHDOG=1` or `WATCHDOG=trigger`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchdogPing {
    /// It lives.
    Alive,
    /// It asks to be treated as if it had missed its watchdog.
    Trigger,
}
