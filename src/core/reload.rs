//! What is different when launcher.toml is read again: by service and key, and what has to be done about it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::control::{Answer, Outcome};
use super::exit::code;
use super::settings::{
    LauncherSettings, NotifySettings, PortSettings, ProcessSettings, ServiceSettings, Settings, WatchSettings,
};

/// Everything that is different.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Difference {
    /// Services that are new.
    pub added: Vec<String>,
    /// Services that are there no more.
    pub removed: Vec<String>,
    /// Services that are set otherwise.
    pub changed: Vec<Changed>,
    /// Keys of `[launcher]` that are set otherwise and taken over.
    pub launcher: Vec<String>,
    /// Keys of `[launcher]` that are set otherwise, which is seen when the launcher is started again.
    pub later: Vec<String>,
}

/// A service that is set otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Which one.
    pub service: String,
    /// The keys, as launcher.toml has them, without their values: those may be secrets.
    pub keys: Vec<String>,
    /// Whether what runs of it has to be started anew for that.
    pub anew: bool,
}

impl Difference {
    /// What is different between these.
    pub fn between(old: &Settings, new: &Settings) -> Difference {
        let before: BTreeMap<&str, &ServiceSettings> = by_name(old);
        let after: BTreeMap<&str, &ServiceSettings> = by_name(new);
        let only = |settings: &Settings, other: &BTreeMap<&str, &ServiceSettings>| {
            let names = settings.services.iter().map(|service| service.name.clone());
            names.filter(|name| !other.contains_key(name.as_str())).collect()
        };
        let changed = new.services.iter().filter_map(|service| changed(before.get(service.name.as_str())?, service));
        let (launcher, later) = launcher(&old.launcher, &new.launcher);
        Difference {
            added: only(new, &before),
            removed: only(old, &after),
            changed: changed.collect(),
            launcher,
            later,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Difference::default()
    }

    /// In a few words: `1 service added, 2 changed`.
    pub fn summary(&self) -> String {
        let counts = [(self.added.len(), "added"), (self.removed.len(), "removed"), (self.changed.len(), "changed")];
        let mut parts = Vec::new();
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            let services = match (parts.is_empty(), count) {
                (true, 1) => " service",
                (true, _) => " services",
                (false, _) => "",
            };
            parts.push(format!("{count}{services} {what}"));
        }
        if parts.is_empty() {
            parts.push(match self.launcher.is_empty() && self.later.is_empty() {
                true => "nothing has changed".to_owned(),
                false => "no service has changed".to_owned(),
            });
        }
        parts.join(", ")
    }

    /// A line for each difference.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.removed.iter().map(|name| format!("- {name}")).collect();
        lines.extend(self.added.iter().map(|name| format!("+ {name}")));
        lines.extend(self.changed.iter().map(|Changed { service, keys, anew }| {
            let keys = keys.join(", ");
            let goes_on = if *anew { "" } else { " (what runs goes on)" };
            format!("~ {service}: {keys}{goes_on}")
        }));
        lines.extend(self.launcher.iter().map(|key| format!("~ launcher: {key}")));
        let later = |key| format!("~ launcher: {key} (not before launcher itself is started again)");
        lines.extend(self.later.iter().map(later));
        lines
    }

    /// What is said of this service.
    pub fn of(&self, service: &str) -> Option<&Changed> {
        self.changed.iter().find(|changed| changed.service == service)
    }
}

/// Why launcher.toml is not taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The exit code that stands for it.
    pub exit_code: i32,
    /// All that is wrong, for a person.
    pub text: String,
}

/// What came of reading launcher.toml again, as it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// `reload`.
    pub command: String,
    /// The file, as it was named to the launcher.
    pub file: String,
    /// Whether all has come about.
    pub done: bool,
    /// With which code a command line tells it.
    pub exit_code: i32,
    /// In a sentence, or all that is wrong with the file.
    pub message: String,
    /// What was different; absent when the file was not taken over.
    pub difference: Option<Difference>,
    /// What became of each service that was started, restarted or stopped for it.
    pub services: Vec<Outcome>,
}

impl Reloaded {
    /// This was taken over from the file of this name.
    pub fn done(file: &str, difference: Difference) -> Reloaded {
        let message = format!("{file} was read again: {}", difference.summary());
        let (command, services) = ("reload".to_owned(), Vec::new());
        let file = file.to_owned();
        Reloaded { command, file, done: true, exit_code: 0, message, difference: Some(difference), services }
    }

    /// Nothing was taken over from it.
    pub fn refused(file: &str, wrong: &Wrong) -> Reloaded {
        let (command, services) = ("reload".to_owned(), Vec::new());
        let message = wrong.text.clone();
        let (file, exit_code) = (file.to_owned(), wrong.exit_code);
        Reloaded { command, file, done: false, exit_code, message, difference: None, services }
    }

    /// This became of a service. The first that failed has the exit code.
    pub fn add(&mut self, outcome: Outcome) {
        if self.exit_code == 0 {
            self.exit_code = outcome.exit_code;
        }
        self.done &= outcome.done;
        self.services.push(outcome);
    }

    /// As it is answered.
    pub fn answer(&self) -> Answer {
        let failed = self.services.iter().find(|outcome| outcome.exit_code != 0);
        let code = match (&self.difference, failed) {
            (None, _) if self.exit_code == code::CONFIG => 422,
            (None, _) => 409,
            (Some(_), Some(outcome)) => outcome.status,
            (Some(_), None) if self.done => 200,
            (Some(_), None) => 202,
        };
        // Nothing in it can fail to serialise.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        Answer::json(code, text)
    }
}

fn by_name(settings: &Settings) -> BTreeMap<&str, &ServiceSettings> {
    settings.services.iter().map(|service| (service.name.as_str(), service)).collect()
}

/// What a key is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// What its processes were given: only new ones get it.
    Processes,
    /// How it is looked after: that holds from now on.
    Care,
}

/// The keys that are different, by and by.
struct Keys {
    names: Vec<String>,
    anew: bool,
}

impl Keys {
    fn look<T: PartialEq + ?Sized>(&mut self, about: About, name: &str, old: &T, new: &T) {
        if old != new {
            self.note(about, name.to_owned());
        }
    }

    fn note(&mut self, about: About, name: String) {
        self.names.push(name);
        self.anew |= about == About::Processes;
    }
}

/// Compares these fields, which have the names of their keys. All fields must be named, here or as looked at apart, so
/// that a new one is not forgotten.
macro_rules! compare {
    ($keys:ident, $kind:ident, $old:ident, $new:ident, Processes: [$($anew:ident),*], Care: [$($goes_on:ident),*],
     apart: [$($apart:ident),*]) => {
        let $kind { $($anew,)* $($goes_on,)* $($apart: _,)* } = $old;
        $($keys.look(About::Processes, stringify!($anew), $anew, &$new.$anew);)*
        $($keys.look(About::Care, stringify!($goes_on), $goes_on, &$new.$goes_on);)*
    };
}

/// Whether what runs as `old` has it has to be started anew to be as `new` has it.
pub fn is_anew(old: &ServiceSettings, new: &ServiceSettings) -> bool {
    changed(old, new).is_some_and(|changed| changed.anew)
}

fn changed(old: &ServiceSettings, new: &ServiceSettings) -> Option<Changed> {
    let mut keys = Keys { names: Vec::new(), anew: false };
    // How one that runs is known to be ready was begun with it; its pipes are read as they were opened.
    compare!(keys, ServiceSettings, old, new,
        Processes: [command, directory, environment_files, user, ready, watchdog, log, interactive, terminal, debugged],
        Care: [after, on_failure, start_timeout, extend_while_progressing, on_timeout, stop_signal, stop_timeout, send_hup, reload_signal, drain_timeout, pprof,
               require_timeout, required_environment, signals, restart, on_stop],
        apart: [name, environment, process, notify, ports, requirements, files, watch]);
    variables(&mut keys, &old.environment, &new.environment);
    processes(&mut keys, &old.process, &new.process);
    notifications(&mut keys, &old.notify, &new.notify);
    port_tables(&mut keys, &old.ports, &new.ports);
    keys.look(About::Care, "require", &old.requirements, &new.requirements);
    keys.look(About::Care, "file", &old.files, &new.files);
    let watched = |watch: &WatchSettings| (watch.folder.clone(), watch.patterns.clone());
    keys.look(About::Care, "watch", &watched(&old.watch), &watched(&new.watch));
    keys.look(About::Care, "on_change", &old.watch.on_change, &new.watch.on_change);
    let Keys { names, anew } = keys;
    (!names.is_empty()).then(|| Changed { service: new.name.clone(), keys: names, anew })
}

/// Variables are named one by one, never shown.
fn variables(keys: &mut Keys, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names.into_iter().filter(|name| old.get(*name) != new.get(*name)) {
        keys.note(About::Processes, format!("environment.{name}"));
    }
}

fn processes(keys: &mut Keys, old: &ProcessSettings, new: &ProcessSettings) {
    compare!(keys, ProcessSettings, old, new,
        Processes: [group, groups, umask, nice, oom_score_adj, no_new_privs, capabilities, go_limits, limits],
        Care: [], apart: [group_limits]);
    let (old, new) = (&old.group_limits, &new.group_limits);
    keys.look(About::Processes, "limits.memory", &old.memory, &new.memory);
    keys.look(About::Processes, "limits.tasks", &old.tasks, &new.tasks);
    keys.look(About::Processes, "limits.cpus", &old.millicpus, &new.millicpus);
}

fn notifications(keys: &mut Keys, old: &NotifySettings, new: &NotifySettings) {
    compare!(keys, NotifySettings, old, new,
        Processes: [fd_store], Care: [watchdog_signal], apart: [access, socket]);
    keys.look(About::Processes, "notify_access", &old.access, &new.access);
    keys.look(About::Processes, "notify_socket", &old.socket, &new.socket);
}

/// Ports are named one by one; their order alone is a difference, too: PORT is the first.
fn port_tables(keys: &mut Keys, old: &[PortSettings], new: &[PortSettings]) {
    if old == new {
        return;
    }
    let find = |ports: &[PortSettings], name: &str| ports.iter().find(|port| port.name == name).cloned();
    let names: BTreeSet<&str> = old.iter().chain(new).map(|port| port.name.as_str()).collect();
    let mut differ: Vec<&str> = names.into_iter().filter(|name| find(old, name) != find(new, name)).collect();
    if differ.is_empty() {
        return keys.note(About::Processes, "port".to_owned());
    }
    differ.drain(..).for_each(|name| keys.note(About::Processes, format!("port.{name}")));
}

/// What is taken over while the launcher runs, and what is not.
fn launcher(old: &LauncherSettings, new: &LauncherSettings) -> (Vec<String>, Vec<String>) {
    let LauncherSettings {
        name,
        stop_budget,
        stop_with_parent,
        map_exit,
        report_dir,
        log_format,
        log_level,
        log_times,
        http,
        control,
        folder: _,
        file: _,
    } = old;
    let now = [("stop_budget", *stop_budget != new.stop_budget), ("map_exit", *map_exit != new.map_exit)];
    let later = [
        ("name", *name != new.name),
        ("stop_with_parent", *stop_with_parent != new.stop_with_parent),
        ("report_dir", *report_dir != new.report_dir),
        ("log_format", *log_format != new.log_format),
        ("log_level", *log_level != new.log_level),
        ("log_times", *log_times != new.log_times),
        ("http", *http != new.http),
        ("control", *control != new.control),
    ];
    let names =
        |all: &[(&str, bool)]| all.iter().filter(|(_, differs)| *differs).map(|(name, _)| (*name).to_owned()).collect();
    (names(&now), names(&later))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::core::config::{Context, parse};

    fn settings(text: &str) -> Settings {
        parse("launcher.toml", text, Context { folder: Path::new(""), name: "shop" }).unwrap()
    }

    fn between(old: &str, new: &str) -> Difference {
        Difference::between(&settings(old), &settings(new))
    }

    const API: &str = "[service.api]\ncommand = [\"./api\"]\n";

    #[test]
    fn the_same_file_is_no_difference_however_it_is_written() {
        let other = "# a comment\n[service]\napi = { command = [\"./api\"], restart = { policy = \"on-failure\" } }\n";
        let difference = between(API, other);
        assert!(difference.is_empty(), "{difference:?}");
        assert_eq!((difference.summary(), difference.lines().len()), ("nothing has changed".to_owned(), 0));
    }

    #[test]
    fn services_come_and_go() {
        let difference = between(
            "[service.a]\ncommand = [\"a\"]\n[service.b]\ncommand = [\"b\"]\n",
            "[service.c]\ncommand = [\"a\"]\n[service.b]\ncommand = [\"b\", \"-v\"]\n[service.d]\ncommand = [\"d\"]\n",
        );
        assert_eq!(difference.added, ["c", "d"]);
        assert_eq!(difference.removed, ["a"]);
        assert_eq!(difference.summary(), "2 services added, 1 removed, 1 changed");
        assert_eq!(difference.lines(), ["- a", "+ c", "+ d", "~ b: command"]);
    }

    #[test]
    fn a_key_says_whether_what_runs_must_be_started_anew() {
        let anew = |more: &str| {
            let difference = between(API, &format!("{API}{more}"));
            let [changed] = &difference.changed[..] else { panic!("{more}: {difference:?}") };
            (changed.anew, changed.keys.join(" "))
        };
        assert_eq!(anew("stop_timeout = \"1s\""), (false, "stop_timeout".to_owned()));
        assert_eq!(anew("watch = [\"src/**\"]"), (false, "watch".to_owned()));
        assert_eq!(anew("restart = { policy = \"always\" }"), (false, "restart".to_owned()));
        assert_eq!(anew("nice = 3\nstart_timeout = \"1s\""), (true, "start_timeout nice".to_owned()));
        let limits = "limits = { core = 0, memory = \"1GiB\", cpus = 2 }";
        assert_eq!(anew(limits), (true, "limits limits.memory limits.cpus".to_owned()));
        assert_eq!(anew("log = { level = \"warn\" }"), (true, "log".to_owned()));
        let ports = "[[service.api.port]]\nname = \"http\"\nlisten = \"tcp://127.0.0.1:80\"\n";
        assert_eq!(anew(ports), (true, "port.http".to_owned()));
    }

    #[test]
    fn variables_are_named_and_their_values_are_not() {
        let old = format!("{API}environment = {{ A = \"1\", B = \"secret\", C = \"3\" }}\n");
        let new = format!("{API}environment = {{ A = \"1\", B = \"other\", D = \"3\" }}\n");
        let difference = between(&old, &new);
        assert_eq!(difference.lines(), ["~ api: environment.B, environment.C, environment.D"]);
    }

    #[test]
    fn the_order_of_ports_is_a_difference() {
        let port = |name: &str, number: u16| {
            format!("[[service.api.port]]\nname = \"{name}\"\nlisten = \"tcp://127.0.0.1:{number}\"\n")
        };
        let (http, admin) = (port("http", 80), port("admin", 81));
        let difference = between(&format!("{API}{http}{admin}"), &format!("{API}{admin}{http}"));
        assert_eq!(difference.lines(), ["~ api: port"]);
        let difference = between(&format!("{API}{http}{admin}"), &format!("{API}{http}{}", port("admin", 82)));
        assert_eq!(difference.lines(), ["~ api: port.admin"]);
    }

    #[test]
    fn what_is_set_for_the_launcher_is_partly_taken_over() {
        let difference = between(API, &format!("[launcher]\nstop_budget = \"3s\"\nlog_level = \"debug\"\n{API}"));
        let later = "~ launcher: log_level (not before launcher itself is started again)";
        assert_eq!(difference.lines(), ["~ launcher: stop_budget", later]);
        assert_eq!(difference.summary(), "no service has changed");
    }
}
