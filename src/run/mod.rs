//! What performs: the loop, the probes, the command line.
#![allow(clippy::disallowed_methods, reason = "this room performs")]

pub mod args;
pub mod commands;
pub mod control;
pub mod debugger;
pub mod environment;
pub mod files;
mod folders;
pub mod log;
mod notify_folder;
pub mod output;
pub mod pprof;
mod preflight;
mod print;
mod privileges;
pub mod reports;
pub mod require;
pub mod screen;
pub mod supervisor;
pub mod watch;

use std::ffi::OsString;
use std::io;
use std::panic::AssertUnwindSafe;

use crate::core::errno;
use crate::core::exit::code;
use crate::sys::signals::{self, Signals};

use args::Command;
use commands::act::Act;

/// The whole of the `launcher` binary: from the command line to the exit code.
pub fn main(arguments: Vec<OsString>) -> ! {
    // First of all: a TERM in the first milliseconds must find the launcher ready to take it.
    let signals = Signals::take();
    std::panic::set_hook(Box::new(told_panic));
    // A fault was told by the hook. The keepers end what runs when the launcher is gone.
    let exit = std::panic::catch_unwind(AssertUnwindSafe(|| obey(arguments, signals)));
    std::process::exit(exit.unwrap_or(code::INTERNAL))
}

/// What went wrong, in the words of launcher's messages: those of C libraries differ.
fn in_words(problem: &io::Error) -> String {
    problem.raw_os_error().map_or_else(|| problem.to_string(), errno::describe)
}

fn obey(arguments: Vec<OsString>, signals: io::Result<Signals>) -> i32 {
    let command = match args::parse(arguments) {
        Ok(command) => command,
        Err(error) => return error.print(),
    };
    match (command, signals) {
        (Command::Run(run), Ok(signals)) => start(&run, signals),
        (Command::Run(_) | Command::Verify(_), Err(problem)) => {
            eprintln!("launcher: signals cannot be received: {problem}");
            code::INTERNAL
        }
        (Command::Verify(verify), Ok(signals)) => commands::verify::verify(&verify, signals),
        (Command::Attach(attach), Ok(signals)) => commands::attach::attach(&attach, &signals),
        (command, signals) => {
            // Commands that look and go are ended by Ctrl-C like any other program.
            drop(signals);
            signals::leave();
            answer(command)
        }
    }
}

fn start(run: &args::RunArgs, signals: Signals) -> i32 {
    match args::load(run) {
        Ok(settings) => commands::run::run(settings, run, signals),
        Err(error) => {
            eprint!("{}", error.render(log::colour_wanted()));
            error.exit_code()
        }
    }
}

fn answer(command: Command) -> i32 {
    match command {
        Command::Run(_) | Command::Verify(_) | Command::Attach(_) => code::INTERNAL,
        Command::Check(check) => commands::check::check(&check),
        Command::Dump(dump) => commands::dump::dump(&dump),
        Command::Port(port) => match commands::port::port(&port.address, port.json) {
            Ok(text) => print::whole(text, 0),
            Err(wrong) => {
                eprint!("{wrong}");
                code::USAGE
            }
        },
        Command::Wait(wait) => commands::wait::wait(&wait),
        Command::Logs(logs) => commands::logs::logs(&logs),
        Command::Start(args) => commands::act::act(Act::Start, &args),
        Command::Stop(args) => commands::act::act(Act::Stop, &args),
        Command::Restart(args) => commands::act::restart(&args),
        Command::Promote(args) => commands::act::act(Act::Promote, &args),
        Command::Rollback(args) => commands::act::act(Act::Rollback, &args),
        Command::Reload(args) => commands::act::act(Act::Reload, &args),
        Command::Signal(args) => commands::act::signal(&args),
        Command::Status(status) => commands::status::status(&status),
        Command::Report(report) => commands::report::report(&report),
        Command::Notify(notify) => commands::notify::run(&notify),
        Command::Init(init) => commands::init::init(&init),
        Command::Completions { shell } => print::whole(args::completions(shell), 0),
        Command::Man => {
            let mut page = Vec::new();
            match args::man::write(&mut page) {
                Ok(()) => print::whole(page, 0),
                failed => print::ended(failed, 0),
            }
        }
    }
}

/// A fault of the launcher's own is told as such, with where it is, not as a stack of Rust's.
fn told_panic(info: &std::panic::PanicHookInfo<'_>) {
    supervisor::keys::restore();
    commands::attach::restore();
    let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
    eprintln!("launcher: a fault of launcher's own{place}: please report it");
}
