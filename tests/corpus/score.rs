//! How good the verdicts were.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::case::Case;

/// Of how many causes, and of how many targets and frames, the verdicts must be right; in percent.
const CAUSES: usize = 95;
const PLACES: usize = 90;

/// What came of one case.
pub struct Outcome {
    /// The case.
    pub case: Case,
    /// The target that is expected, with its names filled in.
    pub target: Option<String>,
    /// The report, `null` when there is none.
    pub report: Value,
    /// What the launcher wrote.
    pub said: String,
    /// From start to end.
    pub took: Duration,
    /// From the start deadline, if that was missed, to the written report; the launcher's own start is in it.
    pub answered: Option<Duration>,
}

impl Outcome {
    fn text(&self, pointer: &str) -> &str {
        self.report.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The cause that was named; `none` without a report.
    pub fn cause(&self) -> &str {
        if self.report.is_null() { "none" } else { self.text("/verdict/cause") }
    }

    /// Whether the cause is right. A slow starter is healthy: its verdict must not blame it.
    pub fn cause_is_right(&self) -> bool {
        let cause = self.cause();
        match self.case.expected.cause.as_str() {
            "healthy" => matches!(cause, "slow-progress" | "unknown" | "none"),
            expected => cause == expected || self.case.expected.also.iter().any(|also| also == cause),
        }
    }

    /// Whether the target is right; `None` when none is expected.
    pub fn target_is_right(&self) -> Option<bool> {
        let has = |pointer: &str, part: &Option<String>| part.as_ref().map(|part| self.text(pointer).contains(part));
        let parts = [has("/verdict/target", &self.target), has("/verdict/summary", &self.case.expected.says)];
        parts.into_iter().flatten().reduce(|one, other| one && other)
    }

    /// Whether the frame is right; `None` when none is expected.
    pub fn frame_is_right(&self) -> Option<bool> {
        let frame = self.case.expected.frame.as_ref()?;
        Some(self.text("/verdict/frame/function").contains(frame.as_str()))
    }

    /// A wrong cause that was called certain.
    pub fn is_falsely_certain(&self) -> bool {
        !self.cause_is_right() && self.text("/verdict/confidence") == "certain"
    }

    /// Whether something is wrong, and the dump says of itself that its time was up before it was whole: that tells of the
    /// machine, not of the rules.
    pub fn was_cut_short(&self) -> bool {
        let wrong = |right: Option<bool>| right == Some(false);
        let wrong = !self.cause_is_right() || wrong(self.target_is_right()) || wrong(self.frame_is_right());
        let processes = self.report.pointer("/processes").and_then(Value::as_array);
        let errors = processes.into_iter().flatten().filter_map(|process| process["dump_error"].as_str());
        wrong
            && errors
                .into_iter()
                .any(|error| ["did not end within", "the time for the dump was up"].iter().any(|it| error.contains(it)))
    }

    fn row(&self) -> [String; 6] {
        let mark = |right: Option<bool>| match right {
            None => "",
            Some(true) => "✓",
            Some(false) => "✗",
        };
        let found = |pointer: &str| self.text(pointer).to_owned();
        [
            self.case.name.clone(),
            format!("{} {}", mark(Some(self.cause_is_right())), self.cause()),
            found("/verdict/confidence"),
            format!("{} {}", mark(self.target_is_right()), found("/verdict/target")),
            format!("{} {}", mark(self.frame_is_right()), found("/verdict/frame/function")),
            match self.cause_is_right() {
                true => String::new(),
                false => format!("expected {}", self.case.expected.cause),
            },
        ]
    }
}

/// The outcomes as a table.
pub fn table(outcomes: &[Outcome]) -> String {
    let head = ["program", "cause", "confidence", "target", "frame", ""].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(outcomes.iter().map(Outcome::row)).collect();
    let short = |cell: &str| cell.chars().take(44).collect::<String>();
    let width = |column: usize| rows.iter().map(|row| short(&row[column]).chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{:width$}", short(cell), width = *width));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The sums.
pub struct Score {
    causes: (usize, usize),
    targets: (usize, usize),
    frames: (usize, usize),
    falsely_certain: Vec<String>,
    wrong: Vec<String>,
    /// From deadline to report, in order.
    answered: Vec<Duration>,
}

impl Score {
    /// Counts.
    pub fn of(outcomes: &[Outcome]) -> Score {
        let count = |right: &dyn Fn(&Outcome) -> Option<bool>| {
            let known: Vec<bool> = outcomes.iter().filter_map(right).collect();
            (known.iter().filter(|right| **right).count(), known.len())
        };
        let named = |wanted: &dyn Fn(&Outcome) -> bool| {
            outcomes.iter().filter(|outcome| wanted(outcome)).map(|outcome| outcome.case.name.clone()).collect()
        };
        let mut answered: Vec<Duration> = outcomes.iter().filter_map(|outcome| outcome.answered).collect();
        answered.sort();
        Score {
            answered,
            causes: count(&|outcome| Some(outcome.cause_is_right())),
            targets: count(&Outcome::target_is_right),
            frames: count(&Outcome::frame_is_right),
            falsely_certain: named(&Outcome::is_falsely_certain),
            wrong: named(&|outcome: &Outcome| !outcome.cause_is_right()),
        }
    }

    /// Fails when it is below what is promised.
    pub fn must_be_good(&self) {
        let at_least = |(right, of): (usize, usize), percent: usize, what: &str| {
            assert!(right * 100 >= of * percent, "{what}: {right} of {of} are right, promised are {percent} %");
        };
        assert!(self.falsely_certain.is_empty(), "wrong and called certain: {}", self.falsely_certain.join(", "));
        at_least(self.causes, CAUSES, "causes");
        at_least(self.targets, PLACES, "targets");
        at_least(self.frames, PLACES, "frames");
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent =
            |(right, of): (usize, usize)| format!("{right} of {of} ({:.1} %)", 100.0 * right as f64 / of.max(1) as f64);
        writeln!(f, "causes  {}", percent(self.causes))?;
        writeln!(f, "targets {}", percent(self.targets))?;
        writeln!(f, "frames  {}", percent(self.frames))?;
        writeln!(f, "wrong but called certain: {}", self.falsely_certain.len())?;
        if let (Some(median), Some(most)) = (self.answered.get(self.answered.len() / 2), self.answered.last()) {
            writeln!(
                f,
                "from the deadline to the report: {} ms median, {} ms at most",
                median.as_millis(),
                most.as_millis()
            )?;
        }
        if !self.wrong.is_empty() {
            write!(f, "wrong: {}", self.wrong.join(", "))?;
        }
        Ok(())
    }
}
