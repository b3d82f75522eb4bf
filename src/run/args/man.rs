//! The manual page: the commands and flags as clap has them, and what no flag says.

use std::io;

use clap::{Arg, ArgAction, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

const DESCRIPTION: [&str; 3] = [
    "launcher starts a program and stays with it. It makes sure the program can start, holds its ports, keeps signals \
     away until it is ready, gives up waiting at a deadline, says why it hung, and starts it again with backoff.",
    "It is used as the entrypoint of a container, where it is PID 1, reaps orphans and leaves with one honest exit \
     code; as ExecStart= of a systemd unit; and to run several services in order while developing.",
    "When launcher ends, for whatever reason, no process of a service is left.",
];

const EXIT_CODES: [(&str, &str); 10] = [
    ("the command's", "it ended by itself and is not restarted, or restarts were given up after it exited so"),
    ("128+n", "the command was ended by signal n; 0 when that was the stop signal launcher sent"),
    ("2", "wrong command line"),
    ("69", "a requirement did not answer in time"),
    ("71", "another preflight check failed: port taken, file missing, not permitted"),
    ("78", "launcher.toml is wrong"),
    ("124", "the start deadline was missed on the last attempt allowed"),
    ("125", "launcher itself failed"),
    ("126", "the command is not executable"),
    ("127", "the command was not found"),
];

const ENVIRONMENT: [(&str, &str); 8] = [
    ("NO_COLOR", "when set, launcher writes no colours"),
    ("NOTIFY_SOCKET", "set for a service: where it says READY=1, see sd_notify(3)"),
    ("WATCHDOG_USEC, WATCHDOG_PID", "set for a service with a watchdog"),
    ("LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES", "set for a service with ports in mode pass, see sd_listen_fds(3)"),
    ("PORT", "set for a service: the number of its first port"),
    ("PORT_NAME", "set for a service: the number of the port called name"),
    ("LAUNCHER_SERVICE", "set for a service: its name"),
    ("LAUNCHER_GENERATION", "set for a service: the number of this start, from 1"),
];

const FILES: [(&str, &str); 3] = [
    ("launcher.toml", "the services; launcher.toml.example shows every key with its default"),
    ("REPORT_DIR/SERVICE/latest.json", "the last report of a service; launcher report shows it as text"),
    ("/dev/termination-log", "the beginning of the last report, where this file is writable, for kubectl describe"),
];

/// Writes the manual page in roff.
pub fn write(out: &mut dyn io::Write) -> io::Result<()> {
    let mut command = super::described();
    command.build();
    let man = Man::new(command.clone());
    // clap_mangen leaves an empty date out, and then everything behind it is in the wrong place.
    writeln!(out, ".TH launcher 1 \"\" \"launcher {}\" \"User Commands\"", env!("CARGO_PKG_VERSION"))?;
    man.render_name_section(out)?;
    let mut roff = Roff::new();
    synopsis(&mut roff, &command);
    roff.control("SH", ["DESCRIPTION"]);
    for paragraph in DESCRIPTION {
        roff.control("PP", []).text([roman(paragraph)]);
    }
    roff.control("SH", ["COMMANDS"]);
    for sub in visible(&command) {
        subcommand(&mut roff, sub);
    }
    terms(&mut roff, "EXIT STATUS", &EXIT_CODES);
    terms(&mut roff, "ENVIRONMENT", &ENVIRONMENT);
    terms(&mut roff, "FILES", &FILES);
    roff.control("SH", ["EXAMPLES"]);
    verbatim(&mut roff, super::help::HELP);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("sd_notify(3), sd_listen_fds(3), systemd.service(5), signal(7)")]);
    roff.to_writer(out)
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

/// The usage line of every command.
fn synopsis(roff: &mut Roff, command: &Command) {
    roff.control("SH", ["SYNOPSIS"]);
    for sub in visible(command) {
        let usage = sub.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").trim_start_matches("launcher ").to_owned();
        let rest = usage.trim_start_matches(sub.get_name()).to_owned();
        roff.text([bold(format!("launcher {}", sub.get_name())), roman(rest)]).control("br", []);
    }
    roff.text([bold("launcher --"), roman(" "), italic("COMMAND"), roman(" ["), italic("ARGUMENT"), roman("]...")]);
}

/// One command: what it does, its arguments, its flags, and what its help says below.
fn subcommand(roff: &mut Roff, sub: &Command) {
    roff.control("SS", [format!("launcher {}", sub.get_name()).as_str()]);
    let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
    roff.text([roman(format!("{about}."))]);
    let of_run = sub.get_name() != "run" && sub.get_arguments().any(|arg| arg.get_id() == "start_timeout");
    if of_run {
        roff.text([roman("It takes the flags of launcher run, and")]);
    }
    let own = |arg: &&Arg| !of_run || !described_by_run(arg);
    for arg in sub.get_arguments().filter(|arg| !arg.is_hide_set() && arg.get_id() != "help").filter(own) {
        argument(roff, arg);
    }
    if let Some(after) = sub.get_after_help() {
        verbatim(roff, &after.to_string());
    }
}

/// Whether it is an argument of `launcher run`, too.
fn described_by_run(arg: &Arg) -> bool {
    run_arguments().any(|id| id == arg.get_id().as_str())
}

/// One argument or flag.
fn argument(roff: &mut Roff, arg: &Arg) {
    let mut term = Vec::new();
    if let Some(short) = arg.get_short() {
        term.extend([bold(format!("-{short}")), roman(", ")]);
    }
    if let Some(long) = arg.get_long() {
        term.extend([bold(format!("--{long}")), roman(" ")]);
    }
    let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    if takes_value {
        let names = arg.get_value_names().unwrap_or_default();
        let name = names.first().map_or_else(|| arg.get_id().as_str().to_uppercase(), ToString::to_string);
        term.push(italic(name));
    }
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    roff.control("TP", []).text(term).text([roman(help)]);
}

/// A section of terms and what they mean.
fn terms(roff: &mut Roff, title: &str, terms: &[(&str, &str)]) {
    roff.control("SH", [title]);
    for (term, meaning) in terms {
        roff.control("TP", []).text([bold(*term)]).text([roman(*meaning)]);
    }
}

/// Lines as they are.
fn verbatim(roff: &mut Roff, text: &str) {
    roff.control("PP", []).control("nf", []);
    for line in text.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}

/// The names of the arguments of `launcher run`, which `check` and `verify` take, too.
fn run_arguments() -> impl Iterator<Item = String> {
    let run = super::RunCli::command();
    run.get_arguments().map(|arg| arg.get_id().to_string()).collect::<Vec<_>>().into_iter()
}
