//! What launcher says to a service manager above it (`sd_notify(3)`): that all services are ready, how they are, how much
//! longer a start or a stop takes, that a reload goes on, and that it lives.
//!
//! It looks at the services after every step and says what has changed. Nothing here sends anything.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::fleet::{Fleet, ServiceId};
use super::service::{Service, State};
use super::time::Moment;

/// How much more is asked for than the next deadline needs: for a dump, and for a machine that is busy.
const MARGIN: Duration = Duration::from_secs(10);

/// How long a service that speaks may take to say RELOADING=1 after a HUP. Most programs never say it; then their reload is
/// taken for done.
const RELOAD_GRACE: Duration = Duration::from_secs(1);

/// The longest STATUS= that is sent: `systemctl status` shows one line.
const LONGEST_STATUS: usize = 400;

/// One conversation with a service manager.
#[derive(Debug, Clone, Default)]
pub struct Above {
    /// How often it wants to hear WATCHDOG=1, if it does.
    watchdog: Option<Duration>,
    next_ping: Option<Moment>,
    ready: bool,
    stopping: bool,
    status: String,
    /// Until when it was asked to be patient.
    patient_until: Moment,
    reload: Option<Reload>,
    /// What was found out about services that failed, until they are ready.
    verdicts: BTreeMap<ServiceId, String>,
}

/// A reload that was told of.
#[derive(Debug, Clone, Default)]
struct Reload {
    /// When a HUP asked for it; `None` when a service began it by itself.
    asked: Option<Moment>,
    /// Whether the manager was told that it goes on.
    told: bool,
    /// The services that have said RELOADING=1. When one of them has, and none goes on with it, it is over.
    seen: Vec<ServiceId>,
}

impl Above {
    /// A conversation that begins. `watchdog` is the period in which the manager wants to hear from launcher.
    pub fn new(watchdog: Option<Duration>) -> Above {
        Above { watchdog: watchdog.filter(|period| !period.is_zero()), ..Above::default() }
    }

    /// A HUP was passed on to the services: what comes of it is a reload.
    pub fn reload_asked(&mut self, now: Moment) {
        if self.ready && !self.stopping {
            self.reload = Some(Reload { asked: Some(now), ..Reload::default() });
        }
    }

    /// What a failed generation of a service waited for: it is part of the status until the service is ready.
    pub fn explained(&mut self, id: ServiceId, verdict: &str) {
        self.verdicts.insert(id, verdict.to_owned());
    }

    /// When [`Above::look`] is to be called though nothing has happened.
    pub fn next_deadline(&self) -> Option<Moment> {
        // One that has been seen goes on for as long as it says.
        let unseen = self.reload.as_ref().filter(|reload| reload.seen.is_empty());
        let grace = unseen.and_then(|reload| reload.asked).map(|asked| asked + RELOAD_GRACE);
        [self.next_ping, grace].into_iter().flatten().min()
    }

    /// What is to be said now, each text a message of its own, in this order.
    pub fn look(&mut self, now: Moment, fleet: &Fleet) -> Vec<String> {
        let mut messages = Vec::new();
        for (id, service) in fleet.services().filter(|(_, service)| service.state() == State::Ready) {
            // A verdict on a ready service is on a generation before this one.
            if service.serves() {
                self.verdicts.remove(&id);
            }
        }
        let mut said = String::new();
        let status = self.status_of(fleet);
        if status != self.status {
            let _ = writeln!(said, "STATUS={status}");
            self.status = status;
        }
        self.say_stopping(now, fleet, &mut said);
        self.ask_for_patience(now, fleet, &mut said);
        if !self.ready && !self.stopping && fleet.wanted().all(|(_, service)| service.serves()) {
            self.ready = true;
            said.push_str("READY=1\n");
        }
        self.ping(now, fleet, &mut said);
        messages.extend((!said.is_empty()).then_some(said));
        self.follow_reload(now, fleet, &mut messages);
        messages
    }

    fn say_stopping(&mut self, now: Moment, fleet: &Fleet, said: &mut String) {
        let over = fleet.exit_code().is_some();
        if !self.stopping && (fleet.is_going_down() || over) {
            self.stopping = true;
            self.reload = None;
            said.push_str("STOPPING=1\n");
            if let Some(end) = fleet.end_of_stop() {
                self.extend(now, end + MARGIN, said);
            }
        }
    }

    /// While services come up: until the next deadline of the slowest. An attempt that failed is followed by another, for
    /// as long as launcher itself does not give up; with an open breaker it does not expect anything soon, and does not ask.
    fn ask_for_patience(&mut self, now: Moment, fleet: &Fleet, said: &mut String) {
        if self.ready || self.stopping {
            return;
        }
        if let Some(horizon) = fleet.wanted().filter_map(|(_, service)| service.start_horizon(now)).max()
            && horizon + MARGIN > self.patient_until + MARGIN / 10
        {
            self.extend(now, horizon + MARGIN, said);
        }
    }

    fn extend(&mut self, now: Moment, until: Moment, said: &mut String) {
        self.patient_until = until;
        let _ = writeln!(said, "EXTEND_TIMEOUT_USEC={}", until.since(now).as_micros());
    }

    /// It lives, as long as all is well with the services: then the manager restarts nothing.
    fn ping(&mut self, now: Moment, fleet: &Fleet, said: &mut String) {
        let Some(period) = self.watchdog.filter(|_| self.next_ping.is_none_or(|at| at <= now)) else { return };
        self.next_ping = Some(now + period / 2);
        let healthy = |service: &Service| !matches!(service.state(), State::Failed | State::Open);
        if self.stopping || fleet.services().all(|(_, service)| healthy(service)) {
            said.push_str("WATCHDOG=1\n");
        }
    }

    /// RELOADING=1 when a reload begins and READY=1 when it is over. Both have to be said, also when it took no time.
    fn follow_reload(&mut self, now: Moment, fleet: &Fleet, messages: &mut Vec<String>) {
        if !self.ready || self.stopping {
            return;
        }
        let reloading: Vec<_> = fleet.services().filter(|(_, service)| service.is_reloading()).collect();
        if self.reload.is_none() && !reloading.is_empty() {
            self.reload = Some(Reload::default());
        }
        let Some(reload) = &mut self.reload else { return };
        if !std::mem::replace(&mut reload.told, true) {
            let began = reloading.iter().filter_map(|(_, service)| service.reload_began()).min();
            // One that was asked for has begun no earlier than that: the manager would not know it for its own.
            let began = reload.asked.map(Moment::since_start).or(began).unwrap_or(now.since_start());
            messages.push(format!("RELOADING=1\nMONOTONIC_USEC={}\n", began.as_micros()));
        }
        if !reloading.is_empty() {
            let new = reloading.iter().map(|(id, _)| *id).filter(|id| !reload.seen.contains(id)).collect::<Vec<_>>();
            reload.seen.extend(new);
            return;
        }
        let answered = |(_, service): (ServiceId, &Service)| !service.speaks();
        let patient = reload.seen.is_empty() && reload.asked.is_some_and(|asked| now < asked + RELOAD_GRACE);
        if !patient || fleet.services().all(answered) {
            self.reload = None;
            messages.push("READY=1\n".to_owned());
        }
    }

    /// One line about all services: of one its own words, of several those that are not ready.
    fn status_of(&self, fleet: &Fleet) -> String {
        let all: Vec<_> = fleet.wanted().collect();
        let mut text = match &all[..] {
            [(id, service)] => self.words(*id, service),
            _ => {
                let ready = all.iter().filter(|(_, service)| service.serves()).count();
                let mut text = format!("{ready} of {} ready", all.len());
                for (id, service) in all.iter().filter(|(_, service)| !service.serves()) {
                    let _ = write!(text, "; {} {}", service.settings().name, self.words(*id, service));
                }
                text
            }
        };
        if text.len() > LONGEST_STATUS {
            text.truncate(text.floor_char_boundary(LONGEST_STATUS));
            text.push('…');
        }
        text
    }

    fn words(&self, id: ServiceId, service: &Service) -> String {
        let mut words = service.state().name().to_owned();
        if service.state() != State::Ready && service.attempt() > 1 {
            let _ = write!(words, " (attempt {})", service.attempt());
        }
        let own = service.status().filter(|status| !status.is_empty());
        let said = match service.state() {
            State::Checking | State::Starting | State::Ready => own,
            _ => None,
        };
        let said = said.or_else(|| self.verdicts.get(&id).map(String::as_str));
        if let Some(said) = said {
            let _ = write!(words, ": {}", said.lines().next().unwrap_or_default());
        }
        words
    }
}
