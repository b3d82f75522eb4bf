//! Dumps of real programs.
#![cfg(target_arch = "x86_64")]

mod calls;
mod languages;
mod locks;
mod shapes;
mod victim;
