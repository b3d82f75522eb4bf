//! The files that a service reads, and the variables it must have: looked at before its start.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::path::Path;
use std::rc::Rc;

use crate::core::config::ConfigErrors;
use crate::core::config::suggest;
use crate::core::facts::{FileFailure, FilePlace};
use crate::core::files::Problem;
use crate::core::files::check::{self, Expected, Variables};
use crate::core::files::schema::{Schema, Source, Wrong};
use crate::core::files::variables;
use crate::core::settings::{FileSettings, ServiceSettings};
use crate::run::environment::{self, Special};
use crate::run::preflight;
use crate::sys::environment::inherited;
use crate::sys::readable::{self, Unreadable};
use crate::sys::users::Identity;

/// The environment that a service will have, as far as it is known before its start.
#[derive(Debug)]
struct Environment(BTreeMap<String, String>);

impl Environment {
    fn of(service: &ServiceSettings, identity: Option<&Identity>) -> Environment {
        let mut set = Vec::new();
        for file in &service.environment_files {
            // That one cannot be read is a finding of its own.
            set.extend(preflight::environment_file(file).unwrap_or_default());
        }
        set.extend(service.environment.iter().map(|(name, value)| (name.clone(), value.clone())));
        let special = Special {
            service: &service.name,
            user: identity,
            // A port `auto` has no number yet, but its variable will be there.
            ports: service.ports.iter().map(|port| (port.name.as_str(), port.listen.port().unwrap_or(1))).collect(),
            ..Special::default()
        };
        let all = environment::build(inherited(), set, &special).unwrap_or_default();
        let pair = |variable: &CStr| {
            let text = variable.to_string_lossy();
            text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        Environment(all.iter().filter_map(|variable| pair(variable)).collect())
    }
}

impl Variables for Environment {
    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn near(&self, name: &str) -> Option<String> {
        suggest::closest(name, self.0.keys().map(String::as_str)).map(str::to_owned)
    }
}

/// Stack for schemas, which are followed into each other and into the depth of a file. What is not used costs nothing.
const STACK: usize = 64 << 20;

/// Everything that is wrong with the files and the variables of a service.
pub fn problems(service: &ServiceSettings, identity: Option<&Identity>) -> Vec<FileFailure> {
    if service.files.is_empty() && service.required_environment.is_empty() {
        return Vec::new();
    }
    if service.files.iter().all(|file| file.schema.is_none()) {
        return look(service, identity);
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("schema".into()).stack_size(STACK);
        let looked = thread.spawn_scoped(scope, || look(service, identity)).map(|thread| thread.join());
        match looked {
            Ok(Ok(failures)) => failures,
            Ok(Err(_)) => vec![not_judged("launcher has a fault there")],
            Err(problem) => vec![not_judged(&format!("there is no thread for it: {problem}"))],
        }
    })
}

fn not_judged(why: &str) -> FileFailure {
    FileFailure {
        code: "schema-unusable",
        summary: format!("files cannot be judged by their schema: {why}"),
        advice: vec!["leave out schema to start without it".to_owned()],
        place: None,
        shown: None,
        warning: false,
    }
}

fn look(service: &ServiceSettings, identity: Option<&Identity>) -> Vec<FileFailure> {
    let environment = Environment::of(service, identity);
    let required = &service.required_environment;
    let value = |name: &str| environment.0.get(name).cloned();
    let mut failures: Vec<FileFailure> = variables::check(required, &value, &environment)
        .into_iter()
        .map(|problem| FileFailure {
            code: problem.code,
            summary: problem.message,
            advice: vec![problem.hint],
            place: None,
            shown: None,
            warning: false,
        })
        .collect();
    // Several files may have one schema: it is compiled, and its own faults are told, once.
    let mut schemas = BTreeMap::new();
    for path in service.files.iter().filter_map(|file| file.schema.as_deref()) {
        let compiled = schemas.entry(path).or_insert_with(|| schema(path));
        if let Err(wrong) = compiled {
            failures.append(wrong);
        }
    }
    for file in &service.files {
        let schema = file.schema.as_deref().and_then(|path| schemas.get(path)?.as_ref().ok());
        failures.extend(file_problems(file, schema, &environment, identity));
    }
    failures
}

fn file_problems(
    file: &FileSettings,
    schema: Option<&Schema>,
    environment: &Environment,
    identity: Option<&Identity>,
) -> Vec<FileFailure> {
    let who = identity.map(|identity| (identity.uid, identity.groups.as_slice()));
    let bytes = match readable::read(&file.path, who) {
        Ok(bytes) => bytes,
        Err(why) => return vec![unreadable(&file.path, why, identity)],
    };
    let Some(format) = file.format else { return Vec::new() };
    let shown = file.path.display().to_string();
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let problem = Problem::syntax(at..at + 1, "this is not UTF-8", "save the file as UTF-8");
            return vec![placed(&shown, &text, problem)];
        }
    };
    let variables: Option<&dyn Variables> = if file.placeholders { Some(environment) } else { None };
    let expected = Expected { format, required: &file.required, schema, variables };
    check::check(&text, &expected).into_iter().map(|problem| placed(&shown, &text, problem)).collect()
}

/// The schema in a file; else everything that is wrong with it.
fn schema(path: &Path) -> Result<Schema, Vec<FileFailure>> {
    let failure = |wrong: Wrong| match wrong.place {
        Some((file, text)) => placed(&file, &text, wrong.problem),
        None => FileFailure {
            code: wrong.problem.code,
            summary: wrong.problem.message,
            advice: vec![wrong.problem.hint],
            place: None,
            shown: None,
            warning: false,
        },
    };
    // A folder that is gone has no paths; then it cannot be read either, and that is told.
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let all = |wrong: Vec<Wrong>| wrong.into_iter().map(failure).collect();
    Schema::of(&whole, &path.display().to_string(), Rc::new(Files)).map_err(all)
}

/// The files of this host, read as the launcher's user: a schema is no concern of the service.
#[derive(Debug)]
struct Files;

impl Source for Files {
    fn read(&self, path: &Path) -> Result<String, (&'static str, String)> {
        let bytes = readable::read(path, None).map_err(|why| {
            let failure = unreadable(path, why, None);
            let code = if failure.code == "file-missing" { "schema-missing" } else { "schema-unreadable" };
            (code, format!("the schema cannot be read: {}", failure.summary))
        })?;
        let not_text = |_| ("schema-unreadable", format!("the schema {} is not UTF-8", path.display()));
        String::from_utf8(bytes).map_err(not_text)
    }
}

fn unreadable(path: &Path, why: Unreadable, identity: Option<&Identity>) -> FileFailure {
    let shown = path.display();
    let who = match identity.and_then(|identity| identity.name.as_ref()) {
        Some(name) => name.clone(),
        None => identity.map_or_else(|| "launcher's user".to_owned(), |identity| format!("uid {}", identity.uid)),
    };
    let (code, summary, advice) = match why {
        Unreadable::Missing => {
            ("file-missing", format!("the file {shown} does not exist"), format!("make {shown}, or correct its path"))
        }
        Unreadable::NoFile => ("file-missing", format!("{shown} is no file"), "name the file itself".to_owned()),
        Unreadable::TooLarge => {
            ("file-unreadable", format!("{shown} has more than 16 MiB"), "it is too large to be looked into".to_owned())
        }
        Unreadable::Closed { mode } => (
            "file-unreadable",
            format!("{who} may not read {shown}{}", mode.map(|mode| format!(" (mode {mode:04o})")).unwrap_or_default()),
            format!("let {who} read it: chmod or chown {shown}"),
        ),
        Unreadable::Other(problem) => {
            ("file-unreadable", format!("{shown} cannot be read: {problem}"), format!("look at {shown}"))
        }
    };
    FileFailure { code, summary, advice: vec![advice], place: None, shown: None, warning: false }
}

/// A problem with the line that it is in.
fn placed(file: &str, text: &str, problem: Problem) -> FileFailure {
    let errors = ConfigErrors::of_file(file, text, problem.span.clone(), &problem.message);
    let (line, column) = errors.errors().first().map_or((1, 1), |error| errors.position(error));
    FileFailure {
        code: problem.code,
        summary: format!("{file}:{line}:{column}: {}", problem.message),
        advice: vec![problem.hint],
        place: Some(FilePlace { file: file.to_owned(), line, column }),
        shown: Some(errors.snippet()),
        warning: problem.warning,
    }
}
