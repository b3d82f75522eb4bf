//! launcher.toml read again: on a thread, then taken in by the fleet and the slots in one turn of the loop.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::core::control::{Before, Pending, Verb};
use crate::core::exit::code;
use crate::core::facts::Refusal;
use crate::core::findings::{self, Finding, ServiceFindings};
use crate::core::fleet::{FleetEvent, Renewal, ServiceId};
use crate::core::reload::{self, Changed, Difference, Reloaded, Wrong};
use crate::core::service::State;
use crate::core::settings::{ServiceSettings, Settings};
use crate::run::args::LoadError;
use crate::run::commands::run::make_room;
use crate::run::control::Reply;
use crate::run::output::Outputs;
use crate::run::preflight;
use crate::sys::clock;

use super::inbox::Happening;
use super::slot::Slot;
use super::{Supervisor, spawn};

/// Where the settings come from.
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// Reads it again, with the flags that go over it.
    pub load: Box<dyn Fn() -> Result<Settings, LoadError> + Send + Sync>,
}

/// Who asked for it: for whom the answer is, and whether it is to come when all has come about.
pub type Asker = (oneshot::Sender<Reply>, bool);

/// What is read again, and for whom.
#[derive(Default)]
pub struct Reloading {
    source: Option<Arc<Source>>,
    /// It is being read, for these.
    reading: Option<Vec<Asker>>,
    /// It is to be read once more, for these.
    next: Option<Vec<Asker>>,
    /// Those who wait until all that it meant has come about.
    waiting: Vec<Awaited>,
    /// Removed services of which something may still run.
    leaving: Vec<ServiceId>,
}

/// Somebody who waits until what a reload meant has come about.
struct Awaited {
    pending: Vec<Pending>,
    reloaded: Reloaded,
    ear: oneshot::Sender<Reply>,
}

impl Reloading {
    /// The file, if there is one.
    pub fn file(&self) -> Option<&PathBuf> {
        self.source.as_ref().map(|source| &source.file)
    }

    /// Its name as it was given, for a person.
    pub fn named(&self) -> String {
        self.file().map_or_else(|| "launcher.toml".to_owned(), |file| file.display().to_string())
    }

    /// When [`Supervisor::look_at_reloads`] is to be called though nothing has happened.
    pub fn next_deadline(&self) -> Option<crate::core::time::Moment> {
        self.waiting.iter().flat_map(|awaited| &awaited.pending).filter_map(Pending::next_deadline).min()
    }
}

impl Supervisor {
    /// The settings can be read again from here.
    pub fn reload_from(&mut self, source: Source) {
        self.reloading.source = Some(Arc::new(source));
    }

    /// Reads the file again, for somebody who asks or because it has changed.
    pub(super) fn reload(&mut self, asker: Option<Asker>) {
        if self.reloading.source.is_none() {
            let name = &self.settings.launcher.name;
            let text =
                format!("{name} runs one command, without a launcher.toml: launcher reload SERVICE, or restart it");
            return answer(
                asker,
                Reloaded::refused(&self.reloading.named(), &Wrong { exit_code: code::PREFLIGHT, text }),
            );
        }
        self.reloading.next.get_or_insert_default().extend(asker);
        if self.reloading.reading.is_none() {
            self.read_again();
        }
    }

    fn read_again(&mut self) {
        let (Some(source), Some(askers)) = (self.reloading.source.clone(), self.reloading.next.take()) else { return };
        self.reloading.reading = Some(askers);
        let (outbox, old) = (self.outbox.clone(), self.as_set());
        let read = move || {
            let _ = outbox.send(Happening::Reread(Box::new(read(&source, &old))));
        };
        if let Err(problem) = std::thread::Builder::new().name("reload".into()).spawn(read) {
            let text = format!("there is no thread to read it again: {problem}\n");
            self.reread(Err(Wrong { exit_code: code::INTERNAL, text }));
        }
    }

    /// It was read, and what of it can be checked was.
    pub(super) fn reread(&mut self, read: Result<Settings, Wrong>) {
        let askers = self.reloading.reading.take().unwrap_or_default();
        match read.and_then(|settings| self.take_in(settings, !askers.is_empty())) {
            Ok((reloaded, pending)) => self.await_all(askers, &reloaded, &pending),
            Err(wrong) => {
                let (file, why) = (self.reloading.named(), wrong.text.trim_end());
                let block = format!("launcher: {file} is not taken over\n{why}");
                warn!(event = "reload-failed", block, "{file} is not taken over: {why}");
                for asker in askers {
                    answer(Some(asker), Reloaded::refused(&file, &wrong));
                }
            }
        }
        self.read_again();
    }

    /// Does what is different, and says for what of it can be waited. When nothing is, only who has `asked` is told so.
    fn take_in(&mut self, new: Settings, asked: bool) -> Result<(Reloaded, Vec<Pending>), Wrong> {
        let refused = |exit_code, text: String| Wrong { exit_code, text };
        if self.fleet.is_going_down() {
            return Err(refused(code::PREFLIGHT, "all services are being stopped\n".to_owned()));
        }
        let difference = Difference::between(&self.as_set(), &new);
        if let Some(service) =
            new.services.iter().find(|service| service.interactive != self.is_interactive(&service.name))
        {
            let text = format!("{}: interactive is taken over when launcher itself is started again\n", service.name);
            return Err(refused(code::PREFLIGHT, text));
        }
        make_room(new.services.len());
        let services = difference.added.iter().filter(|name| self.fleet.place(name).is_none());
        let services = services.filter_map(|name| service(&new, name));
        let slots = services.map(|service| Slot::new(service, &self.settings, &mut self.outputs));
        let slots = slots.collect::<Result<Vec<Slot>, _>>();
        let slots = slots.map_err(|problem| refused(code::INTERNAL, format!("{problem}\n")))?;
        // The file was checked for this: it says the same in its own words.
        self.fleet.take_in(&new, clock::seed()).map_err(|problem| refused(code::CONFIG, format!("{problem}\n")))?;
        self.slots.extend(slots);
        self.control.ledger.grow(self.slots.len(), clock::now());
        if asked || !difference.is_empty() {
            self.tell_difference(&difference);
        }
        let verbs = self.verbs(&difference);
        let renewals = self.renew_slots(&new, &difference);
        let differs = |name: &str| difference.of(name).is_some() || difference.added.iter().any(|added| added == name);
        self.groups.renew(new.services.iter().filter(|service| differs(&service.name)));
        let before = |id| Before::of(&self.fleet, &self.control.ledger, id);
        let before: Vec<_> = verbs.into_iter().map(|(id, verb)| (id, verb, before(id))).collect();
        // What is not taken over stays as it is, so that it is told again.
        self.settings.launcher.stop_budget = new.launcher.stop_budget;
        self.settings.launcher.map_exit = new.launcher.map_exit;
        self.settings.services = new.services;
        self.feed(FleetEvent::Renewed(renewals));
        self.watch_files();
        let now = clock::now();
        let pending = before.into_iter().map(|(id, verb, before)| Pending::new(now, &self.fleet, id, verb, before));
        Ok((Reloaded::done(&self.reloading.named(), difference), pending.collect()))
    }

    /// How all is set: what runs may not be as the file said last.
    fn as_set(&self) -> Settings {
        let mut settings = self.settings.clone();
        for service in &mut settings.services {
            if let Some(set) = self.fleet.place(&service.name).and_then(|id| self.fleet.set_as(id)) {
                service.clone_from(set);
            }
        }
        settings
    }

    fn is_interactive(&self, name: &str) -> bool {
        service(&self.settings, name).is_some_and(|service| service.interactive)
    }

    fn tell_difference(&self, difference: &Difference) {
        let (file, summary) = (self.reloading.named(), difference.summary());
        let lines: String = difference.lines().iter().map(|line| format!("  {line}\n")).collect();
        let block = format!("launcher: {file} was read again: {summary}\n{lines}");
        let changes = difference.lines().join("; ");
        info!(event = "reloaded", changes, block, "{file} was read again: {summary}");
    }

    /// What a person would have asked for to have the same.
    fn verbs(&self, difference: &Difference) -> Vec<(ServiceId, Verb)> {
        let place = |name: &String| self.fleet.place(name);
        let mut verbs: Vec<_> = difference.removed.iter().filter_map(place).map(|id| (id, Verb::Stop)).collect();
        let restarted = difference.changed.iter().filter_map(|changed| {
            let id = place(&changed.service)?;
            self.is_restarted(id, changed).then_some((id, Verb::Restart))
        });
        verbs.extend(restarted);
        verbs.extend(difference.added.iter().filter_map(place).map(|id| (id, Verb::Start)));
        verbs
    }

    fn is_restarted(&self, id: ServiceId, changed: &Changed) -> bool {
        let state = self.fleet.service(id).map(|service| service.state());
        let tried_again = matches!(state, Some(State::Failed | State::BackingOff | State::Open));
        self.fleet.may_be_restarted(id) && (changed.anew || tried_again)
    }

    /// Has each slot know what its service is set to now, or will be.
    fn renew_slots(&mut self, new: &Settings, difference: &Difference) -> Vec<(ServiceId, Renewal)> {
        let mut renewals = Vec::new();
        for id in difference.removed.iter().filter_map(|name| self.fleet.place(name)) {
            self.reloading.leaving.push(id);
            renewals.push((id, Renewal::Removed));
        }
        // One that the file sets as what runs of it is has not changed, but is not to become what the file said before.
        let since = Difference::between(&self.settings, new).changed;
        let back = since.into_iter().filter(|changed| difference.of(&changed.service).is_none());
        let back = back.map(|changed| Changed { anew: false, ..changed });
        for Changed { service: name, anew, .. } in difference.changed.iter().cloned().chain(back) {
            let (Some(id), Some(settings)) = (self.fleet.place(&name), service(new, &name)) else { continue };
            let settings = Arc::new(settings.clone());
            self.slots[id.0].renew(settings.clone(), anew, &mut self.outputs);
            renewals.push((id, Renewal::Changed { settings, anew }));
        }
        for name in &difference.added {
            let (Some(id), Some(settings)) = (self.fleet.place(name), service(new, name)) else { continue };
            let settings = Arc::new(settings.clone());
            self.reloading.leaving.retain(|leaving| *leaving != id);
            self.slots[id.0].renew(settings.clone(), true, &mut self.outputs);
            renewals.push((id, Renewal::Added(settings)));
        }
        renewals
    }

    fn await_all(&mut self, askers: Vec<Asker>, reloaded: &Reloaded, pending: &[Pending]) {
        for (ear, wait) in askers {
            let mut reloaded = reloaded.clone();
            if wait {
                self.reloading.waiting.push(Awaited { pending: pending.to_vec(), reloaded, ear });
            } else {
                let passed_on = pending.iter().filter_map(|pending| pending.passed_on(&self.fleet));
                passed_on.for_each(|outcome| reloaded.add(outcome));
                answer(Some((ear, wait)), reloaded);
            }
        }
        self.look_at_reloads();
    }

    /// Tells those whose reload has come about. Removed services of which nothing runs any more let go of what was kept for
    /// them.
    pub(super) fn look_at_reloads(&mut self) {
        let (slots, fleet) = (&mut self.slots, &self.fleet);
        self.reloading.leaving.retain(|id| {
            let gone = fleet.is_gone(*id);
            if gone {
                slots[id.0].ports.close();
            }
            !gone
        });
        let now = clock::now();
        for awaited in &mut self.reloading.waiting {
            let Awaited { pending, reloaded, .. } = awaited;
            pending.retain_mut(|pending| {
                let outcome = pending.look(now, &self.fleet, &self.control.ledger);
                outcome.map(|outcome| reloaded.add(outcome)).is_none()
            });
        }
        let done =
            self.reloading.waiting.extract_if(.., |awaited| awaited.pending.is_empty() || awaited.ear.is_closed());
        for awaited in done.collect::<Vec<_>>() {
            answer(Some((awaited.ear, true)), awaited.reloaded);
        }
    }

    /// The launcher ends: what has not come about by now does not.
    pub(super) fn forget_reloads(&mut self) {
        self.look_at_reloads();
        for awaited in std::mem::take(&mut self.reloading.waiting) {
            let message = "launcher has ended before all of it had come about".to_owned();
            let reloaded = Reloaded { done: false, exit_code: code::PREFLIGHT, message, ..awaited.reloaded };
            answer(Some((awaited.ear, true)), reloaded);
        }
    }
}

impl Slot {
    /// Its service is set otherwise. What lives cannot take that over when the service has to be started `anew`: then its
    /// next generation does, from its check on.
    fn renew(&mut self, settings: Arc<ServiceSettings>, anew: bool, outputs: &mut Outputs) {
        if (anew || reload::is_anew(&self.settings, &settings)) && self.lives().next().is_some() {
            self.coming = Some(settings);
        } else {
            self.coming = None;
            let old = self.settings.clone();
            let its = self.courses.iter_mut().filter(|course| Arc::ptr_eq(&course.settings, &old));
            its.for_each(|course| course.settings = settings.clone());
            self.adopt(settings, outputs);
        }
    }

    /// A generation begins: with what its service is set to by now.
    pub(super) fn take_coming(&mut self, outputs: &mut Outputs) {
        if let Some(settings) = self.coming.take() {
            self.adopt(settings, outputs);
        }
    }

    fn adopt(&mut self, new: Arc<ServiceSettings>, outputs: &mut Outputs) {
        let old = std::mem::replace(&mut self.settings, new.clone());
        if old.user != new.user || old.process.group != new.process.group {
            self.user = spawn::user_of(&new);
        }
        self.ports.renew(&new.ports, self.user);
        self.alone &= old.ports == new.ports;
        if old.log != new.log || old.user != new.user || old.process.group != new.process.group {
            self.output = outputs.again(&self.output, &new, spawn::output_owner(&new));
        }
        self.store.limit(new.notify.fd_store);
    }
}

/// Reads the file, and checks what can be checked of services that are to be started: ports are held by those that run, and
/// requirements are waited for.
fn read(source: &Source, old: &Settings) -> Result<Settings, Wrong> {
    // A service that was named on the command line and is there no more is an error of the file now.
    let wrong = |error: LoadError| {
        let text = match error {
            LoadError::Usage(_) if !source.file.exists() => {
                let file = source.file.display();
                format!(
                    "launcher: cannot read {file}: there is no such file any more\n  try put it back: nothing was changed\n"
                )
            }
            error => error.render_again(),
        };
        Wrong { exit_code: code::CONFIG, text }
    };
    let new = (source.load)().map_err(wrong)?;
    let difference = Difference::between(old, &new);
    let started =
        |name: &String| difference.added.contains(name) || difference.of(name).is_some_and(|changed| changed.anew);
    let started = new.services.iter().filter(|service| started(&service.name));
    let found = started.map(|service| {
        let refusals = preflight::findings(service).into_iter().filter(|refusal| !matches!(refusal, Refusal::Port(_)));
        ServiceFindings {
            service: service.name.clone(),
            findings: refusals.map(|refusal| Finding::of(&refusal)).collect(),
        }
    });
    let found: Vec<ServiceFindings> = found.filter(|service| !service.findings.is_empty()).collect();
    match findings::exit_code(&found, false) {
        0 => Ok(new),
        exit_code => {
            let text = format!("{}{}: nothing was changed\n", findings::text(&found), source.file.display());
            Err(Wrong { exit_code, text })
        }
    }
}

fn service<'a>(settings: &'a Settings, name: &str) -> Option<&'a ServiceSettings> {
    settings.services.iter().find(|service| service.name == name)
}

/// Who asked may have gone away, or nobody did.
fn answer(asker: Option<Asker>, reloaded: Reloaded) {
    if let Some((ear, _)) = asker {
        let _ = ear.send(Reply::Whole(reloaded.answer()));
    }
}
