//! What is tested: the launcher, or a program that does the same in part.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::places::{Home, have, number};
use super::processes::TOKEN;
use super::running::Running;
use super::streams::{Source, Streams};

/// A program under test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// The launcher of this repository.
    Launcher,
    /// The launcher that sends signals to the whole process group.
    LauncherGroup,
    /// tini as a subreaper.
    Tini,
    /// tini that sends signals to the whole process group.
    TiniGroup,
    /// dumb-init, which sends signals to the whole session.
    DumbInit,
    /// dumb-init that sends signals to its child alone.
    DumbInitSingle,
    /// catatonit, which is a subreaper where it is not PID 1.
    Catatonit,
    /// catatonit that sends signals to the whole process group.
    CatatonitGroup,
    /// No one in between: shows what a test sees of a bare program.
    Bare,
}

impl Subject {
    pub fn launcher() -> Subject {
        Subject::Launcher
    }

    pub fn launcher_group() -> Subject {
        Subject::LauncherGroup
    }

    pub fn tini() -> Subject {
        Subject::Tini
    }

    pub fn tini_group() -> Subject {
        Subject::TiniGroup
    }

    pub fn dumb_init() -> Subject {
        Subject::DumbInit
    }

    pub fn dumb_init_single() -> Subject {
        Subject::DumbInitSingle
    }

    pub fn catatonit() -> Subject {
        Subject::Catatonit
    }

    pub fn catatonit_group() -> Subject {
        Subject::CatatonitGroup
    }

    pub fn bare() -> Subject {
        Subject::Bare
    }

    /// Whether it is installed; where `CI` is set it has to be.
    pub fn is_there(self) -> bool {
        let program = self.words()[0];
        let there = self == Subject::Bare || program.starts_with('/') || have(program);
        assert!(there || std::env::var("CI").is_err(), "{program} is not installed: tests/setup does that");
        if !there {
            println!("skipped: {program} is not installed");
        }
        there
    }

    /// Whether it is the launcher, however it is told to treat signals.
    fn is_launcher(self) -> bool {
        matches!(self, Subject::Launcher | Subject::LauncherGroup)
    }

    /// The program and what comes before its command.
    fn words(self) -> &'static [&'static str] {
        match self {
            Subject::Launcher => &[env!("CARGO_BIN_EXE_launcher"), "run"],
            Subject::LauncherGroup => &[env!("CARGO_BIN_EXE_launcher"), "run", "--signals-to", "group"],
            Subject::Tini => &["tini", "-s"],
            Subject::TiniGroup => &["tini", "-s", "-g"],
            Subject::DumbInit => &["dumb-init"],
            Subject::DumbInitSingle => &["dumb-init", "-c"],
            Subject::Catatonit => &["catatonit"],
            Subject::CatatonitGroup => &["catatonit", "-g"],
            Subject::Bare => &["env"],
        }
    }

    /// With which code it ends when it was asked to stop and its child ended by that signal: the launcher was obeyed,
    /// so it ends with 0 (DESIGN §2).
    pub fn code_when_stopped_by(self, signal: i32) -> i32 {
        if self.is_launcher() { 0 } else { 128 + signal }
    }

    /// Begins to set up a run of it.
    pub fn run(self) -> Setup {
        Setup::new(self)
    }
}

/// The scriptable child's executable. `cargo test` builds it; with a choice of tests cargo does not.
pub fn child() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_launcher")).with_file_name("examples").join("child");
    let age = |path: &std::path::Path| std::fs::metadata(path).and_then(|data| data.modified());
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/child");
    let sources = std::fs::read_dir(sources).unwrap().map(|entry| age(&entry.unwrap().path()).unwrap());
    let fresh = age(&path).is_ok_and(|built| sources.max().is_none_or(|changed| changed <= built));
    assert!(fresh, "{} is missing or old: `cargo build --example child` makes it", path.display());
    path
}

/// A run that is being set up.
pub struct Setup {
    pub(super) home: Home,
    subject: Subject,
    wrapper: Vec<OsString>,
    flags: Vec<OsString>,
    command: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    terminal: bool,
    job: bool,
    verb: Option<Vec<OsString>>,
    copies: bool,
}

/// Begins to set up a run of the launcher.
pub fn launcher() -> Setup {
    Subject::Launcher.run()
}

impl Setup {
    fn new(subject: Subject) -> Setup {
        Setup {
            home: Home::new(),
            subject,
            wrapper: Vec::new(),
            flags: Vec::new(),
            command: Vec::new(),
            variables: Vec::new(),
            terminal: false,
            job: false,
            verb: None,
            copies: false,
        }
    }

    /// The folder of this run.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Flags before the command.
    pub fn flags<S: AsRef<OsStr>>(mut self, flags: impl IntoIterator<Item = S>) -> Setup {
        self.flags.extend(flags.into_iter().map(|flag| flag.as_ref().to_owned()));
        self
    }

    /// What is executed instead of the subject, with the subject as its arguments.
    pub fn below<S: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = S>) -> Setup {
        self.wrapper = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
        self
    }

    /// As PID 1 of a pid namespace of its own.
    pub fn being_pid_1(self) -> Setup {
        if nix::unistd::geteuid().is_root() {
            self.below(["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"])
        } else {
            self.below(["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"])
        }
    }

    /// With copies of the launcher and of the child in a place that every user can reach.
    pub fn with_copies(mut self) -> Setup {
        // By another program: a file that this one had open to write would be in what its other threads fork, too, and
        // could not be executed until those have executed something themselves (ETXTBSY).
        let programs = [PathBuf::from(env!("CARGO_BIN_EXE_launcher")), child()];
        assert!(Command::new("cp").args(programs).arg(self.home.path()).status().unwrap().success());
        self.copies = true;
        self
    }

    /// As a user without any privilege.
    pub fn being_nobody(self) -> Setup {
        self.with_copies().below(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"])
    }

    /// A variable of the subject's environment.
    pub fn variable(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Setup {
        self.variables.push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    /// Its standard streams are a terminal, whose foreground it has.
    pub fn on_terminal(mut self) -> Setup {
        self.terminal = true;
        self
    }

    /// In a process group of its own, as a job of a shell. One whose processes nobody else of the session has started is
    /// not stopped by signals of job control: that is what this process may be in.
    pub fn being_a_job(mut self) -> Setup {
        self.job = true;
        self
    }

    /// The command it runs.
    pub fn command<S: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = S>) -> Running {
        self.command = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
        self.start()
    }

    /// The scriptable child as the command, with these steps.
    pub fn child<S: AsRef<str>>(self, steps: impl IntoIterator<Item = S>) -> Running {
        let steps = steps.into_iter().map(|step| step.as_ref().to_owned());
        let child = if self.copies { self.home.join("child") } else { child() };
        let words: Vec<String> = std::iter::once(child.display().to_string()).chain(steps).collect();
        self.command(words)
    }

    /// `launcher run -c launcher.toml`; `CHILD` in the text stands for the scriptable child.
    pub fn file(self, text: &str) -> Running {
        self.services_of(text, &[])
    }

    /// The same with the services that are named, and what they need.
    pub fn services_of(self, text: &str, names: &[&str]) -> Running {
        let file = self.home.write("launcher.toml", &self.home.settings(text));
        let words = ["run".into(), "-c".into(), file.into_os_string()];
        self.verb(words.into_iter().chain(names.iter().map(OsString::from)))
    }

    /// Another command of the launcher: `check`, `port` and so on, with all its arguments.
    pub fn verb<S: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = S>) -> Running {
        self.verb = Some(words.into_iter().map(|word| word.as_ref().to_owned()).collect());
        self.start()
    }

    /// All words of the command line.
    fn words(&self) -> Vec<OsString> {
        let mut words = self.wrapper.clone();
        let subject = self.subject.words();
        words.push(if self.copies { self.home.join("launcher").into() } else { subject[0].into() });
        if let Some(verb) = &self.verb {
            words.extend(verb.iter().cloned());
            return words;
        }
        words.extend(subject[1..].iter().map(OsString::from));
        if self.subject.is_launcher() {
            words.extend(["--report-dir".into(), self.home.join("reports").into()]);
        }
        words.extend(self.flags.iter().cloned());
        if self.subject != Subject::Bare {
            words.push("--".into());
        }
        words.extend(self.command.iter().cloned());
        words
    }

    fn start(self) -> Running {
        super::usual::signals_are_usual();
        let words = self.words();
        let token = format!("{}-{}", std::process::id(), number());
        let socket = self.home.join("said");
        let said = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
        let anyone = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&socket, anyone).unwrap();

        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(self.home.path());
        for name in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "PORT", "NO_COLOR"] {
            command.env_remove(name);
        }
        command.env(TOKEN, &token).env("LAUNCHER_TEST_SOCKET", &socket).env("XDG_STATE_HOME", self.home.join("state"));
        command.env("XDG_RUNTIME_DIR", self.home.runtime());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if self.job {
            command.process_group(0);
        }

        let mut streams = Streams::default();
        streams.add(Source::Said, said.into());
        let (process, input) = if self.terminal {
            super::running::start_on_terminal(command, &mut streams)
        } else {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut process = command.spawn().unwrap_or_else(|error| panic!("{words:?}: {error}"));
            streams.add(Source::Out, process.stdout.take().unwrap().into());
            streams.add(Source::Err, process.stderr.take().unwrap().into());
            let input = process.stdin.take().unwrap().into();
            (process, input)
        };
        Running::new(process, input, streams, self.home, &token)
    }
}
