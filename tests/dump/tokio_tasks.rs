//! Programs of tokio: what their reactor waits for, and which of their tasks have not ended.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use launcher::core::facts::{FdFacts, FoundBy, ProcessFacts, WaitingOn};

use crate::victim::{blocked_threads, dumped, until};

/// A listener whose queue is full: who connects to it waits.
struct Silent {
    port: u16,
    _listener: socket2::Socket,
    _filler: TcpStream,
}

impl Silent {
    fn start() -> Silent {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let port = listener.local_addr().unwrap().as_socket().unwrap().port();
        let _filler = TcpStream::connect(("127.0.0.1", port)).unwrap();
        Silent { port, _listener: listener, _filler }
    }
}

struct Program(Child);

impl Program {
    /// Starts the example with this kind of runtime, and waits until `count` of its threads are blocked.
    fn start(kind: &str, port: u16, count: usize) -> Program {
        // `cargo test` builds it; with a choice of tests cargo does not.
        let folder = PathBuf::from(env!("CARGO_BIN_EXE_launcher")).with_file_name("examples");
        let program = folder.join("asynchronous");
        assert!(program.is_file(), "`cargo build --example asynchronous` makes {}", program.display());
        Program::run(&program, kind, port, count)
    }

    fn run(program: &Path, kind: &str, port: u16, count: usize) -> Program {
        let mut command = Command::new(program);
        command.args([kind, &port.to_string()]).stdout(Stdio::piped()).stdin(Stdio::null());
        let mut program = Program(command.spawn().unwrap());
        let mut line = String::new();
        BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        until(|| blocked_threads(program.0.id() as i32) >= count);
        program
    }

    fn dumped(&self) -> ProcessFacts {
        dumped(self.0.id() as i32)
    }

    /// A dump once no task is about to be polled.
    fn settled(&self) -> ProcessFacts {
        let mut process = self.dumped();
        until(|| {
            let settled = process.tasks.iter().all(|task| task.state.starts_with("pending"));
            if !settled {
                process = self.dumped();
            }
            settled
        });
        process
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_reactor_of_tokio_shows_the_connection_that_is_pending() {
    for (kind, threads) in [("current", 1), ("multi", 3)] {
        let silent = Silent::start();
        let program = Program::start(kind, silent.port, threads);
        let pending = |process: &ProcessFacts| {
            process
                .threads
                .iter()
                .filter_map(|thread| match thread.waiting_on.as_ref()? {
                    WaitingOn::Poll { call, watched, .. } if call == "epoll_wait" => {
                        Some((thread.clone(), watched.clone()))
                    }
                    _ => None,
                })
                .next()
        };
        // A thread may rest on its way to where it waits, too.
        let mut process = program.dumped();
        until(|| {
            let there = pending(&process).is_some();
            if !there {
                process = program.dumped();
            }
            there
        });
        let (thread, watched) = pending(&process).unwrap();
        let address = format!("127.0.0.1:{}", silent.port);
        let connecting = watched.iter().find_map(|watched| match &watched.what {
            FdFacts::Socket(socket) if socket.peer.as_ref() == Some(&address) => Some(socket),
            _ => None,
        });
        let socket = connecting.unwrap_or_else(|| panic!("{kind}: {watched:#?}"));
        assert_eq!(socket.state, "syn-sent");
        assert!(socket.peer_listener.as_ref().is_some_and(|listener| listener.queued > listener.backlog));
        let text = thread.syscall.unwrap();
        assert!(text.contains(&format!("connecting to {address}")), "{kind}: {text}");
        assert_eq!(process.paused_ms, 0.0);
    }
}

/// Function and state of each task, and how many there are of that.
fn tasks(process: &ProcessFacts) -> BTreeMap<(String, String), usize> {
    let mut tasks = BTreeMap::new();
    for task in &process.tasks {
        let [frame] = &task.frames[..] else { panic!("{task:#?}") };
        assert_eq!((frame.found, frame.language.as_deref()), (FoundBy::Runtime, Some("rust")), "{task:#?}");
        let function = frame.function.clone().unwrap_or_default();
        *tasks.entry((function, task.state.clone())).or_default() += 1;
    }
    tasks
}

#[test]
fn tasks_that_have_not_ended_are_told_by_what_they_run() {
    let expected = |tasks: &[(&str, &str, usize)]| {
        let task =
            |(function, state, count): &(&str, &str, usize)| (((*function).to_owned(), (*state).to_owned()), *count);
        tasks.iter().map(task).collect::<BTreeMap<_, _>>()
    };
    for (kind, threads) in [("current", 1), ("multi", 3)] {
        let silent = Silent::start();
        let program = Program::start(kind, silent.port, threads);
        let process = program.settled();
        let wanted = [
            ("asynchronous::load_settings::{closure#0}", "pending, awaited", 1),
            ("asynchronous::tick::{closure#0}", "pending", 1),
            ("asynchronous::wait_for_a_word::{closure#0}", "pending", 2),
            ("asynchronous::wait_for_a_word::{closure#0}", "pending, awaited", 1),
            ("<core::future::pending::Pending<()> as core::future::future::Future>::poll", "pending", 1),
        ];
        assert_eq!(tasks(&process), expected(&wanted), "{kind}: {:#?}", process.tasks);
        let ids: Vec<u64> = process.tasks.iter().map(|task| task.id).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]) && ids.iter().all(|id| *id < 100), "{ids:?}");
        // Where its function begins.
        let source = std::fs::read_to_string("tests/dump/victims/asynchronous.rs").unwrap();
        let begins = source.lines().position(|line| line.starts_with("async fn tick()")).unwrap() as u32 + 1;
        let tick = process
            .tasks
            .iter()
            .map(|task| &task.frames[0])
            .find(|frame| frame.function.as_ref().unwrap().contains("tick"));
        let tick = tick.unwrap();
        assert!(tick.file.as_ref().unwrap().ends_with("victims/asynchronous.rs"), "{tick:?}");
        assert_eq!((tick.line, tick.near), (Some(begins), true));
        assert_eq!((process.dump_error, process.paused_ms), (None, 0.0));
    }
    let program = Program::start("local", 0, 1);
    let wanted = [("asynchronous::wait_for_a_word::{closure#0}", "pending, awaited", 1)];
    assert_eq!(tasks(&program.settled()), expected(&wanted));
}

#[test]
fn without_symbols_no_task_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let stripped = folder.path().join("asynchronous");
    let program = PathBuf::from(env!("CARGO_BIN_EXE_launcher")).with_file_name("examples").join("asynchronous");
    let strip = Command::new("objcopy").arg("--strip-all").arg(&program).arg(&stripped).status();
    assert!(strip.unwrap().success());
    let program = Program::run(&stripped, "local", 0, 1);
    let process = program.dumped();
    assert!(process.tasks.is_empty(), "{:#?}", process.tasks);
    assert_eq!(process.dump_error, None);
}
