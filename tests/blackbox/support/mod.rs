//! Starts a subject (the launcher, or another program that does the same), and watches it.
//!
//! Nothing in here sleeps to wait for something: lines, datagrams and ends of processes are polled for, with a deadline
//! after which the test fails and shows all that was written.

pub mod http;
mod places;
mod processes;
mod reports;
mod running;
mod streams;
mod subject;
mod usual;

pub use places::{Address, needs, own_port};
pub use processes::status_field;
pub use reports::Report;
pub use running::{Ended, ON_THE_TERMINAL, Running};
pub use subject::{Setup, Subject, child, launcher};

pub use nix::sys::signal::Signal;

use std::time::{Duration, Instant};

/// How long anything may take before a test fails. It is long because machines that test are busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until this is so, of what nothing tells.
#[track_caller]
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "{what}: that has not come about");
        std::thread::yield_now();
    }
}

/// Makes one test for each subject: `for_subjects!(name: launcher, tini; |subject| { … })`.
macro_rules! for_subjects {
    ($(#[$attribute:meta])* $name:ident: $($which:ident),+; |$subject:ident| $body:block) => {
        $(#[$attribute])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn holds($subject: Subject) $body

            $(
                #[test]
                fn $which() {
                    let subject = $crate::support::Subject::$which();
                    if subject.is_there() {
                        holds(subject);
                    }
                }
            )+
        }
    };
}
pub(crate) use for_subjects;
