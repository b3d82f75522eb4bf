//! The JVM: its threads against `jstack`, in other versions, users and namespaces, and where it does not answer.

mod jstack;
mod start;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use launcher::core::facts::{ProcessFacts, ThreadFacts, WaitingOn};
use launcher::sys::dump::{self, Options};

use crate::victim::{functions, line_of, options, source, until};
use jstack::agrees_with_jstack;
pub use start::cache;
use start::{Need, begin_in, has, jvm_of, start, start_in, until_connecting};

#[track_caller]
fn named<'a>(process: &'a ProcessFacts, name: &str) -> &'a ThreadFacts {
    let is_it = |thread: &&ThreadFacts| thread.runtime_name.as_deref().unwrap_or(&thread.name) == name;
    process.threads.iter().find(is_it).unwrap_or_else(|| panic!("no {name} in {process:#?}"))
}

/// The threads that are waited for from this one on, by locks alone: each holds what the one before waits for.
fn chain(process: &ProcessFacts, from: &str) -> Vec<String> {
    let name = |thread: &ThreadFacts| thread.runtime_name.clone().unwrap_or_else(|| thread.name.clone());
    let mut chain = vec![from.to_owned()];
    while chain.len() < 10 {
        let last = named(process, &chain[chain.len() - 1]);
        let Some(wanted) = last.locks.iter().find(|lock| !lock.held).map(|lock| lock.address) else { break };
        let holds = |thread: &&ThreadFacts| thread.locks.iter().any(|lock| lock.held && lock.address == wanted);
        let Some(holder) = process.threads.iter().find(holds) else { break };
        chain.push(name(holder));
        if name(holder) == from {
            break;
        }
    }
    chain
}

/// The process, dumped without haste: the names in `libjvm.so` are many.
fn dumped(pid: i32) -> ProcessFacts {
    dump::dump(&[pid], &Options { deadline: Duration::from_secs(10), ..options() }).remove(0)
}

/// Checks what the victim's threads do, against its own source.
fn tells_the_shop(process: &ProcessFacts) {
    assert_eq!((process.runtime.as_str(), &process.dump_error), ("jvm", &None));
    for (name, state, function, remark) in [
        ("main", "RUNNABLE", "Shop.main", "reads"),
        ("bell \"waiter\" with a long name", "WAITING (on object monitor)", "Shop.waitForBell", "waits for the bell"),
        ("sleeper", "TIMED_WAITING (sleeping)", "Shop.sleepLong", "sleeps"),
        ("condition", "WAITING (parking)", "Shop.waitForCondition", "waits for the condition"),
        ("queue", "WAITING (parking)", "Shop.takeFromQueue", "waits for the queue"),
        ("till-waiter", "WAITING (parking)", "Shop.waitForTill", "waits for the till"),
        ("counter", "BLOCKED (on object monitor)", "Shop.countStock", "waits for orders"),
        ("taker", "BLOCKED (on object monitor)", "Shop.takeOrders", "waits for stock"),
        ("pricer", "WAITING (parking)", "Shop.lockBoth", "waits for the second"),
        ("connector", "RUNNABLE", "Shop.connect", "connects"),
    ] {
        let thread = named(process, name);
        assert_eq!(thread.runtime_state.as_deref(), Some(state), "{name}");
        let frame = thread.frames.iter().find(|frame| frame.function.as_deref() == Some(function));
        let frame = frame.unwrap_or_else(|| panic!("{name}: {:?}", functions(thread)));
        assert_eq!(
            (frame.file.as_deref(), frame.line),
            (Some("Shop.java"), Some(line_of("Shop.java", remark))),
            "{name}"
        );
    }
    assert_eq!(chain(process, "counter"), ["counter", "taker", "counter"]);
    assert_eq!(chain(process, "pricer"), ["pricer", "taxer", "pricer"]);
    assert_eq!(chain(process, "till-waiter"), ["till-waiter", "till-keeper"]);
    assert_eq!(chain(process, "condition"), ["condition"]);
}

/// The folder of attach files as the JVM sees it has none of ours left.
fn leaves_nothing(pid: i32) {
    for folder in ["root/tmp", "cwd"] {
        let entries = std::fs::read_dir(format!("/proc/{pid}/{folder}")).unwrap();
        let left = entries.map(|entry| entry.unwrap().file_name()).find(|name| {
            let name = name.to_string_lossy();
            name == format!(".attach_pid{pid}") || (folder == "cwd" && name.starts_with(".attach_pid"))
        });
        assert_eq!(left, None);
    }
}

#[test]
fn all_threads_are_those_of_jstack() {
    if !has(&[Need::Jdk]) {
        return;
    }
    let mut victim = start("exec java -cp @ Shop");
    let pid = jvm_of(&victim);
    until_connecting(pid);
    // A socket that a process of the same number has left behind is in nobody's way.
    let socket = PathBuf::from(format!("/tmp/.java_pid{pid}"));
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let process = dumped(pid);
    tells_the_shop(&process);
    leaves_nothing(pid);
    assert!(agrees_with_jstack(&process, "jstack") >= 22);
    let connector = named(&process, "connector");
    assert!(
        matches!(&connector.waiting_on, Some(WaitingOn::Connect { .. } | WaitingOn::Poll { .. })),
        "{connector:#?}"
    );
    // The stack is one: what Java calls, Java's own frames, what runs them; nothing nameless of the code made for them.
    let names = functions(connector);
    let at = |name: &str| names.iter().position(|one| one.contains(name)).unwrap_or_else(|| panic!("{names:?}"));
    assert!(at("Shop.connect") > 0 && at("java.lang.Thread.run") < at("start_thread"), "{names:?}");
    for thread in
        process.threads.iter().filter(|thread| thread.frames.iter().any(|f| f.language.as_deref() == Some("java")))
    {
        let nameless = thread.frames.iter().find(|frame| frame.module.is_none() && frame.function.is_none());
        assert_eq!(nameless, None, "{:?}", functions(thread));
    }
    // The dump did not go to the service's own output.
    victim.end_of_input();
    assert_eq!(victim.rest(), "");
    assert!(victim.end().success());
}

#[test]
fn java_8_in_a_chroot_and_java_25() {
    let eight = "debian/usr/lib/jvm/java-8-openjdk-amd64/jre/bin/java";
    if has(&[Need::Jdk, Need::Root, Need::Cached(eight)]) {
        let root = cache().join("debian");
        let root = root.to_str().unwrap();
        let inside = format!(
            "mount -t proc proc {root}/proc && mount -t tmpfs tmp {root}/tmp && cp @/* {root}/tmp \
            && exec chroot {root} /usr/lib/jvm/java-8-openjdk-amd64/jre/bin/java -cp /tmp Shop"
        );
        let mut victim = start(&format!("exec unshare -mpf sh -c '{inside}'"));
        until_connecting(jvm_of(&victim));
        let process = dumped(jvm_of(&victim));
        tells_the_shop(&process);
        assert!(process.runtime_version.as_ref().is_some_and(|version| version.starts_with("8u")), "{process:#?}");
        agrees_with_jstack(&process, "jstack");
        assert!(victim.end().success());
    }
    if has(&[Need::Jdk, Need::Cached("java-25/bin/java")]) {
        let bin = cache().join("java-25/bin");
        let mut victim = start(&format!("exec {}/java -cp @ Shop", bin.display()));
        until_connecting(jvm_of(&victim));
        let process = dumped(jvm_of(&victim));
        tells_the_shop(&process);
        assert!(process.runtime_version.as_ref().is_some_and(|version| version.starts_with("25.")), "{process:#?}");
        agrees_with_jstack(&process, &format!("{}/jstack", bin.display()));
        assert!(victim.end().success());
        let mut victim = start(&format!("exec {}/java -cp @ Shop virtual", bin.display()));
        let process = dumped(jvm_of(&victim));
        let [task] = process.tasks.as_slice() else { panic!("{:#?}", process.tasks) };
        assert_eq!(task.frames[0].function.as_deref(), Some("Shop.spin"));
        let carrier = process.threads.iter().find(|thread| Some(thread.tid) == task.thread).unwrap();
        assert!(functions(carrier).contains(&"Shop.spin"), "{carrier:#?}");
        assert!(process.dump_error.as_ref().is_some_and(|error| error.contains("virtual threads")), "{process:#?}");
        assert!(victim.end().success());
    }
}

#[test]
fn other_users_and_namespaces() {
    if !has(&[Need::Jdk, Need::Root]) {
        return;
    }
    let temporary = std::env::temp_dir();
    // Below /tmp it would be hidden by the other /tmp.
    let elsewhere = Path::new("/var/tmp");
    let nobody = "setpriv --reuid 65534 --regid 65533 --clear-groups";
    for (place, user, command) in [
        (temporary.as_path(), nobody, "java -cp @ Shop"),
        (elsewhere, "", "unshare -pmf --mount-proc sh -c 'mount -t tmpfs tmp /tmp && exec java -cp @ Shop'"),
        // A user namespace: inside it is root.
        (temporary.as_path(), nobody, "unshare -Upfr --mount-proc java -cp @ Shop"),
    ] {
        let mut victim = start_in(place, &format!("exec {user} {command}"));
        let pid = jvm_of(&victim);
        until_connecting(pid);
        let before = nix::unistd::geteuid();
        let process = dumped(pid);
        assert_eq!(nix::unistd::geteuid(), before);
        tells_the_shop(&process);
        leaves_nothing(pid);
        // The JVM's own tool has to be run as its user.
        agrees_with_jstack(&process, &format!("{user} jstack"));
        assert!(victim.end().success());
    }
}

/// Dumps a JVM that cannot answer: that ends in time, with native stacks, and gives the reason.
#[track_caller]
fn unanswered(pid: i32) -> (ProcessFacts, String) {
    // Twice the usual time, for a test on a busy machine: half of it is for the names of native functions.
    let deadline = Duration::from_secs(4);
    let begun = Instant::now();
    let process = dump::dump(&[pid], &Options { deadline, ..options() }).remove(0);
    println!("{deadline:?} were given, it took {:?}", begun.elapsed());
    let main = process.threads.iter().find(|thread| thread.tid == pid).unwrap();
    assert!(functions(main).iter().any(|name| name.contains("clockjoin")), "{:?}", functions(main));
    assert!(process.runtime_version.is_some(), "{process:#?}");
    let error = process.dump_error.clone().unwrap();
    (process, error)
}

#[test]
fn a_jvm_that_does_not_answer_costs_little_and_lives() {
    if !has(&[Need::Jdk, Need::Root]) {
        return;
    }
    let read_only = "mount -t tmpfs -o ro tmp /tmp && exec java -cp @ Shop";
    for (command, reason) in [
        ("exec java -XX:+DisableAttachMechanism -cp @ Shop".to_owned(), "-XX:+DisableAttachMechanism"),
        (format!("exec unshare -m sh -c '{read_only}'"), "read-only"),
    ] {
        let mut victim = start_in(Path::new("/var/tmp"), &command);
        let (_, error) = unanswered(jvm_of(&victim));
        assert!(error.contains(reason), "{error}");
        victim.end_of_input();
        assert_eq!(victim.rest(), "", "{command}");
        assert!(victim.end().success());
    }
    let victim = start("exec java -cp @ Shop");
    let pid = nix::unistd::Pid::from_raw(jvm_of(&victim));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    until(|| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T "));
    assert!(unanswered(pid.as_raw()).1.contains("stopped"));
}

#[test]
fn a_jvm_whose_start_hangs_is_left_alive() {
    if !has(&[Need::Jdk]) {
        return;
    }
    let agent = source("hanging_agent.c");
    let build = format!("cc -shared -fPIC -o @/agent.so {}", agent.display());
    let mut victim = begin_in(&std::env::temp_dir(), &format!("{build} && exec java -agentpath:@/agent.so -cp @ Shop"));
    let pid = victim.pid();
    // pause(2)
    let hangs = |tid: std::fs::DirEntry| {
        std::fs::read_to_string(tid.path().join("syscall")).unwrap_or_default().starts_with("34 ")
    };
    until(|| std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().any(|tid| hangs(tid.unwrap())));
    let (process, error) = unanswered(pid);
    assert!(error.contains("its start hangs"), "{error}");
    assert!(process.threads.iter().any(|thread| functions(thread).contains(&"Agent_OnLoad")), "{process:#?}");
    assert_eq!(dumped(pid).threads.len(), process.threads.len());
    victim.kill();
}

#[test]
fn a_large_heap_is_not_searched_for_the_holders_of_locks() {
    if !has(&[Need::Jdk]) {
        return;
    }
    let mut victim = start("exec java -Xms300m -XX:+AlwaysPreTouch -cp @ Shop");
    let process = dumped(jvm_of(&victim));
    // Nobody is known to hold it; but who is in a deadlock the JVM tells always.
    assert_eq!(chain(&process, "till-waiter"), ["till-waiter"]);
    assert_eq!(chain(&process, "counter"), ["counter", "taker", "counter"]);
    assert_eq!(chain(&process, "pricer"), ["pricer", "taxer", "pricer"]);
    assert!(victim.end().success());
}

#[test]
fn a_jvm_with_few_signals_listens_from_its_start() {
    if !has(&[Need::Jdk]) {
        return;
    }
    let mut victim = start("exec java -Xrs -cp @ Shop");
    until_connecting(jvm_of(&victim));
    tells_the_shop(&dumped(jvm_of(&victim)));
    assert!(victim.end().success());
}

#[test]
fn a_jvm_that_comes_to_no_safepoint_is_not_waited_for() {
    if !has(&[Need::Jdk]) {
        return;
    }
    let flags = "-XX:+UseSerialGC -XX:-UseCountedLoopSafepoints -XX:LoopStripMiningIter=0";
    let victim = start(&format!("exec java {flags} -cp @ Shop stuck"));
    let pid = jvm_of(&victim);
    // The loop is interpreted at first, and can be stopped then; one that is compiled keeps everybody waiting.
    let mut error = None;
    until(|| {
        error = dump::dump(&[pid], &options()).remove(0).dump_error;
        error.is_some()
    });
    assert!(error.unwrap().contains("safepoint"));
    let _ = std::fs::remove_file(format!("/tmp/.java_pid{pid}"));
}
