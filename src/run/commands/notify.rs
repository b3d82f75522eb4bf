//! `launcher notify KEY=VALUE...`: `sd_notify(3)` for shell scripts.

use std::ffi::OsStr;
use std::io;
use std::time::Duration;

use crate::core::exit::code;
use crate::run::args::NotifyArgs;
use crate::sys::notify_socket;

/// How long is waited for room in the socket, and then for the message to be processed, as `systemd-notify` does.
const LIMIT: Duration = Duration::from_secs(5);

/// `launcher notify`: returns the exit code, 2 for what is no assignment and 125 for what could not be told.
pub fn run(args: &NotifyArgs) -> i32 {
    let assignments: Vec<String> = args.assignments.iter().map(|text| text.to_string_lossy().into_owned()).collect();
    let wrong = message(&assignments).err().map(|problem| (problem, code::USAGE));
    let told = || notify(&assignments, !args.no_block).err().map(|problem| (problem, code::INTERNAL));
    match wrong.or_else(told) {
        None => 0,
        Some((problem, code)) => {
            eprintln!("launcher: {problem}");
            code
        }
    }
}

/// Sends the assignments as one message to the socket that `NOTIFY_SOCKET` names and, with `block`, waits up to 5 seconds
/// until it was processed: a script that ends at once is still known as part of its service then.
///
/// # Errors
/// A text for a person: an argument is no assignment, there is no socket, or nobody listens.
pub fn notify(assignments: &[String], block: bool) -> Result<(), String> {
    let socket = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty());
    send(socket.as_deref(), assignments, block)
}

fn send(socket: Option<&OsStr>, assignments: &[String], block: bool) -> Result<(), String> {
    let message = message(assignments)?;
    let socket = socket.ok_or(
        "NOTIFY_SOCKET is not set: this is not run by a service manager that wants to be told, or the variable was removed",
    )?;
    let failed = |error: io::Error| {
        let shown = socket.to_string_lossy();
        match error.kind() {
            io::ErrorKind::WouldBlock => format!("the service manager at {shown} takes no messages: gave up after 5 s"),
            io::ErrorKind::InvalidInput => format!("NOTIFY_SOCKET={shown} cannot be used: {error}"),
            _ => format!("sending to NOTIFY_SOCKET={shown}: {error}"),
        }
    };
    notify_socket::send(socket, message.as_bytes(), &[], LIMIT).map_err(failed)?;
    if block && !notify_socket::barrier(socket, LIMIT).map_err(failed)? {
        return Err("the message was sent, but not processed within 5 s".to_owned());
    }
    Ok(())
}

fn message(assignments: &[String]) -> Result<String, String> {
    if assignments.is_empty() {
        return Err("nothing to send: name at least one KEY=VALUE, such as READY=1".to_owned());
    }
    for assignment in assignments {
        let is_key = |key: &str| {
            !key.is_empty()
                && key.bytes().all(|byte| byte == b'_' || byte.is_ascii_uppercase() || byte.is_ascii_digit())
        };
        match assignment.split_once('=') {
            Some(("BARRIER", _)) => {
                return Err("BARRIER= is sent by itself after every message: leave it out".to_owned());
            }
            Some((key, value)) if is_key(key) && !value.contains('\n') => {}
            Some((key, _)) if is_key(key) => return Err(format!("the value of {key} must be one line")),
            _ => return Err(format!("{assignment:?} is not KEY=VALUE with a key such as READY or STATUS")),
        }
    }
    Ok(assignments.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::notify::Message;
    use crate::sys::notify_socket::NotifySocket;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn all_assignments_are_one_message() {
        let socket = NotifySocket::bind().unwrap();
        send(Some(OsStr::new(socket.address())), &words(&["READY=1", "STATUS=it = serves"]), false).unwrap();
        let message = Message::parse(&socket.receive().unwrap().unwrap().bytes);
        assert!(message.ready);
        assert_eq!(message.status.as_deref(), Some("it = serves"));
    }

    #[test]
    fn what_is_no_assignment_is_refused() {
        for word in ["READY", "=1", "ready=1", "A B=1", "STATUS=a\nREADY=1", "BARRIER=1", ""] {
            assert!(message(&words(&[word])).is_err(), "{word:?}");
        }
        assert!(message(&[]).is_err());
    }

    #[test]
    fn the_error_names_the_socket() {
        assert!(send(None, &words(&["READY=1"]), false).unwrap_err().contains("NOTIFY_SOCKET is not set"));
        let error = send(Some(OsStr::new("/nonexistent/socket")), &words(&["READY=1"]), false).unwrap_err();
        assert!(error.contains("/nonexistent/socket"), "{error}");
        let error = send(Some(OsStr::new("@nobody-is-here")), &words(&["READY=1"]), false).unwrap_err();
        assert!(error.contains("refused"), "{error}");
    }
}
