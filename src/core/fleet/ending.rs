//! The one exit code of all services.

use crate::core::facts::Occasion;
use crate::core::service::{Outcome, OutcomeCause};
use crate::core::signal::Signal;

use super::Fleet;

impl Fleet {
    /// With which code the launcher ends, as soon as it can: when all services are at rest, or the stop budget is used
    /// up. The first service that failed decides; when none did, the first that ended with another code than 0. It stays
    /// for a service that a person has stopped by itself. A code that is mapped to 0 decides nothing.
    pub fn exit_code(&self) -> Option<i32> {
        let over = self.started && (self.expired || (self.is_at_rest() && !self.stays() && !self.may_revive()));
        let failed = |(outcome, _): &(&Outcome, i32)| matches!(outcome.cause, OutcomeCause::Failed(_));
        let mapped = self.ended.iter().map(|(_, outcome)| (outcome, self.mapped(outcome)));
        let mut outcomes = mapped.filter(|(outcome, code)| *code != 0 || outcome.code == 0);
        let decisive = outcomes.clone().find(failed).or_else(|| outcomes.find(|(_, code)| *code != 0));
        let killed = 128 + Signal::KILL.number();
        let otherwise = if self.is_at_rest() { 0 } else { killed };
        over.then(|| decisive.map_or(otherwise, |(_, code)| code))
    }

    /// What stands for this outcome. Codes of the launcher's own, as of a program that is missing or was not ready in time,
    /// say what they say.
    fn mapped(&self, outcome: &Outcome) -> i32 {
        let by_program = match outcome.cause {
            OutcomeCause::Completed | OutcomeCause::Requested => true,
            OutcomeCause::Failed(occasion) => {
                matches!(occasion, Occasion::Exited | Occasion::Crashed | Occasion::OutOfMemory)
            }
        };
        let code = u8::try_from(outcome.code).ok().filter(|_| by_program);
        code.and_then(|code| self.exit_codes.get(&code)).map_or(outcome.code, |code| i32::from(*code))
    }
}

#[cfg(test)]
mod tests {
    use super::super::FleetEvent;
    use super::super::tests::*;
    use crate::core::exit::Ending;
    use crate::core::service::StopCause;
    use crate::core::settings::Ready;
    use crate::core::signal::Signal;

    fn bench(names: &[(&str, &[&str])], map: &[(u8, u8)]) -> Bench {
        let mut settings = settings(names);
        settings.launcher.map_exit = map.iter().copied().collect();
        let mut bench = Bench::new(&settings);
        bench.send(FleetEvent::StartAll);
        bench.spawn_all(names.len());
        bench
    }

    #[test]
    fn every_code_of_a_program_is_mapped_to_every_other() {
        for from in 0..=255 {
            for to in [0, 1, 143, 255] {
                let mut bench = bench(&[("api", &[])], &[(from, to)]);
                bench.end(0, Ending::Code(i32::from(from)));
                assert_eq!(bench.fleet.exit_code(), Some(i32::from(to)), "{from} = {to}");
            }
            let mut bench = bench(&[("api", &[])], &[(from ^ 1, 7)]);
            bench.end(0, Ending::Code(i32::from(from)));
            assert_eq!(bench.fleet.exit_code(), Some(i32::from(from)), "no other");
        }
    }

    #[test]
    fn a_signal_is_mapped_by_the_code_that_stands_for_it() {
        let mut bench = bench(&[("api", &[])], &[(137, 3)]);
        bench.end(0, Ending::Signal(Signal::KILL));
        assert_eq!(bench.fleet.exit_code(), Some(3));
    }

    #[test]
    fn the_code_of_a_program_that_was_asked_to_stop_is_mapped() {
        let mut bench = bench(&[("jvm", &[])], &[(143, 0)]);
        bench.send(FleetEvent::StopRequested(StopCause::Signal(Signal::TERM)));
        bench.end(0, Ending::Code(143));
        assert_eq!(bench.fleet.exit_code(), Some(0));
    }

    #[test]
    fn a_failure_that_is_mapped_to_none_leaves_the_word_to_the_next() {
        let mut bench = bench(&[("a", &[]), ("b", &[])], &[(143, 0)]);
        bench.end(0, Ending::Code(143));
        bench.end(1, Ending::Code(5));
        assert_eq!(bench.fleet.exit_code(), Some(5));
    }

    #[test]
    fn a_code_of_the_launchers_own_is_never_mapped() {
        let mut settings = settings(&[("api", &[])]);
        settings.launcher.map_exit = [(124, 0)].into();
        settings.services[0].ready = Ready::Notify;
        let mut bench = Bench::new(&settings);
        bench.send(FleetEvent::StartAll);
        bench.spawn(0);
        bench.pass_until(30_000);
        bench.end(0, Ending::Signal(Signal::TERM));
        assert_eq!(bench.fleet.exit_code(), Some(124));
    }
}
