//! From the tables of a file to settings, each table on its own. What concerns several is in [`check`](super::check).

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::files;
use super::keys;
use super::listen;
use super::log;
use super::on_stop;
use super::order::{self, AfterPlace};
use super::ports::{Ports, ports};
use super::process;
use super::ready;
use super::requirements;
use super::value::{self, ValueError};
use super::walk::{Placed, Table, Value, Walk, fill, in_order};
use super::watch;
use crate::core::environment::OWN_VARIABLES;
use crate::core::settings::{
    Backoff, BreakerSettings, ControlPlace, LauncherSettings, NotifyPlace, NotifySettings, RestartSettings,
    ServiceSettings, SignalSettings,
};

/// The most descriptors that may be kept for a service: the launcher's own limit is 1024 in many places.
const MOST_STORED: i64 = 512;

/// A service with the places of what other services, or other keys, may contradict.
pub(super) struct Draft {
    /// What was read; what was wrong has its default.
    pub settings: ServiceSettings,
    /// Where each of `command`, `after` and `ports` stands, in their order.
    pub command: Vec<Range<usize>>,
    pub after: Vec<AfterPlace>,
    pub ports: Vec<Range<usize>>,
    /// Where `ready` and `interactive` stand, when they are written.
    pub ready: Option<Range<usize>>,
    pub interactive: Option<Range<usize>>,
    /// Where the table of its lines stands.
    pub log: Option<Range<usize>>,
    /// The names of ports that could not be read: they are not missing.
    pub unread_ports: Vec<String>,
    /// Whether a port has a name that could not be read: then nothing is said about ports that seem to be missing.
    pub ports_unknown: bool,
}

/// A path as it is in the file, seen from the file's folder.
pub(super) fn from_folder(folder: &Path, path: &str) -> PathBuf {
    // `join` of "." would leave a trailing dot in every message.
    let path = Path::new(path);
    if path == Path::new(".") && !folder.as_os_str().is_empty() { folder.to_owned() } else { folder.join(path) }
}

/// Reads `[launcher]`.
pub(super) fn launcher(walk: &mut Walk, folder: &Path, value: &Value<'_>, settings: &mut LauncherSettings) {
    let Some(table) = walk.subtable(value, "[launcher]", keys::LAUNCHER, "write [launcher]") else { return };
    fill(&mut settings.name, walk.parsed(&table, "name", value::name));
    fill(&mut settings.stop_budget, walk.duration(&table, "stop_budget", value::positive_duration));
    fill(&mut settings.stop_with_parent, walk.boolean(&table, "stop_with_parent"));
    map_exit(walk, &table, settings);
    settings.report_dir = walk.parsed(&table, "report_dir", value::not_empty).map(|dir| from_folder(folder, &dir));
    fill(&mut settings.log_format, walk.parsed(&table, "log_format", value::log_format));
    fill(&mut settings.log_level, walk.parsed(&table, "log_level", value::log_level));
    fill(&mut settings.log_times, walk.boolean(&table, "log_times"));
    settings.http = walk.parsed(&table, "http", listen::http).flatten();
    fill(
        &mut settings.control,
        walk.parsed(&table, "control", value::control).map(|place| match place {
            ControlPlace::At(path) => ControlPlace::At(folder.join(path)),
            place => place,
        }),
    );
}

/// Reads `map_exit = { … }`: a code of a program, and the launcher's own in its place.
fn map_exit(walk: &mut Walk, table: &Table<'_>, settings: &mut LauncherSettings) {
    let Some(value) = table.get("map_exit") else { return };
    let DeValue::Table(pairs) = value.get_ref() else {
        return walk.wrong_type(value, "a table", "write map_exit = { 143 = 0 }");
    };
    for (key, value) in in_order(pairs) {
        let from = walk.value(key.span, value::exit_code(key.value));
        let to = walk.integer_value(value, 0..256).and_then(|to| u8::try_from(to).ok());
        settings.map_exit.extend(from.zip(to));
    }
}

/// Reads one `[service.NAME]`.
pub(super) fn service<'t>(
    walk: &mut Walk,
    folder: &Path,
    name: Placed<&'t str>,
    value: &'t Value<'t>,
) -> Option<Draft> {
    walk.value(name.span.clone(), value::name(name.value));
    let title = format!("[service.{}]", name.value);
    let hint = "write [service.NAME] and its keys below";
    let table = walk.subtable(value, &title, keys::SERVICE, hint)?;
    let words = walk.command(&table, &name).unwrap_or_default();
    let (command, places) = words.into_iter().map(|word| (word.value, word.span)).unzip();
    let mut service = ServiceSettings::new(name.value.to_owned(), command);
    let directory = walk.parsed(&table, "directory", value::not_empty);
    service.directory = match directory {
        Some(directory) => Some(from_folder(folder, &directory)),
        None => Some(folder.to_owned()).filter(|folder| !folder.as_os_str().is_empty()),
    };
    environment(walk, folder, &table, &mut service);
    let after = order::order(walk, &table, &mut service);
    service.user = walk.parsed(&table, "user", value::not_empty);
    process::process(walk, &table, &title, &mut service.process);
    fill(&mut service.interactive, walk.boolean(&table, "interactive"));
    terminal(walk, &table, &mut service);
    let interactive = table.get("interactive").filter(|_| service.interactive).map(Value::span);
    log::log(walk, folder, &table, name.value, &mut service.log);
    let log = table.get("log").map(Value::span);
    let ready = ready::key(walk, folder, &table, &mut service.ready);
    start(walk, &table, &mut service);
    fill(&mut service.on_timeout, walk.parsed(&table, "on_timeout", value::on_timeout));
    fill(&mut service.stop_signal, walk.parsed(&table, "stop_signal", value::signal));
    fill(&mut service.stop_timeout, walk.duration(&table, "stop_timeout", value::duration));
    service.send_hup = walk.boolean(&table, "send_hup");
    service.on_stop = on_stop::key(walk, &table);
    fill(&mut service.reload_signal, walk.parsed(&table, "reload_signal", value::signal));
    fill(&mut service.drain_timeout, walk.duration(&table, "drain_timeout", value::duration));
    watchdog(walk, &table, &mut service);
    notify(walk, folder, &table, &mut service.notify);
    service.pprof = walk.parsed(&table, "pprof", listen::pprof_address);
    watch::watch(walk, folder, &table, &mut service);
    requirements::requirements(walk, folder, &table, &mut service);
    files::files(walk, folder, &table, &mut service);
    files::required_environment(walk, &table, &mut service);
    let ports = ports(walk, folder, &table, &title);
    signals(walk, &table, &title, &mut service.signals);
    restart(walk, &table, &title, &mut service.restart);
    let Ports { read, unread: unread_ports, unknown: ports_unknown } = ports;
    let (settings, ports) = read.into_iter().map(|port| (port.value, port.span)).unzip();
    service.ports = settings;
    Some(Draft {
        settings: service,
        command: places,
        after,
        ports,
        ready,
        interactive,
        log,
        unread_ports,
        ports_unknown,
    })
}

/// Reads `terminal`: one of its own, which is none of the launcher's.
fn terminal(walk: &mut Walk, table: &Table<'_>, service: &mut ServiceSettings) {
    fill(&mut service.terminal, walk.boolean(table, "terminal"));
    if let Some(value) = table.get("terminal").filter(|_| service.terminal && service.interactive) {
        let hint = "leave one of them out: interactive is launcher's own terminal, terminal one for launcher attach";
        walk.error(value.span(), "a service has one terminal, and interactive gives it another one", hint);
    }
}

/// Reads `environment` and `environment_files`.
fn environment(walk: &mut Walk, folder: &Path, table: &Table<'_>, service: &mut ServiceSettings) {
    let files = walk.texts(table, "environment_files", "[\".env\"]", value::not_empty).unwrap_or_default();
    service.environment_files = files.iter().map(|file| from_folder(folder, &file.value)).collect();
    let Some(value) = table.get("environment") else { return };
    let DeValue::Table(variables) = value.get_ref() else {
        return walk.wrong_type(value, "a table", "write environment = { NAME = \"value\" }");
    };
    for (key, value) in in_order(variables) {
        if key.value.is_empty() || key.value.contains(['=', '\0']) {
            let hint = "a name is not empty and has no \"=\" in it";
            walk.error(key.span, format!("{:?} cannot be the name of a variable", key.value), hint);
        } else if OWN_VARIABLES.contains(&key.value) {
            walk.error(key.span, format!("{} is set by launcher itself", key.value), "leave it out");
        } else if let Some(text) = walk.text(value) {
            service.environment.insert(key.value.to_owned(), text.to_owned());
        }
    }
}

/// Reads `start_timeout`, and `extend_while_progressing`: `"off"`, or how long a start may take in all.
fn start(walk: &mut Walk, table: &Table<'_>, service: &mut ServiceSettings) {
    let key = "extend_while_progressing";
    let start_timeout = walk.duration(table, "start_timeout", value::positive_duration);
    fill(&mut service.start_timeout, start_timeout);
    let Some(Some(most)) = walk.duration(table, key, value::extension) else { return };
    let Some(value) = table.get(key) else { return };
    service.extend_while_progressing = match (start_timeout, table.get("start_timeout")) {
        (Some(limit), _) => walk.value(value.span(), value::beyond(most, limit)),
        // What it is to be longer than is not known.
        (None, Some(_)) => Some(most),
        (None, None) => walk.absent(value.span(), value::beyond(most, service.start_timeout)),
    };
}

/// Reads `watchdog`: `"off"` or a period.
fn watchdog(walk: &mut Walk, table: &Table<'_>, service: &mut ServiceSettings) {
    match table.get("watchdog") {
        Some(value) if matches!(value.get_ref(), DeValue::Boolean(false)) => {
            walk.wrong_type(value, "a string", "write \"off\"");
        }
        _ => fill(&mut service.watchdog, walk.duration(table, "watchdog", value::watchdog)),
    }
}

/// Reads the keys about the notify socket.
fn notify(walk: &mut Walk, folder: &Path, table: &Table<'_>, settings: &mut NotifySettings) {
    fill(&mut settings.watchdog_signal, walk.parsed(table, "watchdog_signal", value::signal));
    fill(&mut settings.access, walk.parsed(table, "notify_access", value::notify_access));
    let socket = walk.parsed(table, "notify_socket", value::notify_socket);
    let socket = socket.map(|place| match place {
        NotifyPlace::At(path) => NotifyPlace::At(folder.join(path)),
        other => other,
    });
    fill(&mut settings.socket, socket);
    let most = walk.integer(table, "fd_store", 0..MOST_STORED + 1);
    fill(&mut settings.fd_store, most.and_then(|most| usize::try_from(most).ok()));
}

/// Reads `[service.NAME.signals]`.
fn signals(walk: &mut Walk, service: &Table<'_>, title: &str, settings: &mut SignalSettings) {
    let Some(value) = service.get("signals") else { return };
    let header = format!("{}.signals]", title.trim_end_matches(']'));
    let Some(table) = walk.subtable(value, &header, keys::SIGNALS, &format!("write {header}")) else { return };
    if let Some(hold) = walk.texts(&table, "hold", "[\"HUP\", \"TERM\"]", value::caught_signal) {
        settings.hold.clear();
        for signal in hold {
            match settings.hold.contains(&signal.value) {
                true => walk.error(signal.span, format!("{} is here a second time", signal.value), "leave it out"),
                false => settings.hold.push(signal.value),
            }
        }
    }
    fill(&mut settings.hold_until, walk.parsed(&table, "hold_until", value::hold_until));
    fill(&mut settings.hold_limit, walk.duration(&table, "hold_limit", value::duration));
    fill(&mut settings.to, walk.parsed(&table, "to", value::signal_target));
    let Some(value) = table.get("rewrite") else { return };
    let DeValue::Table(pairs) = value.get_ref() else {
        return walk.wrong_type(value, "a table", "write rewrite = { TERM = \"QUIT\" }");
    };
    for (key, value) in in_order(pairs) {
        let from = walk.value(key.span.clone(), value::caught_signal(key.value));
        let to = walk.text(value).and_then(|text| walk.value(value.span(), value::rewritten(from, text)));
        if let (Some(from), Some(to)) = (from, to)
            && settings.rewrite.insert(from, to).is_some()
        {
            walk.error(key.span, format!("{from} is here a second time"), "keep one of the two");
        }
    }
}

/// Reads `[service.NAME.restart]`.
fn restart(walk: &mut Walk, service: &Table<'_>, title: &str, settings: &mut RestartSettings) {
    let Some(value) = service.get("restart") else { return };
    let header = format!("{}.restart]", title.trim_end_matches(']'));
    let hint = match value.get_ref() {
        DeValue::String(policy) => format!("write restart = {{ policy = {policy:?} }}"),
        _ => format!("write {header}"),
    };
    let Some(table) = walk.subtable(value, &header, keys::RESTART, &hint) else { return };
    fill(&mut settings.policy, walk.parsed(&table, "policy", value::restart_policy));
    backoff(walk, &table, &mut settings.backoff);
    fill(&mut settings.reset_after, walk.duration(&table, "reset_after", value::duration));
    if let Some(value) = table.get("success_codes")
        && let Some(codes) = walk.list(value, "a list of exit codes", "write success_codes = [0]")
    {
        let codes = codes.iter().filter_map(|code| walk.integer_value(code, 0..256));
        settings.success_codes = codes.filter_map(|code| i32::try_from(code).ok()).collect();
    }
    breaker(walk, &table, settings);
    let failures = walk.integer(&table, "max_failures", 0..i64::from(u32::MAX) + 1);
    let failures = failures.and_then(|failures| u32::try_from(failures).ok());
    fill(&mut settings.max_failures, failures.map(|failures| Some(failures).filter(|failures| *failures > 0)));
}

/// Reads `backoff = { … }`.
pub(super) fn backoff(walk: &mut Walk, table: &Table<'_>, backoff: &mut Backoff) {
    let Some(value) = table.get("backoff") else { return };
    let hint = "write backoff = { initial = \"200ms\", max = \"30s\" }";
    let Some(table) = walk.subtable(value, "backoff", keys::BACKOFF, hint) else { return };
    let before = walk.errors.len();
    fill(&mut backoff.initial, walk.duration(&table, "initial", value::duration));
    fill(&mut backoff.max, walk.duration(&table, "max", value::duration));
    if walk.errors.len() == before {
        let (initial, max) = (table.get("initial"), table.get("max"));
        let place = max.or(initial).map_or(value.span(), Value::span);
        match (initial, max) {
            (Some(_), Some(_)) => walk.value(place, value::check_backoff(backoff)),
            _ => walk.absent(place, value::check_backoff(backoff)),
        };
    }
    if let Some(factor) = walk.float(&table, "factor") {
        fill(&mut backoff.factor, walk.value(factor.span, value::check_factor(factor.value)));
    }
    fill(&mut backoff.jitter, walk.parsed(&table, "jitter", value::jitter));
}

/// Reads `breaker = { … }`, or `"off"`.
fn breaker(walk: &mut Walk, restart: &Table<'_>, settings: &mut RestartSettings) {
    let Some(value) = restart.get("breaker") else { return };
    if let DeValue::String(text) = value.get_ref()
        && text == "off"
    {
        settings.breaker = None;
        return;
    }
    let hint = "write breaker = { failures = 5, within = \"2m\" }, or breaker = \"off\"";
    let Some(table) = walk.subtable(value, "breaker", keys::BREAKER, hint) else { return };
    let mut breaker = BreakerSettings::default();
    if let Some(failures) = walk.integer(&table, "failures", i64::MIN..i64::MAX)
        && let Some(value) = table.get("failures")
    {
        let failures = u32::try_from(failures).ok().filter(|failures| *failures > 0).ok_or_else(|| {
            let message = format!("a breaker that opens after {failures} failures is none");
            ValueError::new(message, "write at least 1, or breaker = \"off\"")
        });
        fill(&mut breaker.failures, walk.value(value.span(), failures));
    }
    fill(&mut breaker.within, walk.duration(&table, "within", value::positive_duration));
    fill(&mut breaker.cooldown, walk.duration(&table, "cooldown", value::positive_duration));
    fill(&mut breaker.on_open, walk.parsed(&table, "on_open", value::on_open));
    settings.breaker = Some(breaker);
}
