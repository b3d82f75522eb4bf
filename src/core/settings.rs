//! What a launcher is told to do, whole and checked, wherever it came from: launcher.toml or flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use ::core::net::SocketAddr;

use super::requirement::Target;
use super::signal::Signal;

mod debugged;
mod group_limits;
mod log;
mod notify;
mod on_stop;
mod order;
mod ports;
mod process;
mod ready;
mod restart;
mod watch;

pub use debugged::Debugged;
pub use group_limits::GroupLimits;
pub use log::{FileLog, FileLogFormat, LogSettings, OnSlow};
pub use notify::{NotifyAccess, NotifyPlace, NotifySettings};
pub use on_stop::OnStop;
pub use order::{After, OnFailure, Until};
pub use ports::{HoldUntil, Listen, PortMode, PortSettings, TakeOver};
pub use process::{Limit, ProcessSettings, Resource};
pub use ready::{ExecProbe, HttpProbe, READY_FD, Ready};
pub use restart::{Backoff, BreakerSettings, Jitter, OnOpen, RestartPolicy, RestartSettings};
pub use watch::{OnChange, WatchSettings};

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
    /// Whether everything is stopped when the process that started the launcher has ended.
    pub stop_with_parent: bool,
    /// What the launcher ends with in place of a code with which a program ended.
    pub map_exit: BTreeMap<u8, u8>,
    /// Where reports are kept; the user's state directory when absent.
    pub report_dir: Option<PathBuf>,
    /// How the launcher writes its own lines.
    pub log_format: LogFormat,
    /// From which level on it writes them.
    pub log_level: LogLevel,
    /// Whether lines for a person begin with the time of day.
    pub log_times: bool,
    /// Where it answers HTTP; nowhere when absent. Port 0 stands for `auto`: a free one.
    pub http: Option<SocketAddr>,
    /// Where its control socket is.
    pub control: ControlPlace,
    /// The folder of launcher.toml, in full; the one it is started in when absent.
    pub folder: Option<PathBuf>,
    /// The file itself, as it was named by `-c`; absent when it was not.
    pub file: Option<PathBuf>,
}

/// Where the control socket is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ControlPlace {
    /// In a folder of the user's own where commands look for it.
    #[default]
    Usual,
    /// At this path.
    At(PathBuf),
    /// There is none.
    Off,
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
    /// Services that this one waits for, and that are stopped after it.
    pub after: Vec<After>,
    /// What happens to others when it has failed for good.
    pub on_failure: OnFailure,
    /// The user, by name or number, it runs as; the launcher's own when absent.
    pub user: Option<String>,
    /// With what its processes begin.
    pub process: ProcessSettings,
    /// How it is known to be ready.
    pub ready: Ready,
    /// How long it may take to be ready. There always is a deadline.
    pub start_timeout: Duration,
    /// For how long in all a start deadline moves on while the service visibly gets on; never when absent.
    pub extend_while_progressing: Option<Duration>,
    /// What happens when the start deadline is missed.
    pub on_timeout: OnTimeout,
    /// The signal by which it is asked to stop.
    pub stop_signal: Signal,
    /// How long it may take to stop before it is killed.
    pub stop_timeout: Duration,
    /// Whether its stop signal is followed by HUP; when absent, as [`ServiceSettings::hang_up`] says.
    pub send_hup: Option<bool>,
    /// What is done when it has come to rest.
    pub on_stop: Option<OnStop>,
    /// The signal by which it is asked to read its configuration again.
    pub reload_signal: Signal,
    /// How long it may take to end what it has begun, once another generation serves in its place.
    pub drain_timeout: Duration,
    /// How often it must send WATCHDOG=1; off when absent.
    pub watchdog: Option<Duration>,
    /// What is set about what it says of itself.
    pub notify: NotifySettings,
    /// Where it serves `net/http/pprof`: asked for its goroutines when its stacks are taken.
    pub pprof: Option<SocketAddr>,
    /// Its ports, in the order in which they were written: `PORT` is the first.
    pub ports: Vec<PortSettings>,
    /// What must answer before it is started.
    pub requirements: Vec<RequirementSettings>,
    /// By when all of them must answer; each has a deadline of its own beside it.
    pub require_timeout: Option<Duration>,
    /// The files it reads.
    pub files: Vec<FileSettings>,
    /// The variables it must have.
    pub required_environment: Vec<RequiredVariable>,
    /// What happens to signals before it is ready.
    pub signals: SignalSettings,
    /// When and how it is started again.
    pub restart: RestartSettings,
    /// Where its lines go.
    pub log: LogSettings,
    /// Whether it gets the terminal's foreground (`-i`).
    pub interactive: bool,
    /// Whether it has a terminal of its own, for `launcher attach`.
    pub terminal: bool,
    /// Which files are watched for it, and what is done when they change.
    pub watch: WatchSettings,
    /// That it is run under a debugger (`--debug`): its command is that.
    pub debugged: Option<Debugged>,
}

impl ServiceSettings {
    /// When the stop signal is followed by HUP. Interactive shells ignore TERM, and end when their terminal goes away.
    pub fn hang_up(&self) -> HangUp {
        match self.send_hup {
            Some(true) => HangUp::Always,
            None if self.terminal || self.interactive => HangUp::IfIgnored,
            Some(false) | None => HangUp::Never,
        }
    }
}

/// When a stop signal is followed by HUP, as systemd's `SendSIGHUP=` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangUp {
    /// Never.
    Never,
    /// When the main process ignores the stop signal, so that it says nothing to it.
    IfIgnored,
    /// Always.
    Always,
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

/// One `[[service.NAME.require]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct RequirementSettings {
    /// What must answer.
    pub target: Target,
    /// By when, from the end of the preflight.
    pub timeout: Duration,
    /// How long one try may take.
    pub try_timeout: Duration,
    /// How long is waited between two tries.
    pub backoff: Backoff,
    /// When it is tried less often; never when absent.
    pub breaker: Option<RequirementBreaker>,
    /// A file with the certificates of the authorities that are trusted; those of the system when absent.
    pub ca: Option<PathBuf>,
}

/// The `breaker` of a requirement: too many failed tries in a row open it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequirementBreaker {
    /// So many failed tries in a row open it…
    pub failures: u32,
    /// …and then it is tried once in this time.
    pub cooldown: Duration,
}

/// One `[[service.NAME.file]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSettings {
    /// Where it is.
    pub path: PathBuf,
    /// What it is; when absent it is not looked into.
    pub format: Option<FileFormat>,
    /// The keys that must be in it.
    pub required: Vec<RequiredKey>,
    /// The JSON Schema that it must keep to.
    pub schema: Option<PathBuf>,
    /// Whether `${NAME}` in it stands for a variable of the environment, which must be set.
    pub placeholders: bool,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FileFormat {
    Yaml,
    Json,
    Toml,
    Dotenv,
    Properties,
    Ini,
}

/// A key that must be in a file, and not null; not empty either where the format has no null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredKey {
    /// Its path: names joined by dots.
    pub path: String,
    /// What its value must be.
    pub kind: Option<ValueType>,
}

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ValueType {
    String,
    Integer,
    Number,
    Boolean,
    Port,
    Url,
    List,
    Table,
}

/// A variable that must be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredVariable {
    /// Its name.
    pub name: String,
    /// What it is for, in words.
    pub meaning: String,
    /// What its value must be.
    pub kind: Option<ValueType>,
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
    /// What is sent instead of a signal that arrived; nothing when there is none. A stop request has one.
    pub rewrite: BTreeMap<Signal, Option<Signal>>,
    /// To whom signals for the service are sent.
    pub to: SignalTarget,
}

impl SignalSettings {
    /// What is sent for a signal that arrived, if anything is.
    pub fn sent_for(&self, arrived: Signal) -> Option<Signal> {
        self.rewrite.get(&arrived).copied().unwrap_or(Some(arrived))
    }
}

/// To whom signals for a service are sent, those that ask it to stop included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignalTarget {
    /// To the main process.
    #[default]
    Main,
    /// To the process group of the main process, as a terminal does.
    Group,
}

impl SignalTarget {
    /// The words for it.
    pub const NAMES: [(&str, SignalTarget); 2] = [("main", SignalTarget::Main), ("group", SignalTarget::Group)];
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
