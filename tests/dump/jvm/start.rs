//! Starts the victim in a JVM, in many ways.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use launcher::sys::dump;

use crate::victim::{Victim, source, until};

/// What a machine has that a test needs.
#[derive(Clone, Copy, PartialEq)]
pub enum Need {
    /// `javac` and `jstack`.
    Jdk,
    /// Root.
    Root,
    /// A Java of this name in the cache of tests/setup.
    Cached(&'static str),
}

/// Says why a test is skipped when something is missing; in CI nothing may be.
pub fn has(needs: &[Need]) -> bool {
    let missing = needs.iter().find_map(|need| match need {
        Need::Jdk if Command::new("javac").arg("-version").stderr(Stdio::null()).output().is_err() => {
            Some("a JDK, which tests/setup installs".to_owned())
        }
        Need::Root if !nix::unistd::geteuid().is_root() => Some("root".to_owned()),
        Need::Cached(path) if !cache().join(path).exists() => Some(format!("{path}, which tests/setup fetches")),
        _ => None,
    });
    if let Some(missing) = &missing {
        assert!(std::env::var("CI").is_err(), "needs {missing}");
        eprintln!("skipped: needs {missing}");
    }
    missing.is_none()
}

pub fn cache() -> PathBuf {
    let home = || Path::new(&std::env::var("HOME").unwrap_or_default()).join(".cache/launcher-tests");
    std::env::var("LAUNCHER_TEST_CACHE").map_or_else(|_| home(), PathBuf::from)
}

/// The victim's classes, compiled once for all.
pub fn classes() -> &'static [(String, Vec<u8>)] {
    static CLASSES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    CLASSES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let mut javac = Command::new("javac");
        javac.args(["--release", "8", "-nowarn", "-Xlint:-options", "-d"]).arg(folder.path());
        assert!(javac.arg(source("Shop.java")).status().unwrap().success());
        let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
        let class =
            |file: std::fs::DirEntry| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap());
        files.map(class).collect()
    })
}

/// Starts the victim by this shell command, in which `@` stands for the folder of its classes. It is ready when it says
/// so.
pub fn start(command: &str) -> Victim {
    start_in(&std::env::temp_dir(), command)
}

pub fn start_in(parent: &Path, command: &str) -> Victim {
    let mut victim = begin_in(parent, command);
    assert_eq!(victim.line(), "ready");
    victim
}

pub fn begin_in(parent: &Path, command: &str) -> Victim {
    let folder = tempfile::tempdir_in(parent).unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    for (name, bytes) in classes() {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command.replace('@', folder.path().to_str().unwrap()));
    Victim::spawn(shell, "java".into(), folder)
}

/// The JVM among the victim's processes.
pub fn jvm_of(victim: &Victim) -> i32 {
    let maps = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let found = dump::tree(victim.pid()).into_iter().find(|pid| maps(pid).contains("/libjvm.so"));
    found.expect("there is no JVM")
}

/// Waits until the thread that connects does so: the last that the victim starts.
pub fn until_connecting(pid: i32) {
    let connects = |tid: std::fs::DirEntry| {
        let call = std::fs::read_to_string(tid.path().join("syscall")).unwrap_or_default();
        let sends = std::fs::read_to_string(tid.path().join("wchan")).unwrap_or_default();
        let number = call.split(' ').next().unwrap_or_default().to_owned();
        // connect(2), or poll(2) for its end.
        number == "42" || (number == "7" && sends.contains("poll"))
    };
    until(|| std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().any(|tid| connects(tid.unwrap())));
}
