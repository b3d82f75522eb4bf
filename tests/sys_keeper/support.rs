//! What the tests of the keeper share.

use std::ffi::CString;
use std::fs::File;
use std::io::{PipeReader, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio as CommandStdio};
use std::time::{Duration, Instant};

use launcher::core::exit::Ending;
use launcher::sys::keeper::{Keeper, Message, SpawnPlan, Stdio};

/// Nothing that is waited for here takes longer, on however busy a machine.
pub const LIMIT: Duration = Duration::from_secs(60);

pub fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// A plan for `sh -c SCRIPT` whose standard input is /dev/null.
pub fn shell(script: &str) -> SpawnPlan {
    let mut plan = SpawnPlan::new(c("/bin/sh"), vec![c("sh"), c("-c"), c(script)]);
    plan.envp = vec![c("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").into()];
    plan.stdio[0] = Stdio::Null;
    plan
}

/// Gives the plan a pipe for its output.
pub fn with_output(plan: &mut SpawnPlan) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    plan.stdio[1] = Stdio::Fd(writer.into());
    Output { reader, read: Vec::new() }
}

/// What a process and those below it write. Its end comes when none of them is left.
pub struct Output {
    reader: PipeReader,
    read: Vec<u8>,
}

impl Output {
    pub fn of(child: &mut Child) -> Output {
        let file: OwnedFd = child.stdout.take().unwrap().into();
        Output { reader: file.into(), read: Vec::new() }
    }

    fn more(&mut self) -> bool {
        wait_readable(self.reader.as_fd());
        let mut buffer = [0; 4096];
        let count = self.reader.read(&mut buffer).unwrap();
        self.read.extend_from_slice(&buffer[..count]);
        count > 0
    }

    /// The next line.
    pub fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line = self.read.drain(..=end).collect::<Vec<_>>();
                return String::from_utf8(line).unwrap().trim_end().to_owned();
            }
            assert!(self.more(), "the output ended instead of a line");
        }
    }

    /// The next line that was marked, without the mark that tells it from the lines of the test harness.
    pub fn told(&mut self) -> String {
        loop {
            if let Some((_, text)) = self.line().split_once('@') {
                return text.to_owned();
            }
        }
    }

    /// The rest, once nobody is left who could write more.
    pub fn rest(mut self) -> String {
        while self.more() {}
        String::from_utf8(self.read).unwrap()
    }
}

pub fn wait_readable(fd: BorrowedFd<'_>) {
    let mut fds = [libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
    let end = Instant::now() + LIMIT;
    loop {
        let left = end.saturating_duration_since(Instant::now()).as_millis() as i32;
        // SAFETY: the one entry lives through the call.
        match unsafe { libc::poll(fds.as_mut_ptr(), 1, left) } {
            -1 => {}
            0 => panic!("nothing came within {LIMIT:?}"),
            _ => return,
        }
    }
}

/// The keeper's next message.
pub fn next(keeper: &Keeper) -> Message {
    loop {
        wait_readable(keeper.fd());
        if let Some(message) = keeper.receive() {
            return message;
        }
    }
}

pub fn start(plan: SpawnPlan) -> Keeper {
    Keeper::start(plan).unwrap()
}

/// Waits until the main process is executed: its pid.
pub fn spawned(keeper: &Keeper) -> i32 {
    match next(keeper) {
        Message::Spawned { pid } => pid,
        other => panic!("{other:?} instead of Spawned"),
    }
}

/// Waits for the end of the main process: how it ended.
pub fn exited(keeper: &Keeper) -> Ending {
    match next(keeper) {
        Message::Exited { ending: Some(ending), .. } => ending,
        other => panic!("{other:?} instead of Exited"),
    }
}

pub fn gone(keeper: &Keeper) {
    assert_eq!(next(keeper), Message::Gone);
    assert_eq!(keeper.pid(), None);
}

/// Runs the plan to its end: how it ended, and what it wrote.
pub fn run(mut plan: SpawnPlan) -> (Ending, String) {
    let output = with_output(&mut plan);
    let keeper = start(plan);
    spawned(&keeper);
    let ending = exited(&keeper);
    gone(&keeper);
    (ending, output.rest())
}

pub fn is_root() -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::geteuid() == 0 }
}

/// Has this test program play a part (see `roles`) in a process of its own, below the command line `wrapper`.
pub fn play(wrapper: &[&str], role: &str) -> Child {
    let own = std::env::current_exe().unwrap();
    let mut words = wrapper.iter().map(Into::into).chain([own.into_os_string()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["--exact", "roles::play", "--nocapture", "--test-threads=1"]);
    command.env("KEEPER_ROLE", role).stdin(CommandStdio::piped()).stdout(CommandStdio::piped()).spawn().unwrap()
}

/// Has a part played to its end: what it told, one line each.
pub fn play_through(wrapper: &[&str], role: &str) -> Vec<String> {
    let mut child = play(wrapper, role);
    let text = Output::of(&mut child).rest();
    assert!(child.wait().unwrap().success(), "{role}: {text}");
    text.lines().filter_map(|line| line.split_once('@')).map(|(_, told)| told.to_owned()).collect()
}

/// The numbers of this process's open descriptors.
pub fn open_fds() -> usize {
    // The directory itself is one.
    std::fs::read_dir("/proc/self/fd").unwrap().count() - 1
}

/// One field of a process's status.
/// Waits until a keeper has let go of what it does not need, which it does beside the start of the service: the last of
/// it is its name. Its pid.
pub fn settled(keeper: &Keeper) -> i32 {
    let pid = keeper.pid().unwrap();
    let end = Instant::now() + LIMIT;
    while status_field(pid, "Name").as_deref() != Some("launcher-keeper") {
        assert!(Instant::now() < end, "the keeper has no name of its own within {LIMIT:?}");
        std::thread::yield_now();
    }
    pid
}

pub fn status_field(pid: i32, field: &str) -> Option<String> {
    let mut text = String::new();
    File::open(format!("/proc/{pid}/status")).ok()?.read_to_string(&mut text).ok()?;
    text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(|value| value.trim().to_owned())
}
