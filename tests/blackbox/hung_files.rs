//! Files behind which somebody is who does not answer: a FIFO, a file system.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::support::*;

#[test]
fn an_environment_file_that_is_no_file_is_refused_at_once() {
    let setup = launcher();
    let fifo = setup.home().fifo("fifo").display().to_string();
    let ended = setup.flags(["--env-file", &fifo]).child(["exit 0"]).ends_with(71);
    assert!(ended.complains("fifo") && ended.complains("a FIFO or a pipe"), "{:?}", ended.err);
    let ended = launcher().flags(["--env-file", "/dev/zero"]).child(["exit 0"]).ends_with(71);
    assert!(ended.complains("/dev/zero") && ended.complains("a device"), "{:?}", ended.err);
}

#[test]
fn a_variable_of_the_launchers_own_in_an_environment_file_is_refused() {
    let setup = launcher();
    let file = setup.home().write(".env", "A=1\nLISTEN_FDS=3\n").display().to_string();
    let ended = setup.flags(["--env-file", &file]).child(["exit 0"]).ends_with(71);
    assert!(ended.complains("LISTEN_FDS is set by launcher itself"), "{:?}", ended.err);
}

/// A file system whose server never answers: /dev/fuse, opened and not read. It is unmounted before its folder is
/// removed, and lies in no folder that anything else would look through.
struct Hung {
    _server: File,
    folder: tempfile::TempDir,
}

impl Hung {
    /// Mounts it; `None`, with a word, where that is not permitted.
    fn mount() -> Option<Hung> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = File::options().read(true).write(true).open("/dev/fuse").and_then(|server| {
            let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
            mount(Some("hung"), folder.path(), Some("fuse"), MsFlags::empty(), Some(options.as_str()))?;
            Ok(server)
        });
        match mounted {
            Ok(server) => Some(Hung { _server: server, folder }),
            Err(problem) => {
                println!("skipped: no FUSE file system can be mounted here: {problem}");
                None
            }
        }
    }

    /// A path in it.
    fn path(&self) -> String {
        self.folder.path().join("x").display().to_string()
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        let _ = umount2(self.folder.path(), MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_file_system_that_does_not_answer_does_not_hold_up_a_stop() {
    if let Some(hung) = Hung::mount() {
        let mut run = launcher().flags(["--env-file", &hung.path(), "--log-level", "debug"]).child(["exit 0"]);
        run.err("is being checked");
        run.signal(Signal::SIGTERM);
        run.ends_with(0);
        run.leaves_nothing();
    }
}

#[test]
fn a_file_system_that_does_not_answer_is_told_at_the_start_deadline() {
    for what in ["env-file", "directory", "command"] {
        if let Some(hung) = Hung::mount() {
            let setup = launcher().flags(["--start-timeout", "300ms", "--name", "child"]);
            let mut run = match what {
                "command" => setup.command([hung.path()]),
                flag => setup.flags([format!("--{flag}"), hung.path()]).child(["exit 0"]),
            };
            let ended = run.ends_with(71);
            assert!(ended.complains("a file system does not answer"), "{what}: {:?}", ended.err);
        }
    }
}

/// One that hangs is enough: the next attempt does not begin another look beside it.
#[test]
fn a_file_system_that_does_not_answer_is_not_asked_twice_at_once() {
    let flags = ["--start-timeout", "200ms", "--restart", "on-failure", "--backoff", "0ms..0ms", "--max-failures", "3"];
    if let Some(hung) = Hung::mount() {
        let begun = std::time::Instant::now();
        let mut run = launcher().flags(flags).flags(["--env-file", &hung.path()]).child(["exit 0"]);
        run.ends_with(71);
        assert!(begun.elapsed() >= std::time::Duration::from_millis(200));
        assert_eq!(run.reports("child").len(), 3);
    }
}
