//! Binds and listens of a service that wait for the launcher: taken by a thread, decided by the core, answered by the
//! loop.
//!
//! Whoever looks at a process may hang (its address may lie in a file that does not answer), so a thread of its own for
//! each generation does that, and nobody else waits for it. What is none of the launcher's business goes on at once.

use std::collections::BTreeSet;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use crate::core::adopt::{BindFacts, ListenFacts, Reason, concerns};
use crate::core::facts::PortProblem;
use crate::core::fleet::ServiceId;
use crate::core::service::{Event, Generation};
use crate::core::settings::{Listen, Ready};
use crate::sys::seccomp::look::{self, OnlyV6, Seen};
use crate::sys::seccomp::{Call, Listener, Trapped};
use crate::sys::{port, sock_diag};

use super::Supervisor;
use super::inbox::Happening;

/// Little is needed: it reads small files.
const STACK: usize = 256 * 1024;
/// How long an address may stay taken by what was let go of for it: a keeper that is being made has it for a moment.
const UNTIL_FREE: Duration = Duration::from_millis(500);

/// A call that waits for an answer of the loop.
pub struct Pending {
    /// The call.
    pub trapped: Trapped,
    /// Where it came in.
    pub listener: Arc<Listener>,
    /// What it is about.
    pub question: Question,
    verdict: SyncSender<Verdict>,
}

/// What is to be answered.
pub enum Question {
    /// `bind(2)` of this descriptor.
    Bind(RawFd, Seen<BindFacts>),
    /// `listen(2)` with this backlog.
    Listen(i32, Seen<ListenFacts>),
    /// A bind of which nothing is known but why; and the sockets that the generation has.
    Unknown(Reason, BTreeSet<u64>),
}

/// What the thread is to do with a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it was answered.
    Answered,
    /// Let it go on.
    GoOn,
    /// The same, as soon as this address is free.
    GoOnWhenFree(Listen),
}

/// A thread that waits for the listener of a generation that is about to start.
pub struct Calls(Sender<(Listener, i32)>);

impl Calls {
    /// Makes the thread. `listens` are the ports that it looks for; `only_v6` says whether the filter tells of
    /// IPV6_V6ONLY.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn prepare(
        listens: Vec<Listen>,
        only_v6: bool,
        outbox: UnboundedSender<Happening>,
        id: ServiceId,
        generation: Generation,
    ) -> std::io::Result<Calls> {
        let (sender, receiver) = channel();
        let ask = move |call| outbox.send(Happening::Called(id, generation, Box::new(call))).is_ok();
        let work = move || take_calls(&receiver, &listens, OnlyV6::new(only_v6), ask);
        std::thread::Builder::new().name("calls".into()).stack_size(STACK).spawn(work)?;
        Ok(Calls(sender))
    }

    /// The generation runs below this keeper: its calls are taken from now on.
    pub fn begin(&self, listener: Listener, keeper: i32) {
        let _ = self.0.send((listener, keeper));
    }
}

/// The thread: ends with the last process of the generation.
fn take_calls(
    receiver: &Receiver<(Listener, i32)>,
    listens: &[Listen],
    mut only_v6: OnlyV6,
    ask: impl Fn(Pending) -> bool,
) {
    let Ok((listener, keeper)) = receiver.recv() else { return };
    let listener = Arc::new(listener);
    while let Some(trapped) = listener.wait() {
        let question = question(&trapped, keeper, listens, &mut only_v6);
        // Its number may have been given to another process while it was looked at.
        let Some(question) = question.filter(|_| listener.still_waits(&trapped)) else {
            listener.let_go_on(&trapped);
            continue;
        };
        let (verdict, answer) = sync_channel(1);
        ask(Pending { trapped, listener: listener.clone(), question, verdict });
        // A loop that does not care for this generation any more says nothing.
        match answer.recv().unwrap_or(Verdict::GoOn) {
            Verdict::Answered => {}
            Verdict::GoOn => listener.let_go_on(&trapped),
            Verdict::GoOnWhenFree(listen) => {
                wait_until_free(&listen);
                listener.let_go_on(&trapped);
            }
        }
    }
}

/// What the loop is to be asked about a call; `None` when it is not about a port of the service.
fn question(trapped: &Trapped, keeper: i32, listens: &[Listen], only_v6: &mut OnlyV6) -> Option<Question> {
    match trapped.call {
        Call::Bind { fd, address, length } => match look::address(trapped.thread, address, length) {
            Ok(asked) => {
                let asked = asked.filter(|asked| concerns(listens, *asked))?;
                Some(Question::Bind(fd, look::bind(keeper, trapped.thread, fd, asked, only_v6)))
            }
            Err(_) => Some(Question::Unknown(Reason::Unseen, look::sockets_below(keeper))),
        },
        Call::Listen { fd, backlog } => {
            let seen = look::listen(trapped.thread, fd)?;
            let ours = seen.facts.bound.is_none_or(|(local, _)| concerns(listens, local));
            ours.then_some(Question::Listen(backlog, seen))
        }
        Call::NarrowBind => Some(Question::Unknown(Reason::Narrow, look::sockets_below(keeper))),
        Call::OnlyV6 { fd, value } => {
            only_v6.note(trapped.thread, fd, value);
            None
        }
        Call::Other => None,
    }
}

fn wait_until_free(listen: &Listen) {
    const PAUSE: Duration = Duration::from_millis(2);
    let mut left = UNTIL_FREE;
    let is_taken = || port::examine(listen).is_err_and(|failure| failure.problem == PortProblem::Taken);
    while !left.is_zero() && is_taken() {
        std::thread::sleep(PAUSE);
        left = left.saturating_sub(PAUSE);
    }
}

impl Pending {
    /// Tells the thread.
    fn conclude(&self, verdict: Verdict) {
        let _ = self.verdict.send(verdict);
    }
}

impl Supervisor {
    /// The thread of a generation may take its calls from now on.
    pub(super) fn take_calls(&mut self, id: ServiceId, generation: Generation) {
        if let Some(live) = self.slots[id.0].live(generation)
            && let (Some(calls), Some(listener), Some(keeper)) =
                (&live.calls, live.keeper.take_listener(), live.keeper.pid())
        {
            calls.begin(listener, keeper);
        }
    }

    /// A bind or a listen waits.
    pub(super) fn called(&mut self, id: ServiceId, generation: Generation, mut pending: Box<Pending>) {
        let slot = &mut self.slots[id.0];
        if slot.live(generation).is_none() {
            return;
        }
        let sole = slot.lives().count() == 1;
        let verdict = slot.ports.answer(&mut pending, sole);
        // Before the program can fail for it.
        if let Some(event) = slot.port_not_kept(id) {
            self.feed(event);
        }
        let listens = verdict == Verdict::Answered && matches!(pending.question, Question::Listen(..));
        pending.conclude(verdict);
        if listens {
            self.look_for_listeners(id, generation);
        }
    }

    /// A socket that the launcher keeps was shut down. The generation that did so may wait for its `accept(2)` to fail, so
    /// it listens again when that one is gone, or another one takes it.
    pub(super) fn hung_up(&mut self, id: ServiceId) {
        let slot = &self.slots[id.0];
        slot.ports.heard_of_hang_ups();
        // Where two overlap, the other one serves on it.
        if slot.lives().count() != 1 {
            slot.ports.mend();
        }
    }

    /// A port may listen now: this is seen at once, and not only when it is looked for the next time.
    fn look_for_listeners(&mut self, id: ServiceId, generation: Generation) {
        let slot = &self.slots[id.0];
        let by_ports = matches!(slot.settings_of(generation).ready, Ready::Auto | Ready::Listen);
        let Some(live) = slot.live(generation).filter(|live| by_ports && !live.probes.is_empty()) else { return };
        let awaited = slot.ports.awaited();
        if sock_diag::listening(&awaited, || live.keeper.members()).into_iter().all(|listening| listening) {
            self.tell(id, Event::ProbeSucceeded(generation));
        }
    }
}
