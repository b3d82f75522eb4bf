//! The rules, a file for each family. Each looks at one thread, or at the service as a whole, and proposes at most one
//! explanation; none knows of the others.

pub mod connection;
pub mod cpu;
pub mod endings;
pub mod kernel;
pub mod listening;
pub mod locks;
pub mod output;
pub mod polling;
pub mod retry;
pub mod waits;

use super::candidate::Candidate;
use super::view::{Place, View};

/// A rule on one thread.
type ThreadRule = for<'a> fn(&View<'a>, &Place<'a>) -> Option<Candidate>;

/// Rules on one thread, the first that fits wins. Those of other runtimes' stacks join here.
const THREAD_RULES: [ThreadRule; 13] = [
    kernel::stopped,
    retry::seen_to_try,
    cpu::busy,
    connection::dns,
    connection::connect,
    connection::reply,
    locks::lock,
    waits::file_lock,
    waits::input,
    kernel::entropy,
    kernel::disk,
    polling::poll,
    locks::condition,
];

/// What holds this thread, if a rule can tell.
pub fn explain<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    THREAD_RULES.iter().find_map(|rule| rule(view, place))
}
