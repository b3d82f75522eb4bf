//! Services under the debugger of their language.

use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::support::*;

/// Where the debugger waits, as the launcher says it.
fn place(line: &str) -> String {
    let words = line.split(|c: char| c.is_whitespace() || matches!(c, '"' | ',' | '\\'));
    words.into_iter().find(|word| word.starts_with("127.0.0.1:")).unwrap_or_else(|| panic!("{line}")).to_owned()
}

/// A launcher of this service, which is to be run under its debugger, and the line that says how to look into it.
fn debugged(setup: Setup, service: &str) -> (Running, String) {
    let text = format!("[launcher]\nreport_dir = \"reports\"\nlog_level = \"debug\"\n{service}");
    setup.home().write("launcher.toml", &text);
    let mut run = setup.verb(["run", "--debug", "api"]);
    let line = run.err("waits for its debugger: ");
    (run, line)
}

/// Compiles a C program that says its argument, whether its sockets are for it, and its end.
fn program(setup: &Setup) {
    let text = r#"
        #include <stdio.h>
        #include <stdlib.h>
        #include <unistd.h>
        int main(int count, char **words) {
            const char *pid = getenv("LISTEN_PID");
            printf("up %s level=%s sockets %s\n", words[1], getenv("LEVEL"), pid && atoi(pid) == getpid() ? "mine" : "not mine");
            return 0;
        }"#;
    setup.home().write("api.c", text);
    let status = Command::new("cc").args(["-g", "-o", "api", "api.c"]).current_dir(setup.home().path()).status();
    assert!(status.unwrap().success());
}

#[test]
fn a_program_of_the_machine_waits_in_gdbserver_with_its_sockets_and_variables() {
    if !needs(&["gdb", "gdbserver", "cc"]) {
        return;
    }
    let setup = launcher();
    program(&setup);
    let service = format!(
        "[service.api]\ncommand = [\"./api\", \"a b $x\"]\nenvironment = {{ LEVEL = \"7\" }}\nready = \"exited\"\n\
         start_timeout = \"10ms\"\n[[service.api.port]]\nlisten = \"tcp://{}\"\nmode = \"pass\"\n",
        Address::new()
    );
    let (mut run, line) = debugged(setup, &service);
    run.err("Listening on port ");
    let at = place(&line);
    let target = format!("target remote {at}");
    let commands = ["set sysroot /", &target, "break main", "continue", "bt", "continue"];
    let gdb = std::iter::once("-batch").chain(commands.iter().flat_map(|command| ["-ex", command])).chain(["api"]);
    let looked = Command::new("timeout").args(["60", "gdb"]).args(gdb).current_dir(run.home().path()).output().unwrap();
    let text = String::from_utf8_lossy(&looked.stdout);
    assert!(text.contains("Breakpoint 1, main (count=2"), "{looked:?}");
    // No deadline has ended it, though there was one of 10 ms.
    run.out("up a b $x level=7 sockets mine");
    run.ends_with(0);
    run.leaves_nothing();
}

#[test]
fn a_python_waits_in_debugpy() {
    if !has_debugpy() {
        return;
    }
    let setup = launcher();
    setup.home().write("app.py", "import sys\nprint('up', sys.argv[1:], flush=True)\n");
    let service = "[service.api]\ncommand = [\"/usr/bin/python3\", \"app.py\", \"a b\"]\nready = \"exited\"\n";
    let (mut run, line) = debugged(setup, service);
    let place = place(&line);
    let mut client = connected(&mut run, &place);
    // A client of the Debug Adapter Protocol: it asks, and is told of what happens.
    for (number, request) in [
        r#""initialize","arguments":{"adapterID":"test"}"#,
        r#""attach","arguments":{"justMyCode":true}"#,
        r#""configurationDone""#,
    ]
    .into_iter()
    .enumerate()
    {
        let text = format!(r#"{{"seq":{},"type":"request","command":{request}}}"#, number + 1);
        client.write_all(format!("Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes()).unwrap();
        if number == 1 {
            heard(&mut client, "\"initialized\"");
        }
    }
    run.out("up ['a b']");
    run.ends_with(0);
    run.leaves_nothing();
}

#[test]
fn node_waits_in_its_inspector() {
    if !needs(&["node"]) {
        return;
    }
    let setup = launcher();
    setup.home().write("app.js", "console.log('up', process.argv.slice(2)); setInterval(() => {}, 1000)\n");
    let (mut run, line) =
        debugged(setup, "[service.api]\ncommand = [\"node\", \"app.js\", \"a b\"]\nready = \"started\"\n");
    run.err("Debugger listening on ws://");
    // What waits for ever would never be read to its end.
    let mut inspect = Command::new("timeout");
    inspect
        .args(["60", "node", "inspect", &place(&line)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut inspect = inspect.spawn().unwrap();
    heard(inspect.stdout.as_mut().unwrap(), "Break on start");
    inspect.stdin.as_mut().unwrap().write_all(b"cont\n").unwrap();
    run.out("up [ 'a b' ]");
    inspect.kill().unwrap();
    inspect.wait().unwrap();
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    run.leaves_nothing();
}

#[test]
fn java_waits_for_jdwp() {
    if !needs(&["java", "javac"]) {
        return;
    }
    let setup = launcher();
    setup.home().write(
        "App.java",
        "public class App { public static void main(String[] words) throws Exception { System.out.println(\"up \" + words[0]); \
         Thread.sleep(1000000); } }\n",
    );
    let compiled = Command::new("javac").arg("App.java").current_dir(setup.home().path()).status().unwrap();
    assert!(compiled.success());
    let (mut run, line) =
        debugged(setup, "[service.api]\ncommand = [\"java\", \"App\", \"a b\"]\nready = \"started\"\n");
    run.out("Listening for transport dt_socket at address: ");
    // As a debugger does: the handshake, then VirtualMachine.Resume.
    let mut debugger = connected(&mut run, &place(&line));
    let greeting = b"JDWP-Handshake";
    debugger.write_all(greeting).unwrap();
    let mut answer = [0; 14];
    debugger.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, greeting);
    // The machine suspends itself when it says that it has started (Event.Composite): what is resumed before stays suspended.
    let mut head = [0; 11];
    debugger.read_exact(&mut head).unwrap();
    assert_eq!(head[9..], [64, 100], "{head:?}");
    debugger.write_all(&[0, 0, 0, 11, 0, 0, 0, 1, 0, 1, 9]).unwrap();
    run.out("up a b");
    run.signal(Signal::SIGTERM);
    run.ended();
    run.leaves_nothing();
}

#[test]
fn a_program_of_go_waits_in_delve() {
    if !needs(&["go", "dlv"]) {
        return;
    }
    let setup = launcher();
    let text = "package main\nimport (\"fmt\"; \"os\")\nfunc main() { fmt.Println(\"up\", os.Args[1:], os.Getenv(\"LEVEL\")) }\n";
    setup.home().write("main.go", text);
    let mut go = Command::new("go");
    go.args(["build", "-gcflags=all=-N -l", "-o", "api", "main.go"]).current_dir(setup.home().path());
    let cache = std::env::var_os("GOCACHE").unwrap_or_else(|| std::env::temp_dir().join("launcher-go-cache").into());
    assert!(go.env("GOCACHE", cache).env("GO111MODULE", "off").status().unwrap().success());
    let service =
        "[service.api]\ncommand = [\"./api\", \"a b\"]\nenvironment = { LEVEL = \"7\" }\nready = \"exited\"\n";
    let (mut run, line) = debugged(setup, service);
    run.out("API server listening at: ");
    let init = run.home().write("init", "continue\nexit\n");
    // It ends by itself: the program ends as it goes on, and there is nobody to ask what is to become of the server.
    let mut client = Command::new("timeout");
    client.args(["60", "dlv", "connect", &place(&line), "--init"]).arg(init).stdin(Stdio::null());
    while !String::from_utf8_lossy(&client.output().unwrap().stdout).contains("has exited with status 0") {
        // The server looks for its client in /proc/net/tcp, where some are left out while others come and go: it hangs up on
        // those, and on no others.
        run.err("closing connection from different user");
    }
    run.out("up [a b] 7");
    run.signal(Signal::SIGTERM);
    run.ended();
    run.leaves_nothing();
}

#[test]
fn what_cannot_be_debugged_says_why_and_what_to_do() {
    let told = |command: &str, words: &[&str]| {
        let setup = launcher();
        setup.home().write("launcher.toml", &format!("[service.api]\ncommand = {command}\n"));
        let mut run = setup.variable("PATH", "/nowhere").verb(words);
        let ended = run.ended();
        (ended.code, ended.err.join("\n"))
    };
    let (code, text) = told("[\"/bin/sh\", \"-c\", \"exec ./api\"]", &["run", "--debug", "api"]);
    assert!(code == Some(126) && text.contains("api cannot be debugged: sh starts another program"), "{text}");
    let (code, text) = told("[\"/bin/cat\"]", &["run", "--debug", "api"]);
    assert!(code == Some(127) && text.contains("gdbserver, its debugger, is not on PATH\n  try install"), "{text}");
    let (code, text) = told("[\"/bin/cat\"]", &["run", "--debug", "web"]);
    assert!(code == Some(2) && text.contains("--debug: unknown service \"web\""), "{text}");
    let (code, text) = told("[\"./nothing\"]", &["run", "--debug", "api"]);
    assert!(code == Some(127) && text.contains("api cannot be debugged: "), "{text}");
    let (code, text) = told("[\"/bin/cat\"]", &["verify", "--debug", "api"]);
    assert!(code == Some(2) && text.contains("launcher run --debug"), "{text}");
}

fn has_debugpy() -> bool {
    let status = Command::new("/usr/bin/python3").args(["-c", "import debugpy"]).stderr(Stdio::null()).status();
    let there = status.is_ok_and(|status| status.success());
    assert!(there || std::env::var("CI").is_err(), "debugpy is not installed: tests/setup does that");
    there
}

/// A connection, as soon as somebody listens there.
#[track_caller]
fn connected(run: &mut Running, place: &str) -> TcpStream {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect(place) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return stream;
            }
            Err(_) if std::time::Instant::now() < deadline && !run.has_ended() => std::thread::yield_now(),
            Err(error) => panic!("{place}: {error}; there was\n{}", run.show()),
        }
    }
}

/// Reads until this was heard.
#[track_caller]
fn heard(stream: &mut impl Read, text: &str) {
    let (mut all, mut byte) = (Vec::new(), [0; 1]);
    while !String::from_utf8_lossy(&all).contains(text) {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&all));
        all.push(byte[0]);
    }
}
