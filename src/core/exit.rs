//! How a process ended, and the exit codes of the launcher itself (DESIGN §2).

use serde::Serialize;

use super::signal::Signal;

/// How a process ended, as `waitid(2)` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It called `exit(2)` with this code, 0 to 255.
    Code(i32),
    /// A signal ended it.
    Signal(Signal),
}

impl Ending {
    /// The code by which a shell, and the launcher, passes this ending on: the code itself, or 128 + the signal.
    pub fn exit_code(self) -> i32 {
        match self {
            Ending::Code(code) => code,
            Ending::Signal(signal) => 128 + signal.number(),
        }
    }

    /// Whether it ended with code 0.
    pub fn is_success(self) -> bool {
        self == Ending::Code(0)
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ending::Code(code) => write!(f, "exit code {code}"),
            Ending::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// Exit codes of the launcher itself, beside the child's own.
pub mod code {
    /// Wrong command line.
    pub const USAGE: i32 = 2;
    /// A requirement did not answer in time (`EX_UNAVAILABLE`).
    pub const REQUIREMENT: i32 = 69;
    /// A preflight check other than a requirement failed (`EX_OSERR`).
    pub const PREFLIGHT: i32 = 71;
    /// launcher.toml is wrong (`EX_CONFIG`).
    pub const CONFIG: i32 = 78;
    /// The start deadline was missed on the last attempt allowed.
    pub const DEADLINE: i32 = 124;
    /// The launcher itself failed.
    pub const INTERNAL: i32 = 125;
    /// The command was found but cannot be executed.
    pub const NOT_EXECUTABLE: i32 = 126;
    /// The command was not found.
    pub const NOT_FOUND: i32 = 127;
}
