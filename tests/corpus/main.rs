//! The corpus: real programs that hang or fail at start, each with the verdict that is expected of it, run through the
//! real launcher. Prints a table and the score; fails when the score is below what is promised.
//!
//! `cargo test --test corpus` runs all, `cargo test --test corpus -- python` those whose name has `python` in it.
#![allow(clippy::disallowed_methods, reason = "tests start processes and look at the clock")]

mod build;
mod case;
mod held_random;
mod hung_files;
mod run;
mod score;
mod surroundings;
mod verdicts;

use std::collections::VecDeque;
use std::sync::Mutex;

use case::Case;
use score::{Outcome, Score};

/// So many run at once: they wait most of the time.
const AT_ONCE: usize = 4;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [first, command @ ..] = words.as_slice()
        && first == held_random::FLAG
    {
        panic!("{}", held_random::run(command));
    }
    // cargo passes its own flags on; names do not begin with a dash.
    let wanted: Vec<String> = words.into_iter().filter(|word| !word.starts_with('-')).collect();
    if std::env::args().any(|word| word == "--list") {
        return;
    }
    let cases: Vec<Case> = Case::all()
        .into_iter()
        .filter(|case| wanted.is_empty() || wanted.iter().any(|word| case.name.contains(word)))
        .collect();
    // No package makes it available where the kernel or the container has it not.
    let (possible, impossible): (Vec<Case>, Vec<Case>) =
        cases.into_iter().partition(|case| !case.needs_fuse() || hung_files::available());
    for case in &impossible {
        println!("skipped: {} needs /dev/fuse", case.name);
    }
    let (able, unable): (Vec<Case>, Vec<Case>) = possible.into_iter().partition(|case| case.missing().is_none());
    for case in &unable {
        let missing = case.missing().unwrap_or_default();
        assert!(std::env::var("CI").is_err(), "{} needs {missing}, which tests/setup installs", case.name);
        println!("skipped: {} needs {missing}", case.name);
    }
    let outcomes = with_time(all(able));
    let score = Score::of(&outcomes);
    println!("{}", score::table(&outcomes));
    println!("{score}");
    let own = std::env::var_os(case::FOLDER).is_none();
    let whole = wanted.is_empty() && unable.is_empty() && impossible.is_empty();
    if own && (verdicts::is_to_write() || whole) {
        verdicts::check(&outcomes);
    }
    score.must_be_good();
}

/// Those whose dump had no time to be whole are run again, once and one by one; what is cut short then as well stays so.
fn with_time(outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let again = |outcome: Outcome| {
        if !outcome.was_cut_short() {
            return outcome;
        }
        println!("run again: {}, whose dump was cut short on this busy machine", outcome.case.name);
        run::run(&outcome.case)
    };
    outcomes.into_iter().map(again).collect()
}

/// Runs all, some at once, and gives the outcomes by name.
fn all(cases: Vec<Case>) -> Vec<Outcome> {
    let queue = Mutex::new(VecDeque::from(cases));
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(case) = queue.lock().unwrap().pop_front() else { return };
                    let outcome = run::run(&case);
                    eprintln!("{:>6.1} s  {}: {}", outcome.took.as_secs_f64(), case.name, outcome.cause());
                    outcomes.lock().unwrap().push(outcome);
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap();
    outcomes.sort_by(|one, other| one.case.name.cmp(&other.case.name));
    outcomes
}
