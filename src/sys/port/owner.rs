//! Who holds an address.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::unix;
use crate::core::facts::{HoldState, HolderFacts, Kin, OwnerFacts, ParentFacts};
use crate::core::listen::collides;
use crate::core::port_words::unit_or_container;
use crate::core::settings::Listen;
use crate::sys::sock_diag::{Filter, InetSocket, Protocol, State, inet_sockets};
use crate::sys::{procfs, users};

/// Who holds the address, or is in the way of it; `None` when nobody is, and for port 0.
///
/// Every process that holds the socket is told, a parent before its children. Where processes may not be looked into,
/// the socket's uid and cgroup are told still. `service` is the name by which a leftover is known.
///
/// Reads the descriptors of all processes (about 0.1 ms each): for failures, not for polls.
pub fn owner(listen: &Listen, service: Option<&str>) -> Option<OwnerFacts> {
    let found = match listen {
        Listen::Tcp(address) | Listen::Udp(address) if address.port() == 0 => return None,
        Listen::Tcp(address) => of_inet(Protocol::Tcp, *address)?,
        Listen::Udp(address) => of_inet(Protocol::Udp, *address)?,
        Listen::Unix(path) => of_unix(path)?,
    };
    let mut owner = found.facts;
    owner.holders = holders(&found.inodes, service);
    owner.user = owner.uid.and_then(users::name_of);
    owner.cgroup = owner
        .holders
        .first()
        .and_then(|holder| procfs::cgroup(holder.pid))
        .or_else(|| found.cgroup.and_then(cgroup_path))
        .map(|path| unit_or_container(&path));
    Some(owner)
}

/// What the sockets alone tell.
struct Found {
    facts: OwnerFacts,
    inodes: HashSet<u64>,
    cgroup: Option<u64>,
}

fn of_inet(protocol: Protocol, asked: SocketAddr) -> Option<Found> {
    let filter = Filter { protocol, port: Some(asked.port()), states: State::ALL, details: false };
    let mut sockets = inet_sockets(&filter).ok()?;
    sockets.retain(|socket| collides(socket.local, socket.v6only, asked));
    let strongest = sockets.iter().map(|socket| rank(hold_state(socket))).min()?;
    sockets.retain(|socket| rank(hold_state(socket)) == strongest);
    // The very address before one that covers it; one that a process holds before one that none does.
    let first = sockets.iter().min_by_key(|socket| (socket.local != asked, socket.inode == 0))?;
    let state = hold_state(first);
    let anybody = state != HoldState::TimeWait;
    let facts = OwnerFacts {
        uid: anybody.then_some(first.uid),
        state,
        address: (first.local != asked).then(|| first.local.to_string()),
        ..OwnerFacts::default()
    };
    let cgroup = first.cgroup.filter(|_| anybody);
    let inodes = sockets.iter().map(|socket| socket.inode).filter(|inode| *inode != 0).collect();
    Some(Found { facts, inodes, cgroup })
}

fn hold_state(socket: &InetSocket) -> HoldState {
    match (socket.protocol, socket.state) {
        (Protocol::Tcp, State::Listen) | (Protocol::Udp, State::Closed) => HoldState::Listening,
        (Protocol::Tcp, State::Bound) => HoldState::Bound,
        // Closed by its process and on its way out: nobody holds it any more.
        (Protocol::Tcp, _) if socket.inode == 0 => HoldState::TimeWait,
        _ => HoldState::Connected,
    }
}

/// How much a kind of hold explains: the least first.
fn rank(state: HoldState) -> u8 {
    match state {
        HoldState::Listening => 0,
        HoldState::Bound => 1,
        HoldState::Connected => 2,
        _ => 3,
    }
}

fn of_unix(path: &Path) -> Option<Found> {
    let place = unix::look(path).ok()?;
    let mut facts = OwnerFacts { state: place.state?, ..OwnerFacts::default() };
    facts.uid = match place.sockets.first() {
        Some(socket) => socket.uid,
        None if unix::is_abstract(path) => None,
        None => std::fs::symlink_metadata(path).ok().map(|metadata| metadata.uid()),
    };
    Some(Found { facts, inodes: place.sockets.iter().map(|socket| socket.inode).collect(), cgroup: None })
}

/// All processes that hold one of the sockets, found in one pass; a parent before its children.
fn holders(inodes: &HashSet<u64>, service: Option<&str>) -> Vec<HolderFacts> {
    if inodes.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<(u64, i32)> = procfs::pids()
        .into_iter()
        .filter(|pid| {
            let mut holds = false;
            // One that may not be looked into, or is gone, is none that can be told.
            let _ = procfs::for_each_socket(*pid, |inode| holds |= inodes.contains(&inode));
            holds
        })
        .filter_map(|pid| Some((procfs::Stat::of(pid)?.start_ticks, pid)))
        .collect();
    // A parent is older than its children; within one tick the pid decides.
    found.sort_unstable();
    found.into_iter().map(|(_, pid)| holder(pid, service)).collect()
}

fn holder(pid: i32, service: Option<&str>) -> HolderFacts {
    let variable = |name| procfs::environment_variable(pid, name).map(|value| value.to_string_lossy().into_owned());
    let of = variable("LAUNCHER_SERVICE");
    let ancestors = procfs::ancestors(pid);
    let above = of.as_ref().map_or(Above::Nobody, |_| launcher_among(&ancestors));
    let launcher = if let Above::Launcher(launcher) = above { Some(launcher) } else { None };
    HolderFacts {
        pid,
        command: procfs::command_line(pid).unwrap_or_default(),
        parents: parents(&ancestors),
        running: procfs::age(pid),
        leftover: above == Above::Nobody && of.is_some() && of.as_deref() == service,
        generation: of.as_ref().and_then(|_| variable("LAUNCHER_GENERATION")?.parse().ok()),
        service: of,
        launcher,
        kin: kin(pid, &ancestors, launcher),
    }
}

/// What started a process: at most three, without the first process of all, which takes in what others leave behind.
fn parents(ancestors: &[i32]) -> Vec<ParentFacts> {
    let parents = ancestors.iter().filter(|pid| **pid > 1).take(3);
    parents.filter_map(|pid| Some(ParentFacts { pid: *pid, name: procfs::Stat::of(*pid)?.name })).collect()
}

fn kin(pid: i32, ancestors: &[i32], launcher: Option<i32>) -> Kin {
    let own = std::process::id() as i32;
    if pid == own || procfs::ancestors(own).contains(&pid) {
        Kin::Above
    } else if launcher == Some(own) || ancestors.contains(&own) {
        Kin::Child
    } else if procfs::effective_user(pid) == Some(nix::unistd::geteuid().as_raw()) {
        Kin::SameUser
    } else {
        Kin::Stranger
    }
}

/// What looks after a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Above {
    /// No launcher.
    Nobody,
    /// The launcher with this pid.
    Launcher(i32),
    /// It may be one: a process above may not be looked into.
    Unknown,
}

/// The launcher among the processes above: the nearest that runs this program is the keeper, its parent the launcher. A
/// keeper alone has lost its launcher.
fn launcher_among(ancestors: &[i32]) -> Above {
    let own = procfs::executable(std::process::id() as i32);
    let runs_launcher = |pid: i32| {
        procfs::executable(pid).map(|program| {
            // A newer version may have taken the place of the one that runs.
            let path = program.to_string_lossy();
            Some(&program) == own.as_ref() || Path::new(path.trim_end_matches(" (deleted)")).ends_with("launcher")
        })
    };
    for (place, pid) in ancestors.iter().enumerate() {
        match runs_launcher(*pid) {
            Some(false) => {}
            Some(true) => {
                let launcher = ancestors.get(place + 1).filter(|pid| runs_launcher(**pid) == Some(true));
                return launcher.map_or(Above::Nobody, |pid| Above::Launcher(*pid));
            }
            // The first process of all takes in what others leave behind.
            None if *pid == 1 => {}
            None => return Above::Unknown,
        }
    }
    Above::Nobody
}

/// The path of a version 2 cgroup by its id, which is its directory's inode: found by walking the hierarchy, for
/// `open_by_handle_at(2)` needs a capability. `None` for the root.
fn cgroup_path(id: u64) -> Option<String> {
    const MOST: usize = 20_000;
    let root = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .into_iter()
        .map(Path::new)
        .find(|root| root.join("cgroup.procs").exists())?;
    let mut pending: Vec<PathBuf> = vec![root.to_owned()];
    let mut seen = 0;
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).ok().into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = entry.path();
            if std::os::unix::fs::DirEntryExt::ino(&entry) == id {
                return path.strip_prefix(root).ok().map(|path| format!("/{}", path.display()));
            }
            seen += 1;
            if seen > MOST {
                return None;
            }
            pending.push(path);
        }
    }
    None
}
