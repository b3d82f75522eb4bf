//! A command that must end with code 0, run below a keeper of its own: it leaves nothing, however it ends.

use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::unix::pipe::Receiver;

use crate::core::exit::Ending;
use crate::core::facts::{ExecFailure, RequirementProblem, Trouble};
use crate::core::report::mask;
use crate::core::requirement::dialogue::quoted;
use crate::core::settings::ServiceSettings;
use crate::run::environment::{self, Special};
use crate::run::preflight;
use crate::sys::environment::inherited;
use crate::sys::executable;
use crate::sys::keeper::{Keeper, Message, SpawnPlan, Stdio};

use super::Stage;

/// So much of what a command writes is kept.
const TAIL: usize = 4096;

/// Runs the command until it ends. It ends with everything it has started when this is dropped.
///
/// # Errors
/// It could not be executed, or did not end with code 0; with the last line that it wrote.
pub async fn run(words: &[String], service: Option<&ServiceSettings>, stage: &Stage) -> Result<(), Trouble> {
    stage.is(RequirementProblem::Timeout, format!("{} has not ended", mask::line(words)));
    let (ours, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|errno| failed(errno.to_string()))?;
    let second = theirs.try_clone().map_or(Stdio::Null, Stdio::Fd);
    let plan = plan(words, service, [second, Stdio::Fd(theirs)]).map_err(|failure| failed(failure.summary))?;
    let keeper = Keeper::start(plan).map_err(|error| failed(error.to_string()))?;
    let fd = keeper.fd().try_clone_to_owned().map_err(|problem| failed(problem.to_string()))?;
    #[expect(deprecated, reason = "its successor is unsafe, which is for sys alone; the descriptor is the task's own")]
    let news = AsyncFd::with_interest(fd, Interest::READABLE).map_err(|problem| failed(problem.to_string()))?;
    nix::fcntl::fcntl(&ours, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))
        .map_err(|errno| failed(errno.to_string()))?;
    let mut output = Receiver::from_owned_fd(ours).map_err(|problem| failed(problem.to_string()))?;
    let (mut tail, mut open) = (Vec::new(), true);
    let mut buffer = vec![0; TAIL];
    loop {
        tokio::select! {
            biased;
            read = output.read(&mut buffer), if open => match read {
                Ok(length) if length > 0 => keep(&mut tail, &buffer[..length]),
                _ => open = false,
            },
            ready = news.readable() => {
                ready.map_err(|problem| failed(problem.to_string()))?.clear_ready();
                while let Some(message) = keeper.receive() {
                    if let Some(outcome) = outcome(words, message, &tail) {
                        return outcome;
                    }
                }
            }
        }
    }
}

/// Runs the command as the service is run, with its output where that of the service goes.
///
/// # Errors
/// As [`run`] has them.
pub async fn run_beside(
    words: &[String],
    service: &ServiceSettings,
    ends: [Option<OwnedFd>; 2],
) -> Result<(), Trouble> {
    let ends = ends.map(|end| end.map_or(Stdio::Inherit, Stdio::Fd));
    let plan = plan(words, Some(service), ends).map_err(|failure| failed(failure.summary))?;
    let keeper = Keeper::start(plan).map_err(|error| failed(error.to_string()))?;
    let fd = keeper.fd().try_clone_to_owned().map_err(|problem| failed(problem.to_string()))?;
    #[expect(deprecated, reason = "its successor is unsafe, which is for sys alone; the descriptor is the task's own")]
    let news = AsyncFd::with_interest(fd, Interest::READABLE).map_err(|problem| failed(problem.to_string()))?;
    loop {
        news.readable().await.map_err(|problem| failed(problem.to_string()))?.clear_ready();
        while let Some(message) = keeper.receive() {
            if let Some(outcome) = outcome(words, message, &[]) {
                return outcome;
            }
        }
    }
}

fn keep(tail: &mut Vec<u8>, bytes: &[u8]) {
    tail.extend_from_slice(bytes);
    let surplus = tail.len().saturating_sub(TAIL);
    tail.drain(..surplus);
}

/// What a message of the keeper means for the whole, if it means its end.
fn outcome(words: &[String], message: Message, tail: &[u8]) -> Option<Result<(), Trouble>> {
    let program = words.first().map(String::as_str).unwrap_or_default();
    let text = String::from_utf8_lossy(tail);
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    let said = last.map(|line| format!(": {}", quoted(line.as_bytes()))).unwrap_or_default();
    match message {
        Message::Exited { ending: Some(Ending::Code(0)) | None, .. } => Some(Ok(())),
        Message::Exited { ending: Some(ending), .. } => {
            Some(Err(failed(format!("{program} ended with {ending}{said}"))))
        }
        Message::ExecFailed { stage, errno } => {
            let why = crate::core::errno::describe(errno);
            Some(Err(failed(format!("{program} could not be run, {stage}: {why}"))))
        }
        Message::Gone | Message::Lost => Some(Err(failed(format!("{program} was killed")))),
        Message::Spawned { .. } | Message::Stopped { .. } | Message::Continued => None,
    }
}

fn failed(message: impl Into<String>) -> Trouble {
    Trouble::new(RequirementProblem::Failed, message)
}

fn plan(words: &[String], service: Option<&ServiceSettings>, [out, err]: [Stdio; 2]) -> Result<SpawnPlan, ExecFailure> {
    let program = words.first().map(String::as_str).unwrap_or_default();
    let identity = service.map(preflight::user).transpose()?.flatten();
    let path = service.map_or_else(preflight::own_path, preflight::path);
    let directory = service.and_then(|service| service.directory.clone());
    let who = identity.as_ref().map(|identity| (identity.uid, identity.groups.as_slice()));
    let found = executable::examine(OsStr::new(program), &path, directory.as_deref(), who)?;
    let mut set = Vec::new();
    for file in service.map(|service| service.environment_files.as_slice()).unwrap_or_default() {
        set.extend(preflight::environment_file(file)?);
    }
    set.extend(service.into_iter().flat_map(|of| of.environment.iter().map(|(k, v)| (k.clone(), v.clone()))));
    let name = service.map(|service| service.name.as_str()).unwrap_or_default();
    let special = Special { service: name, user: identity.as_ref(), ..Special::default() };
    // It is no service, and has nobody to notify. No name here can hold a NUL: files and settings were checked.
    let variables = environment::build(inherited(), set, &special).unwrap_or_default();
    let argv = words.iter().map(|word| text(OsStr::new(word)));
    Ok(SpawnPlan {
        envp: variables,
        directory: directory.map(|directory| text(directory.as_os_str())),
        identity,
        stdio: [Stdio::Null, out, err],
        ..SpawnPlan::new(text(found.as_os_str()), argv.collect())
    })
}

/// The text as the kernel takes it. A NUL cannot be in it: settings and environments have none.
fn text(text: &OsStr) -> CString {
    let bytes = text.as_bytes().iter().copied().filter(|byte| *byte != 0).collect();
    CString::new::<Vec<u8>>(bytes).unwrap_or_default()
}
