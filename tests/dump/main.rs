//! Dumps of real programs.
#![allow(clippy::disallowed_methods, reason = "a test looks at the real system")]
#![cfg(target_arch = "x86_64")]

mod calls;
mod languages;
mod locks;
mod shapes;
mod tries;
mod victim;
