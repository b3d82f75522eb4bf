//! Calls of a service that the launcher answers in the kernel's place: `bind(2)` and `listen(2)`, for the port modes
//! `adopt` and `capture` (DESIGN §11, `seccomp_unotify(2)`).
//!
//! A [`Filter`] is installed between fork and exec and hands the calls of the whole generation to the launcher, which
//! takes them by a [`Listener`], looks at the process ([`look`]), and answers. Every process that has the filter waits
//! for the launcher in these calls; none of them outlives it, as each generation dies with its keeper.

mod listener;
pub mod look;
mod probe;
mod program;

pub use listener::{Call, Listener, Trapped};
pub use probe::{Ability, Denied, Installation, ability, can_duplicate_from};
pub use program::Filter;
