//! The commands, one file each.

pub mod act;
pub mod attach;
pub mod check;
pub mod dump;
pub mod init;
pub mod logs;
pub mod notify;
pub mod port;
pub mod report;
pub mod run;
pub mod status;
pub mod verify;
pub mod wait;
