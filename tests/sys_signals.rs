//! The launcher's own signals. They are a matter of the whole process, so this is no test of the usual harness, which
//! has threads of its own: this program starts itself in other roles.
#![allow(clippy::disallowed_methods, reason = "tests start processes")]

use std::io::{BufRead, BufReader, Lines, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use launcher::core::signal::Signal;
use launcher::sys::signals::Signals;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("read") => read(),
        Some("terminal") => terminal(),
        Some("write") => write(),
        _ => {
            // Whoever started this may ignore it, as nohup(1) does; what is caught here is as usual in what is executed.
            // SAFETY: the handler does nothing.
            unsafe { libc::signal(libc::SIGHUP, nothing as *const () as libc::sighandler_t) };
            signals_come_with_their_senders();
            an_ignored_hangup_stays_ignored();
            the_terminals_signals_are_the_kernels();
            own_writes_are_no_signals();
            println!("sys_signals: 4 passed");
        }
    }
}

extern "C" fn nothing(_: libc::c_int) {}

/// Tells of each signal, until TERM.
fn read() {
    let signals = Signals::take().unwrap();
    println!("up");
    loop {
        let mut fds = [libc::pollfd { fd: signals.fd().as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        // SAFETY: the one entry lives through the call.
        unsafe { libc::poll(fds.as_mut_ptr(), 1, 60_000) };
        while let Some(received) = signals.receive().unwrap() {
            println!("{} {:?} {}", received.signal, received.sender, received.by_kernel);
            if received.signal == Signal::TERM {
                return;
            }
        }
    }
}

/// Writes to a pipe that nobody reads, and tells what is received after that.
fn write() {
    let signals = Signals::take().unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(writer.write(b"x").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    println!("{:?}", signals.receive().unwrap());
}

fn own_writes_are_no_signals() {
    let output = own().arg("write").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "None\n");
}

struct Reader {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Reader {
    fn start(command: &mut Command) -> Reader {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "up");
        Reader { child, lines }
    }

    fn send(&self, signal: &str) {
        let number = signal.parse::<Signal>().unwrap().number();
        // SAFETY: no memory is involved; the child is not reaped.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, number) }, 0);
    }

    fn next(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    fn ended(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

fn own() -> Command {
    Command::new(std::env::current_exe().unwrap())
}

fn signals_come_with_their_senders() {
    let mut reader = Reader::start(own().arg("read"));
    let sender = std::process::id();
    for signal in ["HUP", "INT", "QUIT", "ABRT", "USR1", "USR2", "TSTP", "CONT", "WINCH", "RTMIN+3", "RTMAX", "TERM"] {
        reader.send(signal);
        assert_eq!(reader.next(), format!("SIG{signal} Some({sender}) false"));
    }
    reader.ended();
}

fn an_ignored_hangup_stays_ignored() {
    let mut command = Command::new("sh");
    // The others are not left as they were inherited.
    command.args(["-c", "trap '' HUP INT USR1; exec \"$0\" read"]).arg(std::env::current_exe().unwrap());
    let mut reader = Reader::start(&mut command);
    for signal in ["HUP", "USR1", "INT", "TERM"] {
        reader.send(signal);
    }
    let lines = [reader.next(), reader.next(), reader.next()];
    let names = lines.each_ref().map(|line| line.split(' ').next().unwrap());
    assert_eq!(names.iter().filter(|name| ["SIGUSR1", "SIGINT", "SIGTERM"].contains(name)).count(), 3, "{lines:?}");
    reader.ended();
}

fn the_terminals_signals_are_the_kernels() {
    let output = own().arg("terminal").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Types Ctrl-C on a terminal of its own, in whose foreground a reader is.
fn terminal() {
    // The reader inherits what is ignored here, and reads it all the same.
    // SAFETY: no handler is installed; no memory is involved.
    unsafe {
        libc::setsid();
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP] {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
    let pty = std::mem::ManuallyDrop::new(nix::pty::openpty(None, None).unwrap());
    // SAFETY: makes the terminal this session's own; no memory is involved.
    assert_eq!(unsafe { libc::ioctl(pty.slave.as_raw_fd(), libc::TIOCSCTTY, 0) }, 0);
    let own_group = launcher::sys::terminal::own_group();
    assert_eq!(launcher::sys::terminal::foreground_group(pty.slave.as_fd()).unwrap(), own_group);
    let mut reader = Reader::start(own().arg("read").process_group(own_group));
    let mut keyboard = std::fs::File::from(pty.master.try_clone().unwrap());
    for (key, signal) in [(b"\x03", "SIGINT"), (b"\x1c", "SIGQUIT"), (b"\x1a", "SIGTSTP")] {
        keyboard.write_all(key).unwrap();
        assert_eq!(reader.next(), format!("{signal} None true"));
    }
    reader.send("TERM");
    reader.next();
    reader.ended();
}
