//! What touches Linux: processes, sockets, signals, procfs, memory of others. It decides nothing, and it is the only
//! place with `unsafe`.
#![allow(clippy::disallowed_methods, reason = "this room touches Linux")]

pub mod cgroup;
pub mod clock;
pub mod dump;
pub mod entry;
pub mod executable;
pub mod fd;
pub mod keeper;
pub mod memory;
pub mod notify_socket;
pub mod port;
pub mod procfs;
pub mod signals;
pub mod sock_diag;
pub mod terminal;
pub mod users;
