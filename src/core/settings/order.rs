//! What services have to do with each other.

/// One entry of `after`: what is waited for, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct After {
    /// The other service.
    pub service: String,
    /// Until when it is waited for.
    pub until: Until,
}

impl From<&str> for After {
    /// As a name alone stands for it in a file.
    fn from(service: &str) -> After {
        After { service: service.to_owned(), until: Until::Ready }
    }
}

/// Until when another service is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Until {
    /// It is ready, or has done what it was for.
    #[default]
    Ready,
    /// It has ended with a success code.
    Exited,
}

/// What happens to others when a service has failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// All are stopped, and the launcher ends.
    StopAll,
    /// Those that come after it, directly or not, are stopped or not started; all others go on, unless there is nothing
    /// left that they are there for.
    #[default]
    StopDependents,
    /// Nothing: those that run go on, those that wait for it go on waiting.
    Keep,
}

impl OnFailure {
    /// All of them, with their words in a file.
    pub const NAMES: [(&'static str, OnFailure); 3] =
        [("stop-all", OnFailure::StopAll), ("stop-dependents", OnFailure::StopDependents), ("keep", OnFailure::Keep)];

    /// Its word in a file.
    pub fn name(self) -> &'static str {
        match self {
            OnFailure::StopAll => "stop-all",
            OnFailure::StopDependents => "stop-dependents",
            OnFailure::Keep => "keep",
        }
    }
}
