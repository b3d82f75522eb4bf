//! Ports of mode `share` while two generations run: which of their sockets new connections go to, as `core/share` says.
//!
//! Nothing of it is there while one generation runs. Before another one is executed, the kernel is told to choose among
//! the sockets of the first alone; with each [`Action::Steer`] it is told anew, and meanwhile what comes and goes is looked
//! at again and again. In the end the launcher's own sockets leave, and the kernel chooses by itself.
//!
//! [`Action::Steer`]: crate::core::service::Action::Steer

use std::cell::OnceCell;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tracing::{debug, warn};

use crate::core::fleet::{FleetEvent, ServiceId};
use crate::core::listen::reaches;
use crate::core::service::named;
use crate::core::settings::{Listen, PortMode};
use crate::core::share::{Aim, Group, Holder, Plan, Unshared};
use crate::sys::port::share::{Inert, members};
use crate::sys::sock_diag::{InetSocket, Protocol, sockets_of};

use super::Supervisor;
use super::inbox::{Happening, Task};
use super::ports::{Port, Ports};
use super::slot::Slot;

/// How often sockets are looked at, soon after something has changed and later.
const OFTEN: Duration = Duration::from_millis(10);
const SELDOM: Duration = Duration::from_millis(100);
/// For how many looks something has just changed.
const SOON: usize = 100;
/// On so many looks in a row a socket is of nobody before that is said.
const STRANGE: usize = 5;
/// So many sockets of its own the launcher puts into a group at most.
const MOST_OWN: usize = 256;

/// What is done about the shared ports of a service while two generations are there.
pub struct Sharing {
    plan: Plan,
    /// Whether it has worked.
    steered: bool,
    /// On how many looks in a row somebody was there who does not belong to it.
    strange: usize,
    /// Whether it was said that it does not.
    told: bool,
    _looks: Task,
}

/// The sockets that are bound to the same address and share it.
pub struct Shared {
    address: SocketAddr,
    v6only: bool,
    uid: u32,
    group: Group,
    own: Vec<Inert>,
    aimed: Option<Aim>,
    /// With which errno the kernel has refused a program. It is not asked again: a socket of the launcher's own takes
    /// what comes to it until it leaves.
    refused: Option<i32>,
}

impl Shared {
    fn new(socket: &InetSocket) -> Shared {
        let (address, v6only, uid) = (socket.local, socket.v6only, socket.uid);
        Shared { address, v6only, uid, group: Group::default(), own: Vec::new(), aimed: None, refused: None }
    }

    fn has(&self, socket: &InetSocket) -> bool {
        (self.address, self.v6only, self.uid) == (socket.local, socket.v6only, socket.uid)
    }

    fn see(&mut self, found: &[InetSocket], holder: &impl Fn(&InetSocket) -> Holder) {
        let own = |socket: &InetSocket| self.own.iter().any(|own| own.inode() == socket.inode);
        let here = found.iter().filter(|socket| self.has(socket));
        let of = |socket: &InetSocket| match self.group.holder(socket.inode) {
            Some(known) if known != Holder::Other => known,
            _ if own(socket) => Holder::Own,
            _ => holder(socket),
        };
        let listed: Vec<(u64, Holder)> = here.map(|socket| (socket.inode, of(socket))).collect();
        self.group.see(&listed);
    }

    /// Has the kernel choose by this plan.
    fn steer(
        &mut self,
        protocol: Protocol,
        plan: Plan,
        holder: &impl Fn(&InetSocket) -> Holder,
    ) -> Result<(), Unshared> {
        let steered = self.try_to_steer(protocol, plan, holder);
        if steered.is_err() && self.aimed.is_none() {
            // Without a program they would be chosen, too.
            while !self.own.is_empty() {
                self.drop_last();
            }
        }
        steered
    }

    fn try_to_steer(
        &mut self,
        protocol: Protocol,
        plan: Plan,
        holder: &impl Fn(&InetSocket) -> Holder,
    ) -> Result<(), Unshared> {
        if !self.group.is_ours() {
            return Err(Unshared::Stranger);
        }
        if let Some(errno) = self.refused {
            return Err(Unshared::Denied(errno));
        }
        if !self.group.is_sure(plan) {
            self.retreat(protocol);
            return Err(Unshared::Unsure);
        }
        let missing = self.group.missing(plan).min(MOST_OWN.saturating_sub(self.own.len()));
        if missing == 0 && self.aimed.as_ref() == Some(&self.group.aim(plan)) {
            return Ok(());
        }
        // The program is put onto the group by a socket that is in it.
        let joining = if self.own.is_empty() { missing.max(1) } else { missing };
        // It stands behind those who are seen: they get all that comes until it is looked again. Whatever comes between these
        // two calls may come to the launcher's own, and is a second late.
        let seen = self.group.aim(plan);
        for _ in 0..joining {
            let own = Inert::join(protocol, self.address, self.v6only, self.uid).map_err(|problem| reason(&problem))?;
            if self.own.is_empty() && self.aimed.is_none() {
                // Should it fail, it does so again below.
                self.aimed = own.aim(&seen).is_ok().then(|| seen.clone());
            }
            self.own.push(own);
        }
        let found = members(protocol, self.address.port()).unwrap_or_default();
        self.see(&found, holder);
        let aim = self.group.aim(plan);
        let aimed = self.own.last().map_or(Ok(()), |own| own.aim(&aim));
        if let (Err(problem), None) = (&aimed, &self.aimed) {
            self.refused = problem.raw_os_error();
        }
        self.aimed = aimed.is_ok().then_some(aim);
        // One that stands behind all others, and for nobody who leaves, goes again.
        if joining > missing {
            self.drop_last();
        }
        aimed.map_err(|problem| reason(&problem))
    }

    fn drop_last(&mut self) {
        if let Some(own) = self.own.pop() {
            self.group.left(own.inode());
        }
    }

    /// The launcher's own sockets leave, and the kernel chooses by itself again.
    fn retreat(&mut self, protocol: Protocol) {
        let aimed = self.aimed.take().is_some_and(|aim| aim != Aim::default());
        if aimed && self.own.is_empty() && self.group.is_of_service() {
            self.own.extend(Inert::join(protocol, self.address, self.v6only, self.uid));
        }
        while let Some((inode, aim)) = self.group.retreat() {
            let Some(place) = self.own.iter().position(|own| own.inode() == inode) else { break };
            // Nothing can be done about it; they leave in any case.
            let _ = self.own.swap_remove(place).aim(&aim);
            self.group.left(inode);
        }
        if let Some(last) = self.own.last() {
            let _ = last.aim(&Aim::default());
        }
        self.own.clear();
    }
}

/// Why the launcher could not join a group, or put its program onto it.
fn reason(problem: &io::Error) -> Unshared {
    match problem.raw_os_error().unwrap_or(0) {
        libc::EADDRINUSE => Unshared::Exclusive,
        errno => Unshared::Denied(errno),
    }
}

impl Port {
    fn place(&self) -> Option<(Protocol, SocketAddr)> {
        match &self.listen {
            Listen::Tcp(address) if self.is_shared() => Some((Protocol::Tcp, *address)),
            Listen::Udp(address) if self.is_shared() => Some((Protocol::Udp, *address)),
            _ => None,
        }
    }

    fn is_shared(&self) -> bool {
        self.settings.mode == PortMode::Share
    }

    fn steer(&mut self, plan: Plan, holder: &impl Fn(&InetSocket) -> Holder) -> Result<(), Unshared> {
        let Some((protocol, declared)) = self.place() else { return Ok(()) };
        let found = members(protocol, declared.port()).unwrap_or_default();
        for socket in found.iter().filter(|socket| reaches(socket.local, socket.v6only, declared)) {
            let is_known = self.shared.iter().any(|shared| shared.has(socket));
            if !is_known && matches!(holder(socket), Holder::Of(_)) {
                self.shared.push(Shared::new(socket));
            }
        }
        self.shared.iter_mut().for_each(|shared| shared.see(&found, holder));
        self.shared.retain_mut(|shared| shared.group.is_of_service());
        if self.shared.is_empty() {
            return Err(Unshared::Unseen);
        }
        let steered: Vec<_> = self.shared.iter_mut().map(|shared| shared.steer(protocol, plan, holder)).collect();
        steered.into_iter().collect()
    }

    fn unshare(&mut self) {
        if let Some((protocol, _)) = self.place() {
            self.shared.iter_mut().for_each(|shared| shared.retreat(protocol));
        }
        self.shared.clear();
    }
}

impl Ports {
    /// Whether connections to any of them can be steered.
    fn are_shared(&self) -> bool {
        self.ports.iter().any(Port::is_shared)
    }

    /// Steers connections to all that are shared; says of which that could not be done.
    fn steer(&mut self, plan: Plan, holder: &impl Fn(&InetSocket) -> Holder) -> Result<(), (String, Unshared)> {
        let mut done = Ok(());
        for port in &mut self.ports {
            if let Err(why) = port.steer(plan, holder) {
                port.single |= why == Unshared::Exclusive;
                done = done.and(Err((port.settings.name.clone(), why)));
            }
        }
        done
    }

    /// Leaves the choice to the kernel.
    pub fn unshare(&mut self) {
        self.ports.iter_mut().for_each(Port::unshare);
    }
}

impl Slot {
    fn steer(&mut self, plan: Plan) -> Result<(), (String, Unshared)> {
        let courses = &self.courses;
        // Looked for only when a socket is seen for the first time.
        let holders = OnceCell::new();
        let holder = |socket: &InetSocket| {
            let all = holders.get_or_init(|| {
                let lives = courses.iter().filter_map(|course| Some((course.generation, course.live.as_ref()?)));
                let all = lives.map(|(generation, live)| (generation, sockets_of(&live.keeper.members())));
                all.collect::<Vec<_>>()
            });
            let held = all.iter().find(|(_, sockets)| sockets.held.contains(&socket.inode));
            // One that may not be looked into is the newest, as far as anybody knows.
            let closed = || all.iter().rev().find(|(_, sockets)| sockets.closed_users.contains(&socket.uid));
            held.or_else(closed).map_or(Holder::Other, |(generation, _)| Holder::Of(*generation))
        };
        self.ports.steer(plan, &holder)
    }
}

impl Supervisor {
    /// New connections are to go so from now on.
    pub(super) fn steer(&mut self, id: ServiceId, plan: Plan) {
        if self.fleet.beside(id).is_some() {
            self.share(id, plan);
        }
    }

    /// Another generation is checked beside the one that serves: it gets nothing until it is told that it does.
    pub(super) fn share_first(&mut self, id: ServiceId) {
        let serving = self.fleet.service(id).and_then(|service| service.generation());
        if let Some(to) = serving.filter(|_| self.fleet.beside(id).is_some()) {
            self.share(id, Plan { to, canary: None });
        }
    }

    fn share(&mut self, id: ServiceId, plan: Plan) {
        let slot = &mut self.slots[id.0];
        if !slot.ports.are_shared() {
            return;
        }
        let outbox = self.outbox.clone();
        let looks = Task::start(async move {
            for number in 0.. {
                tokio::time::sleep(if number < SOON { OFTEN } else { SELDOM }).await;
                let _ = outbox.send(Happening::SharesDue(id));
            }
        });
        let (steered, told) = slot.sharing.as_ref().map_or((false, false), |sharing| (sharing.steered, sharing.told));
        slot.sharing = Some(Sharing { plan, steered, strange: 0, told, _looks: looks });
        self.look_at_shares(id);
    }

    /// Time to look again.
    pub(super) fn shares_due(&mut self, id: ServiceId) {
        self.look_at_shares(id);
        if let Some(event) = self.pending.pop_front() {
            self.feed(event);
        }
    }

    /// Looks at the sockets of the shared ports, and steers anew where others are there.
    pub(super) fn look_at_shares(&mut self, id: ServiceId) {
        let slot = &mut self.slots[id.0];
        let Some(plan) = slot.sharing.as_ref().map(|sharing| sharing.plan) else { return };
        let done = slot.steer(plan);
        let Some(sharing) = &mut slot.sharing else { return };
        let Err((name, why)) = done else {
            sharing.steered = true;
            return;
        };
        sharing.strange = if why == Unshared::Stranger { sharing.strange + 1 } else { 0 };
        let may_pass = match why {
            // Another matter: its restart begins again otherwise.
            Unshared::Exclusive => true,
            // In the end nobody listens any more.
            Unshared::Unseen => sharing.steered,
            // Whose a socket is cannot be seen while its process ends.
            Unshared::Stranger => sharing.steered && sharing.strange < STRANGE,
            Unshared::Unsure | Unshared::Denied(_) => false,
        };
        if may_pass || std::mem::replace(&mut sharing.told, true) {
            return;
        }
        let (service, port) = (&slot.settings.name, named(&name));
        warn!(
            service,
            event = "not-steered",
            "new connections to port{port} of {service} go to both generations while two run, as the kernel divides them, \
             and those that still wait in the old one when it ends are reset: {why}"
        );
        if plan.canary.is_some() && matches!(why, Unshared::Denied(_)) {
            self.pending.push_back(FleetEvent::RollbackRequested(id));
        }
    }

    /// Where two generations are no more, nothing is steered.
    pub(super) fn end_sharing(&mut self) {
        for (place, slot) in self.slots.iter_mut().enumerate() {
            if slot.sharing.is_some() && self.fleet.beside(ServiceId(place)).is_none() {
                slot.sharing = None;
                slot.ports.unshare();
                debug!(service = slot.settings.name, "nothing is steered any more");
            }
        }
    }

    /// Why connections to this service could not be divided, found out by doing what is to be done for it.
    pub(super) fn cannot_steer(&mut self, id: ServiceId) -> Option<String> {
        let to = self.fleet.service(id).and_then(|service| service.generation())?;
        let slot = &mut self.slots[id.0];
        if slot.sharing.is_some() {
            return None;
        }
        let steered = slot.steer(Plan { to, canary: None });
        slot.ports.unshare();
        let (name, why) = steered.err()?;
        let service = &slot.settings.name;
        Some(format!(
            "{service} cannot have a canary: new connections to its port{} cannot be divided: {why}",
            named(&name)
        ))
    }
}
