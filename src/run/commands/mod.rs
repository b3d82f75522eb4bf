//! The commands, one file each.

pub mod check;
pub mod dump;
pub mod notify;
pub mod port;
pub mod report;
pub mod run;
