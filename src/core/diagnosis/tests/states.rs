//! Input, loops, sleeps and what the kernel does with a thread.

use super::*;

#[test]
fn input_from_a_terminal_a_pipe_or_a_fifo() {
    let input = |fd, file| single(WaitingOn::Input { fd, file });
    let typed = expect(&input(0, file(FileKind::Terminal, "/dev/pts/3")), Cause::InputWait, Confidence::Certain);
    says(&typed.summary, &["for input from standard input, the terminal /dev/pts/3: nobody has typed anything"]);
    assert_eq!(typed.target.as_deref(), Some("stdin"));
    let fifo = expect(&input(5, file(FileKind::Fifo, "/run/ctl")), Cause::InputWait, Confidence::Certain);
    says(&fifo.summary, &["the FIFO /run/ctl (fd 5): nothing has it open for writing"]);
    let pipe = FileFacts { peers: vec![named(900, "feeder")], ..file(FileKind::Pipe, "pipe:[5]") };
    let pipe = expect(&input(5, pipe), Cause::InputWait, Confidence::Certain);
    says(&pipe.summary, &["feeder (pid 900) could write to it, but does not"]);
    let open = WaitingOn::Open { path: "/run/ctl".to_owned() };
    assert_eq!(expect(&single(open), Cause::InputWait, Confidence::Certain).target.as_deref(), Some("/run/ctl"));
    let select = polling("select", vec![watched(0, false, FdFacts::File(file(FileKind::Terminal, "/dev/pts/3")))]);
    expect(&single(select), Cause::InputWait, Confidence::Likely);
}

#[test]
fn its_own_wake_up_pipe_is_no_input() {
    let own = FileFacts { peers: vec![named(4711, "api")], ..file(FileKind::Pipe, "pipe:[5]") };
    expect(&single(WaitingOn::Input { fd: 5, file: own }), Cause::Unknown, Confidence::Possible);
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
    let refused = |address: &str| AttemptFacts { address: address.to_owned(), errno: 111, times: 2 };
    facts.processes[0].threads[0].attempts = vec![refused("[::1]:6379"), refused("127.0.0.1:6379")];
    let found = expect(&facts, Cause::ConnectRetry, Confidence::Likely);
    assert_eq!(found.target.as_deref(), Some("127.0.0.1:6379"));
    says(&found.summary, &["api (pid 4711) keeps trying to reach 127.0.0.1:6379, which refuses", "it sleeps 1.0 s"]);
    says(&found.evidence.join("\n"), &["connect() to [::1]:6379 failed (errno 111), 2 times", "init_redis"]);
    says(&found.advice.join("\n"), &["start what should listen on 127.0.0.1:6379 (usually Redis)"]);
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
    expect(&single(WaitingOn::Entropy), Cause::EntropyWait, Confidence::Certain);
    // The parent of a vfork is in state D as well.
    let mut vfork = tree(Some(connecting("10.0.0.5:5432")));
    vfork.processes[0].threads[0].state = 'D';
    vfork.processes[0].threads[0].waiting_on = Some(WaitingOn::Other { call: "vfork".to_owned() });
    expect(&vfork, Cause::ConnectWait, Confidence::Certain);
}
