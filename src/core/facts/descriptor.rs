//! What descriptors are: sockets with their peers, and files.

use serde::{Deserialize, Serialize};

use super::process::ProcessName;

/// What a descriptor is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FdFacts {
    /// A socket.
    Socket(SocketFacts),
    /// A file, pipe, terminal, or one of the anonymous kinds.
    File(FileFacts),
}

/// A socket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SocketFacts {
    /// `tcp`, `tcp6`, `udp`, `udp6`, `unix`, `netlink`, …
    pub protocol: String,
    /// Its inode.
    pub inode: u64,
    /// Its state: `syn-sent`, `established`, `listen`, `close-wait`, `unconnected`, …
    pub state: String,
    /// Its local address.
    pub local: Option<String>,
    /// Its peer's address: `10.0.0.5:6379`, or a Unix path.
    pub peer: Option<String>,
    /// The processes at the other end, when they are on this host and may be looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peer_processes: Vec<ProcessName>,
    /// Whether the peer has not accepted the connection yet: those at the other end only hold its listener.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unaccepted: bool,
    /// For a peer on this host: whether anything listens there, and how full its backlog is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_listener: Option<Box<ListenerFacts>>,
    /// How long ago data last arrived, in milliseconds (`tcp_info`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_received_ms: Option<u64>,
    /// How long ago data was last sent, in milliseconds (`tcp_info`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sent_ms: Option<u64>,
    /// How many bytes have come from the peer since the connection stands (`tcp_info`).
    #[serde(skip)]
    pub received: Option<u64>,
    /// In how many segments they came (`tcp_info`).
    #[serde(skip)]
    pub arrivals: Option<u32>,
    /// Whether the peer has acknowledged any byte that was sent (`tcp_info`).
    #[serde(skip)]
    pub acknowledged: Option<bool>,
    /// How often the SYN or the data was sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retransmits: Option<u32>,
    /// The name that is asked for, where it is a name server's and the query could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asks: Option<String>,
    /// Bytes received that nobody read; for a listener: connections not yet accepted.
    pub receive_queue: u32,
    /// Bytes not yet acknowledged; for a listener: its backlog limit.
    pub send_queue: u32,
}

/// The listener at the other end of a connection on this host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListenerFacts {
    /// Whether anything listens there.
    pub listens: bool,
    /// Connections in its backlog.
    pub queued: u32,
    /// How many fit.
    pub backlog: u32,
    /// Who listens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<ProcessName>,
}

/// A file that is no socket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FileFacts {
    /// What kind.
    pub kind: FileKind,
    /// Its path, or what `/proc/PID/fd/N` says; of a signalfd with its signals.
    pub path: String,
    /// Processes that hold the other end of a pipe or FIFO; a terminal's are not told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<ProcessName>,
    /// Of a pipe that only the launcher reads, to pass on what comes: who reads that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed_on_to: Option<Vec<ProcessName>>,
    /// Whether all processes could be looked at, so that an empty `peers` means that there is none.
    pub peers_complete: bool,
}

/// What kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A regular file.
    #[default]
    Regular,
    /// A terminal.
    Terminal,
    /// An anonymous pipe.
    Pipe,
    /// A named pipe.
    Fifo,
    /// A character or block device.
    Device,
    /// A directory.
    Directory,
    /// eventfd, timerfd, signalfd, inotify, epoll, pidfd and the like; the path says which.
    Anonymous,
}
