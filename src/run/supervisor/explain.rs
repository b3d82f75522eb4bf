//! From a failed generation to its report: facts are gathered, the stacks taken, the verdict found, the report written.
//! All of it happens on a thread of its own: a slow disk or a hanging dump does not hold up the loop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, warn};

use crate::core::diagnosis::{Cause, bind_refused, diagnose, speaks_of_retries};
use crate::core::exit::Ending;
use crate::core::facts::{Facts, Occasion, OwnerFacts, Refusal};
use crate::core::fleet::ServiceId;
use crate::core::listen::parse_question;
use crate::core::report::mask::Secrets;
use crate::core::report::text::{self, Context};
use crate::core::report::{Meta, Report};
use crate::core::service::{Event, Generation, Next, Outlook};
use crate::core::settings::ServiceSettings;
use crate::run::environment;
use crate::run::in_words;
use crate::run::preflight::Files;
use crate::run::reports::ReportStore;
use crate::run::{log, pprof, preflight, reports};
use crate::sys::environment::inherited;
use crate::sys::{clock, dump, port};

use super::Supervisor;
use super::inbox::Explained;

/// A main thread that sleeps and wakes within this is waited for, to see what it tries: many retry once a second.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Everything that is needed to explain a generation away from the loop.
pub struct Case {
    /// What the loop knows.
    pub facts: Facts,
    /// The processes to look into, the main one first; none when nothing lives.
    pub pids: Vec<i32>,
    /// What was run, and how.
    pub settings: Arc<ServiceSettings>,
    /// What preflight found: the program as it resolved it, the variables of files.
    pub files: Files,
    /// Which generation, when, and what happened to it.
    pub meta: Meta,
    /// Where the report goes.
    pub store: ReportStore,
    /// Whether the loop waits for it.
    pub awaited: bool,
    /// What comes after it.
    pub outlook: Outlook,
}

impl Case {
    /// Takes the dump, finds the verdict and writes the report.
    pub fn explain(mut self) -> Explained {
        self.facts.secrets = self.secrets();
        if !self.pids.is_empty() {
            let missed = self.facts.occasion == Occasion::StartTimeout;
            let options = dump::Options {
                follow_sleepers: missed.then_some(LONGEST_SLEEP),
                insist: speaks_of_retries(&self.facts.output_tail),
                ..dump::Options::default()
            };
            let begun = Instant::now();
            self.facts.processes = dump::dump(&self.pids, &options);
            // After the dump: what it does to answer is not its own progress.
            let left = options.deadline.saturating_sub(begun.elapsed());
            self.facts.profile = self.settings.pprof.map(|address| pprof::fetch(address, left));
        }
        // The loader ends a program that it cannot complete so; a shell says so of a command that it does not find.
        if self.facts.ending == Some(Ending::Code(127)) && self.facts.refusal.is_none() {
            let program = Some(&self.files.program).filter(|program| !program.as_os_str().is_empty());
            let libraries = program.and_then(|program| preflight::libraries(&self.settings, program));
            self.facts.refusal = libraries.map(Refusal::Exec);
        }
        self.facts.in_use = self.owner_of_refused();
        self.facts.hide_secrets();
        let diagnosis = diagnose(&self.facts);
        // What looks like a crash, or like an exit with 137 of a shell, until the memory is looked at.
        if diagnosis.verdict.cause == Cause::OutOfMemory
            && matches!(self.facts.occasion, Occasion::Crashed | Occasion::Exited)
        {
            self.facts.occasion = Occasion::OutOfMemory;
        }
        let report = Report::assemble(&self.facts, diagnosis, self.meta);
        let path = self.store.write(&report);
        Explained { report, path, awaited: self.awaited, outlook: self.outlook }
    }
}

impl Case {
    /// Who holds the address that the program says it could not bind, unless that is known of a declared port.
    fn owner_of_refused(&self) -> Option<OwnerFacts> {
        let known = self.facts.ports.iter().any(|port| port.owner.is_some() && !port.listening);
        let address = bind_refused(&self.facts.output_tail).filter(|_| !known)?;
        let asked = parse_question(&address).ok()?;
        asked.iter().find_map(|listen| port::owner(listen, Some(&self.facts.service)))
    }

    fn secrets(&self) -> Secrets {
        let files = self.files.variables.iter().map(|(name, value)| (name, value));
        environment::secrets(inherited(), files.chain(&self.settings.environment))
    }
}

impl Supervisor {
    /// A report was made.
    pub(super) fn explained(&mut self, id: ServiceId, generation: Generation, explained: Explained) {
        self.slots[id.0].explaining -= 1;
        self.show(id, &explained);
        self.manager.explained(id, &explained.report.verdict.summary);
        self.trial_explained(id, &explained);
        self.control.explained(id, generation, &explained);
        self.look_at_commands();
        self.look_at_reloads();
        self.say();
        if explained.awaited {
            self.tell(id, Event::Explained(generation));
        }
        self.manager.look(clock::now(), &self.fleet);
    }

    /// Says what was found: the block of DESIGN §8 on a terminal, one line elsewhere.
    fn show(&mut self, id: ServiceId, explained: &Explained) {
        let service = &self.slots[id.0].settings.name;
        let report = &explained.report;
        let generation = Generation(report.generation);
        let path = match &explained.path {
            Ok(path) => path.display().to_string(),
            Err(problem) => {
                let folder = self.store.folder(service);
                let folder = folder.display();
                let why = in_words(problem);
                warn!(
                    service,
                    "the report of {service} could not be written to {folder}: {why}: give a folder by --report-dir or report_dir"
                );
                String::new()
            }
        };
        // The stop budget may not have left the time for the report.
        let course = self.slots[id.0].course(generation);
        let killed = course.is_none_or(|course| course.history.killed || course.live.is_none());
        if report.kind == Occasion::StopTimeout {
            for line in text::survivors(report, killed) {
                warn!(service, event = "survivor", generation = generation.0, "{service}: {line}");
            }
        }
        let block = self.block(id, explained, &path, killed);
        reports::write_termination_message(&text::termination(report));
        let verdict = &report.verdict;
        error!(
            service,
            event = "report",
            generation = generation.0,
            attempt = (report.attempt > 0).then_some(report.attempt),
            kind = report.kind.name(),
            cause = verdict.cause.name(),
            confidence = verdict.confidence.name(),
            report = path,
            advice = verdict.advice.join("; "),
            block,
            "{}",
            text::line(report, self.limit_of(id, generation, report.kind))
        );
    }

    /// The block of DESIGN §8 for a person.
    fn block(&self, id: ServiceId, explained: &Explained, path: &str, killed: bool) -> String {
        let generation = Generation(explained.report.generation);
        let context = Context {
            attempt: explained.report.attempt,
            of: explained.outlook.of,
            // Somebody may have asked for its end since.
            next: if self.fleet.is_going_down() { Next::Nothing } else { explained.outlook.next },
            report_path: (!path.is_empty()).then_some(path),
            report_dir: self.settings.launcher.report_dir.as_deref().and_then(|dir| dir.to_str()),
            limit: self.limit_of(id, generation, explained.report.kind),
            killed,
            style: log::style(&std::io::stderr()),
        };
        text::missed_deadline(&explained.report, &context)
    }

    /// The limit that was missed on this occasion.
    pub(super) fn limit_of(&self, id: ServiceId, generation: Generation, occasion: Occasion) -> Option<Duration> {
        let settings = self.slots[id.0].settings_of(generation);
        match occasion {
            // The report says it: it is one of several.
            Occasion::StopTimeout => None,
            Occasion::Watchdog => settings.watchdog,
            _ => Some(settings.start_timeout),
        }
    }
}
