//! Dumps of real programs.
#![allow(clippy::disallowed_methods, reason = "a test looks at the real system")]
#![cfg(target_arch = "x86_64")]

mod broken;
mod calls;
mod container;
mod debug_files;
mod go;
mod jvm;
mod languages;
mod locks;
mod node;
mod php;
mod python;
mod rights;
mod ruby;
mod serving;
mod shapes;
mod tokio_tasks;
mod tries;
mod unread;
mod victim;
