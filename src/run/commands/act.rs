//! `launcher start`, `stop`, `restart`, `promote`, `rollback`, `reload` and `signal`: a running launcher is asked to do
//! something, and says what came of it.

use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::core::config::value;
use crate::core::control::status::ServiceStatus;
use crate::core::control::{Outcome, Status};
use crate::core::exit::code;
use crate::core::reload::Reloaded;
use crate::core::report::text;
use crate::run::args::{RestartArgs, ServiceArgs, SignalArgs, UsageError};
use crate::run::control::client::{Answered, SOON, ask};
use crate::run::control::find::{self, Found};
use crate::run::print;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Act {
    Start,
    Stop,
    Restart,
    Reload,
    Promote,
    Rollback,
}

impl Act {
    /// As a path and a command line have it.
    fn name(self) -> &'static str {
        match self {
            Act::Start => "start",
            Act::Stop => "stop",
            Act::Restart => "restart",
            Act::Reload => "reload",
            Act::Promote => "promote",
            Act::Rollback => "rollback",
        }
    }
}

/// Has it done, and returns the exit code.
pub fn act(act: Act, args: &ServiceArgs) -> i32 {
    let wait = if args.no_wait { "?wait=0" } else { "" };
    let done = find::find(&args.which).and_then(|found| match &args.service {
        Some(service) => one(&found, service, act.name(), wait),
        None if act == Act::Stop => Ok(stop_all(&found, wait)),
        None if act == Act::Reload => reload(&found, wait),
        None if matches!(act, Act::Promote | Act::Rollback) => {
            canaries(&found, |name| one(&found, name, act.name(), wait))
        }
        None => Ok(each(&found, |name| one(&found, name, act.name(), wait))),
    });
    told(done)
}

/// Restarts, and returns the exit code.
pub fn restart(args: &RestartArgs) -> i32 {
    let Some(part) = &args.canary else { return act(Act::Restart, &args.service) };
    let percent = match value::percent(part) {
        Ok(percent) => percent.get(),
        Err(error) => {
            eprint!("{}", UsageError::from(error).of("restart"));
            return code::USAGE;
        }
    };
    let wait = if args.service.no_wait { "&wait=0" } else { "" };
    let query = format!("?canary={percent}{wait}");
    told(find::find(&args.service.which).and_then(|found| {
        let services: Vec<&str> = found.status.services.iter().map(|service| service.name.as_str()).collect();
        match (&args.service.service, services.as_slice()) {
            (Some(service), _) => one(&found, service, "restart", &query),
            (None, [only]) => one(&found, only, "restart", &query),
            (None, _) => Err(format!("a canary is of one service: write which, {}", services.join(" or "))),
        }
    }))
}

/// Every service with a generation that serves a part, or is to.
fn canaries(found: &Found, act: impl Fn(&str) -> Result<i32, String>) -> Result<i32, String> {
    let has_one = |service: &&ServiceStatus| service.beside.as_ref().is_some_and(|beside| beside.percent.is_some());
    let mut with = found.status.services.iter().filter(has_one).peekable();
    if with.peek().is_none() {
        return Err("no service has a canary; launcher restart SERVICE --canary 10% starts one".to_owned());
    }
    Ok(with.map(|service| told(act(&service.name))).fold(0, |first, code| if first == 0 { code } else { first }))
}

/// Sends a signal, and returns the exit code.
pub fn signal(args: &SignalArgs) -> i32 {
    let signal = match value::signal(&args.signal) {
        Ok(signal) => signal,
        Err(error) => {
            eprint!("{}", UsageError::from(error).of("signal"));
            return code::USAGE;
        }
    };
    let query = format!("?signal={}", signal.number());
    told(find::find(&args.which).and_then(|found| match &args.service {
        Some(service) => one(&found, service, "signal", &query),
        None => Ok(each(&found, |name| one(&found, name, "signal", &query))),
    }))
}

fn told(done: Result<i32, String>) -> i32 {
    done.unwrap_or_else(|problem| {
        eprintln!("launcher: {problem}");
        code::PREFLIGHT
    })
}

/// All services, one after the other; the first code that is not 0 is the code of all.
fn each(found: &Found, act: impl Fn(&str) -> Result<i32, String>) -> i32 {
    let services = found.status.services.iter();
    services.map(|service| told(act(&service.name))).fold(0, |first, code| if first == 0 { code } else { first })
}

/// Asks for one service and tells what came of it.
fn one(found: &Found, service: &str, command: &str, query: &str) -> Result<i32, String> {
    if found.status.service(service).is_none() {
        return Err(find::no_service(&found.status, service));
    }
    let target = format!("/services/{service}/{command}{query}");
    // How long it takes is up to the service; its start deadline, and the launcher's own, see to an end.
    match ask(&found.socket, "POST", &target, None).and_then(read) {
        Ok(outcome) => Ok(say(&outcome)),
        Err(problem) if has_ended(&problem) && command == "stop" => Ok(say(&Outcome::ended(name(&found.status), 0))),
        Err(problem) => Err(find::unreachable(&found.socket, &problem)),
    }
}

/// Has launcher.toml read again, and tells what was different and what came of it.
fn reload(found: &Found, query: &str) -> Result<i32, String> {
    let asked = ask(&found.socket, "POST", &format!("/reload{query}"), None).and_then(read::<Reloaded>);
    let reloaded = asked.map_err(|problem| find::unreachable(&found.socket, &problem))?;
    let message: Vec<String> = reloaded.message.lines().map(text::clean).collect();
    let Some(difference) = &reloaded.difference else {
        eprintln!("launcher: {} is not taken over\n{}", text::clean(&reloaded.file), message.join("\n"));
        return Ok(reloaded.exit_code);
    };
    let lines = difference.lines().into_iter().map(|line| format!("\n  {}", text::clean(&line)));
    let text = format!("{}{}\n", message.join("\n"), lines.collect::<String>());
    let exit = print::whole(text, reloaded.exit_code);
    for outcome in &reloaded.services {
        say(outcome);
    }
    Ok(exit)
}

/// Asks the launcher to end, and waits until it has.
fn stop_all(found: &Found, query: &str) -> i32 {
    let asked = ask(&found.socket, "POST", &format!("/stop{query}"), None);
    match asked {
        Ok(answered) if answered.code == 202 => 0,
        Ok(answered) => {
            told(read::<Outcome>(answered).map(|outcome| say(&outcome)).or_else(|problem| ended(found, &problem)))
        }
        Err(problem) => told(ended(found, &problem)),
    }
}

/// A connection that breaks off is how the end of a launcher looks when it is killed meanwhile.
fn ended(found: &Found, problem: &io::Error) -> Result<i32, String> {
    match has_ended(problem) && is_gone(&found.socket) {
        true => Ok(say(&Outcome::ended(name(&found.status), 0))),
        false => Err(find::unreachable(&found.socket, problem)),
    }
}

fn name(status: &Status) -> &str {
    &status.launcher.about.name
}

fn has_ended(problem: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(problem.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}

fn is_gone(socket: &Path) -> bool {
    ask(socket, "GET", "/livez", Some(SOON)).is_err()
}

fn read<T: DeserializeOwned>(answered: Answered) -> io::Result<T> {
    let code = answered.code;
    let text = answered.text()?;
    serde_json::from_str(&text).map_err(|_| {
        let told = text.lines().next().unwrap_or_default();
        io::Error::other(format!("it answered {code}: {told}"))
    })
}

/// Tells what came of it: to stdout what is well, to stderr what is not.
fn say(outcome: &Outcome) -> i32 {
    let message = text::clean(&outcome.message);
    if outcome.exit_code == 0 {
        return print::whole(format!("{message}\n"), 0);
    }
    eprintln!("launcher: {message}");
    if outcome.report.is_some() {
        eprintln!("  report  launcher report {}", outcome.service);
    }
    outcome.exit_code
}
