//! A service under the debugger of its language: from its command line to the debugger's (`launcher run --debug`).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use ::core::net::{Ipv4Addr, SocketAddr};

use super::settings::{Debugged, NotifyAccess, PortMode, ServiceSettings};

/// A person who looks at a program keeps no deadline: longer than anybody looks.
pub const NO_DEADLINE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// What a program is, as far as its file tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Executable {
    /// A script: its interpreter, and what stands after that in its first line.
    Script {
        /// The interpreter.
        interpreter: OsString,
        /// The rest of the line.
        argument: OsString,
    },
    /// A program of the machine.
    Binary {
        /// Whether Go has made it.
        go: bool,
    },
}

/// What runs a program, as far as debuggers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Runtime {
    Go,
    Native,
    Python,
    Node,
    Java,
}

impl Runtime {
    /// The port that its debuggers look for when nothing is said.
    pub fn usual_port(self) -> u16 {
        match self {
            Runtime::Go => 2345,
            Runtime::Native => 1234,
            Runtime::Python => 5678,
            Runtime::Node => 9229,
            Runtime::Java => 5005,
        }
    }

    /// The program that must be there beside the service's own, if one must.
    pub fn tool(self) -> Option<&'static str> {
        match self {
            Runtime::Go => Some("dlv"),
            Runtime::Native => Some("gdbserver"),
            Runtime::Python | Runtime::Node | Runtime::Java => None,
        }
    }

    /// How what is missing can be had; `words` are those of the command.
    pub fn remedy(self, words: &[OsString]) -> String {
        match self {
            Runtime::Go => "go install github.com/go-delve/delve/cmd/dlv@latest, or the package delve".to_owned(),
            Runtime::Native => "install the package gdbserver (Fedora: gdb-gdbserver)".to_owned(),
            Runtime::Python => {
                let python = words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
                format!("{python} -m pip install debugpy, or the package python3-debugpy")
            }
            Runtime::Node | Runtime::Java => "install it".to_owned(),
        }
    }
}

/// Why there is no debugger for a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoDebugger {
    /// It starts something else, which is not seen from outside.
    Starts(String),
    /// A script of a language that has none here.
    Interpreter(String),
    /// An interpreter without a script.
    NoScript(String),
}

impl fmt::Display for NoDebugger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoDebugger::Starts(name) => {
                write!(f, "{name} starts another program, which is the one to be debugged; write that as its command")
            }
            NoDebugger::Interpreter(name) => write!(f, "there is no debugger here for what {name} runs"),
            NoDebugger::NoScript(name) => write!(f, "{name} has no script to be debugged"),
        }
    }
}

/// Programs that only start others.
const STARTERS: &[&str] = &[
    "sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "busybox", "env", "nice", "nohup", "timeout", "sudo", "su",
    "doas", "setsid", "setpriv", "chroot", "unshare", "stdbuf", "make", "npm", "npx", "yarn", "pnpm", "poetry",
    "pipenv", "uv",
];

/// A command line whose first word is what runs it, with that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What runs it.
    pub runtime: Runtime,
    /// All words; of a script its interpreter comes first.
    pub words: Vec<OsString>,
}

impl Subject {
    /// What this command is: `program` is the file that is executed for its first word.
    ///
    /// # Errors
    /// Why nothing of it can be debugged.
    pub fn of(command: &[OsString], program: &Path, executable: &Executable) -> Result<Subject, NoDebugger> {
        let mut words = command.to_vec();
        let Some(first) = words.first_mut() else { return Err(NoDebugger::NoScript(String::new())) };
        match executable {
            Executable::Binary { go } => {
                let name = file_name(first);
                if STARTERS.contains(&name.as_str()) {
                    return Err(NoDebugger::Starts(name));
                }
                let runtime = match interpreter(&name) {
                    Some(runtime) => runtime,
                    None if is_interpreter(&name) => return Err(NoDebugger::Interpreter(name)),
                    None if *go => Runtime::Go,
                    None => Runtime::Native,
                };
                // What starts it does not look for it on PATH.
                if matches!(runtime, Runtime::Go | Runtime::Native) {
                    *first = program.as_os_str().to_owned();
                }
                Ok(Subject { runtime, words })
            }
            Executable::Script { interpreter: path, argument } => {
                let script = file_name(first);
                if STARTERS.contains(&script.as_str()) {
                    return Err(NoDebugger::Starts(script));
                }
                *first = program.as_os_str().to_owned();
                let mut all = interpreter_words(path, argument);
                let name = all.first().map(|word| file_name(word)).unwrap_or_default();
                let Some(runtime) = interpreter(&name) else {
                    let shell = STARTERS.contains(&name.as_str());
                    return Err(if shell { NoDebugger::Starts(script) } else { NoDebugger::Interpreter(name) });
                };
                all.append(&mut words);
                Ok(Subject { runtime, words: all })
            }
        }
    }

    /// The command line that runs it under its debugger, which waits at this address. `tool` is where the debugger is, where
    /// it is a program of its own; `own_pid` are variables that have to be the pid of the program.
    ///
    /// # Errors
    /// When there is nothing to debug.
    pub fn under_debugger(&self, at: SocketAddr, tool: &OsStr, own_pid: &[&str]) -> Result<Vec<OsString>, NoDebugger> {
        let words = self.words.iter().cloned();
        let text = |text: &str| OsString::from(text);
        Ok(match self.runtime {
            Runtime::Go => {
                let listen = format!("--listen={at}");
                let begin =
                    ["exec", "--headless", &listen, "--api-version=2", "--accept-multiclient"].map(OsString::from);
                let (program, arguments) = (self.words[..1].iter().cloned(), self.words[1..].iter().cloned());
                let end: Vec<OsString> = if self.words.len() > 1 { vec![text("--")] } else { Vec::new() };
                std::iter::once(tool.to_owned()).chain(begin).chain(program).chain(end).chain(arguments).collect()
            }
            Runtime::Native => {
                // The shell that gdbserver starts it by becomes it, so its pid is the program's.
                let mut begin = vec![tool.to_owned()];
                if !own_pid.is_empty() {
                    begin.extend([text("--wrapper"), text("env")]);
                    begin.extend(own_pid.iter().map(|name| OsString::from(format!("{name}=$$"))));
                    begin.push(text("--"));
                }
                begin.push(OsString::from(at.to_string()));
                begin.into_iter().chain(words).collect()
            }
            Runtime::Python => {
                let place = script(&self.words).ok_or_else(|| NoDebugger::NoScript(file_name(&self.words[0])))?;
                let listen = at.to_string();
                let debugger = ["-m", "debugpy", "--listen", &listen, "--wait-for-client"].map(OsString::from);
                let (before, after) = self.words.split_at(place);
                before.iter().cloned().chain(debugger).chain(after.iter().cloned()).collect()
            }
            Runtime::Node => with_option(words, format!("--inspect-brk={at}")),
            Runtime::Java => {
                let agent = format!("-agentlib:jdwp=transport=dt_socket,server=y,suspend=y,address={at}");
                with_option(words, agent)
            }
        })
    }

    /// How a person looks into it from then on.
    pub fn attach(&self, at: SocketAddr) -> String {
        match self.runtime {
            Runtime::Go => format!("dlv connect {at}"),
            Runtime::Native => format!("gdb -ex \"target remote {at}\" {}", self.words[0].to_string_lossy()),
            Runtime::Python => format!("an editor that speaks the Debug Adapter Protocol, by \"attach\" to {at}"),
            Runtime::Node => format!("node inspect {at}, or chrome://inspect"),
            Runtime::Java => format!("jdb -attach {at}"),
        }
    }
}

/// Puts a service under its debugger: all that it gets stays the same, and no deadline ends it while a person looks.
///
/// # Errors
/// When there is nothing to debug.
pub fn put_under(
    service: &mut ServiceSettings,
    subject: &Subject,
    at: SocketAddr,
    tool: &OsStr,
) -> Result<(), NoDebugger> {
    let passes = service.ports.iter().any(|port| port.mode == PortMode::Pass);
    let own_pid: &[&str] = if passes { &["LISTEN_PID"] } else { &[] };
    service.command = subject.under_debugger(at, tool, own_pid)?;
    let note = (passes && subject.runtime == Runtime::Go).then(|| {
        "dlv starts it as its child, so LISTEN_PID is not its pid: it may not take its passed sockets".to_owned()
    });
    service.debugged = Some(Debugged { attach: subject.attach(at), note });
    service.start_timeout = NO_DEADLINE;
    service.watchdog = None;
    // The program may be a child of its debugger.
    if service.notify.access != NotifyAccess::None {
        service.notify.access = NotifyAccess::All;
    }
    Ok(())
}

/// The address where a debugger waits: on this host alone.
pub fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn with_option(mut words: impl Iterator<Item = OsString>, option: String) -> Vec<OsString> {
    let first = words.next();
    first.into_iter().chain([OsString::from(option)]).chain(words).collect()
}

fn file_name(word: &OsStr) -> String {
    Path::new(word).file_name().unwrap_or(word).to_string_lossy().into_owned()
}

/// The runtime of which this is the interpreter: `python3.11`, `node`, `java`.
fn interpreter(name: &str) -> Option<Runtime> {
    let versioned = |stem: &str| {
        name.strip_prefix(stem)
            .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 't' | 'd')))
    };
    match () {
        () if versioned("python") || versioned("pypy") => Some(Runtime::Python),
        () if versioned("node") || versioned("nodejs") => Some(Runtime::Node),
        () if name == "java" => Some(Runtime::Java),
        () => None,
    }
}

/// Whether it is one of those that have no debugger here.
fn is_interpreter(name: &str) -> bool {
    ["ruby", "perl", "php", "lua", "deno", "bun", "dotnet", "erl", "beam.smp", "elixir", "Rscript"]
        .iter()
        .any(|stem| name.strip_prefix(stem).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.')))
}

/// The words that a script's first line stands for: `#!/usr/bin/env -S python3 -u`.
fn interpreter_words(interpreter: &OsStr, argument: &OsStr) -> Vec<OsString> {
    let argument = argument.to_string_lossy();
    if file_name(interpreter) != "env" {
        let argument = Some(argument.as_ref()).filter(|text| !text.is_empty());
        return std::iter::once(interpreter.to_owned()).chain(argument.map(OsString::from)).collect();
    }
    let split = argument.strip_prefix("-S").or_else(|| argument.strip_prefix("--split-string="));
    match split {
        Some(words) => words.split_whitespace().map(OsString::from).collect(),
        None => vec![OsString::from(argument.as_ref())],
    }
}

/// Where, among the words of a Python, what it runs begins: after the options of the interpreter itself.
fn script(words: &[OsString]) -> Option<usize> {
    let mut place = 1;
    while let Some(word) = words.get(place) {
        match word.to_string_lossy().as_ref() {
            "-W" | "-X" | "--check-hash-based-pycs" => place += 2,
            "-m" | "-c" => return Some(place),
            word if word.starts_with('-') && word != "-" => place += 1,
            _ => return Some(place),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    fn binary(go: bool) -> Executable {
        Executable::Binary { go }
    }

    fn by(line: &str) -> Executable {
        let (interpreter, argument) = line.split_once(' ').unwrap_or((line, ""));
        Executable::Script { interpreter: interpreter.into(), argument: argument.into() }
    }

    fn debugged(command: &str, program: &str, executable: &Executable) -> Result<String, NoDebugger> {
        let subject = Subject::of(&words(command), Path::new(program), executable)?;
        let all = subject.under_debugger(address(7000), OsStr::new("/usr/bin/tool"), &[])?;
        let all: Vec<String> = all.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        Ok(all.join(" "))
    }

    #[test]
    fn programs_of_the_machine_have_a_debugger_that_starts_them() {
        assert_eq!(
            debugged("api -v x", "/opt/bin/api", &binary(true)).unwrap(),
            "/usr/bin/tool exec --headless --listen=127.0.0.1:7000 --api-version=2 --accept-multiclient /opt/bin/api -- -v x"
        );
        assert!(debugged("./api", "./api", &binary(true)).unwrap().ends_with("--accept-multiclient ./api"));
        assert_eq!(debugged("./api -v", "./api", &binary(false)).unwrap(), "/usr/bin/tool 127.0.0.1:7000 ./api -v");
    }

    #[test]
    fn a_python_is_told_after_its_own_options() {
        let debugger = "-m debugpy --listen 127.0.0.1:7000 --wait-for-client";
        for (command, expected) in [
            ("python3 app.py -x 1", format!("python3 {debugger} app.py -x 1")),
            ("python3 -u -X dev -W error app.py", format!("python3 -u -X dev -W error {debugger} app.py")),
            ("/venv/bin/python3.13t -m http.server 80", format!("/venv/bin/python3.13t {debugger} -m http.server 80")),
            ("python -c pass", format!("python {debugger} -c pass")),
        ] {
            assert_eq!(debugged(command, "/usr/bin/python3", &binary(false)).unwrap(), expected);
        }
        let none = debugged("python3 -u", "/usr/bin/python3", &binary(false));
        assert_eq!(none, Err(NoDebugger::NoScript("python3".to_owned())));
    }

    #[test]
    fn a_script_is_run_by_its_interpreter() {
        let debugger = "-m debugpy --listen 127.0.0.1:7000 --wait-for-client";
        for (line, expected) in [
            ("/usr/bin/python3", format!("/usr/bin/python3 {debugger} /usr/bin/gunicorn app:app")),
            ("/usr/bin/python3 -sP", format!("/usr/bin/python3 -sP {debugger} /usr/bin/gunicorn app:app")),
            ("/usr/bin/env python3", format!("python3 {debugger} /usr/bin/gunicorn app:app")),
            ("/usr/bin/env -S python3 -u", format!("python3 -u {debugger} /usr/bin/gunicorn app:app")),
            ("/usr/bin/env node", "node --inspect-brk=127.0.0.1:7000 /usr/bin/gunicorn app:app".to_owned()),
        ] {
            assert_eq!(debugged("gunicorn app:app", "/usr/bin/gunicorn", &by(line)).unwrap(), expected);
        }
    }

    #[test]
    fn node_and_java_have_theirs_in_them() {
        let node = debugged("node --enable-source-maps app.js", "/usr/bin/node", &binary(false)).unwrap();
        assert_eq!(node, "node --inspect-brk=127.0.0.1:7000 --enable-source-maps app.js");
        let java = debugged("java -jar app.jar", "/usr/bin/java", &binary(false)).unwrap();
        let agent = "-agentlib:jdwp=transport=dt_socket,server=y,suspend=y,address=127.0.0.1:7000";
        assert_eq!(java, format!("java {agent} -jar app.jar"));
    }

    #[test]
    fn what_has_no_debugger_says_why() {
        let told =
            |command: &str, executable: &Executable| debugged(command, "/x", executable).unwrap_err().to_string();
        assert!(told("sh -c ./api", &binary(false)).starts_with("sh starts another program"));
        assert!(told("./run.sh", &by("/bin/sh")).starts_with("run.sh starts another program"));
        assert!(told("npm start", &by("/usr/bin/env node")).starts_with("npm starts another program"));
        assert_eq!(told("ruby app.rb", &binary(false)), "there is no debugger here for what ruby runs");
        assert_eq!(told("./app", &by("/usr/bin/env ruby3.1")), "there is no debugger here for what ruby3.1 runs");
    }

    #[test]
    fn a_service_keeps_all_but_its_deadlines() {
        let mut service = ServiceSettings::new("api".to_owned(), words("./api -v"));
        service.watchdog = Some(Duration::from_secs(1));
        service.notify.access = NotifyAccess::Main;
        let before = service.clone();
        let subject = Subject::of(&service.command, Path::new("./api"), &binary(false)).unwrap();
        put_under(&mut service, &subject, address(7000), OsStr::new("gdbserver")).unwrap();
        assert_eq!(service.command, words("gdbserver 127.0.0.1:7000 ./api -v"));
        let attach = "gdb -ex \"target remote 127.0.0.1:7000\" ./api".to_owned();
        assert_eq!(service.debugged, Some(Debugged { attach, note: None }));
        assert_eq!((service.start_timeout, service.watchdog), (NO_DEADLINE, None));
        assert_eq!(service.notify.access, NotifyAccess::All);
        service.command = before.command.clone();
        (service.debugged, service.start_timeout, service.watchdog) = (None, before.start_timeout, before.watchdog);
        service.notify = before.notify.clone();
        assert_eq!(service, before);
    }

    #[test]
    fn passed_sockets_are_for_the_program_and_not_for_its_debugger() {
        use crate::core::settings::{Listen, PortSettings};
        let mut port = PortSettings::new("http".to_owned(), Listen::Tcp(address(80)));
        port.mode = PortMode::Pass;
        let put = |go| {
            let mut service = ServiceSettings::new("api".to_owned(), words("./api"));
            service.ports = vec![port.clone()];
            let subject = Subject::of(&service.command, Path::new("./api"), &binary(go)).unwrap();
            put_under(&mut service, &subject, address(7000), OsStr::new("tool")).unwrap();
            service
        };
        assert_eq!(put(false).command, words("tool --wrapper env LISTEN_PID=$$ -- 127.0.0.1:7000 ./api"));
        assert!(put(true).debugged.unwrap().note.unwrap().contains("LISTEN_PID"));
    }
}
