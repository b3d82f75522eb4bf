//! The command line: what was asked for, and what to answer when it makes no sense.
//!
//! Flags are kept as text here. [`flags`] turns them into settings through the parsers that launcher.toml uses too, so
//! that both take and refuse the same.

pub mod flags;
mod help;
pub mod load;
pub mod man;
pub mod usage;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use help::{
    CHECK_HELP, COMPLETIONS_HELP, DUMP_HELP, HELP, NOTIFY_HELP, PORT_FLAG, PORT_HELP, READY_FLAG, RUN_ABOUT, RUN_HELP,
};

pub use flags::settings_from_flags;
pub use load::{LoadError, load};
pub use usage::UsageError;

use crate::core::config::value::not_available;
use crate::core::exit::code;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "launcher",
    version,
    about = "Start a program, stay with it, and say why it hung",
    after_help = HELP,
    arg_required_else_help = true,
    subcommand_required = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// `run` alone: what is on the way of every start does not build the other commands.
#[derive(Debug, Parser)]
#[command(name = "run", bin_name = "launcher run", about = RUN_ABOUT, after_help = RUN_HELP)]
struct RunCli {
    #[command(flatten)]
    run: RunArgs,
}

/// What was asked for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the services of launcher.toml, or one command
    #[command(about = RUN_ABOUT, after_help = RUN_HELP)]
    Run(Box<RunArgs>),
    /// Look at all that could keep a start from working, and start nothing
    #[command(after_help = CHECK_HELP)]
    Check(Box<RunArgs>),
    /// Show the stacks of every thread of a process tree, and what it is waiting for
    #[command(after_help = DUMP_HELP)]
    Dump(DumpArgs),
    /// Show who holds a port, and what to do about it
    #[command(after_help = PORT_HELP)]
    Port(PortArgs),
    /// Show the last report of a service: why it failed or hung
    Report(ReportArgs),
    /// Tell launcher, or systemd, how a service is doing
    #[command(after_help = NOTIFY_HELP)]
    Notify(NotifyArgs),
    /// Write a completion script for a shell to stdout
    #[command(after_help = COMPLETIONS_HELP)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual page to stdout: launcher man | man -l -
    Man,
}

/// `launcher run` and `launcher check`. Flags without a default here have one in [`flags`].
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct RunArgs {
    /// Only these services of the file, and those they need
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// The command to run, and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    /// Whether `--` was there.
    #[arg(skip)]
    pub dashes: bool,
    /// The file with the services [default: launcher.toml]
    #[arg(short = 'c', long = "config", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Its name in messages and reports [default: the command's file name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Where it listens.
    #[arg(long = "port", value_name = "[NAME=]ADDRESS[,MODE]", help = PORT_FLAG)]
    pub ports: Vec<String>,
    /// How it is known to be ready.
    #[arg(long, value_name = "KIND", help = READY_FLAG)]
    pub ready: Option<String>,
    /// By when it must be ready [default: 30s]
    #[arg(long, value_name = "DURATION")]
    pub start_timeout: Option<String>,
    /// What to do when it is not: restart or exit [default: restart]
    #[arg(long, value_name = "ACTION")]
    pub on_timeout: Option<String>,
    /// The signal that asks it to stop [default: TERM]
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    /// How long it may take to stop before it is killed [default: 8s]
    #[arg(long, value_name = "DURATION")]
    pub stop_timeout: Option<String>,
    /// Everything is down within this from the first stop request [default: 9s]
    #[arg(long, value_name = "DURATION")]
    pub stop_budget: Option<String>,
    /// When to start it again: never, on-failure or always [default: never]
    #[arg(long, value_name = "POLICY")]
    pub restart: Option<String>,
    /// How long to wait before a restart, doubling up to MAX [default: 200ms..30s]
    #[arg(long, value_name = "INITIAL..MAX")]
    pub backoff: Option<String>,
    /// Give up after so many failed starts in a row, 0 for never [default: 5]
    #[arg(long, value_name = "N")]
    pub max_failures: Option<String>,
    /// A file of KEY=VALUE lines for its environment; repeatable, later ones win
    #[arg(long = "env-file", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub env_files: Vec<PathBuf>,
    /// The user it runs as, by name or number
    #[arg(long, value_name = "USER", value_hint = clap::ValueHint::Username)]
    pub user: Option<String>,
    /// The directory it runs in
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// Give it the terminal's foreground, as a shell would
    #[arg(short, long)]
    pub interactive: bool,
    /// Where reports are kept [default: the user's state directory]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub report_dir: Option<PathBuf>,
    /// How launcher writes its own lines: auto, text or json [default: auto]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// From which level on: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Planned, and refused until then.
    #[arg(long, hide = true)]
    pub require: Vec<OsString>,
    /// Planned, and refused until then.
    #[arg(long, hide = true)]
    pub http: Option<OsString>,
    /// Planned, and refused until then.
    #[arg(long, hide = true)]
    pub control: Option<OsString>,
}

/// `launcher dump`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct DumpArgs {
    /// A process, with all below it, or a service of a running launcher
    #[arg(value_name = "PID|SERVICE")]
    pub target: String,
    /// As JSON, in the form of a report
    #[arg(long)]
    pub json: bool,
    /// Every thread and every frame, not only those that say most
    #[arg(long)]
    pub all: bool,
}

/// What is to be dumped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DumpTarget {
    /// A process and all below it.
    Pid(i32),
    /// A service of a running launcher.
    Service(String),
}

impl DumpArgs {
    /// What is to be dumped: digits are a process, for no service may be called so.
    pub fn target(&self) -> Result<DumpTarget, UsageError> {
        let digits = !self.target.is_empty() && self.target.bytes().all(|byte| byte.is_ascii_digit());
        match (digits, self.target.parse()) {
            (true, Ok(pid)) if pid > 0 => Ok(DumpTarget::Pid(pid)),
            (true, _) => {
                let message = format!("{} is not a process id", self.target);
                Err(UsageError::new(message, "a process id is a number from 1 on; ps shows them").of("dump"))
            }
            (false, _) => match crate::core::config::value::name(&self.target) {
                Ok(name) => Ok(DumpTarget::Service(name)),
                Err(error) => {
                    Err(UsageError::new(error.message, "write a process id, or the name of a service").of("dump"))
                }
            },
        }
    }
}

/// `launcher port`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct PortArgs {
    /// The port to look at
    #[arg(value_name = "ADDRESS")]
    pub address: String,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `launcher report`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ReportArgs {
    /// The service; the one that failed last when it is left out
    pub service: Option<String>,
    /// The report as it was written, instead of as text
    #[arg(long)]
    pub json: bool,
    /// Where reports are kept [default: the user's state directory]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub report_dir: Option<PathBuf>,
}

/// `launcher notify`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct NotifyArgs {
    /// What to tell, as sd_notify(3) has it: READY=1, STATUS=…
    #[arg(required = true, value_name = "KEY=VALUE")]
    pub assignments: Vec<OsString>,
    /// Do not wait until it has been taken in
    #[arg(long)]
    pub no_block: bool,
}

/// Commands that DESIGN knows and this version does not have.
const PLANNED: [&str; 10] =
    ["verify", "wait", "status", "logs", "stop", "start", "restart", "reload", "signal", "init"];

/// A command line that does not say what to do, or asks for help or the version.
#[derive(Debug)]
pub enum ArgsError {
    /// As clap puts it, help and version included.
    Clap(Box<clap::Error>),
    /// As we put it.
    Usage(UsageError),
}

impl ArgsError {
    /// Prints it: help and version to stdout, anything else to stderr. Gives the exit code.
    pub fn print(&self) -> i32 {
        match self {
            ArgsError::Clap(error) => {
                // A closed stdout or stderr leaves nobody to tell.
                let _ = error.print();
                error.exit_code()
            }
            ArgsError::Usage(error) => {
                eprint!("{error}");
                code::USAGE
            }
        }
    }
}

impl From<clap::Error> for ArgsError {
    fn from(error: clap::Error) -> ArgsError {
        ArgsError::Clap(Box::new(error))
    }
}

/// Reads the command line, the program's own name first.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, ArgsError> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let first = arguments.get(1).and_then(|first| first.to_str()).unwrap_or_default();
    if PLANNED.contains(&first) {
        let error = UsageError::new(not_available(first), "this version has run, check, dump, port, report and notify");
        return Err(ArgsError::Usage(error));
    }
    let general = matches!(first, "-h" | "--help" | "-V" | "--version");
    if first.starts_with('-') && !general {
        arguments.insert(1, "run".into());
    }
    // `run -- COMMAND` has nothing for clap to do, whose pages alone would cost a cold start 0.1 ms.
    if arguments.len() > 3 && arguments[1] == "run" && arguments[2] == "--" {
        let run = RunArgs { command: arguments.split_off(3), dashes: true, ..RunArgs::default() };
        return Ok(Command::Run(Box::new(run)));
    }
    let dashes = arguments.iter().any(|argument| argument == "--");
    if arguments.get(1).is_some_and(|first| first == "run") {
        let mut run = RunCli::try_parse_from(&arguments[1..])?.run;
        run.dashes = dashes;
        return Ok(Command::Run(Box::new(run)));
    }
    let mut command = Cli::try_parse_from(&arguments)?.command;
    if let Command::Check(run) = &mut command {
        run.dashes = dashes;
    }
    Ok(command)
}

/// The whole command line as clap has it, for completions and the manual page.
fn described() -> clap::Command {
    Cli::command()
}

/// Writes the completion script of a shell.
pub fn completions(shell: Shell, out: &mut dyn io::Write) {
    // The words a flag takes are checked by the core; a shell is told them here.
    let words: [(&str, &[&'static str]); 6] = [
        ("ready", &["auto", "notify", "listen", "started", "exited"]),
        ("on_timeout", &["restart", "exit"]),
        ("restart", &["never", "on-failure", "always"]),
        ("log_format", &["auto", "text", "json"]),
        ("log_level", &["error", "warn", "info", "debug", "trace"]),
        ("stop_signal", &["TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH", "KILL"]),
    ];
    let mut command = described();
    for name in ["run", "check"] {
        command = command.mut_subcommand(name, |mut command| {
            for (flag, words) in words {
                command =
                    command.mut_arg(flag, |arg| arg.value_parser(clap::builder::PossibleValuesParser::new(words)));
            }
            command
        });
    }
    clap_complete::generate(shell, &mut command, "launcher", &mut &mut *out);
}

#[cfg(test)]
mod tests;
