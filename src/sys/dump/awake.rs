//! Whether processes that were awake at the first look only are so for a moment. One that sleeps between its tries shows
//! nothing of them while it is awake, and looks like one that works: it is looked at again when it sleeps.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::files;
use super::process::Draft;
use super::samples;
use super::tree;
use crate::core::facts::ThreadFacts;
use crate::sys::procfs::Stat;

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(2);
/// For how long they are to sleep: who rests for less is at work.
const ASLEEP: Duration = Duration::from_millis(20);
/// Within what time they have to begin to.
const AWAKE: Duration = Duration::from_millis(150);
/// Threads of all of them together, at most: of more there is always one awake.
const THREADS: usize = 64;

/// Each thread, and how often it was switched: who has the same number later has slept in between.
type Sleepers = Vec<(i32, i32, u64)>;

/// Whether any of these has ended since it was looked at: a program that was the pause of a loop, say.
pub fn any_ended(drafts: &[Draft]) -> bool {
    let ended = |pid: i32| Stat::of(pid).is_none_or(|stat| matches!(stat.state, 'Z' | 'X'));
    drafts.iter().any(|draft| !draft.facts.zombie && ended(draft.facts.pid))
}

/// Whether any of these was awake when it was looked at.
pub fn any(drafts: &[Draft]) -> bool {
    let threads = |draft: &Draft| {
        let held = draft.threads.iter().any(|thread| !thread.stack.bytes.is_empty());
        held || draft.facts.threads.iter().any(|thread: &ThreadFacts| thread.state == 'R')
    };
    drafts.iter().any(threads)
}

/// Waits until all threads of these processes and of what they have started sleep. Gives the processes, each parent before
/// its children; `None` when one of them stays awake, or cannot be looked at.
pub fn until_asleep(pids: &[i32]) -> Option<Vec<i32>> {
    let begun = Instant::now();
    let mut asleep: Option<(Sleepers, Instant)> = None;
    loop {
        let all = family(pids);
        let (now, seen) = (Instant::now(), sleepers(&all));
        asleep = match (seen, asleep) {
            (Some(seen), Some((before, since))) if seen == before => {
                if now - since >= ASLEEP {
                    return Some(all);
                }
                Some((before, since))
            }
            (Some(seen), _) => Some((seen, now)),
            (None, _) => None,
        };
        let limit = if asleep.is_some() { AWAKE + ASLEEP } else { AWAKE };
        if now - begun > limit {
            return None;
        }
        std::thread::sleep(LOOK);
    }
}

/// These processes and all that they have started, each once.
fn family(pids: &[i32]) -> Vec<i32> {
    let mut known = HashSet::new();
    pids.iter().flat_map(|pid| tree(*pid)).filter(|pid| known.insert(*pid)).collect()
}

/// All threads, when all of them sleep.
fn sleepers(pids: &[i32]) -> Option<Sleepers> {
    let mut all = Sleepers::new();
    for pid in pids {
        // One that has ended meanwhile has none.
        for tid in files::numbered(&format!("/proc/{pid}/task")).unwrap_or_default() {
            match Stat::of_thread(*pid, tid)?.state {
                'Z' | 'X' => {}
                'S' => all.push((*pid, tid, samples::switches(*pid, tid)?)),
                _ => return None,
            }
            if all.len() > THREADS {
                return None;
            }
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn shell(script: &str) -> Ended {
        let command = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn();
        Ended(command.unwrap())
    }

    #[test]
    fn one_that_sleeps_is_given_with_what_it_has_started() {
        let shell = shell("cat; true");
        let pid = shell.0.id() as i32;
        // It may take its time to come to where it sleeps.
        let all = loop {
            match until_asleep(&[pid]) {
                Some(all) if all.len() == 2 => break all,
                _ => {}
            }
        };
        assert_eq!(all[0], pid);
        // As above: this thread may not have had its turn in time.
        let both = std::iter::repeat_with(|| until_asleep(&[pid, all[1]])).flatten().next();
        assert_eq!(both, Some(all), "each once");
    }

    #[test]
    fn one_that_never_sleeps_is_not_waited_for() {
        let shell = shell("while :; do :; done");
        assert_eq!(until_asleep(&[shell.0.id() as i32]), None);
    }

    #[test]
    fn who_has_ended_is_told_until_it_is_known() {
        let mut draft = Draft::default();
        draft.facts.pid = std::process::id() as i32;
        assert!(!any_ended(std::slice::from_ref(&draft)));
        draft.facts.pid = -1;
        assert!(any_ended(std::slice::from_ref(&draft)));
        draft.facts.zombie = true;
        assert!(!any_ended(&[draft]));
    }

    #[test]
    fn who_ran_was_awake() {
        let draft = |state| {
            let mut draft = Draft::default();
            draft.facts.threads = vec![ThreadFacts { state, ..ThreadFacts::default() }];
            draft
        };
        assert!(any(&[draft('S'), draft('R')]));
        assert!(!any(&[draft('S'), draft('D')]));
        let mut held = draft('S');
        held.threads = vec![super::super::ThreadDraft::default()];
        assert!(!any(std::slice::from_ref(&held)));
        held.threads[0].stack.bytes = vec![0];
        assert!(any(&[held]), "it was held");
    }
}
