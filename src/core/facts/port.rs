//! Ports of a service, and who holds them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::written::{listen_text, mode_text, seconds};
use crate::core::settings::{Listen, PortMode};

/// One declared port.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PortFacts {
    /// Its name.
    pub name: String,
    /// Where it is declared to listen.
    #[serde(with = "listen_text")]
    pub listen: Listen,
    /// What the launcher does with it.
    #[serde(with = "mode_text")]
    pub mode: PortMode,
    /// Whether a process of the service (or, with `pass`, the launcher) listens on it.
    pub listening: bool,
    /// Who else holds it.
    pub owner: Option<OwnerFacts>,
}

/// Who holds a port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnerFacts {
    /// All processes that hold the socket; empty when they may not be looked into, or there is none.
    pub holders: Vec<HolderFacts>,
    /// The socket's owner.
    pub uid: Option<u32>,
    /// That user's name.
    pub user: Option<String>,
    /// The socket's cgroup, or a systemd unit or container id in it.
    pub cgroup: Option<String>,
    /// What kind of hold it is.
    pub state: HoldState,
    /// The address it is held on, when that is not the one asked for (a wildcard, dual stack).
    pub address: Option<String>,
}

impl OwnerFacts {
    /// The holder that matters: a service before the launcher that has the socket for it.
    pub fn holder(&self) -> Option<&HolderFacts> {
        let first = self.holders.first()?;
        let is_kept = |holder: &&HolderFacts| {
            holder.launcher == Some(first.pid) || (first.kin, holder.kin) == (Kin::Above, Kin::Child)
        };
        Some(self.holders.iter().find(is_kept).unwrap_or(first))
    }
}

/// One process that holds a socket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HolderFacts {
    /// Its pid.
    pub pid: i32,
    /// Its command line.
    pub command: Vec<String>,
    /// What started it, the nearest first: at most three, and not the first process of all.
    pub parents: Vec<ParentFacts>,
    /// Since when it runs.
    #[serde(rename = "running_s", with = "seconds")]
    pub running: Option<Duration>,
    /// The service that it was started for, by a launcher that lives or is gone.
    pub service: Option<String>,
    /// The generation of that.
    pub generation: Option<u64>,
    /// Whether it is a leftover of this very service: started by a launcher that is gone.
    pub leftover: bool,
    /// The living launcher that looks after it, if one does: without that one it would come back.
    pub launcher: Option<i32>,
    /// What it is to the launcher that asks.
    pub kin: Kin,
}

/// A process above another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct ParentFacts {
    pub pid: i32,
    pub name: String,
}

/// What a process is to the launcher that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kin {
    /// Of another user.
    #[default]
    Stranger,
    /// Of the same user.
    SameUser,
    /// It looks after this one.
    Child,
    /// This one itself, or a process above it.
    Above,
}

/// What kind of hold there is on an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldState {
    /// A listening socket (for UDP: a bound one).
    #[default]
    Listening,
    /// Bound, not listening.
    Bound,
    /// A connection's local end.
    Connected,
    /// TIME_WAIT: nobody's, gone within a minute.
    TimeWait,
    /// A Unix socket's file without anyone behind it.
    Stale,
    /// A file that is no socket is in the place of a Unix socket.
    NotASocket,
}

/// A socket that a process of the service listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListeningFacts {
    /// Its address.
    pub listen: Listen,
    /// By which process.
    pub pid: i32,
}
