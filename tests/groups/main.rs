//! Limits of whole services, kept by cgroup v2: in a machine of its own, because the memory controller of the one that runs
//! the tests may be version 1's, or another's. User-mode Linux boots on the host's own files, without privilege, in seconds.
#![allow(clippy::disallowed_methods, reason = "not part of the launcher")]

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// What the machine printed whose init is a shell, booted once for all tests; `None` where there is none.
fn printed() -> Option<&'static str> {
    static PRINTED: OnceLock<Option<String>> = OnceLock::new();
    to_the_end(PRINTED.get_or_init(|| boot("init")))
}

/// What the machine printed whose init is systemd.
fn printed_by_systemd() -> Option<&'static str> {
    static PRINTED: OnceLock<Option<String>> = OnceLock::new();
    to_the_end(PRINTED.get_or_init(|| boot("systemd")))
}

fn to_the_end(printed: &'static Option<String>) -> Option<&'static str> {
    let text = printed.as_deref()?;
    assert!(text.contains("all is over"), "the machine did not come to its end:\n{text}");
    Some(text)
}

fn boot(init: &str) -> Option<String> {
    let found = Command::new("linux.uml").arg("--version").output();
    if found.is_err() || !cfg!(target_arch = "x86_64") {
        assert!(
            std::env::var_os("CI").is_none() || !cfg!(target_arch = "x86_64"),
            "linux.uml: tests/setup installs it"
        );
        println!("skipped: linux.uml is not installed");
        return None;
    }
    let launcher = PathBuf::from(env!("CARGO_BIN_EXE_launcher"));
    let child = launcher.with_file_name("examples").join("child");
    assert!(child.exists(), "{} is missing: `cargo build --example child` makes it", child.display());
    let name = format!("umid=launcher-test-{init}-{}", std::process::id());
    let init = format!("{}/tests/groups/{init}", env!("CARGO_MANIFEST_DIR"));
    // So much time is needed by nobody: it is for a machine that hangs.
    let output = Command::new("timeout")
        .args([
            "-s",
            "KILL",
            "600",
            "linux.uml",
            "mem=384M",
            "root=/dev/root",
            "rootfstype=hostfs",
            "rootflags=/",
            "ro",
        ])
        .args([
            &name,
            "con=null",
            "con0=null,fd:1",
            "quiet",
            "loglevel=1",
            &format!("init={init}"),
            "systemd.firstboot=off",
        ])
        .args([format!("launcher={}", launcher.display()), format!("child={}", child.display())])
        .output()
        .unwrap();
    Some(String::from_utf8_lossy(&output.stdout).replace('\r', ""))
}

/// What is known of a scenario: its name, and what the machine printed.
struct Scenario(&'static str, &'static str);

impl Scenario {
    /// Its lines with this word behind its name.
    fn lines(&self, word: &str) -> Vec<&'static str> {
        let lead = format!("{} {word} ", self.0);
        self.1.lines().filter_map(|line| line.strip_prefix(&lead)).collect()
    }

    fn code(&self) -> &'static str {
        self.lines("code").first().copied().unwrap_or_default()
    }

    fn out(&self) -> String {
        self.lines("out").join("\n")
    }

    /// What the service said: what launcher says may come in between.
    fn said(&self) -> Vec<&'static str> {
        self.lines("out").into_iter().filter_map(|line| line.strip_prefix("api | ")).collect()
    }

    fn report(&self) -> serde_json::Value {
        let lines = self.lines("report");
        let line = lines.first().unwrap_or_else(|| panic!("{} has no report: {}", self.0, self.out()));
        serde_json::from_str(line).unwrap()
    }

    /// The first line of a file of the service's group.
    fn file(&self, name: &str) -> Option<String> {
        let mut said = self.said().into_iter();
        said.find(|line| *line == format!("==> {name} <=="))?;
        said.next().map(str::to_owned)
    }
}

/// A scenario; `None` where there is no machine for it.
fn scenario(name: &'static str) -> Option<Scenario> {
    printed().map(|text| Scenario(name, text))
}

/// A unit of a real systemd; `None` where there is no machine for it. Its launcher has looked at the settings before it ran.
fn unit(name: &'static str) -> Option<Scenario> {
    let unit = printed_by_systemd().map(|text| Scenario(name, text))?;
    assert_eq!((unit.lines("start"), unit.lines("state")), (vec!["0"], vec!["active"]), "{}", unit.out());
    assert_eq!((unit.code(), unit.lines("left")), ("0", vec![]), "{}", unit.out());
    Some(unit)
}

#[test]
fn a_unit_with_delegation_has_the_limits_of_its_services_kept() {
    let Some(delegated) = unit("delegated") else { return };
    for unit in [delegated, unit("owned").unwrap()] {
        let has = |file: &str| unit.file(file).unwrap_or_default();
        assert_eq!([has("memory.max"), has("pids.max"), has("cpu.max")], ["50331648", "9", "50000 100000"]);
        let mut groups = unit.lines("group");
        groups.sort_unstable();
        assert!(groups.len() == 2 && groups[0].starts_with("./api-g1-") && groups[1] == "./launcher", "{groups:?}");
        assert!(!unit.out().contains("limits."), "{}", unit.out());
    }
    assert!(unit("owned").unwrap().said().contains(&"65534"), "a user of its own");
}

/// systemd leaves a unit with delegation alone when the kernel kills in a group below it.
#[test]
fn a_service_of_a_unit_that_goes_beyond_its_memory_is_told_and_started_again() {
    let Some(hungry) = unit("hungry") else { return };
    let report = hungry.report();
    assert_eq!(report["verdict"]["cause"], "out-of-memory", "{}", report["verdict"]);
    assert!(hungry.lines("group").iter().any(|group| group.starts_with("./api-g2-")), "{}", hungry.out());
}

#[test]
fn a_unit_without_what_it_takes_says_so_before_and_at_the_start() {
    let Some(undelegated) = unit("undelegated") else { return };
    for (unit, why, remedy) in [
        (undelegated, "EACCES (permission denied)", "(Delegate=yes)"),
        (unit("closed").unwrap(), "EROFS (the file system is read-only)", "ProtectControlGroups=no"),
    ] {
        let out = unit.out();
        let line =
            |words: &str| out.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}: {out}"));
        for line in [line("would not be kept here"), line("runs without this limit of a cgroup")] {
            assert!(line.contains("limits.memory") && line.contains("limits.tasks") && line.contains(why), "{line}");
        }
        assert!(out.contains(remedy), "{out}");
        assert!(!unit.said().contains(&"50331648"), "{out}");
    }
}

#[test]
fn a_service_beyond_its_memory_is_told_with_limit_and_peak() {
    let Some(memory) = scenario("memory") else { return };
    let report = memory.report();
    assert_eq!((&report["kind"], &report["verdict"]["cause"]), (&"out-of-memory".into(), &"out-of-memory".into()));
    assert_eq!(report["verdict"]["confidence"], "certain");
    assert_eq!(report["exit"]["out_of_memory"], true);
    assert_eq!(report["limits"]["memory_bytes"], 48 << 20);
    let peak = report["limits"]["memory_peak_bytes"].as_u64().unwrap();
    assert!((40 << 20..=48 << 20).contains(&peak), "{peak}");
    assert_eq!(memory.code(), "137");
}

#[test]
fn an_operators_kill_is_no_want_of_memory() {
    for name in ["killed", "operator"] {
        let Some(killed) = scenario(name) else { return };
        let report = killed.report();
        assert_eq!(report["verdict"]["cause"], "crashed", "{name}: {}", report["verdict"]);
        assert_eq!(report["exit"]["out_of_memory"], false, "{name}");
        assert_eq!(killed.code(), "137", "{name}");
    }
}

#[test]
fn the_limit_of_the_launchers_own_group_is_told_too() {
    let Some(container) = scenario("container") else { return };
    let report = container.report();
    assert_eq!(report["verdict"]["cause"], "out-of-memory", "{}", report["verdict"]);
    assert_eq!(report["limits"]["memory_bytes"], 64 << 20);
    assert_eq!(container.code(), "137");
}

#[test]
fn a_service_ends_as_a_whole_when_one_process_of_it_wants_too_much() {
    let Some(whole) = scenario("whole") else { return };
    let report = whole.report();
    assert_eq!(report["verdict"]["cause"], "out-of-memory", "{}", report["verdict"]);
    assert!(!whole.out().contains("went on"), "{}", whole.out());
}

#[test]
fn no_more_tasks_than_are_set_are_made() {
    let Some(tasks) = scenario("tasks") else { return };
    assert!(tasks.out().to_lowercase().contains("fork"), "{}", tasks.out());
}

#[test]
fn the_kernel_has_the_limits() {
    let Some(files) = scenario("files") else { return };
    assert!(files.said()[0].starts_with("group /sys/fs/cgroup/files/api-g1-"), "{}", files.out());
    let has = |file: &str| files.file(file).unwrap_or_default();
    assert_eq!([has("memory.max"), has("pids.max"), has("cpu.max")], ["67108864", "9", "50000 100000"]);
    assert_eq!(files.said().last(), Some(&"1"), "memory.oom.group: {}", files.out());
    // A limit alone works as well, and at the root of the machine too, where launcher stays where it is.
    for (name, file, limit) in
        [("cpus", "cpu.max", "50000 100000"), ("root", "pids.max", "9"), ("user", "pids.max", "9")]
    {
        let Some(alone) = scenario(name) else { return };
        assert_eq!(alone.file(file).as_deref(), Some(limit), "{name}: {}", alone.out());
    }
    assert!(scenario("user").unwrap().said().contains(&"65534"));
}

#[test]
fn a_go_program_is_told_the_limits_of_its_own_group() {
    let Some(go) = scenario("go") else { return };
    // Nine tenths of 64 MiB, in whole pages or so.
    assert!(go.said()[0].starts_with("GOMEMLIMIT=60397") && go.said()[0].ends_with("B GOMAXPROCS=2"), "{}", go.out());
}

#[test]
fn who_is_not_root_has_what_was_delegated() {
    let Some(delegated) = scenario("delegated") else { return };
    assert_eq!(delegated.file("pids.max").as_deref(), Some("9"), "{}", delegated.out());
    assert!(delegated.said().contains(&"65534"), "{}", delegated.out());
    let denied = scenario("denied").unwrap();
    assert!(denied.out().contains("runs without this limit of a cgroup: making a group in"), "{}", denied.out());
    assert!(denied.out().contains("Delegate=yes") && denied.code() == "0", "{}", denied.out());
}

#[test]
fn where_no_limit_can_be_kept_one_line_says_why_and_the_service_runs() {
    let Some(crowd) = scenario("crowd") else { return };
    let lines: Vec<_> = crowd.lines("out").into_iter().filter(|line| line.contains("limits.")).collect();
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(line.contains("api (limits.tasks) runs without"), "{line}");
    assert!(line.contains("other processes beside launcher are in /sys/fs/cgroup/crowd"), "{line}");
    assert_eq!((crowd.said()[0], crowd.code()), ("group /sys/fs/cgroup/crowd", "0"), "{}", crowd.out());
}

#[test]
fn limits_that_can_be_kept_are_where_another_cannot() {
    let Some(partly) = scenario("partly") else { return };
    let lines: Vec<_> = partly.lines("out").into_iter().filter(|line| line.contains("limits.")).collect();
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(line.contains("api (limits.memory) runs without"), "{line}");
    assert!(line.contains("the controller memory is not there for /sys/fs/cgroup/partly"), "{line}");
    assert_eq!(partly.file("pids.max").as_deref(), Some("9"), "{}", partly.out());
}

#[test]
fn nothing_of_the_groups_is_left() {
    let Some(text) = printed() else { return };
    let names = ["memory", "killed", "whole", "container", "operator", "tasks", "cpus", "files", "go", "delegated"];
    for name in names.into_iter().chain(["denied", "user", "crowd", "partly", "root"]) {
        assert_eq!(Scenario(name, text).lines("left"), [""; 0], "{name}");
        assert!(name == "root" || Scenario(name, text).lines("gives") == ["[]"], "{name}");
    }
}
