//! Why a program cannot be executed, in words: facts in, summary and advice out.

mod group;
mod stage;
mod words;

use super::errno;
use super::facts::{ExecFailure, ExecProblem};
pub use group::{GroupDenied, group_denied, not_kept, would_not_be_kept};
pub use stage::{failed_stage, refused_stage, too_long};
use words::words;

/// What a look at a program found to be in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// No directory of PATH has it.
    NotOnPath {
        /// The command as it was given.
        command: String,
        /// How many directories were searched.
        directories: usize,
        /// Names on PATH that are like it.
        near: Vec<String>,
        /// Whether the service's own directory has it.
        here: bool,
    },
    /// There is no such file.
    Missing {
        /// Where it was looked for.
        path: String,
        /// Names in the same directory that are like it.
        near: Vec<String>,
        /// The directory, when even that does not exist.
        directory: Option<String>,
    },
    /// A symbolic link that leads nowhere.
    BrokenLink {
        /// The link.
        path: String,
        /// What it names.
        target: String,
    },
    /// The path cannot be followed.
    Unreachable {
        /// The path.
        path: String,
        /// Why.
        errno: i32,
    },
    /// A directory.
    Directory {
        /// Its path.
        path: String,
    },
    /// Neither a file nor a directory.
    NotAFile {
        /// Its path.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// Nobody, or not this user, may execute it.
    NoExecuteBit {
        /// Its path.
        path: String,
        /// Its mode bits.
        mode: u32,
        /// For another user than the launcher's: who.
        uid: Option<u32>,
    },
    /// This user may not enter a directory on the way.
    ClosedDirectory {
        /// The program.
        path: String,
        /// The directory.
        directory: String,
        /// Who.
        uid: u32,
    },
    /// Its file system is mounted noexec.
    NoExecMount {
        /// Its path.
        path: String,
        /// Where that file system is mounted, if it could be found.
        mount: Option<String>,
    },
    /// The interpreter of a script is missing.
    InterpreterMissing {
        /// The script.
        path: String,
        /// The interpreter as the `#!` line names it.
        interpreter: String,
    },
    /// What `env` is to find for a script is not on PATH.
    EnvTargetMissing {
        /// The script.
        path: String,
        /// What the `#!` line names.
        target: String,
        /// Names on PATH that are like it.
        near: Vec<String>,
    },
    /// The interpreter of a script is there, but something is wrong with it.
    Interpreter {
        /// The script.
        path: String,
        /// What is wrong.
        finding: Box<Finding>,
    },
    /// The ELF loader is missing.
    LoaderMissing {
        /// The program.
        path: String,
        /// The loader it asks for.
        loader: String,
    },
    /// Shared libraries are missing.
    LibraryMissing {
        /// The program.
        path: String,
        /// Each library, and who needs it.
        libraries: Vec<(String, String)>,
    },
    /// Made for another machine.
    WrongArchitecture {
        /// The program.
        path: String,
        /// What it is made for.
        made_for: String,
        /// What this host is.
        host: &'static str,
    },
    /// Not a format that can be executed.
    Format {
        /// The file.
        path: String,
        /// What it is instead.
        format: BadFormat,
    },
    /// The working directory cannot be used.
    WorkingDirectory {
        /// Its path.
        path: String,
        /// Why not.
        errno: i32,
        /// For another user than the launcher's: who.
        uid: Option<u32>,
    },
}

/// What a file is that cannot be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadFormat {
    /// It has no bytes.
    Empty,
    /// It ends before it should.
    Truncated {
        /// How long it is, in bytes.
        length: u64,
        /// How long it should be at least.
        expected: u64,
    },
    /// A text without `#!`.
    NoShebang,
    /// `#!` with nothing after it.
    EmptyShebang,
    /// A `#!` line that is longer than the kernel reads.
    LongShebang,
    /// A byte order mark stands before `#!`.
    ByteOrderMark,
    /// Scripts that interpret each other without end.
    ScriptLoop,
    /// A program for Windows.
    Windows,
    /// A program for macOS, or a Java class.
    MacOrJava,
    /// A ZIP or JAR archive.
    Archive,
    /// An object file, not linked.
    Object,
    /// A shared library.
    Library,
    /// A core dump.
    Core,
    /// An ELF file with contradictions in it.
    Damaged,
    /// None that is known.
    Unknown,
}

/// The whole of it for a person.
pub fn explain(finding: &Finding) -> ExecFailure {
    let errno = match finding {
        Finding::Unreachable { errno, .. } | Finding::WorkingDirectory { errno, .. } => Some(*errno),
        _ => None,
    };
    let (summary, advice) = words(finding);
    ExecFailure { problem: problem(finding), summary, advice, errno }
}

fn problem(finding: &Finding) -> ExecProblem {
    match finding {
        Finding::NotOnPath { .. } | Finding::Missing { .. } | Finding::BrokenLink { .. } => ExecProblem::NotFound,
        Finding::Unreachable { errno, .. } if errno::name(*errno) == "ENOTDIR" => ExecProblem::NotFound,
        Finding::Unreachable { .. }
        | Finding::NotAFile { .. }
        | Finding::NoExecuteBit { .. }
        | Finding::ClosedDirectory { .. } => ExecProblem::NotExecutable,
        Finding::Directory { .. } => ExecProblem::IsDirectory,
        Finding::NoExecMount { .. } => ExecProblem::NoExecMount,
        Finding::InterpreterMissing { .. } | Finding::EnvTargetMissing { .. } => ExecProblem::InterpreterMissing,
        // The script is there, so that "not found" would be wrong of it.
        Finding::Interpreter { finding, .. } => match problem(finding) {
            ExecProblem::NotFound => ExecProblem::InterpreterMissing,
            other => other,
        },
        Finding::LoaderMissing { .. } => ExecProblem::LoaderMissing,
        Finding::LibraryMissing { .. } => ExecProblem::LibraryMissing,
        Finding::WrongArchitecture { .. } => ExecProblem::WrongArchitecture,
        Finding::Format { .. } => ExecProblem::BadFormat,
        Finding::WorkingDirectory { .. } => ExecProblem::Directory,
    }
}

/// The failure of a service whose user is not known; `reason` says why, as in `no user "app" in /etc/passwd`.
pub fn unknown_user(reason: &str) -> ExecFailure {
    unknown("the user", reason, "make that user, or name another: user = \"NAME\", \"UID\" or \"UID:GID\"")
}

/// The same of a group to run as.
pub fn unknown_group(reason: &str) -> ExecFailure {
    unknown("a group", reason, "make that group, or write another by its name or number")
}

fn unknown(what: &str, reason: &str, advice: &str) -> ExecFailure {
    ExecFailure {
        problem: ExecProblem::User,
        summary: format!("{what} to run as is not known: {reason}"),
        advice: vec![advice.to_owned()],
        errno: None,
    }
}

#[cfg(test)]
mod tests;
