//! What was met in all runs.

use launcher::core::service::{EventKind, State};

/// How often each event that can be of use was met in each state.
#[derive(Clone)]
pub struct Coverage(pub [[u64; EventKind::ALL.len()]; State::ALL.len()]);

impl Default for Coverage {
    fn default() -> Coverage {
        Coverage([[0; EventKind::ALL.len()]; State::ALL.len()])
    }
}

impl Coverage {
    pub fn add(&mut self, other: &Coverage) {
        for (row, more) in self.0.iter_mut().zip(&other.0) {
            row.iter_mut().zip(more).for_each(|(count, more)| *count += more);
        }
    }
}
