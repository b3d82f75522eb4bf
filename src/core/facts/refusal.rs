//! Why a generation was not started.

use serde::{Deserialize, Serialize};

use super::port::OwnerFacts;
use crate::core::exit::code;
use crate::core::settings::Listen;

/// Why a generation was not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The program cannot be executed.
    Exec(ExecFailure),
    /// A port is taken, or cannot be bound.
    Port(PortFailure),
}

/// Why a program cannot be executed: found before the try, or the stage and errno of the try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecFailure {
    /// What is wrong, as a kind.
    pub problem: ExecProblem,
    /// The whole of it for a person: what, to whom; no final period.
    pub summary: String,
    /// What can be done, in the imperative.
    pub advice: Vec<String>,
    /// `errno(3)`, where there was one.
    pub errno: Option<i32>,
}

/// What keeps a program from being executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecProblem {
    /// There is no such file, there or on PATH.
    NotFound,
    /// A directory.
    IsDirectory,
    /// No x bit for this user.
    NotExecutable,
    /// The file system is mounted noexec.
    NoExecMount,
    /// The interpreter of a script is missing.
    InterpreterMissing,
    /// The ELF loader (`PT_INTERP`) is missing.
    LoaderMissing,
    /// Made for another architecture.
    WrongArchitecture,
    /// Neither a script nor a program.
    BadFormat,
    /// The working directory cannot be entered.
    Directory,
    /// The user cannot be taken on.
    User,
    /// Another step between fork and exec failed.
    Stage,
}

impl ExecProblem {
    /// 127 when there is nothing to execute, 71 when the launcher could not get that far, 126 otherwise (DESIGN §2).
    pub fn exit_code(self) -> i32 {
        match self {
            ExecProblem::NotFound => code::NOT_FOUND,
            ExecProblem::Directory | ExecProblem::User | ExecProblem::Stage => code::PREFLIGHT,
            _ => code::NOT_EXECUTABLE,
        }
    }
}

/// Why a port cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortFailure {
    /// The port's name.
    pub name: String,
    /// Its address.
    pub listen: Listen,
    /// What is wrong, as a kind.
    pub problem: PortProblem,
    /// Who holds it, when it is taken.
    pub owner: Option<OwnerFacts>,
    /// `errno(3)` of the bind.
    pub errno: Option<i32>,
    /// The whole of it for a person; no final period.
    pub summary: String,
    /// What can be done, in the imperative.
    pub advice: Vec<String>,
}

/// What is wrong with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortProblem {
    /// Somebody holds it.
    Taken,
    /// Below `net.ipv4.ip_unprivileged_port_start`, without the capability.
    Privileged,
    /// The address is not on this host.
    NoSuchAddress,
    /// The directory of a Unix socket is missing, or not writable, or the like.
    Other,
}
