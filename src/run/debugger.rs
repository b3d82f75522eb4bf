//! Services that are run under a debugger (`--debug`): what they are, whether the debugger is there, and where it waits.
//! What it is told is decided in [`crate::core::debug`].

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::core::config::suggest;
use crate::core::debug::{self, Runtime, Subject};
use crate::core::exit::code;
use crate::core::settings::{ServiceSettings, Settings};
use crate::run::args::{LoadError, UsageError};
use crate::run::preflight;
use crate::sys::executable;

/// Where the debugger of each service waits: the same when the file is read again.
static PLACES: Mutex<BTreeMap<String, SocketAddr>> = Mutex::new(BTreeMap::new());

/// Puts these services under their debuggers.
///
/// # Errors
/// The first that there is not, or that cannot be debugged, with what to do about it.
pub fn put_under(settings: &mut Settings, names: &[String]) -> Result<(), LoadError> {
    for name in names {
        let known: Vec<String> = settings.services.iter().map(|service| service.name.clone()).collect();
        let Some(service) = settings.services.iter_mut().find(|service| service.name == *name) else {
            let message = suggest::unknown("service", name, known.iter().map(String::as_str));
            return Err(
                UsageError::new(format!("--debug: {message}"), format!("there are {}", known.join(", "))).into()
            );
        };
        if service.debugged.is_none() {
            one(service)?;
        }
    }
    Ok(())
}

fn one(service: &mut ServiceSettings) -> Result<(), LoadError> {
    let name = service.name.clone();
    let wrong = |reason: String, remedy: String, exit_code| LoadError::Debugger {
        service: name.clone(),
        reason,
        remedy,
        exit_code,
    };
    let program = preflight::find_program(service).map_err(|failure| {
        let remedy = failure.advice.first().cloned().unwrap_or_else(|| "launcher check".to_owned());
        wrong(failure.summary.clone(), remedy, failure.problem.exit_code())
    })?;
    let place = service.directory.as_deref().map_or_else(|| program.clone(), |directory| directory.join(&program));
    let kind = executable::kind_of(&place);
    let kind = kind.map_err(|problem| {
        wrong(format!("{}: {problem}", place.display()), "launcher check".to_owned(), code::NOT_EXECUTABLE)
    })?;
    let not_debugged = |why: debug::NoDebugger| {
        wrong(why.to_string(), format!("start it without --debug {name}"), code::NOT_EXECUTABLE)
    };
    let subject = Subject::of(&service.command, &program, &kind).map_err(not_debugged)?;
    let tool = match tool(service, &subject) {
        Ok(tool) => tool,
        Err(missing) => return Err(wrong(missing, subject.runtime.remedy(&subject.words), code::NOT_FOUND)),
    };
    debug::put_under(service, &subject, place_of(&name, subject.runtime), &tool).map_err(not_debugged)
}

/// Where the debugger is, if it is a program of its own.
///
/// # Errors
/// That it is missing, in words.
fn tool(service: &ServiceSettings, subject: &Subject) -> Result<OsString, String> {
    if let Some(tool) = subject.runtime.tool() {
        return find(service, tool).ok_or_else(|| format!("{tool}, its debugger, is not on PATH"));
    }
    match subject.runtime {
        Runtime::Python if !has_debugpy(service, &subject.words[0]) => {
            Err("debugpy, its debugger, is not among the modules of its Python".to_owned())
        }
        _ => Ok(OsString::new()),
    }
}

fn find(service: &ServiceSettings, tool: &str) -> Option<OsString> {
    let own = preflight::own_path();
    let go = std::env::var_os("HOME").map(|home| Path::new(&home).join("go/bin"));
    let path = preflight::path(service);
    let folders = std::env::split_paths(&path).chain(std::env::split_paths(&own)).chain(go);
    folders.map(|folder| folder.join(tool)).find(|path| path.is_file()).map(OsString::from)
}

/// Asks the interpreter itself, as the service would start it.
fn has_debugpy(service: &ServiceSettings, python: &OsStr) -> bool {
    let mut command = Command::new(python);
    command.args(["-c", "import importlib.util as u, sys; sys.exit(u.find_spec('debugpy') is None)"]);
    command.envs(&service.environment).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(directory) = &service.directory {
        command.current_dir(directory);
    }
    // What cannot be asked is left to the start, which will say what is in the way.
    command.status().map_or(true, |status| status.success())
}

/// The port where clients look by themselves, or one that is free.
fn place_of(service: &str, runtime: Runtime) -> SocketAddr {
    let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(place) = places.get(service) {
        return *place;
    }
    let taken = |port| places.values().any(|place| place.port() == port);
    let usual = Some(runtime.usual_port()).filter(|port| !taken(*port));
    let free = |port: u16| TcpListener::bind(debug::address(port)).and_then(|listener| listener.local_addr()).ok();
    let place = usual.and_then(free).or_else(|| free(0)).unwrap_or_else(|| debug::address(runtime.usual_port()));
    places.insert(service.to_owned(), place);
    place
}
