//! Every key of launcher.toml, by table. What a table does not list is unknown: nothing is accepted and ignored.

/// The top of the file.
pub const TOP: &[&str] = &["launcher", "service"];

/// `[launcher]`.
pub const LAUNCHER: &[&str] = &[
    "name",
    "stop_budget",
    "stop_with_parent",
    "map_exit",
    "report_dir",
    "log_format",
    "log_level",
    "log_times",
    "http",
    "control",
];

/// `[service.NAME]`.
pub const SERVICE: &[&str] = &[
    "command",
    "directory",
    "environment",
    "environment_files",
    "after",
    "on_failure",
    "user",
    "group",
    "groups",
    "umask",
    "nice",
    "oom_score_adj",
    "no_new_privs",
    "capabilities",
    "go_limits",
    "limits",
    "interactive",
    "terminal",
    "log",
    "ready",
    "start_timeout",
    "extend_while_progressing",
    "on_timeout",
    "stop_signal",
    "stop_timeout",
    "send_hup",
    "on_stop",
    "reload_signal",
    "drain_timeout",
    "watchdog",
    "watchdog_signal",
    "notify_access",
    "notify_socket",
    "fd_store",
    "pprof",
    "port",
    "require",
    "require_timeout",
    "file",
    "required_environment",
    "signals",
    "restart",
    "watch",
    "on_change",
];

/// `on_stop = { … }`.
pub const ON_STOP: &[&str] = &["http_post", "exec", "timeout"];

/// `ready = { … }`.
pub const READY: &[&str] = &["tcp", "fd", "log", "http", "exec"];

/// `ready.http = { … }`.
pub const READY_HTTP: &[&str] = &["url", "status", "body", "ca", "timeout", "interval"];

/// `ready.exec = { … }`.
pub const READY_EXEC: &[&str] = &["command", "timeout", "interval"];

/// `after = [{ … }]`.
pub const AFTER: &[&str] = &["service", "until"];

/// `on_change = { … }`.
pub const ON_CHANGE: &[&str] = &["signal", "exec", "restart"];

/// `[service.NAME.log]`.
pub const LOG: &[&str] = &["level", "forward", "on_slow", "file", "format", "max_size", "max_age", "keep", "compress"];

/// `[[service.NAME.port]]`.
pub const PORT: &[&str] = &["name", "listen", "mode", "until", "take_over"];

/// `[[service.NAME.require]]`.
pub const REQUIRE: &[&str] = &["url", "timeout", "try_timeout", "status", "body", "ca", "backoff", "breaker"];

/// `breaker = { … }` of a requirement.
pub const REQUIRE_BREAKER: &[&str] = &["failures", "cooldown"];

/// `[[service.NAME.file]]`.
pub const FILE: &[&str] = &["path", "format", "required", "schema", "placeholders"];

/// `NAME = { … }` of `[service.NAME.required_environment]`.
pub const REQUIRED_VARIABLE: &[&str] = &["meaning", "type"];

/// `[service.NAME.signals]`.
pub const SIGNALS: &[&str] = &["hold", "hold_until", "hold_limit", "rewrite", "to"];

/// `[service.NAME.restart]`.
pub const RESTART: &[&str] = &["policy", "backoff", "reset_after", "success_codes", "breaker", "max_failures"];

/// `backoff = { … }`.
pub const BACKOFF: &[&str] = &["initial", "max", "factor", "jitter"];

/// `breaker = { … }`.
pub const BREAKER: &[&str] = &["failures", "within", "cooldown", "on_open"];

/// `[service.NAME.limits]`: those of `setrlimit(2)`, then those of a whole service, for which it has a cgroup.
pub const LIMITS: &[&str] = &[
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "memlock",
    "msgqueue",
    "nofile",
    "nproc",
    "rtprio",
    "sigpending",
    "stack",
    "memory",
    "tasks",
    "cpus",
];

/// Every table, by the place it has in the file.
pub const TABLES: &[(&str, &[&str])] = &[
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
    TABLES.iter().flat_map(|(_, keys)| keys.iter().copied())
}

/// The place a key belongs to that was written elsewhere, when there is exactly one: a table with a header before one
/// that is the value of a key.
pub fn home_of(name: &str) -> Option<&'static str> {
    let all: Vec<_> = TABLES.iter().filter(|(_, keys)| keys.contains(&name)).collect();
    let headed = all.iter().any(|(place, _)| place.starts_with('['));
    let mut places = all.into_iter().filter(|(place, _)| place.starts_with('[') == headed);
    match (places.next(), places.next()) {
        (Some((place, _)), None) => Some(place),
        _ => None,
    }
}
