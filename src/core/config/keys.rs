//! Every key of launcher.toml, by table. What a table does not list is unknown; what is planned is refused as such.

/// A key of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// Whether this version acts on it; if not it is refused, for nothing is accepted and ignored.
    pub available: bool,
}

const fn now(name: &'static str) -> Key {
    Key { name, available: true }
}

const fn later(name: &'static str) -> Key {
    Key { name, available: false }
}

/// The top of the file.
pub const TOP: &[Key] = &[now("launcher"), now("service")];

/// `[launcher]`.
pub const LAUNCHER: &[Key] = &[
    now("name"),
    now("stop_budget"),
    now("report_dir"),
    now("log_format"),
    now("log_level"),
    later("http"),
    later("control"),
];

/// `[service.NAME]`.
pub const SERVICE: &[Key] = &[
    now("command"),
    now("directory"),
    now("environment"),
    now("environment_files"),
    now("after"),
    now("user"),
    now("interactive"),
    now("ready"),
    now("start_timeout"),
    now("on_timeout"),
    now("stop_signal"),
    now("stop_timeout"),
    now("watchdog"),
    now("port"),
    now("signals"),
    now("restart"),
    later("extend_while_progressing"),
    later("watch"),
    later("require"),
    later("file"),
    later("required_environment"),
    later("limits"),
];

/// `ready = { … }`.
pub const READY: &[Key] = &[now("tcp"), later("http"), later("log"), later("exec")];

/// `[[service.NAME.port]]`.
pub const PORT: &[Key] = &[now("name"), now("listen"), now("mode"), now("until")];

/// `[service.NAME.signals]`.
pub const SIGNALS: &[Key] = &[now("hold"), now("hold_until"), now("hold_limit"), now("rewrite")];

/// `[service.NAME.restart]`.
pub const RESTART: &[Key] =
    &[now("policy"), now("backoff"), now("reset_after"), now("success_codes"), now("breaker"), now("max_failures")];

/// `backoff = { … }`.
pub const BACKOFF: &[Key] = &[now("initial"), now("max"), now("factor"), now("jitter")];

/// `breaker = { … }`.
pub const BREAKER: &[Key] = &[now("failures"), now("within"), now("cooldown"), now("on_open")];

/// Every table, by the place it has in the file.
pub const TABLES: &[(&str, &[Key])] = &[
    ("the top of the file", TOP),
    ("[launcher]", LAUNCHER),
    ("[service.NAME]", SERVICE),
    ("ready", READY),
    ("[[service.NAME.port]]", PORT),
    ("[service.NAME.signals]", SIGNALS),
    ("[service.NAME.restart]", RESTART),
    ("backoff", BACKOFF),
    ("breaker", BREAKER),
];

/// The names of all keys, some of them more than once.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().flat_map(|(_, keys)| keys.iter()).map(|key| key.name)
}

/// The place a key belongs to that was written elsewhere, when there is exactly one.
pub fn home_of(name: &str) -> Option<&'static str> {
    let mut places = TABLES.iter().filter(|(_, keys)| keys.iter().any(|key| key.name == name));
    match (places.next(), places.next()) {
        (Some((place, _)), None) => Some(place),
        _ => None,
    }
}
