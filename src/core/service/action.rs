//! What is to be done for a service. Actions are imperative; `run` performs them in order.

use std::time::Duration;

use crate::core::exit::Ending;
use crate::core::facts::{Occasion, Refusal};
use crate::core::signal::Signal;

use super::{Generation, State};

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Check the executable and the ports, and hold the ports: answered by `PreflightPassed` or `PreflightFailed`.
    Check(Generation),
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
    /// Stop looking for anything: the generation is ready or at its end.
    StopProbing(Generation),
    /// Let go of the ports that are reserved until ready. Comes once for each `Check`: at ready, or at the end of a
    /// generation that was never ready. When the check is not answered yet, what it still reserves is to be let go too.
    ReleasePorts(Generation),
    /// Send this signal to the main process.
    Signal(Generation, Signal),
    /// The main process is this one from now on (MAINPID=).
    FollowMain(Generation, i32),
    /// The main process is gone: send this signal to whatever is left of the generation.
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
    /// Something a person wants to know; one `info` line a transition.
    Tell(Transition),
}

/// What comes after a failed generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// How many attempts there are in all, if there is a limit.
    pub of: Option<u32>,
    /// After how long the next one comes; `None` when none comes.
    pub next: Option<Duration>,
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
    /// A kept signal was delivered.
    SignalDelivered(Signal),
    /// The next attempt comes after this long.
    NextAttempt {
        /// Which attempt it will be.
        attempt: u32,
        /// How many are allowed, if there is a limit.
        of: Option<u32>,
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
    },
    /// It is given up, with this exit code.
    GivenUp {
        /// After so many failures in a row.
        failures: u32,
        /// The exit code.
        code: i32,
    },
    /// It said STATUS=.
    Status(String),
    /// Somebody who does not belong to the service sent something.
    StrangerIgnored {
        /// The sender.
        pid: i32,
    },
}
