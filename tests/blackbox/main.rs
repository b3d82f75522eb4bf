//! The launcher as its users meet it: the real binary, with real processes, from outside.
//!
//! What tini and dumb-init do as well is tested with them too, where they are installed: then a test that is wrong
//! shows itself. One file by theme; `support` starts a subject and watches it; the program that is launched is
//! `tests/child`, which does what its arguments say.
#![allow(clippy::disallowed_methods, reason = "tests start processes and look at the clock")]

mod support;

mod bad_input;
mod commands;
mod deadline;
mod environment;
mod exit_codes;
mod init;
mod ports;
mod ready;
mod restart;
mod servers;
mod signals;
mod stop;
mod verdicts;
