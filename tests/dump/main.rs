//! Dumps of real programs.
#![allow(clippy::disallowed_methods, reason = "a test looks at the real system")]
#![cfg(target_arch = "x86_64")]
#![allow(clippy::disallowed_methods, reason = "tests start processes, read files and look at the clock")]

mod calls;
mod languages;
mod locks;
mod shapes;
mod tries;
mod victim;
