//! The state machine in a simulated world: virtual time, seeded interleavings, no process and no sleep.
//!
//! Every step is judged (`watch.rs`, `subjects.rs`). A failure prints its seed and the whole run;
//! `SIMULATOR_SEED=42 cargo test --test simulator` runs that one again.
#![allow(clippy::disallowed_methods, reason = "the seed comes from the environment")]

mod beside;
mod coverage;
mod generation;
mod noise;
mod processes;
mod random;
mod renewal;
mod script;
mod seats;
mod single;
mod step;
mod subjects;
mod times;
mod watch;
mod wishes;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use coverage::Coverage;
use random::Random;
use single::Single;
use subjects::Several;
use world::{Subject, World};

/// Lives through the run of one seed.
fn run<S: Subject>(seed: u64, trace: bool, make: fn(&mut Random) -> S) -> Result<Coverage, String> {
    let judged = catch_unwind(AssertUnwindSafe(|| {
        let mut random = Random::new(seed);
        let subject = make(&mut random);
        let mut world = World::new(subject, random, trace);
        world.run().map(|()| world.coverage)
    }));
    judged.unwrap_or_else(|_| Err("the state machine panicked".to_owned()))
}

/// Lives through so many runs, on every core, and returns what was met.
fn run_many<S: Subject>(count: u64, make: fn(&mut Random) -> S) -> Coverage {
    if let Some(seed) = std::env::var("SIMULATOR_SEED").ok().and_then(|seed| seed.parse().ok()) {
        run(seed, true, make).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    let next = AtomicU64::new(0);
    let all = Mutex::new((Coverage::default(), None));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let mut coverage = Coverage::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= count {
                        break;
                    }
                    match run(seed, false, make) {
                        Ok(met) => coverage.add(&met),
                        Err(_) => {
                            all.lock().unwrap().1.get_or_insert(seed);
                            next.store(count, Ordering::Relaxed);
                        }
                    }
                }
                all.lock().unwrap().0.add(&coverage);
            });
        }
    });
    let (coverage, failed) = all.into_inner().unwrap();
    if let Some(seed) = failed {
        let why = run(seed, true, make).err();
        panic!("seed {seed}: {}", why.unwrap_or_default());
    }
    coverage
}

#[test]
fn one_service_keeps_the_rules_in_100_000_runs() {
    let coverage = run_many(100_000, Single::new);
    // What can be met in which state is listed; nothing but that was met, and all of that was.
    for (row, state) in coverage.0.iter().zip(launcher::core::service::State::ALL) {
        for (count, kind) in row.iter().zip(launcher::core::service::EventKind::ALL) {
            assert_eq!(*count > 0, state.can_meet(kind), "{kind:?} in {state:?}: met {count} times");
        }
    }
}

#[test]
fn several_services_keep_the_rules_in_100_000_runs() {
    run_many(100_000, Several::new);
}

#[test]
fn no_event_in_any_state_panics() {
    for seed in 0..5_000 {
        let lived = catch_unwind(|| {
            noise::one_service(seed);
            noise::several_services(seed);
        });
        assert!(lived.is_ok(), "seed {seed}: see above");
    }
}
