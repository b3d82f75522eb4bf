//! From a Procfile, as foreman, honcho and Heroku read it: lines of `name: command`.

use super::command::look_at_command;
use super::write::{list, quoted};
use super::{Draft, Files, InitError, Port, Service, shell};

/// The port that foreman gives the first of them; each later one has 100 more.
const FIRST_PORT: u16 = 5000;

/// A service for each line.
///
/// # Errors
/// No line names a command.
pub fn from_procfile(text: &str, files: &dyn Files) -> Result<Draft, InitError> {
    let mut draft = Draft::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let fits = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        let pair = line.split_once(':').map(|(name, command)| (name.trim(), command.trim()));
        let Some((name, command)) = pair.filter(|(name, command)| fits(name) && !command.is_empty()) else {
            draft.notes.push(format!("This line is no \"name: command\" and was left out: {line}"));
            continue;
        };
        let index = u16::try_from(draft.services.len()).unwrap_or(0);
        let service = service(name, command, FIRST_PORT.saturating_add(index.saturating_mul(100)));
        if draft.services.iter().any(|other| other.name == service.name) {
            draft.notes.push(format!("A second line of the name {} was left out: {line}", service.name));
            continue;
        }
        draft.services.push(service);
    }
    if draft.services.is_empty() {
        return Err(InitError::new("the Procfile has no line of \"name: command\"", "write one: web: ./server"));
    }
    let released = draft.services.iter().any(|service| service.name == "release");
    let dotenv = files.text(".env").is_some();
    for service in &mut draft.services {
        if released && service.name != "release" {
            service.after.push("release".to_owned());
        }
        if dotenv {
            let note = "foreman and honcho read .env, too; the file is there.";
            service.key("environment_files", list(&[".env".to_owned()]), note);
        }
    }
    Ok(draft)
}

fn service(name: &str, command: &str, port: u16) -> Service {
    let mut service = Service::named(name);
    service.command = shell::command(command);
    if service.command.first().is_some_and(|first| first == "sh") && service.command.get(1).is_some_and(|c| c == "-c") {
        service
            .command_notes
            .push("It is given to a shell, as in the Procfile: variables and && are the shell's.".into());
    }
    let asks = command.contains("$PORT") || command.contains("${PORT");
    if asks || name == "web" {
        let why = if asks { "$PORT in the command is the number of this port" } else { "PORT is its number" };
        service.port(Port::any(port, format!("{why}; foreman would give {name} {port}.")));
    }
    if name == "release" {
        let note = "A release task ends before the others start; a process that stays would never count as done.";
        service.key("ready", quoted("exited"), note);
    }
    look_at_command(&mut service);
    service
}
