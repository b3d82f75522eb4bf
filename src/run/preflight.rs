//! What is checked before a generation starts: the user, the program, the ports. Finds, and puts into words.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::core::exec_words;
use crate::core::facts::{ExecFailure, PortFailure, PortProblem, Refusal};
use crate::core::port_words::{self, RawPortFailure};
use crate::core::settings::{PortSettings, ServiceSettings};
use crate::sys::users::{self, Identity};
use crate::sys::{executable, port};

/// Where programs are looked for when nothing says so: what Docker and systemd set.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Everything that is in the way of a service now, in the order in which it would be met. Nothing is held or changed.
pub fn findings(service: &ServiceSettings) -> Vec<Refusal> {
    let mut found = Vec::new();
    match user(service).and_then(|identity| program(service, &path(service), identity.as_ref())) {
        Ok(_) => {}
        Err(failure) => found.push(Refusal::Exec(failure)),
    }
    for settings in &service.ports {
        if let Err(raw) = port::examine(&settings.listen) {
            found.push(Refusal::Port(port_failure(&service.name, settings, &raw)));
        }
    }
    found
}

/// As whom the service runs, when that is another than the launcher's user.
///
/// # Errors
/// The user is not known.
pub fn user(service: &ServiceSettings) -> Result<Option<Identity>, ExecFailure> {
    let find = |text: &String| users::find(text).map_err(|error| exec_words::unknown_user(&error.to_string()));
    service.user.as_ref().map(find).transpose()
}

/// Where the service's program is looked for: the PATH of its environment as written, else the launcher's own.
pub fn path(service: &ServiceSettings) -> OsString {
    let own = || std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    service.environment.get("PATH").map_or_else(own, OsString::from)
}

/// The program of the service as it is to be executed after the change of directory.
///
/// # Errors
/// Why it cannot be executed.
pub fn program(service: &ServiceSettings, path: &OsStr, identity: Option<&Identity>) -> Result<PathBuf, ExecFailure> {
    let command = service.command.first().map(OsString::as_os_str).unwrap_or_default();
    let who = identity.map(|identity| (identity.uid, identity.groups.as_slice()));
    executable::examine(command, path, service.directory.as_deref(), who)
}

/// A port that could not be had, in words; when it is taken, with a search for who has it.
pub fn port_failure(service: &str, settings: &PortSettings, raw: &RawPortFailure) -> PortFailure {
    let taken = raw.problem == PortProblem::Taken;
    let owner = if taken { port::owner(&settings.listen, Some(service)) } else { None };
    port_words::failure(&settings.name, &settings.listen, raw, owner)
}
