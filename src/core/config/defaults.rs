//! What holds when nothing is written. launcher.toml.example shows each of these, and a test compares the two.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use crate::core::settings::{
    Backoff, BreakerSettings, HoldUntil, Jitter, LauncherSettings, Listen, LogFormat, LogLevel, OnOpen, OnTimeout,
    PortMode, PortSettings, Ready, RestartPolicy, RestartSettings, ServiceSettings, SignalHoldUntil, SignalSettings,
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
            report_dir: None,
            log_format: LogFormat::Auto,
            log_level: LogLevel::Info,
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
            user: None,
            ready: Ready::Auto,
            start_timeout: Duration::from_secs(30),
            on_timeout: OnTimeout::Restart,
            stop_signal: Signal::TERM,
            stop_timeout: Duration::from_secs(8),
            watchdog: None,
            ports: Vec::new(),
            signals: SignalSettings::default(),
            restart: RestartSettings::default(),
            interactive: false,
        }
    }
}

impl PortSettings {
    /// The defaults of a port.
    pub fn new(name: String, listen: Listen) -> PortSettings {
        PortSettings { name, listen, mode: PortMode::Reserve, until: HoldUntil::Exec }
    }
}

impl Default for SignalSettings {
    fn default() -> SignalSettings {
        SignalSettings {
            hold: vec![Signal::HUP, Signal::INT, Signal::TERM, Signal::QUIT, Signal::USR1, Signal::USR2],
            hold_until: SignalHoldUntil::Ready,
            hold_limit: Duration::from_secs(5),
            rewrite: BTreeMap::new(),
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
