//! The memory limit, in a cgroup of the test's own (DESIGN §8, `out-of-memory`).

use std::path::{Path, PathBuf};

use crate::support::*;

/// A cgroup with a memory limit, gone with the test.
struct Limited(PathBuf);

/// Its limit in bytes.
const LIMIT: &str = "67108864";

impl Limited {
    /// Makes one by the memory controller of version 1 or 2; where that is not permitted, or not there, it says so.
    fn new(name: &str) -> Option<Limited> {
        let name = format!("launcher-test-{name}-{}", std::process::id());
        let versions = [
            ("/sys/fs/cgroup/memory", ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]),
            ("/sys/fs/cgroup", ["memory.max", "memory.swap.max"]),
        ];
        for (root, [limit, swap]) in versions {
            let group = Limited(Path::new(root).join(&name));
            if std::fs::create_dir(&group.0).is_ok() && std::fs::write(group.0.join(limit), LIMIT).is_ok() {
                // Where swap is not counted there is no such file.
                let _ = std::fs::write(group.0.join(swap), if swap.contains("memsw") { LIMIT } else { "0" });
                return Some(group);
            }
        }
        println!("skipped: no cgroup with a memory limit can be made here (it takes root and a memory controller)");
        None
    }

    /// The launcher, in it.
    fn launcher(&self) -> Setup {
        let script = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.0.display());
        launcher().flags(["--ready", "notify", "--start-timeout", "60s"]).below(["sh", "-c", &script, "sh"])
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn a_service_that_is_killed_by_the_memory_limit_is_told_with_limit_and_peak() {
    if let Some(group) = Limited::new("main") {
        let mut run = group.launcher().child(["nap 100", "hog-memory 512"]);
        let ended = run.ends_with(137);
        run.leaves_nothing();
        let report = run.report();
        assert_eq!((report.kind(), report.cause()), ("out-of-memory", "out-of-memory"), "{:#}", report.0);
        assert_eq!(report.text("/verdict/confidence"), "certain");
        assert_eq!(report.0["exit"]["out_of_memory"], true);
        assert!(report.verdict().contains("64.0 MiB"), "the limit: {}", report.verdict());
        assert!(ended.complains("memory limit"), "{:?}", ended.err);
    }
}

/// `go_limits = "auto"`: nine tenths of the limit, below which Go's garbage collector then stays.
#[test]
fn a_go_program_is_told_the_limit() {
    if let Some(group) = Limited::new("go") {
        let script = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", group.0.display());
        let mut run = launcher().below(["sh", "-c", &script, "sh"]).file(
            r#"[service.child]
            command = ["CHILD", "say told {env:GOMEMLIMIT}", "exit 0"]
            go_limits = "auto"
            restart = { policy = "never" }
            "#,
        );
        run.said("told 60397920B");
        run.ends_with(0);
    }
}

/// It is the main process's child that the kernel kills, and the service ends because of it.
#[test]
fn a_killed_child_of_a_service_is_told_too() {
    if let Some(group) = Limited::new("child") {
        let mut run = group.launcher().child(["fork", "nap 100", "hog-memory 512", "end", "wait-child", "exit 137"]);
        run.ends_with(137);
        assert_eq!(run.report().cause(), "out-of-memory", "{:#}", run.report().0);
    }
}

/// What was killed before a generation started is not held against it.
#[test]
fn a_kill_of_before_is_no_verdict_on_the_next_failure() {
    if let Some(group) = Limited::new("before") {
        let flags = ["--restart", "on-failure", "--backoff", "0ms..0ms", "--max-failures", "2"];
        let mut run =
            group.launcher().flags(flags).child(["generation 1", "nap 100", "hog-memory 512", "end", "exit 3"]);
        run.ends_with(3);
        let causes: Vec<String> = run.reports("child").iter().map(|report| report.cause().to_owned()).collect();
        assert_eq!(causes, ["out-of-memory", "exited"]);
    }
}
