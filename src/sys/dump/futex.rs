//! What a futex belongs to: by the words around it and the functions that wait on it.

use super::capture::Call;
use super::memory::Memory;
use crate::core::facts::{Frame, FutexFacts, FutexKind};

/// Bits of a futex word that hold the owner of a lock with priority inheritance, or a robust one.
const TID_MASK: u32 = 0x3fff_ffff;
const PRIVATE: u64 = 128;
const REALTIME: u64 = 256;
const WAIT: u64 = 0;
const LOCK_PI: u64 = 6;
const WAIT_BITSET: u64 = 9;
const WAIT_REQUEUE_PI: u64 = 11;
const LOCK_PI2: u64 = 13;
/// How many frames, from the innermost, may tell what is waited for.
const FRAMES: usize = 10;

/// A futex as it was when its waiter was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawFutex {
    address: u64,
    operation: u64,
    expected: u32,
    timeout_ms: Option<u64>,
    /// Six words from the futex on: all of a `pthread_mutex_t` but its list.
    words: Option<[u32; 6]>,
    /// What stands 12 and 16 bytes behind: `__cur_writer` of a `pthread_rwlock_t`, by which word is waited on.
    shared: bool,
}

impl RawFutex {
    /// The futex that this call waits on; `now` gives the monotonic and the real-time clock, in milliseconds.
    pub fn of(call: Call, memory: &Memory, now: (u64, u64)) -> RawFutex {
        let [address, operation, expected, timeout, ..] = call.arguments;
        let bytes = memory.read_fresh(address, 24);
        let words = (bytes.len() == 24).then(|| {
            std::array::from_fn(|index| u32::from_le_bytes(std::array::from_fn(|byte| bytes[index * 4 + byte])))
        });
        let command = operation & !(PRIVATE | REALTIME);
        let timeout_ms = (timeout != 0).then(|| milliseconds(memory, timeout)).flatten().map(|at| {
            let clock = if operation & REALTIME != 0 || command == LOCK_PI { now.1 } else { now.0 };
            if command == WAIT { at } else { at.saturating_sub(clock) }
        });
        let shared = operation & PRIVATE == 0;
        RawFutex { address, operation: command, expected: expected as u32, timeout_ms, words, shared }
    }

    /// Its address.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// How long it is waited for from now, if not for ever.
    pub fn timeout(&self) -> Option<std::time::Duration> {
        self.timeout_ms.map(std::time::Duration::from_millis)
    }

    /// What it is, with its owner if that is a thread of `threads` (or, between processes, of `everyone`), or one that has
    /// ended.
    pub fn classify(&self, frames: &[Frame], threads: &[i32], everyone: &[i32]) -> FutexFacts {
        let kind = self.kind(frames, threads);
        let tids = if self.shared && kind != FutexKind::Join { everyone } else { threads };
        let owner = self.owner(kind).filter(|owner| tids.contains(owner) || self.is_left_by(kind, *owner, everyone));
        FutexFacts { address: self.address, kind, owner, timeout_ms: self.timeout_ms }
    }

    fn kind(&self, frames: &[Frame], threads: &[i32]) -> FutexKind {
        if matches!(self.operation, LOCK_PI | LOCK_PI2) {
            return FutexKind::Mutex;
        }
        let names = frames.iter().take(FRAMES).filter_map(|frame| frame.function.as_deref());
        let mut low_level = false;
        for name in names {
            if let Some(kind) = kind_by_name(name) {
                return kind;
            }
            low_level |= name.contains("lll_lock_wait");
        }
        if self.looks_like_a_mutex(threads) {
            FutexKind::Mutex
        } else if low_level {
            FutexKind::Lock
        } else {
            FutexKind::Unknown
        }
    }

    /// Whether the words are those of a locked `pthread_mutex_t` with waiters and an owner that lives.
    fn looks_like_a_mutex(&self, threads: &[i32]) -> bool {
        self.words.is_some_and(|words| self.is_locked_mutex() && threads.contains(&(words[2] as i32)))
    }

    /// The same without a look at the owner: lock 2, one user or more, a type that exists.
    fn is_locked_mutex(&self) -> bool {
        let Some([lock, _, _, users, kind, _]) = self.words else { return false };
        let waits = matches!(self.operation, WAIT | WAIT_BITSET) && self.expected == 2;
        waits && lock == 2 && (1..1 << 16).contains(&users) && kind & !0x1f3 == 0
    }

    /// Whether a thread that has ended holds it: a mutex of this process alone, so it was one of this process. It may
    /// also be one of another process, from before a fork.
    fn is_left_by(&self, kind: FutexKind, owner: i32, everyone: &[i32]) -> bool {
        let plain = kind == FutexKind::Mutex && !self.shared && self.is_locked_mutex();
        plain && (1..1 << 22).contains(&owner) && !everyone.contains(&owner)
    }

    fn owner(&self, kind: FutexKind) -> Option<i32> {
        let words = self.words?;
        let pi = matches!(self.operation, LOCK_PI | LOCK_PI2 | WAIT_REQUEUE_PI);
        let owner = match kind {
            FutexKind::Mutex if pi => words[0] & TID_MASK,
            // PTHREAD_MUTEX_ROBUST_NORMAL_NP: the lock word itself names the owner.
            FutexKind::Mutex if words[4] & 16 != 0 && words[4] < 512 => words[0] & TID_MASK,
            FutexKind::Mutex => words[2],
            FutexKind::Join => words[0],
            // `__cur_writer`, seen from `__wrphase_futex` or from `__writers_futex`.
            FutexKind::RwLock => [words[4], words[3]].into_iter().find(|tid| (1..1 << 22).contains(tid))?,
            _ => return None,
        };
        (owner != 0).then_some(owner as i32)
    }
}

/// The kind that a function waits on, by its name in glibc, musl, the C++ and the Rust runtime.
fn kind_by_name(name: &str) -> Option<FutexKind> {
    let plain = name.split('@').next().unwrap_or(name).trim_start_matches('_');
    let plain = plain.strip_prefix("GI_").unwrap_or(plain).trim_start_matches('_');
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| plain.starts_with(prefix));
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    Some(if begins(&["pthread_mutex_", "mtx_lock", "mtx_timedlock"]) {
        FutexKind::Mutex
    } else if begins(&["pthread_cond_", "cnd_wait", "cnd_timedwait"]) {
        FutexKind::Condition
    } else if begins(&["pthread_rwlock_"]) {
        FutexKind::RwLock
    } else if begins(&["sem_wait", "sem_timedwait", "sem_clockwait", "new_sem_", "old_sem_"]) {
        FutexKind::Semaphore
    } else if begins(&["pthread_join", "pthread_clockjoin", "pthread_timedjoin", "thrd_join"]) {
        FutexKind::Join
    } else if has(&["rwlock::futex", "raw_rwlock", "rwlock::RawRwLock"]) {
        FutexKind::RwLock
    } else if has(&["condvar::futex", "parking_lot::condvar"]) {
        FutexKind::Condition
    } else if has(&["mutex::futex", "raw_mutex", "once::futex", "reentrant_lock"]) || begins(&["cxa_guard_acquire"]) {
        FutexKind::Lock
    } else if has(&["thread_parking", "thread::park", "runtime.futex"]) {
        FutexKind::Unknown
    } else {
        return None;
    })
}

/// A `struct timespec` in milliseconds.
pub fn milliseconds(memory: &Memory, address: u64) -> Option<u64> {
    let bytes: [u8; 16] = memory.read_fresh(address, 16).try_into().ok()?;
    let (seconds, nanoseconds) = bytes.split_at(8);
    let number = |bytes: &[u8]| Some(i64::from_le_bytes(bytes.try_into().ok()?));
    let milliseconds = number(seconds)?.checked_mul(1000)?.checked_add(number(nanoseconds)? / 1_000_000)?;
    u64::try_from(milliseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(names: &[&str]) -> Vec<Frame> {
        names.iter().map(|name| Frame { function: Some((*name).into()), ..Frame::default() }).collect()
    }

    fn raw(operation: u64, words: [u32; 6]) -> RawFutex {
        let words = Some(words);
        RawFutex { address: 0x1000, operation, expected: 2, timeout_ms: None, words, shared: false }
    }

    #[test]
    fn kinds_and_owners() {
        let mutex = raw(WAIT, [2, 0, 77, 1, 0, 0]);
        let found =
            mutex.classify(&frames(&["futex_wait", "__GI___lll_lock_wait", "___pthread_mutex_lock"]), &[77], &[]);
        assert_eq!((found.kind, found.owner), (FutexKind::Mutex, Some(77)));
        // One whose owner has ended says who that was, not one of another process from before a fork.
        let names = frames(&["__GI___lll_lock_wait", "___pthread_mutex_lock"]);
        assert_eq!(mutex.classify(&names, &[76], &[76]).owner, Some(77));
        assert_eq!(mutex.classify(&names, &[76], &[76, 77]).owner, None);
        assert_eq!(raw(WAIT, [2, 0, 77, 0, 0, 0]).classify(&names, &[76], &[76]).owner, None, "nobody's lock");
        // Without any name the words tell; without a living owner they do not.
        assert_eq!(mutex.classify(&[], &[77], &[]).kind, FutexKind::Mutex);
        assert_eq!(mutex.classify(&[], &[78], &[]).kind, FutexKind::Unknown);
        assert_eq!(mutex.classify(&frames(&["__lll_lock_wait_private", "malloc"]), &[78], &[]).kind, FutexKind::Lock);
        let join = raw(WAIT_BITSET, [78, 0, 0, 0, 0, 0]);
        let found = join.classify(&frames(&["__futex_abstimed_wait64", "__pthread_clockjoin_ex"]), &[77, 78], &[]);
        assert_eq!((found.kind, found.owner), (FutexKind::Join, Some(78)));
        let rwlock = raw(WAIT_BITSET, [3, 0, 0, 0, 77, 0]);
        let found = rwlock.classify(&frames(&["___pthread_rwlock_rdlock"]), &[77], &[]);
        assert_eq!((found.kind, found.owner), (FutexKind::RwLock, Some(77)));
        let rust = frames(&["syscall", "std::sys::sync::mutex::futex::Mutex::lock_contended"]);
        let found = raw(WAIT_BITSET, [2, 9, 77, 0, 0, 0]).classify(&rust, &[77], &[]);
        assert_eq!((found.kind, found.owner), (FutexKind::Lock, None));
        let inheriting = raw(LOCK_PI, [77 | 0x8000_0000, 0, 0, 0, 32, 0]);
        assert_eq!(inheriting.classify(&[], &[77], &[]).owner, Some(77));
        let condition = frames(&["__GI___lll_lock_wait", "__pthread_mutex_cond_lock", "___pthread_cond_wait"]);
        assert_eq!(mutex.classify(&condition, &[77], &[]).kind, FutexKind::Mutex);
    }
}
