//! Whether a service that starts gets on, told by what its processes have done between two looks: the signs by which a
//! verdict calls a missed start `slow-progress` and not `busy-loop` or `connect-retry` (DESIGN §8).
//!
//! A thread that only burns CPU is no progress, a process that came since the last look is none (a shell that tries again
//! starts one each time), and lines that speak of tries in vain, or say again what was said before, are none.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::diagnosis::{speaks_of_retries, words};
use super::time::Moment;

/// From this share of one CPU on a thread does little but compute.
pub const BUSY: f64 = 0.8;
/// From this share on a service does something worth calling progress.
pub const WORKING: f64 = 0.05;
/// Less input and output than this a second is not what a program computes on.
pub const LITTLE_IO: f64 = 64.0 * 1024.0;

/// The longest time between two looks.
const APART: Duration = Duration::from_secs(1);
/// The shortest: CPU time is counted in hundredths of a second.
const CLOSEST: Duration = Duration::from_millis(100);

/// What can be counted of a service at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Look {
    /// When.
    pub at: Moment,
    /// Its processes, by pid.
    pub processes: BTreeMap<i32, Counters>,
    /// Whether something was written since the look before.
    pub wrote: bool,
    /// The whole lines among that.
    pub lines: String,
}

/// What one process has done so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// When it started, in clock ticks since boot: tells it from an older one with its pid.
    pub born: u64,
    /// CPU time of all its threads, in milliseconds.
    pub cpu_ms: u64,
    /// Bytes read and written (`rchar` and `wchar` of `/proc/PID/io`); `None` where that may not be read.
    pub io: Option<u64>,
    /// For how long each of its threads, by tid, has run or waited for a CPU, in milliseconds.
    pub threads: BTreeMap<i32, u64>,
}

/// One sign that a service gets on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It wrote something new.
    Wrote,
    /// It read and wrote so many bytes within a time.
    Moved(u64, Duration),
    /// It used so many percent of a CPU, no thread of it all the time.
    Used(u32),
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sign::Wrote => write!(f, "it printed something new"),
            Sign::Moved(bytes, time) => {
                write!(f, "it read and wrote {} in {}", words::bytes(*bytes), words::span(*time))
            }
            Sign::Used(percent) => write!(f, "it used {percent} % of a CPU"),
        }
    }
}

/// How far apart two looks are, of a service that has so long to start.
pub fn apart(start_timeout: Duration) -> Duration {
    (start_timeout / 4).clamp(CLOSEST, APART)
}

/// The signs between two looks; none when it does not visibly get on.
pub fn signs(before: &Look, after: &Look) -> Vec<Sign> {
    let time = after.at.since(before.at);
    if time.is_zero() {
        return Vec::new();
    }
    let share = |milliseconds: u64| milliseconds as f64 / 1000.0 / time.as_secs_f64();
    let (mut moved, mut used) = (0, 0);
    for (pid, now) in &after.processes {
        let Some(then) = before.processes.get(pid).filter(|then| then.born == now.born) else { continue };
        moved += now.io.zip(then.io).map_or(0, |(now, then)| now.saturating_sub(then));
        let burns = now.threads.iter().any(|(tid, now)| {
            let then = then.threads.get(tid);
            then.is_some_and(|then| share(now.saturating_sub(*then)) >= BUSY)
        });
        if !burns {
            used += now.cpu_ms.saturating_sub(then.cpu_ms);
        }
    }
    let mut signs = Vec::new();
    if is_news(before, after) {
        signs.push(Sign::Wrote);
    }
    if moved as f64 / time.as_secs_f64() > LITTLE_IO {
        signs.push(Sign::Moved(moved, time));
    }
    if share(used) >= WORKING {
        signs.push(Sign::Used((share(used) * 100.0).round() as u32));
    }
    signs
}

/// Whether it wrote something that is neither a try in vain nor what it has said already. A line that is not whole yet,
/// of dots or of a bar that fills, is news.
fn is_news(before: &Look, after: &Look) -> bool {
    let said = |line: &str| before.lines.lines().any(|before| before == line);
    let mut lines = after.lines.lines().filter(|line| !line.trim().is_empty()).peekable();
    let only_again = lines.peek().is_some() && lines.all(said);
    after.wrote && !only_again && !speaks_of_retries(&after.lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A look after so many milliseconds at process 10 with one thread, which has used so much CPU and moved so much.
    fn look(at: u64, cpu_ms: u64, io: u64) -> Look {
        let counters = Counters { born: 7, cpu_ms, io: Some(io), threads: [(10, cpu_ms)].into() };
        Look {
            at: Moment::from_start(Duration::from_millis(at)),
            processes: [(10, counters)].into(),
            ..Look::default()
        }
    }

    fn said(look: Look, lines: &str) -> Look {
        Look { wrote: true, lines: lines.to_owned(), ..look }
    }

    #[test]
    fn work_is_told_from_waiting_and_from_a_busy_loop() {
        let signs = |cpu, io| signs(&look(0, 0, 0), &look(1000, cpu, io));
        assert_eq!(signs(10, 1000), []);
        assert_eq!(signs(300, 0), [Sign::Used(30)]);
        assert_eq!(signs(970, 0), [], "a thread that burns CPU, and nothing comes of it");
        let moved = Sign::Moved(1 << 20, Duration::from_secs(1));
        assert_eq!(signs(970, 1 << 20), [moved], "it computes on what it reads");
        assert_eq!(signs(300, 1 << 20), [moved, Sign::Used(30)]);
    }

    #[test]
    fn threads_that_take_turns_are_work() {
        let spread = |at, each| {
            let mut look = look(at, each * 3, 0);
            look.processes.get_mut(&10).unwrap().threads = [(10, each), (11, each), (12, each)].into();
            look
        };
        assert_eq!(signs(&spread(0, 0), &spread(1000, 400)), [Sign::Used(120)]);
        assert_eq!(signs(&spread(0, 0), &spread(1000, 900)), []);
    }

    #[test]
    fn what_came_since_the_last_look_counts_for_nothing() {
        let other = |born| {
            let mut look = look(1000, 500, 1 << 30);
            look.processes.get_mut(&10).unwrap().born = born;
            look
        };
        assert_eq!(signs(&look(0, 0, 0), &other(8)), [], "another process with its pid");
        assert_eq!(signs(&Look::default(), &other(7)), []);
        assert_eq!(signs(&look(1000, 0, 0), &other(7)), [], "no time has passed");
    }

    #[test]
    fn lines_are_news_unless_they_say_the_same_or_speak_of_tries_in_vain() {
        let news =
            |before: &str, lines: &str| !signs(&said(look(0, 0, 0), before), &said(look(1000, 0, 0), lines)).is_empty();
        assert!(news("", "migration 3 of 200\n"));
        assert!(news("migration 3 of 200\n", "migration 4 of 200\n"));
        assert!(news("", ""), "a line that is not whole");
        assert!(!news("waiting for the lock\n", "waiting for the lock\n"));
        assert!(!news("", "connect to 127.0.0.1:5432: connection refused, trying again\n"));
        let silent = look(1000, 0, 0);
        assert_eq!(signs(&look(0, 0, 0), &Look { lines: "old".to_owned(), ..silent }), []);
    }

    #[test]
    fn looks_are_a_second_apart_or_closer_where_the_deadline_is() {
        let apart = |millis| apart(Duration::from_millis(millis)).as_millis();
        assert_eq!([apart(30_000), apart(2_000), apart(100)], [1000, 500, 100]);
    }
}
