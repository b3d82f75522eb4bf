//! What the child gets (DESIGN §4).

use crate::support::*;

/// The value of a variable in what `dump-env` showed.
fn value<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// Variables of a launcher's own parent that must not reach the child as they are.
const INHERITED: [(&str, &str); 11] = [
    ("NOTIFY_SOCKET", "/nowhere/notify"),
    ("WATCHDOG_USEC", "1"),
    ("WATCHDOG_PID", "1"),
    ("LISTEN_FDS", "2"),
    ("LISTEN_PID", "1"),
    ("LISTEN_FDNAMES", "a:b"),
    ("PORT", "1"),
    ("LAUNCHER_SERVICE", "other"),
    ("LAUNCHER_GENERATION", "99"),
    ("KEPT", "as it is"),
    ("PATH", "/usr/bin:/bin"),
];

#[test]
fn the_variables_of_the_contract_are_set_and_inherited_ones_removed() {
    let setup = INHERITED.iter().fold(launcher(), |setup, (name, value)| setup.variable(name, value));
    let mut run = setup.child(["dump-env"]);
    let lines = run.ends_with(0).out;
    for gone in ["WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "PORT"] {
        assert_eq!(value(&lines, gone), None, "{gone}");
    }
    assert_eq!(value(&lines, "LAUNCHER_SERVICE"), Some("child"));
    assert_eq!(value(&lines, "LAUNCHER_GENERATION"), Some("1"));
    assert_eq!(value(&lines, "KEPT"), Some("as it is"));
    let socket = value(&lines, "NOTIFY_SOCKET").expect("NOTIFY_SOCKET");
    assert_ne!(socket, "/nowhere/notify");
}

#[test]
fn an_inherited_port_that_is_not_passed_on_is_told_with_what_to_do() {
    let ended = launcher().variable("PORT", "5000").child(["exit 0"]).ends_with(0);
    assert!(ended.complains("PORT=5000") && ended.complains("--port 5000"), "{:?}", ended.err);
    let address = Address::new();
    let ended = launcher().variable("PORT", "5000").flags(["--port", &address.to_string()]).child([""; 0]).ends_with(0);
    assert!(!ended.complains("PORT=5000"), "{:?}", ended.err);
}

#[test]
fn ports_are_told_by_variables() {
    let first = Address::new();
    let second = first.with_port(8081);
    let flags =
        ["--name", "shop", "--port", &format!("http={first},pass"), "--port", &format!("admin={second},reserve")];
    let mut run = launcher().flags(flags).child(["dump-env"]);
    let lines = run.ends_with(0).out;
    assert_eq!(value(&lines, "PORT"), Some("8080"));
    assert_eq!(value(&lines, "PORT_HTTP"), Some("8080"));
    assert_eq!(value(&lines, "PORT_ADMIN"), Some("8081"));
    assert_eq!(value(&lines, "LISTEN_FDS"), Some("1"));
    assert_eq!(value(&lines, "LISTEN_FDNAMES"), Some("http"));
    assert_eq!(value(&lines, "LAUNCHER_SERVICE"), Some("shop"));
}

#[test]
fn the_watchdog_is_told_by_variables() {
    let mut run = launcher().file(
        r#"[service.dog]
        command = ["CHILD", "say dog {env:WATCHDOG_USEC} {env:WATCHDOG_PID} {pid}", "exit 0"]
        ready = "started"
        watchdog = "60s"
        [service.dog.restart]
        policy = "never"
        "#,
    );
    let line = run.said("dog");
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(words[1], "60000000");
    assert_eq!(words[2], words[3], "WATCHDOG_PID is its own pid");
}

#[test]
fn no_descriptor_but_the_standard_ones_is_open() {
    let steps = ["dump-fds"];
    let more = ["sh", "-c", "exec \"$@\" 7</dev/null 9</dev/null", "sh"];
    let lines = launcher().below(more).child(steps).ends_with(0).out;
    let numbers: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("fd ")?.split(' ').next()).collect();
    assert_eq!(numbers, ["0", "1", "2"], "{lines:?}");
}

#[test]
fn passed_sockets_come_from_3_on_and_nothing_behind_them() {
    let (first, second) = (Address::new(), Address::new());
    let flags = ["--port", &format!("a={first},pass"), "--port", &format!("b={second},pass")];
    let lines = launcher().flags(flags).child(["dump-fds"]).ends_with(0).out;
    let sockets: Vec<&String> = lines.iter().filter(|line| line.contains("socket:")).collect();
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert!(sockets[0].starts_with("fd 3 ") && sockets[1].starts_with("fd 4 "), "{lines:?}");
}

#[test]
fn standard_descriptors_that_are_closed_do_not_become_something_else() {
    let closed = ["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"];
    let setup = launcher().below(closed);
    let list = setup.home().join("list");
    let script = format!("ls -l /proc/self/fd > {}", list.display());
    let mut run = setup.command(["sh", "-c", &script]);
    run.ends_with(0);
    let list = std::fs::read_to_string(list).unwrap();
    assert!(!list.contains("socket:") && !list.contains("pidfd") && !list.contains("eventpoll"), "{list}");
}

for_subjects!(mask_and_dispositions_are_clean: launcher; |subject| {
    let dirty = child().display().to_string();
    let steps = ["on INT ignore", "on HUP ignore", "on PIPE ignore", "on 40 ignore", "block USR1", "block TERM", "exec"];
    let words = std::iter::once(dirty.as_str()).chain(steps);
    let lines = subject.run().below(words).child(["dump-signals"]).ends_with(0).out;
    for field in ["SigBlk", "SigIgn", "SigCgt"] {
        assert!(lines.contains(&format!("{field}: 0000000000000000")), "{field} in {lines:?}");
    }
});

/// The test above would not show anything if the dirt did not get through to a bare program.
#[test]
fn a_bare_program_would_inherit_mask_and_dispositions() {
    let dirty = child().display().to_string();
    let steps = ["on INT ignore", "block USR1", "exec"];
    let words = std::iter::once(dirty.as_str()).chain(steps);
    let lines = Subject::Bare.run().below(words).child(["dump-signals"]).ends_with(0).out;
    assert!(!lines.contains(&"SigBlk: 0000000000000000".to_owned()), "{lines:?}");
    assert!(!lines.contains(&"SigIgn: 0000000000000000".to_owned()), "{lines:?}");
}

#[test]
fn the_directory_is_entered() {
    let lines = launcher().flags(["--directory", "/usr"]).child(["print in {cwd}"]).ends_with(0).out;
    assert_eq!(lines, ["in /usr"]);
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let ended = launcher().flags(["--directory", "/no/such/folder"]).child(["exit 0"]).ends_with(71);
    assert!(ended.complains("/no/such/folder"), "{:?}", ended.err);
}

#[test]
fn the_user_is_changed_whole() {
    if nix::unistd::geteuid().is_root() {
        let lines = launcher().flags(["--user", "nobody"]).with_copies().child(["dump-ids"]).ends_with(0).out;
        assert!(lines.contains(&"Uid: 65534 65534 65534 65534".to_owned()), "{lines:?}");
        assert!(lines.contains(&"Gid: 65534 65534 65534 65534".to_owned()), "{lines:?}");
        assert!(lines.contains(&"CapEff: 0000000000000000".to_owned()), "{lines:?}");
        let groups = lines.iter().find(|line| line.starts_with("Groups:")).unwrap();
        assert!(!groups.split(' ').any(|group| group == "0"), "{groups}");
    }
}

#[test]
fn a_user_finds_its_own_home_and_name() {
    if nix::unistd::geteuid().is_root() {
        let setup =
            launcher().flags(["--user", "daemon"]).with_copies().variable("HOME", "/root").variable("USER", "root");
        let lines = setup.child(["dump-env"]).ends_with(0).out;
        assert_eq!(value(&lines, "HOME"), Some("/usr/sbin"));
        assert_eq!((value(&lines, "USER"), value(&lines, "LOGNAME")), (Some("daemon"), Some("daemon")));
    }
}

#[test]
fn a_user_that_is_not_there_is_named() {
    let ended = launcher().flags(["--user", "no-such-user"]).child(["exit 0"]).ends_with(71);
    assert!(ended.complains("no-such-user"), "{:?}", ended.err);
}

#[test]
fn a_user_that_may_not_be_taken_on_is_named_with_its_errno() {
    if nix::unistd::geteuid().is_root() {
        let ended = launcher().being_nobody().flags(["--user", "root"]).child(["exit 0"]).ends_with(71);
        assert!(ended.complains("root") && ended.complains("EPERM"), "{:?}", ended.err);
    }
}

#[test]
fn an_environment_file_is_read_before_each_generation() {
    let setup = launcher().flags(["--restart", "on-failure", "--backoff", "1ms..1ms", "--env-file", "settings.env"]);
    setup.home().write("settings.env", "GREETING=\"good morning\"\n# a comment\nexport OTHER='two words'\n");
    let gate = setup.home().fifo("gate");
    let steps = ["print {env:GREETING}, {env:OTHER}", "generation 1", "gate gate", "exit 1", "end", "exit 0"];
    let mut run = setup.child(steps);
    run.out("good morning, two words");
    run.home().write("settings.env", "GREETING=good evening\n");
    std::fs::write(gate, "").unwrap();
    run.out("good evening, ");
    run.ends_with(0);
}
