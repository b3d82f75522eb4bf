//! What is to be done for a service. Actions are imperative; `run` performs them in order.

use std::time::Duration;

use crate::core::exit::Ending;
use crate::core::facts::{Occasion, Refusal};
use crate::core::progress::Sign;
use crate::core::requirement::News;
use crate::core::settings::NotifyAccess;
use crate::core::signal::Signal;

use super::{Generation, NoOverlap, State};

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Check the executable and the ports, and hold the ports: answered by `PreflightPassed` or `PreflightFailed`.
    Check(Generation),
    /// See whether this requirement answers: answered by `RequirementTried`.
    Try {
        /// For which generation.
        generation: Generation,
        /// Which one, by its place in the settings.
        requirement: usize,
        /// How long it may take.
        limit: Duration,
    },
    /// Leave off every `Try` that is not answered yet: nothing is waited for any more.
    StopTrying(Generation),
    /// Execute the main process: answered by `Spawned` or `SpawnFailed`.
    Spawn {
        /// Which one.
        generation: Generation,
        /// Which attempt it is, counted from 1.
        attempt: u32,
    },
    /// Look until the declared ports listen or the probed address answers: answered by `ProbeSucceeded`.
    Probe(Generation),
    /// Look for handlers of held signals in the main process, until told to stop: answered by `HandlersSeen` whenever
    /// there are more of them.
    WatchHandlers(Generation),
    /// Look now and then whether it visibly gets on, until told to stop: answered by `Progressed` whenever it has.
    WatchProgress(Generation),
    /// Stop looking for anything: the generation is ready or at its end.
    StopProbing(Generation),
    /// Let go of the ports that are reserved until ready. Comes once for each `Check`: at ready, or at the end of a
    /// generation that was never ready. When the check is not answered yet, what it still reserves is to be let go too.
    ReleasePorts(Generation),
    /// Send this signal to the main process.
    Signal(Generation, Signal),
    /// Ask the main process to stop by this signal. One that is stopped by another (SIGSTOP, a terminal) is let go on, as
    /// are all processes of the generation: it could not end otherwise.
    Stop(Generation, Signal),
    /// Send the main process HUP with a stop signal, as a terminal that goes away does. With a signal only when it ignores
    /// that one.
    HangUp(Generation, Option<Signal>),
    /// The main process is this one from now on (MAINPID=).
    FollowMain(Generation, i32),
    /// Keep the descriptors that came with the message for the next generation.
    StoreDescriptors {
        /// Of the service's generation that sent them.
        generation: Generation,
        /// Under this name.
        name: String,
        /// Whether they are dropped once their other side has gone.
        watched: bool,
    },
    /// Keep those of this name no longer.
    ForgetDescriptors(Generation, String),
    /// Keep none any longer: the service is at rest.
    CloseDescriptors,
    /// The main process is gone: send this signal to whatever is left of the generation, and let go on what is stopped.
    SignalRest(Generation, Signal),
    /// End every process of the generation by SIGKILL: answered by `Emptied` (or `SpawnFailed`, when `Spawn` is not
    /// answered yet and comes to nothing).
    Kill(Generation),
    /// Take the stacks (if processes live), find the verdict, write the report: answered by `Explained`.
    Explain {
        /// Which one.
        generation: Generation,
        /// Which attempt it was.
        attempt: u32,
        /// Why.
        occasion: Occasion,
        /// How the main process ended, if it did.
        ending: Option<Ending>,
        /// Why it was not started, if it was not.
        refusal: Option<Box<Refusal>>,
        /// What comes after it, as far as nobody wants anything else by then.
        outlook: Outlook,
    },
    /// It is at rest: do what `on_stop` says.
    Farewell,
    /// New connections to shared ports go to this generation alone, or but for so many of a hundred, which the canary gets.
    Steer {
        /// The one that serves.
        to: Generation,
        /// The canary, and its part in percent.
        canary: Option<(Generation, u8)>,
    },
    /// Something a person wants to know of this generation, or of a service that had none yet (0); one `info` line a
    /// transition.
    Tell(Generation, Transition),
}

/// What comes after a failed generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// How many attempts there are in all, if there is a limit and every failure in the row is one of these attempts.
    pub of: Option<u32>,
    /// What comes after it.
    pub next: Next,
}

/// What comes after a failed generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Next {
    /// Nothing.
    #[default]
    Nothing,
    /// Another attempt, after so long.
    Attempt(Duration),
    /// The generation that it was started beside serves on.
    OldStays,
    /// The generation that was started beside it takes its place.
    NewTakesOver,
}

/// A start deadline that moves on because the service visibly gets on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// How often it has moved by now.
    pub times: u32,
    /// After how long from its start it comes now.
    pub to: Duration,
    /// After how long from its start it comes at the latest.
    pub most: Duration,
    /// By what it was seen.
    pub signs: Vec<Sign>,
}

/// Why a service is not waited for any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// It was asked for: by as many requests to stop that nothing is waited for, or by one to kill.
    Asked,
    /// The stop budget is used up, or its share of that.
    Budget,
}

/// Who is stopped because a service has failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spread {
    /// All, by its `on_failure`.
    All,
    /// These, which come after it.
    Dependents(Vec<String>),
    /// All others: whatever they are there for has come to its end.
    NothingLeft,
}

/// A change of state, or another thing worth a line.
#[derive(Debug, Clone, PartialEq)]
pub enum Transition {
    /// The service is in another state now.
    State {
        /// Before.
        from: State,
        /// Now.
        to: State,
        /// Of which generation, when one is concerned.
        generation: Option<Generation>,
        /// Which attempt it is.
        attempt: u32,
    },
    /// A signal is kept back until the service is ready.
    SignalHeld {
        /// Which one.
        signal: Signal,
        /// For a stop request: how long at most.
        limit: Option<Duration>,
    },
    /// Its start deadline has come, and moves on: it visibly gets on.
    Extended(Extension),
    /// A kept signal was delivered.
    SignalDelivered(Signal),
    /// The next attempt comes after this long.
    NextAttempt {
        /// Which attempt it will be: counted since it was last ready.
        attempt: u32,
        /// How many times it has failed in a row, ready in between for less than `reset_after` or not.
        failures: u32,
        /// After how many failures in a row it is given up, if it ever is.
        max: Option<u32>,
        /// After how long.
        after: Duration,
    },
    /// The breaker opened, for this long.
    BreakerOpened {
        /// After so many failures.
        failures: u32,
        /// Until one trial.
        cooldown: Duration,
    },
    /// It did not stop in time and is killed now.
    Survived {
        /// After how long.
        after: Duration,
        /// The stop budget left it less than its `stop_timeout`.
        cut: bool,
        /// Another one serves in its place, so it had its `drain_timeout`.
        drained: bool,
    },
    /// It is not waited for any longer: it is killed now, without a report on it.
    Killed(Haste),
    /// It is given up, with this exit code.
    GivenUp {
        /// After so many failures in a row.
        failures: u32,
        /// The exit code.
        code: i32,
    },
    /// It has failed for good, and others are stopped for that, or not started.
    FailureSpread(Spread),
    /// It is started beside this one, which serves on until it is ready; as a canary, with its part in percent.
    Restarting {
        /// The one that serves.
        beside: Generation,
        /// The part, in percent, that it will get until it is promoted.
        canary: Option<u8>,
    },
    /// It is stopped, and only then started again: the two cannot overlap.
    RestartsAlone(NoOverlap),
    /// Another restart was asked for since this generation was started: one more will follow.
    RestartFollows,
    /// It is ready, as a canary.
    CanaryServes {
        /// Its part, in percent.
        percent: u8,
        /// Beside this one.
        beside: Generation,
    },
    /// Another generation serves in its place; it is asked to end.
    Superseded {
        /// The one that serves.
        by: Generation,
        /// How long it has.
        drain: Duration,
    },
    /// It was to take the place of another generation, and did not make it.
    Removed {
        /// The one that stays.
        stays: Generation,
        /// Whether it was a canary that served already.
        canary: bool,
    },
    /// It is taken back: another generation serves on.
    RolledBack {
        /// The one that stays.
        stays: Generation,
    },
    /// It was started beside a generation that has ended meanwhile: nothing but it is the service.
    LeftAlone {
        /// The one that has ended.
        after: Generation,
    },
    /// A requirement answers, or does not yet.
    Requirement(News),
    /// It said STATUS=.
    Status(String),
    /// It said what went wrong: `ERRNO=`, `BUSERROR=` or `EXIT_STATUS=`, in words.
    Trouble(String),
    /// A process of the service sent something that `notify_access` does not let it say.
    SenderRefused {
        /// The sender.
        pid: i32,
        /// Who is heard.
        access: NotifyAccess,
    },
    /// It named a main process that is no process of the service.
    MainPidRefused {
        /// The process it named.
        pid: i32,
    },
    /// Somebody who does not belong to the service sent something.
    StrangerIgnored {
        /// The sender.
        pid: i32,
    },
}
