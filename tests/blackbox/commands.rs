//! The other commands, and the launcher's own lines.

use std::net::TcpListener;

use crate::support::*;

#[test]
fn run_can_be_left_out() {
    launcher().verb(["--", "sh", "-c", "exit 12"]).ends_with(12);
}

#[test]
fn help_and_version() {
    for word in ["--help", "--version"] {
        let ended = launcher().verb([word]).ends_with(0);
        assert!(ended.out.join("\n").contains("launcher"), "{:?}", ended.out);
    }
}

#[test]
fn completions_and_the_man_page_are_made() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = launcher().verb(["completions", shell]).ends_with(0);
        assert!(ended.out.join("\n").contains("start-timeout"), "{shell}");
    }
    let ended = launcher().verb(["man"]).ends_with(0);
    assert!(ended.out.join("\n").contains(".TH launcher"), "{:?}", ended.out.first());
}

/// What cannot be written is told with its error; a reader that has seen enough is no fault.
#[test]
fn output_that_cannot_be_written_is_told_and_a_closed_pipe_is_not() {
    let setup = launcher();
    let text = "log_level = \"debug\"\n[service.api]\ncommand = [\"CHILD\", \"print one\", \"notify READY=1\", \"wait\"]\nready = \"notify\"\n\
                [service.b]\ncommand = [\"CHILD\", \"print two\", \"notify READY=1\", \"wait\"]\nready = \"notify\"\n";
    let mut running = setup.file(text);
    running.err_ever("api is ready");
    running.err_ever("b is ready");
    running.control_socket();
    for words in [
        "completions bash",
        "completions zsh",
        "man",
        "--help",
        "status --help",
        "--version",
        "check --json -- true",
        "port 1",
        "port 1 --json",
        "init -o - -- x",
        "status",
        "status --json api",
        "logs",
        "logs api",
        "dump api",
        "dump api --json",
        "reload",
        "signal WINCH",
    ] {
        let told = |stdout: std::process::Stdio| {
            let words: Vec<&str> = words.split(' ').collect();
            let mut command = running.command_as(env!("CARGO_BIN_EXE_launcher"), &words);
            let output = command.stdout(stdout).stderr(std::process::Stdio::piped()).spawn().unwrap();
            let output = output.wait_with_output().unwrap();
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let expected = "launcher: stdout could not be written: ENOSPC (no space left)\n";
        assert_eq!(told(full.into()), (Some(125), expected.to_owned()), "{words} > /dev/full");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(told(writer.into()), (Some(0), String::new()), "{words} | true");
    }
}

#[test]
fn check_tells_every_finding_not_the_first() {
    let (first, second) = (Address::new(), Address::new());
    let _holders = [TcpListener::bind(first.0).unwrap(), TcpListener::bind(second.0).unwrap()];
    let text = format!(
        "[service.a]\ncommand = [\"/no/such/program\"]\n[[service.a.port]]\nname = \"one\"\nlisten = \"tcp://{first}\"\n\
         [[service.a.port]]\nname = \"two\"\nlisten = \"tcp://{second}\"\n"
    );
    let setup = launcher();
    let file = setup.home().write("launcher.toml", &text);
    let ended = setup.verb(["check", "-c", &file.display().to_string()]).ended();
    assert!(matches!(ended.code, Some(71 | 127)), "{:?}", ended.code);
    let shown = format!("{}\n{}", ended.out.join("\n"), ended.err.join("\n"));
    for part in ["/no/such/program", &first.to_string(), &second.to_string()] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
}

#[test]
fn check_of_a_command_that_can_start_gives_0_and_starts_nothing() {
    let setup = launcher();
    let path = setup.home().join("touched");
    setup.verb(["check", "--", "touch", &path.display().to_string()]).ends_with(0);
    assert!(!path.exists());
    launcher().verb(["check", "--", "no-such-command-anywhere"]).ends_with(127);
}

#[test]
fn check_looks_at_the_user_and_the_environment_files_too() {
    let words = ["check", "--user", "no-such-user", "--env-file", "/no/such.env", "--", "no-such-command-anywhere"];
    let ended = launcher().verb(words).ends_with(71);
    for part in ["no-such-user", "/no/such.env", "no-such-command-anywhere"] {
        assert!(ended.complains(part), "{part} in {:#?}", ended.err);
    }
}

#[test]
fn notify_speaks_for_a_shell_script() {
    let script = format!("{} notify READY=1 STATUS='all is well' && exec sleep 1000", env!("CARGO_BIN_EXE_launcher"));
    let mut run = launcher().flags(["--ready", "notify", "--name", "script"]).command(["sh", "-c", &script]);
    run.err("all is well");
    run.is_ready("script");
}

#[test]
fn notify_without_a_socket_says_so() {
    let ended = launcher().verb(["notify", "READY=1"]).ended();
    assert_ne!(ended.code, Some(0));
    assert!(ended.complains("NOTIFY_SOCKET"), "{:?}", ended.err);
}

#[test]
fn report_shows_the_last_one_as_text() {
    let setup = launcher().flags(["--ready", "notify", "--start-timeout", "1s"]);
    let fifo = setup.home().fifo("input").display().to_string();
    let mut run = setup.child([format!("read-file {fifo}")]);
    run.ends_with(124);
    let folder = run.home().join("reports").display().to_string();
    for words in [&["report", "--report-dir", &folder, "child"][..], &["report", "--report-dir", &folder]] {
        let ended = launcher().verb(words).ends_with(0);
        let shown = ended.out.join("\n");
        assert!(shown.contains(&fifo) && shown.contains("start-timeout"), "{shown}");
    }
    let ended = launcher().verb(["report", "--report-dir", &folder, "nobody"]).ended();
    assert_ne!(ended.code, Some(0));
}

/// A launcher that has failed to start a service still runs another: it is asked where its reports are.
#[test]
fn report_goes_to_the_running_launcher() {
    let setup = launcher();
    let text = "[launcher]\nname = \"rp\"\nreport_dir = \"reps\"\nlog_level = \"debug\"\n\
                [service.f]\ncommand = [\"sh\", \"-c\", \"exit 3\"]\nready = \"notify\"\non_failure = \"keep\"\n\
                restart.policy = \"never\"\n\
                [service.up]\ncommand = [\"sleep\", \"1000\"]\nready = \"started\"\n";
    setup.home().write("r.toml", text);
    let mut running = setup.verb(["run", "-c", "r.toml"]);
    running.err_ever("f has failed");
    let socket = running.control_socket().display().to_string();
    let latest = running.home().join("reps/f/latest.json");
    until("there is a report", || latest.exists());
    for words in [&["f"][..], &[], &["--name", "rp", "f"], &["--control", &socket, "f"], &["--report-dir", "reps"]] {
        let told = running.command(&[&["report"], words].concat());
        assert!(told.code == Some(0) && told.out.contains("exited with code 3"), "{words:?}: {told:?}");
        assert_eq!(told.err, "", "{words:?}");
    }
    let told = running.command(&["report", "--name", "rp", "up"]);
    assert!(told.code == Some(71) && told.err.contains("/reps; there are reports of f"), "{told:?}");
    let told = running.command(&["report", "--name", "nobody", "f"]);
    assert!(told.code == Some(71) && told.err.contains("no launcher of the name \"nobody\" runs"), "{told:?}");
    assert_eq!(running.command(&["report", "--name", "rp", "--report-dir", "reps"]).code, Some(2));
}

/// After a start that has failed there is no launcher to ask: its file says where reports are.
#[test]
fn report_looks_where_launcher_toml_says_and_then_in_the_state_directory() {
    let setup = launcher();
    let text = "[launcher]\nreport_dir = \"reps\"\n\
                [service.f]\ncommand = [\"sh\", \"-c\", \"exit 3\"]\nready = \"notify\"\nrestart.policy = \"never\"\n";
    setup.home().write("launcher.toml", text);
    let mut run = setup.verb(["run"]);
    run.ends_with(3);
    let told = run.command(&["report", "f"]);
    assert!(told.code == Some(0) && told.out.contains("exited with code 3") && told.err.is_empty(), "{told:?}");
    // A command that was run from the same folder has its reports elsewhere.
    assert_eq!(run.command(&["run", "--ready", "notify", "--", "false"]).code, Some(1));
    let told = run.command(&["report", "false"]);
    assert!(told.code == Some(0) && told.out.contains("false exited with code 1"), "{told:?}");
    assert!(told.err.starts_with("launcher: there is none in reps: this one is in "), "{told:?}");
    assert!(run.command(&["report"]).out.contains("exited with code 3"));
    run.home().write("launcher.toml", "[service.");
    let told = run.command(&["report", "f"]);
    assert!(told.code == Some(71) && told.err.contains("also: launcher.toml is wrong"), "{told:?}");
}

#[test]
fn reports_go_to_the_state_directory_of_the_user_by_default() {
    let mut run = launcher().verb(["run", "--ready", "notify", "--", "false"]);
    run.ends_with(1);
    let state = run.home().join("state");
    let found = std::process::Command::new("find").arg(&state).args(["-name", "latest.json"]).output().unwrap();
    assert!(String::from_utf8_lossy(&found.stdout).contains("false/latest.json"), "{found:?}");
}

#[test]
fn its_own_lines_are_json_where_there_is_no_terminal() {
    let flags = ["--ready", "notify", "--restart", "on-failure", "--max-failures", "2", "--backoff", "1ms..1ms"];
    let ended = launcher().flags(flags).child(["exit 1"]).ends_with(1);
    assert!(ended.out.is_empty(), "standard output is the child's: {:?}", ended.out);
    assert!(!ended.err.is_empty());
    for line in &ended.err {
        let json: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(json.get("level").is_some() && json.get("time").is_some(), "{line}");
    }
}

#[test]
fn its_own_lines_are_text_where_that_is_asked_for() {
    let flags = ["--log-format", "text", "--ready", "notify"];
    let ended = launcher().flags(flags).child(["exit 1"]).ends_with(1);
    assert!(!ended.err.is_empty());
    assert!(ended.err.iter().all(|line| !line.starts_with('{')), "{:?}", ended.err);
}

#[test]
fn a_level_can_be_chosen() {
    let ended = launcher().flags(["--log-level", "error"]).child(["exit 0"]).ends_with(0);
    assert!(ended.err.is_empty(), "{:?}", ended.err);
}

#[test]
fn a_file_is_found_in_the_folder() {
    let setup = launcher();
    let text = "[service.a]\ncommand = [\"CHILD\", \"say found\", \"exit 0\"]\nready = \"exited\"\n";
    setup.home().write("launcher.toml", &setup.home().settings(text));
    let mut run = setup.verb(["run"]);
    run.said("found");
}

/// The example in the repository is whole and right, and stays so.
#[test]
fn the_example_configuration_is_accepted() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/launcher.toml.example");
    let ended = launcher().verb(["check", "-c", file]).ended();
    assert_ne!(ended.code, Some(78), "{:#?}", ended.err);
}
