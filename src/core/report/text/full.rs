//! The whole report, the dump, and the termination message.

use std::fmt::Write;
use std::time::Duration;

use crate::core::diagnosis::{Diagnosis, Verdict, words};
use crate::core::facts::{Occasion, OwnerFacts, PortFacts, ProcessFacts};
use crate::core::report::{Report, mask};

use super::layout::{Paint, Style, clean, wrap};
use super::stacks::{self, Shown};

/// The whole report as text, for `launcher report`.
pub fn full(report: &Report, style: Style) -> String {
    let kind = kind_name(report.kind);
    let elapsed = words::span(Duration::from_millis(report.elapsed_ms));
    let mut out = Out { text: String::new(), style };
    out.line(&style.paint(Paint::Strong, &clean(&format!("{}: {kind} after {elapsed}", report.service))));
    let name = report.kind.name();
    out.line(&clean(&format!("{name}, generation {}, attempt {}, {}", report.generation, report.attempt, report.time)));
    out.verdict(&report.verdict, &report.alternatives);
    if !report.timeline.is_empty() {
        out.head("timeline");
        for entry in &report.timeline {
            let at = format!("{}.{:03}", entry.at_ms / 1000, entry.at_ms % 1000);
            out.item(&format!("{at:>9} s  {}", entry.event), "");
        }
    }
    if !report.ports.is_empty() {
        out.head("ports");
        report.ports.iter().for_each(|port| out.item(&port_line(port), ""));
    }
    out.ending(report);
    if !report.processes.is_empty() {
        out.head("processes");
        let lines = stacks::processes(&report.processes, report.verdict.thread, Shown { all: false, style });
        // The blank line after the last process is the next heading's.
        lines[..lines.len().saturating_sub(1)].iter().for_each(|line| out.line(line));
    }
    out.profile(report);
    out.output(report);
    out.text
}

/// The stacks of a process tree with the verdict on top, for `launcher dump`, as a report has both: masked. With `all`, equal
/// stacks are not folded and none is cut.
pub fn dump(processes: &[ProcessFacts], diagnosis: &Diagnosis, all: bool, style: Style) -> String {
    let mut out = Out { text: String::new(), style };
    out.verdict(&diagnosis.verdict, &diagnosis.alternatives);
    out.text.push('\n');
    for line in stacks::processes(processes, diagnosis.verdict.thread, Shown { all, style }) {
        out.line(&line);
    }
    out.text
}

/// What goes to `/dev/termination-log`: the verdict first, then as much of the rest as fits into 4 KiB.
pub fn termination(report: &Report) -> String {
    const MOST: usize = 4096;
    let style = Style { width: 120, colour: false };
    let elapsed = words::span(Duration::from_millis(report.elapsed_ms));
    let mut out = Out { text: String::new(), style };
    out.line(&clean(&format!(
        "{}: {} after {elapsed}: {}",
        report.service,
        kind_name(report.kind),
        report.verdict.summary
    )));
    out.verdict(&report.verdict, &[]);
    out.ending(report);
    out.output(report);
    let mut end = out.text.len().min(MOST);
    while !out.text.is_char_boundary(end) {
        end -= 1;
    }
    out.text.truncate(end);
    out.text
}

struct Out {
    text: String,
    style: Style,
}

impl Out {
    /// A line as it stands: it has been cleaned.
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn head(&mut self, title: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let title = self.style.paint(Paint::Strong, title);
        let _ = writeln!(self.text, "{title}");
    }

    /// One entry of a list, wrapped; later lines stand under the first word.
    fn item(&mut self, entry: &str, lead: &str) {
        let indent = 2 + lead.chars().count();
        let lines = wrap(&clean(entry), self.style.columns().saturating_sub(indent));
        for (index, line) in lines.iter().enumerate() {
            let lead = if index == 0 { lead } else { "" };
            let _ = writeln!(self.text, "  {lead:<width$}{line}", width = indent - 2);
        }
    }

    fn profile(&mut self, report: &Report) {
        let Some(profile) = &report.goroutine_profile else { return };
        self.head("goroutine profile");
        let count = profile.goroutines.map(|count| format!("{count} goroutines by {}", profile.url));
        self.item(&count.unwrap_or_else(|| format!("none from {}", profile.url)), "");
        if let Some(error) = &profile.error {
            self.item(error, "");
        }
    }

    fn verdict(&mut self, verdict: &Verdict, alternatives: &[Verdict]) {
        let title = format!("verdict: {} ({})", verdict.cause.name(), verdict.confidence.name());
        self.head(&title);
        self.item(&verdict.summary, "");
        if let Some(frame) = &verdict.frame {
            let place = match (&frame.file, frame.line) {
                (Some(file), Some(line)) => format!("  {file}:{line}"),
                (Some(file), None) => format!("  {file}"),
                _ => String::new(),
            };
            self.item(&format!("{}{place}", frame.function), "at ");
        }
        for (title, entries) in [("evidence", &verdict.evidence), ("what to try", &verdict.advice)] {
            if !entries.is_empty() {
                self.head(title);
                entries.iter().for_each(|entry| self.item(entry, "- "));
            }
        }
        if !alternatives.is_empty() {
            self.head("what else it could be");
            for other in alternatives {
                let name = format!("{} ({}): {}", other.cause.name(), other.confidence.name(), other.summary);
                self.item(&name, "- ");
            }
        }
    }

    fn ending(&mut self, report: &Report) {
        let exit = &report.exit;
        let how = match (exit.code, exit.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => signal.to_string(),
            (None, None) => return,
        };
        let memory = if exit.out_of_memory { ", out of memory" } else { "" };
        self.head("ending");
        self.item(&format!("{how}{memory}"), "");
    }

    fn output(&mut self, report: &Report) {
        if report.output_tail.trim().is_empty() {
            return;
        }
        let age = report.output_age_ms.map(|age| format!(", {} before", words::span(Duration::from_millis(age))));
        self.head(&format!("last output{}", age.unwrap_or_default()));
        for line in report.output_tail.lines() {
            let _ = writeln!(self.text, "  | {}", clean(line.trim_end()));
        }
    }
}

fn port_line(port: &PortFacts) -> String {
    let state = match (&port.listening, &port.owner) {
        (true, _) => "listens".to_owned(),
        (false, Some(owner)) => owner_line(owner),
        (false, None) => "nothing listens".to_owned(),
    };
    format!("{}  {}  {state}", port.name, port.listen)
}

fn owner_line(owner: &OwnerFacts) -> String {
    let holder = |pid: i32, command: &[String]| format!("pid {pid} ({})", mask::line(command));
    let holders: Vec<String> = owner.holders.iter().map(|it| holder(it.pid, &it.command)).collect();
    match (holders.is_empty(), &owner.user, owner.uid) {
        (false, ..) => format!("held by {}", holders.join(", ")),
        (true, Some(user), _) => format!("held by a process of {user}"),
        (true, None, Some(uid)) => format!("held by a process of uid {uid}"),
        (true, None, None) => "held, by whom could not be seen".to_owned(),
    }
}

fn kind_name(kind: Occasion) -> &'static str {
    match kind {
        Occasion::Preflight => "preflight failed",
        Occasion::Requirement => "a requirement did not answer",
        Occasion::ExecFailed => "could not be executed",
        Occasion::Exited => "exited",
        Occasion::Crashed => "crashed",
        Occasion::StartTimeout => "not ready",
        Occasion::Watchdog => "missed its watchdog",
        Occasion::OutOfMemory => "out of memory",
        Occasion::StopTimeout => "did not stop",
        Occasion::Requested => "looked at",
    }
}
