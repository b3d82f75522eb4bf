//! One systemd for all tests of this suite.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A booted systemd.
pub struct Machine {
    /// Its PID 1, as this machine sees it.
    leader: i32,
    folder: tempfile::TempDir,
    /// Kills the machine when this process is gone, however that ends.
    _guard: ChildStdin,
    _nspawn: Mutex<Child>,
}

/// The machine, booted by the first test that asks for it. `None` when none can be booted here.
pub fn machine() -> Option<&'static Machine> {
    static MACHINE: OnceLock<Option<Machine>> = OnceLock::new();
    MACHINE.get_or_init(|| boot(None)).as_ref()
}

/// One whose systemd has `Type=notify-reload` (253): this machine's own, or that of a folder which is laid over its /usr.
pub fn newer_machine() -> Option<&'static Machine> {
    static MACHINE: OnceLock<Option<Machine>> = OnceLock::new();
    if version().is_some_and(|version| version >= 253) {
        return machine();
    }
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/launcher-tests");
    let cache = std::env::var_os("LAUNCHER_TEST_CACHE").map_or_else(home, PathBuf::from);
    let usr = cache.join("systemd/usr");
    if !usr.is_dir() {
        println!("skipped: needs systemd 253 or newer, which tests/setup fetches on Debian 12");
        return None;
    }
    MACHINE.get_or_init(|| boot(Some(usr))).as_ref()
}

/// That of this machine's systemd.
fn version() -> Option<u32> {
    let output = Command::new("systemctl").arg("--version").output().ok()?;
    String::from_utf8_lossy(&output.stdout).split_whitespace().nth(1)?.parse().ok()
}

fn boot(over: Option<PathBuf>) -> Option<Machine> {
    let there = Command::new("systemd-nspawn").arg("--version").output().is_ok_and(|output| output.status.success());
    if !nix::unistd::geteuid().is_root() || !there {
        let why = "a systemd can be booted by root alone, with systemd-nspawn, which tests/setup installs";
        assert!(std::env::var("CI").is_err(), "{why}");
        println!("skipped: {why}");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("units")).unwrap();
    let launcher = PathBuf::from(env!("CARGO_BIN_EXE_launcher"));
    let child = launcher.with_file_name("examples").join("child");
    for program in [&launcher, &child] {
        std::fs::copy(program, folder.path().join(program.file_name().unwrap())).unwrap();
    }
    // Users without privilege are to execute them.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let which = if over.is_some() { "newer" } else { "own" };
    let name = format!("launcher-test-{}-{which}", std::process::id());
    let cgroups: Vec<PathBuf> = ["systemd", "unified"]
        .iter()
        .map(|hierarchy| PathBuf::from("/sys/fs/cgroup").join(hierarchy))
        .filter(|path| path.is_dir())
        .map(|path| path.join(&name))
        .collect();
    let nspawn = start(&folder, over.as_deref(), &name, &cgroups);
    let leader = wait_for_leader(nspawn.id() as i32);
    let guard = guard(leader, &cgroups);
    let machine = Machine { leader, folder, _guard: guard, _nspawn: Mutex::new(nspawn) };
    let deadline = Instant::now() + PATIENCE;
    while !machine.shell("systemctl is-active basic.target").status.success() {
        assert!(Instant::now() < deadline, "systemd does not come up");
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(machine)
}

/// Where this machine's cgroups are of version 1, systemd gets its own below: it must not write into the machine's.
fn start(folder: &tempfile::TempDir, over: Option<&Path>, name: &str, cgroups: &[PathBuf]) -> Child {
    let mut command = match over {
        None => Command::new("systemd-nspawn"),
        Some(usr) => {
            // In a mount namespace of its own, with which the mount goes; and without a fork.
            let script = "mount -t overlay launcher-test -o ro,lowerdir=$1:/usr $2/usr && shift 2 && exec \"$@\"";
            let tree = folder.path().join("tree");
            std::fs::create_dir_all(tree.join("usr")).unwrap();
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-ec", script, "sh"]).arg(usr).arg(tree).arg("systemd-nspawn");
            command
        }
    };
    let root = over.map_or(PathBuf::from("/"), |_| folder.path().join("tree"));
    command.arg("--directory").arg(root);
    command.args(["-q", "-b", "--volatile=yes", "--register=no", "--keep-unit", "--private-network"]);
    command.args(["--console=passive", &format!("--machine={name}")]);
    command.arg(format!("--bind-ro={}:/tb", folder.path().display()));
    command.args(["systemd.firstboot=off", "systemd.unit=basic.target"]);
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let files: Vec<PathBuf> = cgroups.iter().map(|path| path.join("cgroup.procs")).collect();
    for path in cgroups {
        std::fs::create_dir(path).unwrap();
    }
    let opened: Vec<_> = files.iter().map(|file| std::fs::OpenOptions::new().write(true).open(file).unwrap()).collect();
    // SAFETY: write(2) is async-signal-safe, and the descriptors are open.
    unsafe {
        command.pre_exec(move || {
            use std::io::Write as _;
            opened.iter().try_for_each(|mut file| file.write_all(b"0"))
        });
    }
    command.spawn().unwrap()
}

fn wait_for_leader(nspawn: i32) -> i32 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let children = std::fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children")).unwrap_or_default();
        // Its first child lives on the outside, until it has made the one that is PID 1 inside.
        let inside = |pid: &i32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.lines().any(|line| line.starts_with("NSpid:") && line.split_whitespace().nth(2) == Some("1"))
        };
        if let Some(leader) = children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(inside) {
            return leader;
        }
        assert!(Instant::now() < deadline, "systemd-nspawn has started nothing");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Killing systemd-nspawn alone may leave its systemd alive: PID 1 of the namespace takes everything with it.
fn guard(leader: i32, cgroups: &[PathBuf]) -> ChildStdin {
    let script = r#"leader=$1; shift; cat >/dev/null; kill -9 $leader
        for try in 1 2 3 4 5 6 7 8 9 10; do
          find "$@" -depth -type d -exec rmdir {} \; 2>/dev/null && break; sleep 0.1
        done"#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "guard", &leader.to_string()]).args(cgroups).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap().stdin.take().unwrap()
}

impl Machine {
    /// Writes a file that is `/tb/units/NAME` inside.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join("units").join(name), text).unwrap();
    }

    /// Adds a unit. systemd finds new ones by itself, and is not told to reload all: what others have asked for by
    /// EXTEND_TIMEOUT_USEC= is forgotten by that (252).
    pub fn add(&self, name: &str, text: &str) {
        self.write(name, text);
        self.run(&format!("mkdir -p /run/systemd/system && cp /tb/units/{name} /run/systemd/system/"));
    }

    fn shell(&self, script: &str) -> std::process::Output {
        let leader = self.leader.to_string();
        Command::new("nsenter").args(["-t", &leader, "-a", "bash", "-c", script]).output().unwrap()
    }

    /// Runs a script inside, which must succeed, and gives what it wrote.
    #[track_caller]
    pub fn run(&self, script: &str) -> String {
        let output = self.shell(script);
        let written = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{script}: {} {written}", String::from_utf8_lossy(&output.stderr));
        written
    }

    /// Waits until a command succeeds inside, which is written without single quotes.
    #[track_caller]
    pub fn comes_about(&self, command: &str) {
        self.run(&format!("timeout {} sh -c 'until {command}; do sleep 0.05; done'", PATIENCE.as_secs()));
    }

    /// Runs systemctl, which must succeed.
    #[track_caller]
    pub fn systemctl(&self, words: &str) {
        if let Err(why) = self.try_systemctl(words) {
            let unit = words.rsplit(' ').next().unwrap_or_default();
            panic!("systemctl {words}: {why}\n{}", self.journal(unit));
        }
    }

    /// Runs systemctl.
    pub fn try_systemctl(&self, words: &str) -> Result<(), String> {
        let output = self.shell(&format!("timeout -s KILL 60 systemctl {words}"));
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    /// Whether a file is there, inside.
    pub fn exists(&self, path: &str) -> bool {
        self.shell(&format!("test -e {path}")).status.success()
    }

    /// One property of a unit.
    #[track_caller]
    pub fn property(&self, unit: &str, name: &str) -> String {
        self.run(&format!("systemctl show --value -p {name} {unit}")).trim().to_owned()
    }

    /// Waits until a property has this value.
    #[track_caller]
    pub fn until(&self, unit: &str, name: &str, value: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.property(unit, name) != value {
            assert!(Instant::now() < deadline, "{name} is {:?}\n{}", self.property(unit, name), self.journal(unit));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the unit, and systemd about it, wrote to the journal.
    pub fn journal(&self, unit: &str) -> String {
        let script = format!("journalctl --sync; journalctl --no-pager -o cat -u {unit}");
        String::from_utf8_lossy(&self.shell(&script).stdout).into_owned()
    }
}
