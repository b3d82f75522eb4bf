//! `launcher logs`: what the services of a running launcher have written last, and with `-f` what they write.

use std::io::{self, Write};
use std::sync::Mutex;

use crate::core::exit::code;
use crate::run::args::LogsArgs;
use crate::run::control::client::{Answered, SOON, ask};
use crate::run::control::find::{self, Found};
use crate::run::print;

/// How many lines are shown when nothing is said.
const LINES: usize = 100;

/// Shows them. Returns the exit code.
pub fn logs(args: &LogsArgs) -> i32 {
    match find::find(&args.which).and_then(|found| show(&found, args)) {
        Ok(exit) => exit,
        Err(problem) => {
            eprintln!("launcher: {problem}");
            code::PREFLIGHT
        }
    }
}

fn show(found: &Found, args: &LogsArgs) -> Result<i32, String> {
    let names: Vec<&str> = found.status.services.iter().map(|service| service.name.as_str()).collect();
    let names = match &args.service {
        Some(service) if !names.contains(&service.as_str()) => return Err(find::no_service(&found.status, service)),
        Some(service) => vec![service.as_str()],
        None => names,
    };
    let lines = args.lines.unwrap_or(LINES);
    let follow = if args.follow { "&follow" } else { "" };
    let open = |name: &str| {
        let answered = ask(&found.socket, "GET", &format!("/logs/{name}?n={lines}{follow}"), Some(SOON));
        let answered = answered.map_err(|problem| find::unreachable(&found.socket, &problem))?;
        refused(answered)
    };
    let opened = names.into_iter().map(|name| open(name).map(|answered| (name, answered)));
    let opened = opened.collect::<Result<Vec<_>, String>>()?;
    let mut opened = opened;
    match (opened.pop(), opened.is_empty()) {
        // As it was written: for a program that reads it.
        (Some((_, answered)), true) => Ok(print::ended(answered.pass_on(&mut io::stdout()), 0)),
        (last, _) => {
            opened.extend(last);
            together(opened);
            Ok(0)
        }
    }
}

/// The answer, or why there is none.
fn refused(answered: Answered) -> Result<Answered, String> {
    match answered.code {
        200 => Ok(answered),
        _ => Err(answered.text().map_or_else(|problem| problem.to_string(), |text| text.trim_end().to_owned())),
    }
}

/// Several at the same time, each line with its service's name before it. What cannot be written ends it, and launcher.
fn together(opened: Vec<(&str, Answered)>) {
    let width = opened.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let out = Mutex::new(());
    std::thread::scope(|scope| {
        for (name, answered) in opened {
            let prefix = format!("{name:width$} | ");
            let out = &out;
            scope.spawn(move || answered.pass_on(&mut Prefixed { prefix, line: Vec::new(), out }));
        }
    });
}

/// Writes whole lines to stdout, one writer at a time.
struct Prefixed<'a> {
    prefix: String,
    /// What has come of a line without its end.
    line: Vec<u8>,
    out: &'a Mutex<()>,
}

impl Write for Prefixed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        let Some(end) = self.line.iter().rposition(|byte| *byte == b'\n') else { return Ok(bytes.len()) };
        let rest = self.line.split_off(end + 1);
        let lines = std::mem::replace(&mut self.line, rest);
        let mut text = Vec::with_capacity(lines.len() + 256);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            text.extend_from_slice(self.prefix.as_bytes());
            text.extend_from_slice(line);
        }
        let _turn = self.out.lock();
        let mut stdout = io::stdout().lock();
        if let Err(problem) = stdout.write_all(&text).and_then(|()| stdout.flush()) {
            std::process::exit(print::ended(Err(problem), 0));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().lock().flush()
    }
}
