//! The command line: what was asked for, and what to answer when it makes no sense.
//!
//! Flags are kept as text here. [`flags`] turns them into settings through the parsers that launcher.toml uses too, so
//! that both take and refuse the same.

mod completions;
pub mod dump;
pub mod flags;
mod help;
mod init;
pub mod load;
pub mod man;
mod notify;
pub mod running;
pub mod usage;
mod verify;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use help::{
    ATTACH_HELP, CHECK_HELP, COMPLETIONS_HELP, DUMP_HELP, HELP, INIT_HELP, LOGS_HELP, NOTIFY_HELP, PORT_FLAG,
    PORT_HELP, PROMOTE_HELP, READY_FLAG, RELOAD_HELP, REPORT_HELP, RESTART_HELP, ROLLBACK_HELP, RUN_ABOUT, RUN_HELP,
    STATUS_HELP, STOP_HELP, VERIFY_HELP, WAIT_HELP,
};

pub use completions::completions;
pub use dump::{DumpArgs, DumpTarget};
pub use flags::settings_from_flags;
pub use init::InitArgs;
pub use load::{LoadError, load};
pub use notify::NotifyArgs;
pub use running::{AttachArgs, LogsArgs, RestartArgs, ServiceArgs, SignalArgs, StatusArgs, WhichArgs};
pub use usage::UsageError;
pub use verify::VerifyArgs;

use crate::core::exit::code;
use crate::run::print;

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
    Check(Box<CheckArgs>),
    /// Start everything, see it become ready, and stop it: a gate before a deploy
    #[command(after_help = VERIFY_HELP)]
    Verify(Box<VerifyArgs>),
    /// Show the stacks of every thread of a process tree, and what it is waiting for
    #[command(after_help = DUMP_HELP)]
    Dump(DumpArgs),
    /// Wait until servers, files, names or commands answer
    #[command(after_help = WAIT_HELP)]
    Wait(WaitArgs),
    /// Show who holds a port, and what to do about it
    #[command(after_help = PORT_HELP)]
    Port(PortArgs),
    /// Show how the services of a running launcher are, and what each waits for
    #[command(after_help = STATUS_HELP)]
    Status(StatusArgs),
    /// Show what services have written last
    #[command(after_help = LOGS_HELP)]
    Logs(LogsArgs),
    /// Be at the terminal of a service that has one of its own
    #[command(after_help = ATTACH_HELP)]
    Attach(AttachArgs),
    /// Start a service that is stopped or has failed, and what it needs
    Start(ServiceArgs),
    /// Stop a service and what needs it; without one, all of them and launcher
    #[command(after_help = STOP_HELP)]
    Stop(ServiceArgs),
    /// Restart a service, and say whether it is ready again
    #[command(after_help = RESTART_HELP)]
    Restart(RestartArgs),
    /// Let the canary of a service take the place of the old generation
    #[command(after_help = PROMOTE_HELP)]
    Promote(ServiceArgs),
    /// Take back the canary of a service: the old generation serves on
    #[command(after_help = ROLLBACK_HELP)]
    Rollback(ServiceArgs),
    /// Read launcher.toml again, or have a service read its own configuration again
    #[command(after_help = RELOAD_HELP)]
    Reload(ServiceArgs),
    /// Send a signal to the main process of a service
    Signal(SignalArgs),
    /// Show the last report of a service: why it failed or hung
    #[command(after_help = REPORT_HELP)]
    Report(ReportArgs),
    /// Tell launcher, or systemd, how a service is doing
    #[command(after_help = NOTIFY_HELP)]
    Notify(NotifyArgs),
    /// Write a launcher.toml from a compose file, a Procfile, a Dockerfile or a command
    #[command(after_help = INIT_HELP)]
    Init(InitArgs),
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
    /// Which command these are of; nothing for `run`.
    #[arg(skip)]
    pub of: &'static str,
    /// The file with the services [default: launcher.toml]
    #[arg(short = 'c', long = "config", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Its name in messages and reports [default: the command's file name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Where it listens.
    #[arg(long = "port", value_name = "[NAME=]ADDRESS[,MODE]", help = PORT_FLAG)]
    pub ports: Vec<String>,
    /// End a process of your own that holds such a port; with =any, anybody's
    #[arg(long, value_name = "any", num_args = 0..=1, require_equals = true, default_missing_value = "own")]
    pub take_over: Option<String>,
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
    /// A signal, and what it is sent in place of that: TERM=QUIT, or HUP=none for nothing; repeatable
    #[arg(long, value_name = "FROM=TO")]
    pub rewrite: Vec<String>,
    /// Who is sent signals, to stop as well: the main process, or its process group [default: main]
    #[arg(long, value_name = "main|group")]
    pub signals_to: Option<String>,
    /// How long it may take to stop before it is killed [default: 8s]
    #[arg(long, value_name = "DURATION")]
    pub stop_timeout: Option<String>,
    /// Everything is down within this from the first stop request [default: 9s]
    #[arg(long, value_name = "DURATION")]
    pub stop_budget: Option<String>,
    /// Stop everything when the process that started launcher has ended
    #[arg(long)]
    pub stop_with_parent: bool,
    /// End with TO where a program has ended with FROM, both 0 to 255, as 143=0; repeatable
    #[arg(long, value_name = "FROM=TO")]
    pub map_exit: Vec<String>,
    /// When to start it again: never, on-failure or always [default: never]
    #[arg(long, value_name = "POLICY")]
    pub restart: Option<String>,
    /// How long to wait before a restart, doubling up to MAX [default: 200ms..30s]
    #[arg(long, value_name = "INITIAL..MAX")]
    pub backoff: Option<String>,
    /// Give up after so many failed starts in a row, 0 for never [default: 5]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub max_failures: Option<String>,
    /// What must answer before it is started: tcp://HOST:PORT, postgres://… (launcher wait --help); repeatable
    #[arg(long = "require", value_name = "URL", value_hint = clap::ValueHint::Url)]
    pub require: Vec<String>,
    /// By when all of that must answer [default: 60s]
    #[arg(long, value_name = "DURATION")]
    pub require_timeout: Option<String>,
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
    /// Run this service under the debugger of its language, which waits for you; repeatable
    #[arg(long, value_name = "SERVICE")]
    pub debug: Vec<String>,
    /// Where reports are kept [default: the user's state directory]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub report_dir: Option<PathBuf>,
    /// How launcher writes its own lines: auto, text or json [default: auto]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// From which level on: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Answer probes and status by HTTP: PORT on this host alone, ADDRESS:PORT, or off [default: off]
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<String>,
    /// The socket by which it is controlled, or off [default: in a folder of the user's own]
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    pub control: Option<String>,
}

impl RunArgs {
    /// The command these are of.
    pub fn command_name(&self) -> &'static str {
        if self.of.is_empty() { "run" } else { self.of }
    }
}

/// `launcher check`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct CheckArgs {
    /// What would be run.
    #[command(flatten)]
    pub run: RunArgs,
    /// As JSON, to stdout
    #[arg(long)]
    pub json: bool,
    /// Fail on warnings, too
    #[arg(long)]
    pub strict: bool,
    /// Leave out what others must answer: requirements
    #[arg(long)]
    pub offline: bool,
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

/// `launcher wait`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct WaitArgs {
    /// What must answer; all are waited for at the same time
    #[arg(required = true, value_name = "URL", value_hint = clap::ValueHint::Url)]
    pub urls: Vec<String>,
    /// By when all must answer [default: 30s]
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// Say nothing but what failed
    #[arg(short, long)]
    pub quiet: bool,
}

/// `launcher report`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ReportArgs {
    /// The service; the one that failed last when it is left out
    pub service: Option<String>,
    /// The report as it was written, instead of as text
    #[arg(long)]
    pub json: bool,
    /// Look in this folder alone
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, conflicts_with_all = ["control", "name"])]
    pub report_dir: Option<PathBuf>,
    /// Which launcher.
    #[command(flatten)]
    pub which: WhichArgs,
}

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
            // Help and the version were asked for.
            ArgsError::Clap(error) if !error.use_stderr() => {
                print::ended(error.print().and_then(|()| io::stdout().flush()), error.exit_code())
            }
            ArgsError::Clap(error) => {
                // A closed stderr leaves nobody to tell.
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

/// Reads the command line, the program's own name first.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, ArgsError> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.get(1).is_some_and(|first| first == "dump") {
        dump::bare_color(&mut arguments);
    }
    let first = arguments.get(1).and_then(|first| first.to_str()).unwrap_or_default();
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
    let mut command = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli.command,
        // Whoever asks for help on a word does not mean to start it.
        Err(error) if arguments.get(1).is_some_and(|first| first == "help") => return Err(error.into()),
        Err(error) => return Err(with_program(error).into()),
    };
    match &mut command {
        Command::Check(check) => (check.run.dashes, check.run.of) = (dashes, "check"),
        Command::Verify(verify) => (verify.run.dashes, verify.run.of) = (dashes, "verify"),
        Command::Init(init) => init.dashes = dashes,
        _ => {}
    }
    Ok(command)
}

/// What is no command may be meant as the program to start.
fn with_program(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) {
        let tip = format!("to start a program: launcher run -- {word}");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// The whole command line as clap has it, for completions and the manual page.
fn described() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests;
