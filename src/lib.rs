//! launcher starts a program and stays with it: it makes sure the program can start, holds its ports, keeps signals
//! away until it is ready, gives up waiting at a deadline, says why it hung, and starts it again with backoff.
//!
//! Three rooms, with walls between them that the build keeps (`clippy.toml`, `tests/layers.rs`):
//!
//! - [`core`] decides: no I/O, no clock, no randomness.
//! - [`sys`] touches Linux: the only `unsafe`, and it decides nothing.
//! - [`run`] performs: the loop, the probes, the command line.

pub mod core;
pub mod run;
pub mod sys;
