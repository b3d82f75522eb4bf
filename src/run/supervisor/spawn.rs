//! Making ready what a generation needs and starting it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::sync::mpsc::UnboundedSender;

use crate::core::awaited_line::AwaitedLine;
use crate::core::config::expand;
use crate::core::exec_words;
use crate::core::facts::{ExecFailure, ExecProblem, MemoryFacts};
use crate::core::fleet::ServiceId;
use crate::core::go_limits;
use crate::core::service::Generation;
use crate::core::settings::{GroupLimits, NotifyAccess, NotifyPlace, READY_FD, Ready, ServiceSettings};
use crate::run::environment::{self, Special};
use crate::run::notify_folder;
use crate::run::preflight::{self, Files};
use crate::run::privileges;
use crate::sys::cpu_quota;
use crate::sys::environment::inherited;
use crate::sys::keeper::{Keeper, SpawnPlan, Stage, Stdio};
use crate::sys::memory;
use crate::sys::notify_socket::NotifySocket;
use crate::sys::seccomp::Filter;
use crate::sys::terminal::is_terminal;
use crate::sys::users::Identity;

use super::calls::Calls;
use super::descriptors;
use super::group::Groups;
use super::inbox::{Happening, watch};
use super::probe::Sign;
use super::slot::{Live, Slot};

/// The uid and gid that a service's output pipes belong to, when it runs as another user.
pub fn output_owner(service: &ServiceSettings) -> Option<(u32, u32)> {
    service.user.as_ref()?;
    let identity = preflight::user(service).ok()??;
    Some((identity.uid, identity.gid))
}

/// The uid that a service runs as; the launcher's own for a user that is not known, which preflight will refuse.
pub fn user_of(service: &ServiceSettings) -> u32 {
    let identity = preflight::user(service).ok().flatten();
    identity.map_or_else(|| nix::unistd::geteuid().as_raw(), |identity| identity.uid)
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
    groups: &Groups,
) -> Result<Live, ExecFailure> {
    let service = slot.settings_of(generation).clone();
    let limits = groups.kept(&service);
    let files = slot.course(generation).map(|course| course.files.clone()).unwrap_or_default();
    let identity = preflight::user(&service)?;
    let passed = descriptors::to_pass(slot);
    let notify = notify_socket(&service, slot.user)?;
    let address = notify.as_ref().map_or("", |notify| notify.address());
    let variables = variables(slot, (generation, &files), address, &passed, (identity.as_ref(), limits))?;
    slot.output.open_file().map_err(|problem| log_file_failure(&problem))?;
    let (stdio, terminal) = stdio(slot, generation)?;
    let (filter, calls) = calls(slot, generation, outbox, id)?;
    let (sign, ready_fd) = sign(slot, generation, passed.len())?;
    let plan = SpawnPlan {
        program: c_string(files.program.as_os_str())?,
        argv: arguments(slot, generation)?,
        envp: variables,
        directory: service.directory.as_deref().map(|path| c_string(path.as_os_str())).transpose()?,
        identity,
        attributes: privileges::attributes(&service.process),
        stdio,
        own_terminal: terminal.is_some(),
        pid_variables: pid_variables(&service, &passed),
        passed: passed.into_iter().map(|(_, fd)| fd).collect(),
        ready_fd,
        foreground: service.interactive,
        // It is in the background of the terminal that it may read.
        tells_stops: slot.single && is_terminal(std::io::stdin().as_fd()),
        cgroup: groups.make(&service, limits, generation)?,
        filter,
    };
    slot.ports.release_for_exec();
    let keeper = Rc::new(Keeper::start(plan).map_err(|error| failed_with(error.action, error.errno))?);
    let keeper_watch =
        watch(keeper.clone(), Keeper::fd, outbox.clone(), move || Happening::KeeperReadable(id, generation));
    let mut watches = vec![keeper_watch.map_err(failed("watching"))?];
    if let Some(notify) = &notify {
        let readable = move || Happening::NotifyReadable(id, generation);
        watches.push(watch(notify.clone(), NotifySocket::fd, outbox.clone(), readable).map_err(failed("watching"))?);
    }
    let probed = sign.as_ref().map(|sign| sign.facts.clone());
    Ok(Live {
        keeper,
        notify,
        _terminal: terminal,
        main: None,
        tasks: watches,
        calls,
        sign,
        probed,
        looked: None,
        probes: Vec::new(),
    })
}

/// Its descriptors 0 to 2, and its side of its terminal if it has one of its own.
fn stdio(slot: &Slot, generation: Generation) -> Result<([Stdio; 3], Option<OwnedFd>), ExecFailure> {
    if slot.settings_of(generation).terminal && !slot.single {
        let failed = failed("making its terminal");
        let side = slot.output.terminal(generation.0, &slot.terminal).map_err(&failed)?;
        let copy = || side.try_clone().map(Stdio::Fd).map_err(&failed);
        return Ok(([copy()?, copy()?, copy()?], Some(side)));
    }
    let [stdout, stderr] = slot.output.ends(generation.0).map_err(failed("duplicating the output"))?;
    let stdio = |end: Option<_>| end.map_or(Stdio::Inherit, Stdio::Fd);
    let input = if slot.single { Stdio::Inherit } else { Stdio::Null };
    Ok(([input, stdio(stdout), stdio(stderr)], None))
}

/// What has the service's calls about its ports answered, where that was asked for.
fn calls(
    slot: &mut Slot,
    generation: Generation,
    outbox: &UnboundedSender<Happening>,
    id: ServiceId,
) -> Result<(Option<Filter>, Option<Calls>), ExecFailure> {
    let Some((filter, only_v6)) = slot.ports.filter() else { return Ok((None, None)) };
    slot.ports.watch(outbox, id).map_err(failed("watching the ports"))?;
    let calls = Calls::prepare(slot.ports.lent(), only_v6, outbox.clone(), id, generation);
    Ok((Some(filter), Some(calls.map_err(failed("creating a thread for the ports"))?)))
}

/// The socket on which the service, which runs as this user, may speak; `None` when nobody is to hear it.
fn notify_socket(service: &ServiceSettings, user: u32) -> Result<Option<Rc<NotifySocket>>, ExecFailure> {
    if service.notify.access == NotifyAccess::None {
        return Ok(None);
    }
    let socket = match &service.notify.socket {
        NotifyPlace::At(path) => NotifySocket::bind_at(path),
        NotifyPlace::Usual if service.ready == Ready::Notify => {
            notify_folder::bind(user).map_or_else(NotifySocket::bind, Ok)
        }
        NotifyPlace::Usual | NotifyPlace::Abstract => NotifySocket::bind(),
    };
    socket.map(|socket| Some(Rc::new(socket))).map_err(failed("making the notify socket"))
}

/// A descriptor, and the number that it is given under.
type Given = Option<(RawFd, OwnedFd)>;

/// What the service is to be ready by, and the descriptor that it gets for that, with the number it has there.
///
/// # Errors
/// Of making a pipe, or when so many descriptors are passed that there is none left with this number.
fn sign(slot: &Slot, generation: Generation, passed: usize) -> Result<(Option<Sign>, Given), ExecFailure> {
    let ports: BTreeMap<&str, u16> = slot.ports.numbers().into_iter().collect();
    let ready = &slot.settings_of(generation).ready;
    let (mut line, mut given, mut output) = (None, None, None);
    match ready {
        Ready::Fd(number) => {
            let free = READY_FD.saturating_add(RawFd::try_from(passed).unwrap_or(RawFd::MAX));
            if *number < free {
                return Err(descriptor_taken(*number, free));
            }
            let failed = failed("making the pipe of ready.fd");
            let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|errno| failed(errno.into()))?;
            fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|errno| failed(errno.into()))?;
            (line, given) = (Some(reader), Some((*number, writer)));
        }
        Ready::Log(pattern) => {
            output = AwaitedLine::new(pattern).map(|line| slot.output.await_line(line, generation.0))
        }
        _ => {}
    }
    Ok((Sign::new(ready, &ports, line, output), given))
}

/// The descriptors that are passed reach up to the one that the service is to write to.
fn descriptor_taken(number: RawFd, free: RawFd) -> ExecFailure {
    ExecFailure {
        problem: ExecProblem::Stage,
        summary: format!(
            "descriptor {number} is the one of ready.fd, but sockets and what it stored (FDSTORE=1) take all up to {}",
            free - 1
        ),
        advice: vec![format!("write ready.fd = {free} or more, and tell the program")],
        errno: None,
    }
}

/// Variables whose value is the child's own pid.
fn pid_variables(service: &ServiceSettings, passed: &[(String, RawFd)]) -> Vec<&'static str> {
    let mut variables = Vec::new();
    if !passed.is_empty() {
        variables.push("LISTEN_PID");
    }
    if service.watchdog.is_some() {
        variables.push("WATCHDOG_PID");
    }
    variables
}

/// The command line with `{port.NAME}` replaced.
fn arguments(slot: &Slot, generation: Generation) -> Result<Vec<CString>, ExecFailure> {
    expanded(slot, generation).iter().map(|argument| c_string(argument)).collect()
}

fn expanded(slot: &Slot, generation: Generation) -> Vec<OsString> {
    let numbers: BTreeMap<&str, u16> = slot.ports.numbers().into_iter().collect();
    let number = |name: &str| numbers.get(name).copied();
    // A placeholder without a number was refused with the settings; should one be left, the program is shown it.
    let command = &slot.settings_of(generation).command;
    command.iter().map(|word| expand(word, number).unwrap_or_else(|_| word.clone())).collect()
}

/// The command line as a report shows it.
pub fn command_for_people(slot: &Slot, generation: Generation) -> Vec<String> {
    expanded(slot, generation).iter().map(|argument| argument.to_string_lossy().into_owned()).collect()
}

fn variables(
    slot: &Slot,
    (generation, files): (Generation, &Files),
    notify_socket: &str,
    passed: &[(String, RawFd)],
    (user, kept): (Option<&Identity>, GroupLimits),
) -> Result<Vec<Cow<'static, CStr>>, ExecFailure> {
    let service = slot.settings_of(generation);
    let limits = service.process.go_limits.then(|| go_limits(kept)).into_iter().flatten();
    let written = service.environment.iter().map(|(name, value)| (name.clone(), value.clone()));
    // A launcher without a terminal has none of these for a program that has one.
    let kind = service.terminal && std::env::var_os("TERM").is_none();
    let kind = kind.then(|| ("TERM".to_owned(), "xterm-256color".to_owned()));
    let set = kind.into_iter().chain(limits).chain(files.variables.iter().cloned()).chain(written);
    let special = Special {
        service: &service.name,
        generation: Some(generation),
        notify_socket,
        // Groups alone are no other user, with a home of its own.
        user: user.filter(|_| service.user.is_some()),
        ports: slot.ports.numbers(),
        passed: passed.iter().map(|(name, _)| name.as_str()).collect(),
        watchdog: service.watchdog,
    };
    environment::build(inherited(), set, &special).map_err(|name| nul_byte_failure(&name))
}

/// The limits of the launcher's cgroup, and those of the service's own, for a Go program; what the launcher was told
/// itself is left as it is.
fn go_limits(kept: GroupLimits) -> impl Iterator<Item = (String, String)> {
    let memory = memory::of_own_cgroup().and_then(|memory| memory.limit);
    let memory = [memory, kept.memory].into_iter().flatten().min();
    let quota = cpu_quota::of_process(std::process::id() as i32).map(|quota| quota.cpus());
    let quota = [quota, kept.cpus()].into_iter().flatten().min_by(f64::total_cmp);
    let variables = go_limits::variables(memory, quota);
    variables.into_iter().filter(|(name, _)| std::env::var_os(name).is_none())
}

/// Its lines would go nowhere.
fn log_file_failure(problem: &io::Error) -> ExecFailure {
    ExecFailure {
        problem: ExecProblem::Stage,
        summary: format!("the file for its lines cannot be opened: {problem}"),
        advice: vec!["name another file below [service.NAME.log], or let launcher write there".to_owned()],
        errno: problem.raw_os_error(),
    }
}

/// A step of the launcher's own that failed before there was a process to fail.
fn failed(stage: &'static str) -> impl Fn(io::Error) -> ExecFailure {
    move |problem| failed_with(stage, problem.raw_os_error().unwrap_or(0))
}

fn failed_with(stage: &str, errno: i32) -> ExecFailure {
    exec_words::failed_stage(stage, errno, "", None)
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
        && let Err(failure) = preflight::find_program(service)
    {
        return ExecFailure { errno: failure.errno.or(Some(errno)), ..failure };
    }
    let program = program.map(|path| path.display().to_string()).unwrap_or_default();
    privileges::failed_step(service, &program, stage, errno)
}

/// Memory limits and peak now, with the kills since the generation started; none where it ended before they could be
/// counted.
pub fn memory_since(kills_before: Option<u64>) -> Option<MemoryFacts> {
    let now = memory::of_own_cgroup()?;
    let kills = kills_before.map_or(0, |before| now.kills.saturating_sub(before));
    Some(MemoryFacts { kills, ..now })
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
        assert_eq!(preflight::find_program(&service).unwrap(), program);
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
