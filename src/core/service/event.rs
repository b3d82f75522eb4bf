//! What can happen to a service. Events are past tense; those of a process carry its generation, so that a late one of
//! an older generation does no harm.

use crate::core::exit::Ending;
use crate::core::facts::{ExecFailure, Refusal, Trouble};
use crate::core::notify::Message;
use crate::core::progress::Sign;
use crate::core::signal::{Signal, SignalSet};

use super::Generation;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The service is wanted. It waits until [`Event::DependenciesReady`].
    StartRequested,
    /// Everything it comes after is ready (at once when there is nothing).
    DependenciesReady,
    /// It is wanted no more. A second request cuts short what the first still waits for, a third kills.
    StopRequested(StopCause),
    /// It is wanted no more, and nothing is waited for: what runs of it is killed.
    KillRequested,
    /// It is to be ended and started again, whatever its restart policy.
    RestartRequested,
    /// The launcher was sent a signal that is for the service (not a stop request).
    SignalReceived(Signal),
    /// Preflight found nothing in the way; the ports are held.
    PreflightPassed(Generation),
    /// Preflight found something in the way.
    PreflightFailed(Generation, Box<Refusal>),
    /// A requirement was tried: what [`super::Action::Try`] asked for.
    RequirementTried(Generation, usize, Result<(), Trouble>),
    /// Its main process was executed.
    Spawned(Generation, i32),
    /// Its main process could not be executed.
    SpawnFailed(Generation, Box<ExecFailure>),
    /// One of its processes said something on the notify socket.
    Notified(Generation, Sender, Box<Message>),
    /// The declared ports listen, or the probed address answers.
    ProbeSucceeded(Generation),
    /// It visibly got on since the last look: what [`super::Action::WatchProgress`] asked for.
    Progressed(Generation, Vec<Sign>),
    /// The main process has handlers for these signals now.
    HandlersSeen(Generation, SignalSet),
    /// Its main process ended. What it said on the notify socket before is to be passed on first, or a READY=1 that it
    /// sent in its last moments comes too late.
    Exited(Generation, Ending),
    /// No process of the generation is left.
    Emptied(Generation),
    /// The dump was taken and the report is written: what [`super::Action::Explain`] asked for.
    Explained(Generation),
    /// Time has passed: [`super::Service::next_deadline`] has come.
    TimePassed,
}

/// Why a service is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopCause {
    /// The launcher was asked to end by this signal. The service is sent the same one, if it is INT, TERM or QUIT and
    /// neither `stop_signal` nor `rewrite` say otherwise.
    Signal(Signal),
    /// Somebody asked for this service to be stopped, or a service it needs is stopped.
    Request,
}

/// Who sent a message on the notify socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The main process.
    Main(i32),
    /// Another process of the service.
    Member(i32),
    /// A process that does not belong to the service.
    Stranger(i32),
}
