//! What a person asks of one service, and when it has come about.
//!
//! A command becomes an event of the service; whoever asked then waits until its effect is there, or cannot come any more.
//! Nothing in here has a clock: [`Pending::look`] is called after everything that happens, and at
//! [`Pending::next_deadline`].

mod canary;
mod outcome;

use std::time::Duration;

use crate::core::exit::code;
use crate::core::facts::Occasion;
use crate::core::fleet::{Fleet, FleetEvent, Percent, ServiceId};
use crate::core::service::{Event, Generation, OutcomeCause, Service, State, StopCause};
use crate::core::signal::Signal;
use crate::core::time::Moment;
use crate::core::units::human_duration;

use super::ledger::{Finding, Ledger};
pub use outcome::Outcome;
use outcome::{failed, outcome};

/// How long a service that speaks may take to say RELOADING=1. Most programs never say it.
const RELOAD_GRACE: Duration = Duration::from_secs(1);

/// How long is waited for the report of a start that has failed.
const REPORT_GRACE: Duration = Duration::from_secs(5);

/// What is asked of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// That it runs.
    Start,
    /// That it does not.
    Stop,
    /// That it runs anew.
    Restart,
    /// The same, beside the generation that serves and with this part of new connections, until one is decided for.
    Canary(Percent),
    /// That the canary takes the place of the generation that serves.
    Promote,
    /// That the generation beside the one that serves goes.
    Rollback,
    /// That it reads its configuration again.
    Reload,
    /// The same of one that has no handler for its reload signal: another generation takes its place.
    Replace,
    /// That it is sent this signal.
    Signal(Signal),
    /// That its stacks are shown.
    Dump,
}

impl Verb {
    /// As a path has it.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Start => "start",
            Verb::Stop => "stop",
            Verb::Restart | Verb::Canary(_) => "restart",
            Verb::Promote => "promote",
            Verb::Rollback => "rollback",
            Verb::Reload | Verb::Replace => "reload",
            Verb::Signal(_) => "signal",
            Verb::Dump => "dump",
        }
    }

    /// What happens to the service; nothing is asked of it by a dump.
    pub fn event(self, id: ServiceId, service: &Service) -> Option<FleetEvent> {
        let event = match self {
            Verb::Start => Event::StartRequested,
            Verb::Stop => Event::StopRequested(StopCause::Request),
            Verb::Restart | Verb::Replace => Event::RestartRequested,
            Verb::Canary(percent) => return Some(FleetEvent::CanaryRequested(id, percent)),
            Verb::Promote => return Some(FleetEvent::PromoteRequested(id)),
            Verb::Rollback => return Some(FleetEvent::RollbackRequested(id)),
            Verb::Reload => Event::SignalReceived(service.settings().reload_signal),
            Verb::Signal(signal) => Event::SignalReceived(signal),
            Verb::Dump => return None,
        };
        Some(FleetEvent::Service(id, event))
    }
}

/// A command whose effect is waited for.
#[derive(Debug, Clone)]
pub struct Pending {
    id: ServiceId,
    verb: Verb,
    began: Moment,
    /// The generation that it is about: the first that comes of it, or the one that is to do something.
    target: Generation,
    /// It had nothing to do.
    idle: bool,
    /// RELOADING=1 was seen.
    reloading: bool,
    /// Since when it is known that it failed, while its report is not made yet.
    failed: Option<Moment>,
    /// How many signals had been sent, and held, before.
    signals: (u64, u64),
}

/// How things were before a command.
#[derive(Debug, Clone, Copy)]
pub struct Before {
    generation: u64,
    at_rest: bool,
    ready: bool,
    signals: (u64, u64),
}

impl Before {
    /// How things are now.
    pub fn of(fleet: &Fleet, ledger: &Ledger, id: ServiceId) -> Before {
        let service = fleet.service(id);
        let entry = ledger.of(id);
        Before {
            generation: service.and_then(Service::generation).map_or(0, |generation| generation.0),
            at_rest: service.is_none_or(|service| service.state().is_at_rest()),
            ready: service.is_some_and(|service| service.state() == State::Ready),
            signals: (entry.signals_sent, entry.signals_held),
        }
    }
}

/// What is done for what is asked. A service without a handler for its reload signal, which would end it, takes over its
/// configuration by a restart, where that refuses nobody.
pub fn meant(fleet: &Fleet, id: ServiceId, verb: Verb, catches: impl Fn(Signal) -> bool) -> Verb {
    let deaf = fleet.service(id).is_some_and(|service| {
        service.state() == State::Ready && is_deaf(service, &catches) && fleet.overlaps(id).is_ok()
    });
    if verb == Verb::Reload && deaf { Verb::Replace } else { verb }
}

/// Whether a service does not hear that it is to reload.
fn is_deaf(service: &Service, catches: impl Fn(Signal) -> bool) -> bool {
    let settings = service.settings();
    !settings.signals.sent_for(settings.reload_signal).is_some_and(catches)
}

/// Why one does not; `end`: what is to be said of the signal that it has no handler for.
fn why_deaf(service: &Service, end: &str) -> String {
    let settings = service.settings();
    match settings.signals.sent_for(settings.reload_signal) {
        Some(signal) => format!("{} has no handler for {signal}{end}", settings.name),
        None => sent_nothing(service, settings.reload_signal),
    }
}

/// What a service is sent for a signal that it is sent something for.
fn sent_for(service: &Service, signal: Signal) -> Signal {
    service.settings().signals.sent_for(signal).unwrap_or(signal)
}

fn sent_nothing(service: &Service, signal: Signal) -> String {
    format!("{} is sent nothing for {signal}, by its signals.rewrite", service.settings().name)
}

/// Why a command makes no sense now; nothing is done then.
///
/// `caught` are the signals that the main process has handlers for, if it is known.
pub fn refuse(fleet: &Fleet, id: ServiceId, verb: Verb, catches: impl Fn(Signal) -> bool) -> Option<Outcome> {
    let service = fleet.service(id)?;
    let name = &service.settings().name;
    let refused = |text: String| Some(Outcome::refused(service, verb, text));
    if fleet.is_going_down() && verb != Verb::Stop && verb != Verb::Dump {
        return refused("all services are being stopped".to_owned());
    }
    match verb {
        Verb::Reload if service.state() != State::Ready => {
            refused(format!("{name} is not ready ({}), so there is nothing to reload", service.state().name()))
        }
        Verb::Reload if is_deaf(service, &catches) => {
            let deaf = why_deaf(service, ", which would end it");
            let why =
                fleet.overlaps(id).err().map(|why| format!(" (two at once cannot be: {why})")).unwrap_or_default();
            refused(format!("{deaf}: set reload_signal, or use launcher restart {name}{why}"))
        }
        Verb::Signal(signal) if service.settings().signals.sent_for(signal).is_none() => {
            refused(sent_nothing(service, signal))
        }
        Verb::Canary(_) | Verb::Promote | Verb::Rollback => refused(canary::refuse(fleet, id, verb)?),
        Verb::Dump if !service.may_run() => refused(format!("no process of {name} runs ({})", service.state().name())),
        _ => None,
    }
}

impl Pending {
    /// The command was passed on; before, things were so.
    pub fn new(now: Moment, fleet: &Fleet, id: ServiceId, verb: Verb, before: Before) -> Pending {
        let service = fleet.service(id);
        let generation = service.and_then(Service::generation).map_or(0, |generation| generation.0);
        // A generation that has not got beyond its preflight is as good as a new one.
        let begun = service.is_some_and(|service| match service.state() {
            State::Checking => true,
            State::Waiting => !service.waits_for_others(),
            // Nobody starts anew what is on its way up already.
            State::Starting | State::Ready => verb == Verb::Start,
            _ => false,
        });
        let target = match verb {
            Verb::Restart | Verb::Replace | Verb::Canary(_) | Verb::Promote
                if let Some(target) = canary::target(fleet, id) =>
            {
                target.0
            }
            Verb::Start | Verb::Restart | Verb::Replace if generation > before.generation || begun => generation,
            Verb::Start | Verb::Restart | Verb::Replace | Verb::Canary(_) => generation + 1,
            // It was ready, and its place is taken by now.
            Verb::Promote => generation,
            _ => before.generation,
        };
        let idle = match verb {
            Verb::Start => before.ready,
            Verb::Stop => before.at_rest,
            _ => false,
        };
        let target = Generation(target);
        Pending { id, verb, began: now, target, idle, reloading: false, failed: None, signals: before.signals }
    }

    /// Which service it is about.
    pub fn service(&self) -> ServiceId {
        self.id
    }

    /// That it was passed on, for whoever does not wait.
    pub fn passed_on(&self, fleet: &Fleet) -> Option<Outcome> {
        let service = fleet.service(self.id)?;
        let text = format!("{} of {} has begun", self.verb.name(), service.settings().name);
        Some(Outcome { done: false, ..outcome(service, self.verb, 0, 202, text) })
    }

    /// When [`Pending::look`] is to be called though nothing has happened.
    pub fn next_deadline(&self) -> Option<Moment> {
        let reload = (self.verb == Verb::Reload && !self.reloading).then(|| self.began + RELOAD_GRACE);
        [reload, self.failed.map(|failed| failed + REPORT_GRACE)].into_iter().flatten().min()
    }

    /// What has come of it, if something has.
    pub fn look(&mut self, now: Moment, fleet: &Fleet, ledger: &Ledger) -> Option<Outcome> {
        let service = fleet.service(self.id)?;
        match self.verb {
            Verb::Start | Verb::Restart | Verb::Replace | Verb::Canary(_) | Verb::Promote => {
                self.look_up(now, fleet, service, ledger)
            }
            Verb::Rollback => Some(canary::rolled_back(fleet, self.id, service)),
            Verb::Stop => self.look_down(service, fleet.beside(self.id).is_some()),
            Verb::Reload => self.look_at_reload(now, service),
            Verb::Signal(signal) => Some(self.look_at_signal(service, signal, ledger)),
            Verb::Dump => None,
        }
    }

    /// It is to be ready.
    fn look_up(&mut self, now: Moment, fleet: &Fleet, service: &Service, ledger: &Ledger) -> Option<Outcome> {
        let name = &service.settings().name;
        let newer = service.generation().is_some_and(|generation| generation >= self.target);
        let ended = |cause| service.outcome().is_some_and(|outcome| outcome.cause == cause);
        if let Some(text) = canary::serves(fleet, self.id, self.target, self.verb) {
            return Some(outcome(service, self.verb, 0, 200, text));
        }
        if ledger.of(self.id).rolled_back >= Some(self.target) && !newer {
            return Some(outcome(service, self.verb, code::PREFLIGHT, 409, canary::taken_back(service, self.target)));
        }
        if newer && service.state() == State::Ready {
            if self.verb == Verb::Promote {
                return Some(outcome(service, self.verb, 0, 200, canary::promoted(service)));
            }
            let took = human_duration(now.since(self.began));
            let text = match self.verb {
                _ if self.idle => format!("{name} is ready already"),
                Verb::Replace => {
                    format!("{}: it was restarted, and is ready after {took}", why_deaf(service, ""))
                }
                _ => format!("{name} is ready after {took}"),
            };
            return Some(outcome(service, self.verb, 0, 200, text));
        }
        if newer && ended(OutcomeCause::Completed) {
            return Some(outcome(service, self.verb, 0, 200, format!("{name} has done its work")));
        }
        let finding =
            ledger.of(self.id).finding.filter(|finding| finding.generation >= self.target && is_failure(finding));
        if let Some(finding) = finding {
            let stays = service.state() == State::Ready && service.generation() < Some(finding.generation);
            return Some(failed(service, self.verb, &finding, stays));
        }
        if fleet.is_going_down() || ended(OutcomeCause::Requested) {
            let text = format!("{name} was stopped before it was ready");
            return Some(outcome(service, self.verb, code::PREFLIGHT, 409, text));
        }
        // Its report is about to come.
        let over = newer && matches!(service.state(), State::BackingOff | State::Open | State::Failed);
        let since = self.failed.filter(|_| over).or(over.then_some(now));
        self.failed = since;
        let late = since.is_some_and(|since| now >= since + REPORT_GRACE);
        late.then(|| outcome(service, self.verb, code::DEADLINE, 503, format!("{name} did not become ready")))
    }

    /// It is to be at rest.
    fn look_down(&self, service: &Service, beside: bool) -> Option<Outcome> {
        let name = &service.settings().name;
        if service.state().is_at_rest() {
            // It goes with it, in a time of its own.
            if beside {
                return None;
            }
            let code = service.outcome().map_or(0, |outcome| outcome.code);
            let text = match (self.idle, code) {
                (true, _) => format!("{name} was not running"),
                (false, 0) => format!("{name} has stopped"),
                (false, code) => format!("{name} has stopped, with exit code {code}"),
            };
            return Some(outcome(service, self.verb, 0, 200, text));
        }
        let again = service.generation().is_some_and(|generation| generation > self.target);
        again.then(|| outcome(service, self.verb, code::PREFLIGHT, 409, format!("{name} was started again meanwhile")))
    }

    /// It is to say that it has reloaded, if it speaks of such things.
    fn look_at_reload(&mut self, now: Moment, service: &Service) -> Option<Outcome> {
        let name = &service.settings().name;
        let signal = sent_for(service, service.settings().reload_signal);
        let same = service.generation() == Some(self.target);
        if !same || service.state() != State::Ready {
            let text = format!("{name} ended, or was stopped, when it had been sent {signal}");
            return Some(outcome(service, self.verb, code::DEADLINE, 503, text));
        }
        if service.is_reloading() {
            self.reloading = true;
            return None;
        }
        if self.reloading {
            let text = format!("{name} has reloaded, in {}", human_duration(now.since(self.began)));
            return Some(outcome(service, self.verb, 0, 200, text));
        }
        let over = !service.speaks() || now >= self.began + RELOAD_GRACE;
        let text = || format!("{name} was sent {signal}; it does not say when it has reloaded");
        over.then(|| outcome(service, self.verb, 0, 200, text()))
    }

    /// It was sent, or kept.
    fn look_at_signal(&self, service: &Service, signal: Signal, ledger: &Ledger) -> Outcome {
        let (name, state) = (&service.settings().name, service.state());
        let signal = sent_for(service, signal);
        let entry = ledger.of(self.id);
        let done = |text| outcome(service, self.verb, 0, 200, text);
        match () {
            () if entry.signals_sent > self.signals.0 => done(format!("{name} was sent {signal}")),
            () if entry.signals_held > self.signals.1
                || matches!(state, State::Checking | State::Starting)
                || (state == State::Waiting && !service.waits_for_others()) =>
            {
                done(format!("{name} is not ready: {signal} is held until it is"))
            }
            () => {
                let text = format!("{name} does not run ({}), so {signal} was not sent", state.name());
                outcome(service, self.verb, code::PREFLIGHT, 409, text)
            }
        }
    }
}

/// Whether a report is of a start that failed, and not of a stop that took too long.
fn is_failure(finding: &Finding) -> bool {
    !matches!(finding.kind, Occasion::StopTimeout | Occasion::Requested)
}

#[cfg(test)]
mod tests;
