//! Ports in the modes `adopt` and `capture`: what is held for them, and how calls about them are answered.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd as _;
use std::rc::Rc;

use tokio::sync::mpsc::UnboundedSender;
use tracing::{debug, warn};

use crate::core::adopt::{self, BindAnswer, BindFacts, HeldFacts, Kind, ListenAnswer, ListenFacts};
use crate::core::adopt::{PortView, Reason, Way};
use crate::core::fleet::ServiceId;
use crate::core::settings::{Listen, PortMode};
use crate::sys::port::{self, HangUps, Held};
use crate::sys::seccomp::look::Seen;
use crate::sys::seccomp::{Filter, ability, can_duplicate_from};

use super::calls::{Pending, Question, Verdict};
use super::inbox::{Happening, Task, watch};
use super::ports::{Port, Ports};

/// What tells of sockets that were shut down.
pub struct Watching {
    hang_ups: Rc<HangUps>,
    _task: Task,
}

impl Port {
    /// How it is treated; decided when it is first asked for, and told when that is not what was asked for.
    pub(super) fn way(&mut self, service: &str, user: u32) -> Way {
        if let Some(way) = self.way {
            return way;
        }
        let asked = match self.settings.mode {
            PortMode::Adopt => Way::Adopt,
            PortMode::Capture if can_duplicate_from(user) => Way::Capture,
            PortMode::Capture => Way::Make,
            _ => return Way::Leave,
        };
        self.way = Some(asked);
        if let Err(denied) = ability().filter {
            self.falls_back(service, Way::Leave, &denied.to_string());
        }
        self.way.unwrap_or(asked)
    }

    pub(super) fn is_lent(&self) -> bool {
        self.way.is_some_and(|way| way != Way::Leave)
    }

    /// Whether the launcher could be asked for the sockets of this port by a program.
    fn view(&self) -> Option<PortView<'_>> {
        let held = self.held.as_ref().filter(|_| self.kept).and_then(Held::facts);
        Some(PortView { listen: &self.listen, way: self.way?, held })
    }

    fn falls_back(&mut self, service: &str, to: Way, why: &str) {
        let Some(from) = self.way.replace(to) else { return };
        let line = adopt::fallback(service, &self.settings.name, &self.listen, from, to, why);
        // A captured socket that does not fit is replaced by the next one: nothing that was asked for is lost.
        if from == to { debug!(service, "{line}") } else { warn!(service, event = "port-fallback", "{line}") }
    }

    /// Lets go of what is held, for this reason if it is not as it should be.
    fn let_go(&mut self, service: &str, reason: Option<Reason>, can_duplicate: bool, sole: bool) {
        (self.held, self.kept) = (None, false);
        self.single |= !sole || reason.is_some_and(Reason::recurs);
        if let (Some(reason), Some(way)) = (reason, self.way) {
            self.falls_back(service, way.after(reason, can_duplicate), &reason.to_string());
        }
    }

    /// Makes the socket that the program is about to bind.
    fn make(&mut self, facts: &BindFacts) -> io::Result<()> {
        (self.held, self.kept) = (None, false);
        let socket = facts.socket.as_ref();
        let kind = socket.and_then(|socket| socket.kind).unwrap_or(Kind::Tcp);
        let v6only = socket.and_then(|socket| socket.v6only).unwrap_or(false);
        self.held = Some(Held::made(self.listen.clone(), facts.address, kind, v6only)?);
        self.kept = true;
        Ok(())
    }
}

impl Ports {
    /// The filter that the service needs for its ports, and whether it tells of IPV6_V6ONLY; `None` when no call is to
    /// be answered.
    pub fn filter(&self) -> Option<(Filter, bool)> {
        let lent = self.lent();
        // What the kernel allows is found by processes made for that: nobody waits for them without such a port.
        if lent.is_empty() {
            return None;
        }
        let installation = ability().filter.ok()?;
        let is_wild = |listen: &Listen| match listen {
            Listen::Tcp(at) | Listen::Udp(at) => at.is_ipv6() && at.ip().is_unspecified(),
            Listen::Unix(_) => false,
        };
        let only_v6 = !can_duplicate_from(self.user) && lent.iter().any(is_wild);
        let mut filter = Filter::new(only_v6);
        (filter.no_new_privs, filter.wait_killable) = (installation.no_new_privs, installation.wait_killable);
        Some((filter, only_v6))
    }

    /// The addresses whose binds are answered.
    pub fn lent(&self) -> Vec<Listen> {
        self.ports.iter().filter(|port| port.is_lent()).map(|port| port.listen.clone()).collect()
    }

    /// Has the loop told when somebody shuts down a socket that the launcher keeps, from now on.
    ///
    /// # Errors
    /// Of making and registering what watches them.
    pub fn watch(&mut self, outbox: &UnboundedSender<Happening>, id: ServiceId) -> io::Result<()> {
        if self.watching.is_none() {
            let hang_ups = Rc::new(HangUps::new()?);
            let task = watch(hang_ups.clone(), HangUps::fd, outbox.clone(), move || Happening::HungUp(id))?;
            self.watching = Some(Watching { hang_ups, _task: task });
        }
        self.watch_kept();
        Ok(())
    }

    fn watch_kept(&self) {
        let Some(watching) = &self.watching else { return };
        self.ports.iter().filter(|port| port.kept).flat_map(|port| &port.held).for_each(|held| {
            watching.hang_ups.watch(held);
        });
    }

    /// Forgets which sockets were shut down: they are looked at one by one.
    pub fn heard_of_hang_ups(&self) {
        if let Some(watching) = &self.watching {
            watching.hang_ups.clear();
        }
    }

    /// Listens again where somebody has shut down a socket that the launcher keeps.
    pub fn mend(&self) {
        for port in self.ports.iter().filter(|port| port.kept) {
            if port.held.as_ref().is_some_and(Held::mend) {
                debug!(service = self.service, "{} was shut down by its service: it listens again", port.listen);
            }
        }
    }

    /// Answers a call that waits, or says how it is to go on. `sole`: no other generation has these ports.
    pub fn answer(&mut self, pending: &mut Pending, sole: bool) -> Verdict {
        let verdict = match &mut pending.question {
            Question::Bind(fd, seen) => {
                let fd = *fd;
                let give = |held: &Held, seen: &Seen<BindFacts>| {
                    held.mend();
                    let nonblocking = adopt::nonblocking(seen.flags.nonblocking, sole, held.is_nonblocking());
                    held.fit(nonblocking, seen.copy.as_ref().map(|copy| copy.as_fd()))?;
                    let socket = held.descriptor().ok_or(io::ErrorKind::InvalidInput)?;
                    pending.listener.replace(&pending.trapped, fd, socket, seen.flags.on_exec)
                };
                let verdict = self.answer_bind(seen, sole, give);
                // The program's own socket is closed with this.
                seen.copy = None;
                verdict
            }
            Question::Listen(backlog, seen) => self.answer_listen(*backlog, seen),
            Question::Unknown(reason, others) => self.answer_unknown(*reason, others, sole),
        };
        if verdict == Verdict::Answered {
            pending.listener.answer_with(&pending.trapped, 0);
            self.watch_kept();
        }
        verdict
    }

    fn answer_bind(
        &mut self,
        seen: &Seen<BindFacts>,
        sole: bool,
        give: impl Fn(&Held, &Seen<BindFacts>) -> io::Result<()>,
    ) -> Verdict {
        let (facts, can_duplicate) = (&seen.facts, can_duplicate_from(self.user));
        let mut verdict = Verdict::GoOn;
        for port in &mut self.ports {
            let Some(view) = port.view() else { continue };
            let made = match adopt::bind(&view, facts) {
                BindAnswer::NotMine => continue,
                BindAnswer::Already => return Verdict::Answered,
                BindAnswer::GoOn => return Verdict::GoOn,
                BindAnswer::Beside => {
                    if let Some(Err(problem)) = port.held.as_ref().map(|held| held.share(self.user)) {
                        debug!(service = self.service, "{} could not be shared: {problem}", port.listen);
                    }
                    return Verdict::GoOn;
                }
                BindAnswer::LetGo(reason) => {
                    port.let_go(&self.service, reason, can_duplicate, sole);
                    verdict = Verdict::GoOnWhenFree(bound(port, facts));
                    continue;
                }
                BindAnswer::Give => Ok(()),
                BindAnswer::Make => port.make(facts),
            };
            let given = made.and_then(|()| port.held.as_ref().map_or(Ok(()), |held| give(held, seen)));
            match given.map_err(|problem| problem.raw_os_error().unwrap_or(0)) {
                // The process was killed meanwhile.
                Ok(()) | Err(libc::ENOENT) => return Verdict::Answered,
                Err(errno) => port.let_go(&self.service, Some(Reason::NotPlaced(errno)), can_duplicate, sole),
            }
            return Verdict::GoOnWhenFree(bound(port, facts));
        }
        verdict
    }

    fn answer_listen(&mut self, backlog: i32, seen: &mut Seen<ListenFacts>) -> Verdict {
        for port in &mut self.ports {
            let Some(view) = port.view() else { continue };
            let listening = match (adopt::listen(&view, &seen.facts), &port.held) {
                (ListenAnswer::Ours, Some(held)) => held.listen_for(backlog),
                (ListenAnswer::Keep, _) => {
                    let Some(copy) = seen.copy.take() else { return Verdict::GoOn };
                    let listening = port::listen_on(copy.as_fd(), backlog);
                    if listening.is_ok() {
                        (port.held, port.kept) = (Some(Held::captured(port.listen.clone(), copy)), true);
                    }
                    listening
                }
                _ => continue,
            };
            return if listening.is_ok() { Verdict::Answered } else { Verdict::GoOn };
        }
        Verdict::GoOn
    }

    /// A bind that may be about any port. One whose socket the generation has already is not it.
    fn answer_unknown(&mut self, reason: Reason, others: &BTreeSet<u64>, sole: bool) -> Verdict {
        let can_duplicate = can_duplicate_from(self.user);
        let mut verdict = Verdict::GoOn;
        for port in &mut self.ports {
            let has = |held: &HeldFacts| others.contains(&held.inode);
            if port.view().is_some_and(|view| adopt::may_concern(&view) && !view.held.as_ref().is_some_and(has)) {
                port.let_go(&self.service, Some(reason), can_duplicate, sole);
                verdict = Verdict::GoOnWhenFree(port.listen.clone());
            }
        }
        verdict
    }
}

/// What the program is about to bind.
fn bound(port: &Port, facts: &BindFacts) -> Listen {
    match port.listen {
        Listen::Udp(_) => Listen::Udp(facts.address),
        _ => Listen::Tcp(facts.address),
    }
}
