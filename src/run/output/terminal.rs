//! The terminal of a service's own: what it shows and what is typed there go through here, for as many people as are
//! attached. Each generation has another pseudo-terminal (`pty(7)`); who is attached stays so.
//!
//! What is shown comes from the thread that reads what services write (`pump.rs`), which waits for nobody here.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tracing::debug;

use crate::core::attach::{Cursor, End, Piece, Shown, Size};
use crate::sys::pty::{self, Pty};

/// The terminal of one service.
#[derive(Default)]
pub struct Terminal {
    held: Mutex<Held>,
    changed: Notify,
}

#[derive(Default)]
struct Held {
    shown: Shown,
    /// The generations that have it, the newest last: that one gets what is typed.
    open: Vec<(u64, Arc<OwnedFd>)>,
    size: Size,
    /// How many are attached.
    attached: usize,
}

impl Terminal {
    fn hold(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the pseudo-terminal of a generation that is about to start.
    ///
    /// # Errors
    /// Of [`pty::open`].
    pub fn open(&self, owner: Option<u32>) -> io::Result<Pty> {
        pty::open(owner, self.hold().size)
    }

    /// A generation has this one.
    pub fn opened(&self, generation: u64, master: Arc<OwnedFd>) {
        let mut held = self.hold();
        held.shown.set_end(None);
        held.open.push((generation, master));
        drop(held);
        self.changed.notify_waiters();
    }

    /// All that a generation wrote was read.
    pub fn closed(&self, generation: u64) {
        self.hold().open.retain(|(open, _)| *open != generation);
        self.changed.notify_waiters();
    }

    /// A generation shows this.
    pub fn show(&self, bytes: &[u8]) {
        let mut held = self.hold();
        held.shown.push(bytes);
        let anybody = held.attached > 0;
        drop(held);
        if anybody {
            self.changed.notify_waiters();
        }
    }

    /// Tells those who are attached.
    pub fn note(&self, text: String) {
        let mut held = self.hold();
        if held.attached > 0 {
            held.shown.note(text);
            drop(held);
            self.changed.notify_waiters();
        }
    }

    /// Those who are attached are to leave, once they have been shown all; or they are not any more.
    pub fn set_end(&self, end: Option<End>) {
        let mut held = self.hold();
        if held.shown.end() != end.as_ref() {
            held.shown.set_end(end);
            drop(held);
            self.changed.notify_waiters();
        }
    }

    /// Whether anybody is attached.
    pub fn is_watched(&self) -> bool {
        self.hold().attached > 0
    }

    /// The size that programs see from now on: that of whoever came, or changed theirs, last.
    pub fn resize(&self, size: Size) {
        if size.columns == 0 || size.rows == 0 {
            return;
        }
        let mut held = self.hold();
        held.size = size;
        for (_, master) in &held.open {
            if let Err(problem) = pty::set_size(master.as_fd(), size) {
                debug!("the size of a terminal could not be set: {problem}");
            }
        }
    }

    /// The terminal that what is typed is for.
    fn newest(&self) -> Option<Arc<OwnedFd>> {
        self.hold().open.last().map(|(_, master)| master.clone())
    }

    /// Types some of this, as soon as the terminal takes any; how many bytes. To be dropped when nobody waits for it.
    pub async fn type_in(&self, bytes: &[u8]) -> usize {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let Some(master) = self.newest() else {
                changed.await;
                continue;
            };
            match nix::unistd::write(&master, bytes).map_err(io::Error::from) {
                Ok(length) if length > 0 => return length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) => writable(&master).await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => writable(&master).await,
                // Nothing has it open any more; another generation may come.
                Err(_) => changed.await,
            }
        }
    }
}

/// Returns when something can be typed.
async fn writable(master: &OwnedFd) {
    // A copy, since several may wait for the same one.
    let Ok(copy) = master.try_clone() else { return tokio::task::yield_now().await };
    #[expect(deprecated, reason = "its successor is unsafe, which is for sys alone; the copy stays open in it")]
    let watched = AsyncFd::with_interest(copy, Interest::WRITABLE);
    if let Ok(watched) = watched {
        let _ = watched.writable().await;
    }
}

/// Somebody who is attached.
pub struct Seat {
    terminal: Arc<Terminal>,
    at: Cursor,
}

impl Seat {
    /// Somebody comes.
    pub fn take(terminal: &Arc<Terminal>) -> Seat {
        let mut held = terminal.hold();
        held.attached += 1;
        let at = held.shown.now();
        drop(held);
        Seat { terminal: terminal.clone(), at }
    }

    /// Where.
    pub fn terminal(&self) -> Arc<Terminal> {
        self.terminal.clone()
    }

    /// What is to be shown, as soon as there is something; and that it is over, when all was shown.
    pub async fn next(&mut self) -> (Vec<Piece>, Option<End>) {
        loop {
            let changed = self.terminal.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let held = self.terminal.hold();
                let (pieces, at) = held.shown.since(self.at);
                let end = held.shown.end().filter(|_| held.open.is_empty()).cloned();
                if !pieces.is_empty() || end.is_some() {
                    self.at = at;
                    return (pieces, end);
                }
            }
            changed.await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.terminal.hold().attached -= 1;
    }
}
