//! The one thread that reads what all services write.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::core::output::LONGEST_LINE;
use crate::sys::clock;

use super::source::{Buffers, Source};

/// When nothing more comes for so long, a line without an end is shown as far as it is: a prompt has none.
pub const SILENCE: Duration = Duration::from_millis(200);

/// When nothing comes for so long, buffers are given back.
const REST: Duration = Duration::from_secs(1);

/// The event of the one who closes; sources count from 1.
const CLOSING: u64 = 0;

/// How many descriptors are looked at in a round.
const ROUND: usize = 64;

/// Reads what services write. The thread is made with the first pipe.
#[derive(Default)]
pub struct Pump {
    state: Mutex<State>,
    closing: AtomicBool,
}

#[derive(Default)]
struct State {
    started: Option<Started>,
    sources: BTreeMap<u64, Source>,
    /// The number of the last source that was added.
    count: u64,
}

struct Started {
    epoll: Arc<Epoll>,
    waker: Arc<EventFd>,
    ended: Option<Receiver<()>>,
}

impl Pump {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads from this from now on, until nobody can write to it any more.
    ///
    /// # Errors
    /// Of making the thread, or watching the descriptor.
    pub fn add(self: &Arc<Pump>, mut source: Source) -> io::Result<()> {
        let mut state = self.state();
        let epoll = match &state.started {
            Some(started) => started.epoll.clone(),
            None => {
                let started = self.start()?;
                let epoll = started.epoll.clone();
                state.started = Some(started);
                epoll
            }
        };
        state.count += 1;
        let number = state.count;
        // The source is there before its first event.
        source.number = number;
        let from = source.from();
        state.sources.insert(number, source);
        let watched = epoll.add(from.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, number));
        if let Err(errno) = watched {
            state.sources.remove(&number);
            return Err(errno.into());
        }
        Ok(())
    }

    fn start(self: &Arc<Pump>) -> io::Result<Started> {
        let epoll = Arc::new(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        let waker = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        epoll.add(waker.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, CLOSING))?;
        let (over, ended) = channel();
        let (pump, watched) = (self.clone(), epoll.clone());
        std::thread::Builder::new().name("output".into()).stack_size(64 * 1024).spawn(move || {
            pump.run(&watched);
            let _ = over.send(());
        })?;
        Ok(Started { epoll, waker, ended: Some(ended) })
    }

    /// Nothing new will be written: what is there is read to its end, then the thread ends, and tells so.
    pub fn close(&self) -> Option<Receiver<()>> {
        self.closing.store(true, Ordering::Release);
        let mut state = self.state();
        let started = state.started.as_mut()?;
        let _ = started.waker.write(1);
        started.ended.take()
    }

    fn run(&self, epoll: &Epoll) {
        let mut buffers = Buffers::default();
        // The lines without an end that are to be shown, and since when nothing more has come.
        let mut waiting: BTreeMap<u64, Instant> = BTreeMap::new();
        let mut events = [EpollEvent::empty(); ROUND];
        // The only one of the last round.
        let mut only = None;
        loop {
            let closing = self.closing.load(Ordering::Acquire);
            let timeout = if closing { EpollTimeout::ZERO } else { patience(&waiting, &buffers) };
            let count = match epoll.wait(&mut events, timeout) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(_) => return,
            };
            let numbers = events[..count].iter().map(EpollEvent::data).filter(|number| *number != CLOSING);
            let former = only.take();
            let mut wait = Duration::ZERO;
            for number in numbers {
                // Of several, or of them in turn, the order is kept as far as it can be seen.
                let alone = count == 1 && former == Some(number);
                wait = self.serve(epoll, number, alone, &mut buffers, &mut waiting);
                only = Some(number);
            }
            self.show_partial(&mut buffers, &mut waiting);
            buffers.flush();
            if closing && only.is_none() {
                self.end_all(&mut buffers);
                return;
            }
            if count == 0 && waiting.is_empty() {
                buffers.give_back();
            }
            if !closing && !wait.is_zero() {
                std::thread::sleep(wait);
            }
        }
    }

    /// Reads what there is of one source. It is out of the table meanwhile: others may be added. How long to wait before
    /// reading on, when it has something `alone` again.
    fn serve(
        &self,
        epoll: &Epoll,
        number: u64,
        alone: bool,
        buffers: &mut Buffers,
        waiting: &mut BTreeMap<u64, Instant>,
    ) -> Duration {
        let Some(mut source) = self.state().sources.remove(&number) else { return Duration::ZERO };
        waiting.remove(&number);
        let (came, mut wait) = (clock::now(), Duration::ZERO);
        if let Some(length) = source.carry(buffers) {
            if alone {
                wait = source.pace.read(came, clock::now(), length);
            } else {
                source.pace.go_on();
            }
            if source.shows_partial() {
                waiting.insert(number, Instant::now());
            }
            self.state().sources.insert(number, source);
        } else {
            let _ = epoll.delete(source.fd());
        }
        wait
    }

    fn show_partial(&self, buffers: &mut Buffers, waiting: &mut BTreeMap<u64, Instant>) {
        if waiting.is_empty() {
            return;
        }
        waiting.retain(|number, since| {
            let due = since.elapsed() >= SILENCE;
            if due && let Some(source) = self.state().sources.get_mut(number) {
                source.show_partial(buffers);
            }
            !due
        });
    }

    fn end_all(&self, buffers: &mut Buffers) {
        for source in std::mem::take(&mut self.state().sources).values_mut() {
            source.end(buffers);
        }
        buffers.flush();
    }
}

/// Until a line without an end is to be shown, or buffers are to be given back; for ever when there is neither.
fn patience(waiting: &BTreeMap<u64, Instant>, buffers: &Buffers) -> EpollTimeout {
    let left = match waiting.values().min() {
        Some(since) => SILENCE.saturating_sub(since.elapsed()),
        None if buffers.are_there() => REST,
        None => return EpollTimeout::NONE,
    };
    // A millisecond more than is left of it: epoll_wait(2) counts whole ones.
    EpollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(EpollTimeout::ZERO)
}

/// How much is read at once: no more than [`Cutter`](crate::core::output::Cutter) takes.
pub const READ: usize = LONGEST_LINE;
