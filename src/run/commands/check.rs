//! `launcher check`: preflight alone, every finding and not only the first.

use std::sync::Arc;

use crate::core::errno;
use crate::core::exec_words::{self, GroupDenied};
use crate::core::facts::{PortProblem, Refusal, RequirementFacts, Trouble};
use crate::core::findings::{self, Checked, ConfigFinding, Finding, Group, ServiceFindings, Severity};
use crate::core::requirement::words;
use crate::core::settings::{GroupLimits, RequirementSettings, ServiceSettings, Settings, TakeOver};
use crate::core::take_over;
use crate::core::units::exact_duration;
use crate::run::args::{CheckArgs, LoadError, load};
use crate::run::supervisor::Http;
use crate::run::{environment, log, preflight, print, privileges, require};
use crate::sys::cgroup::Delegated;
use crate::sys::files::could_append;

/// Checks every service and tells what it finds, with what can be done about it: to stderr for a person, to stdout as
/// JSON. Returns the exit code: 0 when nothing is in the way, 78 when launcher.toml is wrong, else as
/// [`findings::exit_code`] has it.
pub fn check(args: &CheckArgs) -> i32 {
    let settings = match load(&args.run) {
        Ok(settings) => settings,
        Err(error) => return not_loaded(&error, args.json),
    };
    let mut all = look(&settings, args.offline);
    all.splice(0..0, http(&settings));
    let exit = findings::exit_code(&all, args.strict);
    if args.json {
        return say(&Checked { services: &all, ..Checked::new(exit) });
    }
    eprint!("{}", findings::text(&all));
    exit
}

fn not_loaded(error: &LoadError, json: bool) -> i32 {
    let mut checked = Checked::new(error.exit_code());
    let services;
    match error {
        LoadError::Config(errors) if json => {
            let finding = |error| {
                let (line, column) = errors.position(error);
                ConfigFinding {
                    file: errors.file_name().to_owned(),
                    line: Some(line),
                    column: Some(column),
                    summary: error.message.clone(),
                    advice: error.hint.clone().into_iter().collect(),
                }
            };
            checked.errors = errors.errors().iter().map(finding).collect();
        }
        LoadError::Unreadable { file, reason } if json => {
            let summary = format!("cannot read {file}: {reason}");
            checked.errors =
                vec![ConfigFinding { file: file.clone(), line: None, column: None, summary, advice: Vec::new() }];
        }
        LoadError::Debugger { service, reason, remedy, exit_code } if json => {
            let warning = Finding::warning("debugger", format!("it cannot be debugged: {reason}"), remedy);
            let (severity, group) = (Severity::Error, Group::Program);
            let findings = vec![Finding { severity, group, exit_code: *exit_code, ..warning }];
            services = [ServiceFindings { service: service.clone(), findings }];
            checked.services = &services;
        }
        // No file and no service is to blame for a wrong command line.
        _ => {
            eprint!("{}", error.render(log::colour_wanted()));
            return checked.exit_code;
        }
    }
    say(&checked)
}

/// As JSON. Returns the exit code.
fn say(checked: &Checked<'_>) -> i32 {
    // Nothing in it can fail to serialise.
    let text = serde_json::to_string_pretty(checked).unwrap_or_default();
    print::whole(format!("{text}\n"), checked.exit_code)
}

/// What is in the way of the launcher's own address: told as of a service of that name, and nothing when it is free.
fn http(settings: &Settings) -> Option<ServiceFindings> {
    let failure = Http::examine(settings.launcher.http?)?;
    let findings = vec![Finding::of(&Refusal::Port(failure))];
    Some(ServiceFindings { service: "launcher".to_owned(), findings })
}

/// Everything that can be found without starting anything.
pub fn look(settings: &Settings, offline: bool) -> Vec<ServiceFindings> {
    let mut missing = if offline { Vec::new() } else { requirements(settings) };
    let port = environment::lost_port(settings, std::env::var_os("PORT").as_deref());
    let mut lost = port.map(|line| Finding::warning("port-inherited", line, "declare the port, or unset PORT"));
    let controllers = GroupLimits::controllers_of(&settings.services);
    let denied = if controllers.is_empty() { None } else { Delegated::examine(&controllers) };
    let of_service = |service: &ServiceSettings| {
        let found = preflight::findings(service);
        let mut findings: Vec<Finding> = found.iter().map(|refusal| weighed(service, refusal)).collect();
        let mine = missing.iter_mut().filter(|(name, _)| *name == service.name).map(|(_, finding)| finding.clone());
        findings.extend(mine);
        let identity = preflight::user(service).ok().flatten();
        findings.extend(privileges::refused(service, identity.as_ref()).iter().map(Finding::not_permitted));
        findings.extend(lost.take());
        findings.extend(log_file(service));
        findings.extend(denied.as_ref().and_then(|denied| limits(denied, service)));
        findings.extend(contradictions(service, settings));
        findings.sort_by_key(|finding| finding.group);
        ServiceFindings { service: service.name.clone(), findings }
    };
    settings.services.iter().map(of_service).collect()
}

/// A refusal as a finding: who holds a port and will be ended for it is worth a warning alone.
fn weighed(service: &ServiceSettings, refusal: &Refusal) -> Finding {
    let finding = Finding::of(refusal);
    let Refusal::Port(failure) = refusal else { return finding };
    let port = service.ports.iter().find(|port| port.name == failure.name);
    let Some(port) = port.filter(|port| port.take_over != TakeOver::Never) else { return finding };
    if failure.problem != PortProblem::Taken {
        return finding;
    }
    let allowed = port.take_over;
    match take_over::victims(failure.owner.as_ref(), allowed) {
        Ok(_) => {
            let summary = format!("{}; it will be ended, as take_over says", finding.summary);
            Finding { severity: Severity::Warning, summary, ..finding }
        }
        Err(reason) => {
            let mut failure = failure.clone();
            take_over::not_ended(&mut failure, &reason);
            take_over::offer_any(&mut failure, preflight::asker(&service.name, port), allowed);
            Finding { summary: failure.summary, advice: failure.advice, ..finding }
        }
    }
}

/// What keeps lines from being written to the file of a service.
fn log_file(service: &ServiceSettings) -> Option<Finding> {
    let path = &service.log.file.as_ref()?.path;
    let (place, problem) = could_append(path).err()?;
    let why = problem.raw_os_error().map_or_else(|| problem.to_string(), errno::describe);
    let summary = match place == path {
        true => format!("the log file {} cannot be written to: {why}", path.display()),
        false => format!("the log file {} cannot be made in {}: {why}", path.display(), place.display()),
    };
    let advice = "let the launcher's user write there, or choose another file";
    let finding = Finding::warning("log-file", summary, advice);
    Some(Finding { severity: Severity::Error, group: Group::File, ..finding })
}

/// Limits of a whole service for which no group could be made.
fn limits(denied: &GroupDenied, service: &ServiceSettings) -> Option<Finding> {
    let (summary, advice) = exec_words::would_not_be_kept(denied, &service.process.group_limits)?;
    Some(Finding::warning("limits-not-kept", summary, advice))
}

/// What is set so that one thing keeps another from ever coming about.
fn contradictions(service: &ServiceSettings, settings: &Settings) -> Vec<Finding> {
    let mut found = Vec::new();
    let budget = settings.launcher.stop_budget;
    if service.stop_timeout >= budget {
        let (timeout, budget) = (exact_duration(service.stop_timeout), exact_duration(budget));
        let summary = format!("stop_timeout is {timeout}, but everything is killed after the stop_budget of {budget}");
        found.push(Finding::warning("stop-cut-off", summary, "make stop_budget longer than stop_timeout"));
    }
    let longer = |all| service.requirements.iter().find(|requirement| requirement.timeout > all);
    if let Some((all, requirement)) = service.require_timeout.and_then(|all| Some((all, longer(all)?))) {
        let (own, all) = (exact_duration(requirement.timeout), exact_duration(all));
        let summary = format!("{} has a timeout of {own}, but all have {all} in all", requirement.target.shown);
        found.push(Finding::warning("require-cut-off", summary, "make require_timeout longer, or leave it out"));
    }
    found
}

/// Tries every requirement once, all at the same time.
fn requirements(settings: &Settings) -> Vec<(String, Finding)> {
    if settings.services.iter().all(|service| service.requirements.is_empty()) {
        return Vec::new();
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() else {
        return Vec::new();
    };
    let local = tokio::task::LocalSet::new();
    let found = local.block_on(&runtime, async {
        let mut tries = Vec::new();
        for service in &settings.services {
            let shared = Arc::new(service.clone());
            for requirement in &service.requirements {
                let limit = requirement.try_timeout.min(requirement.timeout);
                let attempt = require::attempt(requirement.clone(), Some(shared.clone()), limit);
                tries.push((service.name.clone(), requirement, tokio::task::spawn_local(attempt)));
            }
        }
        let mut found = Vec::new();
        for (service, requirement, task) in tries {
            if let Ok(Err(trouble)) = task.await {
                found.push((service, unmet(requirement, trouble)));
            }
        }
        found
    });
    runtime.shutdown_background();
    found
}

fn unmet(requirement: &RequirementSettings, trouble: Trouble) -> Finding {
    let fact = RequirementFacts {
        url: requirement.target.shown.clone(),
        tried: requirement.target.tried(),
        met: false,
        tries: 1,
        waited_ms: 0,
        problem: Some(trouble.problem),
        last_error: Some(trouble.message.clone()),
        breaker_open: false,
    };
    let mut failure = words::failure(std::slice::from_ref(requirement), vec![fact], requirement.try_timeout);
    failure.summary = format!("{}: {}", requirement.target.shown, trouble.message);
    Finding::of(&Refusal::Requirement(failure))
}
