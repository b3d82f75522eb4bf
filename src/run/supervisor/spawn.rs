//! Making ready what a generation needs and starting it.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tokio::sync::mpsc::UnboundedSender;

use crate::core::config::expand;
use crate::core::exec_words;
use crate::core::facts::{ExecFailure, ExecProblem, MemoryFacts};
use crate::core::fleet::ServiceId;
use crate::core::service::Generation;
use crate::core::settings::ServiceSettings;
use crate::run::environment::{self, Special};
use crate::run::preflight;
use crate::sys::keeper::{Keeper, SpawnPlan, Stage, Stdio};
use crate::sys::memory;
use crate::sys::notify_socket::NotifySocket;
use crate::sys::users::{self, Identity};

use super::inbox::{Happening, watch};
use super::slot::{Live, Slot};

/// The uid and gid that a service's output pipes belong to, when it runs as another user.
pub fn output_owner(service: &ServiceSettings) -> Option<(u32, u32)> {
    let identity = users::find(service.user.as_deref()?).ok()?;
    Some((identity.uid, identity.gid))
}

/// The uid that a service runs as; the launcher's own for a user that is not known, which preflight will refuse.
pub fn user_of(service: &ServiceSettings) -> u32 {
    let identity = service.user.as_deref().and_then(|user| users::find(user).ok());
    identity.map_or_else(|| nix::unistd::geteuid().as_raw(), |identity| identity.uid)
}

/// The program that will be executed, after all checks that can be made before the try.
///
/// # Errors
/// Why it cannot be executed.
pub fn find_program(service: &ServiceSettings) -> Result<PathBuf, ExecFailure> {
    let identity = preflight::user(service)?;
    preflight::program(service, &preflight::path(service), identity.as_ref())
}

/// Starts a generation: its keeper runs when this returns, and says by its descriptor what became of the program.
///
/// # Errors
/// What kept it from being started.
pub fn start(
    slot: &mut Slot,
    generation: Generation,
    outbox: &UnboundedSender<Happening>,
    id: ServiceId,
) -> Result<Live, ExecFailure> {
    let service = slot.settings.clone();
    let identity = preflight::user(&service)?;
    let notify = Rc::new(NotifySocket::bind().map_err(failed("making the notify socket"))?);
    let variables = variables(slot, generation, notify.address(), identity.as_ref())?;
    let [stdout, stderr] = slot.output.ends().map_err(failed("duplicating the output"))?;
    let stdio = |end: Option<_>| end.map_or(Stdio::Inherit, Stdio::Fd);
    let plan = SpawnPlan {
        program: c_string(slot.program.as_deref().unwrap_or(Path::new("")).as_os_str())?,
        argv: arguments(slot)?,
        envp: variables,
        directory: service.directory.as_deref().map(|path| c_string(path.as_os_str())).transpose()?,
        identity,
        stdio: [if slot.single { Stdio::Inherit } else { Stdio::Null }, stdio(stdout), stdio(stderr)],
        passed: slot.ports.passed().into_iter().map(|(_, fd)| fd).collect(),
        foreground: service.interactive,
        pid_variables: pid_variables(slot),
        cgroup: None,
    };
    slot.ports.release_for_exec();
    let keeper = Rc::new(Keeper::start(plan).map_err(|error| failed_with(error.action, error.errno))?);
    let keeper_watch =
        watch(keeper.clone(), Keeper::fd, outbox.clone(), move || Happening::KeeperReadable(id, generation));
    let notify_watch =
        watch(notify.clone(), NotifySocket::fd, outbox.clone(), move || Happening::NotifyReadable(id, generation));
    let watches = vec![keeper_watch.map_err(failed("watching"))?, notify_watch.map_err(failed("watching"))?];
    Ok(Live { generation, keeper, notify, main: None, tasks: watches, probes: Vec::new() })
}

/// Variables whose value is the child's own pid.
fn pid_variables(slot: &Slot) -> Vec<&'static str> {
    let mut variables = Vec::new();
    if !slot.ports.passed().is_empty() {
        variables.push("LISTEN_PID");
    }
    if slot.settings.watchdog.is_some() {
        variables.push("WATCHDOG_PID");
    }
    variables
}

/// The command line with `{port.NAME}` replaced.
fn arguments(slot: &Slot) -> Result<Vec<CString>, ExecFailure> {
    expanded(slot).iter().map(|argument| c_string(argument)).collect()
}

fn expanded(slot: &Slot) -> Vec<OsString> {
    let numbers: BTreeMap<&str, u16> = slot.ports.numbers().into_iter().collect();
    let number = |name: &str| numbers.get(name).copied();
    // A placeholder without a number was refused with the settings; should one be left, the program is shown it.
    slot.settings.command.iter().map(|word| expand(word, number).unwrap_or_else(|_| word.clone())).collect()
}

/// The command line as a report shows it.
pub fn command_for_people(slot: &Slot) -> Vec<String> {
    expanded(slot).iter().map(|argument| argument.to_string_lossy().into_owned()).collect()
}

fn variables(
    slot: &Slot,
    generation: Generation,
    notify_socket: &str,
    user: Option<&Identity>,
) -> Result<Vec<CString>, ExecFailure> {
    let service = &slot.settings;
    let mut set: Vec<(String, String)> = Vec::new();
    for file in &service.environment_files {
        set.extend(preflight::environment_file(file)?);
    }
    set.extend(service.environment.iter().map(|(name, value)| (name.clone(), value.clone())));
    let special = Special {
        service: &service.name,
        generation: Some(generation),
        notify_socket,
        user,
        ports: slot.ports.numbers(),
        passed: slot.ports.passed().into_iter().map(|(name, _)| name).collect(),
        watchdog: service.watchdog,
    };
    let all = environment::build(std::env::vars_os(), set, &special);
    let assignment = |(name, value): (OsString, OsString)| {
        let mut bytes = name.into_vec();
        bytes.push(b'=');
        bytes.extend_from_slice(value.as_bytes());
        c_string(OsStr::from_bytes(&bytes))
    };
    all.into_iter().map(assignment).collect()
}

/// A step of the launcher's own that failed before there was a process to fail.
fn failed(stage: &'static str) -> impl Fn(io::Error) -> ExecFailure {
    move |problem| failed_with(stage, problem.raw_os_error().unwrap_or(0))
}

fn failed_with(stage: &str, errno: i32) -> ExecFailure {
    exec_words::failed_stage(stage, errno, "", None, None)
}

fn c_string(text: &OsStr) -> Result<CString, ExecFailure> {
    CString::new(text.as_bytes()).map_err(|_| nul_byte_failure(&text.to_string_lossy()))
}

/// Why a try to execute failed, in words.
///
/// What `execve(2)` refuses is looked at once more: the program may have changed since preflight, and its ENOENT stands
/// for a missing program, interpreter and loader alike. Where nothing is seen, stage and errno say what is known.
pub fn exec_failure(service: &ServiceSettings, program: Option<&Path>, stage: Stage, errno: i32) -> ExecFailure {
    if stage == Stage::Exec
        && let Err(failure) = find_program(service)
    {
        return ExecFailure { errno: failure.errno.or(Some(errno)), ..failure };
    }
    let program = program.map(|path| path.display().to_string()).unwrap_or_default();
    let directory = service.directory.as_deref().map(|path| path.display().to_string());
    exec_words::failed_stage(&stage.to_string(), errno, &program, directory.as_deref(), service.user.as_deref())
}

/// Memory limits and peak now, with the kills since the generation started.
pub fn memory_since(kills_before: Option<u64>) -> Option<MemoryFacts> {
    let kills_before = kills_before?;
    let now = memory::of_own_cgroup()?;
    Some(MemoryFacts { kills: now.kills.saturating_sub(kills_before), ..now })
}

/// No argument or variable can hold a NUL byte (`execve(2)`).
fn nul_byte_failure(text: &str) -> ExecFailure {
    ExecFailure {
        problem: ExecProblem::Stage,
        summary: format!("{text:?} holds a NUL byte, which no argument or environment variable can hold"),
        advice: vec!["take the NUL byte out of it".to_owned()],
        errno: None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn service(program: &Path) -> ServiceSettings {
        let text = format!("[service.api]\ncommand = [{program:?}]\n");
        let context = crate::core::config::Context { folder: Path::new(""), name: "test" };
        crate::core::config::parse_bytes("launcher.toml", text.as_bytes(), context).unwrap().services.remove(0)
    }

    /// Preflight has passed, and then the program changes before it is executed.
    #[test]
    fn a_program_that_changed_after_preflight_is_explained_by_what_it_is_now() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let service = service(&program);
        assert_eq!(find_program(&service).unwrap(), program);
        let failure = |errno| exec_failure(&service, Some(&program), Stage::Exec, errno);

        fs::write(&program, "#!/no/such/interpreter\n").unwrap();
        let found = failure(libc::ENOENT);
        assert_eq!((found.problem, found.errno), (ExecProblem::InterpreterMissing, Some(libc::ENOENT)));
        assert!(found.summary.contains("/no/such/interpreter"), "{}", found.summary);

        fs::remove_file(&program).unwrap();
        let found = failure(libc::ENOENT);
        assert_eq!(found.problem, ExecProblem::NotFound);
        assert!(found.summary.contains("does not exist"), "{}", found.summary);
    }

    /// Nothing can be seen in the file: the stage and the errno are told.
    #[test]
    fn what_only_the_try_can_show_is_told_with_its_errno() {
        let service = service(Path::new("/bin/sh"));
        let found = exec_failure(&service, Some(Path::new("/bin/sh")), Stage::Exec, libc::E2BIG);
        assert!(found.summary.contains("E2BIG") && found.summary.contains("/bin/sh"), "{}", found.summary);
        let found = exec_failure(&service, Some(Path::new("/bin/sh")), Stage::User, libc::EPERM);
        assert!(found.summary.contains("setting user") && found.summary.contains("EPERM"), "{}", found.summary);
    }
}
