//! Folders, addresses and tools for one test.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::subject::child;
use launcher::sys::sock_diag::{Filter, Protocol, State, inet_sockets};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A number that no other test of this run has.
pub fn number() -> u32 {
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// A folder of its own for one test, gone with it.
pub struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    /// Makes one, open to every user, since some tests run programs as another one.
    pub fn new() -> Home {
        let folder = tempfile::Builder::new().prefix("launcher-test-").tempdir().unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).unwrap();
        std::fs::create_dir(folder.path().join("runtime")).unwrap();
        Home { folder }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The user's runtime directory (`XDG_RUNTIME_DIR`), where control sockets are.
    pub fn runtime(&self) -> PathBuf {
        self.join("runtime")
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in it and says where it is.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The text of a launcher.toml whose reports are kept in it; `CHILD` stands for the scriptable child.
    pub fn settings(&self, text: &str) -> String {
        let text = text.replace("CHILD", &child().display().to_string());
        format!("[launcher]\nreport_dir = {:?}\n{text}", self.join("reports"))
    }

    /// Writes an executable file in it and says where it is.
    pub fn write_program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.write(name, text);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    /// Makes a FIFO in it and says where it is.
    pub fn fifo(&self, name: &str) -> PathBuf {
        let path = self.join(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
        path
    }
}

/// A loopback address that nobody else uses: 127.0.0.0/8 is large enough for one IP a test, so that tests at the same
/// time, and whatever else runs on the machine, do not meet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

impl Address {
    /// An address of its own.
    pub fn new() -> Address {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let [_, _, a, b] = std::process::id().to_be_bytes();
        // A thousand of them before one comes again, which another test may still use.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let block = (number / 250 % 4) as u8;
        let host = Ipv4Addr::new(127, 0x80 | (a & 0x1f) << 2 | block, b, (number % 250 + 2) as u8);
        Address(SocketAddr::new(IpAddr::V4(host), 8080))
    }

    /// Another port of the same host.
    pub fn with_port(self, port: u16) -> Address {
        Address(SocketAddr::new(self.0.ip(), port))
    }
}

impl Address {
    /// Waits until nobody listens here. What another test is just starting holds a listener of this program, too, until it
    /// executes.
    #[track_caller]
    pub fn gets_free(self) {
        super::until("nobody listens", || TcpStream::connect(self.0).is_err());
    }
}

/// A port that no other test has and that the kernel gives to nobody by itself (`ip_local_port_range`): for addresses that
/// others may use, too, as `localhost` and the wildcard. Tests in other processes begin elsewhere, and what they have is
/// left out.
pub fn own_port() -> u16 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id() * 97 + NUMBER.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (number % 12_000) as u16;
        let filter = Filter { protocol: Protocol::Tcp, port: Some(port), states: State::ALL, details: false };
        // Not by a bind: what is bound for a moment may be held longer by what another test is just starting.
        if inet_sockets(&filter).unwrap().is_empty() {
            return port;
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a tool is on PATH.
pub fn have(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// Whether all these tools are there. When one is missing the test is skipped and says so, but not where `CI` is set:
/// there it fails.
pub fn needs(tools: &[&str]) -> bool {
    let missing: Vec<&&str> = tools.iter().filter(|tool| !have(tool)).collect();
    if missing.is_empty() {
        return true;
    }
    let why = format!("needs {missing:?}, which tests/setup installs");
    assert!(std::env::var("CI").is_err(), "{why}");
    println!("skipped: {why}");
    false
}
