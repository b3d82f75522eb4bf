//! The doors: listeners, and how many may come in at once.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ::core::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::core::control::Door;
use crate::run::supervisor::{Happening, Task};

use super::conversation::{Conversation, converse};

/// How many connections each door has at a time. More are told to come again.
const MOST: usize = 64;

/// How many of them may follow what services write, so that there is always room for a probe.
const MOST_FOLLOWERS: usize = 32;

/// After a failure to accept (too many open files) is waited for so long: it fails again at once otherwise.
const AFTER_FAILURE: Duration = Duration::from_millis(200);

/// How long those who are in may take to take the last of an answer when the launcher ends.
const FAREWELL: Duration = Duration::from_millis(300);

/// What those who find no room are told.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\
content-type: text/plain\r\ncontent-length: 21\r\n\r\ntoo many connections\n";

/// A listener.
pub enum Entrance {
    /// The control socket.
    Socket(UnixListener),
    /// The address of `http`.
    Http(TcpListener, SocketAddr),
}

/// A connection's bytes.
pub trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

impl Entrance {
    async fn accept(&self) -> io::Result<Box<dyn Bytes>> {
        match self {
            Entrance::Socket(listener) => Ok(Box::new(listener.accept().await?.0)),
            Entrance::Http(listener, _) => Ok(Box::new(listener.accept().await?.0)),
        }
    }
}

/// Lets people in at all doors, and sees the last of them out.
pub struct Porter {
    outbox: UnboundedSender<Happening>,
    /// Places of each door that was opened.
    doors: Vec<Arc<Semaphore>>,
    ending: watch::Sender<bool>,
}

impl Porter {
    /// No door is open yet. What people ask comes to the loop.
    pub fn new(outbox: UnboundedSender<Happening>) -> Porter {
        Porter { outbox, doors: Vec::new(), ending: watch::Sender::new(false) }
    }

    /// Lets people in until the task is dropped, each on a task of its own.
    pub fn open(&mut self, entrance: Entrance) -> Task {
        let (door, address) = match &entrance {
            Entrance::Socket(_) => (Door::Socket, None),
            Entrance::Http(_, address) => (Door::Http, Some(*address)),
        };
        let (all, followers) = (Arc::new(Semaphore::new(MOST)), Arc::new(Semaphore::new(MOST_FOLLOWERS)));
        self.doors.push(all.clone());
        let (outbox, ending) = (self.outbox.clone(), self.ending.subscribe());
        Task::start(async move {
            loop {
                let socket = match entrance.accept().await {
                    Ok(socket) => socket,
                    Err(problem) => {
                        debug!("a connection could not be accepted: {problem}");
                        sleep(AFTER_FAILURE).await;
                        continue;
                    }
                };
                let Ok(place) = all.clone().try_acquire_owned() else {
                    turn_away(socket);
                    continue;
                };
                let (outbox, followers, ending) = (outbox.clone(), followers.clone(), ending.clone());
                let conversation =
                    Conversation { door, address, outbox, followers, ending, attached: RefCell::default() };
                tokio::task::spawn_local(async move {
                    converse(socket, conversation).await;
                    drop(place);
                });
            }
        })
    }

    /// The launcher ends: those who are still in are told the last of what they asked for, within a moment.
    pub async fn see_out(&self) {
        let _ = self.ending.send_replace(true);
        let out = async {
            for door in &self.doors {
                let _ = door.acquire_many(MOST as u32).await;
            }
        };
        if self.doors.iter().any(|door| door.available_permits() < MOST) {
            let _ = timeout(FAREWELL, out).await;
        }
    }
}

/// Tells that there is no room, if that can be written at once.
fn turn_away(mut socket: Box<dyn Bytes>) {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let _ = std::pin::Pin::new(&mut socket).poll_write(&mut context, FULL);
}
