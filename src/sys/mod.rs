//! What touches Linux: processes, sockets, signals, procfs, memory of others. It decides nothing, and it is the only
//! place with `unsafe`.
#![allow(clippy::disallowed_methods, reason = "this room touches Linux")]

pub mod allowed;
pub mod cgroup;
pub mod clock;
pub mod control_socket;
pub mod cpu_quota;
pub mod dump;
pub mod entry;
pub mod environment;
pub mod executable;
pub mod fd;
pub mod files;
pub mod inherited;
pub mod keeper;
pub mod memory;
pub mod notify_socket;
pub mod open_files;
pub mod pidfd;
pub mod port;
pub mod procfs;
pub mod progress;
pub mod pty;
pub mod readable;
pub mod seccomp;
pub mod signals;
pub mod sock_diag;
pub mod terminal;
#[cfg(test)]
pub mod testing;
pub mod users;
