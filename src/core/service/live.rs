//! One generation from its preflight until nothing is left of it, and how its end is judged.

use std::time::Duration;

use crate::core::exit::{Ending, code};
use crate::core::facts::{Occasion, Refusal};
use crate::core::settings::{NotifyAccess, PortMode, Ready, ServiceSettings};
use crate::core::signal::{Signal, SignalSet};
use crate::core::time::Moment;

use super::Generation;
use super::progress::Progress;

/// The generation that is under way. There is never more than one.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) generation: Generation,
    pub(super) main: Main,
    pub(super) course: Course,
    /// Its requirements are waited for.
    pub(super) requiring: bool,
    /// No process of it runs, and none will.
    pub(super) over: bool,
    /// It has been ready.
    pub(super) ready: bool,
    /// READY=1 came before `Spawned` did: the datagram overtook the keeper's message.
    pub(super) said_ready: bool,
    /// It has said READY=1.
    pub(super) spoke: bool,
    /// RELOADING=1, and not yet READY=1 again.
    pub(super) reloading: bool,
    /// STOPPING=1: it goes down by itself, so a watchdog that falls silent means nothing.
    pub(super) winding_down: bool,
    /// Why it failed, if it did.
    pub(super) failure: Option<Failure>,
    pub(super) report: Report,
    pub(super) ending: Option<Ending>,
    /// The stop signals that were sent to its main process.
    pub(super) stop_signals: SignalSet,
    /// When the stop began.
    pub(super) stop_began: Moment,
    /// What the launcher's stop budget leaves to it.
    pub(super) budget: Option<Budget>,
    pub(super) probing: bool,
    pub(super) watching_handlers: bool,
    /// What was seen of its progress, where that may move its deadline.
    pub(super) progress: Option<Progress>,
    pub(super) ports_released: bool,
    pub(super) watchdog: Option<Duration>,
    /// Who is heard: as it is set, or as NOTIFYACCESS= has it since.
    pub(super) access: NotifyAccess,
    /// The pid of the main process: told by `Spawned`, changed by MAINPID=.
    pub(super) pid: Option<i32>,
    /// The last sender that was told of as one that is not heard: one line for each is enough.
    pub(super) stranger: Option<i32>,
    /// MONOTONIC_USEC= of the last RELOADING=1.
    pub(super) reload_began: Option<Duration>,
}

/// How it stands with the main process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Main {
    /// Preflight runs, or has failed; or requirements are waited for.
    Absent,
    /// `Spawn` is not answered yet.
    Spawning,
    /// It runs.
    Running,
    /// It ended.
    Gone,
}

/// Where a generation is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// It comes up, or is up.
    Up,
    /// It failed to keep a deadline: its stacks are taken, then it is stopped.
    Dumping,
    /// It was, or as soon as it is there will be, sent this signal to stop.
    Stopping(Signal),
    /// It did not stop in time: its stacks are taken, then it is killed.
    Surviving,
    /// Its main process ended by itself; the rest was asked to go.
    Resting,
    /// It was killed.
    Killed,
}

/// How it stands with its report. There is at most one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    None,
    /// `Explain` is not answered yet.
    Pending,
    Done,
}

/// The last moments at which a stop within the launcher's budget must get on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    /// A kept stop request begins.
    pub(super) hold: Moment,
    /// What has not stopped is reported.
    pub(super) stop: Moment,
}

/// Why a generation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// It was not started; the exit code says why.
    Refused(Occasion, i32),
    /// It was not ready by its start deadline.
    StartTimeout,
    /// It missed its watchdog.
    Watchdog,
    /// It ended before it was ready, or with a failure after.
    Ended(Occasion),
}

impl Failure {
    /// The report's `kind`.
    pub(super) fn occasion(self) -> Occasion {
        match self {
            Failure::Refused(occasion, _) | Failure::Ended(occasion) => occasion,
            Failure::StartTimeout => Occasion::StartTimeout,
            Failure::Watchdog => Occasion::Watchdog,
        }
    }

    /// The failure that a preflight finding or a failed exec is.
    pub(super) fn refused(refusal: &Refusal) -> Failure {
        match refusal {
            Refusal::Exec(failure) => Failure::Refused(Occasion::ExecFailed, failure.problem.exit_code()),
            Refusal::Port(_) | Refusal::File(_) => Failure::Refused(Occasion::Preflight, code::PREFLIGHT),
            Refusal::Requirement(_) => Failure::Refused(Occasion::Requirement, code::REQUIREMENT),
        }
    }

    /// The failure that an ending of its own is. `None` stands for a generation that vanished with its keeper.
    pub(super) fn ended(ending: Option<Ending>) -> Failure {
        match ending {
            Some(Ending::Code(_)) => Failure::Ended(Occasion::Exited),
            Some(Ending::Signal(_)) | None => Failure::Ended(Occasion::Crashed),
        }
    }
}

impl Live {
    /// A generation whose preflight begins.
    pub(super) fn new(generation: Generation, watchdog: Option<Duration>, access: NotifyAccess) -> Live {
        Live {
            generation,
            main: Main::Absent,
            course: Course::Up,
            requiring: false,
            over: false,
            ready: false,
            said_ready: false,
            spoke: false,
            reloading: false,
            winding_down: false,
            failure: None,
            report: Report::None,
            ending: None,
            stop_signals: SignalSet::default(),
            stop_began: Moment::ZERO,
            budget: None,
            probing: false,
            watching_handlers: false,
            progress: None,
            ports_released: false,
            watchdog,
            access,
            pid: None,
            stranger: None,
            reload_began: None,
        }
    }

    /// Whether it comes up, or is up, and nothing speaks against it.
    pub(super) fn is_up(&self) -> bool {
        self.course == Course::Up && !self.over
    }

    /// Whether it was told to go, one way or another.
    pub(super) fn was_told_to_go(&self) -> bool {
        matches!(self.course, Course::Stopping(_) | Course::Surviving | Course::Killed)
    }

    /// Whether its watchdog runs.
    pub(super) fn is_watched(&self) -> bool {
        self.ready && self.is_up() && !self.winding_down
    }

    /// The exit code it passes on (DESIGN §2). `asked` tells whether the service was asked to stop.
    pub(super) fn exit_code(&self, asked: bool) -> i32 {
        match (self.failure, self.ending) {
            (Some(Failure::Refused(_, code)), _) => code,
            (Some(Failure::StartTimeout), _) => code::DEADLINE,
            // Ended by us for its silence: a success code would tell the orchestrator that all is well.
            (Some(Failure::Watchdog), Some(Ending::Code(0))) => code::DEADLINE,
            (None, Some(Ending::Signal(signal))) if asked && self.stop_signals.contains(signal) => 0,
            (_, Some(ending)) => ending.exit_code(),
            (_, None) if self.course == Course::Killed => Ending::Signal(Signal::KILL).exit_code(),
            (_, None) => code::INTERNAL,
        }
    }
}

/// What makes a service ready (DESIGN §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Criteria {
    /// That it was executed.
    pub(super) started: bool,
    /// READY=1.
    pub(super) message: bool,
    /// That its ports listen, or the probed address answers.
    pub(super) probe: bool,
}

impl Criteria {
    /// What these settings ask for. A passed port listens from birth and proves nothing: connections queue in it. So a
    /// service is looked at for its other ports, and one that has none is ready as soon as it is started.
    pub(super) fn of(settings: &ServiceSettings) -> Criteria {
        let own_ports = settings.ports.iter().any(|port| port.mode != PortMode::Pass);
        let (started, message, probe) = match settings.ready {
            Ready::Auto => (!own_ports, true, own_ports),
            Ready::Listen => (!own_ports, false, own_ports),
            Ready::Notify => (false, true, false),
            Ready::Tcp(_) | Ready::Fd(_) | Ready::Http(_) | Ready::Log(_) | Ready::Exec(_) => (false, false, true),
            Ready::Started => (true, false, false),
            Ready::Exited => (false, false, false),
        };
        Criteria { started, message, probe }
    }
}
