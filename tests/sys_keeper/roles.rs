//! Parts that this test program plays in processes of its own: launchers that are killed or treated badly, and services
//! that behave badly. What they tell is marked with `@`, to tell it from what the test harness writes.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Instant;

use nix::sys::wait::{Id, WaitPidFlag, waitid};

use launcher::core::exit::Ending;
use launcher::core::signal::Signal;
use launcher::sys::keeper::{self, Message, SpawnPlan, Stdio};
use launcher::sys::signals::Signals;
use launcher::sys::terminal;
use launcher::sys::users::Identity;

use super::callers;
use super::ends::STUBBORN;
use super::hostile::{deny, exploding, orphaning};
use super::support::*;

macro_rules! tell {
    ($($word:tt)*) => {{
        // Not by print!: the harness may take that.
        let line = format!("@{}\n", format_args!($($word)*));
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    }};
}

pub(crate) use tell;

#[test]
fn play() {
    let Ok(role) = std::env::var("KEEPER_ROLE") else { return };
    match role.as_str() {
        "launcher" => launcher(),
        "ignoring-launcher" => ignoring_launcher(),
        "colliding-descriptors" => colliding_descriptors(),
        "other-user" => other_user(),
        "deaf-launcher" => deaf_launcher(),
        "lost-keeper" => lost_keeper(),
        "orphans" => ends_by_itself("orphaning"),
        "orphaning" => orphaning(),
        "bomb" => bomb(),
        "exploding" => exploding(),
        "old-kernel" => old_kernel(),
        "no-proc" => no_proc(),
        "foreign-proc" => stubborn_is_killed(),
        "terminal" => with_terminal(),
        "generations" => generations(),
        "serve" => callers::serve(),
        "odd-binds" => callers::odd_binds(),
        "bad-addresses" => callers::bad_addresses(),
        "interrupted" => callers::interrupted(),
        "below-a-listener" => callers::below_a_listener(),
        "below-a-killer" => callers::below_a_killer(),
        "tells-ability" => callers::tells_ability(),
        other => panic!("there is no role {other}"),
    }
}

/// A plan for this program in another role.
pub fn plan_for(role: &str) -> SpawnPlan {
    let own = std::env::current_exe().unwrap();
    let own = own.to_str().unwrap();
    let words = [own, "--exact", "roles::play", "--nocapture", "--test-threads=1"];
    let mut plan = SpawnPlan::new(c(own), words.into_iter().map(c).collect());
    plan.envp = vec![c(&format!("KEEPER_ROLE={role}")).into()];
    plan
}

fn children() -> usize {
    // As the launcher does where it ends: a keeper may be giving back its memory still.
    keeper::await_ended();
    keeper::members_below(std::process::id() as i32).len()
}

/// Two services at once: a keeper inherits the sockets of those before it.
fn launcher() {
    let _first = start(shell(STUBBORN));
    let _second = start(shell(STUBBORN));
    let mut nothing = Vec::new();
    std::io::stdin().read_to_end(&mut nothing).unwrap();
}

fn ignoring_launcher() {
    let _signals = Signals::take().unwrap();
    for signal in [libc::SIGHUP, libc::SIGUSR1, libc::SIGCHLD, libc::SIGPIPE, 40] {
        // SAFETY: no handler is installed.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let mut plan = SpawnPlan::new(c("/bin/cat"), vec![c("cat"), c("/proc/self/status")]);
    let output = with_output(&mut plan);
    let keeper = start(plan);
    spawned(&keeper);
    assert_eq!(exited(&keeper), Ending::Code(0));
    gone(&keeper);
    let fields = ["SigBlk", "SigIgn", "SigCgt", "ShdPnd"];
    for line in output.rest().lines().filter(|line| fields.iter().any(|field| line.starts_with(field))) {
        tell!("{line}");
    }
}

/// Passes the descriptors 3 to 7 in every order.
fn colliding_descriptors() {
    let pipes: Vec<_> = (0..5).map(|_| std::io::pipe().unwrap()).collect();
    // Out of the way, then to exactly these numbers.
    let mut readers: Vec<OwnedFd> = Vec::new();
    let mut writers: Vec<OwnedFd> = Vec::new();
    for (reader, writer) in pipes {
        // SAFETY: fresh descriptors, owned here.
        unsafe {
            readers.push(OwnedFd::from_raw_fd(libc::fcntl(reader.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 100)));
            writers.push(OwnedFd::from_raw_fd(libc::fcntl(writer.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 200)));
        }
    }
    for (index, writer) in writers.iter().enumerate() {
        // SAFETY: replaces whatever the test harness had there, which this process needs no more.
        unsafe { libc::dup3(writer.as_raw_fd(), 3 + index as i32, libc::O_CLOEXEC) };
    }
    let mut count = 0;
    for order in permutations(&[3, 4, 5, 6, 7]) {
        let mut plan = shell("for fd in 3 4 5 6 7; do echo $fd >&$fd; done");
        plan.passed = order.clone();
        let keeper = start(plan);
        spawned(&keeper);
        assert_eq!(exited(&keeper), Ending::Code(0));
        gone(&keeper);
        for (place, fd) in order.iter().enumerate() {
            let mut text = [0; 2];
            let mut reader = std::fs::File::from(readers[*fd as usize - 3].try_clone().unwrap());
            reader.read_exact(&mut text).unwrap();
            assert_eq!(text, [b'3' + place as u8, b'\n'], "{order:?}");
        }
        count += 1;
    }
    tell!("{count} permutations");
}

fn permutations(items: &[i32]) -> Vec<Vec<i32>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let mut rest = items.to_vec();
        rest.remove(index);
        all.extend(permutations(&rest).into_iter().map(|mut order| {
            order.push(*item);
            order
        }));
    }
    all
}

fn other_user() {
    let mut plan = shell("exit 0");
    plan.identity =
        Some(Identity { uid: 12345, gid: 12345, groups: vec![12345], groups_are_set: false, name: None, home: None });
    let keeper = start(plan);
    let Message::ExecFailed { stage, errno } = next(&keeper) else { panic!("it was executed") };
    gone(&keeper);
    tell!("{stage:?} {errno}");
}

/// Has the keeper tell more stops and continuations than the socket holds, before it listens to any.
fn deaf_launcher() {
    // No terminal: see `with_terminal`.
    // SAFETY: no memory is involved.
    unsafe { libc::setsid() };
    let mut plan = shell("exec sleep 1000");
    plan.foreground = true;
    plan.stdio[1] = Stdio::Null;
    let keeper = start(plan);
    let pid = spawned(&keeper);
    let keeper_pid = keeper.pid().unwrap();
    let until = |pid: i32, state: char| {
        let end = Instant::now() + LIMIT;
        while !status_field(pid, "State").unwrap().starts_with(state) && Instant::now() < end {
            std::thread::yield_now();
        }
    };
    for _ in 0..1000 {
        keeper.signal_main(Signal::STOP).unwrap();
        until(pid, 'T');
        until(keeper_pid, 'S');
        keeper.signal_main(Signal::CONT).unwrap();
        until(pid, 'S');
        until(keeper_pid, 'S');
    }
    tell!("full");
    keeper.kill().unwrap();
    let mut changes = 0;
    let ending = loop {
        match next(&keeper) {
            Message::Stopped { .. } | Message::Continued => changes += 1,
            Message::Exited { ending, .. } => break ending,
            other => panic!("{other:?}"),
        }
    };
    // How many the socket holds is the kernel's matter, and how many the keeper saw the scheduler's.
    assert!((1..1900).contains(&changes), "{changes}");
    assert_eq!(ending, Some(Ending::Signal(Signal::KILL)));
    tell!("told the end");
    gone(&keeper);
    tell!("gone");
}

fn lost_keeper() {
    keeper::become_subreaper();
    let mut plan = shell(STUBBORN);
    let mut output = with_output(&mut plan);
    let lost = start(plan);
    spawned(&lost);
    output.line();
    output.line();
    let mut plan = shell("echo up; exec sleep 1000");
    let mut other_output = with_output(&mut plan);
    let other = start(plan);
    let other_pid = spawned(&other);
    assert_eq!(other_output.line(), "up");
    lost.destroy();
    tell!("{:?}", next(&lost));
    tell!("swept {}", keeper::sweep_orphans(LIMIT));
    assert_eq!(output.rest(), "");
    assert_eq!(other.receive(), None);
    assert!(other.is_member(other_pid) && status_field(other_pid, "State").unwrap().starts_with(['S', 'R', 'D']));
    keeper::reap_orphans();
    tell!("other lives");
    other.kill().unwrap();
    assert_eq!(exited(&other), Ending::Signal(Signal::KILL));
    gone(&other);
    tell!("children {}", children());
}

/// Runs a role as a service to its end.
fn ends_by_itself(role: &str) {
    let mut plan = plan_for(role);
    plan.stdio[1] = Stdio::Null;
    let started = Instant::now();
    let keeper = start(plan);
    spawned(&keeper);
    assert_eq!(exited(&keeper), Ending::Code(0));
    let exited = Instant::now();
    gone(&keeper);
    tell!(
        "gone, {} left, {:?} after the start, {:?} after the main process",
        children(),
        started.elapsed(),
        exited.elapsed()
    );
}

/// Kills a service that forks for ever.
fn bomb() {
    let mut plan = plan_for("exploding");
    let mut output = with_output(&mut plan);
    let keeper = start(plan);
    spawned(&keeper);
    assert_eq!(output.told(), "full");
    let started = Instant::now();
    keeper.kill().unwrap();
    exited(&keeper);
    gone(&keeper);
    let elapsed = started.elapsed();
    assert_eq!(output.rest(), "");
    tell!("gone, {} left, {elapsed:?} after the kill", children());
}

/// As if the kernel did not know `close_range`, `pidfd_open`, `pidfd_send_signal` and a clone that shares memory.
fn old_kernel() {
    deny();
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::syscall(libc::SYS_close_range, 1000, 1001, 0) }, -1);
    tell!("denied");
    // SAFETY: makes a new descriptor, without CLOEXEC, which this role owns.
    let _stray = unsafe { OwnedFd::from_raw_fd(libc::dup(2)) };
    let mut plan = shell("echo up; exec sleep 1000");
    let mut output = with_output(&mut plan);
    let keeper = start(plan);
    let pid = spawned(&keeper);
    assert_eq!(output.line(), "up");
    tell!("spawned");
    assert_eq!(std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(), 3);
    // Its socket and its signals.
    assert_eq!(std::fs::read_dir(format!("/proc/{}/fd", settled(&keeper))).unwrap().count(), 2);
    tell!("own fds only");
    keeper.signal_main(Signal::USR1).unwrap();
    assert_eq!(exited(&keeper), Ending::Signal(Signal::USR1));
    gone(&keeper);
    tell!("killed");
    let keeper = start(SpawnPlan::new(c("/nonexistent"), vec![c("x")]));
    assert!(matches!(next(&keeper), Message::ExecFailed { errno: libc::ENOENT, .. }));
    tell!("exec failed");
    gone(&keeper);
    tell!("gone");
}

fn no_proc() {
    // SAFETY: the paths end with a NUL. This is a mount namespace of its own.
    let hidden = unsafe {
        let nothing = std::ptr::null();
        libc::mount(c"none".as_ptr(), c"/proc".as_ptr(), c"tmpfs".as_ptr(), 0, nothing)
    };
    assert_eq!(hidden, 0);
    stubborn_is_killed();
}

/// A service with a hidden descendant is ended, though /proc is of no use.
fn stubborn_is_killed() {
    let own = std::fs::read_link("/proc/self").ok();
    assert_ne!(own.and_then(|own| own.to_str()?.parse().ok()), Some(std::process::id()));
    let mut plan = shell(STUBBORN);
    let mut output = with_output(&mut plan);
    let keeper = start(plan);
    spawned(&keeper);
    output.line();
    output.line();
    tell!("hidden");
    keeper.kill().unwrap();
    assert_eq!(exited(&keeper), Ending::Signal(Signal::KILL));
    tell!("killed");
    gone(&keeper);
    assert_eq!(output.rest(), "");
    tell!("gone");
}

fn with_terminal() {
    // A session of its own, and no terminal: that of whoever runs the tests is left alone.
    // SAFETY: no memory is involved.
    unsafe { libc::setsid() };
    assert!(terminal::controlling().is_none());
    let mut plan = shell("exit 0");
    plan.foreground = true;
    let keeper = start(plan);
    spawned(&keeper);
    exited(&keeper);
    gone(&keeper);
    tell!("no terminal");

    // Its end hangs up, which would end this process too.
    let pty = std::mem::ManuallyDrop::new(nix::pty::openpty(None, None).unwrap());
    // SAFETY: makes the terminal this session's own; no memory is involved.
    assert_eq!(unsafe { libc::ioctl(pty.slave.as_raw_fd(), libc::TIOCSCTTY, 0) }, 0);
    let own = terminal::controlling().unwrap();
    assert!(terminal::is_terminal(own.as_fd()));
    let modes = terminal::modes(own.as_fd()).unwrap();
    let mut plan = shell("echo up; exec sleep 1000");
    plan.foreground = true;
    let mut output = with_output(&mut plan);
    let keeper = start(plan);
    let pid = spawned(&keeper);
    assert_eq!(output.line(), "up");
    tell!("foreground {}", terminal::foreground_group(own.as_fd()).unwrap() == pid);
    // Ctrl-Z, and then what `fg` does.
    std::fs::File::from(pty.master.try_clone().unwrap()).write_all(b"\x1a").unwrap();
    let Message::Stopped { signal } = next(&keeper) else { panic!("not stopped") };
    tell!("stopped {signal}");
    keeper.signal_group(Signal::CONT).unwrap();
    assert_eq!(next(&keeper), Message::Continued);
    tell!("continued");
    keeper.signal_group(Signal::HUP).unwrap();
    assert_eq!(exited(&keeper), Ending::Signal(Signal::HUP));
    gone(&keeper);
    tell!("by group");
    // From the background, which would stop this process if TTOU were not blocked.
    terminal::set_foreground_group(own.as_fd(), terminal::own_group()).unwrap();
    terminal::set_modes(own.as_fd(), &modes).unwrap();
    assert_eq!(terminal::foreground_group(own.as_fd()).unwrap(), terminal::own_group());
    tell!("taken back");
    // The leader of a session is in an orphaned group: the kernel does not stop it.
    terminal::stop_self();
    tell!("stopped itself");
}

fn generations() {
    let mut before = 0;
    for generation in 0..=200 {
        if generation == 1 {
            before = open_fds();
        }
        let mut plan = shell("setsid sh -c 'exec sleep 1000' & exit 0");
        plan.pid_variables = vec!["LISTEN_PID"];
        plan.passed = vec![2];
        let keeper = start(plan);
        spawned(&keeper);
        assert_eq!(exited(&keeper), Ending::Code(0));
        if generation % 2 == 0 {
            keeper.kill().unwrap();
            gone(&keeper);
        }
    }
    // Those that were dropped end in their own time; their end is no message.
    while children() > 0 {
        // Blocks until one of them, keepers too, has ended, and leaves it there.
        waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::__WALL).unwrap();
        keeper::reap_orphans();
    }
    tell!("200 generations: {} descriptors more, {} children", open_fds() - before, children());
}
