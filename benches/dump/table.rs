//! Measures ways to dump one process in turn, and prints a table of them.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A way to get the stacks of a process.
pub struct Way<'a> {
    pub name: &'a str,
    /// Does it for this pid.
    pub run: Box<dyn Fn(i32) + 'a>,
}

impl<'a> Way<'a> {
    /// Something that is called.
    pub fn call(name: &'a str, run: impl Fn(i32) + 'a) -> Way<'a> {
        Way { name, run: Box::new(run) }
    }

    /// A command, `{}` of it being the pid; `None` when its program is not installed.
    pub fn command(name: &'a str, words: &'a [&'a str]) -> Option<Way<'a>> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = words[0];
        let there = program.starts_with('/') || std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
        if !there {
            println!("  ({name} is not installed)");
        }
        there.then(|| Way::call(name, move |pid| run(words, pid)))
    }
}

fn run(words: &[&str], pid: i32) {
    let words: Vec<String> = words.iter().map(|word| word.replace("{}", &pid.to_string())).collect();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap_or_else(|error| panic!("{}: {error}", words[0]));
}

/// Runs each way `rounds` times in turn. The first one is ours: the others' times are told as multiples of its.
pub fn compare(title: &str, pid: i32, rounds: usize, ways: &[Way]) {
    println!("{title}, {rounds} rounds of each in turn");
    println!("  {:<34} {:>10} {:>10} {:>14} {:>8}", "", "median", "worst", "longest held", "ratio");
    let mut times: Vec<Vec<Duration>> = ways.iter().map(|_| Vec::new()).collect();
    let mut held = vec![Duration::ZERO; ways.len()];
    for _ in 0..rounds {
        for (index, way) in ways.iter().enumerate() {
            let (time, longest) = watched(pid, || (way.run)(pid));
            times[index].push(time);
            held[index] = held[index].max(longest);
        }
    }
    times.iter_mut().for_each(|times| times.sort());
    let median = |times: &[Duration]| times[times.len() / 2];
    let own = median(&times[0]);
    for ((way, times), held) in ways.iter().zip(&times).zip(held) {
        let ratio = median(times).as_secs_f64() / own.as_secs_f64();
        let worst = times[times.len() - 1];
        println!("  {:<34} {:>10} {:>10} {:>14} {ratio:>8.2}", way.name, ms(median(times)), ms(worst), ms(held));
    }
}

/// How long the work takes, and the longest that the main thread of `pid` was seen to be stopped meanwhile. It is looked
/// at again and again, so what is shorter than a look, some 20 µs, may be missed.
fn watched(pid: i32, work: impl FnOnce()) -> (Duration, Duration) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let path = format!("/proc/{pid}/stat");
            let (mut longest, mut since) = (Duration::ZERO, None);
            while !done.load(Ordering::Relaxed) {
                let stat = std::fs::read_to_string(&path).unwrap_or_default();
                let stopped = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['t', 'T']));
                let begun = *since.get_or_insert_with(Instant::now);
                if stopped {
                    longest = longest.max(begun.elapsed());
                } else {
                    since = None;
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            longest
        });
        let begun = Instant::now();
        work();
        let time = begun.elapsed();
        done.store(true, Ordering::Relaxed);
        (time, watcher.join().unwrap_or_default())
    })
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
