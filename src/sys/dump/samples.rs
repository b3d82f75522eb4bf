//! Counters of processes and threads: what grows between two looks tells work from waiting.

use std::time::{Duration, Instant};

use super::files;
use super::process::Draft;
use super::rights;
use super::waited::Scheduled;
use crate::core::facts::{Samples, ThreadFacts};
use crate::sys::cpu_quota;
use crate::sys::procfs::Stat;

/// Threads of a Java virtual machine that Java lists and that work for a dump.
const MACHINE: [&str; 2] = ["Attach Listener", "Signal Dispatch"];

/// Bytes read and written so far.
pub fn transferred(pid: i32) -> Option<u64> {
    let text = files::record(&format!("/proc/{pid}/io")).ok()?;
    Some(files::number(&text, "rchar")?.saturating_add(files::number(&text, "wchar")?))
}

/// CPU time of a thread, and the time it waited for a CPU, in milliseconds: to the nanosecond where the scheduler tells,
/// else by its `stat`.
pub fn cpu_ms(pid: i32, tid: i32, stat: Option<&Stat>) -> Option<(u64, u64)> {
    let text = files::record(&format!("/proc/{pid}/task/{tid}/schedstat")).unwrap_or_default();
    let mut words = text.split_whitespace().map_while(|word| word.parse::<u64>().ok());
    let Some(used) = words.next() else {
        return stat.cloned().or_else(|| Stat::of_thread(pid, tid)).map(|stat| (stat.cpu_ms(), 0));
    };
    Some((used / 1_000_000, words.next().unwrap_or(0) / 1_000_000))
}

/// How often a thread was switched, by its own will or not.
pub fn switches(pid: i32, tid: i32) -> Option<u64> {
    let text = files::record(&format!("/proc/{pid}/task/{tid}/status")).ok()?;
    let voluntary = files::number(&text, "voluntary_ctxt_switches")?;
    Some(voluntary + files::number(&text, "nonvoluntary_ctxt_switches")?)
}

/// Takes the first sample of all counters again: what the process did for the dump is not its own progress.
pub fn count_from_now(draft: &mut Draft) {
    let facts = &mut draft.facts;
    let pid = facts.pid;
    draft.sampled = Some(Instant::now());
    facts.io.first = transferred(pid).unwrap_or(facts.io.first);
    facts.cpu.first = Stat::of(pid).map_or(facts.cpu.first, |stat| stat.cpu_ms());
    for thread in &mut facts.threads {
        let Some((used, queued)) = cpu_ms(pid, thread.tid, None) else { continue };
        (thread.cpu.first, thread.queued.first) = (used, queued);
        thread.switches.first = switches(pid, thread.tid).unwrap_or(thread.switches.first);
    }
}

/// Whether nothing in a process has moved for so long that a second look at its counters would tell nothing new. Threads
/// of the virtual machine itself, which tick, do not count.
pub fn stands_still(draft: &Draft) -> bool {
    const LONG: Duration = Duration::from_secs(1);
    let facts = &draft.facts;
    let machine = |thread: &ThreadFacts| {
        facts.runtime == "jvm"
            && (MACHINE.contains(&thread.name.as_str()) || !draft.told.iter().any(|told| told.tid == thread.tid))
    };
    let still = |thread: &ThreadFacts| thread.state == 'S' && thread.waited.is_some_and(|waited| waited >= LONG);
    facts.zombie
        || facts.threads.iter().all(|thread| matches!(thread.state, 'Z' | 'X') || still(thread) || machine(thread))
}

/// Whether a thread wants a CPU and has had next to none between the samples, nor is told to have waited for one: the
/// kernel counts that wait when it ends.
pub fn is_starved(draft: &Draft) -> bool {
    let starved = |thread: &ThreadFacts| {
        let counted = thread.cpu.growth().zip(thread.queued.growth()).map(|(used, queued)| u128::from(used + queued));
        thread.state == 'R' && counted.is_some_and(|counted| counted * 2 < thread.cpu.apart.as_millis())
    };
    !draft.facts.zombie && draft.facts.threads.iter().any(starved)
}

/// Takes the second sample of all counters.
pub fn sample_again(draft: &mut Draft) {
    let facts = &mut draft.facts;
    let pid = facts.pid;
    let _rights = rights::take(pid);
    let Some(apart) = draft.sampled.map(|first| first.elapsed()) else { return };
    let second = |samples: &mut Samples, value: Option<u64>, apart: Duration| {
        samples.second = value;
        samples.apart = apart;
    };
    second(&mut facts.io, transferred(pid), apart);
    second(&mut facts.cpu, Stat::of(pid).map(|stat| stat.cpu_ms()), apart);
    if let Some(quota) = &mut facts.quota {
        second(&mut quota.throttled, cpu_quota::of_process(pid).map(|quota| quota.throttled_ms), apart);
    }
    for thread in &mut facts.threads {
        let times = cpu_ms(pid, thread.tid, None);
        second(&mut thread.cpu, times.map(|(used, _)| used), apart);
        second(&mut thread.queued, times.map(|(_, queued)| queued), apart);
        let told = Scheduled::of(pid, thread.tid).and_then(|scheduled| scheduled.switches);
        second(&mut thread.switches, told.or_else(|| switches(pid, thread.tid)), apart);
    }
}

#[cfg(test)]
mod tests {
    use super::super::runtimes::ThreadTold;
    use super::*;

    fn thread(tid: i32, name: &str, state: char, waited_ms: u64) -> ThreadFacts {
        let waited = Some(Duration::from_millis(waited_ms));
        ThreadFacts { tid, name: name.to_owned(), state, waited, ..ThreadFacts::default() }
    }

    fn draft(runtime: &str, threads: Vec<ThreadFacts>) -> Draft {
        let mut draft = Draft::default();
        draft.facts.runtime = runtime.to_owned();
        draft.told = threads
            .iter()
            .filter(|thread| thread.tid < 50)
            .map(|thread| ThreadTold { tid: thread.tid, ..ThreadTold::default() })
            .collect();
        draft.facts.threads = threads;
        draft
    }

    #[test]
    fn who_wants_to_run_and_did_not_is_starved() {
        let ran = |state: char, used: u64, queued: u64| {
            let grew = |by| Samples { first: 10, second: Some(10 + by), apart: Duration::from_millis(100) };
            let thread = ThreadFacts { cpu: grew(used), queued: grew(queued), ..thread(1, "api", state, 0) };
            is_starved(&draft("native", vec![thread]))
        };
        assert!(ran('R', 0, 0));
        assert!(ran('R', 12, 8));
        assert!(!ran('R', 30, 60), "it was told to have waited");
        assert!(!ran('S', 0, 0), "it sleeps");
        assert!(!is_starved(&draft("native", vec![thread(1, "api", 'R', 0)])), "nothing was counted");
    }

    #[test]
    fn what_has_slept_for_long_stands_still() {
        assert!(stands_still(&draft("native", vec![thread(1, "api", 'S', 2000), thread(2, "api", 'S', 1000)])));
        assert!(!stands_still(&draft("native", vec![thread(1, "api", 'S', 2000), thread(2, "api", 'S', 300)])));
        assert!(!stands_still(&draft("native", vec![thread(1, "api", 'R', 2000)])), "it runs");
        assert!(!stands_still(&draft("native", vec![thread(1, "api", 'D', 2000)])), "a disk may be slow");
        let unknown = ThreadFacts { waited: None, ..thread(1, "api", 'S', 0) };
        assert!(!stands_still(&draft("native", vec![unknown])), "the kernel does not say for how long");
        // The machine's own threads tick.
        let java = vec![
            thread(1, "main", 'S', 5000),
            thread(99, "VM Periodic Tas", 'S', 20),
            thread(3, "Attach Listener", 'S', 1),
        ];
        assert!(stands_still(&draft("jvm", java.clone())));
        assert!(!stands_still(&draft("native", java)));
    }
}
