//! Which launcher a command is for.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use crate::core::config::suggest;
use crate::core::control::choose::{Wanted, choose};
use crate::core::control::status::Status;
use crate::run::args::WhichArgs;

use super::client::{SOON, ask};
use super::place;

/// A launcher that runs.
pub struct Found {
    /// Its control socket.
    pub socket: PathBuf,
    /// How it stood when it was found.
    pub status: Status,
}

/// Finds it: by its socket, by its name, or by this folder.
///
/// # Errors
/// What to tell a person, without a line's end.
pub fn find(which: &WhichArgs) -> Result<Found, String> {
    if let Some(socket) = &which.control {
        let status = status(socket).map_err(|problem| unreachable(socket, &problem))?;
        return Ok(Found { socket: socket.clone(), status });
    }
    let (mut found, silent) = running();
    let folder = this_folder();
    let wanted = which.name.as_deref().map_or(Wanted::Folder(&folder), Wanted::Name);
    let running: Vec<_> = found.iter().map(|found| found.status.launcher.about.clone()).collect();
    match choose(&running, wanted) {
        Ok(index) => Ok(found.swap_remove(index)),
        Err(text) => Err(silent.into_iter().fold(text, |text, line| format!("{text}\n  also: {line}"))),
    }
}

/// All that are of this folder. None is no error, nor that one does not answer.
pub fn of_this_folder() -> Vec<Found> {
    let folder = this_folder();
    let mut found = running().0;
    found.retain(|found| found.status.launcher.about.folder == folder);
    found
}

/// All that answer in the usual folders, and of each of the others why it does not.
fn running() -> (Vec<Found>, Vec<String>) {
    let mut found: Vec<Found> = Vec::new();
    let mut silent = Vec::new();
    for socket in place::all() {
        match status(&socket) {
            // A launcher with two doors, as when one was chosen to be in such a folder.
            Ok(status) if found.iter().any(|other| other.status.launcher.about == status.launcher.about) => {}
            Ok(status) => found.push(Found { socket, status }),
            // Its launcher was killed; the next one that starts clears it away.
            Err(problem) if is_dead(&problem) => {}
            Err(problem) => silent.push(unreachable(&socket, &problem)),
        }
    }
    (found, silent)
}

fn this_folder() -> String {
    std::env::current_dir().and_then(std::fs::canonicalize).unwrap_or_default().display().to_string()
}

fn status(socket: &Path) -> io::Result<Status> {
    let text = ask(socket, "GET", "/status", Some(SOON))?.text()?;
    serde_json::from_str(&text).map_err(|_| io::Error::other("what answers there is no launcher"))
}

fn is_dead(problem: &io::Error) -> bool {
    matches!(problem.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

/// Why a launcher cannot be asked.
pub fn unreachable(socket: &Path, problem: &io::Error) -> String {
    let is_socket = std::fs::metadata(socket).is_ok_and(|found| found.file_type().is_socket());
    let socket = socket.display();
    match problem.kind() {
        io::ErrorKind::ConnectionRefused if !is_socket => {
            format!("{socket} is no socket, so no launcher is asked there")
        }
        io::ErrorKind::NotFound => format!("no launcher has its control socket at {socket}: there is no such file"),
        io::ErrorKind::ConnectionRefused => format!("the launcher of {socket} runs no more"),
        io::ErrorKind::PermissionDenied => format!("{socket} is of another user's launcher: only that user may ask it"),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("the launcher of {socket} does not answer: it may be stopped (SIGSTOP), or the machine is busy")
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            format!("the launcher of {socket} has ended")
        }
        _ => format!("{socket}: {problem}"),
    }
}

/// That a launcher has no service of this name, and which it has.
pub fn no_service(status: &Status, name: &str) -> String {
    let known = status.services.iter().map(|service| service.name.as_str());
    let there = known.clone().collect::<Vec<_>>().join(", ");
    format!("{}; there is {there}", suggest::unknown("service", name, known))
}
