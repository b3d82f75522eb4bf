//! Why a generation was not started.

use serde::{Deserialize, Serialize};

use super::port::OwnerFacts;
use super::requirement::RequirementFailure;
use crate::core::exit::code;
use crate::core::settings::Listen;

/// Why a generation was not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The program cannot be executed.
    Exec(ExecFailure),
    /// A port is taken, or cannot be bound.
    Port(PortFailure),
    /// A file or a variable is missing, or not what it must be.
    File(FileFailure),
    /// A requirement did not answer in time.
    Requirement(RequirementFailure),
}

impl Refusal {
    /// The whole of it for a person; no final period.
    pub fn summary(&self) -> &str {
        match self {
            Refusal::Exec(failure) => &failure.summary,
            Refusal::Port(failure) => &failure.summary,
            Refusal::File(failure) => &failure.summary,
            Refusal::Requirement(failure) => &failure.summary,
        }
    }

    /// What can be done, in the imperative.
    pub fn advice(&self) -> &[String] {
        match self {
            Refusal::Exec(failure) => &failure.advice,
            Refusal::Port(failure) => &failure.advice,
            Refusal::File(failure) => &failure.advice,
            Refusal::Requirement(failure) => &failure.advice,
        }
    }

    /// The exit code that it stands for (DESIGN §2).
    pub fn exit_code(&self) -> i32 {
        match self {
            Refusal::Exec(failure) => failure.problem.exit_code(),
            Refusal::Port(_) | Refusal::File(_) => code::PREFLIGHT,
            Refusal::Requirement(_) => code::REQUIREMENT,
        }
    }
}

/// What is wrong with a file that a service reads, or with a variable that it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFailure {
    /// A short word for it, for machines: `key-missing`.
    pub code: &'static str,
    /// The whole of it for a person, with its place; no final period.
    pub summary: String,
    /// What can be done, in the imperative.
    pub advice: Vec<String>,
    /// Where it is, when it is in a file.
    pub place: Option<FilePlace>,
    /// The place shown: the line itself, with a caret.
    pub shown: Option<String>,
    /// Whether the service could be started for all that.
    pub warning: bool,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePlace {
    /// The file.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
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
    /// A shared library is missing.
    LibraryMissing,
    /// Made for another architecture.
    WrongArchitecture,
    /// Neither a script nor a program.
    BadFormat,
    /// The working directory cannot be entered.
    Directory,
    /// The user cannot be taken on.
    User,
    /// Another step of the start failed, as it was asked for.
    Stage,
    /// A step of the launcher's own failed: there is no process, descriptor or thread left.
    Launcher,
}

impl ExecProblem {
    /// 127 when there is nothing to execute, 71 when the launcher could not get that far, 125 when it failed by itself,
    /// 126 otherwise (DESIGN §2).
    pub fn exit_code(self) -> i32 {
        match self {
            ExecProblem::NotFound => code::NOT_FOUND,
            ExecProblem::Directory | ExecProblem::User | ExecProblem::Stage => code::PREFLIGHT,
            ExecProblem::Launcher => code::INTERNAL,
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
