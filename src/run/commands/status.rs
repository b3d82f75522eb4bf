//! `launcher status`: how the services of a running launcher are.

use std::io;

use crate::core::control::table;
use crate::core::exit::code;
use crate::run::args::StatusArgs;
use crate::run::control::find;
use crate::run::{log, print};

/// Shows it. Returns the exit code.
pub fn status(args: &StatusArgs) -> i32 {
    match find::find(&args.which).and_then(|found| show(&found, args)) {
        Ok(text) => print::whole(text, 0),
        Err(problem) => {
            eprintln!("launcher: {problem}");
            code::PREFLIGHT
        }
    }
}

fn show(found: &find::Found, args: &StatusArgs) -> Result<String, String> {
    let only = args.service.as_deref();
    let status = &found.status;
    let missing = |name: &str| find::no_service(status, name);
    if args.json {
        return match only {
            None => Ok(status.to_json()),
            Some(name) => status.service(name).map(|service| service.to_json()).ok_or_else(|| missing(name)),
        };
    }
    let text = table::table(status, only, log::style(&io::stdout()));
    text.ok_or_else(|| missing(only.unwrap_or_default()))
}
