//! What runtimes tell: goroutines, asyncio tasks, threads of a JVM, Python's locks.

use super::*;
use crate::core::facts::WatchedFacts;

fn told(language: &str, frames: &[(&str, &str, u32)]) -> Vec<Frame> {
    let frame = |(function, file, line): &(&str, &str, u32)| Frame {
        function: Some((*function).to_owned()),
        file: Some((*file).to_owned()),
        line: Some(*line),
        language: Some(language.to_owned()),
        found: FoundBy::Runtime,
        ..Frame::default()
    };
    frames.iter().map(frame).collect()
}

fn goroutine(id: u64, state: &str, waiting_on: Option<WaitingOn>, frames: &[(&str, &str, u32)]) -> TaskFacts {
    TaskFacts { id, state: state.to_owned(), waiting_on, frames: told("go", frames).into(), ..TaskFacts::default() }
}

/// A Go program: its threads are parked or poll, whatever its goroutines do.
fn go(tasks: Vec<TaskFacts>) -> Facts {
    let idle = thread(4711, "api", Some(futex(FutexKind::Unknown, 0x10, None)));
    let poller = thread(4712, "api", Some(polling("epoll_wait", vec![eventfd()])));
    let mut process = process(4711, 4700, "./api", vec![idle, poller]);
    process.runtime = "go".to_owned();
    process.tasks = tasks;
    facts(vec![process])
}

const DIAL: [(&str, &str, u32); 3] = [
    ("net.(*Dialer).Dial", "/usr/local/go/src/net/dial.go", 400),
    ("main.initRedis", "/src/app/main.go", 42),
    ("main.main", "/src/app/main.go", 12),
];

fn channel(address: u64) -> Option<WaitingOn> {
    Some(WaitingOn::Channels { channels: vec![ChannelFacts { address, ..ChannelFacts::default() }] })
}

#[test]
fn the_loop_of_a_runtimes_helper_is_no_explanation_beside_that_of_the_main_thread() {
    let peer = watched(19, false, FdFacts::Socket(socket("established", "127.0.0.1:6379")));
    let main = thread(4711, "node", Some(polling("epoll_wait", vec![peer, eventfd()])));
    let helper = thread(4712, "node", Some(polling("epoll_wait", vec![eventfd()])));
    let found = diagnose(&facts(vec![process(4711, 4700, "node app.js", vec![main, helper])]));
    let about: Vec<_> = std::iter::once(&found.verdict).chain(&found.alternatives).map(|it| it.thread).collect();
    assert!(!about.contains(&Some(4712)), "{found:#?}");
}

#[test]
fn a_goroutine_that_waits_for_a_connection() {
    let mut waits = goroutine(1, "IO wait", Some(connecting("127.0.0.1:6379")), &DIAL);
    waits.waited = Some(Duration::from_millis(29_800));
    let found = expect(&go(vec![waits]), Cause::ConnectWait, Confidence::Certain);
    assert_eq!(
        found.summary,
        "goroutine 1 has waited 29.8 s in connect() to 127.0.0.1:6379 (tcp): SYN sent, no answer"
    );
    assert_eq!(found.frame.unwrap().function, "main.initRedis");
}

#[test]
fn an_answer_of_http_is_waited_for_by_who_sent_the_request() {
    let group = WaitingOn::RuntimeLock { address: 0, class: "sync.WaitGroup".into(), owner: None, owner_task: None };
    let main = goroutine(1, "semacquire", Some(group), &[("main.main", "/src/app/main.go", 20)]);
    let socket = socket("established", "10.0.0.5:8200");
    let reads = [("net/http.(*persistConn).readLoop", "/usr/local/go/src/net/http/transport.go", 2200)];
    let reader = goroutine(20, "IO wait", Some(WaitingOn::Receive { fd: 6, socket }), &reads);
    let sends = [
        ("net/http.(*persistConn).roundTrip", "/usr/local/go/src/net/http/transport.go", 2700),
        ("main.fetchToken", "/src/app/main.go", 38),
    ];
    let found = verdict(&go(vec![main, goroutine(7, "select", channel(0xc0), &sends), reader]));
    assert_eq!((found.cause, found.frame.unwrap().function.as_str()), (Cause::ReplyWait, "main.fetchToken"));
}

#[test]
fn main_waits_for_a_goroutine_that_waits_for_a_connection() {
    let group = WaitingOn::RuntimeLock { address: 0, class: "sync.WaitGroup".into(), owner: None, owner_task: None };
    let wait =
        [("sync.(*WaitGroup).Wait", "/usr/local/go/src/sync/waitgroup.go", 1), ("main.main", "/src/app/main.go", 20)];
    let main = goroutine(1, "semacquire", Some(group), &wait);
    let found = expect(
        &go(vec![main, goroutine(7, "IO wait", Some(connecting("10.0.0.5:5432")), &DIAL)]),
        Cause::ConnectWait,
        Confidence::Likely,
    );
    says(&found.summary, &["goroutine 7 waits in connect() to 10.0.0.5:5432"]);
}

#[test]
fn goroutines_that_all_wait_for_each_other() {
    let main = goroutine(1, "chan receive", channel(0xc0), &[("main.main", "/src/app/main.go", 9)]);
    let other = goroutine(5, "chan receive", channel(0xd0), &[("main.work", "/src/app/main.go", 30)]);
    let mut runtimes_own = goroutine(2, "force gc (idle)", None, &[]);
    runtimes_own.system = true;
    let all = go(vec![main.clone(), runtimes_own, other]);
    let found = expect(&all, Cause::ChannelWait, Confidence::Likely);
    says(&found.summary, &["goroutine 1 in main.main() at main.go:9", "everything else in the process waits so too"]);
    let nil = goroutine(1, "chan receive (nil chan)", channel(0), &[("main.main", "/src/app/main.go", 9)]);
    let found = expect(&go(vec![nil]), Cause::ChannelWait, Confidence::Certain);
    says(&found.summary, &["a nil channel: nothing can end this wait"]);
    // One that sleeps may yet send.
    let sleeper = goroutine(6, "sleep", None, &[("main.tick", "/src/app/main.go", 40)]);
    expect(&go(vec![main, sleeper]), Cause::ChannelWait, Confidence::Possible);
}

#[test]
fn goroutines_in_two_mutexes_may_wait_for_each_other() {
    let mutex = || WaitingOn::RuntimeLock { address: 0, class: "sync.Mutex".into(), owner: None, owner_task: None };
    let lock =
        |line| [("sync.(*Mutex).Lock", "/usr/local/go/src/sync/mutex.go", 90), ("main.take", "/src/app/main.go", line)];
    let task = |id, line| goroutine(id, "sync.Mutex.Lock", Some(mutex()), &lock(line));
    let found = expect(&go(vec![task(1, 10), task(5, 20)]), Cause::LockCycle, Confidence::Possible);
    says(
        &found.summary,
        &["goroutine 1 in main.take() at main.go:10 waits for a sync.Mutex; 2 wait so in its process"],
    );
    says(&found.evidence.join("\n"), &["goroutine 5 waits in main.take() at main.go:20 for a sync.Mutex"]);
    let alone = expect(&go(vec![task(1, 10)]), Cause::LockCycle, Confidence::Likely);
    says(&alone.summary, &["nothing else runs in its process"]);
}

fn java(tid: i32, name: &str, state: &str, locks: &[(u64, bool)], frames: &[(&str, &str, u32)]) -> ThreadFacts {
    let lock = |(address, held): &(u64, bool)| LockFacts {
        address: *address,
        class: "java.lang.Object".to_owned(),
        held: *held,
    };
    ThreadFacts {
        runtime_name: Some(name.to_owned()),
        runtime_state: Some(state.to_owned()),
        locks: locks.iter().map(lock).collect(),
        frames: told("java", frames),
        ..thread(tid, name, Some(futex(FutexKind::Unknown, 0x10, None)))
    }
}

fn jvm(threads: Vec<ThreadFacts>) -> Facts {
    let mut all = vec![thread(4711, "java", Some(futex(FutexKind::Join, 0x10, Some(4712))))];
    all.extend(threads);
    let mut process = process(4711, 4700, "java -jar shop.jar", all);
    process.runtime = "jvm".to_owned();
    facts(vec![process])
}

#[test]
fn monitors_taken_in_opposite_order() {
    let blocked = "BLOCKED (on object monitor)";
    let a = java(4720, "main", blocked, &[(0xa, true), (0xb, false)], &[("com.shop.A.take", "A.java", 5)]);
    let b = java(4721, "worker", blocked, &[(0xb, true), (0xa, false)], &[("com.shop.B.take", "B.java", 7)]);
    let found = expect(&jvm(vec![a.clone(), b]), Cause::LockCycle, Confidence::Certain);
    says(&found.summary, &["thread 4720 `main` in com.shop.A.take() at A.java:5", "held by thread 4721 `worker`"]);
    let holder = java(4721, "worker", "TIMED_WAITING (sleeping)", &[(0xb, true)], &[("com.shop.B.f", "B.java", 8)]);
    let found = expect(&jvm(vec![a, holder]), Cause::LockWait, Confidence::Certain);
    says(&found.target.unwrap(), &["0xb of a java.lang.Object", "held by thread 4721 `worker`"]);
}

#[test]
fn threads_of_the_jvm_itself_are_not_what_a_program_waits_for() {
    let wait_for = ("java.lang.ProcessImpl.waitFor", "ProcessImpl.java", 434);
    let own = ("Main.renew", "Main.java", 6);
    let mut facts = jvm(vec![java(4712, "main", "WAITING (on object monitor)", &[], &[wait_for, own])]);
    let collector = thread(4713, "GC Thread#0", Some(futex(FutexKind::Semaphore, 0x20, None)));
    facts.processes[0].threads.push(collector);
    let sleeps = thread(4720, "sleep", Some(sleeping(3600)));
    facts.processes.push(process(4720, 4711, "sleep 3600", vec![sleeps]));
    let Diagnosis { verdict, alternatives } = diagnose(&facts);
    assert_eq!(
        (verdict.cause, verdict.target.as_deref()),
        (Cause::ChildWait, Some("sleep (pid 4720)")),
        "{verdict:#?}"
    );
    assert!(!alternatives.iter().any(|other| other.cause == Cause::ChannelWait), "{alternatives:#?}");
}

#[test]
fn a_jvm_whose_main_has_returned_and_that_listens_nowhere_is_idle() {
    let take = ("java.util.concurrent.ScheduledThreadPoolExecutor$DelayedWorkQueue.take", "S.java", 1170);
    let pool = java(4715, "pool-1-thread-1", "TIMED_WAITING (parking)", &[], &[take]);
    let mut ended = thread(4712, "java", Some(futex(FutexKind::Condition, 0x30, None)));
    ended.runtime_name = Some("DestroyJavaVM".to_owned());
    ended.runtime_state = Some("RUNNABLE".to_owned());
    let mut facts = jvm(vec![ended, pool]);
    let found = expect(&facts, Cause::EventLoopIdle, Confidence::Likely);
    says(&found.summary, &["main() of java (pid 4711) has returned and nothing listens"]);
    says(&found.evidence.join("\n"), &["threads that run Java code: `pool-1-thread-1`"]);
    facts.listening = vec![listening("127.0.0.1:8080", 4711)];
    assert_ne!(verdict(&facts).cause, Cause::EventLoopIdle);
}

#[test]
fn who_waits_for_a_job_is_followed_into_the_thread_that_runs_it() {
    let result = ("Future.result", "/usr/lib/python3.11/concurrent/futures/_base.py", 451);
    let run = ("_WorkItem.run", "/usr/lib/python3.11/concurrent/futures/thread.py", 58);
    let mut main = thread(4711, "python3", Some(futex(FutexKind::Semaphore, 0x10, None)));
    main.frames = told("python", &[result, ("main", "/srv/app.py", 15)]);
    let mut works = thread(4712, "ThreadPoolExecutor-0_0", Some(futex(FutexKind::Semaphore, 0x20, None)));
    works.frames = told("python", &[result, ("load_region", "/srv/app.py", 11), run]);
    let found = expect(&python(vec![main.clone(), works.clone()], vec![]), Cause::ChannelWait, Confidence::Likely);
    assert_eq!(found.frame.as_ref().unwrap().function, "load_region", "{found:#?}");
    // A job that nothing holds is not what is waited for.
    works.waiting_on = Some(sleeping(3600));
    let found = verdict(&python(vec![main, works], vec![]));
    assert_eq!((found.cause, found.frame.unwrap().function.as_str()), (Cause::ChannelWait, "main"));
}

#[test]
fn a_thread_of_a_jvm_that_waits_to_be_told_holds_no_one_up() {
    let wait = [("java.lang.Object.wait", "Object.java", 1), ("com.shop.Main.run", "Main.java", 9)];
    let main = java(4720, "main", "WAITING (on object monitor)", &[(0xb, false)], &wait);
    let other = java(4721, "worker", "WAITING (on object monitor)", &[(0xb, true)], &wait);
    let found = verdict(&jvm(vec![main, other]));
    assert_eq!(found.cause, Cause::ChannelWait, "{found:#?}");
    says(&found.summary, &["Object.wait()"]);
}

#[test]
fn classes_that_initialise_each_other_are_a_circle() {
    let initialises = |tid, name, own: &str, other: &str| {
        let mut thread = java(tid, name, "RUNNABLE", &[], &[(&format!("{own}.<clinit>"), "Main.java", 18)]);
        thread.locks = vec![LockFacts { address: 0, class: format!("initialization of {other}"), held: false }];
        thread
    };
    let main = initialises(4720, "main", "Config", "Registry");
    let threads = vec![main, initialises(4721, "registry", "Registry", "Config")];
    let found = expect(&jvm(threads), Cause::LockCycle, Confidence::Certain);
    assert_eq!(found.frame.as_ref().unwrap().function, "Config.<clinit>");
    says(&found.evidence.join("\n"), &["for the initialization of Registry"]);
}

#[test]
fn a_main_goroutine_that_leaves_the_work_to_others_is_not_what_hangs() {
    let nothing = WaitingOn::Channels { channels: vec![] };
    let main = goroutine(1, "select (no cases)", Some(nothing.clone()), &[("main.main", "/src/app/main.go", 9)]);
    let connect = WaitingOn::Connect { fd: 7, socket: socket("syn-sent", "10.0.0.5:6379") };
    let other = goroutine(7, "IO wait", Some(connect), &[("main.dialCache", "/src/app/main.go", 30)]);
    let found = verdict(&go(vec![main, other]));
    assert_eq!((found.cause, found.frame.unwrap().function.as_str()), (Cause::ConnectWait, "main.dialCache"));
    let main = goroutine(1, "select (no cases)", Some(nothing), &[("main.main", "/src/app/main.go", 9)]);
    let found = verdict(&go(vec![main]));
    assert_eq!((found.cause, found.confidence), (Cause::ChannelWait, Confidence::Likely));
}

fn python(threads: Vec<ThreadFacts>, tasks: Vec<TaskFacts>) -> Facts {
    let mut process = process(4711, 4700, "python3 app.py", threads);
    process.runtime = "cpython".to_owned();
    process.tasks = tasks;
    facts(vec![process])
}

fn asyncio(id: u64, awaits: (&[u64], &str), function: &str) -> TaskFacts {
    TaskFacts {
        id,
        name: Some(format!("Task-{id}")),
        state: "pending".to_owned(),
        waiting_on: Some(WaitingOn::Tasks { tasks: awaits.0.to_vec(), what: awaits.1.to_owned() }),
        frames: told("python", &[(function, "/srv/app.py", 30)]).into(),
        ..TaskFacts::default()
    }
}

#[test]
fn a_task_of_an_event_loop_waits_for_what_the_loop_watches() {
    let connecting = watched(7, true, FdFacts::Socket(socket("syn-sent", "10.0.0.5:5432")));
    let mut main = thread(4711, "python3", Some(polling("epoll_wait", vec![eventfd(), connecting])));
    main.frames = told("python", &[("run_until_complete", "/usr/lib/python3.11/asyncio/base_events.py", 640)]);
    let tasks = vec![asyncio(1, (&[2], "Task"), "main"), asyncio(2, (&[], "Future"), "connect_db")];
    let found = expect(&python(vec![main.clone()], tasks), Cause::ConnectWait, Confidence::Certain);
    assert_eq!(found.frame.as_ref().unwrap().function, "connect_db", "{found:#?}");
    says(&found.evidence.join("\n"), &["task `Task-1` of python3 (pid 4711) awaits task `Task-2`"]);
    // Nothing is watched: nobody will set the event.
    main.waiting_on = Some(polling("epoll_wait", vec![eventfd()]));
    let tasks = vec![asyncio(1, (&[], "Event.wait()"), "main")];
    let found = expect(&python(vec![main], tasks), Cause::ChannelWait, Confidence::Likely);
    says(&found.summary, &["task `Task-1` of python3 (pid 4711) in main() at app.py:30 waits for Event.wait()"]);
}

#[test]
fn a_task_that_keeps_its_event_loop_turning_is_what_burns_the_cpu() {
    let mut main = thread(4711, "python3", None);
    (main.state, main.cpu, main.waited) = ('R', grew(99), None);
    let turns = ("BaseEventLoop._run_once", "/usr/lib/python3.11/asyncio/base_events.py", 1922);
    main.frames = told("python", &[turns, ("<module>", "/srv/app.py", 19)]);
    let tasks = vec![asyncio(1, (&[], "sleep"), "until_loaded")];
    let found = expect(&python(vec![main.clone()], tasks.clone()), Cause::BusyLoop, Confidence::Likely);
    assert_eq!(found.frame.as_ref().unwrap().function, "until_loaded", "{found:#?}");
    // What the loop calls is told as it is.
    main.frames.splice(0..0, told("python", &[("on_timer", "/srv/app.py", 7)]));
    let found = expect(&python(vec![main], tasks), Cause::BusyLoop, Confidence::Likely);
    assert_eq!(found.frame.as_ref().unwrap().function, "on_timer", "{found:#?}");
}

fn ruby(wait: WaitingOn, frames: &[(&str, &str, u32)]) -> Facts {
    let mut main = thread(4711, "ruby", Some(wait));
    main.frames = told("ruby", frames);
    let mut ticker = thread(
        4712,
        "ticker",
        Some(WaitingOn::Futex(crate::core::facts::FutexFacts {
            timeout_ms: Some(200),
            ..crate::core::facts::FutexFacts::default()
        })),
    );
    ticker.frames = told("ruby", &[("sleep", "", 0), ("tick", "/srv/app.rb", 3)]);
    let mut process = process(4711, 4700, "ruby app.rb", vec![main, ticker]);
    process.runtime = "ruby".to_owned();
    facts(vec![process])
}

#[test]
fn a_lock_of_ruby_is_told_from_what_is_done_under_it() {
    let size = ("size", "/srv/app.rb", 15);
    let wanted = [("synchronize", "", 0), size];
    let polls = || polling("poll", vec![eventfd()]);
    let found = expect(&ruby(polls(), &wanted), Cause::LockWait, Confidence::Possible);
    assert_eq!(found.frame.as_ref().unwrap().function, "size", "{found:#?}");
    expect(&ruby(futex(FutexKind::Condition, 0x10, None), &wanted), Cause::LockWait, Confidence::Possible);
    let pool = "/usr/lib/ruby/gems/3.1.0/gems/connection_pool-2.4.1/lib/connection_pool/timed_stack.rb";
    let signalled = [("wait", "", 0), ("pop", pool, 79), ("synchronize", "", 0), size];
    assert_eq!(verdict(&ruby(polls(), &signalled)).cause, Cause::ChannelWait);
}

#[test]
fn of_gathered_tasks_the_one_that_only_naps_is_not_what_holds_them_up() {
    let mut main = thread(4711, "python3", Some(polling("epoll_wait", vec![eventfd()])));
    main.frames = told("python", &[("run_until_complete", "/usr/lib/python3.11/asyncio/base_events.py", 640)]);
    let nap = WaitingOn::Poll {
        call: "epoll_wait".into(),
        timeout: Some(Duration::from_millis(400)),
        watched: vec![eventfd()],
    };
    main.waiting_on = Some(nap);
    let tasks = vec![
        asyncio(3, (&[], "sleep"), "heartbeat"),
        asyncio(1, (&[2], "gather"), "start"),
        asyncio(2, (&[], "Event.wait"), "wait_for_config"),
    ];
    let found = expect(&python(vec![main.clone()], tasks), Cause::ChannelWait, Confidence::Possible);
    assert_eq!(found.frame.as_ref().unwrap().function, "wait_for_config", "{found:#?}");
    // What was seen to be tried in vain is the work of the task that naps between its tries.
    main.attempts =
        vec![AttemptFacts { address: "10.0.0.5:5672".into(), errno: 111, times: 1, ..AttemptFacts::default() }];
    let tasks = vec![asyncio(1, (&[], "Event.wait"), "main"), asyncio(2, (&[], "sleep"), "connect")];
    let found = expect(&python(vec![main], tasks), Cause::ConnectRetry, Confidence::Likely);
    assert_eq!(found.frame.as_ref().unwrap().function, "connect", "{found:#?}");
}

#[test]
fn a_task_that_awaits_its_loops_executor_is_followed_into_that_thread() {
    let mut main = thread(4711, "python3", Some(polling("epoll_wait", vec![eventfd()])));
    main.frames = told("python", &[("run_until_complete", "/usr/lib/python3.11/asyncio/base_events.py", 640)]);
    let udp = SocketFacts { protocol: "udp".to_owned(), ..socket("established", "10.0.0.2:53") };
    let mut resolver = thread(4712, "python3", Some(polling("poll", vec![watched(6, false, FdFacts::Socket(udp))])));
    resolver.frames = told("python", &[("_worker", "/usr/lib/python3.11/concurrent/futures/thread.py", 58)]);
    let mut task = asyncio(1, (&[], "open_connection"), "connect_database");
    let looks_up = told("python", &[("BaseEventLoop.getaddrinfo", "/usr/lib/python3.11/asyncio/base_events.py", 870)]);
    task.frames = [looks_up, task.frames.to_vec()].concat().into();
    let found = expect(&python(vec![main.clone(), resolver.clone()], vec![task]), Cause::DnsWait, Confidence::Certain);
    says(&found.evidence.join("\n"), &["awaits what is done by thread 4712", "in connect_database()"]);
    // Any other wait may be ended by a thread too, so that it is not the best explanation.
    resolver.waiting_on = Some(sleeping(10));
    let tasks = vec![asyncio(1, (&[], "Event.wait"), "main")];
    let found = expect(&python(vec![main, resolver], tasks), Cause::ChannelWait, Confidence::Possible);
    says(&found.summary, &["only another thread could end the wait"]);
}

#[test]
fn a_goroutine_that_may_wait_for_a_timer_is_not_asleep_for_ever() {
    let after =
        WaitingOn::Channels { channels: vec![ChannelFacts { address: 0xc0, capacity: 1, ..ChannelFacts::default() }] };
    let mut retries = go(vec![goroutine(1, "select", Some(after), &[("main.openDB", "/src/app/main.go", 30)])]);
    retries.output_tail = "dial tcp 10.0.0.5:5432: connect: connection refused\n".repeat(4);
    retries.output_age = Some(Duration::from_secs(1));
    let timer =
        WaitingOn::Poll { call: "epoll_wait".into(), timeout: Some(Duration::from_secs(1)), watched: vec![eventfd()] };
    retries.processes[0].threads[1].waiting_on = Some(timer);
    let found = expect(&retries, Cause::ConnectRetry, Confidence::Likely);
    assert_eq!(
        (found.frame.unwrap().function.as_str(), found.target.as_deref()),
        ("main.openDB", Some("10.0.0.5:5432"))
    );
    // What was printed long ago is not what it is at, and a channel without room is no timer's.
    retries.output_age = Some(Duration::from_secs(20));
    retries.processes[0].tasks = vec![goroutine(1, "select", channel(0xc0), &[("main.wait", "/src/app/main.go", 30)])];
    expect(&retries, Cause::ChannelWait, Confidence::Likely);
    // Which channels a select has need not be readable.
    let unread =
        go(vec![goroutine(1, "select", Some(WaitingOn::Channels { channels: vec![] }), &[("main.wait", "/m.go", 3)])]);
    says(&verdict(&unread).summary, &["on a select over channels"]);
}

/// tokio's main thread, parked, and the one that runs its event loop.
fn tokio(watches: Vec<crate::core::facts::WatchedFacts>) -> ProcessFacts {
    let parked = |tid, wait, inner: &str| {
        let mut thread = thread(tid, "tokio-rt-worker", Some(wait));
        thread.frames = stack(inner, "tokio.rs", 1);
        thread.frames.push(frame("shop::main", "main.rs", 9));
        thread
    };
    let main = parked(4711, futex(FutexKind::Unknown, 0x10, None), "tokio::runtime::park::Inner::park");
    let driver = parked(4712, polling("epoll_wait", watches), "tokio::runtime::io::driver::Driver::turn");
    process(4711, 4700, "./shop", vec![main, driver])
}

#[test]
fn the_main_thread_of_tokio_is_followed_to_its_event_loop() {
    let silent = SocketFacts { received: Some(0), acknowledged: Some(true), ..socket("established", "10.0.0.5:6379") };
    let peer = watched(9, false, FdFacts::Socket(silent));
    let admin = watched(8, false, FdFacts::Socket(socket("listen", "")));
    let mut all = facts(vec![tokio(vec![eventfd(), admin, peer])]);
    all.listening = vec![listening("127.0.0.1:39000", 4711)];
    all.ready = Ready::Notify;
    let found = expect(&all, Cause::ReplyWait, Confidence::Likely);
    assert_eq!(found.target.as_deref(), Some("10.0.0.5:6379"));
    says(&found.evidence.join("\n"), &["waits for a task of its runtime, whose event loop is run by thread 4712"]);
    // A child's output is one of the things that it watches.
    let pipe = FileFacts { peers: vec![named(4720, "sleep")], ..file(FileKind::Pipe, "pipe:[5]") };
    let waits = tokio(vec![eventfd(), watched(9, false, FdFacts::File(pipe))]);
    let child = process(4720, 4711, "sleep 600", vec![thread(4720, "sleep", Some(sleeping(600)))]);
    let found = expect(&facts(vec![waits, child]), Cause::ChildWait, Confidence::Likely);
    assert_eq!(found.target.as_deref(), Some("sleep (pid 4720)"));
}

#[test]
fn locks_of_python_are_told_by_frames_and_never_certain() {
    let takes = |tid, line| {
        let mut waits = thread(tid, "python3", Some(futex(FutexKind::Semaphore, tid as u64, None)));
        let (function, module) = ("PyThread_acquire_lock_timed".to_owned(), "/usr/bin/python3.11".to_owned());
        waits.frames = vec![Frame { function: Some(function), module: Some(module), ..Frame::default() }];
        waits.frames.extend(told("python", &[("take", "/srv/app.py", line)]));
        waits
    };
    let mut main = thread(4711, "python3", Some(futex(FutexKind::Semaphore, 1, None)));
    main.frames = told("python", &[("Thread.join", "/usr/lib/python3.11/threading.py", 1), ("main", "/srv/app.py", 9)]);
    let found =
        expect(&python(vec![main, takes(4712, 20), takes(4713, 30)], vec![]), Cause::LockCycle, Confidence::Possible);
    says(&found.summary, &["in take() at app.py:20", "a threading.Lock"]);
}

#[test]
fn of_a_jvm_that_told_nothing_it_is_not_said_that_nobody_else_runs() {
    let main = thread(4711, "java", Some(futex(FutexKind::Unknown, 0x10, None)));
    let connects = thread(4712, "java", Some(connecting("10.0.0.5:6379")));
    let mut process = process(4711, 4700, "java -jar shop.jar", vec![main, connects]);
    process.runtime = "jvm".to_owned();
    process.dump_error = Some("the JVM did not tell its stacks: it did not answer in time".to_owned());
    let found = expect(&facts(vec![process]), Cause::ConnectWait, Confidence::Likely);
    assert_eq!(found.target.as_deref(), Some("10.0.0.5:6379"));
}

#[test]
fn a_hundred_thousand_goroutines_are_looked_at_in_time() {
    let wait = |id| goroutine(id, "chan receive", channel(id), &[("main.work", "/src/app/main.go", 30)]);
    let found = expect(&go((1..100_000).map(wait).collect()), Cause::ChannelWait, Confidence::Likely);
    says(&found.summary, &["goroutine 1 in main.work()", "everything else in the process waits so too"]);
}

/// A task of Rust, told by its record alone.
fn future(id: u64, state: &str, function: &str) -> TaskFacts {
    let frame = Frame { function: Some(function.to_owned()), found: FoundBy::Runtime, ..Frame::default() };
    TaskFacts { id, state: state.to_owned(), frames: vec![frame].into(), ..TaskFacts::default() }
}

/// A thread that runs the tasks of its program, and polls.
fn carrier(watched: Vec<WatchedFacts>, timeout: Option<Duration>) -> ThreadFacts {
    let mut thread = thread(4711, "api", Some(polling("epoll_wait", watched)));
    if let Some(WaitingOn::Poll { timeout: limit, .. }) = &mut thread.waiting_on {
        *limit = timeout;
    }
    let block_on = "tokio::runtime::scheduler::current_thread::CurrentThread::block_on";
    thread.frames = vec![frame("epoll_wait", "", 0), frame(block_on, "", 0), frame("api::main", "main.rs", 20)];
    thread.frames.iter_mut().filter(|frame| frame.line == Some(0)).for_each(|frame| {
        (frame.file, frame.line) = (None, None);
    });
    thread
}

fn rust(watched: Vec<WatchedFacts>, timeout: Option<Duration>, tasks: Vec<TaskFacts>) -> Facts {
    let mut process = process(4711, 4700, "./api", vec![carrier(watched, timeout)]);
    process.tasks = tasks;
    facts(vec![process])
}

#[test]
fn a_task_of_rust_that_is_awaited_and_that_nothing_can_wake() {
    let tasks = || {
        let more = (5..8).map(|id| future(id, "pending", "api::tick::{closure#0}"));
        let wanted = future(3, "pending, awaited", "api::load::{closure#0}");
        let library = future(4, "pending", "hyper::server::Connection<Io>");
        more.chain([wanted, library]).collect::<Vec<_>>()
    };
    let found = expect(&rust(vec![eventfd()], None, tasks()), Cause::ChannelWait, Confidence::Likely);
    assert_eq!(
        found.summary,
        "task 3 (api::load::{closure#0}) of api (pid 4711) has not ended and is awaited, and nothing that its event loop \
         watches could end the wait"
    );
    assert_eq!(found.frame.unwrap().function, "api::load::{closure#0}");
    let told = "tasks that have not ended: api::load::{closure#0} (awaited), api::tick::{closure#0} × 3";
    assert!(found.evidence.iter().any(|line| line == told), "{:?}", found.evidence);
    // A timer runs: it may be what is awaited.
    let timer = rust(vec![eventfd()], Some(Duration::from_secs(60)), tasks());
    assert_eq!(
        expect(&timer, Cause::EventLoopIdle, Confidence::Likely).frame.unwrap().function,
        "api::load::{closure#0}"
    );
    // One is about to go on.
    let mut busy = tasks();
    busy[0].state = "notified".to_owned();
    expect(&rust(vec![eventfd()], None, busy), Cause::EventLoopIdle, Confidence::Likely);
}

#[test]
fn a_pending_connection_of_a_task_of_rust_is_told_with_the_task_that_is_awaited() {
    let peer = watched(9, true, FdFacts::Socket(socket("syn-sent", "127.0.0.1:6379")));
    let tasks =
        vec![future(3, "pending, awaited", "api::load::{closure#0}"), future(4, "pending", "api::tick::{closure#0}")];
    let found =
        expect(&rust(vec![peer.clone(), eventfd()], None, tasks.clone()), Cause::ConnectWait, Confidence::Certain);
    assert_eq!(found.frame.unwrap().function, "api::load::{closure#0}");
    // Of several that are awaited it is not known which one connects.
    let mut several = tasks;
    several[1].state = "pending, awaited".to_owned();
    let found = expect(&rust(vec![peer, eventfd()], None, several), Cause::ConnectWait, Confidence::Certain);
    assert_eq!(found.frame.unwrap().function, "api::main");
}

#[test]
fn tasks_of_rust_say_nothing_of_a_thread_that_runs_code_of_its_own() {
    let mut facts = rust(Vec::new(), None, vec![future(3, "pending, awaited", "api::load::{closure#0}")]);
    let thread = &mut facts.processes[0].threads[0];
    thread.waiting_on = Some(futex(FutexKind::Mutex, 0x10, None));
    thread.frames.insert(1, frame("api::locks", "main.rs", 7));
    let found = diagnose(&facts).verdict;
    assert_eq!(found.frame.unwrap().function, "api::locks");
    assert!(!found.evidence.iter().any(|line| line.starts_with("tasks that")), "{:?}", found.evidence);
}

/// An asyncio program: `main` awaits the others; its loop waits in the main thread.
fn loops(waits: WaitingOn, awaits: &str, others: Vec<TaskFacts>) -> Facts {
    let mut main = thread(4711, "python3", Some(waits));
    main.frames =
        told("python", &[("handler", "/srv/app.py", 7), ("_run_once", "/usr/lib/python3.11/asyncio/b.py", 1)]);
    let tasks = others.iter().map(|task| task.id).collect();
    let waiting_on = Some(WaitingOn::Tasks { tasks, what: awaits.to_owned() });
    let frames = told("python", &[("main", "/srv/app.py", 20)]).into();
    let first =
        TaskFacts { id: 1, name: Some("Task-1".to_owned()), state: "pending".to_owned(), ..TaskFacts::default() };
    let first = TaskFacts { thread: Some(4711), waiting_on, frames, ..first };
    let mut process = process(4711, 4700, "python3 app.py", vec![main]);
    process.runtime = "cpython".to_owned();
    process.tasks = std::iter::once(first).chain(others).collect();
    facts(vec![process])
}

fn running() -> TaskFacts {
    let frames = told("python", &[("handler", "/srv/app.py", 7)]).into();
    let (name, state) = (Some("Task-2".to_owned()), "running".to_owned());
    TaskFacts { id: 2, name, state, thread: Some(4711), frames, ..TaskFacts::default() }
}

#[test]
fn a_call_that_blocks_the_event_loop_is_what_the_others_wait_for() {
    let found = expect(&loops(sleeping(1000), "gather", vec![running()]), Cause::ChannelWait, Confidence::Likely);
    says(
        &found.summary,
        &["task `Task-2`", "in handler() at app.py:7 sleeps for 16 min 40 s", "blocks its event loop"],
    );
    // One that waits for a child.
    let sleep = || process(4712, 4711, "sleep 1000", vec![thread(4712, "sleep", Some(sleeping(1000)))]);
    let mut waits = loops(child(4712, "sleep"), "gather", vec![running()]);
    waits.processes.push(sleep());
    assert_eq!(expect(&waits, Cause::ChildWait, Confidence::Likely).target.as_deref(), Some("sleep (pid 4712)"));
    // One that is awaited as it is to be.
    let mut awaits = loops(polling("epoll_wait", vec![eventfd()]), "Process.wait", vec![]);
    awaits.processes.push(sleep());
    let found = expect(&awaits, Cause::ChildWait, Confidence::Likely);
    assert_eq!(found.target.as_deref(), Some("sleep (pid 4712)"));
    says(&found.evidence.join("\n"), &["awaits the end of sleep (pid 4712)"]);
    // A short sleep is a step of something longer.
    let short = verdict(&loops(sleeping(1), "gather", vec![running()]));
    assert_eq!(short.cause, Cause::Unknown, "{short:#?}");
}
