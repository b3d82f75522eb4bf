//! What performs: the loop, the probes, the command line.

pub mod commands;
pub mod preflight;
pub mod args;
