//! From facts to a verdict: what the service is waiting for, in one sentence, with its evidence.

use serde::Serialize;

use crate::core::facts::{Facts, Frame};

/// What a service is waiting for (DESIGN §8).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The cause.
    pub cause: Cause,
    /// How sure it is.
    pub confidence: Confidence,
    /// One sentence for a person; no final period.
    pub summary: String,
    /// What shows it, the strongest first.
    pub evidence: Vec<String>,
    /// What can be done, in the imperative, to be followed literally.
    pub advice: Vec<String>,
    /// The process it is about.
    pub process: Option<i32>,
    /// The thread it is about.
    pub thread: Option<i32>,
    /// What it waits for: an address, a path, a lock, a port.
    pub target: Option<String>,
    /// The innermost frame of the user's own code.
    pub frame: Option<VerdictFrame>,
}

/// A frame as the verdict names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerdictFrame {
    /// The function.
    pub function: String,
    /// The source file.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
}

impl VerdictFrame {
    /// The same frame as a verdict names it, if its function is known.
    pub fn of(frame: &Frame) -> Option<VerdictFrame> {
        Some(VerdictFrame { function: frame.function.clone()?, file: frame.file.clone(), line: frame.line })
    }
}

/// The causes a verdict can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Cause {
    ConnectWait,
    ConnectRetry,
    ReplyWait,
    DnsWait,
    LockCycle,
    LockWait,
    FileLockWait,
    ChannelWait,
    EventLoopIdle,
    ChildWait,
    InputWait,
    DiskWait,
    EntropyWait,
    BusyLoop,
    SlowProgress,
    CpuThrottled,
    Stopped,
    ListeningElsewhere,
    ListeningNotReady,
    PortTaken,
    ExecFailed,
    Crashed,
    Exited,
    OutOfMemory,
    Unknown,
}

/// How sure a verdict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// One explanation among others.
    Possible,
    /// The facts fit, and little else does.
    Likely,
    /// Shown by kernel or runtime state.
    Certain,
}

/// The verdict and, in order, what else it could be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnosis {
    /// The best explanation.
    pub verdict: Verdict,
    /// Others, in order.
    pub alternatives: Vec<Verdict>,
}

/// Finds what the service is waiting for.
pub fn diagnose(facts: &Facts) -> Diagnosis {
    let _ = facts;
    let verdict = Verdict {
        cause: Cause::Unknown,
        confidence: Confidence::Possible,
        summary: String::new(),
        evidence: Vec::new(),
        advice: Vec::new(),
        process: None,
        thread: None,
        target: None,
        frame: None,
    };
    Diagnosis { verdict, alternatives: Vec::new() }
}
