//! One service of a trial.

use std::time::Duration;

use crate::core::exit::code;
use crate::core::service::Service;
use crate::core::settings::{Ready, RestartPolicy, ServiceSettings};
use crate::core::signal::Signal;
use crate::core::time::Moment;
use crate::core::units::{exact_duration, human_duration};

use super::Told;
use super::moved::Move;
use super::phase::{Clocks, Phase};
use super::record::Failure;

/// What the trial knows of one service.
#[derive(Debug)]
pub struct Member {
    pub name: String,
    /// Its ports that are elsewhere, and without which it is not ready.
    pub moves: Vec<Move>,
    /// It may say READY=1 instead of listening where it is to.
    pub may_notify: bool,
    pub policy: RestartPolicy,
    /// It has something by which it is known to be ready.
    pub shows_ready: bool,
    pub ends: bool,
    pub success_codes: Vec<i32>,
    /// The phase it is in now, and the last one it was in.
    pub phase: Option<Phase>,
    pub last: Phase,
    /// When it was first checked, and when it was ready.
    pub began: Option<Moment>,
    pub ready_after: Option<Duration>,
    pub told: Option<Told>,
    /// Its end was taken in.
    pub judged: bool,
}

impl Member {
    /// `accepted`: codes with which the launcher would end well.
    pub fn of(service: &ServiceSettings, accepted: &[i32]) -> Member {
        let silent = match service.ready {
            Ready::Started => true,
            Ready::Auto => service.ports.is_empty(),
            _ => false,
        };
        Member {
            name: service.name.clone(),
            moves: Vec::new(),
            may_notify: service.ready == Ready::Auto,
            policy: service.restart.policy,
            shows_ready: !silent,
            ends: service.ready == Ready::Exited,
            success_codes: [&service.restart.success_codes[..], accepted].concat(),
            phase: None,
            last: Phase::Preflight,
            began: None,
            ready_after: None,
            told: None,
            judged: false,
        }
    }

    pub fn go(&mut self, now: Moment, clocks: &mut Clocks, phase: Option<Phase>) {
        if let Some(phase) = self.phase.take() {
            clocks.leave(now, phase);
        }
        if let Some(phase) = phase {
            clocks.enter(now, phase);
            self.last = phase;
        }
        self.phase = phase;
    }
}

impl Member {
    /// It failed by itself.
    pub fn failure(&self, phase: Phase, code: i32) -> Failure {
        let mut failure = match &self.told {
            Some(told) => Failure::of_told(phase, told),
            None => Failure::new(phase, "unknown", format!("{} failed with exit code {code}", self.name)),
        };
        failure.code = code;
        failure.service = Some(self.name.clone());
        failure
    }

    /// It ended by itself and well: whether it was to.
    pub fn ended_early(&self, hold: Option<Duration>, code: i32) -> Option<Failure> {
        let name = &self.name;
        let summary = match hold {
            _ if self.ends => return None,
            _ if self.policy == RestartPolicy::Always => {
                format!("{name} ended by itself with exit code {code}, and restart.policy says that it is to go on")
            }
            Some(hold) => {
                format!("{name} ended by itself with exit code {code}, within --for {}", exact_duration(hold))
            }
            None => return None,
        };
        let advice = format!("if {name} is to end, say so: ready = \"exited\"");
        Some(Failure {
            service: Some(name.clone()),
            code: if code == 0 { code::DEADLINE } else { code },
            advice: vec![advice],
            ..Failure::new(Phase::Ready, "ended", summary)
        })
    }

    /// It did not stop as it should.
    pub fn failure_of_stop(&self, service: &Service, code: i32) -> Failure {
        let (name, signal) = (&self.name, service.settings().stop_signal);
        if self.told.is_some() {
            return self.failure(Phase::Stop, code);
        }
        let killed = code == 128 + Signal::KILL.number();
        let limit = human_duration(service.settings().stop_timeout);
        let (summary, advice) = match killed {
            true => (
                format!("{name} did not stop within {limit} and was killed"),
                format!("let {name} end on {signal}, or raise stop_timeout"),
            ),
            false => (
                format!("{name} ended with exit code {code} when it was stopped by {signal}"),
                format!("let {name} end with 0 on {signal}, or add {code} to restart.success_codes"),
            ),
        };
        Failure {
            service: Some(name.clone()),
            code,
            advice: vec![advice],
            ..Failure::new(Phase::Stop, "stop", summary)
        }
    }
}
