//! A subject that runs.

use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::PATIENCE;
use super::places::{Home, number};
use super::processes::{Processes, TOKEN, descendants, status_field};
use super::reports::Report;
use super::streams::{Source, Streams, pidfd};

/// A subject that runs; when it is dropped, it and all its processes are killed.
pub struct Running {
    process: Child,
    input: Option<OwnedFd>,
    streams: Streams,
    home: Home,
    processes: Processes,
    status: Option<ExitStatus>,
}

/// How a subject ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// All lines of its standard output.
    pub out: Vec<String>,
    /// All lines of its standard error.
    pub err: Vec<String>,
}

/// Starts the command in a session of its own, with a new terminal as its standard streams. Returns the terminal's
/// other side, to type on.
pub fn start_on_terminal(mut command: Command, streams: &mut Streams) -> (Child, OwnedFd) {
    // Not by openpty(3): whoever inherits the master keeps the terminal from going away.
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = nix::pty::posix_openpt(flags).unwrap();
    nix::pty::grantpt(&master).unwrap();
    nix::pty::unlockpt(&master).unwrap();
    let name = nix::pty::ptsname_r(&master).unwrap();
    let master = OwnedFd::from(master);
    let slave = || Stdio::from(nix::fcntl::open(name.as_str(), flags, nix::sys::stat::Mode::empty()).unwrap());
    command.stdin(slave()).stdout(slave()).stderr(slave());
    // SAFETY: setsid(2) and ioctl(2) are async-signal-safe and take no pointers here.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            nix::errno::Errno::result(libc::ioctl(0, libc::TIOCSCTTY, 0))?;
            Ok(())
        });
    }
    let process = command.spawn().unwrap();
    streams.add(Source::Out, master.try_clone().unwrap());
    (process, master)
}

/// What a child does that is to have the terminal: see [`Running::has_the_terminal`].
pub const ON_THE_TERMINAL: [&str; 4] =
    ["on INT both 5 got INT", "print groups {pgid} {foreground} .", "read-line", "wait"];

impl Running {
    pub(super) fn new(process: Child, input: OwnedFd, streams: Streams, home: Home, token: &str) -> Running {
        let processes = Processes::with(token);
        Running { process, input: Some(input), streams, home, processes, status: None }
    }

    /// Another command of the launcher in the folder of this run, on a terminal of its own.
    pub fn on_terminal(&self, words: &[&str]) -> Running {
        let token = format!("{}-{}", std::process::id(), number());
        let mut command = self.command_as(env!("CARGO_BIN_EXE_launcher"), words);
        command.env(TOKEN, &token);
        let mut streams = Streams::default();
        let (process, input) = start_on_terminal(command, &mut streams);
        Running::new(process, input, streams, Home::new(), &token)
    }

    /// The pid of what was started.
    pub fn pid(&self) -> i32 {
        self.process.id() as i32
    }

    /// The folder of this run.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Waits for a line on standard output (or the terminal) that contains the text.
    #[track_caller]
    pub fn out(&mut self, text: &str) -> String {
        self.expect(Source::Out, text)
    }

    /// Waits until a line without an end stands on standard output that is this text.
    #[track_caller]
    pub fn prompt(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        let pidfd = pidfd(self.pid());
        while self.streams.unended(Source::Out) != text {
            let waited = !self.has_ended() && self.streams.wait(pidfd.as_ref(), deadline);
            assert!(waited, "no {text:?} without an end came; there was\n{}", self.streams.show());
        }
    }

    /// Waits for a line on standard error that contains the text.
    #[track_caller]
    pub fn err(&mut self, text: &str) -> String {
        self.expect(Source::Err, text)
    }

    /// The same, also of a line that was passed over while another was waited for.
    #[track_caller]
    pub fn err_ever(&mut self, text: &str) -> String {
        self.streams.drain();
        let before = self.streams.all(Source::Err).into_iter().find(|line| line.contains(text));
        before.unwrap_or_else(|| self.err(text))
    }

    /// Waits for something the child `say`s that contains the text.
    #[track_caller]
    pub fn said(&mut self, text: &str) -> String {
        self.expect(Source::Said, text)
    }

    /// Waits until each of these texts came on standard output, in whatever order.
    #[track_caller]
    pub fn outs(&mut self, texts: &[&str]) {
        self.expect_all(Source::Out, texts);
    }

    /// Waits until the child, or what it forked, said each of these, in whatever order.
    #[track_caller]
    pub fn saids(&mut self, texts: &[&str]) {
        self.expect_all(Source::Said, texts);
    }

    #[track_caller]
    fn expect_all(&mut self, source: Source, texts: &[&str]) {
        let mut missing = texts.to_vec();
        while !missing.is_empty() {
            let wanted = |line: &str| missing.iter().any(|text| line.contains(text));
            match self.next(source, PATIENCE, wanted) {
                Some(line) => missing.retain(|text| !line.contains(text)),
                None => panic!("no lines with {missing:?} came on {source:?}; there was\n{}", self.streams.show()),
            }
        }
    }

    #[track_caller]
    fn expect(&mut self, source: Source, text: &str) -> String {
        match self.next(source, PATIENCE, |line| line.contains(text)) {
            Some(line) => line,
            None => panic!("no line with {text:?} came on {source:?}; there was\n{}", self.streams.show()),
        }
    }

    /// Whether the child says this within a time that is short: for what must *not* happen.
    pub fn says_within(&mut self, text: &str, time: Duration) -> bool {
        self.next(Source::Said, time, |line| line.contains(text)).is_some()
    }

    /// Whether a line with this text comes on standard error within a time.
    pub fn errs_within(&mut self, text: &str, time: Duration) -> bool {
        self.next(Source::Err, time, |line| line.contains(text)).is_some()
    }

    /// The next line that satisfies the condition. `None` when the time is over, or the subject has ended and nothing
    /// more is there.
    fn next(&mut self, source: Source, time: Duration, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + time;
        let pidfd = pidfd(self.pid());
        loop {
            let over = self.has_ended();
            self.streams.drain();
            if let Some(line) = self.streams.take(source, &wanted) {
                return Some(line);
            }
            if over || !self.streams.wait(pidfd.as_ref(), deadline) {
                return None;
            }
        }
    }

    /// The number after this word in a line of standard output: `up 4711`.
    #[track_caller]
    pub fn out_number(&mut self, word: &str) -> i32 {
        let line = self.out(&format!("{word} "));
        number_after(&line, word)
    }

    /// The number after this word in something the child says.
    #[track_caller]
    pub fn said_number(&mut self, word: &str) -> i32 {
        let line = self.said(&format!("{word} "));
        number_after(&line, word)
    }

    /// All lines of standard output up to, and without, the one with this text.
    #[track_caller]
    pub fn out_until(&mut self, text: &str) -> Vec<String> {
        self.out(text);
        let all = self.streams.all(Source::Out);
        let end = all.iter().position(|line| line.contains(text)).unwrap_or(all.len());
        all[..end].to_vec()
    }

    /// All that was written so far, for messages.
    pub fn show(&mut self) -> String {
        self.streams.show()
    }

    /// Writes to its standard input, or types on its terminal.
    #[track_caller]
    pub fn input(&mut self, text: &str) {
        nix::unistd::write(self.input.as_ref().expect("input is open"), text.as_bytes()).unwrap();
    }

    /// Looks whether a child that does [`ON_THE_TERMINAL`] is the terminal's foreground, is typed to, and is sent its Ctrl-C,
    /// which ends it with 5.
    #[track_caller]
    pub fn has_the_terminal(&mut self) {
        let line = self.out("groups ");
        let mut words = line.split_whitespace().skip_while(|word| *word != "groups").skip(1);
        assert_eq!(words.next(), words.next(), "own group and the foreground: {line}");
        self.input("typed\n");
        self.out("read typed");
        self.input("\x03");
        self.out("got INT");
    }

    /// Its terminal, from the other side.
    #[track_caller]
    pub fn terminal(&self) -> std::os::fd::BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(self.input.as_ref().expect("the terminal is open"))
    }

    /// Changes the size of its terminal.
    pub fn resize(&self, columns: u16, rows: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = std::os::fd::AsRawFd::as_raw_fd(self.input.as_ref().expect("the terminal is open"));
        // SAFETY: the kernel reads one structure, which lives through the call.
        assert_eq!(unsafe { libc::ioctl(terminal, libc::TIOCSWINSZ, &raw const size) }, 0);
    }

    /// Closes its standard input.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Its terminal goes away, as when a window is closed.
    pub fn hang_up(&mut self) {
        self.input = None;
        self.streams.close(Source::Out);
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Sends it a signal by number, real-time ones too.
    pub fn signal_number(&self, number: i32) {
        // SAFETY: kill(2) takes no pointers.
        assert_eq!(unsafe { libc::kill(self.pid(), number) }, 0);
    }

    /// Whether it has ended.
    #[track_caller]
    pub fn has_ended(&mut self) -> bool {
        self.status = self.status.or_else(|| self.process.try_wait().unwrap());
        self.status.is_some()
    }

    /// The one process below it that runs the command: the first that is not a copy of the subject itself.
    pub fn below(&self) -> Vec<i32> {
        descendants(self.pid())
    }

    /// Kills the main process of the one service.
    #[track_caller]
    pub fn kill_service(&self) {
        // Children of the launcher are keepers, some of which may have ended; theirs are the services.
        let own = self.pid().to_string();
        let main = self.below().into_iter().find(|pid| status_field(*pid, "PPid").is_some_and(|parent| parent != own));
        let main = main.expect("there is a service");
        kill(Pid::from_raw(main), Signal::SIGKILL).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(&mut self) -> Ended {
        self.ended_within(PATIENCE)
    }

    /// Waits for its end, but not longer than this.
    #[track_caller]
    pub fn ended_within(&mut self, time: Duration) -> Ended {
        let deadline = Instant::now() + time;
        let pidfd = pidfd(self.pid());
        while !self.has_ended() {
            if !self.streams.wait(pidfd.as_ref(), deadline) {
                panic!("it did not end within {time:?}; there was\n{}", self.streams.show());
            }
        }
        self.streams.drain();
        let status = self.status.unwrap();
        Ended {
            code: status.code(),
            signal: status.signal(),
            out: self.streams.all(Source::Out),
            err: self.streams.all(Source::Err),
        }
    }

    /// Waits for its end and checks the code; shows everything when it is another one.
    #[track_caller]
    pub fn ends_with(&mut self, code: i32) -> Ended {
        let ended = self.ended();
        let shown = self.streams.show();
        assert_eq!((ended.code, ended.signal), (Some(code), None), "exit code and signal; there was\n{shown}");
        ended
    }

    /// Checks that no process of this run is left.
    #[track_caller]
    pub fn leaves_nothing(&mut self) {
        let left = self.processes.wait_until_none();
        assert!(left.is_empty(), "these are left: {left:#?}; there was\n{}", self.streams.show());
    }

    /// The reports of a service, the oldest first.
    pub fn reports(&self, service: &str) -> Vec<Report> {
        Report::all(&self.home.join("reports").join(service))
    }

    /// The one report of the scriptable child.
    #[track_caller]
    pub fn report(&mut self) -> Report {
        let mut reports = self.reports("child");
        assert_eq!(reports.len(), 1, "one report; there was\n{}", self.streams.show());
        reports.remove(0)
    }

    /// Waits until the launcher's log says that this service is ready.
    #[track_caller]
    pub fn is_ready(&mut self, service: &str) {
        let wanted = |line: &str| line.contains(service) && line.contains("ready") && !line.contains("not ready");
        let found = self.next(Source::Err, PATIENCE, wanted);
        assert!(found.is_some(), "{service} did not become ready; there was\n{}", self.streams.show());
    }
}

#[track_caller]
fn number_after(line: &str, word: &str) -> i32 {
    let mut words = line.split_whitespace().skip_while(|found| *found != word);
    let number = words.nth(1).and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("a number after {word:?} in {line:?}"))
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        self.processes.kill();
        let _ = self.process.wait();
    }
}

impl Ended {
    /// Whether a line of standard error contains the text.
    pub fn complains(&self, text: &str) -> bool {
        self.err.iter().any(|line| line.contains(text))
    }
}
