//! What performs: the loop, the probes, the command line.
#![allow(clippy::disallowed_methods, reason = "this room performs")]

pub mod args;
pub mod commands;
pub mod preflight;
