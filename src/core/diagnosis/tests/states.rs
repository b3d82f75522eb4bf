//! Input, loops, sleeps and what the kernel does with a thread.

use super::*;

#[test]
fn input_from_a_terminal_a_pipe_or_a_fifo() {
    let input = |fd, file| single(WaitingOn::Input { fd, file });
    let typed = expect(&input(0, file(FileKind::Terminal, "/dev/pts/3")), Cause::InputWait, Confidence::Certain);
    says(&typed.summary, &["for input from standard input, the terminal /dev/pts/3: nobody has typed anything"]);
    assert_eq!(typed.target.as_deref(), Some("stdin"));
    let mut own = input(0, file(FileKind::Terminal, "/dev/pts/3"));
    own.terminal = true;
    assert_eq!(verdict(&own).advice, ["answer its question: launcher attach api"]);
    let fifo = expect(&input(5, file(FileKind::Fifo, "/run/ctl")), Cause::InputWait, Confidence::Certain);
    says(&fifo.summary, &["the FIFO /run/ctl (fd 5): nothing has it open for writing"]);
    let pipe = FileFacts { peers: vec![named(900, "feeder")], ..file(FileKind::Pipe, "pipe:[5]") };
    let pipe = expect(&input(5, pipe), Cause::InputWait, Confidence::Certain);
    says(&pipe.summary, &["feeder (pid 900) could write to it, but does not"]);
    let writers = (900..905).map(|pid| named(pid, "feeder")).collect();
    let pipe = FileFacts { peers: writers, ..file(FileKind::Pipe, "pipe:[5]") };
    let many = expect(&input(5, pipe.clone()), Cause::InputWait, Confidence::Certain);
    says(&many.summary, &["and 2 more could write to it, but do not"]);
    let full = verdict(&single(WaitingOn::Output { fd: 5, file: pipe }));
    says(&full.summary, &["and 2 more do not read it"]);
    let open = WaitingOn::Open { path: "/run/ctl".to_owned() };
    assert_eq!(expect(&single(open), Cause::InputWait, Confidence::Certain).target.as_deref(), Some("/run/ctl"));
    let select = polling("select", vec![watched(0, false, FdFacts::File(file(FileKind::Terminal, "/dev/pts/3")))]);
    expect(&single(select), Cause::InputWait, Confidence::Likely);
}

#[test]
fn who_reads_and_writes_a_fifo_is_not_the_writer_it_waits_for() {
    let own = FileFacts { peers: vec![named(4711, "api")], ..file(FileKind::Fifo, "/run/ctl") };
    let found = expect(&single(WaitingOn::Input { fd: 0, file: own }), Cause::InputWait, Confidence::Certain);
    says(&found.summary, &["nothing else has it open for writing"]);
    assert!(!found.advice.iter().any(|advice| advice.contains("4711")), "{:?}", found.advice);
}

#[test]
fn who_is_about_to_find_a_pipes_end_waits_for_no_input() {
    let ended = FileFacts { peers_complete: true, ..file(FileKind::Pipe, "pipe:[5]") };
    let mut facts = single(WaitingOn::Input { fd: 3, file: ended });
    facts.processes[0].threads[0].waited = Some(Duration::from_millis(95));
    facts.output_tail = "Postgres is unavailable - sleeping\n".repeat(5);
    facts.output_age = Some(Duration::from_millis(700));
    expect(&facts, Cause::ConnectRetry, Confidence::Likely);
    // A writer that could not be seen, it seems.
    facts.processes[0].threads[0].waited = Some(Duration::from_secs(9));
    expect(&facts, Cause::InputWait, Confidence::Certain);
}

#[test]
fn its_own_wake_up_pipe_is_no_input() {
    let own = FileFacts { peers: vec![named(4711, "api")], ..file(FileKind::Pipe, "pipe:[5]") };
    expect(&single(WaitingOn::Input { fd: 5, file: own }), Cause::Unknown, Confidence::Possible);
}

#[test]
fn the_thread_of_dotnet_that_waits_for_a_debugger_waits_for_no_input() {
    // As .NET 3.1 was seen to: the main thread reads, the other one is the runtime's own.
    let debugger = WaitingOn::Open { path: "/tmp/clr-debug-pipe-4711-1430758-in".to_owned() };
    let mut helper = thread(4712, "shop", Some(debugger));
    let runtime = |function: &str| Frame {
        function: Some(function.to_owned()),
        module: Some("/opt/dotnet/shared/Microsoft.NETCore.App/3.1.23/libcoreclr.so".to_owned()),
        ..Frame::default()
    };
    helper.frames = vec![runtime("TwoWayPipe::WaitForConnection()")];
    let mut main = thread(4711, "shop", Some(WaitingOn::Input { fd: 0, file: file(FileKind::Terminal, "/dev/pts/3") }));
    main.frames = vec![runtime("SystemNative_Read"), frame("main", "host.c", 20)];
    let mut dotnet = process(4711, 4700, "shop", vec![main, helper]);
    dotnet.runtime = "dotnet".to_owned();
    let found = diagnose(&facts(vec![dotnet]));
    assert_eq!((found.verdict.cause, found.verdict.thread), (Cause::InputWait, Some(4711)));
    assert_eq!(found.verdict.frame.unwrap().function, "main");
    assert!(found.alternatives.iter().all(|other| other.cause != Cause::InputWait), "{:#?}", found.alternatives);
}

#[test]
fn the_helper_of_the_erlang_vm_owes_no_reply() {
    let helper = SocketFacts { peer_processes: vec![named(4713, "erl_child_setup")], ..socket("connected", "") };
    let helper = watched(17, false, FdFacts::Socket(SocketFacts { protocol: "unix".to_owned(), ..helper }));
    let main = thread(4711, "beam.smp", Some(polling("select", Vec::new())));
    let poller = thread(4729, "0_poller", Some(polling("epoll_wait", vec![helper, eventfd()])));
    let mut beam = process(4711, 4700, "beam.smp", vec![main, poller]);
    beam.runtime = "erlang".to_owned();
    let found = diagnose(&facts(vec![beam]));
    assert_eq!(found.verdict.cause, Cause::EventLoopIdle, "{found:#?}");
    assert!(found.alternatives.iter().all(|other| other.cause != Cause::ReplyWait), "{found:#?}");
}

#[test]
fn a_loop_that_burns_cpu_is_told_from_work() {
    let busy = |io| {
        let mut facts = single(sleeping(1));
        let process = &mut facts.processes[0];
        process.io = grew(io);
        process.cpu = grew(99);
        let thread = &mut process.threads[0];
        thread.cpu = grew(99);
        thread.state = 'R';
        thread.waiting_on = None;
        facts
    };
    let spins = expect(&busy(0), Cause::BusyLoop, Confidence::Likely);
    says(&spins.summary, &["api (pid 4711) burns CPU in init_redis() at main.c:42"]);
    says(&spins.evidence.join("\n"), &["99 % of a CPU", "hottest frame: __GI___syscall"]);
    expect(&busy(10 << 20), Cause::SlowProgress, Confidence::Likely);
    let mut prints = busy(0);
    prints.output_tail = "loaded 10 of 100\n".to_owned();
    prints.output_age = Some(Duration::from_millis(40));
    expect(&prints, Cause::SlowProgress, Confidence::Likely);
}

#[test]
fn what_was_printed_at_the_begin_of_a_short_start_is_no_progress() {
    let mut facts = single(sleeping(100));
    facts.elapsed = Duration::from_secs(1);
    facts.output_tail = "starting\n".to_owned();
    facts.output_age = Some(Duration::from_millis(990));
    expect(&facts, Cause::Unknown, Confidence::Possible);
    facts.output_age = Some(Duration::from_millis(100));
    expect(&facts, Cause::SlowProgress, Confidence::Possible);
}

#[test]
fn a_loop_that_has_to_share_its_cpu_is_one() {
    let shared = |used, queued| {
        let mut facts = single(sleeping(1));
        facts.processes[0].cpu = grew(used);
        let thread = &mut facts.processes[0].threads[0];
        (thread.cpu, thread.queued, thread.state, thread.waiting_on) = (grew(used), grew(queued), 'R', None);
        facts
    };
    let spins = expect(&shared(35, 60), Cause::BusyLoop, Confidence::Likely);
    says(&spins.evidence.join("\n"), &["35 % of a CPU", "waited for a free one the rest of the time"]);
    assert!(diagnose(&shared(35, 60)).alternatives.is_empty(), "what a busy thread uses is no progress beside it");
    expect(&shared(35, 10), Cause::SlowProgress, Confidence::Possible);
}

#[test]
fn a_connection_that_was_seen_to_be_refused_between_two_sleeps() {
    let mut facts = single(sleeping(1));
    expect(&facts, Cause::Unknown, Confidence::Possible);
    let refused =
        |address: &str| AttemptFacts { address: address.to_owned(), errno: 111, times: 2, ..AttemptFacts::default() };
    facts.processes[0].threads[0].attempts = vec![refused("[::1]:6379"), refused("127.0.0.1:6379")];
    let found = expect(&facts, Cause::ConnectRetry, Confidence::Likely);
    assert_eq!(found.target.as_deref(), Some("127.0.0.1:6379"));
    says(&found.summary, &["api (pid 4711) keeps trying to reach 127.0.0.1:6379, which refuses", "it sleeps 1.0 s"]);
    says(&found.evidence.join("\n"), &["connect() to [::1]:6379 failed (errno 111), 2 times", "init_redis"]);
    says(&found.advice.join("\n"), &["start what should listen on 127.0.0.1:6379 (usually Redis)"]);
}

#[test]
fn a_lock_that_was_seen_to_be_tried_between_two_sleeps() {
    let mut facts = single(sleeping(1));
    facts.output_tail = "Waiting for cache lock: held by 12\n".repeat(5);
    facts.output_age = Some(Duration::from_millis(300));
    facts.processes[0].threads[0].attempts = vec![AttemptFacts {
        what: Tried::FileLock,
        address: "/var/lib/dpkg/lock".to_owned(),
        holders: vec![named(12, "dpkg")],
        errno: 11,
        times: 1,
    }];
    let found = expect(&facts, Cause::FileLockWait, Confidence::Likely);
    assert_eq!(found.target.as_deref(), Some("/var/lib/dpkg/lock"));
    says(&found.summary, &["tries again and again to lock /var/lib/dpkg/lock, held by dpkg (pid 12)"]);
    says(&found.advice.join("\n"), &["launcher dump 12"]);
}

#[test]
fn what_is_said_again_and_again_is_placed_by_a_connection_that_came_about() {
    let mut facts = single(sleeping(1));
    facts.output_tail = "WARN HTTP Error 503: Service Unavailable, next in 1 s\n".repeat(5);
    facts.output_age = Some(Duration::from_millis(300));
    let found = expect(&facts, Cause::ConnectRetry, Confidence::Likely);
    assert_eq!((found.target, found.frame.unwrap().function.as_str()), (None, "init_redis"));
    facts.processes[0].threads[0].attempts =
        vec![AttemptFacts { address: "10.0.0.5:8888".to_owned(), times: 1, ..AttemptFacts::default() }];
    let found = expect(&facts, Cause::ConnectRetry, Confidence::Likely);
    says(&found.summary, &["keeps trying to reach 10.0.0.5:8888, which answers that it is not available"]);
    // A connection that came about is no failure.
    facts.output_tail.clear();
    expect(&facts, Cause::Unknown, Confidence::Possible);
}

#[test]
fn who_gets_little_of_a_cpu_prints_less_often() {
    let mut facts = single(sleeping(1));
    facts.output_tail = "loaded 1000 rows\n".to_owned();
    facts.output_age = Some(Duration::from_secs(5));
    let thread = &mut facts.processes[0].threads[0];
    (thread.cpu, thread.queued, thread.state, thread.waiting_on) = (grew(25), grew(72), 'R', None);
    expect(&facts, Cause::SlowProgress, Confidence::Likely);
    facts.output_age = Some(Duration::from_secs(12));
    expect(&facts, Cause::BusyLoop, Confidence::Likely);
}

#[test]
fn what_a_shell_started_between_two_sleeps_counts_for_the_shell() {
    let mut facts = single(sleeping(1));
    facts.processes[0].parent = 4000;
    let mut shell = single(WaitingOn::Child { children: Vec::new() }).processes.remove(0);
    (shell.pid, shell.threads[0].tid) = (4000, 4000);
    shell.attempts =
        vec![AttemptFacts { address: "127.0.0.1:6379".to_owned(), errno: 111, times: 1, ..AttemptFacts::default() }];
    facts.processes.insert(0, shell);
    let found = expect(&facts, Cause::ConnectRetry, Confidence::Likely);
    assert_eq!((found.process, found.target.as_deref()), (Some(4000), Some("127.0.0.1:6379")));
}

#[test]
fn who_waits_for_a_disk_for_moments_is_at_work() {
    let mut facts = single(sleeping(100));
    let mut writes = thread(4712, "api", Some(WaitingOn::Open { path: "/srv/part".to_owned() }));
    (writes.state, writes.waited) = ('D', Some(Duration::from_millis(3)));
    facts.processes[0].threads.push(writes);
    facts.processes[0].io = grew(56 << 20);
    expect(&facts, Cause::SlowProgress, Confidence::Possible);
    facts.processes[0].threads[1].waited = Some(Duration::from_secs(9));
    expect(&facts, Cause::DiskWait, Confidence::Likely);
}

#[test]
fn what_is_idle_is_told_what_fits_the_occasion() {
    for (wait, idle) in [
        (WaitingOn::Signal, "api (pid 4711) waits for a signal"),
        (polling("epoll_wait", vec![eventfd()]), "api (pid 4711) is idle in its event loop (epoll_wait())"),
    ] {
        let mut facts = single(wait);
        let advice = |facts: &Facts| verdict(facts).advice.join("; ");
        assert!(verdict(&facts).summary.starts_with(&format!("{idle} and never listened")), "{:?}", verdict(&facts));
        says(&advice(&facts), &["its listen() call", "send READY=1"]);
        let of_starts = |facts: &Facts| {
            let Verdict { summary, advice, .. } = verdict(facts);
            let all = format!("{summary}; {}", advice.join("; "));
            ["listen", "READY=1", "start_timeout"].iter().any(|word| all.contains(word))
        };
        (facts.was_ready, facts.notified.ready, facts.occasion) = (true, true, Occasion::Watchdog);
        assert!(verdict(&facts).summary.starts_with(idle) && !of_starts(&facts), "{:?}", verdict(&facts));
        assert!(verdict(&facts).advice[0].starts_with("let it send WATCHDOG=1"), "{:?}", verdict(&facts));
        facts.occasion = Occasion::StopTimeout;
        assert_eq!(verdict(&facts).summary, format!("{idle}, though it was asked to stop"));
        says(&advice(&facts), &["stop_signal (--stop-signal)", "raise stop_timeout (--stop-timeout)"]);
        assert!(!of_starts(&facts), "{:?}", verdict(&facts));
    }
}

#[test]
fn the_limit_that_was_exceeded_is_the_one_to_raise() {
    let mut facts = single(WaitingOn::Signal);
    facts.occasion = Occasion::StopTimeout;
    let mut last = |by| {
        facts.stop_limit = Some(StopLimit { time: Duration::from_secs(3), by });
        verdict(&facts).advice.pop().unwrap()
    };
    says(&last(StopLimitKey::DrainTimeout), &["raise drain_timeout"]);
    says(&last(StopLimitKey::StopBudget), &["raise stop_budget (--stop-budget)"]);
    says(&last(StopLimitKey::StopTimeout), &["raise stop_timeout (--stop-timeout)"]);
}

#[test]
fn what_holds_a_service_for_certain_is_not_mended_by_its_watchdog() {
    let mut facts = deadlock();
    facts.occasion = Occasion::Watchdog;
    assert!(verdict(&facts).advice.iter().all(|advice| !advice.contains("atchdog")), "{:?}", verdict(&facts));
}

#[test]
fn a_pipe_whose_ends_could_not_be_looked_for_may_be_the_loops_own() {
    let pipe = |complete| FileFacts { peers_complete: complete, ..file(FileKind::Pipe, "pipe:[5]") };
    let polls = |complete| single(polling("epoll_wait", vec![watched(5, false, FdFacts::File(pipe(complete)))]));
    expect(&polls(false), Cause::EventLoopIdle, Confidence::Likely);
    expect(&polls(true), Cause::InputWait, Confidence::Likely);
}

#[test]
fn a_unix_socket_whose_backlog_is_full_is_tried_again_and_again() {
    let mut facts = single(sleeping(1));
    facts.processes[0].threads[0].attempts =
        vec![AttemptFacts { address: "/run/agent.sock".to_owned(), errno: 11, times: 1, ..AttemptFacts::default() }];
    let found = expect(&facts, Cause::ConnectRetry, Confidence::Likely);
    says(&found.summary, &["/run/agent.sock, which takes no more connections: its backlog is full"]);
}

#[test]
fn what_is_on_a_cpu_is_done_with_its_wait() {
    let mut facts = single(WaitingOn::Open { path: "/srv/part-7".to_owned() });
    facts.processes[0].threads[0].state = 'R';
    facts.processes[0].io = grew(56 << 20);
    expect(&facts, Cause::SlowProgress, Confidence::Possible);
    facts.processes[0].threads[0].waiting_on = Some(connecting("10.0.0.5:6379"));
    expect(&facts, Cause::ConnectWait, Confidence::Likely);
}

#[test]
fn a_wait_of_a_moment_is_not_certain() {
    let mut facts = single(connecting("10.0.0.5:6379"));
    expect(&facts, Cause::ConnectWait, Confidence::Certain);
    facts.processes[0].threads[0].waited = Some(Duration::from_millis(20));
    expect(&facts, Cause::ConnectWait, Confidence::Likely);
}

#[test]
fn what_somebody_asks_for_is_not_advised_like_a_start() {
    let mut facts = single(polling("epoll_wait", vec![eventfd()]));
    facts.occasion = Occasion::Requested;
    facts.listening = vec![listening("127.0.0.1:8080", 4711)];
    let found = verdict(&facts);
    assert_eq!(found.cause, Cause::Unknown);
    says(&found.summary, &["listens on tcp://127.0.0.1:8080", "it seems to wait for requests"]);
    assert_eq!(found.advice, ["look again in a while: what has not moved by then is stuck"]);
}

#[test]
fn steps_with_sleep_between_are_progress_when_text_comes() {
    let mut facts = single(sleeping(1));
    facts.output_tail = "step 3 of 100\n".to_owned();
    facts.output_age = Some(Duration::from_millis(400));
    expect(&facts, Cause::SlowProgress, Confidence::Possible);
}

#[test]
fn stopped_by_a_signal_or_a_tracer() {
    let mut facts = single(connecting("10.0.0.5:6379"));
    facts.processes[0].threads[0].state = 'T';
    let stopped = expect(&facts, Cause::Stopped, Confidence::Certain);
    says(&stopped.advice[0], &["kill -CONT 4711"]);
    facts.processes[0].threads[0].state = 't';
    says(&expect(&facts, Cause::Stopped, Confidence::Certain).summary, &["held by a tracer"]);
    let mut child = tree(Some(sleeping(5)));
    child.processes[1].threads[0].state = 'T';
    assert_eq!(expect(&child, Cause::Stopped, Confidence::Certain).process, Some(4712));
}

#[test]
fn disk_and_entropy() {
    let mut facts = single(WaitingOn::Input { fd: 3, file: file(FileKind::Regular, "/mnt/data") });
    facts.processes[0].threads[0].state = 'D';
    facts.processes[0].threads[0].wchan = Some("rpc_wait_bit_killable".to_owned());
    let found = expect(&facts, Cause::DiskWait, Confidence::Certain);
    assert_eq!(found.target.as_deref(), Some("/mnt/data"));
    facts.processes[0].threads[0].waiting_on = None;
    facts.processes[0].threads[0].wchan = None;
    expect(&facts, Cause::DiskWait, Confidence::Likely);
    // What waits for the server of a file system can be interrupted, and waits for it none the less.
    let mut answer = single(WaitingOn::Open { path: "/mnt/data".to_owned() });
    answer.processes[0].threads[0].wchan = Some("request_wait_answer".to_owned());
    says(&expect(&answer, Cause::DiskWait, Confidence::Certain).summary, &["the file system's server does not answer"]);
    // The server of such a file system is idle.
    answer.processes[0].threads[0].wchan = Some("fuse_dev_do_read".to_owned());
    answer.processes[0].threads[0].waiting_on =
        Some(WaitingOn::Input { fd: 3, file: file(FileKind::Device, "/dev/fuse") });
    assert_ne!(diagnose(&answer).verdict.cause, Cause::DiskWait);
    expect(&single(WaitingOn::Entropy), Cause::EntropyWait, Confidence::Certain);
    // The parent of a vfork is in state D as well.
    let mut vfork = tree(Some(connecting("10.0.0.5:5432")));
    vfork.processes[0].threads[0].state = 'D';
    vfork.processes[0].threads[0].waiting_on = Some(WaitingOn::Other { call: "vfork".to_owned() });
    expect(&vfork, Cause::ConnectWait, Confidence::Certain);
}

#[test]
fn a_busy_thread_under_a_quota_is_held_back() {
    let mut facts = single(sleeping(1));
    let process = &mut facts.processes[0];
    process.threads[0] = ThreadFacts { state: 'R', cpu: grew(10), waiting_on: None, ..process.threads[0].clone() };
    process.quota = Some(QuotaFacts { cpus: 0.1, throttled: grew(90) });
    let found = expect(&facts, Cause::CpuThrottled, Confidence::Likely);
    says(&found.summary, &["held back by the CPU quota of its cgroup: 0.1 CPUs, used up in init_redis()"]);
    says(&found.evidence.join("\n"), &["held its cgroup back for 90 ms of 100 ms (90 %)"]);
    // Others of the cgroup are held back, not this one, which sleeps.
    facts.processes[0].threads[0].state = 'S';
    facts.processes[0].threads[0].waiting_on = Some(connecting("10.0.0.5:6379"));
    expect(&facts, Cause::ConnectWait, Confidence::Certain);
}

#[test]
fn a_full_output_is_the_fault_of_who_reads_what_launcher_passes_on() {
    let writes = |passed_on_to| {
        let peers = vec![named(4600, "launcher")];
        let pipe = FileFacts { peers, passed_on_to, ..file(FileKind::Pipe, "pipe:[5]") };
        expect(&single(WaitingOn::Output { fd: 1, file: pipe }), Cause::ChannelWait, Confidence::Certain)
    };
    let found = writes(Some(vec![named(4601, "sleep")]));
    says(&found.summary, &["it is full and sleep (pid 4601) does not read the output of launcher"]);
    assert!(!found.summary.contains("4600"), "{}", found.summary);
    says(&found.advice.join("\n"), &["launcher dump 4601"]);
    says(&writes(Some(Vec::new())).summary, &["what launcher writes it to takes no more"]);
    says(&writes(None).summary, &["launcher (pid 4600) does not read it"]);
}

#[test]
fn what_other_processes_may_end_is_not_said_to_be_for_this_one_alone() {
    let found =
        expect(&single(WaitingOn::Ipc { call: "semtimedop".to_owned() }), Cause::ChannelWait, Confidence::Likely);
    says(&found.summary, &["semtimedop()", "neither this process nor another one has ended the wait"]);
    says(&found.evidence.join("\n"), &["nothing else in the process runs code"]);
}

#[test]
fn a_wait_for_an_event_is_told_in_words() {
    let file = file(FileKind::Anonymous, "anon_inode:[timerfd]");
    let found = expect(&single(WaitingOn::Input { fd: 3, file }), Cause::Unknown, Confidence::Possible);
    says(&found.summary, &["api (pid 4711) waits for a timer (timerfd)"]);
    assert!(!found.summary.contains("nothing shows"), "{}", found.summary);
}

#[test]
fn a_lock_that_is_waited_for_since_a_moment_holds_nothing_up_that_gets_on() {
    let contended = |waited, io| {
        let mut facts = single(futex(FutexKind::Mutex, 9, Some(4712)));
        let process = &mut facts.processes[0];
        process.io = grew(io);
        process.threads[0].waited = Some(Duration::from_millis(waited));
        let mut holder = thread(4712, "worker", Some(sleeping(1)));
        holder.waited = Some(Duration::from_millis(1));
        process.threads.push(holder);
        facts
    };
    expect(&contended(1, 10 << 20), Cause::SlowProgress, Confidence::Possible);
    assert_eq!(diagnose(&contended(1, 0)).verdict.cause, Cause::LockWait);
    assert_eq!(diagnose(&contended(2000, 10 << 20)).verdict.cause, Cause::LockWait);
}
