//! What the launcher says of its services: one line a transition.

mod overlap;

use std::time::Duration;

use tracing::{debug, info, warn};

use crate::core::requirement::{News, words};
use crate::core::service::{Extension, Haste, Spread, State, Transition};
use crate::core::settings::Debugged;
use crate::core::signal::Signal;
use crate::core::units::{exact_duration, human_duration};
use crate::run::{log, screen};

/// Who is spoken of.
pub struct Subject<'a> {
    /// The service's name.
    pub service: &'a str,
    /// Since its process was executed, if one was.
    pub running: Option<Duration>,
    /// Whether it was ready.
    pub ready: bool,
    /// What it comes after, by name.
    pub waits: String,
    /// Whether a report tells that it failed.
    pub failed: bool,
    /// Whether it is started again when its files change.
    pub watched: bool,
    /// Whether a person sits at the terminal.
    pub terminal: bool,
    /// Which generation it is.
    pub generation: u64,
    /// Whether another one is beside it.
    pub beside: bool,
}

impl Subject<'_> {
    /// Which generation it is, if there was one yet: a field of every event that concerns one.
    fn of(&self) -> Option<u64> {
        Some(self.generation).filter(|generation| *generation > 0)
    }

    /// The service, or which generation of it is meant while there are two.
    fn who(&self) -> String {
        let Subject { service, generation, .. } = self;
        if self.beside { format!("generation {generation} of {service}") } else { (*service).to_owned() }
    }
}

/// Says how a service is looked into that waits for its debugger.
pub fn debugged(service: &str, generation: u64, debugged: &Debugged) {
    let Debugged { attach, note } = debugged;
    info!(service, event = "debugger", generation, attach, "{service} waits for its debugger: {attach}");
    if let Some(note) = note {
        warn!(service, event = "debugger-note", generation, "{service}: {note}");
    }
}

/// Says one transition.
pub fn transition(subject: &Subject<'_>, transition: &Transition) {
    let (service, generation) = (subject.service, subject.of());
    match transition {
        Transition::State { from, to, generation, attempt } => {
            let generation = generation.map_or(0, |generation| generation.0);
            state(subject, *from, *to, generation, *attempt);
        }
        Transition::Restarting { .. }
        | Transition::RestartsAlone(_)
        | Transition::RestartFollows
        | Transition::CanaryServes { .. }
        | Transition::Superseded { .. }
        | Transition::Removed { .. }
        | Transition::RolledBack { .. }
        | Transition::LeftAlone { .. } => overlap::tell(service, subject.generation, transition),
        Transition::Requirement(news) => requirement(subject, news),
        Transition::FailureSpread(spread) => failure_spread(subject, spread),
        Transition::SignalHeld { signal, limit } => signal_held(subject, *signal, *limit),
        Transition::SignalDelivered(signal) => {
            let name = signal.to_string();
            info!(service, event = "signal-delivered", generation, signal = name, "{service} is sent the held {name}");
        }
        Transition::NextAttempt { attempt, failures, max, after } => {
            let of = match max {
                None => String::new(),
                Some(max) if *attempt == failures + 1 => format!(" of {max}"),
                // It was ready in between, for a moment: attempts are counted anew, failures go on.
                Some(max) => format!(", after {failures} of {max} failures in a row"),
            };
            let after_ms = after.as_millis() as u64;
            info!(
                service,
                event = "next-attempt",
                generation,
                attempt,
                failures,
                after_ms,
                "{service} is started again in {} (attempt {attempt}{of})",
                human_duration(*after)
            );
        }
        Transition::Extended(extension) => {
            let times = extension.times;
            let to_ms = extension.to.as_millis() as u64;
            let words = self::extension(extension);
            info!(service, event = "extended", generation, times, to_ms, "{service} is not ready yet: {words}");
        }
        Transition::BreakerOpened { failures, cooldown } => {
            let times = if *failures == 1 { "once".to_owned() } else { format!("{failures} times") };
            warn!(
                service,
                event = "breaker-opened",
                generation,
                failures,
                "{service} failed {times}: not started again for {}",
                human_duration(*cooldown)
            );
        }
        Transition::Survived { after, cut, drained } => {
            let (who, after) = (subject.who(), human_duration(*after));
            let limit = if *drained && !*cut { ", its drain_timeout" } else { "" };
            let hint = if *cut { " (the stop_budget leaves no more: raise it, or shorten stop_timeout)" } else { "" };
            warn!(
                service,
                event = "survived",
                generation,
                "{who} did not stop within {after}{limit}: it is killed{hint}"
            );
        }
        Transition::Killed(haste) => killed(subject, *haste),
        Transition::GivenUp { failures, code } => {
            let times =
                if *failures == 1 { "1 failed start".into() } else { format!("{failures} failed starts in a row") };
            warn!(
                service,
                event = "given-up",
                generation,
                failures,
                code,
                "{service} is given up after {times}: exit code {code}"
            );
        }
        // On its way up a service says what it waits for; a ready one may say a number every second.
        Transition::Status(text) if !subject.ready => {
            info!(service, event = "status", generation, status = text, "{service} says: {text}");
        }
        Transition::Status(text) => {
            debug!(service, event = "status", generation, status = text, "{service} says: {text}")
        }
        Transition::Trouble(text) => warn!(service, event = "trouble", generation, "{service} says: {text}"),
        Transition::SenderRefused { pid, access } => {
            let access = access.name();
            warn!(
                service,
                event = "sender-refused",
                generation,
                pid,
                "a notification for {service} came from its process {pid}, and notify_access is \"{access}\": ignored"
            );
        }
        Transition::MainPidRefused { pid } => {
            warn!(
                service,
                event = "main-pid-refused",
                generation,
                pid,
                "{service} names pid {pid} as its main process, which is no process of it: ignored"
            );
        }
        Transition::StrangerIgnored { pid } => {
            warn!(
                service,
                event = "stranger-ignored",
                generation,
                pid,
                "a notification for {service} came from pid {pid}, which is no process of it: ignored"
            );
        }
    }
}

/// What those are told who are at the terminal of a service; they see what it does.
pub fn for_attached(subject: &Subject<'_>, transition: &Transition) -> Option<String> {
    let (service, generation) = (subject.service, subject.generation);
    match transition {
        Transition::State { to: State::Starting, .. } => {
            Some(format!("{service} is starting (generation {generation})"))
        }
        Transition::State { to: State::Stopping, .. } if !subject.failed => Some(format!("{service} is stopping")),
        Transition::NextAttempt { after, .. } => {
            Some(format!("{service} has ended, and is started again in {}", human_duration(*after)))
        }
        Transition::BreakerOpened { cooldown, .. } => {
            Some(format!("{service} has ended, and is not started again for {}", human_duration(*cooldown)))
        }
        Transition::Removed { stays, .. } => {
            Some(format!("generation {generation} of {service} is removed, you are at generation {}", stays.0))
        }
        _ => None,
    }
}

/// On a terminal one line is drawn again and again, elsewhere lines come at growing distances.
fn requirement(subject: &Subject<'_>, news: &News) {
    let (service, generation) = (subject.service, subject.of());
    let text = words::news(Some(service), news);
    match news {
        // What answered at the first try was there all the time.
        News::Met { tries: 1, url, .. } => debug!(service, event = "requirement-met", generation, url, "{text}"),
        News::Met { url, .. } => info!(service, event = "requirement-met", generation, url, "{service}: {text}"),
        News::Missing { due, slower, url, error, tries, .. } => {
            let drawn = subject.terminal && log::progress(service, Some(&text));
            if (*due && !drawn) || slower.is_some() {
                info!(service, event = "requirement-missing", generation, url, error, tries, "{text}");
            }
        }
    }
}

fn killed(subject: &Subject<'_>, haste: Haste) {
    let (service, generation) = (subject.service, subject.of());
    match haste {
        Haste::Asked => {
            warn!(
                service,
                event = "killed",
                generation,
                reason = "asked",
                "{service} is not waited for any longer, as was asked: it is killed"
            );
        }
        Haste::Budget => warn!(
            service,
            event = "killed",
            generation,
            reason = "stop-budget",
            "the stop_budget is used up before {service} has stopped: it is killed (raise stop_budget, or shorten \
             stop_timeout)"
        ),
    }
}

fn failure_spread(subject: &Subject<'_>, spread: &Spread) {
    let (service, generation) = (subject.service, subject.of());
    match spread {
        Spread::All => warn!(
            service,
            event = "failure-spread",
            generation,
            "{service} has failed for good: all is stopped, as its on_failure = \"stop-all\" says"
        ),
        Spread::NothingLeft => warn!(
            service,
            event = "failure-spread",
            generation,
            "{service} has failed for good, and nothing is left that the others run for: all is stopped"
        ),
        Spread::Dependents(stopped) => {
            let (names, verb) = match &stopped[..] {
                [one] => (one.clone(), "comes after it, is stopped"),
                _ => (stopped.join(", "), "come after it, are stopped"),
            };
            warn!(
                service,
                event = "failure-spread",
                generation,
                stopped = names,
                "{service} has failed for good: {names}, which {verb}"
            );
        }
    }
}

fn signal_held(subject: &Subject<'_>, signal: Signal, limit: Option<Duration>) {
    let (service, generation) = (subject.service, subject.of());
    let name = signal.to_string();
    let hint = if subject.terminal { "; press Ctrl-C again to stop it now" } else { "" };
    let limit = limit.map(|limit| format!(", for at most {}{hint}", human_duration(limit))).unwrap_or_default();
    info!(
        service,
        event = "signal-held",
        generation,
        signal = name,
        "{service} is not ready: {name} is held until it is{limit}"
    );
}

fn state(subject: &Subject<'_>, from: State, to: State, generation: u64, attempt: u32) {
    // While there are two of it, it is said of which one.
    let service = subject.service;
    let who = if subject.beside { format!("generation {generation} of {service}") } else { service.to_owned() };
    let after = subject.running.map(|running| format!(" after {}", human_duration(running))).unwrap_or_default();
    match to {
        State::Waiting if from == State::Checking => {
            debug!(service, event = "requiring", generation, "{who} waits for its requirements");
        }
        // That is of the next generation. On a terminal the table of the start says it, for as long as it is so.
        State::Waiting if !subject.waits.is_empty() && !screen::is_drawable() => {
            info!(service, event = "waiting", "{service} waits for {}", subject.waits);
        }
        State::Waiting => debug!(service, event = "waiting", "{service} waits for nothing"),
        State::Checking => debug!(service, event = "checking", generation, attempt, "{who} is being checked"),
        State::Starting => {
            info!(service, event = "starting", generation, attempt, "{who} is starting (attempt {attempt})");
        }
        State::Ready => info!(service, event = "ready", generation, "{who} is ready{after}"),
        // The report says it, and says why.
        State::Stopping if subject.failed => {
            debug!(service, event = "stopping", generation, "{who} has failed and is being stopped");
        }
        State::Stopping => info!(service, event = "stopping", generation, "{who} is stopping"),
        State::BackingOff => debug!(service, event = "backing-off", generation, "{who} is backing off"),
        State::Open => debug!(service, event = "open", generation, "the breaker of {service} is open"),
        State::Failed if subject.watched => {
            info!(service, event = "failed", generation, "{who} is started again when its files change");
        }
        State::Failed => debug!(service, event = "failed", generation, "{who} has failed"),
        State::Stopped if generation == 0 => info!(service, event = "stopped", "{who} is not started"),
        State::Stopped => info!(service, event = "stopped", generation, "{who} has stopped"),
    }
}

/// How far a start deadline has moved, and why.
pub fn extension(extension: &Extension) -> String {
    let signs: Vec<String> = extension.signs.iter().map(ToString::to_string).collect();
    let to = human_duration(extension.to);
    let most = exact_duration(extension.most);
    let limit =
        if extension.to < extension.most { format!(" of at most {most}") } else { ", the last time".to_owned() };
    format!("it gets on ({}), so it has until {to} after its start{limit} (extend_while_progressing)", signs.join(", "))
}
