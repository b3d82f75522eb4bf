//! What is answered to a program that binds a port or begins to listen, in the port modes `adopt` and `capture` (DESIGN
//! §5 and §11): facts of the call go in, an answer comes out.
//!
//! The program's own socket is replaced by the launcher's only where the program cannot tell the difference. In all
//! other cases the call goes on as if nobody had looked, and what the launcher held is let go of, so that it succeeds.

mod words;

use ::core::net::SocketAddr;
use std::collections::BTreeSet;

use super::listen::{collides, reaches};
use super::settings::Listen;
pub use words::{fallback, held_by_another};

/// How a port of these modes is treated now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Held from the start, and given to whoever binds it.
    Adopt,
    /// The socket of the first generation is kept when it begins to listen, and given to the next one.
    Capture,
    /// The same where sockets cannot be duplicated: the launcher makes the socket at the first bind.
    Make,
    /// As in mode `reserve`: calls are not looked at any more.
    Leave,
}

impl Way {
    /// Its name, as the modes are called.
    pub fn name(self) -> &'static str {
        match self {
            Way::Adopt => "adopt",
            Way::Capture | Way::Make => "capture",
            Way::Leave => "reserve",
        }
    }

    /// What is done from now on when a bind could not be answered for this reason.
    pub fn after(self, reason: Reason, can_duplicate: bool) -> Way {
        match (self, reason) {
            (_, Reason::OtherNetwork | Reason::Narrow | Reason::Unseen) | (Way::Leave | Way::Make, _) => Way::Leave,
            (Way::Adopt, _) if !can_duplicate => Way::Leave,
            (Way::Adopt | Way::Capture, _) => Way::Capture,
        }
    }
}

/// What a socket of a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketFacts {
    /// Its inode.
    pub inode: u64,
    /// TCP (or MPTCP) or UDP; `None` when it is of another kind.
    pub kind: Option<Kind>,
    /// Whether it is an IPv6 socket.
    pub v6: bool,
    /// Whether it keeps to IPv6; `None` when that could not be asked.
    pub v6only: Option<bool>,
    /// Whether it has SO_REUSEPORT.
    pub reuse_port: bool,
}

/// The protocol of a socket that may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Tcp,
    Udp,
}

/// A `bind(2)` that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindFacts {
    /// What is to be bound.
    pub address: SocketAddr,
    /// The program's socket; `None` when the process may not be looked into.
    pub socket: Option<SocketFacts>,
    /// Whether the thread is in the launcher's network namespace.
    pub own_network: bool,
    /// Whether the socket is in an epoll set of its process: a replacement would not be.
    pub polled: bool,
    /// Whether another descriptor of the generation is of the same socket: that would stay the old one.
    pub shared: bool,
    /// The inodes of all sockets that other descriptors of the generation are of.
    pub others: BTreeSet<u64>,
}

/// A `listen(2)` that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenFacts {
    /// The inode of the socket.
    pub inode: u64,
    /// Its address and whether it keeps to IPv6, when the launcher has a duplicate of it and it is a TCP socket.
    pub bound: Option<(SocketAddr, bool)>,
    /// Whether the thread is in the launcher's network namespace.
    pub own_network: bool,
}

/// The socket that the launcher holds for a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldFacts {
    /// Its inode.
    pub inode: u64,
    /// Where it is bound.
    pub address: SocketAddr,
    /// Whether it keeps to IPv6.
    pub v6only: bool,
}

/// A port, as an answer looks at it.
#[derive(Debug, Clone, Copy)]
pub struct PortView<'a> {
    /// Where it listens.
    pub listen: &'a Listen,
    /// How it is treated.
    pub way: Way,
    /// The socket that may be given. A reservation is none.
    pub held: Option<HeldFacts>,
}

/// Why the program's own socket is left to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It binds another address on the same port.
    OtherAddress(SocketAddr),
    /// It binds an address of the other family, or the same one as another family writes it.
    OtherFamily(SocketAddr),
    /// It keeps to IPv6, or does not, and the held socket is the other way.
    OnlyV6(bool),
    /// Whether it keeps to IPv6 cannot be seen.
    OnlyV6Unknown,
    /// It runs in another network namespace.
    OtherNetwork,
    /// Its socket is in an epoll set already.
    Polled,
    /// It has the socket under two descriptors, or another process has it too.
    Shared,
    /// Its memory or its descriptors may not be looked at.
    Unseen,
    /// It is a 32-bit program.
    Narrow,
    /// The socket could not be put in its place (`errno(3)`).
    NotPlaced(i32),
}

impl Reason {
    /// Whether every generation of the same program can be expected to give it, whatever socket is held.
    pub fn recurs(self) -> bool {
        match self {
            Reason::OtherAddress(_) | Reason::OtherFamily(_) | Reason::OnlyV6(_) => false,
            Reason::OnlyV6Unknown | Reason::OtherNetwork | Reason::Polled | Reason::Shared => true,
            Reason::Unseen | Reason::Narrow | Reason::NotPlaced(_) => true,
        }
    }
}

/// The answer to a bind, as far as one port is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindAnswer {
    /// It has nothing to do with this port.
    NotMine,
    /// It is the held socket already: a call that was interrupted and made again. Success.
    Already,
    /// It gets the held socket.
    Give,
    /// The generation has the held socket and shares the port on purpose: both are to have SO_REUSEPORT, and it binds.
    Beside,
    /// It binds, and fails as it would without a launcher: the generation has the port already.
    GoOn,
    /// What is held is let go of, and it binds.
    LetGo(Option<Reason>),
    /// The launcher makes a socket at this address and gives it.
    Make,
}

/// The answer to a `bind(2)`.
pub fn bind(port: &PortView<'_>, facts: &BindFacts) -> BindAnswer {
    let (Some(declared), false) = (address(port.listen), port.way == Way::Leave) else { return BindAnswer::NotMine };
    let kind = facts.socket.map(|socket| socket.kind);
    if kind.is_some_and(|kind| kind != kind_of(port.listen)) {
        return BindAnswer::NotMine;
    }
    if let (Some(held), Some(socket)) = (port.held, facts.socket)
        && held.inode == socket.inode
    {
        return BindAnswer::Already;
    }
    let (place, v6only) = port.held.map_or((declared, false), |held| (held.address, held.v6only));
    if !meets(place, v6only, facts) {
        return BindAnswer::NotMine;
    }
    if port.held.is_some_and(|held| facts.others.contains(&held.inode)) {
        let shares = facts.socket.is_some_and(|socket| socket.reuse_port);
        return if shares { BindAnswer::Beside } else { BindAnswer::GoOn };
    }
    match (port.held, port.way) {
        (None, Way::Capture) => {
            let elsewhere = facts.socket.is_some() && !facts.own_network;
            BindAnswer::LetGo(elsewhere.then_some(Reason::OtherNetwork))
        }
        (None, _) => match unsafe_to_replace(facts) {
            Some(reason) => BindAnswer::LetGo(Some(reason)),
            None => BindAnswer::Make,
        },
        // Elsewhere it would be given connections that are not for it.
        (Some(_), _) if !facts.own_network => BindAnswer::LetGo(Some(Reason::OtherNetwork)),
        (Some(held), _) => match differs(&held, facts).or_else(|| unsafe_to_replace(facts)) {
            Some(reason) => BindAnswer::LetGo(Some(reason)),
            None => BindAnswer::Give,
        },
    }
}

/// Whether a call whose address or socket could not be read at all, or that a 32-bit program makes, may be about this
/// port, and what is held is to be let go of for it.
pub fn may_concern(port: &PortView<'_>) -> bool {
    port.way != Way::Leave
}

/// Whether a bind to this address may be about one of these ports: all others are none of the launcher's business.
pub fn concerns(listens: &[Listen], asked: SocketAddr) -> bool {
    listens.iter().filter_map(address).any(|address| address.port() == asked.port())
}

/// Whether what is bound to `place` is in the way of the call.
fn meets(place: SocketAddr, v6only: bool, facts: &BindFacts) -> bool {
    let asked = facts.address;
    let asked_only_v6 = facts.socket.is_some_and(|socket| socket.v6only == Some(true));
    let keeps_apart = asked_only_v6 && asked.is_ipv6() && place.ip().to_canonical().is_ipv4();
    collides(place, v6only, asked) && !keeps_apart
}

/// What the program would notice: guard by guard.
fn differs(held: &HeldFacts, facts: &BindFacts) -> Option<Reason> {
    let v6 = facts.socket.map_or(facts.address.is_ipv6(), |socket| socket.v6);
    if v6 != held.address.is_ipv6() {
        return Some(Reason::OtherFamily(facts.address));
    }
    if (held.address.ip(), held.address.port()) != (facts.address.ip(), facts.address.port()) {
        return Some(Reason::OtherAddress(facts.address));
    }
    // It makes a difference for the wildcard alone.
    if !(held.address.is_ipv6() && held.address.ip().is_unspecified()) {
        return None;
    }
    match facts.socket.and_then(|socket| socket.v6only) {
        None if facts.socket.is_some() => Some(Reason::OnlyV6Unknown),
        Some(v6only) if v6only != held.v6only => Some(Reason::OnlyV6(v6only)),
        _ => None,
    }
}

/// Why the descriptor cannot be replaced by another socket.
fn unsafe_to_replace(facts: &BindFacts) -> Option<Reason> {
    if facts.socket.is_none() {
        Some(Reason::Unseen)
    } else if !facts.own_network {
        Some(Reason::OtherNetwork)
    } else if facts.polled {
        Some(Reason::Polled)
    } else if facts.shared {
        Some(Reason::Shared)
    } else {
        None
    }
}

/// The answer to a listen, as far as one port is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenAnswer {
    /// It has nothing to do with this port.
    NotMine,
    /// It is the held socket: the launcher sets its backlog. Success.
    Ours,
    /// It is the program's own socket on this port: the duplicate is kept for the next generation.
    Keep,
}

/// The answer to a `listen(2)`.
pub fn listen(port: &PortView<'_>, facts: &ListenFacts) -> ListenAnswer {
    if port.held.is_some_and(|held| held.inode == facts.inode) {
        return ListenAnswer::Ours;
    }
    let (Some(declared), Way::Capture, None) = (address(port.listen), port.way, port.held) else {
        return ListenAnswer::NotMine;
    };
    match facts.bound {
        Some((local, v6only)) if facts.own_network && kind_of(port.listen) == Some(Kind::Tcp) => {
            let covers = reaches(local, v6only, declared) || collides(local, v6only, declared);
            if covers { ListenAnswer::Keep } else { ListenAnswer::NotMine }
        }
        _ => ListenAnswer::NotMine,
    }
}

/// Whether the socket that is given is not to block (`O_NONBLOCK`), by what the program's own socket is (`asked`) and what
/// the held one is `now`. While another generation has it, too, it never begins to block: a loop there that accepts until
/// nothing is left would be stuck in its accept. The same program is about to ask for it soon.
pub fn nonblocking(asked: bool, sole: bool, now: bool) -> bool {
    asked || (!sole && now)
}

/// How many connections may wait: what the program asks for, but no fewer than the launcher keeps.
pub fn backlog(asked: i32, least: i32) -> i32 {
    // The kernel takes it for a number without a sign, and cuts it to `net.core.somaxconn`.
    if asked < 0 { i32::MAX } else { asked.max(least) }
}

fn address(listen: &Listen) -> Option<SocketAddr> {
    match listen {
        Listen::Tcp(address) | Listen::Udp(address) => Some(*address),
        Listen::Unix(_) => None,
    }
}

fn kind_of(listen: &Listen) -> Option<Kind> {
    match listen {
        Listen::Tcp(_) => Some(Kind::Tcp),
        Listen::Udp(_) => Some(Kind::Udp),
        Listen::Unix(_) => None,
    }
}

#[cfg(test)]
mod tests;
