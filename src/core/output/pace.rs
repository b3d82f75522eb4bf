//! When it is worth waiting a moment before reading on: somebody who writes a line at a time would have the reader woken
//! for each, which costs both more than the line does. Who answers each line of somebody before the next one comes is not
//! kept waiting for it.

use std::time::Duration;

use crate::core::time::Moment;

/// Who writes less than this part of what a pipe takes at a time writes lines.
const LITTLE: u32 = 16;

/// Whoever is waited for longer than this does not write all the time: what comes then is passed on at once.
const APART: Duration = Duration::from_micros(300);

/// The shortest and the longest wait. The longest is felt by no person.
const SHORTEST: Duration = Duration::from_micros(20);
const LONGEST: Duration = Duration::from_micros(200);

/// A wait was worth it when so many times as much came as without it: more than one line.
const GAIN: u32 = 4;

/// After a wait that was not, so often nothing is waited for; after another one twice as often, up to the most.
const LEAST_REST: u32 = 4;
const MOST_REST: u32 = 64;

/// What is known of one who reads a pipe again and again.
#[derive(Debug)]
pub struct Pace {
    /// How much the pipe takes, in bytes.
    capacity: u32,
    /// Since when nothing else is to be done than to read on.
    idle: Option<Moment>,
    /// How long was waited before that.
    waited: Duration,
    /// How much came when nothing was waited for, in bytes.
    little: u32,
    /// How often nothing is waited for yet, and how often it was the last time.
    rest: u32,
    last_rest: u32,
}

impl Pace {
    /// For a pipe that takes so many bytes (`F_GETPIPE_SZ`, `fcntl(2)`); without one nothing is ever waited for.
    pub fn new(capacity: usize) -> Pace {
        let capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
        Pace { capacity, idle: None, waited: Duration::ZERO, little: 0, rest: 0, last_rest: 0 }
    }

    /// So many bytes came at one moment, and at another they were dealt with: how long to wait before reading on, zero for
    /// not at all.
    pub fn read(&mut self, came: Moment, done: Moment, length: usize) -> Duration {
        let apart = self.idle.is_none_or(|idle| came.since(idle) > self.waited + APART);
        self.idle = Some(done);
        let length = u32::try_from(length).unwrap_or(u32::MAX).max(1);
        self.waited = if apart {
            Duration::ZERO
        } else if self.waited.is_zero() {
            let begins = self.rest == 0 && length < self.capacity / LITTLE;
            self.rest = self.rest.saturating_sub(1);
            self.little = length;
            // What comes of it says how long is right.
            if begins { LONGEST / 2 } else { Duration::ZERO }
        } else if length < self.little.saturating_mul(GAIN) {
            self.last_rest = (self.last_rest * 2).clamp(LEAST_REST, MOST_REST);
            self.rest = self.last_rest;
            Duration::ZERO
        } else {
            self.last_rest = 0;
            // Until the pipe is half full, so that the writer does not stop.
            let right = self.waited.saturating_mul(self.capacity / 2) / length;
            if right < SHORTEST { Duration::ZERO } else { right.min(LONGEST) }
        };
        self.waited
    }

    /// Nothing is waited for: others have something to be read, too.
    pub fn go_on(&mut self) {
        (self.idle, self.waited) = (None, Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPE: usize = 64 * 1024;

    /// So much comes so long after the beginning, and is dealt with in no time.
    fn read(pace: &mut Pace, now: Duration, length: usize) -> Duration {
        pace.read(Moment::from_start(now), Moment::from_start(now), length)
    }

    /// Reads what somebody writes who writes so much at a time and can write `rate` bytes in a microsecond, into a pipe
    /// that takes so much, for 100 ms: how often was read, how much, and what the longest wait was.
    fn run(piece: usize, rate: usize, capacity: usize) -> (usize, usize, Duration) {
        let (mut pace, mut now) = (Pace::new(capacity), Duration::ZERO);
        let (mut reads, mut total, mut longest) = (0, 0, Duration::ZERO);
        let mut waited = Duration::ZERO;
        while now < Duration::from_millis(100) {
            // Waking the reader takes a few microseconds, as does reading itself.
            let passed = waited + Duration::from_micros(3);
            now += passed;
            let come = (rate * passed.as_micros() as usize / piece * piece).clamp(piece, capacity);
            waited = read(&mut pace, now, come);
            (reads, total, longest) = (reads + 1, total + come, longest.max(waited));
        }
        (reads, total, longest)
    }

    #[test]
    fn lines_are_read_many_at_a_time() {
        let (reads, total, longest) = run(100, 250, PIPE);
        assert!(total / reads > 20 * 1024, "{total} bytes in {reads} reads");
        assert!(longest <= LONGEST);
    }

    #[test]
    fn the_writer_of_much_is_not_kept_waiting() {
        for piece in [8 * 1024, 64 * 1024] {
            let (_, _, longest) = run(piece, 1000, PIPE);
            assert_eq!(longest, Duration::ZERO, "{piece}");
        }
        // One that is as fast with little is waited for so long only that its pipe does not get full.
        for (rate, capacity, least) in [(2000, PIPE, 100), (250, 4096, 15)] {
            let (_, total, _) = run(1000, rate, capacity);
            assert!(total > least * 1_000_000, "{total} of {rate}");
        }
    }

    #[test]
    fn a_line_now_and_then_is_passed_on_at_once() {
        let mut pace = Pace::new(PIPE);
        for number in 1..100 {
            assert_eq!(read(&mut pace, Duration::from_millis(number), 100), Duration::ZERO);
        }
    }

    #[test]
    fn whoever_stops_writing_lines_begins_anew() {
        let mut pace = Pace::new(PIPE);
        let mut at = |(micros, length)| read(&mut pace, Duration::from_micros(micros), length);
        assert_eq!([(0, 100), (10, 100), (150, 5000)].map(&mut at), [Duration::ZERO, LONGEST / 2, LONGEST]);
        assert_eq!([(5000, 100), (5010, 100)].map(&mut at), [Duration::ZERO, LONGEST / 2]);
        pace.go_on();
        assert_eq!(read(&mut pace, Duration::from_micros(5020), 100), Duration::ZERO);
    }

    /// Each answer comes when the one before it was passed on and a question has come of it.
    #[test]
    fn answers_in_turn_hardly_wait() {
        let (mut pace, mut now, mut waits) = (Pace::new(PIPE), Duration::ZERO, Duration::ZERO);
        for _ in 0..1000 {
            let waited = read(&mut pace, now, 100);
            now += waited + Duration::from_micros(50);
            waits += waited;
        }
        assert!(waits < Duration::from_millis(5), "{waits:?} in all");
    }

    /// What is slow to be dealt with says nothing of who writes it.
    #[test]
    fn only_idle_time_counts() {
        let mut pace = Pace::new(PIPE);
        let at = |micros| Moment::from_start(Duration::from_micros(micros));
        assert_eq!(pace.read(at(0), at(2000), 100), Duration::ZERO);
        assert_eq!(pace.read(at(2001), at(4000), 100), LONGEST / 2);
    }

    #[test]
    fn without_a_pipe_nothing_is_waited_for() {
        let mut pace = Pace::new(0);
        for number in 1..100 {
            assert_eq!(read(&mut pace, Duration::from_micros(number), 1), Duration::ZERO);
        }
    }
}
