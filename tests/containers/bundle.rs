//! A bundle for runc: a root file system of a few files, and a configuration like that of `docker run`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::running::Running;

/// Docker's own, as Debian packs it.
const PROFILE: &str = "/usr/share/gocode/src/github.com/docker/docker/profiles/seccomp/default.json";

/// What Docker leaves to a container's root.
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

/// Whether containers can be run here; where `CI` is set they have to be.
pub fn can_run() -> bool {
    let there = Command::new("runc").arg("--version").output().is_ok_and(|output| output.status.success());
    let can = there && Path::new(PROFILE).exists() && nix::unistd::geteuid().is_root();
    let why = "containers need root, runc and Docker's seccomp profile, which tests/setup installs";
    assert!(can || std::env::var("CI").is_err(), "{why}");
    if !can {
        println!("skipped: {why}");
    }
    can
}

/// A container that is being set up.
pub struct Bundle {
    folder: tempfile::TempDir,
    config: Value,
}

impl Bundle {
    /// One that runs these words, with `/launcher` and `/child` and nothing else in it.
    pub fn new(words: &[&str]) -> Bundle {
        let launcher = PathBuf::from(env!("CARGO_BIN_EXE_launcher"));
        let child = launcher.with_file_name("examples").join("child");
        Bundle::empty(words).add(launcher, "launcher").add(child, "child")
    }

    /// One that runs these words, with nothing in it.
    pub fn empty(words: &[&str]) -> Bundle {
        let folder = tempfile::tempdir().unwrap();
        // Other users than root are to reach it.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        for part in ["proc", "dev", "sys/fs/cgroup"] {
            std::fs::create_dir_all(folder.path().join("rootfs").join(part)).unwrap();
        }
        Bundle { folder, config: config(words) }.capabilities(&CAPABILITIES)
    }

    /// Adds a program.
    pub fn add(self, from: impl AsRef<Path>, name: &str) -> Bundle {
        std::fs::copy(from, self.folder.path().join("rootfs").join(name)).unwrap();
        self
    }

    pub fn user(mut self, id: u32) -> Bundle {
        self.config["process"]["user"] = json!({ "uid": id, "gid": id });
        self
    }

    /// As `docker run --security-opt no-new-privileges`.
    pub fn no_new_privileges(mut self) -> Bundle {
        self.config["process"]["noNewPrivileges"] = json!(true);
        self
    }

    pub fn read_only(mut self) -> Bundle {
        self.config["root"]["readonly"] = json!(true);
        self
    }

    /// Only these capabilities, and what Docker's profile allows with them.
    pub fn capabilities(mut self, kept: &[&str]) -> Bundle {
        self.config["process"]["capabilities"] =
            json!({ "bounding": kept, "effective": kept, "permitted": kept, "inheritable": [], "ambient": [] });
        self.config["linux"]["seccomp"] = seccomp(kept);
        self
    }

    pub fn memory(mut self, limit: u64) -> Bundle {
        self.config["linux"]["resources"] = json!({ "memory": { "limit": limit, "swap": limit } });
        self
    }

    /// Mounts a folder of the bundle, which is made for it.
    pub fn bind(self, name: &str, to: &str) -> Bundle {
        std::fs::create_dir(self.folder.path().join(name)).unwrap();
        self.mount(name, to)
    }

    /// The same, where every user may write.
    pub fn bind_open(self, name: &str, to: &str) -> Bundle {
        let bundle = self.bind(name, to);
        let anyone = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(bundle.folder.path().join(name), anyone).unwrap();
        bundle
    }

    /// The same with an empty file.
    pub fn bind_file(self, name: &str, to: &str) -> Bundle {
        std::fs::write(self.folder.path().join(name), "").unwrap();
        self.mount(name, to)
    }

    fn mount(mut self, name: &str, to: &str) -> Bundle {
        let source = self.folder.path().join(name);
        let mount = json!({ "destination": to, "type": "bind", "source": source, "options": ["rbind", "rw"] });
        self.config["mounts"].as_array_mut().unwrap().push(mount);
        self
    }

    /// As `docker run --pid=host`, or the containers of a pod that share their processes.
    pub fn shared_pid_namespace(mut self) -> Bundle {
        self.config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "pid");
        self
    }

    pub fn start(self) -> Running {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let id = format!("launcher-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        std::fs::write(self.folder.path().join("config.json"), self.config.to_string()).unwrap();
        Running::new(self.folder, id)
    }
}

fn config(words: &[&str]) -> Value {
    let namespaces: Vec<Value> =
        ["pid", "network", "ipc", "uts", "mount"].iter().map(|kind| json!({ "type": kind })).collect();
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": words,
            "env": ["PATH=/"],
            "cwd": "/",
            "noNewPrivileges": false,
        },
        "root": { "path": "rootfs", "readonly": false },
        "hostname": "test",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
            { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"] },
        ],
        "linux": { "namespaces": namespaces },
    })
}

/// The profile as Docker itself would hand it to runc: without what is for other machines or more capabilities.
fn seccomp(capabilities: &[&str]) -> Value {
    let profile: Value = serde_json::from_str(&std::fs::read_to_string(PROFILE).unwrap()).unwrap();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let has = |value: &Value, what: &str| {
        value.as_array().is_some_and(|all| all.iter().any(|one| one.as_str() == Some(what)))
    };
    let capable = |value: &Value| {
        value.as_array().is_none_or(|all| all.iter().all(|one| capabilities.contains(&one.as_str().unwrap())))
    };
    let excluded = |value: &Value| {
        value["caps"].as_array().is_some_and(|all| all.iter().any(|one| capabilities.contains(&one.as_str().unwrap())))
            || has(&value["arches"], architecture)
    };
    let included =
        |value: &Value| capable(&value["caps"]) && (value["arches"].is_null() || has(&value["arches"], architecture));
    let rules = profile["syscalls"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|rule| included(&rule["includes"]) && !excluded(&rule["excludes"]));
    let rules: Vec<Value> = rules
        .map(|rule| {
            let mut kept = json!({ "names": rule["names"], "action": rule["action"] });
            for key in ["args", "errnoRet"] {
                if !rule[key].is_null() {
                    kept[key] = rule[key].clone();
                }
            }
            kept
        })
        .collect();
    json!({ "defaultAction": profile["defaultAction"], "defaultErrnoRet": profile["defaultErrnoRet"], "syscalls": rules })
}
