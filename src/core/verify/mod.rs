//! A trial of a start (`launcher verify`): everything is started as `run` would, is to become ready, and is stopped.
//!
//! [`Trial`] watches the services of a [`Fleet`] and says what comes next: no I/O and no clock. Each service gets one
//! attempt, for a start that has to be tried twice is no good start; what `run` does beyond that is not changed. The
//! first thing that fails ends the trial, and its phase gives the exit code.

mod expect;
mod junit;
mod member;
pub mod moved;
mod phase;
mod record;
mod stayed;
#[cfg(test)]
mod tests;

pub use expect::{Expectation, expectation};
pub use junit::junit;
pub use phase::Phase;
pub use record::{Failure, MovedPort, PhaseRecord, Record, ServiceRecord, Status};

use std::time::Duration;

use super::diagnosis::Verdict;
use super::exit::code;
use super::facts::RequirementFacts;
use super::fleet::{Fleet, ServiceId};
use super::requirement::words;
use super::service::{OutcomeCause, State, Transition};
use super::settings::{ControlPlace, RestartPolicy, Settings};
use super::signal::Signal;
use super::time::Moment;

use member::Member;
use phase::Clocks;

/// How long a service is watched that counts as ready merely because it was executed: one that cannot run at all has
/// mostly ended by then.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// What is tried beside the start itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// All must stay ready for so long (`--for`).
    pub hold: Option<Duration>,
    /// Whether something is expected of it when it is ready (`--expect`).
    pub expects: bool,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// See whether what is expected comes true: answered by [`Trial::expected`].
    Expect,
    /// Stop everything.
    Stop,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Starting,
    /// Waits for [`Trial::expected`]; the second time after everything stayed ready for a while.
    Expecting {
        again: bool,
    },
    Holding(Moment),
    Stopping,
}

/// A trial of a start.
#[derive(Debug)]
pub struct Trial {
    plan: Plan,
    step: Step,
    began: Moment,
    clocks: Clocks,
    members: Vec<Member>,
    problems: Vec<Problem>,
}

/// Something that failed.
#[derive(Debug)]
enum Problem {
    /// It is known why.
    Known(Failure),
    /// A service failed by itself: why is told by its report, which may come later.
    Failed { member: usize, phase: Phase, code: i32 },
}

/// What was found out about a service that failed.
#[derive(Debug, Clone)]
pub struct Told {
    /// What happened, in a few words.
    pub headline: String,
    /// What it was waiting for.
    pub verdict: Verdict,
    /// Where the report is.
    pub report: Option<String>,
}

/// The settings with which services are tried: as they are, but for what comes after a failure. There is one attempt; and
/// the doors of the launcher that runs them for good may be open beside it.
pub fn settings_of_trial(settings: &mut Settings) {
    settings.launcher.http = None;
    settings.launcher.control = ControlPlace::Off;
    for service in &mut settings.services {
        service.restart.policy = RestartPolicy::Never;
        service.restart.breaker = None;
        service.restart.max_failures = None;
    }
}

impl Trial {
    /// A trial of these services, whose settings were read in `config_took`. They are those of the file:
    /// [`settings_of_trial`] is for what runs them.
    pub fn new(now: Moment, settings: &Settings, plan: Plan, config_took: Duration) -> Trial {
        let mut clocks = Clocks::default();
        clocks.took(Phase::Config, config_took);
        let to_success = settings.launcher.map_exit.iter().filter(|(_, to)| **to == 0);
        let accepted: Vec<i32> = to_success.map(|(from, _)| i32::from(*from)).collect();
        let members = settings.services.iter().map(|service| Member::of(service, &accepted)).collect();
        Trial { plan, step: Step::Starting, began: now, clocks, members, problems: Vec::new() }
    }

    /// A service has done something worth a line.
    pub fn heard(&mut self, now: Moment, id: ServiceId, transition: &Transition) {
        let Transition::State { from, to, .. } = transition else { return };
        let Some(member) = self.members.get_mut(id.0) else { return };
        let phase = match to {
            State::Checking => Some(Phase::Preflight),
            State::Waiting if *from == State::Checking => Some(Phase::Requirements),
            State::Starting => Some(Phase::Start),
            State::Ready => {
                // A service that was ready from the start was executed, too.
                member.last = Phase::Ready;
                member.ready_after = member.began.map(|began| now.since(began));
                None
            }
            State::Stopping if self.step == Step::Stopping => {
                member.last = Phase::Stop;
                None
            }
            // Why it stops is in the phase it was in.
            State::Stopping => member.phase,
            _ => None,
        };
        member.began = member.began.or(phase.map(|_| now));
        if phase != member.phase {
            member.go(now, &mut self.clocks, phase);
        }
    }

    /// The program of a service was executed.
    pub fn spawned(&mut self, now: Moment, id: ServiceId) {
        if let Some(member) = self.members.get_mut(id.0).filter(|member| member.phase == Some(Phase::Start)) {
            member.go(now, &mut self.clocks, Some(Phase::Ready));
        }
    }

    /// It was found out about a failed service.
    pub fn explained(&mut self, id: ServiceId, told: Told) {
        if let Some(member) = self.members.get_mut(id.0) {
            member.told = Some(told);
        }
    }

    /// A person, or a machine that has waited long enough, wants it to end. Everything is being stopped.
    pub fn interrupted(&mut self, now: Moment, signal: Signal) {
        if self.step == Step::Stopping {
            return;
        }
        let phase = self.current();
        self.known(Failure {
            code: 128 + signal.number(),
            advice: vec!["run it again, with more time if a machine ended it".to_owned()],
            ..Failure::new(phase, "interrupted", format!("interrupted by {signal}"))
        });
        self.stop(now);
    }

    /// What was expected was tried until it came true, or for as long as that may take.
    pub fn expected(&mut self, now: Moment, facts: &[RequirementFacts]) -> Option<Order> {
        let Step::Expecting { again } = self.step else { return None };
        for fact in facts.iter().filter(|fact| !fact.met) {
            let when = if again { ", after it had come true" } else { "" };
            self.known(Failure {
                code: code::DEADLINE,
                advice: vec!["look into what the service wrote, or correct --expect".to_owned()],
                ..Failure::new(Phase::Ready, "expectation", format!("--expect {}{when}", words::line(fact)))
            });
        }
        match again || !self.problems.is_empty() {
            true => Some(self.stop(now)),
            false => self.hold(now),
        }
    }

    /// Looks how it stands, after something has happened or [`Trial::next_deadline`] has come.
    pub fn look(&mut self, now: Moment, fleet: &Fleet) -> Option<Order> {
        self.judge(now, fleet);
        match self.step {
            Step::Stopping => None,
            _ if !self.problems.is_empty() => Some(self.stop(now)),
            Step::Starting if fleet.wanted().all(|(_, service)| service.serves()) => {
                self.clocks.enter(now, Phase::Ready);
                self.step = Step::Holding(now);
                match self.plan.expects {
                    true => self.expect(false),
                    false => self.hold(now),
                }
            }
            Step::Holding(until) if until <= now || is_over(fleet) => match self.plan.expects {
                true if self.plan.hold.is_some() => self.expect(true),
                _ => Some(self.stop(now)),
            },
            Step::Starting | Step::Expecting { .. } | Step::Holding(_) => None,
        }
    }

    /// When [`Trial::look`] is to be called though nothing has happened.
    pub fn next_deadline(&self) -> Option<Moment> {
        match self.step {
            Step::Holding(until) => Some(until),
            _ => None,
        }
    }

    /// Everything has ended, the launcher with this code: what came of it.
    pub fn finish(mut self, now: Moment, fleet: &Fleet, name: &str, launcher_code: i32) -> Record {
        self.judge(now, fleet);
        if self.problems.is_empty() && self.step != Step::Stopping {
            let summary = "everything ended before it was seen to be ready".to_owned();
            self.known(Failure { code: code::DEADLINE, ..Failure::new(Phase::Ready, "ended", summary) });
        }
        self.judge_stops(fleet, launcher_code);
        let mut record = Record::new(name, &self.clocks, now, now.since(self.began));
        let started = self.members.iter().any(|member| member.last >= Phase::Start);
        record.services = self.members.iter().map(ServiceRecord::of).collect();
        for problem in self.problems {
            record.fail(match problem {
                Problem::Known(failure) => failure,
                Problem::Failed { member, phase, code } => self.members[member].failure(phase, code),
            });
        }
        record.skip_after_failure(started);
        record
    }

    fn known(&mut self, failure: Failure) {
        self.problems.push(Problem::Known(failure));
    }

    fn expect(&mut self, again: bool) -> Option<Order> {
        self.step = Step::Expecting { again };
        Some(Order::Expect)
    }

    /// All are ready: for how long they are watched.
    fn hold(&mut self, now: Moment) -> Option<Order> {
        let silent = self.members.iter().any(|member| !member.shows_ready && !member.judged);
        let hold = self.plan.hold.unwrap_or(if silent { FIRST_LOOK } else { Duration::ZERO });
        if hold.is_zero() {
            return Some(self.stop(now));
        }
        self.step = Step::Holding(now + hold);
        None
    }

    fn stop(&mut self, now: Moment) -> Order {
        if !matches!(self.step, Step::Starting | Step::Stopping) {
            self.clocks.leave(now, Phase::Ready);
        }
        self.step = Step::Stopping;
        self.clocks.enter(now, Phase::Stop);
        Order::Stop
    }

    /// Takes in services that are at rest though nobody has stopped them.
    fn judge(&mut self, now: Moment, fleet: &Fleet) {
        for (id, service) in fleet.services() {
            let Some(member) = self.members.get_mut(id.0).filter(|member| !member.judged) else { continue };
            let Some(outcome) = service.outcome() else { continue };
            if outcome.cause == OutcomeCause::Requested {
                continue;
            }
            member.judged = true;
            member.go(now, &mut self.clocks, None);
            match outcome.cause {
                OutcomeCause::Failed(_) => {
                    // A program may end with 0 and still not have done what it was to do.
                    let code = if outcome.code == 0 { code::DEADLINE } else { outcome.code };
                    self.problems.push(Problem::Failed { member: id.0, phase: member.last, code });
                }
                OutcomeCause::Completed => {
                    let early = member.ended_early(self.plan.hold, outcome.code);
                    self.problems.extend(early.map(Problem::Known));
                }
                OutcomeCause::Requested => {}
            }
        }
    }

    /// How they stopped when they were asked to.
    fn judge_stops(&mut self, fleet: &Fleet, launcher_code: i32) {
        for (member, (_, service)) in self.members.iter().zip(fleet.services()) {
            let Some(outcome) = service.outcome().filter(|outcome| outcome.cause == OutcomeCause::Requested) else {
                continue;
            };
            // Some programs leave by themselves with the code that stands for the signal.
            let usual = outcome.code == 0
                || outcome.code == 128 + service.settings().stop_signal.number()
                || member.success_codes.contains(&outcome.code);
            // One that had failed is what the verdict is about, or none was asked for.
            if usual || member.last != Phase::Stop {
                continue;
            }
            self.problems.push(Problem::Known(member.failure_of_stop(service, outcome.code)));
        }
        let left = fleet.services().any(|(_, service)| !service.state().is_at_rest());
        if left && launcher_code != 0 {
            let summary = "not all services had stopped when the stop_budget was used up".to_owned();
            let advice = vec!["make stop_budget longer, or the services stop faster".to_owned()];
            self.known(Failure { code: launcher_code, advice, ..Failure::new(Phase::Stop, "stop-budget", summary) });
        }
    }

    /// The phase that it is in as a whole: the first one that a service is in.
    fn current(&self) -> Phase {
        match self.step {
            Step::Stopping => Phase::Stop,
            Step::Expecting { .. } | Step::Holding(_) => Phase::Ready,
            Step::Starting => self.members.iter().filter_map(|member| member.phase).min().unwrap_or(Phase::Preflight),
        }
    }
}

/// Whether nothing runs any more, and nothing will.
fn is_over(fleet: &Fleet) -> bool {
    fleet.wanted().all(|(_, service)| service.state().is_at_rest())
}
