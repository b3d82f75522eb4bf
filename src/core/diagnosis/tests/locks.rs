//! Locks: of threads and of files.

use super::*;

#[test]
fn two_mutexes_taken_in_opposite_order() {
    let found = expect(&deadlock(), Cause::LockCycle, Confidence::Certain);
    assert_eq!(
        found.summary,
        "deadlock: thread 4712 `worker_a` in lock_b() at deadlock.c:23 waits for the lock held by thread 4713 \
         `worker_b`, and thread 4713 `worker_b` in lock_a() at deadlock.c:31 waits for the lock held by thread 4712 \
         `worker_a`"
    );
    assert_eq!(found.thread, Some(4712));
    assert_eq!(diagnose(&deadlock()).alternatives, [], "the same circle must not be told twice");
    // Also when the main thread is not known to wait for them.
    let mut facts = deadlock();
    facts.processes[0].threads[0].waiting_on = Some(polling("epoll_wait", vec![eventfd()]));
    expect(&facts, Cause::LockCycle, Confidence::Certain);
}

#[test]
fn a_number_in_a_futex_of_unknown_kind_proves_nothing() {
    let of = |kind| {
        let mut facts = deadlock();
        facts.processes[0].threads[1].waiting_on = Some(futex(kind, 0x6020, Some(4713)));
        facts
    };
    expect(&of(FutexKind::Unknown), Cause::LockCycle, Confidence::Likely);
    assert_ne!(verdict(&of(FutexKind::Condition)).cause, Cause::LockCycle);
}

#[test]
fn circles_of_any_length_are_named() {
    let own = expect(&single(futex(FutexKind::Mutex, 0x6000, Some(4711))), Cause::LockCycle, Confidence::Certain);
    says(&own.summary, &["waits for the lock held by itself"]);
    let mut facts = deadlock();
    let last = 5000;
    for tid in 4713..last {
        let mut more = thread(tid, "more", Some(futex(FutexKind::Mutex, tid as u64, Some(tid + 1))));
        more.frames = stack("lock", "more.c", tid as u32);
        facts.processes[0].threads.retain(|thread| thread.tid != tid);
        facts.processes[0].threads.push(more);
    }
    // Too long to be told: but it is not told wrongly either.
    assert_ne!(verdict(&facts).cause, Cause::Unknown);
    facts.processes[0].threads.retain(|thread| thread.tid <= 4720);
    let closing = &mut facts.processes[0].threads.last_mut().unwrap().waiting_on;
    *closing = Some(futex(FutexKind::RwLock, 1, Some(4712)));
    let circle = expect(&facts, Cause::LockCycle, Confidence::Certain);
    says(&circle.summary, &["4712", "4720", "more.c:4719"]);
}

#[test]
fn a_thread_that_holds_a_lock_and_joins_one_that_wants_it() {
    let mut facts = deadlock();
    facts.processes[0].threads.truncate(2);
    let worker = &mut facts.processes[0].threads[1];
    worker.waiting_on = Some(futex(FutexKind::Mutex, 0x6000, Some(4711)));
    let found = expect(&facts, Cause::LockCycle, Confidence::Certain);
    says(&found.summary, &["waits for the lock held by thread 4711", "waits for the end of thread 4712"]);
}

#[test]
fn a_lock_whose_holder_does_something_else() {
    let mut facts = deadlock();
    let replies = watched(7, false, FdFacts::Socket(socket("established", "10.0.0.5:6379")));
    facts.processes[0].threads[2] = thread(4713, "worker_b", Some(polling("poll", vec![replies])));
    says(&verdict(&facts).summary, &["held by thread 4713 `worker_b`, which waits for data from 10.0.0.5:6379"]);
    let mut holder = thread(4713, "worker_b", Some(connecting("10.0.0.5:6379")));
    holder.frames = stack("refill", "pool.c", 9);
    facts.processes[0].threads[2] = holder;
    let found = expect(&facts, Cause::LockWait, Confidence::Certain);
    says(
        &found.summary,
        &["held by thread 4713 `worker_b` in refill() at pool.c:9, which is in connect() to 10.0.0.5"],
    );
    let alternatives = diagnose(&facts).alternatives;
    assert_eq!(alternatives[0].cause, Cause::ConnectWait);
    assert_eq!(alternatives[0].confidence, Confidence::Likely);
}

#[test]
fn locks_without_an_owner_are_not_guessed() {
    let mut facts = deadlock();
    for thread in &mut facts.processes[0].threads[1..] {
        let address = u64::try_from(thread.tid).unwrap();
        thread.waiting_on = Some(futex(FutexKind::Lock, address, None));
    }
    facts.processes[0].threads[0].waiting_on = Some(futex(FutexKind::Lock, 9, None));
    expect(&facts, Cause::LockCycle, Confidence::Possible);
    facts.processes[0].threads[2].waiting_on = Some(sleeping(9));
    expect(&facts, Cause::LockWait, Confidence::Possible);
    expect(&single(futex(FutexKind::Lock, 9, None)), Cause::LockCycle, Confidence::Likely);
    // The owner is no thread any more.
    let gone = expect(&single(futex(FutexKind::Mutex, 9, Some(99))), Cause::LockWait, Confidence::Likely);
    says(&gone.summary, &["held by thread 99, which has ended"]);
}

#[test]
fn a_condition_that_nobody_signals() {
    let alone = expect(&single(futex(FutexKind::Condition, 9, None)), Cause::ChannelWait, Confidence::Likely);
    says(&alone.summary, &["nothing else in the process that could end the wait"]);
    let mut facts = deadlock();
    facts.processes[0].threads[0].waiting_on = Some(futex(FutexKind::Condition, 9, None));
    facts.processes[0].threads.truncate(2);
    facts.processes[0].threads[1].waiting_on = Some(sleeping(3));
    expect(&facts, Cause::ChannelWait, Confidence::Possible);
}

#[test]
fn a_file_lock_names_its_holder() {
    let lock = |pid| WaitingOn::FileLock { path: Some("/var/lib/db/lock".to_owned()), holders: vec![named(pid, "db")] };
    let found = expect(&single(lock(900)), Cause::FileLockWait, Confidence::Certain);
    says(&found.summary, &["for the lock on /var/lib/db/lock, held by db (pid 900)"]);
    assert_eq!(found.target.as_deref(), Some("/var/lib/db/lock"));
    // One of the service's own may have it.
    let mut tree = single(lock(4712));
    tree.processes.push(process(4712, 4711, "./api old", vec![thread(4712, "api", Some(WaitingOn::Signal))]));
    let within = expect(&tree, Cause::FileLockWait, Confidence::Certain);
    says(&within.evidence.join("\n"), &["db (pid 4712), of this service, holds it and waits for a signal"]);
    let own = expect(&single(lock(4711)), Cause::FileLockWait, Confidence::Certain);
    says(&own.summary, &["which it holds itself"]);
}
