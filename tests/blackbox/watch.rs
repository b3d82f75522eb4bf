//! Files that are watched while services are developed.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::*;

/// A service that says its generation, in a folder with a `src` that is watched.
fn watched(keys: &str) -> Running {
    let setup = launcher();
    std::fs::create_dir(setup.home().join("src")).unwrap();
    setup.file(&format!(
        r#"[service.api]
        command = ["CHILD", "on HUP print again", "say up {{generation}}", "wait"]
        ready = "started"
        watch = ["src/**", ".env"]
        {keys}
        "#
    ))
}

/// Writes a file until something comes of it: the folder is watched from a moment after the start on.
#[track_caller]
fn change(run: &mut Running, name: &str, text: &str) {
    for _ in 0..100 {
        std::fs::write(run.home().join(name), "changed").unwrap();
        if run.says_within(text, std::time::Duration::from_millis(300)) {
            return;
        }
    }
    panic!("{text:?} never came; there was\n{}", run.show());
}

#[test]
fn a_change_restarts_and_says_which_file() {
    let mut run = watched("");
    run.said("up 1");
    change(&mut run, "src/main.rs", "up 2");
    run.err("src/main.rs changed: api is restarted");
    change(&mut run, ".env", "up 3");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    run.leaves_nothing();
}

#[test]
fn a_signal_can_be_sent_instead() {
    let mut run = watched("on_change = { signal = \"HUP\" }");
    run.said("up 1");
    for _ in 0..100 {
        std::fs::write(run.home().join("src/main.rs"), "changed").unwrap();
        if run.errs_within("src/main.rs changed: api is sent SIGHUP", std::time::Duration::from_millis(300)) {
            break;
        }
    }
    run.out("again");
    assert!(!run.says_within("up 2", std::time::Duration::ZERO));
}

#[test]
fn a_command_is_run_and_only_its_success_restarts() {
    let mut run = watched(
        "on_change = { exec = [\"sh\", \"-c\", \"echo building; test -e good || { echo no good >&2; exit 3; }\"] }",
    );
    run.said("up 1");
    for _ in 0..100 {
        std::fs::write(run.home().join("src/main.rs"), "bad").unwrap();
        if run.errs_within("sh ended with exit code 3: api stays as it is", std::time::Duration::from_millis(300)) {
            break;
        }
    }
    run.out("building");
    std::fs::write(run.home().join("good"), "").unwrap();
    change(&mut run, "src/main.rs", "up 2");
    run.err("is done: api is restarted");
}

#[test]
fn a_service_that_has_failed_for_good_waits_for_a_change_and_brings_back_what_was_stopped() {
    let setup = launcher();
    std::fs::create_dir(setup.home().join("src")).unwrap();
    let mut run = setup.file(
        r#"[service.db]
        command = ["CHILD", "generation 1", "exit 3", "end", "say db up", "notify READY=1", "wait"]
        ready = "notify"
        watch = ["src"]
        restart.policy = "never"
        [service.api]
        command = ["CHILD", "say api up", "wait"]
        ready = "started"
        after = ["db"]
        "#,
    );
    run.err("db is started again when its files change");
    change(&mut run, "src/main.rs", "db up");
    run.said("api up");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
}

#[test]
fn a_request_waits_while_the_service_is_restarted() {
    let setup = launcher();
    let home = setup.home().path().to_owned();
    setup.home().fifo("gate");
    std::fs::create_dir(home.join("src")).unwrap();
    let address = Address::new();
    let mut run = setup.file(&format!(
        r#"[service.web]
        command = ["sh", "-c", "if [ $LAUNCHER_GENERATION != 1 ]; then read -r line <gate; fi; exec python3 serve.py"]
        watch = ["src"]
        [[service.web.port]]
        listen = "tcp://{address}"
        mode = "pass"
        "#
    ));
    std::fs::write(
        home.join("serve.py"),
        "import socket\ns = socket.socket(fileno=3)\nprint('serving', flush=True)\nwhile True:\n    c, _ = s.accept()\n    \
         c.sendall(b'hello')\n    c.close()\n",
    )
    .unwrap();
    run.err("web\",\"event\":\"ready\"");
    for _ in 0..100 {
        std::fs::write(home.join("src/a"), "x").unwrap();
        if run.errs_within("src/a changed: web is restarted", std::time::Duration::from_millis(300)) {
            break;
        }
    }
    // The old generation is gone and the new one stands at its gate: nobody accepts, and nobody refuses.
    run.err("\"event\":\"starting\",\"generation\":2");
    let mut client = TcpStream::connect(address.to_string()).unwrap();
    // One more change may have come, and one more generation with it: each finds the gate open, for as long as this is.
    let mut gate = std::fs::File::options().read(true).write(true).open(home.join("gate")).unwrap();
    gate.write_all(&[b'\n'; 1000]).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "hello");
}
