//! What a launcher is told to do, whole and checked, wherever it came from: launcher.toml or flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use ::core::net::SocketAddr;

use super::signal::Signal;

/// Everything one launcher is told to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What is set for the launcher as a whole.
    pub launcher: LauncherSettings,
    /// The services, in the order in which they were written.
    pub services: Vec<ServiceSettings>,
    /// Whether this is `run -- COMMAND`: one service, whose output is its own.
    pub single_command: bool,
}

/// The `[launcher]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct LauncherSettings {
    /// The name by which the launcher is found; defaults to the folder's name or the command's file name.
    pub name: String,
    /// From the first stop request everything is down within this; 9 s by default, under Docker's 10 s.
    pub stop_budget: Duration,
    /// Where reports are kept; the user's state directory when absent.
    pub report_dir: Option<PathBuf>,
    /// How the launcher writes its own lines.
    pub log_format: LogFormat,
    /// From which level on it writes them.
    pub log_level: LogLevel,
}

/// How the launcher writes its own lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// Lines for a person.
    Text,
    /// One JSON object a line.
    Json,
}

/// From which level on the launcher writes its own lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[allow(missing_docs)]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// One `[service.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSettings {
    /// Its name.
    pub name: String,
    /// The program and its arguments; never empty. `{port.NAME}` is still in it.
    pub command: Vec<OsString>,
    /// Where it runs; the launcher's own directory (or launcher.toml's) when absent.
    pub directory: Option<PathBuf>,
    /// Variables set for it, over the launcher's own environment.
    pub environment: BTreeMap<String, String>,
    /// Files of `KEY=VALUE` lines read before each generation; later ones win, `environment` wins over all.
    pub environment_files: Vec<PathBuf>,
    /// Services that must be ready before this one is started, and that are stopped after it.
    pub after: Vec<String>,
    /// The user, by name or number, it runs as; the launcher's own when absent.
    pub user: Option<String>,
    /// How it is known to be ready.
    pub ready: Ready,
    /// How long it may take to be ready. There always is a deadline.
    pub start_timeout: Duration,
    /// What happens when the start deadline is missed.
    pub on_timeout: OnTimeout,
    /// The signal by which it is asked to stop.
    pub stop_signal: Signal,
    /// How long it may take to stop before it is killed.
    pub stop_timeout: Duration,
    /// How often it must send WATCHDOG=1; off when absent.
    pub watchdog: Option<Duration>,
    /// Its ports, in the order in which they were written: `PORT` is the first.
    pub ports: Vec<PortSettings>,
    /// What happens to signals before it is ready.
    pub signals: SignalSettings,
    /// When and how it is started again.
    pub restart: RestartSettings,
    /// Whether it gets the terminal's foreground (`-i`).
    pub interactive: bool,
}

/// How a service is known to be ready (DESIGN §6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Ready {
    /// READY=1 if the child sends it, else every declared port in LISTEN, else started.
    #[default]
    Auto,
    /// READY=1 on the notify socket.
    Notify,
    /// Every declared port in LISTEN by a process of this service.
    Listen,
    /// A TCP connection to this address succeeds.
    Tcp(SocketAddr),
    /// The program was executed.
    Started,
    /// The program ended with a success code.
    Exited,
}

/// What happens when the start deadline is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnTimeout {
    /// The service is restarted, as far as its restart policy allows.
    #[default]
    Restart,
    /// The service has failed at once.
    Exit,
}

/// One `[[service.NAME.port]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSettings {
    /// Its name: `{port.NAME}`, `PORT_<NAME>`, LISTEN_FDNAMES.
    pub name: String,
    /// Where it listens.
    pub listen: Listen,
    /// What the launcher does with it.
    pub mode: PortMode,
    /// Until when a reserved port is held.
    pub until: HoldUntil,
}

/// An address a service listens on. Port 0 stands for `auto`: a free one is picked once and kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Listen {
    /// `tcp://ADDRESS:PORT`; an IPv6 wildcard is dual stack.
    Tcp(SocketAddr),
    /// `udp://ADDRESS:PORT`.
    Udp(SocketAddr),
    /// `unix:PATH`; a leading `@` stands for the abstract namespace.
    Unix(PathBuf),
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Listen::Tcp(address) => write!(f, "tcp://{address}"),
            Listen::Udp(address) => write!(f, "udp://{address}"),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What the launcher does with a declared port (DESIGN §5). `share`, `capture` and `adopt` come later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PortMode {
    /// Looked at, not held.
    Check,
    /// Bound but not listening until just before exec, or until ready.
    #[default]
    Reserve,
    /// Bound, listening, held for the launcher's life, passed by LISTEN_FDS.
    Pass,
}

/// Until when a reserved port is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HoldUntil {
    /// Released just before exec.
    #[default]
    Exec,
    /// Released when the service is ready.
    Ready,
}

/// The `[service.NAME.signals]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalSettings {
    /// Signals kept back before the service is ready.
    pub hold: Vec<Signal>,
    /// Until when they are kept back.
    pub hold_until: SignalHoldUntil,
    /// How long a stop request waits at most.
    pub hold_limit: Duration,
    /// What is sent instead of a signal that arrived.
    pub rewrite: BTreeMap<Signal, Signal>,
}

/// Until when signals are kept back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignalHoldUntil {
    /// Until the service is ready.
    #[default]
    Ready,
    /// Until the child has a handler for that signal (`SigCgt` of `/proc/PID/status`).
    Handled,
}

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
