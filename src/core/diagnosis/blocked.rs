//! What a thread or task is blocked in, in its runtime's own terms: as the runtime tells it, else by the functions
//! between the user's code and the kernel.

use crate::core::facts::{ChannelFacts, FdFacts, FileKind, Frame, FutexKind, LockFacts, WaitingOn, WatchedFacts};

use super::frames;
use super::place::Place;
use super::view::View;

/// What has to happen before it can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A lock is released by who holds it.
    Lock,
    /// Another thread or task ends.
    Join,
    /// Somebody sends, receives, signals or finishes.
    Signal,
}

/// What it is blocked in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// What has to happen.
    pub kind: Kind,
    /// What it is, for a sentence: `a sync.Mutex`, `Queue.get()`, `a channel`.
    pub what: String,
    /// What tells a lock from others of its process, where that is known.
    pub address: Option<u64>,
    /// Whether it goes on by itself after a time.
    pub timed: bool,
    /// Whether nothing at all can end it: a nil channel.
    pub forever: bool,
    /// Whether the runtime itself tells it, not the names of functions.
    pub told: bool,
}

impl Blocked {
    fn new(kind: Kind, what: impl Into<String>) -> Blocked {
        Blocked { kind, what: what.into(), address: None, timed: false, forever: false, told: false }
    }
}

fn wakes_itself(watched: &WatchedFacts) -> bool {
    matches!(&watched.what, FdFacts::File(file) if file.kind == FileKind::Anonymous)
}

/// How Ruby's locks are taken: those of `Mutex` and of `Monitor`.
const RUBY_LOCKS: [&str; 5] = ["synchronize", "lock", "mon_synchronize", "mon_enter", "enter"];

/// In what method of Ruby's own, if it is one by which threads wait for each other.
fn ruby(place: &Place<'_>) -> Option<Blocked> {
    let above = frames::above_users(place.frames());
    let own = above.iter().rev().filter(|frame| frame.language.as_deref() == Some("ruby"));
    let mut own = own.filter_map(|frame| frame.function.as_deref());
    // Around whatever is done under a lock stands `synchronize`; one that waits for the lock has come no further.
    if own.clone().next_back().is_some_and(|innermost| RUBY_LOCKS.contains(&last_word(innermost))) {
        return Some(Blocked::new(Kind::Lock, "a Mutex"));
    }
    // The outermost that is known: libraries have methods of their own around these.
    own.find_map(|function| match last_word(function) {
        "pop" | "shift" | "deq" => Some(Blocked::new(Kind::Signal, "Queue#pop")),
        "push" | "enq" | "<<" => Some(Blocked::new(Kind::Signal, "SizedQueue#push")),
        "join" | "value" => Some(Blocked::new(Kind::Join, "Thread#join")),
        // `Process.wait` is no wait for a futex or a timer.
        "wait" => Some(Blocked::new(Kind::Signal, "ConditionVariable#wait")),
        _ => None,
    })
}

/// What it is blocked in, if it waits for another part of its own program.
pub fn of(place: &Place<'_>) -> Option<Blocked> {
    match place.wait() {
        Some(WaitingOn::Channels { channels }) => {
            let unread = channels.is_empty() && place.task.is_some_and(|task| task.state == "select");
            Some(if unread { Blocked::new(Kind::Signal, "a select over channels") } else { channel(channels) })
        }
        Some(WaitingOn::RuntimeLock { address, class, .. }) => {
            let blocked = by_frames(place.frames()).unwrap_or_else(|| of_class(class));
            Some(Blocked { address: (*address != 0).then_some(*address), told: true, ..blocked })
        }
        Some(WaitingOn::Futex(futex)) => {
            let known = jvm(place)
                .or_else(|| ruby(place))
                .or_else(|| by_frames(place.frames()))
                .or_else(|| of_futex(futex.kind))?;
            let address = known.address.or(Some(futex.address));
            Some(Blocked { address, timed: known.timed || futex.timeout_ms.is_some(), ..known })
        }
        Some(WaitingOn::Ipc { call }) => {
            Some(Blocked { told: true, ..Blocked::new(Kind::Signal, format!("{call}()")) })
        }
        // One of Ruby's threads waits for the timer of them all while it waits for itself.
        Some(WaitingOn::Poll { timeout, watched, .. }) if watched.iter().all(wakes_itself) => {
            ruby(place).map(|known| Blocked { timed: timeout.is_some(), ..known })
        }
        None => jvm(place),
        _ => None,
    }
}

/// Whether what a goroutine waits for may be a timer's channel (`time.After`, a ticker): its runtime has a timer that is
/// about to fire, and no other goroutine is there for it.
pub fn may_be_timer(view: &View<'_>, place: &Place<'_>) -> bool {
    let could_be = |place: &Place<'_>| match (place.wait(), place.task) {
        (Some(WaitingOn::Channels { channels }), Some(task)) => {
            // A timer's channel has room for one.
            let timers = |channel: &ChannelFacts| !channel.sending && channel.capacity == 1 && channel.length == 0;
            channels.iter().any(timers) || (channels.is_empty() && task.state == "select")
        }
        _ => false,
    };
    if place.process.runtime != "go" || !could_be(place) {
        return false;
    }
    let timed = |wait: &WaitingOn| matches!(wait, WaitingOn::Poll { timeout: Some(_), .. });
    let pending = place.process.threads.iter().any(|thread| thread.waiting_on.as_ref().is_some_and(timed));
    let sleeps = |other: &Place<'_>| matches!(other.wait(), Some(WaitingOn::Sleep { .. }));
    let mut others = view.tasks(place.process.pid).filter(|other| !other.same(place));
    pending && !others.any(|other| sleeps(&other) || could_be(&other))
}

fn channel(channels: &[ChannelFacts]) -> Blocked {
    // A select without cases is written on purpose, by those that leave the work to others.
    let forever = !channels.is_empty() && channels.iter().all(|channel| channel.address == 0);
    let what = match channels {
        [] => "a select without cases".to_owned(),
        [one] if one.address == 0 => "a nil channel".to_owned(),
        [one] if one.sending => format!("a send on a channel ({} of {} elements in it)", one.length, one.capacity),
        [_] => "a receive from a channel".to_owned(),
        many => format!("a select over {} channels", many.len()),
    };
    let address = channels.first().map(|channel| channel.address).filter(|address| *address != 0);
    Blocked { address, forever, told: true, ..Blocked::new(Kind::Signal, what) }
}

fn of_class(class: &str) -> Blocked {
    let kind =
        if ["Mutex", "Lock", "monitor"].iter().any(|word| class.contains(word)) { Kind::Lock } else { Kind::Signal };
    Blocked::new(kind, format!("a {class}"))
}

fn of_futex(kind: FutexKind) -> Option<Blocked> {
    let told = |kind, what| Some(Blocked { told: true, ..Blocked::new(kind, what) });
    match kind {
        FutexKind::Mutex | FutexKind::RwLock | FutexKind::Lock => told(Kind::Lock, "a lock"),
        FutexKind::Join => told(Kind::Join, "the end of another thread"),
        FutexKind::Condition => told(Kind::Signal, "a condition variable"),
        FutexKind::Semaphore => told(Kind::Signal, "a semaphore"),
        FutexKind::Unknown => {
            Some(Blocked::new(Kind::Signal, "a futex (a channel, a queue, a condition or a parked thread)"))
        }
    }
}

/// What a JVM says of its thread: its state, and the monitor or synchronizer that it waits for.
fn jvm(place: &Place<'_>) -> Option<Blocked> {
    let state = place.thread.runtime_state.as_deref().filter(|_| place.process.runtime == "jvm")?;
    let wanted = wanted_lock(place);
    let class = wanted.map_or("object", |lock| lock.class.as_str());
    let by_function = by_frames(place.frames()).filter(|known| known.kind != Kind::Lock);
    let (kind, what) = match (&by_function, is_lock(state, class)) {
        (_, true) => (Kind::Lock, format!("the lock of a {class}")),
        (Some(known), false) => (known.kind, known.what.clone()),
        (None, false) if state.starts_with("WAITING") || state.starts_with("TIMED_WAITING") => {
            (Kind::Signal, format!("a {class}"))
        }
        (None, false) => return None,
    };
    let address = wanted.map(|lock| lock.address);
    Some(Blocked { address, timed: state.starts_with("TIMED"), told: true, ..Blocked::new(kind, what) })
}

/// The lock or synchronizer that a thread of a JVM waits for.
pub fn wanted_lock<'a>(place: &Place<'a>) -> Option<&'a LockFacts> {
    place.thread.locks.iter().find(|lock| !lock.held)
}

/// Whether a thread in this state waits to get a lock, and not to be signalled.
fn is_lock(state: &str, class: &str) -> bool {
    let synchronizer =
        ["ReentrantLock$", "ReentrantReadWriteLock$", "StampedLock"].iter().any(|name| class.contains(name));
    state.starts_with("BLOCKED") || (state.contains("parking") && synchronizer)
}

/// A function of a runtime under which a thread waits for others.
struct Known {
    /// The function without its class or package, or a part of a longer name.
    function: &'static str,
    /// A part of its file's path, or of its whole name, that tells it from others of that name.
    within: &'static str,
    kind: Kind,
    what: &'static str,
}

const fn known(function: &'static str, within: &'static str, kind: Kind, what: &'static str) -> Known {
    Known { function, within, kind, what }
}

/// The outermost of these below the user's code says the most: `Queue.get` waits in `Condition.wait`.
const KNOWN: [Known; 44] = [
    known("join", "threading.py", Kind::Join, "Thread.join()"),
    known("_wait_for_tstate_lock", "threading.py", Kind::Join, "Thread.join()"),
    known("wait", "threading.py", Kind::Signal, "Event.wait() or Condition.wait()"),
    known("acquire", "threading.py", Kind::Lock, "a threading.Semaphore"),
    known("get", "queue.py", Kind::Signal, "Queue.get()"),
    known("put", "queue.py", Kind::Signal, "Queue.put()"),
    known("join", "queue.py", Kind::Signal, "Queue.join()"),
    known("result", "futures/_base.py", Kind::Signal, "Future.result()"),
    known("wait", "futures/_base.py", Kind::Signal, "futures.wait()"),
    known("join", "multiprocessing/", Kind::Join, "Process.join()"),
    known("Lock", "sync.(*Mutex)", Kind::Lock, "a sync.Mutex"),
    known("Lock", "sync.(*RWMutex)", Kind::Lock, "a sync.RWMutex"),
    known("RLock", "sync.(*RWMutex)", Kind::Lock, "a sync.RWMutex"),
    known("Do", "sync.(*Once)", Kind::Lock, "a sync.Once"),
    known("doSlow", "sync.(*Once)", Kind::Lock, "a sync.Once"),
    known("Wait", "sync.(*WaitGroup)", Kind::Signal, "a sync.WaitGroup"),
    known("Wait", "sync.(*Cond)", Kind::Signal, "a sync.Cond"),
    known("join", "java.lang.Thread", Kind::Join, "Thread.join()"),
    known("get", "java.util.concurrent.FutureTask", Kind::Signal, "Future.get()"),
    known("get", "java.util.concurrent.CompletableFuture", Kind::Signal, "CompletableFuture.get()"),
    known("join", "java.util.concurrent.CompletableFuture", Kind::Signal, "CompletableFuture.join()"),
    known("await", "java.util.concurrent.CountDownLatch", Kind::Signal, "CountDownLatch.await()"),
    known("await", "java.util.concurrent.CyclicBarrier", Kind::Signal, "CyclicBarrier.await()"),
    known("acquire", "java.util.concurrent.Semaphore", Kind::Signal, "Semaphore.acquire()"),
    known("take", "java.util.concurrent.", Kind::Signal, "BlockingQueue.take()"),
    known("put", "java.util.concurrent.", Kind::Signal, "BlockingQueue.put()"),
    known("wait", "java.lang.Object", Kind::Signal, "Object.wait()"),
    known("awaitTermination", "java.util.concurrent.", Kind::Join, "ExecutorService.awaitTermination()"),
    known("recv", "std::sync::mp", Kind::Signal, "Receiver::recv()"),
    known("send", "std::sync::mp", Kind::Signal, "SyncSender::send()"),
    known("recv", "crossbeam_channel", Kind::Signal, "Receiver::recv()"),
    known("send", "crossbeam_channel", Kind::Signal, "Sender::send()"),
    known("wait", "Condvar", Kind::Signal, "Condvar::wait()"),
    known("wait", "Barrier", Kind::Signal, "Barrier::wait()"),
    known("wait", "std::condition_variable", Kind::Signal, "a std::condition_variable"),
    known("park", "std::thread", Kind::Signal, "thread::park()"),
    known("join", "JoinHandle", Kind::Join, "JoinHandle::join()"),
    known("join", "std::thread", Kind::Join, "std::thread::join()"),
    known("lock", "Mutex", Kind::Lock, "a Mutex"),
    known("join", "Thread#", Kind::Join, "Thread#join"),
    known("pop", "Queue#", Kind::Signal, "Queue#pop"),
    known("wait", "ConditionVariable#", Kind::Signal, "ConditionVariable#wait"),
    known("synchronize", "#", Kind::Lock, "a Mutex"),
    known("wait", "Atomics", Kind::Signal, "Atomics.wait()"),
];

/// Functions of runtimes that wait for a child whatever system call they do it by, with a part of the file or of the
/// whole name, or the language, that tells them from others.
const CHILD: [(&str, &str); 21] = [
    ("capture2", "open3.rb"),
    ("capture2e", "open3.rb"),
    ("capture3", "open3.rb"),
    ("popen_run", "open3.rb"),
    ("pipeline_run", "open3.rb"),
    ("_wait", "subprocess.py"),
    ("communicate", "subprocess.py"),
    ("_communicate", "subprocess.py"),
    ("spawnSync", "child_process"),
    ("Spawn", "SyncProcessRunner"),
    ("Run", "SyncProcessRunner"),
    ("TryInitializeAndRunLoop", "SyncProcessRunner"),
    ("Wait", "os.(*Process)"),
    ("wait", "os.(*Process)"),
    ("waitFor", "java.lang.ProcessImpl"),
    ("system", "ruby"),
    ("`", "ruby"),
    ("wait", "ruby"),
    ("wait2", "ruby"),
    ("waitpid", "ruby"),
    ("detach", "ruby"),
];

/// Whether it waits for the end of a child, as its stack shows.
pub fn waits_for_child(place: &Place<'_>) -> bool {
    frames::above_users(place.frames()).iter().any(|frame| {
        let function = frame.function.as_deref().unwrap_or_default();
        let [file, language] = [&frame.file, &frame.language].map(|text| text.as_deref().unwrap_or_default());
        let is = |(name, within): &(&str, &str)| {
            last_word(function) == *name && (function.contains(within) || file.contains(within) || language == *within)
        };
        CHILD.iter().any(is)
    })
}

/// By the functions between the user's code and the kernel.
fn by_frames(all: &[Frame]) -> Option<Blocked> {
    let above = frames::above_users(all);
    let outermost = above.iter().rev().find_map(|frame| {
        let function = frame.function.as_deref()?;
        let file = frame.file.as_deref().unwrap_or_default();
        KNOWN.iter().find(|known| {
            last_word(function) == known.function && (function.contains(known.within) || file.contains(known.within))
        })
    });
    if let Some(known) = outermost {
        return Some(Blocked::new(known.kind, known.what));
    }
    // CPython's own locks are taken by native code right below the user's; where it is not told how the two belong
    // together, that code stands behind all of the user's.
    let native =
        |frame: &Frame| frame.function.as_deref().is_some_and(|name| name.starts_with("PyThread_acquire_lock"));
    all.iter().any(native).then(|| Blocked::new(Kind::Lock, "a threading.Lock"))
}

/// The function's own name: without class, package, arguments and generics.
fn last_word(function: &str) -> &str {
    let begins = |(at, c): (usize, char)| c == '(' && at > 0 && !function[..at].ends_with('.');
    let end = function.char_indices().find(|it| begins(*it)).map_or(function.len(), |(at, _)| at);
    // Go writes `sync.(*Mutex).Lock`, Rust `Receiver<T>::recv`: what counts stands at the end.
    function[..end].rsplit(['.', ':', '#', '>', ')']).find(|word| !word.is_empty()).unwrap_or(function)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python(names: &[(&str, &str)]) -> Vec<Frame> {
        let frame = |(function, file): &(&str, &str)| Frame {
            function: Some((*function).to_owned()),
            file: Some((*file).to_owned()),
            line: Some(3),
            language: Some("python".to_owned()),
            found: crate::core::facts::FoundBy::Runtime,
            ..Frame::default()
        };
        names.iter().map(frame).collect()
    }

    #[test]
    fn the_outermost_known_function_below_the_users_code_counts() {
        let frames = python(&[
            ("Condition.wait", "/usr/lib/python3.11/threading.py"),
            ("Queue.get", "/usr/lib/python3.11/queue.py"),
            ("load", "/srv/app.py"),
            ("Thread.join", "/usr/lib/python3.11/threading.py"),
        ]);
        let found = by_frames(&frames).unwrap();
        assert_eq!((found.kind, found.what.as_str()), (Kind::Signal, "Queue.get()"));
        assert_eq!(by_frames(&python(&[("get", "/srv/queue/app.py")])), None);
        let mut lock = python(&[("take", "/srv/app.py")]);
        let native = |name: &str| Some(name.to_owned());
        let (function, module) = (native("PyThread_acquire_lock_timed"), native("/usr/bin/python3.11"));
        lock.insert(0, Frame { function, module, ..Frame::default() });
        assert_eq!(by_frames(&lock).unwrap().kind, Kind::Lock);
        lock.rotate_left(1);
        assert_eq!(by_frames(&lock).unwrap().kind, Kind::Lock);
    }

    #[test]
    fn names_of_all_languages_end_in_the_function() {
        for (name, last) in [
            ("sync.(*Mutex).Lock", "Lock"),
            ("sync.(*RWMutex).RLock", "RLock"),
            ("java.util.concurrent.FutureTask.get", "get"),
            ("std::sync::mpsc::Receiver<T>::recv", "recv"),
            ("std::condition_variable::wait(std::unique_lock<std::mutex>&)", "wait"),
            ("Thread#join", "join"),
            ("main", "main"),
            ("", ""),
        ] {
            assert_eq!(last_word(name), last, "{name}");
        }
    }
}
