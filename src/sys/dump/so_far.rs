//! What a dump has read so far, for when the rest does not come in time.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::process;
use crate::core::facts::{ProcessFacts, TaskFacts};

/// How long after its deadline a dump may still hand over what it has.
const GRACE: Duration = Duration::from_millis(200);

/// What was read so far; the same for all clones.
#[derive(Clone, Default)]
pub struct SoFar(Arc<Mutex<Vec<ProcessFacts>>>);

impl SoFar {
    /// Notes what is known of a process by now. One that is looked at again is as it was until more is known.
    pub fn note(&self, facts: ProcessFacts) {
        let Ok(mut noted) = self.0.lock() else { return };
        match noted.iter_mut().find(|known| known.pid == facts.pid) {
            Some(known) if facts.threads.is_empty() && !known.threads.is_empty() => {}
            Some(known) => *known = facts,
            None => noted.push(facts),
        }
    }

    /// Takes the tasks of a process out of it.
    pub fn take_tasks(&self, pid: i32) -> Vec<TaskFacts> {
        let mut noted = self.0.lock().ok();
        let known = noted.as_mut().and_then(|noted| noted.iter_mut().find(|known| known.pid == pid));
        known.map(|known| std::mem::take(&mut known.tasks)).unwrap_or_default()
    }

    fn take(&self) -> Vec<ProcessFacts> {
        self.0.lock().map(|mut noted| std::mem::take(&mut *noted)).unwrap_or_default()
    }
}

/// Has `work` done on a thread of its own, and gives what it has noted if it does not end in time; then each of `pids` is
/// in it, with the reason.
pub fn in_time(
    pids: &[i32],
    limit: Duration,
    work: impl FnOnce(&SoFar, Instant) -> Vec<ProcessFacts> + Send + 'static,
) -> Vec<ProcessFacts> {
    let deadline = Instant::now() + limit;
    let so_far = SoFar::default();
    let noted = so_far.clone();
    let (send, receive) = mpsc::channel();
    let spawned = std::thread::Builder::new().name("dump".into()).spawn(move || {
        let _ = send.send(work(&noted, deadline));
    });
    let reason = match spawned {
        Ok(_) => match receive.recv_timeout(deadline.saturating_duration_since(Instant::now()) + GRACE) {
            Ok(processes) => return processes,
            Err(RecvTimeoutError::Timeout) => format!("the dump did not end within {limit:?}"),
            Err(RecvTimeoutError::Disconnected) => "the dump failed: a fault in the launcher, please report it".into(),
        },
        Err(error) => format!("no thread could be started for the dump: {error}"),
    };
    let mut partial = so_far.take();
    for pid in pids {
        match partial.iter_mut().find(|process| process.pid == *pid) {
            Some(process) => process::add_error(process, reason.clone()),
            None => {
                partial.push(ProcessFacts { pid: *pid, dump_error: Some(reason.clone()), ..ProcessFacts::default() });
            }
        }
    }
    partial
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::facts::ThreadFacts;

    #[test]
    fn what_was_noted_of_the_first_process_is_given_when_it_never_comes_to_an_end() {
        let (_open, closed) = mpsc::channel::<()>();
        let known = |threads: usize| ProcessFacts {
            pid: 7,
            threads: vec![ThreadFacts::default(); threads],
            ..ProcessFacts::default()
        };
        let given = in_time(&[7, 8], Duration::ZERO, move |so_far, _| {
            so_far.note(known(0));
            so_far.note(known(2));
            let _ = closed.recv(); // hangs
            vec![]
        });
        let said: Vec<_> = given.iter().map(|of| (of.pid, of.threads.len(), of.dump_error.as_deref())).collect();
        let reason = Some("the dump did not end within 0ns");
        assert_eq!(said, [(7, 2, reason), (8, 0, reason)]);
    }

    #[test]
    fn what_comes_in_time_is_given_as_it_is() {
        let given = in_time(&[7], Duration::from_secs(60), |_, _| vec![]);
        assert!(given.is_empty());
    }
}
