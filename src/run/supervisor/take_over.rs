//! Ends the processes that hold a port, where `take_over` of that port says so: they are named, asked to end, and killed
//! when they do not within `stop_timeout`. They are held by pidfd, and looked at again while they are: nobody else is met.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tracing::{info, warn};

use crate::core::facts::{PortFailure, PortProblem, Refusal};
use crate::core::fleet::ServiceId;
use crate::core::service::Generation;
use crate::core::settings::TakeOver;
use crate::core::signal::Signal;
use crate::core::take_over::{not_ended, offer_any, victims};
use crate::core::units::exact_duration;
use crate::run::in_words;
use crate::sys::pidfd::{Process, wait_all};
use crate::sys::port;

use super::Supervisor;
use super::check::Check;
use super::inbox::Happening;

/// How long a process that was killed may take to be gone.
const LAST: Duration = Duration::from_secs(5);

impl Supervisor {
    /// Whether those who hold the port are being ended: then the check goes on once they are. Where they are not, the
    /// failure says why.
    pub(super) fn takes_over(
        &mut self,
        id: ServiceId,
        generation: Generation,
        rounds: usize,
        failure: &mut PortFailure,
    ) -> bool {
        let slot = &mut self.slots[id.0];
        let allowed = slot.ports.take_over(&failure.name);
        if failure.problem != PortProblem::Taken || allowed == TakeOver::Never {
            return false;
        }
        let found = match rounds > slot.ports.count() {
            true => Err("it was taken again after that".to_owned()),
            false => victims(failure.owner.as_ref(), allowed),
        };
        let started = found.and_then(|pids| {
            let processes: Vec<Process> = pids.iter().filter_map(|pid| Process::open(*pid).ok()).collect();
            let again = port::owner(&failure.listen, Some(&slot.ports.service));
            let mut same = processes;
            let now = victims(again.as_ref(), allowed).unwrap_or_default();
            same.retain(|process| now.contains(&process.pid()));
            let token = Arc::new(());
            let end = End {
                service: slot.settings.name.clone(),
                processes: same,
                patience: slot.settings.stop_timeout,
                wanted: Arc::downgrade(&token),
            };
            let files = slot.course(generation).map(|course| course.files.clone()).unwrap_or_default();
            let (outbox, mut refused) = (self.outbox.clone(), failure.clone());
            let run = move || {
                let answer = end.run().map(|()| files).map_err(|reason| {
                    not_ended(&mut refused, &reason);
                    Box::new(Refusal::Port(refused))
                });
                let _ = outbox.send(Happening::Looked(id, generation, Box::new(answer)));
            };
            let thread = std::thread::Builder::new().name("take-over".into()).spawn(run);
            thread.map(|_| token).map_err(|problem| format!("there is no thread for it: {problem}"))
        });
        match started {
            Ok(token) => {
                let service = slot.settings.name.as_str();
                info!(service, event = "take-over", "{}; it is ended, as take_over says", failure.summary);
                if let Some(course) = slot.course_mut(generation) {
                    course.check = Some(Check::taking_over(rounds + 1, token));
                }
                true
            }
            Err(reason) => {
                not_ended(failure, &reason);
                if let Some(asker) = slot.ports.asker(&failure.name, &slot.settings.name) {
                    offer_any(failure, asker, allowed);
                }
                false
            }
        }
    }
}

/// Processes to be ended.
struct End {
    service: String,
    processes: Vec<Process>,
    patience: Duration,
    /// Gone when nobody wants the port any more.
    wanted: Weak<()>,
}

impl End {
    fn run(self) -> Result<(), String> {
        let End { service, processes, patience, wanted } = self;
        let send = |signal| {
            processes.iter().try_for_each(|process| {
                process.signal(signal).map_err(|error| {
                    let why = in_words(&error);
                    format!("pid {} may not be sent a signal: {why}", process.pid())
                })
            })
        };
        send(Signal::TERM)?;
        let mut left = wait_all(&processes, patience);
        if !left.is_empty() && wanted.strong_count() > 0 {
            let time = exact_duration(patience);
            warn!(service, event = "take-over", "pid {} has not ended within {time}, and is killed", joined(&left));
            send(Signal::KILL)?;
            left = wait_all(&processes, LAST);
        }
        match left.is_empty() {
            true => Ok(()),
            false => Err(format!("pid {} does not end", joined(&left))),
        }
    }
}

fn joined(pids: &[i32]) -> String {
    pids.iter().map(i32::to_string).collect::<Vec<_>>().join(", ")
}
