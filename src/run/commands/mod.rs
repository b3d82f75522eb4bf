//! The commands beside `run`, one file each.

pub mod notify;
pub mod check;
pub mod port;
