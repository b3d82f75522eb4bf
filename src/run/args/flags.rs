//! From flags to settings. No I/O: what a flag says is all that counts.

use std::path::Path;

use super::RunArgs;
use super::usage::UsageError;
use crate::core::config::FLAG_MAX_FAILURES;
use crate::core::config::check;
use crate::core::config::listen;
use crate::core::config::ready;
use crate::core::config::requirements;
use crate::core::config::value::{self, ValueError};
use crate::core::settings::{LauncherSettings, RestartPolicy, RestartSettings, ServiceSettings, Settings};

/// What is wrong with the flags so far.
#[derive(Default)]
struct Problems(Vec<ValueError>);

impl Problems {
    /// Keeps the error with the flag it is about, if there is one, and gives the value, if there is one.
    fn of<T>(&mut self, flag: &str, text: &str, result: Result<T, ValueError>) -> Option<T> {
        result.map_err(|error| self.0.push(error.about(&format!("{flag} {text}")))).ok()
    }

    /// Puts the text of a flag, if it was given, through a parser, and sets the target.
    fn fill<T>(
        &mut self,
        target: &mut T,
        flag: &str,
        text: Option<&String>,
        parser: fn(&str) -> Result<T, ValueError>,
    ) {
        if let Some(value) = text.and_then(|text| self.of(flag, text, parser(text))) {
            *target = value;
        }
    }

    fn add(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        self.0.push(ValueError::new(message, hint));
    }
}

/// The settings of `run FLAGS -- COMMAND`: one service, not restarted unless asked for, given up after so many
/// failures instead of a breaker.
///
/// # Errors
/// All flags that are wrong, and flags that need another one.
pub fn settings_from_flags(args: &RunArgs) -> Result<Settings, UsageError> {
    let mut problems = Problems::default();
    let program = args.command.first().cloned().unwrap_or_default();
    if program.is_empty() {
        let hint = format!("write launcher {} -- ./program ARGUMENTS", args.command_name());
        problems.add("there is no command after --", hint);
    }
    if !args.services.is_empty() || args.config.is_some() {
        let message = "services of a file and a command after -- do not go together";
        problems.add(message, "leave out one of the two");
    }
    let file_name = Path::new(&program).file_name().unwrap_or(&program).to_string_lossy();
    let mut name = value::name_from(&file_name);
    problems.fill(&mut name, "--name", args.name.as_ref(), value::name);
    let mut service = ServiceSettings::new(name.clone(), args.command.clone());
    service_flags(args, &mut service, &mut problems);
    requirements(args, &mut service, &mut problems);
    ports(args, &mut service, &mut problems);
    service.restart = restart(args, &mut problems);
    let mut launcher = LauncherSettings::new(name);
    launcher_flags(args, &mut launcher, &mut problems);
    UsageError::of_all(problems.0, args.command_name())?;
    Ok(Settings { launcher, services: vec![service], single_command: true })
}

/// Sets what flags say over what the file says about the launcher itself.
///
/// # Errors
/// All flags that are wrong, and those that only fit a command.
pub fn flags_over_file(args: &RunArgs, launcher: &mut LauncherSettings) -> Result<(), UsageError> {
    let mut problems = Problems::default();
    for (flag, given) in only_for_command(args) {
        if given {
            let hint =
                format!("write it in the file, below [service.NAME]; it fits {} -- COMMAND alone", args.command_name());
            problems.add(format!("{flag} does not say which service of the file it is for"), hint);
        }
    }
    problems.fill(&mut launcher.name, "--name", args.name.as_ref(), value::name);
    launcher_flags(args, launcher, &mut problems);
    UsageError::of_all(problems.0, args.command_name())
}

/// The flags that are about the one service of `run -- COMMAND`, and whether they were given.
fn only_for_command(args: &RunArgs) -> [(&'static str, bool); 18] {
    [
        ("--port", !args.ports.is_empty()),
        ("--take-over", args.take_over.is_some()),
        ("--ready", args.ready.is_some()),
        ("--start-timeout", args.start_timeout.is_some()),
        ("--on-timeout", args.on_timeout.is_some()),
        ("--stop-signal", args.stop_signal.is_some()),
        ("--rewrite", !args.rewrite.is_empty()),
        ("--signals-to", args.signals_to.is_some()),
        ("--stop-timeout", args.stop_timeout.is_some()),
        ("--restart", args.restart.is_some()),
        ("--backoff", args.backoff.is_some()),
        ("--max-failures", args.max_failures.is_some()),
        ("--require", !args.require.is_empty()),
        ("--require-timeout", args.require_timeout.is_some()),
        ("--env-file", !args.env_files.is_empty()),
        ("--user", args.user.is_some()),
        ("--directory", args.directory.is_some()),
        ("--interactive", args.interactive),
    ]
}

/// The flags that are keys of `[launcher]` too.
fn launcher_flags(args: &RunArgs, launcher: &mut LauncherSettings, problems: &mut Problems) {
    problems.fill(&mut launcher.stop_budget, "--stop-budget", args.stop_budget.as_ref(), value::positive_duration);
    launcher.stop_with_parent |= args.stop_with_parent;
    for text in &args.map_exit {
        launcher.map_exit.extend(problems.of("--map-exit", text, value::exit_pair(text)));
    }
    problems.fill(&mut launcher.log_format, "--log-format", args.log_format.as_ref(), value::log_format);
    problems.fill(&mut launcher.log_level, "--log-level", args.log_level.as_ref(), value::log_level);
    problems.fill(&mut launcher.http, "--http", args.http.as_ref(), listen::http);
    problems.fill(&mut launcher.control, "--control", args.control.as_ref(), value::control);
    // clap has refused empty paths.
    if args.report_dir.is_some() {
        launcher.report_dir.clone_from(&args.report_dir);
    }
}

/// The flags that are keys of `[service.NAME]` too.
fn service_flags(args: &RunArgs, service: &mut ServiceSettings, problems: &mut Problems) {
    problems.fill(&mut service.ready, "--ready", args.ready.as_ref(), ready::ready);
    let start_timeout = args.start_timeout.as_ref();
    problems.fill(&mut service.start_timeout, "--start-timeout", start_timeout, value::positive_duration);
    problems.fill(&mut service.on_timeout, "--on-timeout", args.on_timeout.as_ref(), value::on_timeout);
    problems.fill(&mut service.stop_signal, "--stop-signal", args.stop_signal.as_ref(), value::signal);
    for text in &args.rewrite {
        service.signals.rewrite.extend(problems.of("--rewrite", text, value::rewrite(text)));
    }
    problems.fill(&mut service.signals.to, "--signals-to", args.signals_to.as_ref(), value::signal_target);
    problems.fill(&mut service.stop_timeout, "--stop-timeout", args.stop_timeout.as_ref(), value::duration);
    if let Some(user) = &args.user {
        service.user = problems.of("--user", user, value::not_empty(user));
    }
    service.directory.clone_from(&args.directory);
    service.environment_files.clone_from(&args.env_files);
    service.interactive = args.interactive;
}

/// What must answer first.
fn requirements(args: &RunArgs, service: &mut ServiceSettings, problems: &mut Problems) {
    let mut timeout = None;
    let parser = |text: &str| value::positive_duration(text).map(Some);
    problems.fill(&mut timeout, "--require-timeout", args.require_timeout.as_ref(), parser);
    if args.require_timeout.is_some() && args.require.is_empty() {
        problems.add("--require-timeout does nothing without --require", "add --require tcp://HOST:PORT");
    }
    service.require_timeout = timeout;
    for url in &args.require {
        service.requirements.extend(problems.of("--require", url, requirements::from_url(url, timeout)));
    }
}

/// The ports, and what needs them.
fn ports(args: &RunArgs, service: &mut ServiceSettings, problems: &mut Problems) {
    for (index, text) in args.ports.iter().enumerate() {
        let Some(port) = problems.of("--port", text, listen::port_flag(text, index + 1)) else { continue };
        if problems.of("--port", text, check::port_against(&port, &service.ports)).is_some() {
            service.ports.push(port);
        }
    }
    if let Some(text) = &args.take_over {
        match problems.of("--take-over", text, value::take_over(text)) {
            Some(_) if args.ports.is_empty() => {
                problems.add("--take-over has no port to take".to_owned(), "name it: --port ADDRESS");
            }
            Some(whose) => service.ports.iter_mut().for_each(|port| port.take_over = whose),
            None => {}
        }
    }
    // Nothing is said about ports that seem to be missing and were only wrong.
    if service.ports.len() == args.ports.len() {
        for word in &service.command {
            problems.of("the argument", &word.to_string_lossy(), check::placeholders(word, &service.ports));
        }
        problems.of("--ready", args.ready.as_deref().unwrap_or_default(), ready::possible(service));
    }
}

/// When to start it again. Without `--restart` never, and then flags about restarts would do nothing.
fn restart(args: &RunArgs, problems: &mut Problems) -> RestartSettings {
    let mut restart = RestartSettings {
        policy: RestartPolicy::Never,
        breaker: None,
        max_failures: None,
        ..RestartSettings::default()
    };
    problems.fill(&mut restart.policy, "--restart", args.restart.as_ref(), value::restart_policy);
    if restart.policy != RestartPolicy::Never {
        restart.max_failures = Some(FLAG_MAX_FAILURES);
    }
    if let Some(text) = &args.backoff
        && let Some((initial, max)) = problems.of("--backoff", text, value::backoff_range(text))
    {
        (restart.backoff.initial, restart.backoff.max) = (initial, max);
        problems.of("--backoff", text, value::check_backoff(&restart.backoff));
    }
    problems.fill(&mut restart.max_failures, "--max-failures", args.max_failures.as_ref(), value::max_failures);
    for (flag, given) in [("--backoff", args.backoff.is_some()), ("--max-failures", args.max_failures.is_some())] {
        if given && args.restart.is_none() {
            problems.add(format!("{flag} does nothing without --restart"), "add --restart on-failure");
        }
    }
    restart
}
