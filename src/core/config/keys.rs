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

#[allow(dead_code, reason = "no key is planned at the moment")]
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
    now("http"),
    now("control"),
];

/// `[service.NAME]`.
pub const SERVICE: &[Key] = &[
    now("command"),
    now("directory"),
    now("environment"),
    now("environment_files"),
    now("after"),
    now("on_failure"),
    now("user"),
    now("group"),
    now("groups"),
    now("umask"),
    now("nice"),
    now("oom_score_adj"),
    now("no_new_privs"),
    now("capabilities"),
    now("go_limits"),
    now("limits"),
    now("interactive"),
    now("terminal"),
    now("log"),
    now("ready"),
    now("start_timeout"),
    now("extend_while_progressing"),
    now("on_timeout"),
    now("stop_signal"),
    now("stop_timeout"),
    now("on_stop"),
    now("reload_signal"),
    now("drain_timeout"),
    now("watchdog"),
    now("watchdog_signal"),
    now("notify_access"),
    now("notify_socket"),
    now("fd_store"),
    now("pprof"),
    now("port"),
    now("require"),
    now("require_timeout"),
    now("file"),
    now("required_environment"),
    now("signals"),
    now("restart"),
    now("watch"),
    now("on_change"),
];

/// `on_stop = { … }`.
pub const ON_STOP: &[Key] = &[now("http_post"), now("exec"), now("timeout")];

/// `ready = { … }`.
pub const READY: &[Key] = &[now("tcp"), now("fd"), now("log"), now("http"), now("exec")];

/// `ready.http = { … }`.
pub const READY_HTTP: &[Key] = &[now("url"), now("status"), now("body"), now("ca"), now("timeout"), now("interval")];

/// `ready.exec = { … }`.
pub const READY_EXEC: &[Key] = &[now("command"), now("timeout"), now("interval")];

/// `after = [{ … }]`.
pub const AFTER: &[Key] = &[now("service"), now("until")];

/// `on_change = { … }`.
pub const ON_CHANGE: &[Key] = &[now("signal"), now("exec"), now("restart")];

/// `[service.NAME.log]`.
pub const LOG: &[Key] = &[
    now("level"),
    now("forward"),
    now("on_slow"),
    now("file"),
    now("format"),
    now("max_size"),
    now("max_age"),
    now("keep"),
    now("compress"),
];

/// `[[service.NAME.port]]`.
pub const PORT: &[Key] = &[now("name"), now("listen"), now("mode"), now("until"), now("take_over")];

/// `[[service.NAME.require]]`.
pub const REQUIRE: &[Key] = &[
    now("url"),
    now("timeout"),
    now("try_timeout"),
    now("status"),
    now("body"),
    now("ca"),
    now("backoff"),
    now("breaker"),
];

/// `breaker = { … }` of a requirement.
pub const REQUIRE_BREAKER: &[Key] = &[now("failures"), now("cooldown")];

/// `[[service.NAME.file]]`.
pub const FILE: &[Key] = &[now("path"), now("format"), now("required"), now("schema"), now("placeholders")];

/// `NAME = { … }` of `[service.NAME.required_environment]`.
pub const REQUIRED_VARIABLE: &[Key] = &[now("meaning"), now("type")];

/// `[service.NAME.signals]`.
pub const SIGNALS: &[Key] = &[now("hold"), now("hold_until"), now("hold_limit"), now("rewrite")];

/// `[service.NAME.restart]`.
pub const RESTART: &[Key] =
    &[now("policy"), now("backoff"), now("reset_after"), now("success_codes"), now("breaker"), now("max_failures")];

/// `backoff = { … }`.
pub const BACKOFF: &[Key] = &[now("initial"), now("max"), now("factor"), now("jitter")];

/// `breaker = { … }`.
pub const BREAKER: &[Key] = &[now("failures"), now("within"), now("cooldown"), now("on_open")];

/// `[service.NAME.limits]`: those of `setrlimit(2)`, then those of a whole service, for which it has a cgroup.
pub const LIMITS: &[Key] = &[
    now("as"),
    now("core"),
    now("cpu"),
    now("data"),
    now("fsize"),
    now("memlock"),
    now("msgqueue"),
    now("nofile"),
    now("nproc"),
    now("rtprio"),
    now("sigpending"),
    now("stack"),
    now("memory"),
    now("tasks"),
    now("cpus"),
];

/// Every table, by the place it has in the file.
pub const TABLES: &[(&str, &[Key])] = &[
    ("the top of the file", TOP),
    ("[launcher]", LAUNCHER),
    ("[service.NAME]", SERVICE),
    ("on_stop", ON_STOP),
    ("ready", READY),
    ("an entry of after", AFTER),
    ("ready.http", READY_HTTP),
    ("ready.exec", READY_EXEC),
    ("[service.NAME.log]", LOG),
    ("on_change", ON_CHANGE),
    ("[[service.NAME.port]]", PORT),
    ("[[service.NAME.require]]", REQUIRE),
    ("breaker of a requirement", REQUIRE_BREAKER),
    ("[[service.NAME.file]]", FILE),
    ("a required variable", REQUIRED_VARIABLE),
    ("[service.NAME.signals]", SIGNALS),
    ("[service.NAME.restart]", RESTART),
    ("[service.NAME.limits]", LIMITS),
    ("backoff", BACKOFF),
    ("breaker", BREAKER),
];

/// The names of all keys, some of them more than once.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().flat_map(|(_, keys)| keys.iter()).map(|key| key.name)
}

/// The place a key belongs to that was written elsewhere, when there is exactly one: a table with a header before one
/// that is the value of a key.
pub fn home_of(name: &str) -> Option<&'static str> {
    let all: Vec<_> = TABLES.iter().filter(|(_, keys)| keys.iter().any(|key| key.name == name)).collect();
    let headed = all.iter().any(|(place, _)| place.starts_with('['));
    let mut places = all.into_iter().filter(|(place, _)| place.starts_with('[') == headed);
    match (places.next(), places.next()) {
        (Some((place, _)), None) => Some(place),
        _ => None,
    }
}
