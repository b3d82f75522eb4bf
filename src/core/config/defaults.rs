//! What holds when nothing is written. launcher.toml.example shows each of these, and a test compares the two.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use crate::core::requirement::Target;
use crate::core::settings::{
    Backoff, BreakerSettings, ControlPlace, HoldUntil, Jitter, LauncherSettings, Listen, LogFormat, LogLevel,
    LogSettings, NotifySettings, OnFailure, OnOpen, OnTimeout, PortMode, PortSettings, ProcessSettings, Ready,
    RequirementBreaker, RequirementSettings, RestartPolicy, RestartSettings, ServiceSettings, SignalHoldUntil,
    SignalSettings, SignalTarget, TakeOver, WatchSettings,
};
use crate::core::signal::Signal;

/// With `--restart` on the command line so many failed generations in a row are enough.
pub const FLAG_MAX_FAILURES: u32 = 5;

impl LauncherSettings {
    /// The defaults, for a launcher of this name.
    pub fn new(name: String) -> LauncherSettings {
        LauncherSettings {
            name,
            stop_budget: Duration::from_secs(9),
            stop_with_parent: false,
            map_exit: BTreeMap::new(),
            report_dir: None,
            log_format: LogFormat::Auto,
            log_level: LogLevel::Info,
            log_times: false,
            http: None,
            control: ControlPlace::Usual,
            folder: None,
            file: None,
        }
    }
}

impl ServiceSettings {
    /// The defaults of a service in launcher.toml; `command` must not be empty.
    pub fn new(name: String, command: Vec<OsString>) -> ServiceSettings {
        ServiceSettings {
            name,
            command,
            directory: None,
            environment: BTreeMap::new(),
            environment_files: Vec::new(),
            after: Vec::new(),
            on_failure: OnFailure::default(),
            user: None,
            process: ProcessSettings::default(),
            ready: Ready::Auto,
            start_timeout: Duration::from_secs(30),
            extend_while_progressing: None,
            on_timeout: OnTimeout::Restart,
            stop_signal: Signal::TERM,
            stop_timeout: Duration::from_secs(8),
            send_hup: None,
            on_stop: None,
            reload_signal: Signal::HUP,
            drain_timeout: Duration::from_secs(30),
            watchdog: None,
            pprof: None,
            notify: NotifySettings::default(),
            ports: Vec::new(),
            requirements: Vec::new(),
            require_timeout: None,
            files: Vec::new(),
            required_environment: Vec::new(),
            signals: SignalSettings::default(),
            restart: RestartSettings::default(),
            log: LogSettings::default(),
            interactive: false,
            terminal: false,
            watch: WatchSettings::default(),
            debugged: None,
        }
    }
}

impl PortSettings {
    /// The defaults of a port.
    pub fn new(name: String, listen: Listen) -> PortSettings {
        PortSettings {
            name,
            listen,
            mode: PortMode::Reserve,
            until: HoldUntil::Exec,
            by_flag: false,
            take_over: TakeOver::Never,
        }
    }
}

impl RequirementSettings {
    /// The defaults of a requirement.
    pub fn new(target: Target) -> RequirementSettings {
        let (initial, max) = (Duration::from_millis(100), Duration::from_secs(2));
        RequirementSettings {
            target,
            timeout: Duration::from_secs(60),
            try_timeout: Duration::from_secs(3),
            backoff: Backoff { initial, max, factor: 2.0, jitter: Jitter::Equal },
            breaker: Some(RequirementBreaker::default()),
            ca: None,
        }
    }
}

impl Default for RequirementBreaker {
    fn default() -> RequirementBreaker {
        RequirementBreaker { failures: 20, cooldown: Duration::from_secs(10) }
    }
}

impl Default for SignalSettings {
    fn default() -> SignalSettings {
        SignalSettings {
            hold: vec![Signal::HUP, Signal::INT, Signal::TERM, Signal::QUIT, Signal::USR1, Signal::USR2],
            hold_until: SignalHoldUntil::Ready,
            hold_limit: Duration::from_secs(5),
            rewrite: BTreeMap::new(),
            to: SignalTarget::Main,
        }
    }
}

impl Default for RestartSettings {
    fn default() -> RestartSettings {
        RestartSettings {
            policy: RestartPolicy::OnFailure,
            backoff: Backoff::default(),
            reset_after: Duration::from_secs(60),
            success_codes: vec![0],
            breaker: Some(BreakerSettings::default()),
            max_failures: None,
        }
    }
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { initial: Duration::from_millis(200), max: Duration::from_secs(30), factor: 2.0, jitter: Jitter::Full }
    }
}

impl Default for BreakerSettings {
    fn default() -> BreakerSettings {
        BreakerSettings {
            failures: 5,
            within: Duration::from_secs(120),
            cooldown: Duration::from_secs(60),
            on_open: OnOpen::Cooldown,
        }
    }
}
