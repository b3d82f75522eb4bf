//! Who is at the other end: the processes that hold the peers of sockets, pipes and FIFOs.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::files;
use super::sockets::Sockets;
use super::{fds, rights};
use crate::core::diagnosis::only_itself;
use crate::core::facts::{FdFacts, FileFacts, FileKind, ProcessFacts, ProcessName, SocketFacts, WaitingOn};
use crate::sys::procfs::Stat;

/// The number of the first pid namespace (`PROC_PID_INIT_INO`).
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// One process that holds a file that was looked for.
#[derive(Debug, Clone)]
struct Holder {
    process: ProcessName,
    reads: bool,
    writes: bool,
}

/// The holders of the files looked for, by what their links in `/proc/PID/fd` say.
#[derive(Debug, Default)]
struct Holders {
    by_link: HashMap<String, Vec<Holder>>,
    /// Whether every process of the machine could be looked at.
    complete: bool,
}

/// Fills in who is at the other end of everything these processes wait on and of all their sockets. One look at the
/// descriptors of all processes, given up at `deadline`.
pub fn fill_in(processes: &mut [ProcessFacts], sockets: &Sockets, deadline: Instant) {
    let mut wanted = HashSet::new();
    for process in processes.iter_mut() {
        each_socket(process, &mut |socket, connecting| {
            let (listener, inodes) = other_end(socket, connecting, sockets);
            socket.peer_listener = listener.map(Box::new);
            wanted.extend(inodes.into_iter().map(socket_link));
        });
        each_file(process, &mut |file, reading, _| {
            wanted.insert(file.path.clone());
            if !reading {
                wanted.extend([1, 2].into_iter().filter_map(own_link));
            }
        });
    }
    if wanted.is_empty() {
        return;
    }
    let holders = search(&wanted, deadline);
    for process in processes.iter_mut() {
        each_socket(process, &mut |socket, connecting| {
            let (_, inodes) = other_end(socket, connecting, sockets);
            let named = holders.named(inodes.into_iter().map(socket_link), |_| true);
            match &mut socket.peer_listener {
                Some(listener) => listener.processes = named,
                None => socket.peer_processes = named,
            }
        });
        each_file(process, &mut |file, reading, fd| {
            let other = |holder: &Holder| if reading { holder.writes } else { holder.reads };
            file.peers = holders.named([file.path.clone()].into_iter(), other);
            file.peers_complete = holders.complete;
            // The launcher reads the output of its service to write it to its own.
            if !reading && only_itself(&file.peers, std::process::id() as i32) {
                let own = own_link(if fd == 2 { 2 } else { 1 });
                file.passed_on_to = Some(holders.named(own.into_iter(), |holder| holder.reads));
            }
        });
    }
}

/// What a descriptor of the launcher itself is.
fn own_link(fd: i32) -> Option<String> {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?.into_os_string().into_string().ok()
}

fn socket_link(inode: u64) -> String {
    format!("socket:[{inode}]")
}

/// What is at the other end of a socket: a listener when it still connects, and the inodes there.
fn other_end(
    socket: &SocketFacts,
    connecting: bool,
    sockets: &Sockets,
) -> (Option<crate::core::facts::ListenerFacts>, Vec<u64>) {
    if let Some((listener, inodes)) = sockets.listener_for(socket.inode) {
        return (Some(listener), inodes);
    }
    if connecting
        && socket.protocol == "unix"
        && let Some(path) = &socket.peer
    {
        let (listener, inodes) = sockets.unix_listener(path);
        return (Some(listener), inodes);
    }
    (None, sockets.peers(socket.inode))
}

/// What the threads and the tasks of a process wait on.
fn waits(process: &mut ProcessFacts) -> impl Iterator<Item = &mut WaitingOn> {
    let threads = process.threads.iter_mut().filter_map(|thread| thread.waiting_on.as_mut());
    threads.chain(process.tasks.iter_mut().filter_map(|task| task.waiting_on.as_mut()))
}

/// Calls `each` with every socket of a process, and whether a `connect` waits on it.
fn each_socket(process: &mut ProcessFacts, each: &mut dyn FnMut(&mut SocketFacts, bool)) {
    process.sockets.iter_mut().for_each(|socket| each(socket, false));
    for waiting_on in waits(process) {
        match waiting_on {
            WaitingOn::Connect { socket, .. } => each(socket, true),
            WaitingOn::Accept { socket, .. } | WaitingOn::Receive { socket, .. } | WaitingOn::Send { socket, .. } => {
                each(socket, false);
            }
            WaitingOn::Poll { watched, .. } => {
                for watched in watched {
                    if let FdFacts::Socket(socket) = &mut watched.what {
                        each(socket, false);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Calls `each` with every pipe and FIFO that is waited on, whether it is read, and by which descriptor.
fn each_file(process: &mut ProcessFacts, each: &mut dyn FnMut(&mut FileFacts, bool, i32)) {
    let mut pipe = |file: &mut FileFacts, reading, fd| {
        if matches!(file.kind, FileKind::Pipe | FileKind::Fifo) {
            each(file, reading, fd);
        }
    };
    for waiting_on in waits(process) {
        match waiting_on {
            WaitingOn::Input { file, fd } => pipe(file, true, *fd),
            WaitingOn::Output { file, fd } => pipe(file, false, *fd),
            WaitingOn::Poll { watched, .. } => {
                for watched in watched {
                    if let FdFacts::File(file) = &mut watched.what {
                        pipe(file, watched.read, watched.fd);
                    }
                }
            }
            _ => {}
        }
    }
}

impl Holders {
    fn named(&self, links: impl Iterator<Item = String>, which: impl Fn(&Holder) -> bool) -> Vec<ProcessName> {
        let mut named = Vec::new();
        for link in links {
            let holders = self.by_link.get(&link).into_iter().flatten().filter(|holder| which(holder));
            for holder in holders {
                if !named.contains(&holder.process) {
                    named.push(holder.process.clone());
                }
            }
        }
        named
    }
}

/// Looks through the descriptors of all processes.
fn search(wanted: &HashSet<String>, deadline: Instant) -> Holders {
    let mut holders = Holders { by_link: HashMap::new(), complete: all_visible() };
    for pid in files::numbered("/proc").unwrap_or_default() {
        if Instant::now() > deadline {
            holders.complete = false;
            break;
        }
        let _rights = rights::take(pid);
        let fds = match files::numbered(&format!("/proc/{pid}/fd")) {
            Ok(fds) => fds,
            Err(error) => {
                holders.complete &= matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH));
                continue;
            }
        };
        for fd in fds {
            let Ok(link) = std::fs::read_link(format!("/proc/{pid}/fd/{fd}")) else { continue };
            let Some(link) = link.to_str().filter(|link| wanted.contains(*link)) else { continue };
            let (Some((reads, writes)), Some(stat)) = (fds::access(pid, fd), Stat::of(pid)) else { continue };
            let holder = Holder { process: ProcessName { pid, name: stat.name }, reads, writes };
            holders.by_link.entry(link.to_owned()).or_default().push(holder);
        }
    }
    holders
}

/// Whether this process sees all of the machine: it is in the first pid namespace, and `/proc` hides no process.
fn all_visible() -> bool {
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    namespace.to_str() == Some(FIRST_PID_NAMESPACE) && std::path::Path::new("/proc/1").exists()
}
