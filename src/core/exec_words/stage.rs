//! What failed between fork and exec.

use crate::core::errno;
use crate::core::facts::{ExecFailure, ExecProblem};

/// The failure of a try to start a program: at this stage, in the words of who tried (`setting user`,
/// `changing the directory`, `executing`), of what was to be set, entered or executed, with this `errno(3)`.
pub fn failed_stage(stage: &str, number: i32, program: &str, of: Option<&str>) -> ExecFailure {
    in_words(stage, number, of, &format!("{program} was not started"), program)
}

/// The same of a try that was made beforehand, with nothing to execute.
pub fn refused_stage(stage: &str, number: i32, program: &str, of: Option<&str>) -> ExecFailure {
    in_words(stage, number, of, &format!("{program} cannot be started"), program)
}

fn in_words(stage: &str, number: i32, of: Option<&str>, outcome: &str, program: &str) -> ExecFailure {
    let problem = if stage.contains("exec") {
        at_exec(number)
    } else if stage.contains("directory") {
        ExecProblem::Directory
    } else if stage.contains("user")
        || stage.contains("group") && !stage.contains("process") && !stage.contains("cgroup")
    {
        ExecProblem::User
    } else if stage.starts_with("setting") {
        ExecProblem::Stage
    } else {
        ExecProblem::Launcher
    };
    let of = of.map(|of| format!(" {of:?}")).unwrap_or_default();
    let step = format!("{stage}{of}: {}", errno::describe(number));
    let summary = if stage.contains("exec") { step } else { format!("{outcome}: {step}") };
    let name = errno::name(number);
    let advice = match (problem, name.as_str()) {
        (ExecProblem::User, "EPERM") if stage.contains("user") => {
            Some("run the launcher as that user, or as root (with CAP_SETUID and CAP_SETGID)")
        }
        (ExecProblem::User, "EPERM") => Some("run the launcher as root (with CAP_SETGID), or leave that setting out"),
        (ExecProblem::User, "EINVAL") => {
            Some("take a user and groups that this user namespace has (/proc/self/uid_map)")
        }
        (ExecProblem::User, "EAGAIN") => Some("raise the user's limit of processes (ulimit -u)"),
        (_, "EAGAIN" | "ENOMEM") => Some("raise the limits of processes and memory, or stop something else"),
        (ExecProblem::Stage, "EPERM" | "EACCES") if stage.starts_with("setting") => Some(match stage {
            "setting limits" => {
                "set no more than launcher's own hard limits (ulimit -H -a, fs.nr_open), or run it as root (with \
                     CAP_SYS_RESOURCE)"
            }
            "setting nice" => "run the launcher as root (with CAP_SYS_NICE), or leave that setting out",
            "setting oom_score_adj" => "run the launcher as root (with CAP_SYS_RESOURCE), or leave that setting out",
            "setting capabilities" => {
                "run the launcher with those capabilities and CAP_SETPCAP, or leave that setting out"
            }
            _ => "run the launcher as root, or leave that setting out",
        }),
        (_, "E2BIG") => Some("pass less in arguments and environment: a file, or standard input"),
        (_, "ETXTBSY") => Some("wait until the program is written, or write it anew beside and rename it"),
        (_, "EMFILE" | "ENFILE") => Some("raise the limit of open files (ulimit -n)"),
        (ExecProblem::BadFormat, _) => Some("see what it is: file PROGRAM"),
        _ => None,
    };
    let advice = advice.map(|advice| advice.replace("PROGRAM", program)).into_iter().collect();
    ExecFailure { problem, summary, advice, errno: Some(number) }
}

/// An argument that is longer than `execve(2)` takes: its place, counted from 1, its length and the longest, in bytes.
pub fn too_long(place: usize, length: usize, longest: usize) -> ExecFailure {
    ExecFailure {
        problem: ExecProblem::NotExecutable,
        summary: format!("argument {place} has {length} bytes, and the kernel takes no more than {longest} in one"),
        advice: vec!["pass it in a file, or by standard input".to_owned()],
        errno: None,
    }
}

/// What the errno of `execve(2)` says about the program.
fn at_exec(number: i32) -> ExecProblem {
    match errno::name(number).as_str() {
        "ENOENT" | "ENOTDIR" => ExecProblem::NotFound,
        "EACCES" | "EPERM" | "ETXTBSY" | "ELOOP" | "EISDIR" | "ENAMETOOLONG" | "E2BIG" => ExecProblem::NotExecutable,
        "ENOEXEC" | "EINVAL" => ExecProblem::BadFormat,
        "ELIBBAD" => ExecProblem::WrongArchitecture,
        _ => ExecProblem::Stage,
    }
}
