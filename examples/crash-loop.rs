//! A service that crashes at each start, in turn by an exit code and by a signal.
//!
//! ```text
//! cargo build --example crash-loop
//! launcher run --restart on-failure --backoff 200ms..2s --max-failures 5 -- ./crash-loop
//! ```
//!
//! The launcher waits longer from one attempt to the next, writes one report for each, and gives up after the fifth with
//! the exit code of the last, so that an orchestrator sees it. A supervisor without backoff would have started it
//! thousands of times.
#![allow(clippy::disallowed_methods, reason = "not part of the launcher")]

fn main() {
    let generation = std::env::var("LAUNCHER_GENERATION").ok().and_then(|text| text.parse().ok()).unwrap_or(1_u64);
    println!("crash-loop: generation {generation} reads its configuration…");
    if generation.is_multiple_of(2) {
        eprintln!("crash-loop: internal error");
        std::process::abort();
    }
    eprintln!("crash-loop: database.host is missing");
    std::process::exit(3);
}
