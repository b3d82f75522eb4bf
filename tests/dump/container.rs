//! The launcher as PID 1 of a container such as Docker makes: 14 capabilities, its filter of system calls, and a child of
//! the same or of another user.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::rights::is_root;
use crate::victim::{needs, source};

/// The default filter as container engines have it (package golang-github-containers-common).
const PROFILE: &str = "/usr/share/containers/seccomp.json";
/// Docker's default capabilities.
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// The filter as runc takes it: what an engine makes of the profile for these capabilities.
fn filter() -> Value {
    let profile: Value = serde_json::from_str(&std::fs::read_to_string(PROFILE).unwrap()).unwrap();
    let has = |list: &Value, words: &[&str]| {
        list.as_array().is_some_and(|list| list.iter().any(|word| words.contains(&word.as_str().unwrap_or_default())))
    };
    let there = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    let applies = |rule: &&Value| {
        let (includes, excludes) = (&rule["includes"], &rule["excludes"]);
        let arches = !there(&includes["arches"]) || has(&includes["arches"], &["amd64"]);
        let caps = !there(&includes["caps"]) || has(&includes["caps"], &CAPABILITIES);
        arches && caps && !has(&excludes["caps"], &CAPABILITIES) && !has(&excludes["arches"], &["amd64"])
    };
    let rule = |rule: &Value| {
        let mut made = json!({ "names": rule["names"], "action": rule["action"] });
        if there(&rule["args"]) {
            made["args"] = rule["args"].clone();
        }
        if rule["errnoRet"].is_u64() {
            made["errnoRet"] = rule["errnoRet"].clone();
        }
        made
    };
    let rules: Vec<Value> = profile["syscalls"].as_array().unwrap().iter().filter(applies).map(rule).collect();
    json!({ "defaultAction": profile["defaultAction"], "defaultErrnoRet": profile["defaultErrnoRet"],
            "architectures": ["SCMP_ARCH_X86_64"], "syscalls": rules })
}

/// A container's folder, with the launcher and two victims in it.
struct Bundle(tempfile::TempDir);

impl Bundle {
    fn new() -> Bundle {
        let bundle = Bundle(tempfile::tempdir().unwrap());
        let root = bundle.root();
        for folder in ["proc", "dev", "tmp"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::copy(env!("CARGO_BIN_EXE_launcher"), root.join("launcher")).unwrap();
        for name in ["deadlock", "shapes"] {
            let mut compile = Command::new("cc");
            compile.args(["-g", "-O1", "-static", "-pthread", "-w", "-o"]).arg(root.join(name));
            compile.arg(source(&format!("{name}.c"))).stderr(Stdio::null());
            assert!(compile.status().unwrap().success());
        }
        bundle
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("rootfs")
    }

    /// Runs this as PID 1 until it ends: its exit code, and what it wrote to standard error.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let caps = json!({ "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES });
        let config = json!({
            "ociVersion": "1.0.2",
            "process": { "user": { "uid": 0, "gid": 0 }, "args": arguments, "cwd": "/", "capabilities": caps,
                         "env": ["PATH=/"] },
            "root": { "path": "rootfs", "readonly": true },
            "hostname": "shop",
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
                { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"] },
            ],
            "linux": {
                "namespaces": [{ "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" },
                               { "type": "mount" }],
                "seccomp": filter(),
            },
        });
        std::fs::write(self.0.path().join("config.json"), config.to_string()).unwrap();
        let name = format!("launcher-test-{}-{}", std::process::id(), arguments.len());
        let mut runc = Command::new("timeout");
        runc.args(["-s", "KILL", "60", "runc", "--root"]).arg(self.0.path().join("state"));
        runc.args(["run", "--bundle"]).arg(self.0.path()).arg(name);
        let output = runc.stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn in_a_container_with_docker_s_defaults_children_of_any_user_are_read() {
    if !is_root() || !needs("runc", "runc") {
        return;
    }
    if !Path::new(PROFILE).is_file() {
        assert!(std::env::var("CI").is_err(), "needs {PROFILE}, which tests/setup installs");
        eprintln!("skipped: needs {PROFILE} of golang-github-containers-common");
        return;
    }
    let bundle = Bundle::new();
    let launcher = ["/launcher", "run", "--ready", "notify", "--start-timeout", "3s", "--report-dir", "/tmp"];
    for user in [&[][..], &["--user", "1000:1000"]] {
        let run = |command: &[&str]| bundle.run(&[&launcher[..], user, &["--"], command].concat());
        // Threads that are blocked.
        let (code, text) = run(&["/deadlock"]);
        assert_eq!(code, Some(124), "{user:?}: {text}");
        assert!(text.contains("deadlock: thread") && text.contains("deadlock.c:"), "{user:?}: {text}");
        // One that is on a CPU.
        let (code, text) = run(&["/shapes", "jit-busy"]);
        assert_eq!(code, Some(124), "{user:?}: {text}");
        assert!(text.contains("spin") && text.contains("shapes.c:"), "{user:?}: {text}");
    }
}
