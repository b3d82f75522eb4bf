//! What a service that hangs was waiting for: each cause with a real hang (DESIGN §8).

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use crate::deadline::SHORT;
use crate::support::*;

/// Runs the child until its deadline and gives the report.
#[track_caller]
fn hang<S: AsRef<str>>(setup: Setup, steps: impl IntoIterator<Item = S>) -> Report {
    let mut run = setup.flags(SHORT).child(steps);
    run.ends_with(124);
    run.leaves_nothing();
    run.report()
}

/// Checks cause and confidence, and that the verdict names something.
#[track_caller]
fn is(report: &Report, cause: &str, names: &str) {
    assert_eq!(report.cause(), cause, "{:#}", report.0);
    let verdict = report.verdict();
    assert!(verdict.contains(names), "{names:?} in {:#}", report.0["verdict"]);
    assert!(!report.list("/verdict/evidence").is_empty(), "evidence: {verdict}");
}

/// A listener whose queue, which has room for one, is full: the next connection is not answered. The one is kept with it.
fn full_listener(address: SocketAddr) -> (OwnedFd, TcpStream) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(0).unwrap();
    let kept = TcpStream::connect(address).unwrap();
    let queued = || {
        let all = launcher::sys::sock_diag::listeners(address.port()).unwrap();
        all.into_iter().find(|listener| listener.local == address).unwrap().receive_queue
    };
    until("one is queued", || queued() == 1);
    (socket.into(), kept)
}

#[test]
fn connect_wait_with_the_address() {
    let address = Address::new();
    let _full = full_listener(address.0);
    let report = hang(launcher(), [format!("connect {address}")]);
    is(&report, "connect-wait", &address.to_string());
    assert_eq!(report.text("/verdict/target"), address.to_string());
    assert_eq!(report.text("/verdict/confidence"), "certain");
    let thread = &report.list("/processes")[0]["threads"][0];
    assert!(thread["syscall"].as_str().unwrap().contains(&address.to_string()), "{thread:#}");
}

#[test]
fn connect_wait_of_a_python_program() {
    if needs(&["python3"]) {
        let address = Address::new();
        let _full = full_listener(address.0);
        let code = format!("import socket\nsocket.create_connection(('{}', 8080))\n", address.0.ip());
        // Time for its start, on a machine that does other things.
        let flags = ["--ready", "notify", "--start-timeout", "3s", "--name", "child"];
        let mut run = launcher().flags(flags).command(["python3", "-c", &code]);
        run.ends_with(124);
        is(&run.report(), "connect-wait", &address.to_string());
    }
}

#[test]
fn connect_retry_with_the_address() {
    let address = Address::new();
    // It sleeps for most of the time, on a machine that does other things, too: one that is awake just then is not followed.
    let report = hang(launcher(), [format!("retry {address} 300")]);
    is(&report, "connect-retry", "");
}

#[test]
fn reply_wait_with_the_peer() {
    let address = Address::new();
    let _silent = TcpListener::bind(address.0).unwrap();
    let report = hang(launcher(), [format!("ask {address}")]);
    is(&report, "reply-wait", &address.to_string());
}

#[test]
fn input_wait_on_a_fifo_without_a_writer() {
    let setup = launcher();
    let fifo = setup.home().fifo("input").display().to_string();
    let report = hang(setup, [format!("read-file {fifo}")]);
    is(&report, "input-wait", &fifo);
}

#[test]
fn input_wait_on_standard_input() {
    let report = hang(launcher(), ["read-line"]);
    is(&report, "input-wait", "");
}

#[test]
fn file_lock_wait_with_the_holder() {
    let setup = launcher();
    let path = setup.home().join("lock");
    let file = std::fs::File::create(&path).unwrap();
    file.lock().unwrap();
    let report = hang(setup, [format!("lock-file {}", path.display())]);
    is(&report, "file-lock-wait", &path.display().to_string());
    assert!(report.verdict().contains(&std::process::id().to_string()), "the holder: {}", report.verdict());
}

#[test]
fn child_wait_is_followed_into_the_child() {
    let setup = launcher();
    let fifo = setup.home().fifo("input").display().to_string();
    let report = hang(setup, ["fork".to_owned(), format!("read-file {fifo}"), "end".into(), "wait-child".into()]);
    let whole = format!("{}{}", report.verdict(), report.0["alternatives"]);
    assert!(whole.contains("child-wait"), "{whole}");
    assert!(report.verdict().contains(&fifo), "what the child's child waits for: {}", report.verdict());
    assert_eq!(report.list("/processes").len(), 2);
}

#[test]
fn busy_loop_with_the_hottest_function() {
    // Time to be given a CPU on a machine that does other things.
    let mut run = launcher().flags(["--ready", "notify", "--start-timeout", "1500ms"]).child(["busy"]);
    run.ends_with(124);
    is(&run.report(), "busy-loop", "spin");
}

#[test]
fn event_loop_idle_of_python_and_node() {
    let programs = [
        ["python3", "-c", "import asyncio\nasyncio.new_event_loop().run_forever()"],
        ["node", "-e", "setInterval(() => {}, 1e9)"],
    ];
    for words in programs {
        if needs(&words[..1]) {
            let address = Address::new().to_string();
            // Time for its start: what it is idle after.
            let flags = ["--name", "child", "--ready", "listen", "--start-timeout", "4s", "--port", &address];
            let mut run = launcher().flags(flags).command(words);
            run.ends_with(124);
            is(&run.report(), "event-loop-idle", "");
        }
    }
}

#[test]
fn stopped_by_a_signal() {
    let report = hang(launcher(), ["stop-self"]);
    is(&report, "stopped", "");
}

#[test]
fn listening_elsewhere_with_both_addresses() {
    let (declared, other) = (Address::new(), Address::new());
    let flags = ["--ready", "listen", "--start-timeout", "1s", "--port", &declared.to_string()];
    let mut run = launcher().flags(flags).child([format!("listen {other}"), "serve".into()]);
    run.ends_with(124);
    let report = run.report();
    is(&report, "listening-elsewhere", &other.to_string());
    is(&report, "listening-elsewhere", &declared.to_string());
}

#[test]
fn listening_but_not_ready() {
    let address = Address::new();
    let setup = launcher().flags(["--port", &address.to_string()]);
    let report = hang(setup, [format!("listen {address}"), "serve".into()]);
    is(&report, "listening-not-ready", "READY=1");
}

#[test]
fn nothing_is_guessed_where_nothing_is_shown() {
    let mut run = launcher().flags(SHORT).flags(["--name", "child"]).command(["sleep", "1000"]);
    run.ends_with(124);
    let report = run.report();
    is(&report, "unknown", "nothing shows what it waits for");
    assert_eq!(report.text("/verdict/confidence"), "possible");
}

/// Builds a C program, runs it until its deadline, and gives the report.
fn hang_of_c(name: &str, code: &str) -> Report {
    let setup = launcher().flags(SHORT).flags(["--name", "child"]);
    let source = setup.home().write(&format!("{name}.c"), code);
    let program = setup.home().join(name);
    let built = std::process::Command::new("gcc")
        .args(["-g", "-O0", "-pthread", "-o"])
        .args([&program, &source])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let mut run = setup.command([program]);
    run.ends_with(124);
    run.report()
}

#[test]
fn lock_wait_with_the_holder_and_what_that_does() {
    if needs(&["gcc"]) {
        let report = hang_of_c("held", HELD);
        is(&report, "lock-wait", "keeps_the_lock");
        let line = HELD.lines().position(|line| line.contains("/* waits */")).unwrap() + 1;
        let frame = &report.0["verdict"]["frame"];
        assert_eq!((frame["function"].as_str(), frame["line"].as_u64()), (Some("main"), Some(line as u64)), "{frame}");
        assert!(report.verdict().contains("reads a pipe"), "what the holder does: {:#}", report.0["verdict"]);
    }
}

/// A thread keeps a mutex and waits for something else.
const HELD: &str = r"
#include <pthread.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t both;
static int ends[2];

static void *keeps_the_lock(void *unused) {
    char byte;
    pthread_mutex_lock(&lock);
    pthread_barrier_wait(&both);
    read(ends[0], &byte, 1);
    return unused;
}

int main(void) {
    pthread_t holder;
    pipe(ends);
    pthread_barrier_init(&both, 0, 2);
    pthread_create(&holder, 0, keeps_the_lock, 0);
    pthread_barrier_wait(&both);
    pthread_mutex_lock(&lock); /* waits */
    return 0;
}
";

#[test]
fn lock_cycle_with_both_threads_functions_and_lines() {
    if needs(&["gcc"]) {
        let report = hang_of_c("cycle", CYCLE);
        is(&report, "lock-cycle", "first_then_second");
        is(&report, "lock-cycle", "second_then_first");
        let verdict = report.verdict();
        for mark in ["/* waits for second */", "/* waits for first */"] {
            let line = CYCLE.lines().position(|line| line.contains(mark)).unwrap() + 1;
            assert!(verdict.contains(&format!("cycle.c:{line}")), "line {line}: {verdict}");
        }
        assert_eq!(report.text("/verdict/confidence"), "certain");
    }
}

/// Two threads take two mutexes in opposite order; a barrier makes sure that each has its first.
const CYCLE: &str = r"
#include <pthread.h>

static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER, second = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t both;

static void *first_then_second(void *unused) {
    pthread_mutex_lock(&first);
    pthread_barrier_wait(&both);
    pthread_mutex_lock(&second); /* waits for second */
    return unused;
}

static void *second_then_first(void *unused) {
    pthread_mutex_lock(&second);
    pthread_barrier_wait(&both);
    pthread_mutex_lock(&first); /* waits for first */
    return unused;
}

int main(void) {
    pthread_t one, two;
    pthread_barrier_init(&both, 0, 2);
    pthread_create(&one, 0, first_then_second, 0);
    pthread_create(&two, 0, second_then_first, 0);
    pthread_join(one, 0);
    pthread_join(two, 0);
    return 0;
}
";

/// A program that cannot be executed says which of the reasons it is.
#[track_caller]
fn cannot_be_executed(setup: Setup, program: &std::path::Path, code: i32, names: &[&str]) {
    let mut run = setup.flags(["--name", "child"]).command([program]);
    let ended = run.ends_with(code);
    for name in names {
        assert!(ended.complains(name), "{name:?} in {:#?}", ended.err);
    }
    assert_eq!(run.report().cause(), "exec-failed");
}

#[test]
fn a_missing_interpreter_is_named() {
    let setup = launcher();
    let program = setup.home().write_program("script", "#!/no/such/interpreter\n");
    cannot_be_executed(setup, &program, 126, &["/no/such/interpreter", "script"]);
}

#[test]
fn a_missing_loader_is_named() {
    if needs(&["gcc"]) {
        let setup = launcher();
        let source = setup.home().write("small.c", "int main(void) { return 0; }\n");
        let program = setup.home().join("small");
        let flags = ["-Wl,--dynamic-linker=/no/such/ld.so", "-o"];
        let built = std::process::Command::new("gcc").args(flags).args([&program, &source]).status().unwrap();
        assert!(built.success());
        cannot_be_executed(setup, &program, 126, &["/no/such/ld.so", "small"]);
    }
}

#[test]
fn another_architecture_is_named() {
    let setup = launcher();
    let program = setup.home().write_program("foreign", "");
    let mut bytes = std::fs::read("/proc/self/exe").unwrap();
    // e_machine of an ELF header: 183 is aarch64, 62 is x86_64.
    let other: u16 = if cfg!(target_arch = "aarch64") { 62 } else { 183 };
    bytes[18..20].copy_from_slice(&other.to_le_bytes());
    bytes.truncate(65536);
    std::fs::write(&program, bytes).unwrap();
    let name = if other == 62 { "x86_64" } else { "aarch64" };
    cannot_be_executed(setup, &program, 126, &[name, "foreign"]);
}

#[test]
fn a_missing_x_bit_is_named() {
    let setup = launcher();
    let program = setup.home().write("plain", "#!/bin/sh\n");
    cannot_be_executed(setup, &program, 126, &["plain", "chmod"]);
}

#[test]
fn a_noexec_mount_is_named() {
    if nix::unistd::geteuid().is_root() {
        let script = "mount -t tmpfs -o noexec none \"$PWD/mnt\" && cp /bin/true \"$PWD/mnt/program\" && exec \"$@\"";
        let setup = launcher().below(["unshare", "--mount", "sh", "-c", script, "sh"]);
        let folder = setup.home().join("mnt");
        std::fs::create_dir(&folder).unwrap();
        cannot_be_executed(setup, &folder.join("program"), 126, &["noexec"]);
    }
}

#[test]
fn a_running_program_is_dumped_without_harm() {
    let mut run = launcher().child(["on USR1 print got USR1", "print up {pid}", "wait"]);
    let pid = run.out_number("up");
    // On a busy machine it may not have come to where it waits yet.
    until("it sleeps", || status_field(pid, "State").unwrap().starts_with('S'));
    let pid = pid.to_string();
    let ended = launcher().verb(["dump", &pid, "--json"]).ends_with(0);
    let json: serde_json::Value = serde_json::from_str(&ended.out.join("\n")).unwrap();
    assert_eq!(json["kind"], "requested");
    assert!(json["processes"].to_string().contains("wait_for_ever"), "{json:#}");
    let ended = launcher().verb(["dump", &pid]).ends_with(0);
    assert!(ended.out.join("\n").contains("wait_for_ever"), "{:?}", ended.out);
    run.signal(Signal::SIGUSR1);
    run.out("got USR1");
}

/// A thread that is only read, not stopped, sees none of its calls interrupted: `read(2)` of a pipe would otherwise
/// give EINTR, or the counts of its switches would rise.
#[test]
fn a_blocked_thread_is_not_stopped_for_its_dump() {
    let mut run = launcher().child(["print up {pid}", "read-line"]);
    let pid = run.out_number("up");
    let switches = |name: &str| status_field(pid, name).unwrap();
    let counts = || (switches("voluntary_ctxt_switches"), switches("nonvoluntary_ctxt_switches"));
    // Not by its state, which it takes on before it leaves the CPU: it is in read(2), and on no CPU.
    let call = || std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap();
    until("it reads", || call().starts_with(&format!("{} ", libc::SYS_read)));
    let before = counts();
    launcher().verb(["dump", &pid.to_string()]).ends_with(0);
    assert_eq!(counts(), before);
    run.input("on it goes\n");
    run.out("read on it goes");
}
