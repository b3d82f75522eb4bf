//! What is done when watched files have changed. When that is due is decided in [`crate::core::changes`].

use std::collections::BTreeMap;

use tracing::{info, warn};

use crate::core::changes::{Changes, Due};
use crate::core::facts::{SentFor, Trouble};
use crate::core::fleet::{FleetEvent, ServiceId};
use crate::core::report::mask;
use crate::core::service::Event;
use crate::core::settings::{OnChange, WatchSettings};
use crate::core::time::Moment;
use crate::core::units::human_duration;
use crate::run::require;
use crate::run::watch::{Subject, Watcher};
use crate::sys::clock;

use super::Supervisor;
use super::inbox::{Happening, Task};

/// What is watched, and what was changed.
#[derive(Default)]
pub struct Watching {
    changes: BTreeMap<ServiceId, Changes>,
    /// Changes of launcher.toml itself.
    settings: Changes,
    /// Commands that run because files have changed.
    commands: BTreeMap<ServiceId, Task>,
    watcher: Option<Watcher>,
    /// What that watches, and for whom.
    subjects: Vec<(ServiceId, Subject)>,
}

impl Watching {
    /// When [`Supervisor::changes_due`] is to be called.
    pub fn next_deadline(&self) -> Option<Moment> {
        let all = self.changes.values().chain([&self.settings]);
        all.filter_map(Changes::next_deadline).min()
    }

    /// launcher.toml has changed.
    pub fn settings_changed(&mut self) {
        // It is not written by what it starts: nothing is to be said of a storm.
        let _ = self.settings.changed(clock::now(), "launcher.toml");
    }
}

impl Supervisor {
    /// Begins to watch the files of services that want it.
    pub(super) fn watch_files(&mut self) {
        let wanted: Vec<ServiceId> = self.fleet.wanted().map(|(id, _)| id).collect();
        let watched: Vec<ServiceId> = wanted.into_iter().filter(|id| self.slots[id.0].settings.watch.is_on()).collect();
        self.fleet.stay_for_changes(&watched);
        let subject = |id: ServiceId| {
            let settings = &self.slots[id.0].settings;
            Subject {
                settings: settings.watch.clone(),
                files: settings.environment_files.clone(),
                except: self.settings.launcher.report_dir.clone(),
            }
        };
        let subjects: Vec<_> = watched.into_iter().map(|id| (id, subject(id))).collect();
        if subjects != self.watching.subjects {
            self.watching.subjects = subjects;
            self.watching.watcher = None;
            self.begin_to_watch();
        }
    }

    fn begin_to_watch(&mut self) {
        let (ids, mut subjects): (Vec<ServiceId>, Vec<Subject>) = self.watching.subjects.iter().cloned().unzip();
        if ids.is_empty() {
            return;
        }
        // Who watches a service develops it, and its settings as well.
        let file = self.reloading.file().cloned();
        subjects.extend(file.iter().map(|file| Subject {
            settings: WatchSettings::default(),
            files: vec![file.clone()],
            except: None,
        }));
        let (begun, changed, trouble) = (self.outbox.clone(), self.outbox.clone(), self.outbox.clone());
        let tell_begun = move || {
            // It may have changed since it was read.
            file.map(|_| begun.send(Happening::FileOfSettingsChanged));
        };
        let tell_changed = move |place: usize, path| {
            let happening = match ids.get(place) {
                Some(id) => Happening::FileChanged(*id, path),
                None => Happening::FileOfSettingsChanged,
            };
            let _ = changed.send(happening);
        };
        let tell_trouble = move |text| drop(trouble.send(Happening::WatchTrouble(text)));
        match Watcher::start(subjects, tell_begun, tell_changed, tell_trouble) {
            Ok(watcher) => self.watching.watcher = Some(watcher),
            Err(problem) => watch_trouble(&problem.to_string()),
        }
    }

    /// A watched file of a service has changed.
    pub(super) fn file_changed(&mut self, id: ServiceId, path: &str) {
        let changes = self.watching.changes.entry(id).or_default();
        if let Some(storm) = changes.changed(clock::now(), path) {
            let service = &self.slots[id.0].settings.name;
            let (times, wait) = (storm.times, human_duration(storm.wait));
            warn!(
                service,
                event = "change-storm",
                path,
                "files of {service} have changed {times} times in a row, {path} this time: the next change waits for \
                 {wait}. Does it write them itself? Take them out: watch = [\"!{path}\"]"
            );
        }
    }

    /// Does what is to be done about files that have changed.
    pub(super) fn changes_due(&mut self) {
        let now = clock::now();
        if self.watching.settings.take_due(now).is_some() {
            self.watching.settings.finished();
            self.reload(None);
        }
        let due = self.watching.changes.iter_mut().filter_map(|(id, changes)| Some((*id, changes.take_due(now)?)));
        for (id, due) in due.collect::<Vec<_>>() {
            if self.fleet.may_be_restarted(id) {
                self.on_change(now, id, &due);
            } else {
                self.finish_change(id);
            }
        }
    }

    fn on_change(&mut self, now: Moment, id: ServiceId, due: &Due) {
        let settings = self.slots[id.0].settings.clone();
        let (service, path) = (&settings.name, &due.path);
        let more = if due.more > 0 { format!(" and {} more", due.more) } else { String::new() };
        match &settings.watch.on_change {
            OnChange::Restart => {
                info!(service, event = "changed", path, "{path}{more} changed: {service} is restarted");
                self.finish_change(id);
                self.feed(FleetEvent::Service(id, Event::RestartRequested));
            }
            OnChange::Signal(signal) => {
                info!(service, event = "changed", path, "{path}{more} changed: {service} is sent {signal}");
                self.finish_change(id);
                // One that does not run has nothing to read again, and is not started for it.
                let serving = self.fleet.service(id).and_then(|service| service.generation());
                let live = serving.and_then(|serving| self.slots[id.0].live(serving));
                let runs = live.is_some_and(|live| live.main.is_some());
                if let Some(generation) = serving.filter(|_| runs) {
                    self.signal(now, id, generation, (*signal, SentFor::Change));
                }
            }
            OnChange::Exec { command, .. } => {
                let words = mask::line(command);
                info!(service, event = "changed", path, command = words, "{path}{more} changed: {words} is run");
                self.run_command(id, command.clone());
            }
        }
    }

    fn run_command(&mut self, id: ServiceId, command: Vec<String>) {
        let slot = &self.slots[id.0];
        let generation = self.fleet.service(id).and_then(|service| service.generation()).map_or(0, |of| of.0);
        let (outbox, settings) = (self.outbox.clone(), slot.settings.clone());
        let ends = slot.output.ends(generation);
        let task = Task::start(async move {
            let outcome = match ends {
                Ok(ends) => require::command(&command, &settings, ends).await,
                Err(problem) => Err(Trouble::new(crate::core::facts::RequirementProblem::Other, problem.to_string())),
            };
            let _ = outbox.send(Happening::CommandEnded(id, outcome));
        });
        self.watching.commands.insert(id, task);
    }

    /// The command that was run for changed files has ended.
    pub(super) fn command_ended(&mut self, id: ServiceId, outcome: Result<(), Trouble>) {
        self.watching.commands.remove(&id);
        self.finish_change(id);
        let settings = self.slots[id.0].settings.clone();
        let service = &settings.name;
        let OnChange::Exec { command, restart } = &settings.watch.on_change else { return };
        let words = mask::line(command);
        match outcome {
            Ok(()) if *restart && self.fleet.may_be_restarted(id) => {
                info!(service, event = "change-done", "{words} is done: {service} is restarted");
                self.feed(FleetEvent::Service(id, Event::RestartRequested));
            }
            Ok(()) => info!(service, event = "change-done", "{words} is done"),
            Err(trouble) => {
                let why = trouble.message;
                warn!(service, event = "change-failed", "{why}: {service} stays as it is until files change again");
            }
        }
    }

    fn finish_change(&mut self, id: ServiceId) {
        if let Some(changes) = self.watching.changes.get_mut(&id) {
            changes.finished();
        }
    }
}

/// Says why files cannot be watched.
pub fn watch_trouble(why: &str) {
    warn!(event = "watch-trouble", "not all files can be watched: {why}");
}
