//! The doors by which a running launcher is asked (DESIGN §9): HTTP on its control socket, and on an address if `http`
//! names one. And the other side: how a command finds a launcher and asks it.
//!
//! - `server`: connections, within bounds; `conversation`: one of them, from request to answer; `stream`: its bytes;
//!   `content`: the body of an answer; `attach`: what one becomes for somebody at the terminal of a service;
//! - `place`: where control sockets are;
//! - `client`: asking, and `find`: whom.
//!
//! What is asked goes to the loop as a [`Happening`](super::supervisor::Happening), and the loop answers: nothing in here
//! touches a service.

mod attach;
pub mod client;
mod content;
mod conversation;
pub mod find;
pub mod place;
mod server;
mod stream;

pub use content::text as log_text;
pub use server::{Entrance, Porter};

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::core::control::{Answer, Request};
use crate::core::output::Lines;
use crate::run::output::{Memory, Seat};

/// Something that is asked, with where the answer goes.
pub struct Asked {
    /// What is asked.
    pub request: Request,
    /// Whoever asked may have gone away by then.
    pub reply: oneshot::Sender<Reply>,
}

/// An answer.
pub enum Reply {
    /// All of it.
    Whole(Answer),
    /// Found on a thread of its own: a disk that does not answer must not hold up the loop.
    OnThread(Box<dyn FnOnce() -> Answer + Send>),
    /// What a service wrote last, and what it writes from now on.
    Follow {
        /// Where it is kept.
        memory: Arc<Memory>,
        /// So far.
        begin: Lines,
    },
    /// The connection is to the terminal of a service from now on.
    Attach(Seat),
}
