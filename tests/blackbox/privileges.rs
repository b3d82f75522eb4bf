//! With what the processes of a service begin: groups, limits, privileges (DESIGN §3, §4).

use std::ffi::OsString;

use crate::support::*;

/// A service that shows what it was given.
const SHOW: &str = r#"log_format = "text"
    [service.child]
    command = ["sh", "-c", '''
    grep -E '^(Uid|Gid|Groups|NoNewPrivs|CapEff|CapBnd|CapAmb)' /proc/self/status | tr -s '\t ' ' '
    echo "umask $(umask) nice $(nice) oom $(cat /proc/self/oom_score_adj)"
    echo "files $(ulimit -n) $(ulimit -Hn) core $(ulimit -c) home $HOME"
    echo "go $GOMEMLIMIT $GOMAXPROCS"
    echo end of show''']
    "#;

fn shown(keys: &str) -> (Vec<String>, Running) {
    let mut run = launcher().variable("HOME", "/somewhere").file(&format!("{SHOW}{keys}"));
    let lines = run.out_until("end of show");
    (lines.into_iter().map(|line| line.replace("child | ", "")).collect(), run)
}

#[track_caller]
fn has(lines: &[String], wanted: &[&str]) {
    for line in wanted {
        assert!(lines.iter().any(|other| other.trim() == *line), "{line:?} is not in {lines:#?}");
    }
}

#[test]
fn limits_and_priorities_are_set() {
    let (lines, _run) = shown(
        r#"umask = "027"
        nice = 7
        oom_score_adj = 300
        no_new_privs = true
        limits = { nofile = "300:400", core = 0 }"#,
    );
    has(&lines, &["umask 0027 nice 7 oom 300", "files 300 400 core 0 home /somewhere", "NoNewPrivs: 1"]);
}

#[test]
fn a_user_has_exactly_the_groups_and_capabilities_that_are_set() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let (lines, _run) = shown(
        r#"user = "nobody"
        group = "1234"
        groups = ["77", "audio"]
        capabilities = ["NET_BIND_SERVICE"]"#,
    );
    let bind = "0000000000000400";
    has(&lines, &["Uid: 65534 65534 65534 65534", "Gid: 1234 1234 1234 1234", "Groups: 29 77 1234"]);
    has(&lines, &[&format!("CapEff: {bind}"), &format!("CapBnd: {bind}"), &format!("CapAmb: {bind}")]);
    let (lines, _run) = shown("capabilities = [\"CHOWN\", \"NET_BIND_SERVICE\"]");
    has(&lines, &["Uid: 0 0 0 0", "CapEff: 0000000000000401", "CapBnd: 0000000000000401"]);
    let (lines, _run) = shown("capabilities = []\ngroups = []");
    has(&lines, &["Uid: 0 0 0 0", "Groups: 0", "CapEff: 0000000000000000", "CapBnd: 0000000000000000"]);
}

#[test]
fn what_may_not_be_set_is_told_with_its_step() {
    let setup = launcher().being_nobody();
    setup.home().write("launcher.toml", "[launcher]\nreport_dir = \"/dev/null/x\"\n[service.child]\ncommand = [\"true\"]\noom_score_adj = -500\nrestart = { policy = \"never\" }\n");
    let file = setup.home().join("launcher.toml");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let mut run = setup.verb(["run".into(), "-c".into(), file.into_os_string()]);
    run.err("setting oom_score_adj");
    run.ends_with(71);
}

/// As nobody who may set anything.
fn nobody_with(keys: &str) -> (Setup, OsString) {
    let setup = launcher().being_nobody();
    let text = format!(
        "[launcher]\nreport_dir = \"/dev/null/x\"\n[service.child]\ncommand = [\"true\"]\nrestart.policy = \"never\"\n{keys}\n"
    );
    let file = setup.home().write("launcher.toml", &text);
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    (setup, file.into_os_string())
}

#[test]
fn what_may_not_be_set_is_told_by_the_name_of_the_setting() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    for (keys, step) in [
        ("user = \"daemon\"", "setting user \"daemon\": EPERM"),
        ("group = \"daemon\"", "setting group \"daemon\": EPERM"),
        ("groups = [\"daemon\", \"5\"]", "setting supplementary groups \"daemon, 5\": EPERM"),
        ("nice = -5", "setting nice \"-5\": EACCES"),
        ("oom_score_adj = -500", "setting oom_score_adj \"-500\": EACCES"),
        ("limits = { nofile = 100, core = 0, sigpending = \"unlimited\" }", "setting limits \"sigpending\": EPERM"),
        ("capabilities = [\"NET_ADMIN\"]", "setting capabilities: EPERM"),
    ] {
        let (setup, file) = nobody_with(keys);
        let mut run = setup.verb(["run".into(), "-c".into(), file]);
        run.err(&step.replace('"', "\\\""));
        run.ends_with(71);
        let (setup, file) = nobody_with(keys);
        let mut check = setup.verb(["check".into(), "-c".into(), file]);
        check.err(&format!("true cannot be started: {step}"));
        check.ends_with(71);
    }
    // What it has already is not asked for.
    for keys in ["user = \"nobody\"", "groups = [\"nogroup\"]", "nice = 5", "limits = { nofile = 100, core = 0 }"] {
        let (setup, file) = nobody_with(keys);
        setup.verb(["run".into(), "-c".into(), file]).ends_with(0);
        let (setup, file) = nobody_with(keys);
        setup.verb(["check".into(), "-c".into(), file]).ends_with(0);
    }
}

#[test]
fn all_that_is_wrong_with_a_user_and_a_program_is_found() {
    let setup = launcher();
    let text = r#"[service.child]
        command = ["no-such-program"]
        directory = "nowhere"
        user = "nobody-of-this-name"
        group = "no-group"
        groups = ["none", "root", "nor-this"]
        "#;
    let file = setup.home().write("launcher.toml", text);
    let mut check = setup.verb(["check".into(), "-c".into(), file.into_os_string()]);
    for part in [
        "no user \"nobody-of-this-name\"",
        "no group \"no-group\"",
        "no group \"none\"",
        "no group \"nor-this\"",
        "nowhere",
        "no-such-program",
    ] {
        check.err_ever(part);
    }
    check.ends_with(71);
}

/// Who may make no cgroup is told so, and has the service all the same. What a cgroup keeps is tested in tests/groups.
#[test]
fn limits_of_a_cgroup_that_may_not_be_made_keep_nothing_from_running() {
    let setup = if nix::unistd::geteuid().is_root() { launcher().being_nobody() } else { launcher() };
    let mut run = setup.file(
        r#"[service.child]
        command = ["CHILD", "say up", "exit 3"]
        limits = { memory = "64MiB", tasks = 64, cpus = 0.5 }
        restart = { policy = "never" }
        "#,
    );
    run.said("up");
    let ended = run.ends_with(3);
    let lines = ended.err.iter().filter(|line| line.contains("runs without this limit of a cgroup")).count();
    assert_eq!(lines, 1, "{:?}", ended.err);
}

/// Root without CAP_SYS_PTRACE, as in most containers, still sees what a service of another user waits for.
#[test]
fn a_service_of_another_user_is_dumped_without_the_capability_for_that() {
    if !nix::unistd::geteuid().is_root() || !needs(&["setpriv"]) {
        return;
    }
    let setup = launcher().with_copies().below(["setpriv", "--bounding-set=-sys_ptrace"]);
    setup.home().fifo("gate");
    let flags = ["--ready", "notify", "--user", "nobody", "--start-timeout", "1s"];
    let mut run = setup.flags(flags).child(["say up", "wait"]);
    run.ends_with(124);
    let report = run.report();
    let frames = report.list("/processes")[0]["threads"].to_string();
    assert!(frames.contains("wait_for_ever"), "{frames}");
}
