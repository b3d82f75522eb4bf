//! What the launcher says of its services: one line a transition.

use std::time::Duration;

use tracing::{debug, info, warn};

use crate::core::service::{State, Transition};
use crate::core::signal::Signal;
use crate::core::units::human_duration;

/// Who is spoken of.
pub struct Subject<'a> {
    /// The service's name.
    pub service: &'a str,
    /// Since its process was executed, if one was.
    pub running: Option<Duration>,
    /// Whether it was ready.
    pub ready: bool,
    /// Whether it comes after another service.
    pub waits: bool,
    /// Whether a report tells that it failed.
    pub failed: bool,
    /// Whether a person sits at the terminal.
    pub terminal: bool,
}

/// Says one transition.
pub fn transition(subject: &Subject<'_>, transition: &Transition) {
    let service = subject.service;
    match transition {
        Transition::State { to, generation, attempt, .. } => {
            let generation = generation.map_or(0, |generation| generation.0);
            state(subject, *to, generation, *attempt);
        }
        Transition::SignalHeld { signal, limit } => signal_held(subject, *signal, *limit),
        Transition::SignalDelivered(signal) => {
            let name = signal.to_string();
            info!(service, event = "signal-delivered", signal = name, "{service} is sent the held {name}");
        }
        Transition::NextAttempt { attempt, of, after } => {
            let of = of.map(|of| format!(" of {of}")).unwrap_or_default();
            let after_ms = after.as_millis() as u64;
            info!(
                service,
                event = "next-attempt",
                attempt,
                after_ms,
                "{service} is started again in {} (attempt {attempt}{of})",
                human_duration(*after)
            );
        }
        Transition::BreakerOpened { failures, cooldown } => {
            warn!(
                service,
                event = "breaker-opened",
                failures,
                "{service} failed {failures} times: not started again for {}",
                human_duration(*cooldown)
            );
        }
        Transition::Survived { after } => {
            warn!(
                service,
                event = "survived",
                "{service} did not stop within {}: it is killed",
                human_duration(*after)
            );
        }
        Transition::GivenUp { failures, code } => {
            let times =
                if *failures == 1 { "1 failed start".into() } else { format!("{failures} failed starts in a row") };
            warn!(service, event = "given-up", failures, code, "{service} is given up after {times}: exit code {code}");
        }
        // On its way up a service says what it waits for; a ready one may say a number every second.
        Transition::Status(text) if !subject.ready => {
            info!(service, event = "status", status = text, "{service} says: {text}");
        }
        Transition::Status(text) => debug!(service, event = "status", status = text, "{service} says: {text}"),
        Transition::StrangerIgnored { pid } => {
            warn!(
                service,
                event = "stranger-ignored",
                pid,
                "a notification for {service} came from pid {pid}, which is no process of it: ignored"
            );
        }
    }
}

fn signal_held(subject: &Subject<'_>, signal: Signal, limit: Option<Duration>) {
    let service = subject.service;
    let name = signal.to_string();
    let hint = if subject.terminal { "; press Ctrl-C again to stop it now" } else { "" };
    let limit = limit.map(|limit| format!(", for at most {}{hint}", human_duration(limit))).unwrap_or_default();
    info!(service, event = "signal-held", signal = name, "{service} is not ready: {name} is held until it is{limit}");
}

fn state(subject: &Subject<'_>, to: State, generation: u64, attempt: u32) {
    let service = subject.service;
    let after = subject.running.map(|running| format!(" after {}", human_duration(running))).unwrap_or_default();
    match to {
        State::Waiting if subject.waits => info!(service, event = "waiting", "{service} waits for what it comes after"),
        State::Waiting => debug!(service, event = "waiting", "{service} waits for nothing"),
        State::Checking => debug!(service, event = "checking", generation, attempt, "{service} is being checked"),
        State::Starting => {
            info!(service, event = "starting", generation, attempt, "{service} is starting (attempt {attempt})");
        }
        State::Ready => info!(service, event = "ready", generation, "{service} is ready{after}"),
        // The report says it, and says why.
        State::Stopping if subject.failed => {
            debug!(service, event = "stopping", generation, "{service} has failed and is being stopped");
        }
        State::Stopping => info!(service, event = "stopping", generation, "{service} is stopping"),
        State::BackingOff => debug!(service, event = "backing-off", generation, "{service} is backing off"),
        State::Open => debug!(service, event = "open", generation, "the breaker of {service} is open"),
        State::Failed => debug!(service, event = "failed", generation, "{service} has failed"),
        State::Stopped => info!(service, event = "stopped", generation, "{service} has stopped"),
    }
}
