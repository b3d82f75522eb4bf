//! What reaches the loop from outside, and the tasks that bring it there.

use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::path::PathBuf;
use std::rc::Rc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use crate::core::facts::{ListeningFacts, Refusal, RequirementFacts, Trouble};
use crate::core::fleet::ServiceId;
use crate::core::reload::Wrong;
use crate::core::report::Report;
use crate::core::service::{Generation, Outlook};
use crate::core::settings::Settings;
use crate::core::signal::SignalSet;
use crate::run::control::Asked;
use crate::run::preflight::Files;

/// Something that happened outside of the loop.
pub enum Happening {
    /// A signal for the launcher can be read.
    SignalPending,
    /// The process that started the launcher has ended.
    ParentEnded,
    /// The keeper of a generation has something to say.
    KeeperReadable(ServiceId, Generation),
    /// The main process of a generation has ended, which its keeper is about to tell.
    MainEnded(ServiceId, Generation),
    /// A datagram waits on the notify socket of a generation.
    NotifyReadable(ServiceId, Generation),
    /// The declared ports listen, or the probed address answers.
    ProbeSucceeded(ServiceId, Generation),
    /// A requirement was tried.
    RequirementTried(ServiceId, Generation, usize, Result<(), Trouble>),
    /// What was to be done at the rest of a service is done, or was tried.
    Farewelled(ServiceId, Result<(), Trouble>),
    /// The main process has handlers for these signals now.
    HandlersSeen(ServiceId, Generation, SignalSet),
    /// It is time to look whether a generation gets on.
    LookDue(ServiceId, Generation),
    /// The main process of a generation has run for a moment.
    Settled(ServiceId, Generation),
    /// The files of a generation were looked at, or did not answer in time.
    Looked(ServiceId, Generation, Box<Result<Files, Box<Refusal>>>),
    /// Something was typed at the terminal.
    KeysPending,
    /// Somebody asks something.
    Asked(Box<Asked>),
    /// A bind or a listen of a generation waits for its answer.
    Called(ServiceId, Generation, Box<super::calls::Pending>),
    /// A socket that is kept for a service was shut down.
    HungUp(ServiceId),
    /// Two generations share ports: who listens is to be looked at.
    SharesDue(ServiceId),
    /// launcher.toml has changed.
    FileOfSettingsChanged,
    /// launcher.toml was read again, or is wrong.
    Reread(Box<Result<Settings, Wrong>>),
    /// A watched file of a service has changed.
    FileChanged(ServiceId, String),
    /// Not all files can be watched.
    WatchTrouble(String),
    /// The command that was run for changed files has ended.
    CommandEnded(ServiceId, Result<(), Trouble>),
    /// A failed generation was looked at, and its report is written.
    Explained(ServiceId, Generation, Box<Explained>),
    /// A service that is tried listens where its port is declared, and that port is elsewhere; with all that it listens on.
    Stayed(ServiceId, Generation, Vec<ListeningFacts>),
    /// What a trial expects was tried until it came true, or for as long as that may take.
    Expected(Vec<RequirementFacts>),
}

impl Happening {
    /// Whether it comes a few times in the life of a generation at most, however much its service has to say.
    pub fn is_rare(&self) -> bool {
        matches!(
            self,
            Happening::KeeperReadable(..)
                | Happening::MainEnded(..)
                | Happening::ProbeSucceeded(..)
                | Happening::Explained(..)
        )
    }
}

/// What came of looking at a failed generation.
pub struct Explained {
    /// The report.
    pub report: Report,
    /// Where it was written, or why it could not be.
    pub path: io::Result<PathBuf>,
    /// Whether the loop waits for it before it goes on.
    pub awaited: bool,
    /// What comes after it.
    pub outlook: Outlook,
}

/// A task that is aborted when nobody holds it any more.
pub struct Task(JoinHandle<()>);

impl Task {
    /// Runs this on the loop's own thread.
    pub fn start(future: impl Future<Output = ()> + 'static) -> Task {
        Task(tokio::task::spawn_local(future))
    }
}

impl Task {
    /// Whether it has come to its end.
    pub fn is_over(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A descriptor that someone else owns and keeps open for as long as the task lives.
struct Watched<T> {
    source: Rc<T>,
    fd: fn(&T) -> BorrowedFd<'_>,
}

impl<T> AsRawFd for Watched<T> {
    fn as_raw_fd(&self) -> RawFd {
        (self.fd)(&self.source).as_raw_fd()
    }
}

/// Sends `happening()` whenever the descriptor becomes readable. Whoever handles it must read until nothing is left:
/// the readiness is edge-triggered.
///
/// # Errors
/// Of registering the descriptor (`epoll_ctl(2)`).
pub fn watch<T: 'static>(
    source: Rc<T>,
    fd: fn(&T) -> BorrowedFd<'_>,
    outbox: UnboundedSender<Happening>,
    happening: impl Fn() -> Happening + 'static,
) -> io::Result<Task> {
    #[expect(deprecated, reason = "its successor is unsafe, which is for sys alone; `Watched` keeps the source open")]
    let watched = AsyncFd::with_interest(Watched { source, fd }, Interest::READABLE)?;
    Ok(Task::start(async move {
        while let Ok(mut guard) = watched.readable().await {
            // A closed peer stays readable for ever, and tokio does not forget it: told once, there is nothing more.
            let closed = guard.ready().is_read_closed();
            guard.clear_ready();
            if outbox.send(happening()).is_err() || closed {
                return;
            }
        }
    }))
}
