//! `launcher verify`: a trial of a start, for a CI gate before a deploy.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::core::config::value;
use crate::core::exit::code;
use crate::core::findings::Severity;
use crate::core::settings::{LogFormat, RequirementSettings, Settings};
use crate::core::verify::moved::Move;
use crate::core::verify::{self, Expectation, Failure, Phase, Plan, Record, Trial, expectation, junit};
use crate::run::args::{LoadError, UsageError, VerifyArgs, load};
use crate::run::commands::{check, run};
use crate::run::supervisor::Supervisor;
use crate::run::{log, print};
use crate::sys::clock;
use crate::sys::signals::Signals;

/// Tries a start, says what came of it, and gives the exit code: 0, or that of the phase that failed.
pub fn verify(args: &VerifyArgs, signals: Signals) -> i32 {
    let began = Instant::now();
    if !args.run.debug.is_empty() {
        let error = UsageError::new("a trial waits for nobody with a debugger", "use launcher run --debug SERVICE");
        eprint!("{}", error.of("verify"));
        return code::USAGE;
    }
    let asked = match Asked::of(args) {
        Ok(asked) => asked,
        Err(error) => {
            eprint!("{error}");
            return code::USAGE;
        }
    };
    let outlet = match Outlet::open(args) {
        Ok(outlet) => outlet,
        Err(problem) => {
            eprintln!("launcher: {problem}");
            return code::USAGE;
        }
    };
    match load(&args.run) {
        Ok(settings) => try_out(settings, asked, outlet, signals, began),
        Err(error @ LoadError::Usage(_)) => {
            eprint!("{error}");
            code::USAGE
        }
        Err(error) => {
            eprint!("{}", error.render(log::colour_wanted()));
            outlet.write(&not_loaded(&error, began.elapsed()))
        }
    }
}

/// What is asked for beside what is started.
struct Asked {
    plan: Plan,
    expectations: Vec<Expectation>,
    move_ports: bool,
}

impl Asked {
    fn of(args: &VerifyArgs) -> Result<Asked, UsageError> {
        let wrong = |flag: &str, text: &str, error: value::ValueError| {
            UsageError::from(error.about(&format!("{flag} {text}"))).of("verify")
        };
        let hold = args.hold.as_deref().map(|text| value::duration(text).map_err(|error| wrong("--for", text, error)));
        let parsed = |text: &String| expectation(text).map_err(|error| wrong("--expect", text, error));
        let expectations = args.expect.iter().map(parsed).collect::<Result<Vec<_>, _>>()?;
        let plan = Plan { hold: hold.transpose()?, expects: !expectations.is_empty() };
        Ok(Asked { plan, expectations, move_ports: args.where_ports == "auto" })
    }
}

/// Where the record goes.
struct Outlet {
    junit: Option<(String, File)>,
    /// The launcher's stdout, when what services write goes to stderr.
    json: Option<File>,
    time: String,
}

impl Outlet {
    /// Opens what will be written: what is wrong with it is better known before anything is started.
    fn open(args: &VerifyArgs) -> Result<Outlet, String> {
        let junit = args.junit.as_deref().map(create).transpose()?;
        let json = args.json.then(take_stdout).transpose();
        let json = json.map_err(|problem| format!("stdout cannot be kept for --json: {problem}"))?;
        Ok(Outlet { junit, json, time: log::utc_now() })
    }

    /// Writes the record wherever it is to go, and gives its exit code; 125 when it could not be written.
    fn write(self, record: &Record) -> i32 {
        log::clear_progress();
        eprint!("{}", record.text());
        let mut exit = record.exit_code;
        let mut written = |what: &str, done: io::Result<()>| {
            if let Err(problem) = done {
                eprintln!("launcher: {what} could not be written: {problem}");
                exit = if exit == 0 { code::INTERNAL } else { exit };
            }
        };
        if let Some((name, mut file)) = self.junit {
            written(&name, file.write_all(junit(record, &self.time).as_bytes()));
        }
        if let Some(mut stdout) = self.json {
            // Nothing in it can fail to serialise.
            let text = serde_json::to_string_pretty(record).unwrap_or_default();
            return print::ended(stdout.write_all(format!("{text}\n").as_bytes()), exit);
        }
        exit
    }
}

/// The JUnit file, empty, with the folder that it is to be in.
fn create(path: &Path) -> Result<(String, File), String> {
    let name = path.display().to_string();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let made = folder.map_or(Ok(()), fs::create_dir_all).and_then(|()| File::create(path));
    made.map(|file| (name.clone(), file)).map_err(|problem| format!("--junit {name} cannot be written: {problem}"))
}

/// Keeps stdout for the record: from here on it is stderr for everybody else.
fn take_stdout() -> io::Result<File> {
    let kept = io::stdout().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdout(io::stderr())?;
    Ok(kept.into())
}

/// The record when launcher.toml is wrong.
fn not_loaded(error: &LoadError, took: Duration) -> Record {
    let failure =
        |summary: String| Failure { code: error.exit_code(), ..Failure::new(Phase::Config, "config", summary) };
    let LoadError::Config(errors) = error else {
        let text = error.to_string();
        let summary = text.trim_end().trim_start_matches("launcher: ").to_owned();
        return Record::ended_in("launcher", took, failure(summary));
    };
    let mut failures = errors.errors().iter().map(|error| {
        let (line, column) = errors.position(error);
        let advice = error.hint.clone().into_iter().collect();
        Failure { advice, ..failure(format!("{}:{line}:{column}: {}", errors.file_name(), error.message)) }
    });
    let first = failures.next().unwrap_or_else(|| failure(format!("{} is wrong", errors.file_name())));
    let mut record = Record::ended_in("launcher", took, first);
    failures.for_each(|failure| record.fail(failure));
    record
}

fn try_out(mut settings: Settings, asked: Asked, outlet: Outlet, signals: Signals, began: Instant) -> i32 {
    // Whoever reads this is a person, if by way of a CI's log.
    if settings.launcher.log_format == LogFormat::Auto {
        settings.launcher.log_format = LogFormat::Text;
    }
    let declared = settings.clone();
    verify::settings_of_trial(&mut settings);
    run::supervise(settings, signals, async |mut supervisor| {
        let moves = supervisor.pick_ports(asked.move_ports);
        let expectations = match resolved(&asked, &supervisor, &moves) {
            Ok(expectations) => expectations,
            Err(error) => {
                eprint!("{error}");
                return code::USAGE;
            }
        };
        let trial = Trial::new(clock::now(), &declared, asked.plan, began.elapsed()).with_moves(&declared, &moves);
        supervisor.try_out(trial, expectations);
        let exit = supervisor.run().await;
        let Some(mut record) = supervisor.judge_trial(exit) else { return exit };
        record.moved_ports = moves.iter().map(Move::record).collect();
        if record.failed_phase == Some(Phase::Preflight) {
            also_in_the_way(&mut record, &declared, asked.move_ports);
        }
        // As after `run`: nothing is taken apart.
        std::process::exit(outlet.write(&record))
    })
}

/// What is expected, with the ports as they are.
fn resolved(asked: &Asked, supervisor: &Supervisor, moves: &[Move]) -> Result<Vec<RequirementSettings>, UsageError> {
    let ports = supervisor.port_numbers();
    let resolve = |expectation: &Expectation| {
        let resolved = expectation.resolve(&ports, moves);
        resolved.map_err(|error| UsageError::from(error.about("--expect")).of("verify"))
    };
    asked.expectations.iter().map(resolve).collect()
}

/// A start is refused by the first thing that is in its way; who mends things wants to know all. What a service comes
/// after may still make what it needs, so only services that come after none are looked at.
fn also_in_the_way(record: &mut Record, declared: &Settings, ports_moved: bool) {
    let mut first = declared.clone();
    first.services.retain(|service| service.after.is_empty());
    if ports_moved {
        first.services.iter_mut().for_each(|service| service.ports.clear());
    }
    let told: Vec<String> =
        record.phases.iter().flat_map(|phase| &phase.failures).map(|of| of.summary.clone()).collect();
    for service in check::look(&first, true) {
        for finding in service.findings.into_iter().filter(|finding| finding.severity == Severity::Error) {
            if told.iter().any(|summary| summary.contains(&finding.summary) || finding.summary.contains(summary)) {
                continue;
            }
            record.fail(Failure {
                service: Some(service.service.clone()),
                code: finding.exit_code,
                advice: finding.advice,
                ..Failure::new(Phase::Preflight, finding.code, finding.summary)
            });
        }
    }
}
