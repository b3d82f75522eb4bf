//! The dump beside the tools that people use, on the same machine in one run: total time, and the longest time for which
//! a thread was held. Compare ratios, not figures.
//!
//! `benches/dump/run` builds and runs it; words name what is measured (`native`, `go`, `python`, `jvm`), all without any. It is no test.
#![allow(clippy::disallowed_methods, reason = "not part of the launcher")]

mod go;
mod jvm;
mod native;
mod python;
mod table;

/// What is measured, by the name that picks it.
const PARTS: [(&str, fn()); 4] = [("native", native::all), ("go", go::all), ("python", python::all), ("jvm", jvm::all)];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    for (name, part) in PARTS {
        if words.is_empty() || words.iter().any(|word| word == name) {
            part();
        }
    }
    println!(
        "\nGoals: each peer's ratio is 4 or more, and no blocked thread is held; 100 000 goroutines with their verdict \
         take less than 1 s and 300 MB."
    );
}
