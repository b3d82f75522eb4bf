//! What is done when a service has come to rest.

use std::time::Duration;

use crate::core::requirement::Target;

/// `on_stop`: somebody else is told, or a command is run, once nothing of the service is left and it is not started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnStop {
    /// Who is told by a POST, or what is run as the service itself would be.
    pub target: Target,
    /// How long that may take. What the launcher as a whole may take to stop stays as it is.
    pub timeout: Duration,
}

impl OnStop {
    /// The defaults.
    pub fn new(target: Target) -> OnStop {
        OnStop { target, timeout: Duration::from_secs(3) }
    }
}
