//! What is checked before a generation starts: the user, the program, the ports. Finds, and puts into words.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::core::config::dotenv;
use crate::core::diagnosis::words;
use crate::core::environment::OWN_VARIABLES;
use crate::core::exec_words;
use crate::core::facts::{ExecFailure, ExecProblem, FileFailure, PortFailure, PortProblem, Refusal};
use crate::core::port_words::{self, Asker, RawPortFailure};
use crate::core::settings::{PortSettings, ServiceSettings};
use crate::run::{files, in_words};
use crate::sys::executable::libraries;
use crate::sys::files::{is_there_at_once, read_regular};
use crate::sys::users::{self, Identity, UserError};
use crate::sys::{executable, port};

/// Where programs are looked for when nothing says so: what Docker and systemd set.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Everything that is in the way of a service now, in the order in which it would be met. Nothing is held or changed.
pub fn findings(service: &ServiceSettings) -> Vec<Refusal> {
    let mut found = Vec::new();
    let identity = user(service).ok().flatten();
    let process = &service.process;
    let unknown = users::unknown(service.user.as_deref(), process.group.as_deref(), process.groups.as_deref());
    found.extend(unknown.iter().map(not_known).map(Refusal::Exec));
    match program(service, &path(service), identity.as_ref()) {
        Ok(program) => found.extend(libraries(service, &program).map(Refusal::Exec)),
        Err(failure) => {
            let elsewhere =
                (failure.problem == ExecProblem::Directory).then(|| without_directory(service, identity.as_ref()));
            found.push(Refusal::Exec(failure));
            found.extend(elsewhere.flatten().map(Refusal::Exec));
        }
    }
    found.extend(too_long(service).map(Refusal::Exec));
    found.extend(service.environment_files.iter().filter_map(|file| environment_file(file).err()).map(Refusal::Exec));
    found.extend(files::problems(service, identity.as_ref()).into_iter().map(Refusal::File));
    for settings in &service.ports {
        if let Err(raw) = port::examine(&settings.listen) {
            found.push(Refusal::Port(port_failure(&service.name, settings, &raw)));
        }
    }
    found
}

/// The first argument that is longer than the kernel takes (`MAX_ARG_STRLEN`, 32 pages with the NUL; `execve(2)`).
fn too_long(service: &ServiceSettings) -> Option<ExecFailure> {
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    let longest = page.and_then(|page| usize::try_from(page).ok()).unwrap_or(4096) * 32 - 1;
    let mut arguments = service.command.iter().enumerate().skip(1);
    let (place, argument) = arguments.find(|(_, argument)| argument.len() > longest)?;
    Some(exec_words::too_long(place, argument.len(), longest))
}

/// As whom the service runs, when that is another than the launcher's user.
///
/// # Errors
/// The user is not known.
pub fn user(service: &ServiceSettings) -> Result<Option<Identity>, ExecFailure> {
    let process = &service.process;
    users::resolve(service.user.as_deref(), process.group.as_deref(), process.groups.as_deref())
        .map_err(|error| not_known(&error))
}

fn not_known(error: &UserError) -> ExecFailure {
    match error {
        UserError::NoSuchGroup(_) => exec_words::unknown_group(&error.to_string()),
        _ => exec_words::unknown_user(&error.to_string()),
    }
}

/// What is wrong with a program that is not looked for in the directory, which cannot be entered.
fn without_directory(service: &ServiceSettings, identity: Option<&Identity>) -> Option<ExecFailure> {
    let command = service.command.first()?;
    let path = path(service);
    let (first, other) = (command.as_bytes().first()?, command.as_bytes().contains(&b'/'));
    let relative = if other { *first != b'/' } else { std::env::split_paths(&path).any(|folder| folder.is_relative()) };
    let who = identity.map(|identity| (identity.uid, identity.groups.as_slice()));
    if relative { None } else { executable::examine(command, &path, None, who).err() }
}

/// Where the service's program is looked for: the PATH of its environment as written, else the launcher's own.
pub fn path(service: &ServiceSettings) -> OsString {
    service.environment.get("PATH").map_or_else(own_path, OsString::from)
}

/// Where the launcher itself looks for programs.
pub fn own_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into())
}

/// The program of the service as it is to be executed after the change of directory.
///
/// # Errors
/// Why it cannot be executed.
pub fn program(service: &ServiceSettings, path: &OsStr, identity: Option<&Identity>) -> Result<PathBuf, ExecFailure> {
    let command = service.command.first().map(OsString::as_os_str).unwrap_or_default();
    let who = identity.map(|identity| (identity.uid, identity.groups.as_slice()));
    executable::examine(command, path, service.directory.as_deref(), who)
}

/// The program that will be executed, after all checks that can be made before the try.
///
/// # Errors
/// Why it cannot be executed.
pub fn find_program(service: &ServiceSettings) -> Result<PathBuf, ExecFailure> {
    let identity = user(service)?;
    program(service, &path(service), identity.as_ref())
}

/// What a service is started from, as it was found in files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// The program as it is to be executed.
    pub program: PathBuf,
    /// The variables of its environment files, in order.
    pub variables: Vec<(String, String)>,
}

/// Looks at all files that a service is started from, and at those that it reads. `check` is the command that tells all
/// that is in the way.
///
/// # Errors
/// The first thing that is.
pub fn files(service: &ServiceSettings, check: &str) -> Result<Files, Box<Refusal>> {
    let program = find_program(service).map_err(Refusal::Exec)?;
    let all: Result<Vec<_>, _> = service.environment_files.iter().map(|file| environment_file(file)).collect();
    let variables = all.map_err(Refusal::Exec)?.concat();
    own_files(service, check).map_err(|failure| Refusal::File(*failure))?;
    Ok(Files { program, variables })
}

/// Looks at the files that a service reads and at the variables it must have: the first that is wrong, with the number
/// of the others.
fn own_files(service: &ServiceSettings, check: &str) -> Result<(), Box<FileFailure>> {
    let identity = user(service).unwrap_or_default();
    let mut problems = files::problems(service, identity.as_ref()).into_iter().filter(|problem| !problem.warning);
    let Some(mut first) = problems.next() else { return Ok(()) };
    match problems.count() {
        0 => {}
        more => first.advice.push(format!("see all {} problems: {check}", more + 1)),
    }
    Err(Box::new(first))
}

/// Whether [`files()`] has nobody to wait for: all that it looks at is in memory, on file systems that ask nobody.
pub fn answer_at_once(service: &ServiceSettings) -> bool {
    // To compile a schema takes some milliseconds, and it may be in other files, too.
    if service.files.iter().any(|file| file.schema.is_some()) {
        return false;
    }
    let directory = service.directory.as_deref();
    let command = Path::new(service.command.first().map(OsString::as_os_str).unwrap_or_default());
    let read = service.environment_files.iter().chain(service.files.iter().map(|file| &file.path));
    let others = directory.into_iter().chain(read.map(PathBuf::as_path));
    if others.map(is_there_at_once).any(|found| found.is_none()) {
        return false;
    }
    let seen_from = |path: &Path| directory.map_or_else(|| path.to_owned(), |directory| directory.join(path));
    if command.as_os_str().as_bytes().contains(&b'/') {
        return is_there_at_once(&seen_from(command)).is_some();
    }
    for folder in std::env::split_paths(&path(service)) {
        match is_there_at_once(&seen_from(&folder.join(command))) {
            Some(false) => {}
            found => return found.is_some(),
        }
    }
    true
}

/// That the files of a service could not be looked at in time.
pub fn no_answer(service: &ServiceSettings) -> ExecFailure {
    let limit = words::setting(service.start_timeout);
    ExecFailure {
        problem: ExecProblem::Stage,
        summary: format!(
            "the files of {} could not be looked at within {limit}: a file system does not answer",
            service.name
        ),
        advice: vec![
            "look at the network and FUSE file systems that its program, directory and environment files are on, \
                      and at those on PATH: df"
                .to_owned(),
        ],
        errno: None,
    }
}

/// That there is no thread to look at files.
pub fn no_thread(problem: &io::Error) -> ExecFailure {
    exec_words::failed_stage("creating a thread", problem.raw_os_error().unwrap_or(0), "", None)
}

/// The shared libraries that the program of a service will not find. Looked for where a start is only checked, or has
/// failed: it reads every library once.
pub fn libraries(service: &ServiceSettings, program: &Path) -> Option<ExecFailure> {
    let own = || std::env::var_os("LD_LIBRARY_PATH");
    let search = service.environment.get("LD_LIBRARY_PATH").map_or_else(own, |value| Some(value.into()));
    let place = match &service.directory {
        Some(directory) if program.is_relative() => directory.join(program),
        _ => program.to_owned(),
    };
    let missing = libraries::missing(&place, search.as_deref());
    if missing.is_empty() {
        return None;
    }
    let names = missing.into_iter().map(|of| (of.library, of.needed_by.display().to_string())).collect();
    let path = place.display().to_string();
    Some(exec_words::explain(&exec_words::Finding::LibraryMissing { path, libraries: names }))
}

/// The variables of an environment file, in its order.
///
/// # Errors
/// It cannot be read, is no file, or lines of it are wrong: all of them are named.
pub fn environment_file(file: &Path) -> Result<Vec<(String, String)>, ExecFailure> {
    let wrong = |problem: String| ExecFailure {
        problem: ExecProblem::Stage,
        summary: format!("the environment file {} cannot be used: {problem}", file.display()),
        advice: vec![format!("correct {}, or leave it out", file.display())],
        errno: None,
    };
    let text = read_regular(file).map_err(|problem| wrong(in_words(&problem)))?;
    let variables = dotenv::parse(&text).map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        wrong(all.join("; "))
    })?;
    match variables.iter().find(|(name, _)| OWN_VARIABLES.contains(&name.as_str())) {
        Some((name, _)) => Err(wrong(format!("{name} is set by launcher itself: leave it out"))),
        None => Ok(variables),
    }
}

/// Where a port of this service is written.
pub fn asker<'s>(service: &'s str, port: &PortSettings) -> Asker<'s> {
    if port.by_flag { Asker::Flag } else { Asker::Key(service) }
}

/// A port that could not be had, in words; when it is taken, with a search for who has it.
pub fn port_failure(service: &str, settings: &PortSettings, raw: &RawPortFailure) -> PortFailure {
    let taken = raw.problem == PortProblem::Taken;
    let owner = if taken { port::owner(&settings.listen, Some(service)) } else { None };
    let own_pid = std::process::id() as i32;
    let ours = owner.as_ref().is_some_and(|owner| owner.holders.iter().any(|holder| holder.pid == own_pid));
    let failure = port_words::failure(asker(service, settings), &settings.name, &settings.listen, raw, owner);
    if ours { port_words::taken_by_ourselves(failure) } else { failure }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::core::config::listen::listen as parse_listen;

    fn service(command: &str, ports: &[String]) -> ServiceSettings {
        let port =
            |(index, listen): (usize, &String)| PortSettings::new(format!("p{index}"), parse_listen(listen).unwrap());
        let ports = ports.iter().enumerate().map(port);
        let mut service = ServiceSettings::new("api".to_owned(), vec![command.into()]);
        service.environment.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
        service.ports = ports.collect();
        service
    }

    #[test]
    fn every_finding_is_told() {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let taken = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let mut api = service("/no/such/program", &[taken, "203.0.113.7:80".to_owned(), "127.0.0.1:auto".to_owned()]);
        let [Refusal::Exec(program), Refusal::Port(first), Refusal::Port(second)] = &findings(&api)[..] else {
            panic!("{:?}", findings(&api));
        };
        assert_eq!(program.problem, ExecProblem::NotFound);
        assert_eq!((first.problem, second.problem), (PortProblem::Taken, PortProblem::NoSuchAddress));
        // The test holds the port itself, as a launcher with two such ports would.
        assert!(first.summary.contains("beside another port of this launcher on 0.0.0.0:"), "{}", first.summary);
        api.user = Some("no-such-user-here".to_owned());
        let Some(Refusal::Exec(failure)) = findings(&api).into_iter().next() else { panic!() };
        assert_eq!((failure.problem, failure.problem.exit_code()), (ExecProblem::User, 71));
        assert!(failure.summary.contains("no-such-user-here"), "{}", failure.summary);
        api.environment_files = vec!["/no/such/.env".into()];
        let all: Vec<String> = findings(&api).iter().map(|finding| format!("{finding:?}")).collect();
        assert_eq!(all.len(), 5, "{all:?}");
        assert!(all[1].contains("/no/such/program") && all[2].contains("/no/such/.env"), "{all:?}");
    }

    #[test]
    fn nothing_is_found_where_nothing_is_wrong() {
        assert_eq!(findings(&service("true", &["127.0.0.1:auto".to_owned()])), []);
    }

    #[test]
    fn files_are_looked_at_together() {
        let folder = tempfile::tempdir().unwrap();
        let mut api = service("true", &[]);
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        std::fs::write(&first, "A=1\n").unwrap();
        std::fs::write(&second, "A=2\nB=3\n").unwrap();
        api.environment_files = vec![first, second.clone()];
        let found = files(&api, "launcher check").unwrap();
        assert!(found.program.ends_with("bin/true"), "{found:?}");
        let pairs = [("A", "1"), ("A", "2"), ("B", "3")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found.variables, pairs);
        std::fs::write(&second, "NOTIFY_SOCKET=/run/x\n").unwrap();
        let refused = files(&api, "launcher check").unwrap_err();
        assert!(refused.summary().contains("NOTIFY_SOCKET is set by launcher itself"), "{}", refused.summary());
    }
}
