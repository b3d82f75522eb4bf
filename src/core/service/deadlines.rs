//! All deadlines of a service in one table: what is waited for, and until when.

use crate::core::time::Moment;

/// What a service can be waiting for. The order is the one in which deadlines of the same moment are handled.
///
/// | deadline | set when | what happens then |
/// |---|---|---|
/// | `Require` | a requirement is waited for | it is tried again, or the generation has failed |
/// | `Start` | `Spawn` | dump, report, stop |
/// | `Proof` | a successor that says nothing was executed | it is ready |
/// | `Watchdog` | ready, every WATCHDOG=1 | dump, report, stop |
/// | `Reset` | ready | failures, backoff and breaker start again |
/// | `Hold` | a stop request is kept back | the stop begins |
/// | `Explain` | `Explain` | goes on as if it had been answered |
/// | `Stop` | the stop signal is due | report, kill |
/// | `Rest` | the main process ended by itself | what is left is killed |
/// | `Budget` | the launcher stops | killed at once |
/// | `Backoff` | a generation ended | the next one |
/// | `Cooldown` | the breaker opened | one trial |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deadline {
    Require,
    Start,
    Proof,
    Watchdog,
    Reset,
    Hold,
    Explain,
    Stop,
    Rest,
    Budget,
    Backoff,
    Cooldown,
}

impl Deadline {
    const ALL: [Deadline; 12] = [
        Deadline::Require,
        Deadline::Start,
        Deadline::Proof,
        Deadline::Watchdog,
        Deadline::Reset,
        Deadline::Hold,
        Deadline::Explain,
        Deadline::Stop,
        Deadline::Rest,
        Deadline::Budget,
        Deadline::Backoff,
        Deadline::Cooldown,
    ];
}

/// The table: for each deadline the moment it comes, if it is set.
#[derive(Debug, Clone, Default)]
pub(super) struct Deadlines([Option<Moment>; Deadline::ALL.len()]);

impl Deadlines {
    /// Sets a deadline, wherever it stood before.
    pub(super) fn set(&mut self, deadline: Deadline, at: Moment) {
        self.0[deadline as usize] = Some(at);
    }

    /// When it comes.
    pub(super) fn get(&self, deadline: Deadline) -> Option<Moment> {
        self.0[deadline as usize]
    }

    /// Moves a deadline that is set to a later moment; an earlier one changes nothing.
    pub(super) fn extend(&mut self, deadline: Deadline, to: Moment) {
        let at = &mut self.0[deadline as usize];
        *at = at.map(|at| at.max(to));
    }

    /// Moves a deadline that is set to an earlier moment; a later one changes nothing.
    pub(super) fn cap(&mut self, deadline: Deadline, to: Moment) {
        let at = &mut self.0[deadline as usize];
        *at = at.map(|at| at.min(to));
    }

    /// Takes deadlines away.
    pub(super) fn clear(&mut self, deadlines: &[Deadline]) {
        for deadline in deadlines {
            self.0[*deadline as usize] = None;
        }
    }

    /// Takes all of them away.
    pub(super) fn clear_all(&mut self) {
        *self = Deadlines::default();
    }

    /// When the earliest one comes.
    pub(super) fn next(&self) -> Option<Moment> {
        self.0.iter().flatten().min().copied()
    }

    /// When the last one comes.
    pub(super) fn latest(&self) -> Option<Moment> {
        self.0.iter().flatten().max().copied()
    }

    /// Takes away and returns the earliest deadline that has come.
    pub(super) fn take_due(&mut self, now: Moment) -> Option<Deadline> {
        let at = self.next().filter(|at| *at <= now);
        let due = Deadline::ALL.into_iter().find(|deadline| at.is_some() && self.get(*deadline) == at)?;
        self.clear(&[due]);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn they_come_in_the_order_of_time_then_of_the_table() {
        let mut table = Deadlines::default();
        table.set(Deadline::Budget, at(2));
        table.set(Deadline::Stop, at(2));
        table.set(Deadline::Rest, at(1));
        table.set(Deadline::Backoff, at(9));
        assert_eq!(table.next(), Some(at(1)));
        let due: Vec<_> = std::iter::from_fn(|| table.take_due(at(5))).collect();
        assert_eq!(due, [Deadline::Rest, Deadline::Stop, Deadline::Budget]);
        assert_eq!(table.next(), Some(at(9)));
    }

    #[test]
    fn an_extension_never_shortens_and_a_cap_never_lengthens() {
        let mut table = Deadlines::default();
        table.extend(Deadline::Start, at(5));
        assert_eq!(table.next(), None, "what is not set stays so");
        table.set(Deadline::Start, at(5));
        table.extend(Deadline::Start, at(3));
        assert_eq!(table.get(Deadline::Start), Some(at(5)));
        table.extend(Deadline::Start, at(8));
        table.cap(Deadline::Start, at(9));
        assert_eq!(table.get(Deadline::Start), Some(at(8)));
        table.cap(Deadline::Start, at(7));
        assert_eq!(table.get(Deadline::Start), Some(at(7)));
    }

    #[test]
    fn the_table_is_indexed_as_it_is_listed() {
        for (index, deadline) in Deadline::ALL.into_iter().enumerate() {
            assert_eq!(deadline as usize, index);
        }
    }
}
