//! From a Dockerfile: what the container of its last stage would run.

use std::collections::BTreeMap;
use std::time::Duration;

use parse_dockerfile::{Command, Flag, HealthcheckArguments, Instruction};

use crate::core::config::value;
use crate::core::units::{exact_duration, parse_duration};

use super::command::{address, look_at_command};
use super::write::{list, quoted};
use super::{Draft, InitError, Port, Service, shell};

/// What the instructions of a stage come down to.
#[derive(Debug, Clone, Default)]
pub struct Image {
    base: String,
    pub entrypoint: Option<Run>,
    pub command: Option<Run>,
    pub environment: Vec<(String, String)>,
    arguments: BTreeMap<String, String>,
    pub directory: String,
    pub user: Option<String>,
    pub ports: Vec<(u16, bool)>,
    pub stop_signal: Option<String>,
    pub health: Option<Health>,
}

/// A command in one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    Exec(Vec<String>),
    Shell(String),
}

/// How an image is seen to be healthy, and by when.
#[derive(Debug, Clone)]
pub struct Health {
    pub command: String,
    pub limit: Duration,
    pub limit_words: String,
}

/// One service, called `name`.
///
/// # Errors
/// The text is no Dockerfile, or says nothing of what it runs.
pub fn from_dockerfile(text: &str, name: &str) -> Result<Draft, InitError> {
    let image = image(text)?;
    let mut service = Service::named(name);
    take_command(&mut service, &image);
    if service.command.is_empty() {
        return Err(InitError::new(
            format!("the Dockerfile has no ENTRYPOINT and no CMD; those of {} are not known here", image.base),
            "name the command: launcher init -- COMMAND",
        ));
    }
    take_place(&mut service, &image);
    take_rest(&mut service, &image);
    Ok(Draft { notes: Vec::new(), services: vec![service] })
}

/// What the last stage of a Dockerfile comes down to.
///
/// # Errors
/// It is no Dockerfile.
pub fn image(text: &str) -> Result<Image, InitError> {
    let parsed = parse_dockerfile::parse(text).map_err(|error| {
        InitError::new(format!("this is no Dockerfile: {error}"), "correct it: docker build would refuse it, too")
    })?;
    let mut globals = BTreeMap::new();
    let mut stages: BTreeMap<String, Image> = BTreeMap::new();
    let (mut current, mut name): (Option<Image>, String) = (None, String::new());
    for instruction in &parsed.instructions {
        if let Instruction::From(from) = instruction {
            if let Some(done) = current.take() {
                stages.insert(name, done);
            }
            let base = shell::substitute(&from.image.value, false, &|name| globals.get(name).cloned(), &mut Vec::new());
            let fresh = || Image { base: base.clone(), ..Image::default() };
            current = Some(stages.get(&base.to_ascii_lowercase()).cloned().unwrap_or_else(fresh));
            name = from.as_.as_ref().map(|(_, name)| name.value.to_ascii_lowercase()).unwrap_or_default();
            continue;
        }
        match (&mut current, instruction) {
            (None, Instruction::Arg(arg)) => globals.extend(assignments(&arg.arguments.value, &|_| None)),
            (None, _) => {}
            (Some(image), instruction) => image.take(instruction, &globals),
        }
    }
    current.ok_or_else(|| InitError::new("the Dockerfile has no FROM", "correct it"))
}

impl Image {
    fn take(&mut self, instruction: &Instruction<'_>, globals: &BTreeMap<String, String>) {
        let filled =
            |image: &Image, text: &str| shell::substitute(text, false, &|name| image.variable(name), &mut Vec::new());
        match instruction {
            Instruction::Arg(arg) => {
                let bare = arg.arguments.value.trim();
                let own = assignments(bare, &|name| self.variable(name));
                let global = globals.get(bare).map(|value| (bare.to_owned(), value.clone()));
                self.arguments.extend(own.into_iter().chain(global));
            }
            Instruction::Env(env) => {
                for (name, value) in assignments(&env.arguments.value, &|name| self.variable(name)) {
                    self.environment.retain(|(other, _)| *other != name);
                    self.environment.push((name, value));
                }
            }
            Instruction::Workdir(workdir) => {
                let path = filled(self, workdir.arguments.value.trim());
                self.directory = match path.starts_with('/') {
                    true => path,
                    false => format!("{}/{path}", self.directory.trim_end_matches('/')),
                };
            }
            Instruction::User(user) => self.user = Some(filled(self, user.arguments.value.trim())),
            Instruction::Stopsignal(signal) => self.stop_signal = Some(filled(self, signal.arguments.value.trim())),
            Instruction::Expose(expose) => {
                for port in &expose.arguments {
                    self.ports.extend(exposed(&filled(self, &port.value)));
                }
            }
            Instruction::Entrypoint(entrypoint) => {
                // Docker forgets a CMD that an ENTRYPOINT of a later stage replaces.
                self.entrypoint = Some(Run::of(&entrypoint.arguments)).filter(|run| !run.is_empty());
                self.command = None;
            }
            Instruction::Cmd(cmd) => self.command = Some(Run::of(&cmd.arguments)).filter(|run| !run.is_empty()),
            Instruction::Healthcheck(check) => self.health = health(&check.options, &check.arguments),
            _ => {}
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        let set = self.environment.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
        set.or_else(|| self.arguments.get(name).cloned())
    }
}

impl Run {
    fn of(command: &Command<'_>) -> Run {
        match command {
            Command::Exec(words) => Run::Exec(words.value.iter().map(|word| word.value.to_string()).collect()),
            Command::Shell(text) => Run::Shell(joined(text.value)),
            _ => Run::Exec(Vec::new()),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Run::Exec(words) => words.is_empty(),
            Run::Shell(text) => text.trim().is_empty(),
        }
    }

    pub fn words(&self) -> Vec<String> {
        match self {
            Run::Exec(words) => words.clone(),
            Run::Shell(text) => shell::command(text),
        }
    }

    pub fn shown(&self) -> String {
        match self {
            Run::Exec(words) => words.join(" "),
            Run::Shell(text) => text.clone(),
        }
    }
}

/// A text of several lines, each but the last ended by a backslash, as one.
fn joined(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(|line| line.trim_end().trim_end_matches('\\').trim()).collect();
    lines.join(" ")
}

/// `NAME=value NAME="a value"`, or `NAME all of the rest`.
fn assignments(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let text = joined(text);
    let filled = |text: &str| shell::substitute(text, false, variable, &mut Vec::new());
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let pair = text.trim().split_once(char::is_whitespace);
        return pair.map(|(name, value)| (name.to_owned(), filled(value.trim()))).into_iter().collect();
    }
    let mut pairs = Vec::new();
    let (mut word, mut quote, mut escaped) = (String::new(), None, false);
    for c in text.chars().chain([' ']) {
        match (quote, c) {
            _ if escaped => {
                word.push_str(&if c == '$' { "\\$".to_owned() } else { c.to_string() });
                escaped = false;
            }
            (Some('"') | None, '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if c.is_whitespace() => {
                pairs.extend(word.split_once('=').map(|(name, value)| (name.to_owned(), filled(value))));
                word.clear();
            }
            (Some('\''), '$') => word.push_str("\\$"),
            (_, c) => word.push(c),
        }
    }
    pairs
}

/// `8080`, `53/udp`, `7000-7002/tcp`.
pub fn exposed(text: &str) -> Vec<(u16, bool)> {
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) if first > 0 => {
            (first..=last).take(16).map(|number| (number, protocol.eq_ignore_ascii_case("udp"))).collect()
        }
        _ => Vec::new(),
    }
}

fn health(options: &[Flag<'_>], arguments: &HealthcheckArguments<'_>) -> Option<Health> {
    let HealthcheckArguments::Cmd { arguments, .. } = arguments else { return None };
    let option = |name: &str| {
        options
            .iter()
            .find(|flag| flag.name.value == name)
            .and_then(|flag| Some(flag.value.as_ref()?.value.to_string()))
    };
    Some(Health::new(
        Run::of(arguments).shown(),
        option("start-period").as_deref(),
        option("interval").as_deref(),
        option("retries").as_deref(),
    ))
}

impl Health {
    /// By Docker's defaults, what is not healthy after its start period and 3 tries, 30 s apart, is unhealthy.
    pub fn new(command: String, start: Option<&str>, interval: Option<&str>, retries: Option<&str>) -> Health {
        let duration = |text: Option<&str>, default| text.and_then(docker_duration).unwrap_or(default);
        let start = duration(start, Duration::ZERO);
        let interval = duration(interval, Duration::from_secs(30));
        let retries = retries.and_then(|text| text.trim().parse::<u32>().ok()).unwrap_or(3).max(1);
        let limit_words = format!(
            "a start period of {} and {retries} tries, {} apart",
            exact_duration(start),
            exact_duration(interval)
        );
        Health { command, limit: start + interval * retries, limit_words }
    }
}

/// `1m30s`, also with parts of a second (`1.5s`), as Go writes them.
pub fn docker_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    parse_duration(text).ok().or_else(|| {
        let seconds = text.strip_suffix('s')?.parse::<f64>().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    })
}

/// ENTRYPOINT and CMD, put together as Docker does.
pub fn take_command(service: &mut Service, image: &Image) {
    match (&image.entrypoint, &image.command) {
        (Some(Run::Shell(text)), _) => service.command = shell::command(text),
        (Some(Run::Exec(words)), Some(Run::Exec(more))) => {
            service.command = words.iter().chain(more).cloned().collect();
            service.command_notes.push("ENTRYPOINT, and CMD as its arguments.".to_owned());
        }
        (Some(Run::Exec(words)), Some(Run::Shell(text))) => {
            let shell = ["/bin/sh".to_owned(), "-c".to_owned(), text.clone()];
            service.command = words.iter().cloned().chain(shell).collect();
            service
                .command_notes
                .push("ENTRYPOINT, and CMD as its arguments: Docker puts a shell before such a CMD.".into());
        }
        (Some(run), None) => service.command = run.words(),
        (None, Some(run)) => {
            service.command = run.words();
            let base = &image.base;
            let note = format!("CMD. If {base} has an ENTRYPOINT, that belongs before it: docker inspect {base}");
            service.command_notes.push(note);
        }
        (None, None) => {}
    }
}

fn take_place(service: &mut Service, image: &Image) {
    if !image.directory.is_empty() {
        service.key("directory", quoted(&image.directory), "WORKDIR: where it is in the image.");
    }
    if let Some(user) = &image.user {
        let (name, group) = user.split_once(':').map_or((user.as_str(), None), |(name, group)| (name, Some(group)));
        let note =
            "USER. Only root can start it as another: where USER stays in the Dockerfile, launcher runs as it already.";
        service.shown("user", quoted(name), note);
        if let Some(group) = group {
            service.shown("group", quoted(group), "The group of USER.");
        }
    }
    service.environment.clone_from(&image.environment);
}

/// Ports, signal, health.
pub fn take_rest(service: &mut Service, image: &Image) {
    for (number, udp) in &image.ports {
        let protocol = if *udp { "/udp" } else { "" };
        let note =
            format!("EXPOSE {number}{protocol}. It counts as ready when this listens; take it out if it never does.");
        service.port(Port { udp: *udp, ..Port::any(*number, note) });
    }
    if let Some(text) = &image.stop_signal {
        take_signal(service, text, "STOPSIGNAL.");
    }
    if let Some(health) = &image.health {
        take_health(service, health, "HEALTHCHECK");
    }
    look_at_command(service);
}

/// The stop signal, if it is one that launcher knows.
pub fn take_signal(service: &mut Service, text: &str, note: &str) {
    match value::signal(text) {
        Ok(signal) => service.key("stop_signal", quoted(signal.to_string().trim_start_matches("SIG")), note),
        Err(_) => service.shown("stop_signal", quoted(text), format!("{note} launcher knows no such signal.")),
    }
}

/// What a health check shows: by when it is to be ready, and a port if it asks one.
pub fn take_health(service: &mut Service, health: &Health, word: &str) {
    let Health { command, limit, limit_words } = health;
    let note = format!("{word}: {limit_words}.");
    service.key("start_timeout", quoted(&exact_duration(*limit)), note);
    let urls = command.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
    let url =
        urls.filter(|word| word.starts_with("http://") || word.starts_with("https://")).find(|url| !url.contains('$'));
    match url {
        Some(url) => {
            let note = format!("It is ready when this answers. {word} runs: {command}");
            service.key("ready.http", format!("{{ url = {} }}", quoted(url)), note);
        }
        None => {
            let note = format!("It is ready when this command ends with 0, as {word} has it.");
            service.key("ready.exec", list(&shell::command(command)), note);
        }
    }
    if let Some((_, number)) = url.and_then(address).filter(|_| service.ports.is_empty()) {
        service.port(Port::any(number, format!("{word} asks this port.")));
    }
}
