//! `launcher init`: a first launcher.toml from what is there.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::*;

/// `launcher` with these words in this folder, without anything of a service.
fn in_folder(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_launcher"));
    command.current_dir(folder).args(words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_is_written_runs_and_is_not_overwritten() {
    let home = launcher();
    let home = home.home();
    home.write("Procfile", "web: sh -c 'echo \"port $PORT\"'\n");
    let done = in_folder(home.path(), &["init"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("launcher.toml was written from Procfile: web"), "{}", text(&done.stderr));
    let written = std::fs::read_to_string(home.join("launcher.toml")).unwrap();
    assert!(written.contains("# ") && written.contains("listen = \"tcp://0.0.0.0:5000\""), "{written}");
    let checked = in_folder(home.path(), &["check", "--offline"]);
    assert_ne!(checked.status.code(), Some(78), "{}", text(&checked.stderr));

    home.write("launcher.toml", "mine");
    let again = in_folder(home.path(), &["init"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("--force"), "{}", text(&again.stderr));
    assert_eq!(std::fs::read_to_string(home.join("launcher.toml")).unwrap(), "mine");
    assert!(in_folder(home.path(), &["init", "--force"]).status.success());
    assert_eq!(std::fs::read_to_string(home.join("launcher.toml")).unwrap(), written);
}

#[test]
fn a_source_may_be_named_and_the_text_go_to_stdout() {
    let home = launcher();
    let home = home.home();
    home.write("Dockerfile.api", "FROM debian\nEXPOSE 8080\nSTOPSIGNAL SIGINT\nENTRYPOINT [\"/srv/api\", \"serve\"]\n");
    home.write("compose.yaml", "services:\n  api:\n    build: { context: ., dockerfile: Dockerfile.api }\n");
    for words in [&["init", "Dockerfile.api", "-o", "-"][..], &["init", "--output", "-"]] {
        let done = in_folder(home.path(), words);
        let written = text(&done.stdout);
        assert!(done.status.success(), "{}", text(&done.stderr));
        for part in ["command = [\"/srv/api\", \"serve\"]", "stop_signal = \"INT\"", "tcp://0.0.0.0:8080"] {
            assert!(written.contains(part), "{part} in {written}");
        }
    }
    assert!(!home.join("launcher.toml").exists());
    let done = in_folder(home.path(), &["init", "-o", "-", "--", "./api", "--port", "81"]);
    assert!(text(&done.stdout).contains("tcp://0.0.0.0:81"), "{}", text(&done.stdout));
}

#[test]
fn what_cannot_be_used_is_refused_with_its_reason() {
    let home = launcher();
    let home = home.home();
    let refused = |words: &[&str], code: i32, part: &str| {
        let done = in_folder(home.path(), words);
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{words:?} {said}");
        assert!(said.contains(part) && said.contains("help: "), "{words:?} {part}: {said}");
    };
    refused(&["init"], 2, "nothing to go from");
    refused(&["init", "README"], 2, "cannot be seen from its name");
    refused(&["init", "Procfile"], 71, "cannot be read");
    refused(&["init", "Procfile", "--", "true"], 2, "do not go together");
    home.write("Procfile", "web: true\n");
    refused(&["init", "-o", "-", "--", ""], 2, "there is no command after --");
    refused(&["init", "-o", "-", "--"], 2, "there is no command after --");
    let odd = std::os::unix::ffi::OsStrExt::from_bytes(b"a\xffb");
    let done = Command::new(env!("CARGO_BIN_EXE_launcher"))
        .current_dir(home.path())
        .args(["init", "-o", "-", "--", "./p"])
        .arg::<&std::ffi::OsStr>(odd)
        .output()
        .unwrap();
    assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(2), ""));
    assert!(text(&done.stderr).contains("\"a\\xFFb\" is not UTF-8"), "{}", text(&done.stderr));
    std::fs::remove_file(home.join("Procfile")).unwrap();
    home.write("Dockerfile", "FROM nginx\n");
    refused(&["init"], 78, "no ENTRYPOINT and no CMD");
    refused(&["init", "--output", "no/such/folder/x.toml", "--", "true"], 71, "cannot be written");
}
