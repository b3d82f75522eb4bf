//! The launcher as its users meet it: the real binary, with real processes, from outside.
//!
//! What tini and dumb-init do as well is tested with them too, where they are installed: then a test that is wrong
//! shows itself. One file by theme; `support` starts a subject and watches it; the program that is launched is
//! `tests/child`, which does what its arguments say.
#![allow(clippy::disallowed_methods, reason = "tests start processes and look at the clock")]

mod support;

mod above;
mod adopt;
mod attach;
mod bad_input;
mod commands;
mod control;
mod control_commands;
mod deadline;
mod debugger;
mod environment;
mod exit_codes;
mod files;
mod first_file;
mod hung_files;
mod init;
mod keys;
mod kubernetes;
mod libraries;
mod memory;
mod notify;
mod order;
mod output;
mod overlap;
mod ports;
mod pprof;
mod privileges;
mod ready;
mod reload;
mod requirements;
mod restart;
mod servers;
mod share;
mod signals;
mod start_up;
mod stop;
mod take_over;
mod terminal;
mod verdicts;
mod verify;
mod watch;
