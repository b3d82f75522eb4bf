//! What is checked before a generation starts: the user, the program, the ports. Finds, and puts into words.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::core::config::dotenv;
use crate::core::exec_words;
use crate::core::facts::{ExecFailure, ExecProblem, PortFailure, PortProblem, Refusal};
use crate::core::port_words::{self, RawPortFailure};
use crate::core::settings::{PortSettings, ServiceSettings};
use crate::sys::users::{self, Identity};
use crate::sys::{executable, port};

/// Where programs are looked for when nothing says so: what Docker and systemd set.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Everything that is in the way of a service now, in the order in which it would be met. Nothing is held or changed.
pub fn findings(service: &ServiceSettings) -> Vec<Refusal> {
    let mut found = Vec::new();
    let identity = user(service).unwrap_or_else(|failure| {
        found.push(Refusal::Exec(failure));
        None
    });
    found.extend(program(service, &path(service), identity.as_ref()).err().map(Refusal::Exec));
    found.extend(service.environment_files.iter().filter_map(|file| environment_file(file).err()).map(Refusal::Exec));
    for settings in &service.ports {
        if let Err(raw) = port::examine(&settings.listen) {
            found.push(Refusal::Port(port_failure(&service.name, settings, &raw)));
        }
    }
    found
}

/// As whom the service runs, when that is another than the launcher's user.
///
/// # Errors
/// The user is not known.
pub fn user(service: &ServiceSettings) -> Result<Option<Identity>, ExecFailure> {
    let find = |text: &String| users::find(text).map_err(|error| exec_words::unknown_user(&error.to_string()));
    service.user.as_ref().map(find).transpose()
}

/// Where the service's program is looked for: the PATH of its environment as written, else the launcher's own.
pub fn path(service: &ServiceSettings) -> OsString {
    let own = || std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    service.environment.get("PATH").map_or_else(own, OsString::from)
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

/// The variables of an environment file, in its order.
///
/// # Errors
/// It cannot be read, or lines of it are wrong: all of them are named.
pub fn environment_file(file: &Path) -> Result<Vec<(String, String)>, ExecFailure> {
    let wrong = |problem: String| ExecFailure {
        problem: ExecProblem::Stage,
        summary: format!("the environment file {} cannot be used: {problem}", file.display()),
        advice: vec![format!("correct {}, or leave it out", file.display())],
        errno: None,
    };
    let text = std::fs::read_to_string(file).map_err(|problem| wrong(problem.to_string()))?;
    dotenv::parse(&text).map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        wrong(all.join("; "))
    })
}

/// A port that could not be had, in words; when it is taken, with a search for who has it.
pub fn port_failure(service: &str, settings: &PortSettings, raw: &RawPortFailure) -> PortFailure {
    let taken = raw.problem == PortProblem::Taken;
    let owner = if taken { port::owner(&settings.listen, Some(service)) } else { None };
    let own_pid = std::process::id() as i32;
    let ours = owner.as_ref().is_some_and(|owner| owner.holders.iter().any(|holder| holder.pid == own_pid));
    let failure = port_words::failure(&settings.name, &settings.listen, raw, owner);
    if ours { port_words::taken_by_ourselves(failure) } else { failure }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;
    use crate::core::config::listen::listen as parse_listen;
    use crate::core::settings::*;
    use crate::core::signal::Signal;

    fn service(command: &str, ports: &[String]) -> ServiceSettings {
        let ports = ports.iter().enumerate().map(|(index, listen)| PortSettings {
            name: format!("p{index}"),
            listen: parse_listen(listen).unwrap(),
            mode: PortMode::Reserve,
            until: HoldUntil::Exec,
        });
        ServiceSettings {
            name: "api".to_owned(),
            command: vec![command.into()],
            directory: None,
            environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            environment_files: Vec::new(),
            after: Vec::new(),
            user: None,
            ready: Ready::Auto,
            start_timeout: Duration::from_secs(30),
            on_timeout: OnTimeout::Restart,
            stop_signal: Signal::TERM,
            stop_timeout: Duration::from_secs(8),
            watchdog: None,
            ports: ports.collect(),
            signals: SignalSettings {
                hold: Vec::new(),
                hold_until: SignalHoldUntil::Ready,
                hold_limit: Duration::from_secs(5),
                rewrite: BTreeMap::new(),
            },
            restart: RestartSettings {
                policy: RestartPolicy::Never,
                backoff: Backoff { initial: Duration::ZERO, max: Duration::ZERO, factor: 1.0, jitter: Jitter::None },
                reset_after: Duration::ZERO,
                success_codes: vec![0],
                breaker: None,
                max_failures: None,
            },
            interactive: false,
        }
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
}
