//! The keeper, against real processes: what a service gets, how its end is told, and that nothing of it is ever left.
#![allow(clippy::disallowed_methods, reason = "tests start processes, read files and look at the clock")]

mod callers;
mod calls;
mod ends;
mod gets;
mod hostile;
mod roles;
mod support;
