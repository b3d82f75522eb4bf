//! That a service is run under a debugger.

/// How a person looks into a service that is run under a debugger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debugged {
    /// What to do for that.
    pub attach: String,
    /// What is not as it would be without.
    pub note: Option<String>,
}
