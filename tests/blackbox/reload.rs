//! launcher.toml is changed while its services run.

use crate::support::http::Told;
use crate::support::*;

/// A launcher with these services, whose control socket is open.
fn running(services: &str) -> Running {
    let mut running = launcher().file(&format!("log_level = \"debug\"\n{services}"));
    running.control_socket();
    running
}

/// Writes the file anew, whole at once as editors do.
fn write(run: &Running, text: &str) {
    let text = run.home().settings(&format!("log_level = \"debug\"\n{text}"));
    run.home().write("launcher.toml.new", &text);
    std::fs::rename(run.home().join("launcher.toml.new"), run.home().join("launcher.toml")).unwrap();
}

fn service(name: &str, keys: &str) -> String {
    format!(
        "[service.{name}]\ncommand = [\"CHILD\", \"say {name} {{generation}}\", \"notify READY=1\", \"wait\"]\n\
         ready = \"notify\"\n{keys}\n"
    )
}

#[track_caller]
fn reloaded(told: &Told, lines: &[&str]) {
    assert!(told.code == Some(0) && told.err.is_empty(), "{told:?}");
    for line in lines {
        assert!(told.out.contains(line), "{line:?} in {told:?}");
    }
}

#[test]
fn services_come_and_go_and_only_what_has_changed_is_restarted() {
    let mut run =
        running(&format!("{}{}{}", service("db", ""), service("api", "after = [\"db\"]"), service("old", "")));
    for ready in ["db is ready", "api is ready", "old is ready"] {
        run.err_ever(ready);
    }
    let api = service("api", "after = [\"db\", \"new\"]\nenvironment = { LEVEL = \"secret-7\" }");
    write(&run, &format!("{}{api}{}", service("db", "stop_timeout = \"1s\""), service("new", "")));
    let told = run.command(&["reload"]);
    let lines = [
        "launcher.toml was read again: 1 service added, 1 removed, 2 changed\n",
        "  - old\n",
        "  + new\n",
        "  ~ db: stop_timeout (what runs goes on)\n",
        "  ~ api: after, environment.LEVEL\n",
        "\nold has stopped\n",
        "\nnew is ready after ",
        "\napi is ready after ",
    ];
    reloaded(&told, &lines);
    assert!(!told.out.contains("secret-7") && !run.show().contains("secret-7"), "{told:?}");
    run.said("api 2");
    run.err_ever("launcher.toml was read again: 1 service added, 1 removed, 2 changed");
    let status = run.command(&["status"]).out;
    assert!(!status.contains("old ") && status.contains("new "), "{status}");
    let status: serde_json::Value = serde_json::from_str(&run.command(&["status", "--json"]).out).unwrap();
    let of = |name: &str| {
        let all = status["services"].as_array().unwrap();
        all.iter().find(|service| service["name"] == name).map(|service| service["generation"].as_u64().unwrap())
    };
    assert_eq!([of("db"), of("api"), of("new"), of("old")], [Some(1), Some(2), Some(1), None]);
    // Back again, and its generations count on.
    write(&run, &format!("{}{}", service("old", ""), service("api", "")));
    reloaded(&run.command(&["reload"]), &["1 service added, 2 removed, 1 changed"]);
    run.said("old 2");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    run.leaves_nothing();
}

#[test]
fn a_wrong_file_changes_nothing_and_all_its_errors_are_shown() {
    let mut run = running(&service("api", ""));
    run.err_ever("api is ready");
    write(&run, "[service.api]\ncomand = [\"true\"]\nstop_timeout = \"soon\"\n[service.b]\ncommand = []\n");
    let told = run.command(&["reload"]);
    assert_eq!((told.code, told.out.as_str()), (Some(78), ""), "{told:?}");
    for text in
        ["unknown key \"comand\", did you mean \"command\"?", "stop_timeout = \"soon\"", "^^^", "nothing was changed"]
    {
        assert!(told.err.contains(text), "{text:?} in {}", told.err);
    }
    run.err_ever(&format!("\"{} is not taken over", run.home().join("launcher.toml").display()));
    write(&run, &format!("{}{}", service("api", "after = [\"b\"]"), service("b", "after = [\"api\"]")));
    let told = run.command(&["reload"]);
    assert!(told.code == Some(78) && told.err.contains("wait for each other"), "{told:?}");
    std::fs::remove_file(run.home().join("launcher.toml")).unwrap();
    let told = run.command(&["reload"]);
    assert!(told.code == Some(78) && told.err.contains("there is no such file"), "{told:?}");
    assert!(run.command(&["status", "api"]).out.starts_with("api: ready"), "it goes on");
    write(&run, &service("api", ""));
    reloaded(&run.command(&["reload"]), &["launcher.toml was read again: nothing has changed\n"]);
    assert!(!run.says_within("api 2", std::time::Duration::ZERO));
}

#[test]
fn what_goes_on_is_stopped_as_it_is_set_by_then_and_told_so() {
    let api = |stop_timeout: &str| {
        let more = format!("ready = \"notify\"\nstop_timeout = \"{stop_timeout}\"\n");
        format!("[service.api]\ncommand = [\"CHILD\", \"on TERM ignore\", \"notify READY=1\", \"wait\"]\n{more}")
    };
    let mut run = running(&api("60s"));
    run.err_ever("api is ready");
    write(&run, &api("300ms"));
    reloaded(&run.command(&["reload"]), &["~ api: stop_timeout (what runs goes on)\n"]);
    run.signal(Signal::SIGTERM);
    let ended = run.ended();
    assert!(ended.complains("\"api did not stop within 300ms: "), "{:#?}", ended.err);
}

#[test]
fn a_file_that_is_gone_is_to_be_put_back() {
    let setup = launcher();
    let text = setup.home().settings(&format!("log_level = \"debug\"\n{}", service("api", "")));
    let file = setup.home().write("launcher.toml", &text);
    let mut run = setup.verb(["run"]);
    run.control_socket();
    run.err_ever("api is ready");
    std::fs::remove_file(file).unwrap();
    let told = run.command(&["reload"]);
    assert!(told.code == Some(78) && told.err.contains("launcher.toml: there is no such file any more"), "{told:?}");
    assert!(told.err.contains("put it back") && !told.err.contains("launcher run"), "{told:?}");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
}

#[test]
fn what_could_not_be_started_is_not_stopped_for_it() {
    let mut run = running(&service("api", ""));
    run.err_ever("api is ready");
    write(&run, "[service.api]\ncommand = [\"./no-such-program\"]\n");
    let told = run.command(&["reload"]);
    assert_eq!(told.code, Some(127), "{told:?}");
    assert!(told.err.contains("no-such-program") && told.err.contains("nothing was changed"), "{told:?}");
    assert!(run.command(&["status", "api"]).out.starts_with("api: ready"), "it goes on");
}

#[test]
fn a_service_that_does_not_come_up_is_told_with_its_code() {
    let mut run = running(&service("api", ""));
    run.err_ever("api is ready");
    write(&run, "[service.api]\ncommand = [\"CHILD\", \"exit 42\"]\nready = \"notify\"\n");
    let told = run.command(&["reload"]);
    assert!(told.code == Some(42) && told.out.contains("~ api: command\n"), "{told:?}");
    assert!(told.err.contains("api did not become ready: api exited with code 42"), "{told:?}");
    write(&run, &service("api", ""));
    // It is tried again and again by now, and gets its right settings at once.
    reloaded(&run.command(&["reload"]), &["api is ready after "]);
}

#[test]
fn a_passed_port_stays_open_while_its_service_is_restarted() {
    let address = Address::new();
    let port = format!("[[service.api.port]]\nlisten = \"tcp://{}\"\nmode = \"pass\"\n", address);
    let mut run = running(&service("api", &port));
    run.err_ever("api is ready");
    let asking = std::net::TcpStream::connect(address.0).unwrap();
    write(&run, &service("api", &format!("environment = {{ A = \"1\" }}\n{port}")));
    reloaded(&run.command(&["reload"]), &["~ api: environment.A\n"]);
    asking.set_nonblocking(true).unwrap();
    let read = std::io::Read::read(&mut &asking, &mut [0; 1]);
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "it waits in the same queue");
    write(&run, &service("api", ""));
    reloaded(&run.command(&["reload"]), &["~ api: environment.A, port.1\n"]);
    std::net::TcpListener::bind(address.0).unwrap();
}

#[test]
fn a_change_of_the_file_is_taken_over_by_itself_while_it_is_developed() {
    let mut run = running(&format!("{}watch = [\"src/**\"]\n", service("api", "")));
    run.said("api 1");
    // The folder is watched from a moment after the start on.
    for turn in 0..100 {
        write(&run, &format!("{}watch = [\"src/**\"]\nenvironment = {{ TURN = \"{turn}\" }}\n", service("api", "")));
        if run.says_within("api 2", std::time::Duration::from_millis(300)) {
            break;
        }
    }
    run.err_ever("launcher.toml was read again: 1 service changed");
    write(&run, "[service.api]\ncomand = []\n");
    run.err("launcher.toml is not taken over");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
}

#[test]
fn there_is_nothing_to_read_for_one_command() {
    let mut run = launcher().flags(["--log-level", "debug"]).child(["print up", "wait"]);
    run.out("up");
    run.control_socket();
    let told = run.command(&["reload"]);
    assert!(told.code == Some(71) && told.err.contains("runs one command, without a launcher.toml"), "{told:?}");
}

#[test]
fn who_does_not_wait_is_told_what_has_begun() {
    let mut run = running(&service("api", ""));
    run.err_ever("api is ready");
    write(&run, "[service.api]\ncommand = [\"CHILD\", \"wait\"]\nready = \"notify\"\n");
    reloaded(&run.command(&["reload", "--no-wait"]), &["~ api: command\n", "restart of api has begun\n"]);
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
}
