//! What a keeper costs. Not a test: `cargo test --release --test sys_keeper -- --ignored --nocapture timing`.

use std::process::Command;
use std::time::{Duration, Instant};

use launcher::sys::keeper::SpawnPlan;

use super::support::*;

fn median(mut run: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<Duration> = (0..500).map(|_| run()).collect();
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
#[ignore = "a measurement"]
fn a_start_beside_a_plain_one() {
    let keeper_exec = median(|| {
        let started = Instant::now();
        let keeper = start(SpawnPlan::new(c("/bin/true"), vec![c("true")]));
        spawned(&keeper);
        let elapsed = started.elapsed();
        exited(&keeper);
        gone(&keeper);
        elapsed
    });
    let keeper_fork = median(|| {
        let started = Instant::now();
        let keeper = start(SpawnPlan::new(c("/bin/true"), vec![c("true")]));
        let elapsed = started.elapsed();
        spawned(&keeper);
        exited(&keeper);
        gone(&keeper);
        elapsed
    });
    let plain_exec = median(|| {
        let started = Instant::now();
        let mut child = Command::new("/bin/true").spawn().unwrap();
        let elapsed = started.elapsed();
        child.wait().unwrap();
        elapsed
    });
    let keeper_whole = median(|| {
        let started = Instant::now();
        let keeper = start(SpawnPlan::new(c("/bin/true"), vec![c("true")]));
        spawned(&keeper);
        exited(&keeper);
        gone(&keeper);
        started.elapsed()
    });
    let plain_whole = median(|| {
        let started = Instant::now();
        Command::new("/bin/true").spawn().unwrap().wait().unwrap();
        started.elapsed()
    });
    println!("until start comes back: {keeper_fork:?}");
    println!("until exec: keeper {keeper_exec:?}, posix_spawn {plain_exec:?}");
    println!("until gone: keeper {keeper_whole:?}, posix_spawn {plain_whole:?}");
}
