//! docs/verdicts.md: what the launcher says of ten of the programs, as it says it on a terminal.

use std::fmt::Write as _;
use std::path::Path;

use crate::score::Outcome;

/// The programs that are shown, one of each kind.
const SHOWN: [&str; 10] = [
    "go-connect-full",
    "python-reply-silent",
    "c-lock-cycle",
    "java-monitor-cycle",
    "node-never-listens",
    "shell-input-fifo",
    "python-file-lock",
    "rust-busy-loop",
    "ruby-connect-retry",
    "c-crash-assert",
];

/// Writes the page anew when `LAUNCHER_WRITE_VERDICTS` is set (at least the ten must have run, and be right), else checks
/// that it shows each of the ten with its cause: times and pids differ from run to run.
pub fn check(outcomes: &[Outcome]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verdicts.md");
    if is_to_write() {
        let has_run = |name: &&str| outcomes.iter().any(|outcome| outcome.case.name == *name);
        let missing: Vec<&str> = SHOWN.into_iter().filter(|name| !has_run(name)).collect();
        assert!(missing.is_empty(), "to write docs/verdicts.md these have to run too: {}", missing.join(" "));
        let is_wrong = |outcome: &&Outcome| {
            SHOWN.contains(&outcome.case.name.as_str()) && outcome.cause() != outcome.case.expected.cause
        };
        let wrong: Vec<&str> = outcomes.iter().filter(is_wrong).map(|outcome| outcome.case.name.as_str()).collect();
        assert!(wrong.is_empty(), "these are wrong and cannot be shown, run it again: {}", wrong.join(" "));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page(outcomes)).unwrap();
        println!("wrote {}", path.display());
        return;
    }
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    // What is shown must be right; whether it was right this time as well is what the score says.
    for case in outcomes.iter().map(|outcome| &outcome.case).filter(|case| SHOWN.contains(&case.name.as_str())) {
        let heading = format!("## {}: `{}`\n", case.name, case.expected.cause);
        assert!(
            text.contains(&heading),
            "docs/verdicts.md lacks {heading:?}: write it with tests/corpus/score-all --write"
        );
    }
}

/// Whether the page is asked for.
pub fn is_to_write() -> bool {
    std::env::var_os("LAUNCHER_WRITE_VERDICTS").is_some()
}

fn page(outcomes: &[Outcome]) -> String {
    let mut page = String::from(
        "# What launcher says\n\nTen programs of `tests/corpus` that hang or fail at start, and what a terminal shows. \
         Written by `tests/corpus/score-all --write`.\n",
    );
    for name in SHOWN {
        let Some(outcome) = outcomes.iter().find(|outcome| outcome.case.name == name) else { continue };
        let said = outcome.said.replace(concat!(env!("CARGO_MANIFEST_DIR"), "/"), "");
        let block: Vec<&str> = said.lines().skip_while(|line| !line.starts_with('✗')).take(25).collect();
        let _ = write!(
            page,
            "\n## {name}: `{}`\n\n{}\n\n```text\n{}\n```\n",
            outcome.cause(),
            outcome.case.expected.story,
            block.join("\n")
        );
    }
    page
}
