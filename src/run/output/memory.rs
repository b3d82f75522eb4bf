//! The last lines of a service, shared by whoever writes and reads them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::core::awaited_line::AwaitedLine;
use crate::core::output::{Batch, Kept, Lines};

/// Of so much at once, in bytes, only the last is kept while nobody follows.
const MUCH: usize = 32 * 1024;

/// For so long after it has asked somebody is taken to follow.
const FOLLOWED: Duration = Duration::from_secs(10);

/// The last lines of one service. It is filled by the thread that reads them and asked on the loop.
#[derive(Default)]
pub struct Memory {
    held: Mutex<Held>,
    changed: Notify,
}

/// What is kept, and when something was written last.
#[derive(Default)]
pub struct Held {
    /// The lines.
    pub kept: Kept,
    /// When bytes came last.
    pub last: Option<Instant>,
    /// Which generation writes, where all of them have the same pipe.
    pub generation: u64,
    /// A line that is waited for.
    pub awaited: Option<Awaited>,
    /// When somebody last asked for what comes.
    pub followed: Option<Instant>,
}

/// A line of one generation that is waited for.
pub struct Awaited {
    /// Which one.
    pub line: AwaitedLine,
    /// Of which generation.
    pub generation: u64,
    /// So many bytes of its streams were written by the generation before, where all have the same pipe.
    pub before: [usize; 2],
    /// Told once, when it has come.
    pub come: Arc<Notify>,
}

impl Held {
    /// Keeps whole lines.
    pub fn push(&mut self, batch: Batch, lines: &[u8]) {
        if self.awaited.as_mut().is_some_and(|awaited| awaited.has_come(&batch, lines)) {
            self.awaited = None;
        }
        if lines.len() < MUCH || self.followed.is_some_and(|at| at.elapsed() < FOLLOWED) {
            self.kept.push(batch, lines);
        } else {
            self.kept.push_last(batch, lines);
        }
    }
}

impl Awaited {
    fn has_come(&mut self, batch: &Batch, lines: &[u8]) -> bool {
        if batch.generation != self.generation {
            return false;
        }
        let before = &mut self.before[batch.stream as usize];
        let skipped = lines.len().min(*before);
        *before -= skipped;
        let come = skipped < lines.len() && self.line.is_among(&lines[skipped..]);
        if come {
            self.come.notify_one();
        }
        come
    }
}

impl Memory {
    /// Opens it for whoever has read, and holds it until what was read is in it.
    pub fn hold(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There are new lines: those who follow are woken.
    pub fn tell(&self) {
        self.changed.notify_waiters();
    }

    /// The last lines, at most so many, and the position from which [`Memory::after`] goes on.
    pub fn last(&self, most: usize) -> Lines {
        self.hold().kept.last(most)
    }

    /// The lines from a position on, as soon as there is one. For a service that writes nothing it never comes back:
    /// to be dropped when nobody waits for it any more.
    pub async fn after(&self, position: u64) -> Lines {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut held = self.hold();
                held.followed = Some(Instant::now());
                if held.kept.end() > position {
                    return held.kept.since(position);
                }
            }
            changed.await;
        }
    }

    /// The last bytes, and how long ago they came.
    pub fn tail(&self, most: usize) -> (String, Option<Duration>) {
        let held = self.hold();
        (held.kept.tail(most), held.last.map(|at| at.elapsed()))
    }

    /// Waits until whoever holds it has put in what it read.
    pub fn settle(&self) {
        drop(self.hold());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::core::output::{Batch, Stream};

    use super::*;

    #[test]
    fn who_follows_is_woken_by_new_lines() {
        let memory = Arc::new(Memory::default());
        let batch = Batch { time: Duration::ZERO, generation: 1, stream: Stream::Stdout };
        memory.hold().kept.push(batch, b"old\n");
        let at = memory.last(10).next;
        let writer = memory.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let lines = runtime.block_on(async {
            let follower = memory.after(at);
            tokio::pin!(follower);
            // It waits: nothing is there yet.
            assert!(
                std::future::poll_fn(|context| std::task::Poll::Ready(follower.as_mut().poll(context).is_pending()))
                    .await
            );
            std::thread::spawn(move || {
                writer.hold().kept.push(batch, b"new\n");
                writer.tell();
            });
            follower.await
        });
        assert_eq!(lines.lines.iter().map(|line| line.text.as_slice()).collect::<Vec<_>>(), [b"new"]);
    }
}
