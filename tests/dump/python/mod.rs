//! CPython: what is read from outside against what the interpreter itself says.

mod states;
mod tasks;
mod threads;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use launcher::core::facts::{Frame, ProcessFacts, ThreadFacts};
use launcher::sys::dump::{self, Options};

use crate::victim::{Victim, options, source};

/// An interpreter to test with.
struct Python {
    /// `3.11`.
    version: String,
    /// The root folder it runs in, when it comes from another release of the system.
    root: Option<PathBuf>,
    program: PathBuf,
}

impl Python {
    fn minor(&self) -> u32 {
        self.version.split('.').nth(1).unwrap().parse().unwrap()
    }

    /// The command that runs a victim; files it writes go into `folder`.
    fn command(&self, victim: &str, folder: &Path) -> Command {
        let path = folder.join(victim);
        std::fs::copy(source(victim), &path).unwrap();
        match &self.root {
            None => {
                let mut command = Command::new(&self.program);
                command.arg(path);
                command
            }
            Some(root) => {
                let mut command = Command::new("chroot");
                command.arg(root).arg(&self.program).arg(self.inside(&path));
                command
            }
        }
    }

    /// A path as the interpreter sees it.
    fn inside(&self, path: &Path) -> PathBuf {
        match &self.root {
            Some(root) => Path::new("/").join(path.strip_prefix(root).unwrap()),
            None => path.to_owned(),
        }
    }

    /// A folder that it can reach.
    fn folder(&self) -> tempfile::TempDir {
        match &self.root {
            Some(root) => tempfile::tempdir_in(root.join("tmp")).unwrap(),
            None => tempfile::tempdir().unwrap(),
        }
    }
}

/// The interpreters of this machine, one of each minor version: the system's, those of pyenv, and those that tests/setup
/// has unpacked.
fn pythons() -> Vec<Python> {
    let mut found: BTreeMap<u32, Python> = BTreeMap::new();
    let mut add = |program: PathBuf, root: Option<PathBuf>| {
        let name = program.file_name().unwrap().to_string_lossy().into_owned();
        let Some(version) = name.strip_prefix("python").map(str::to_owned) else { return };
        let python = Python { version, root, program };
        let known = python.version.strip_prefix("3.").and_then(|minor| minor.parse().ok());
        if known.is_some_and(|minor: u32| minor >= 8) {
            found.entry(python.minor()).or_insert(python);
        }
    };
    let named = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        paths
    };
    for program in named("/usr/bin".into()) {
        add(program, None);
    }
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    for folder in named(home.join(".pyenv/versions")) {
        for program in named(folder.join("bin")) {
            add(program, None);
        }
    }
    let cache = std::env::var_os("LAUNCHER_TEST_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| home.join(".cache/launcher-tests"));
    if nix::unistd::geteuid().is_root() {
        let hidden = |root: &PathBuf| root.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        for root in named(cache.join("python")).into_iter().filter(|root| !hidden(root)) {
            for program in named(root.join("usr/bin")) {
                add(Path::new("/").join(program.strip_prefix(&root).unwrap()), Some(root.clone()));
            }
        }
    }
    if found.is_empty() {
        assert!(std::env::var("CI").is_err(), "needs a CPython, which tests/setup installs");
        eprintln!("skipped: needs a CPython");
    }
    found.into_values().collect()
}

/// A running victim in its folder.
struct Running {
    victim: Victim,
    folder: tempfile::TempDir,
}

impl Running {
    /// Starts it; it writes to the file `told`.
    fn start(python: &Python, victim: &str) -> Running {
        Running::start_with(python, victim, &[])
    }

    fn start_with(python: &Python, victim: &str, arguments: &[&str]) -> Running {
        Running::start_below(&[], python, victim, arguments)
    }

    /// The same, by a command that runs its arguments.
    fn start_below(below: &[&str], python: &Python, victim: &str, arguments: &[&str]) -> Running {
        let folder = python.folder();
        let plain = python.command(victim, folder.path());
        let mut command = match below {
            [] => plain,
            [program, words @ ..] => {
                let mut command = Command::new(program);
                command.args(words).arg(plain.get_program()).args(plain.get_args());
                command
            }
        };
        command.arg(python.inside(&folder.path().join("told"))).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
        Running { victim: Victim::by(command), folder }
    }

    /// Waits until it says that it is ready and `count` of its threads are blocked.
    fn ready(mut self, count: usize) -> Running {
        self.victim = self.victim.ready(count);
        self
    }

    fn pid(&self) -> i32 {
        self.victim.pid()
    }
}

fn told(thread: &ThreadFacts) -> impl Iterator<Item = &Frame> {
    thread.frames.iter().filter(|frame| frame.language.as_deref() == Some("python"))
}

/// The process, dumped without names for its native frames (symbols of an interpreter take longest), and with time for a
/// machine that has other things to do.
fn read(pid: i32) -> ProcessFacts {
    let mut processes =
        dump::dump(&[pid], &Options { symbolise: false, deadline: Duration::from_secs(10), ..options() });
    assert_eq!(processes.len(), 1);
    processes.remove(0)
}

/// The functions that the runtime told of a thread.
fn python_functions(thread: &ThreadFacts) -> Vec<&str> {
    told(thread).filter_map(|frame| frame.function.as_deref()).collect()
}

/// A name without its classes and functions around it, as interpreters before 3.11 have it.
fn plain(name: &str) -> &str {
    name.rsplit('.').next().unwrap()
}
