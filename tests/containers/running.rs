//! A container that runs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// What runc and a busy machine may add to a time.
pub const SLACK: Duration = Duration::from_secs(4);

/// It is killed and removed with this.
pub struct Running {
    folder: tempfile::TempDir,
    id: String,
    runc: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    pub fn new(folder: tempfile::TempDir, id: String) -> Running {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = Command::new("runc");
        command.args(["run", "--pid-file"]).arg(folder.path().join("pid")).arg("--bundle").arg(folder.path()).arg(&id);
        command.stdin(Stdio::null()).stdout(writer.try_clone().unwrap()).stderr(writer);
        let runc = command.spawn().unwrap();
        drop(command);
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        Running { folder, id, runc, lines, seen: Vec::new() }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for a line, of the program or of launcher, that has this in it.
    #[track_caller]
    pub fn line(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.seen.iter().any(|line| line.contains(text)) {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("no {text:?} in {:#?}", self.seen)
                }
            }
        }
    }

    /// The container's first process, as the machine sees it.
    fn pid(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(self.folder.path().join("pid")).unwrap_or_default();
            if let Ok(pid) = text.parse() {
                return pid;
            }
            assert!(
                Instant::now() < deadline && self.runc.try_wait().unwrap().is_none(),
                "runc has started nothing: {:#?}",
                self.lines.try_iter().collect::<Vec<_>>()
            );
            std::thread::yield_now();
        }
    }

    /// Waits until launcher has taken over its signals: before that the kernel throws a TERM to PID 1 away.
    pub fn takes_signals(&mut self) {
        let status = format!("/proc/{}/status", self.pid());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = |key: &str| text.lines().find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()));
            let blocked = line("SigBlk:").and_then(|set| u64::from_str_radix(&set, 16).ok()).unwrap_or(0);
            if line("Name:").as_deref() == Some("launcher") && blocked >> (libc::SIGTERM - 1) & 1 == 1 {
                return;
            }
            assert!(Instant::now() < deadline, "launcher does not come up: {text}");
            std::hint::spin_loop();
        }
    }

    pub fn kill(&mut self, signal: i32) {
        let pid = self.pid();
        // SAFETY: kill(2) takes no pointers. The process is held by runc, which has not been waited for.
        unsafe { libc::kill(pid, signal) };
    }

    /// What was written so far.
    pub fn written(&mut self) -> &[String] {
        self.seen.extend(self.lines.try_iter());
        &self.seen
    }

    /// Asks for something by HTTP in the container's network: the answer.
    #[track_caller]
    pub fn ask(&mut self, address: &str) -> String {
        let network = std::fs::File::open(format!("/proc/{}/ns/net", self.pid())).unwrap();
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                // Of this thread alone.
                nix::sched::setns(&network, nix::sched::CloneFlags::CLONE_NEWNET)?;
                let mut stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer)?;
                Ok::<String, std::io::Error>(answer)
            });
            asking.join().unwrap().unwrap_or_else(|error| panic!("{error}: {:#?}", self.seen))
        })
    }

    /// Waits until this is there, in the container's folder on the machine.
    #[track_caller]
    pub fn has(&mut self, name: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.folder().join(name).exists() {
            assert!(Instant::now() < deadline, "there is no {name}: {:#?}", self.written());
            std::thread::yield_now();
        }
    }

    /// Runs another command in the container, as its first process does; what it complains of when it does not succeed.
    pub fn executes(&mut self, words: &[&str]) -> Result<(), String> {
        let output = Command::new("runc").arg("exec").arg(&self.id).args(words).output().unwrap();
        let complaint = || String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(complaint()) }
    }

    /// Kills the service's main process.
    pub fn kill_service(&mut self) {
        let is_service = |pid: &i32| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command.starts_with(b"/child\0")
        };
        let service = self.processes().into_iter().find(is_service).expect("there is a service");
        // SAFETY: kill(2) takes no pointers.
        unsafe { libc::kill(service, libc::SIGKILL) };
    }

    /// Every process in the container.
    pub fn processes(&mut self) -> Vec<i32> {
        let output = Command::new("runc").args(["ps", "--format", "json", &self.id]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Waits for its end, which has to come within this time; its exit code.
    #[track_caller]
    pub fn ended(&mut self, limit: Duration) -> i32 {
        let asked = Instant::now();
        loop {
            if let Some(status) = self.runc.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            self.seen.extend(self.lines.try_iter());
            assert!(asked.elapsed() < limit, "it still runs after {limit:?}: {:#?}", self.seen);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("runc").args(["delete", "--force", &self.id]).output();
        let _ = self.runc.kill();
        let _ = self.runc.wait();
    }
}
