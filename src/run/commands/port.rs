//! `launcher port ADDRESS`: who holds a port, and what to do about it.

use serde::Serialize;

use crate::core::facts::{HoldState, OwnerFacts, PortProblem};
use crate::core::listen::parse_question;
use crate::core::port_words::{self, Asker, RawPortFailure};
use crate::core::report::mask;
use crate::core::settings::Listen;
use crate::run::args::UsageError;
use crate::sys::port;

/// What is found out about an address.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The address, as it was understood.
    pub address: String,
    /// Whether a program could bind it now.
    pub free: bool,
    /// What keeps it from being bound: `taken`, `privileged`, `no-such-address`, `other`.
    pub problem: Option<PortProblem>,
    /// Who holds it. A free address may have one still: TIME_WAIT, or the stale file of a Unix socket.
    pub owner: Option<OwnerFacts>,
    /// The answer in one sentence.
    pub summary: String,
    /// What can be done, to be followed literally.
    pub advice: Vec<String>,
}

/// Answers the question and gives the text to print on stdout: for a person, or one JSON object. The answer may be yes
/// or no: in both cases the question was answered, and the exit code is 0.
///
/// # Errors
/// What is wrong with the address: a wrong command line.
pub fn port(address: &str, json: bool) -> Result<String, UsageError> {
    let answer = ask(address)?;
    if json {
        let mut text = serde_json::to_string_pretty(&answer).unwrap_or_default();
        text.push('\n');
        return Ok(text);
    }
    let mut text = format!("{}\n", answer.summary);
    for line in &answer.advice {
        text.push_str(&format!("  try {line}\n"));
    }
    Ok(text)
}

/// Looks at each address that the question may mean. The first that is taken is the answer; when none is, the first
/// that could be bound; and when none could, the first there is.
fn ask(address: &str) -> Result<Answer, UsageError> {
    let listens = parse_question(address).map_err(|error| UsageError::from(error).of("port"))?;
    let mut answers: Vec<Answer> = listens.iter().map(look).collect();
    let chosen = answers
        .iter()
        .position(|answer| answer.problem == Some(PortProblem::Taken))
        .or_else(|| answers.iter().position(|answer| answer.free && answer.owner.is_some()))
        .or_else(|| answers.iter().position(|answer| answer.free))
        .unwrap_or(0);
    let mut answer = answers.swap_remove(chosen);
    answer.owner.iter_mut().for_each(mask::owner);
    Ok(answer)
}

fn look(listen: &Listen) -> Answer {
    let result = port::examine(listen);
    // A free address, too: what is in TIME_WAIT hinders who does not know how to pass over it.
    let owner = port::owner(listen, None);
    let address = listen.to_string();
    match result {
        Ok(()) => match owner {
            Some(owner) if matches!(owner.state, HoldState::TimeWait | HoldState::Stale) => Answer {
                free: true,
                problem: None,
                summary: port_words::taken(&address, listen, Some(&owner)),
                advice: port_words::free_it(Asker::Question, listen, Some(&owner)),
                owner: Some(owner),
                address,
            },
            // Connections of a server that is gone, say: they hinder nobody.
            _ => {
                let summary = format!("{address} is free");
                Answer { free: true, problem: None, summary, advice: Vec::new(), owner: None, address }
            }
        },
        Err(raw) => refused(listen, &raw, owner),
    }
}

fn refused(listen: &Listen, raw: &RawPortFailure, owner: Option<OwnerFacts>) -> Answer {
    // Whoever may not bind it may still want to know who has.
    let held = owner.as_ref().is_some_and(|owner| matches!(owner.state, HoldState::Listening | HoldState::Bound));
    let raw = match raw.problem {
        PortProblem::Privileged if held => &RawPortFailure { problem: PortProblem::Taken, ..raw.clone() },
        _ => raw,
    };
    let failure = port_words::failure(Asker::Question, "", listen, raw, owner);
    Answer {
        address: listen.to_string(),
        free: false,
        problem: Some(failure.problem),
        owner: failure.owner,
        summary: failure.summary,
        advice: failure.advice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing::{comes_to_be, own_port};
    use std::net::{TcpListener, TcpStream};

    fn json(address: &str) -> serde_json::Value {
        serde_json::from_str(&port(address, true).unwrap()).unwrap()
    }

    #[test]
    fn a_taken_port_is_told_with_its_owner_however_it_is_written() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = listener.local_addr().unwrap().port();
        let pid = std::process::id();
        for address in [
            format!("{number}"),
            format!(":{number}"),
            format!("127.0.0.1:{number}"),
            format!("tcp://127.0.0.1:{number}"),
            format!("localhost:{number}"),
        ] {
            let text = port(&address, false).unwrap();
            assert!(text.contains("is taken: ") && text.contains(&format!("pid {pid}")), "{address}: {text}");
            assert!(text.contains(&format!("kill {pid}")), "{text}");
            let json = json(&address);
            assert_eq!((&json["free"], &json["problem"]), (&false.into(), &"taken".into()));
            assert_eq!(json["owner"]["holders"][0]["pid"], pid);
        }
    }

    #[test]
    fn a_listener_on_ipv6_alone_is_found_by_the_bare_port() {
        let number = own_port();
        let _listener = TcpListener::bind(("::1", number)).unwrap();
        for address in [format!("{number}"), format!("localhost:{number}"), format!("[::1]:{number}")] {
            assert_eq!(json(&address)["free"], false, "{address}");
        }
        assert_eq!(json(&format!("127.0.0.1:{number}"))["free"], true);
    }

    #[test]
    fn a_free_port_is_called_free() {
        let number = own_port();
        let listener = TcpListener::bind(("127.0.0.1", number)).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        drop(listener);
        let address = format!("udp://127.0.0.1:{number}");
        assert_eq!(port(&address, false).unwrap(), format!("{address} is free\n"));
        let json = json(&address);
        assert_eq!((&json["free"], &json["owner"]), (&true.into(), &serde_json::Value::Null));
    }

    #[test]
    fn a_socket_of_unix_is_asked_by_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(json(path.to_str().unwrap())["owner"]["state"], "listening");
        drop(listener);
        let found = || {
            let json = json(&format!("unix:{}", path.display()));
            (json["free"].clone(), json["owner"]["state"].clone())
        };
        comes_to_be(&(true.into(), "stale".into()), found);
        assert!(path.exists());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for address in ["nowhere", "", "127.0.0.1", "auto", "99999"] {
            let error = port(address, false).unwrap_err().to_string();
            assert!(error.starts_with("launcher: ") && error.contains("launcher port --help"), "{address}: {error}");
        }
    }
}
