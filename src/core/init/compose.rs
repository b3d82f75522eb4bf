//! From a docker compose file. What is built here becomes a service; what only is an image (a database) becomes a
//! requirement of the services that depend on it.

use std::collections::BTreeMap;

use crate::core::files::tree::{Node, Value};
use crate::core::files::yaml;

use super::command::look_at_command;
use super::dockerfile::{self, Health, Image, take_health, take_signal};
use super::write::{list, quoted};
use super::{Draft, Files, InitError, Service, shell};

mod network;

/// Keys that say nothing that launcher could do, or nothing that it needs.
const SILENT: [&str; 9] =
    ["build", "image", "container_name", "hostname", "labels", "logging", "stdin_open", "platform", "pull_policy"];

/// Keys that are read.
const READ: [&str; 15] = [
    "command",
    "entrypoint",
    "environment",
    "env_file",
    "ports",
    "expose",
    "depends_on",
    "user",
    "working_dir",
    "stop_signal",
    "stop_grace_period",
    "healthcheck",
    "restart",
    "tty",
    "profiles",
];

/// All that is known while a file is read.
struct Reader<'a> {
    files: &'a dyn Files,
    variables: BTreeMap<String, String>,
    /// Variables that nothing sets.
    unknown: Vec<String>,
}

/// Services and requirements.
///
/// # Errors
/// It is no YAML, or has no services that launcher could run.
pub fn from_compose(text: &str, files: &dyn Files) -> Result<Draft, InitError> {
    let root = yaml::read(text).map_err(|problems| {
        let first = problems.into_iter().next();
        first.map_or_else(|| InitError::new("this is no YAML", "correct it"), |of| InitError::new(of.message, of.hint))
    })?;
    let Some(services) = get(&root, "services").filter(|node| matches!(node.value, Value::Table(_))) else {
        return Err(InitError::new("the compose file has no services", "name the file: launcher init FILE"));
    };
    let mut reader = Reader { files, variables: dotenv(files), unknown: Vec::new() };
    let all: Vec<(&str, &Node)> = services.keys().filter_map(|name| Some((name, get(services, name)?))).collect();
    let mut draft = Draft::default();
    let mut servers: BTreeMap<&str, Option<(String, String)>> = BTreeMap::new();
    for (name, node) in &all {
        match reader.service(name, node)? {
            Some(service) => draft.services.push(service),
            None => {
                let server = reader.server(name, node);
                draft.notes.push(match &server {
                    Some((url, _)) => format!(
                        "{name} only is an image, so it is no service here: what depends on it waits for {url}."
                    ),
                    None => {
                        format!("{name} only is an image whose command and port are not known here: it was left out.")
                    }
                });
                servers.insert(name, server);
            }
        }
    }
    if draft.services.is_empty() {
        let hint = "launcher runs programs, not images: name the command, launcher init -- COMMAND";
        return Err(InitError::new(
            "no service of the compose file says what it runs (build, command or entrypoint)",
            hint,
        ));
    }
    for (name, node) in &all {
        connect(&mut draft, name, node, &servers);
    }
    reader.unknown.sort();
    reader.unknown.dedup();
    if !reader.unknown.is_empty() {
        let names = reader.unknown.join(", ");
        draft.notes.push(format!(
            "Nothing sets {names}, which the compose file names by ${{…}}: nothing stands in their place."
        ));
    }
    Ok(draft)
}

/// Compose reads the variables of `.env` beside the file.
fn dotenv(files: &dyn Files) -> BTreeMap<String, String> {
    let text = files.text(".env").unwrap_or_default();
    crate::core::config::dotenv::parse(&text).unwrap_or_default().into_iter().collect()
}

/// What comes after what, by `depends_on`.
fn connect(draft: &mut Draft, name: &str, node: &Node, servers: &BTreeMap<&str, Option<(String, String)>>) {
    let own = Service::named(name).name;
    for (other, condition) in depends_on(node) {
        match servers.get(other.as_str()) {
            Some(Some(server)) => {
                if let Some(service) = draft.services.iter_mut().find(|service| service.name == own) {
                    service.requirements.push(server.clone());
                }
            }
            Some(None) => {}
            None => {
                let other = Service::named(&other).name;
                let Some(needed) = draft.services.iter_mut().find(|service| service.name == other) else { continue };
                if condition == "service_completed_successfully" && !needed.keys.iter().any(|key| key.name == "ready") {
                    let note = format!("{name} depends on its end (service_completed_successfully).");
                    // One way to be ready, and this is the one that is waited for.
                    needed.keys.retain(|key| !key.name.starts_with("ready."));
                    needed.key("ready", quoted("exited"), note);
                }
                if let Some(service) = draft.services.iter_mut().find(|service| service.name == own) {
                    service.after.push(other);
                }
            }
        }
    }
}

fn depends_on(node: &Node) -> Vec<(String, String)> {
    let Some(node) = get(node, "depends_on") else { return Vec::new() };
    match &node.value {
        Value::List(names) => names.iter().filter_map(|name| Some((plain(name)?, String::new()))).collect(),
        Value::Table(_) => {
            let condition = |name| get(node, name).and_then(|of| get(of, "condition")).and_then(plain);
            node.keys().map(|name| (name.to_owned(), condition(name).unwrap_or_default())).collect()
        }
        _ => Vec::new(),
    }
}

/// The value of a key; of a merged table (`<<`), too.
fn get<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Value::Table(entries) = &node.value else { return None };
    let own = entries.iter().rev().find(|entry| entry.key == key).map(|entry| &entry.node);
    own.or_else(|| {
        let merged = entries.iter().filter(|entry| entry.key == "<<").flat_map(|entry| match &entry.node.value {
            Value::List(nodes) => nodes.iter().collect(),
            _ => vec![&entry.node],
        });
        merged.filter_map(|node| get(node, key)).next()
    })
}

/// A value that is one text, as written.
fn plain(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) | Value::Number(text) => Some(text.clone()),
        Value::Boolean(value) => Some(value.to_string()),
        Value::Null | Value::List(_) | Value::Table(_) => None,
    }
}

impl Reader<'_> {
    /// A value that is one text, with variables put in.
    fn text(&mut self, node: &Node) -> Option<String> {
        let text = plain(node)?;
        let Reader { variables, unknown, .. } = self;
        Some(shell::substitute(&text, true, &|name| variables.get(name).cloned(), unknown))
    }

    fn text_of(&mut self, node: &Node, key: &str) -> Option<String> {
        get(node, key).and_then(|node| self.text(node))
    }

    /// A value that is a text or a list of them.
    fn texts(&mut self, node: &Node) -> Vec<String> {
        match &node.value {
            Value::List(nodes) => nodes.iter().filter_map(|node| self.text(node)).collect(),
            _ => self.text(node).into_iter().collect(),
        }
    }

    /// A command: a list of words, or a text that is split as a shell does, without being one.
    fn words(&mut self, node: &Node) -> Vec<String> {
        match &node.value {
            Value::List(_) => self.texts(node),
            _ => self
                .text(node)
                .map(|text| shell::plain_words(&text).unwrap_or_else(|| shell::command(&text)))
                .unwrap_or_default(),
        }
    }

    /// One service; `None` when it does not say what it runs.
    fn service(&mut self, name: &str, node: &Node) -> Result<Option<Service>, InitError> {
        let mut service = Service::named(name);
        let entrypoint = get(node, "entrypoint").map(|node| self.words(node)).unwrap_or_default();
        let command = get(node, "command").map(|node| self.words(node)).unwrap_or_default();
        let build = self.build(node);
        if build.is_none() && entrypoint.is_empty() && (command.is_empty() || self.server(name, node).is_some()) {
            return Ok(None);
        }
        let image = match &build {
            Some((context, dockerfile)) => match self.files.text(&join(context, dockerfile)) {
                Some(text) => Some(dockerfile::image(&text)?),
                None => None,
            },
            None => None,
        };
        command_of(&mut service, entrypoint, command, image.as_ref());
        if service.command.is_empty() {
            service.command = vec![format!("./{name}")];
            service
                .command_notes
                .push("Neither the compose file nor a Dockerfile says what it runs: write it here.".into());
        }
        self.place(&mut service, node, build.as_ref(), image.as_ref());
        self.environment(&mut service, node, image.as_ref());
        self.ports(&mut service, node);
        self.life(&mut service, node);
        if let Some(image) = &image {
            let mut image = image.clone();
            if !service.ports.is_empty() {
                image.ports.clear();
            }
            let has = |service: &Service, name| service.keys.iter().any(|key| key.name == name);
            image.stop_signal.take_if(|_| has(&service, "stop_signal"));
            image.health.take_if(|_| has(&service, "start_timeout"));
            dockerfile::take_rest(&mut service, &image);
        }
        look_at_command(&mut service);
        let left: Vec<&str> = node
            .keys()
            .filter(|key| *key != "<<" && !key.starts_with("x-") && !READ.contains(key) && !SILENT.contains(key))
            .collect();
        if !left.is_empty() {
            service.notes.push(format!("Not taken over: {}.", left.join(", ")));
        }
        Ok(Some(service))
    }

    /// Where it is built, and by which Dockerfile.
    fn build(&mut self, node: &Node) -> Option<(String, String)> {
        let build = get(node, "build")?;
        let context = self.text(build).or_else(|| self.text_of(build, "context")).unwrap_or_else(|| ".".to_owned());
        let dockerfile = self.text_of(build, "dockerfile").unwrap_or_else(|| "Dockerfile".to_owned());
        Some((context, dockerfile))
    }

    fn place(&mut self, service: &mut Service, node: &Node, build: Option<&(String, String)>, image: Option<&Image>) {
        let workdir = self.text_of(node, "working_dir").or_else(|| image.map(|image| image.directory.clone()));
        let workdir = workdir.filter(|path| !path.is_empty());
        match (build, workdir) {
            (Some((context, _)), workdir) if context != "." => {
                let there = workdir.map(|path| format!(" In the image that is {path}.")).unwrap_or_default();
                service.key("directory", quoted(context), format!("Where it is built.{there}"));
            }
            (_, Some(path)) => {
                service.shown("directory", quoted(&path), "Where it is in the image; here, this folder.")
            }
            _ => {}
        }
        let user = self.text_of(node, "user").or_else(|| image.and_then(|image| image.user.clone()));
        if let Some(user) = user {
            let name = user.split(':').next().unwrap_or_default();
            service.shown("user", quoted(name), "Its user in the container; only root can start it as another.");
        }
    }

    fn environment(&mut self, service: &mut Service, node: &Node, image: Option<&Image>) {
        let mut all: Vec<(String, String)> = image.map(|image| image.environment.clone()).unwrap_or_default();
        let mut put = |name: &str, value: Option<String>| {
            all.retain(|(other, _)| other != name);
            all.extend(value.map(|value| (name.to_owned(), value)));
        };
        if let Some(environment) = get(node, "environment") {
            match &environment.value {
                Value::List(nodes) => {
                    for text in nodes.iter().filter_map(|node| self.text(node)) {
                        // A name alone is passed on from whoever starts it, as launcher does with all.
                        if let Some((name, value)) = text.split_once('=') {
                            put(name, Some(value.to_owned()));
                        }
                    }
                }
                _ => {
                    for name in environment.keys() {
                        let value = get(environment, name).and_then(|node| self.text(node));
                        put(name, value);
                    }
                }
            }
        }
        // What launcher sets itself is refused in a file.
        all.retain(|(name, _)| !name.is_empty() && !crate::core::environment::OWN_VARIABLES.contains(&name.as_str()));
        service.environment = all;
        let Some(node) = get(node, "env_file") else { return };
        let files: Vec<String> = match &node.value {
            Value::List(nodes) => {
                nodes.iter().filter_map(|node| self.text(node).or_else(|| self.text_of(node, "path"))).collect()
            }
            Value::Table(_) => self.text_of(node, "path").into_iter().collect(),
            _ => self.text(node).into_iter().collect(),
        };
        service.key("environment_files", list(&files), "env_file.");
    }

    /// How it is stopped, started again, and seen to be healthy.
    fn life(&mut self, service: &mut Service, node: &Node) {
        if let Some(signal) = self.text_of(node, "stop_signal") {
            take_signal(service, &signal, "stop_signal.");
        }
        if let Some(text) = self.text_of(node, "stop_grace_period")
            && let Some(period) = dockerfile::docker_duration(&text)
        {
            let note = "stop_grace_period. All together must stop within [launcher] stop_budget (9s).";
            service.key("stop_timeout", quoted(&crate::core::units::exact_duration(period)), note);
        }
        if let Some(check) = get(node, "healthcheck") {
            let test = get(check, "test").map(|node| self.texts(node)).unwrap_or_default();
            let words: Vec<String> = test.into_iter().filter(|word| word != "CMD" && word != "CMD-SHELL").collect();
            let mut option = |name| self.text_of(check, name);
            let (start, interval, retries) = (option("start_period"), option("interval"), option("retries"));
            let off = option("disable").is_some_and(|text| text == "true")
                || words.first().is_some_and(|word| word == "NONE");
            if !off && !words.is_empty() {
                let health = Health::new(words.join(" "), start.as_deref(), interval.as_deref(), retries.as_deref());
                take_health(service, &health, "healthcheck");
            }
        }
        if self.text_of(node, "tty").is_some_and(|text| text == "true") {
            service.key("terminal", "true".to_owned(), format!("tty: launcher attach {} is at it.", service.name));
        }
        if let Some(restart) = self.text_of(node, "restart") {
            let (policy, times) = restart.split_once(':').map_or((restart.as_str(), None), |(a, b)| (a, Some(b)));
            let policy = match policy {
                "no" | "false" => "never",
                "on-failure" => "on-failure",
                _ => "always",
            };
            service.key("restart.policy", quoted(policy), format!("restart: {restart}."));
            if let Some(times) = times.and_then(|times| times.parse::<u32>().ok()) {
                service.key("restart.max_failures", times.to_string(), "So often it may fail in a row.");
            }
        }
    }
}

/// What it runs: `entrypoint` and `command` stand for those of the image.
fn command_of(service: &mut Service, entrypoint: Vec<String>, command: Vec<String>, image: Option<&Image>) {
    if !entrypoint.is_empty() {
        // An entrypoint forgets the CMD of the image.
        service.command = entrypoint.into_iter().chain(command).collect();
        return;
    }
    let mut image = image.cloned().unwrap_or_default();
    if !command.is_empty() {
        service.command_notes.push("command.".to_owned());
        image.command = Some(dockerfile::Run::Exec(command));
        if image.entrypoint.is_none() {
            service.command = image.command.map(|run| run.words()).unwrap_or_default();
            return;
        }
    }
    dockerfile::take_command(service, &image);
}

/// A path seen from the compose file's folder.
fn join(folder: &str, file: &str) -> String {
    match folder {
        _ if file.starts_with('/') => file.to_owned(),
        "." | "./" => file.to_owned(),
        folder => format!("{}/{file}", folder.trim_end_matches('/')),
    }
}
