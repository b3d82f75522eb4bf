//! Reports for people: the few lines on a terminal when a start failed, the whole of it for `launcher report`, the
//! stacks for `launcher dump`, and what fits into `/dev/termination-log`.

mod frames;
mod full;
mod layout;
mod stacks;
#[cfg(test)]
mod stacks_tests;
mod tasks;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::core::diagnosis::{Cause, Confidence, Verdict, words};
use crate::core::facts::{HolderFacts, Kin, Occasion, PortFacts, ProbeFacts, ProcessFacts, ThreadFacts};
use crate::core::report::{Report, mask};
use crate::core::service::Next;
use crate::core::settings::{Listen, PortMode};

use layout::{cap, shorten_path, wrap};

pub use full::{dump, full, termination};
pub use layout::{Paint, Style, clean, cut, width};

/// What the short text says beside the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// Which attempt it was, counted from 1.
    pub attempt: u32,
    /// How many there are at most, if there is a limit.
    pub of: Option<u32>,
    /// What comes next.
    pub next: Next,
    /// Where the report was written, if it could be.
    pub report_path: Option<&'a str>,
    /// The folder of the reports, when it is not the one where `launcher report` looks by itself.
    pub report_dir: Option<&'a str>,
    /// The limit that was missed (`start_timeout`, `stop_timeout`, `watchdog`); a start's and a stop's is in the report too.
    pub limit: Option<Duration>,
    /// Whether what had not stopped was killed before the report was there.
    pub killed: bool,
    /// How it is laid out.
    pub style: Style,
}

/// Where the text of a section begins.
const INDENT: usize = 8;

/// A failed start, crash or stop on at most 25 lines, each with a newline at its end (DESIGN §8).
pub fn missed_deadline(report: &Report, context: &Context<'_>) -> String {
    let style = context.style;
    let headline = headline(report, context.limit);
    let (sign, paint) = match report.kind {
        Occasion::StopTimeout => ("⚠", Paint::Warning),
        Occasion::Requested => ("·", Paint::Dim),
        _ => ("✗", Paint::Failure),
    };
    let attempt = match (report.kind, context.of) {
        (Occasion::StopTimeout | Occasion::Requested, _) => String::new(),
        (_, Some(of)) => format!(" (attempt {} of {of})", context.attempt),
        (_, None) => format!(" (attempt {})", context.attempt),
    };
    let head = wrap(&clean(&format!("{headline}{attempt}")), style.columns() - 2);
    let mut text = String::new();
    // Who holds a port, and why it is not had, is a long sentence; there is less to say of anything else then.
    let (most_head, most_why) = match report.kind {
        Occasion::ExecFailed | Occasion::Preflight => (6, 6),
        _ => (3, 9),
    };
    for (index, line) in cap(head, most_head, style.columns() - 2).iter().enumerate() {
        let lead = if index == 0 { style.paint(paint, sign) } else { " ".to_owned() };
        text.push_str(&format!("{lead} {}\n", style.paint(Paint::Strong, line)));
    }
    section(&mut text, style, "why", most_why, &why(report, &headline));
    section(&mut text, style, "also", 4, &also(report));
    let advice: Vec<String> = report.verdict.advice.iter().take(3).cloned().collect();
    section(&mut text, style, "try", 6, &advice);
    if let Some(path) = context.report_path {
        let dir = context.report_dir.map(|dir| format!(" --report-dir {dir}")).unwrap_or_default();
        let command = format!("   (launcher report {}{dir})", report.service);
        let room = style.columns().saturating_sub(10 + width(&clean(&command)));
        let line = format!("{}{command}", shorten_path(path, room));
        section(&mut text, style, "report", 2, &[line]);
    }
    section(&mut text, style, "next", 1, &[next(report, context)]);
    text
}

/// So many processes that have not stopped get a line; the report has all.
const SURVIVORS: usize = 20;

/// One line for each process that has not stopped: who it is and what it is doing, or was, when they have been killed
/// since. Where there are very many, one for those beyond the first.
pub fn survivors(report: &Report, killed: bool) -> Vec<String> {
    let (is, still) = if killed { ("was", "was still running") } else { ("is", "still runs") };
    let alive: Vec<&ProcessFacts> = report.processes.iter().filter(|process| !process.zombie).collect();
    let line = |process: &ProcessFacts| {
        let main = process.threads.first();
        let call = main.and_then(|thread| thread.syscall.clone());
        let doing = call.map_or_else(|| state_of(main, is), |call| format!("it {is} in {call}"));
        clean(&format!("pid {} ({}) {still}: {doing}", process.pid, mask::line(&process.command)))
    };
    let more = alive.len().saturating_sub(SURVIVORS);
    let still = if killed { "were still running" } else { "still run" };
    let more = (more > 0).then(|| format!("{more} more processes {still}: the report has what each of them does"));
    alive.iter().take(SURVIVORS).map(|process| line(process)).chain(more).collect()
}

/// What a thread does, as far as its state letter says (`proc_pid_stat(5)`); or what it did, when `is` says so.
fn state_of(thread: Option<&ThreadFacts>, is: &str) -> String {
    match thread.map(|thread| thread.state) {
        Some('R') => format!("it {is} on a CPU"),
        Some('D') if is == "was" => "it waited for I/O and could not be interrupted".to_owned(),
        Some('D') => "it waits for I/O and cannot be interrupted".to_owned(),
        Some('T' | 't') => format!("it {is} stopped by a signal or a debugger"),
        _ => "what it does cannot be seen".to_owned(),
    }
}

/// What happened, without what it waited for; `limit` is the one that was missed. The summaries of `exited` and
/// `crashed` begin with the same words.
pub fn headline(report: &Report, limit: Option<Duration>) -> String {
    let name = &report.service;
    let set = report.limits.get("start_timeout_ms").and_then(serde_json::Value::as_u64).map(Duration::from_millis);
    let limit = |else_: Option<Duration>| limit.or(else_).map(words::setting);
    let before = if report.timeline.iter().any(|entry| entry.event == "ready") { "" } else { " before it was ready" };
    match report.kind {
        Occasion::StartTimeout => {
            let time = Duration::from_millis(report.elapsed_ms);
            let elapsed = words::span(time);
            // A report comes a moment after its deadline.
            let later = |set: &Duration| time >= *set + Duration::from_millis(500);
            let asked = set.filter(|_| report.limits.get("extended_by_service").is_some()).filter(later);
            match report.limits.get("extensions").and_then(serde_json::Value::as_u64).unwrap_or(0) {
                0 if asked.is_some() => {
                    let set = asked.map(words::setting).unwrap_or_default();
                    format!("{name} was not ready within {elapsed}, its start_timeout of {set} extended as it asked")
                }
                0 => format!("{name} was not ready within {}", limit(set).unwrap_or(elapsed)),
                1 => format!("{name} was not ready within {elapsed}, its deadline extended once while it got on"),
                more => {
                    format!("{name} was not ready within {elapsed}, its deadline extended {more} times while it got on")
                }
            }
        }
        Occasion::ExecFailed | Occasion::Preflight => {
            format!("{name} could not be started: {}", report.verdict.summary)
        }
        Occasion::Requirement => format!("{name} was not started: a requirement did not answer"),
        Occasion::Exited | Occasion::Crashed => match (report.exit.code, report.exit.signal) {
            (Some(code), _) => format!("{name} exited with code {code}{before}"),
            (None, Some(signal)) => format!("{name} was ended by {signal}{before}"),
            (None, None) => format!("{name} ended{before}"),
        },
        Occasion::OutOfMemory => format!("{name} was killed by the memory limit"),
        Occasion::Watchdog => match limit(None) {
            Some(limit) => format!("{name} did not send WATCHDOG=1 within {limit}"),
            None => format!("{name} did not send WATCHDOG=1 in time"),
        },
        Occasion::StopTimeout => not_stopped(report, limit),
        Occasion::Requested => format!("{name} was looked at"),
    }
}

/// Within which limit it has not stopped. While another generation serves in its place it is said which one is meant.
fn not_stopped(report: &Report, limit: impl Fn(Option<Duration>) -> Option<String>) -> String {
    let name = &report.service;
    let set = |key: &str| report.limits.get(key).and_then(serde_json::Value::as_u64).map(Duration::from_millis);
    if let Some(drain) = set("drain_timeout_ms").map(words::setting) {
        return format!("generation {} of {name} did not stop within {drain} (drain_timeout)", report.generation);
    }
    if let Some(left) = set("stop_budget_left_ms").map(words::setting) {
        return format!("{name} did not stop within {left}, which is what the stop_budget left to it");
    }
    match limit(set("stop_timeout_ms")) {
        Some(limit) => format!("{name} did not stop within {limit}"),
        None => format!("{name} did not stop in time"),
    }
}

/// What happened and why, as one line of a log.
pub fn line(report: &Report, limit: Option<Duration>) -> String {
    let (headline, summary) = (headline(report, limit), &report.verdict.summary);
    match summary.strip_prefix(headline.as_str()) {
        Some(rest) => format!("{headline}{rest}"),
        None if headline.ends_with(summary.as_str()) => headline,
        None => format!("{headline}: {summary}"),
    }
}

fn why(report: &Report, headline: &str) -> Vec<String> {
    let verdict = &report.verdict;
    if matches!(report.kind, Occasion::ExecFailed | Occasion::Preflight) {
        // The headline has said it, mostly with who; what shows it may add more.
        let holder = |line: &str| line.strip_prefix("held by pid ")?.split(':').next()?.parse().ok();
        let new = |line: &&String| !holder(line).is_some_and(|pid| names(headline, pid));
        return verdict.evidence.iter().filter(new).take(2).cloned().collect();
    }
    // What the headline has said already is not said again.
    let summary = match verdict.summary.strip_prefix(headline) {
        Some(rest) => rest.trim_start_matches([',', ' ', ':']),
        None => &verdict.summary,
    };
    let mut lines: Vec<String> = (!summary.is_empty()).then(|| hedged(verdict, summary)).into_iter().collect();
    lines.extend(verdict.frame.as_ref().map(|frame| match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{}  {file}:{line}", frame.function),
        (Some(file), None) => format!("{}  {file}", frame.function),
        _ => frame.function.clone(),
    }));
    lines
}

/// A summary with its confidence, when that is not certain; `unknown` claims nothing.
fn hedged(verdict: &Verdict, summary: &str) -> String {
    match (verdict.confidence, verdict.cause) {
        (Confidence::Certain, _) | (_, Cause::Unknown) => summary.to_owned(),
        (Confidence::Likely, _) => format!("likely: {summary}"),
        (Confidence::Possible, _) => format!("possibly: {summary}"),
    }
}

fn also(report: &Report) -> Vec<String> {
    let mut parts = Vec::new();
    let alive = matches!(report.kind, Occasion::StartTimeout | Occasion::Watchdog | Occasion::Requested);
    let own = |pid: i32| report.processes.iter().any(|process| process.pid == pid);
    let holder_of = |port: &'_ PortFacts| port.owner.as_ref().and_then(|owner| owner.holders.first().cloned());
    // The verdict has said where it listens instead.
    let elsewhere = report.verdict.cause == Cause::ListeningElsewhere;
    let is_silent = |port: &&PortFacts| alive && !elsewhere && !port.listening && holder_of(port).is_none();
    let silent: Vec<String> = report.ports.iter().filter(is_silent).map(port_name).collect();
    match silent.as_slice() {
        [] => {}
        [port] => parts.push(format!("port {port} is declared but nothing listens")),
        ports => parts.push(format!("ports {} are declared but nothing listens", ports.join(", "))),
    }
    for port in &report.ports {
        let said = |pid: i32| names(&report.verdict.summary, pid);
        // A shared port is held by the generation that serves on, which keeps nobody from it.
        let shares = |of: &HolderFacts| {
            let same = of.kin == Kin::Child && of.service.as_ref() == Some(&report.service);
            port.mode == PortMode::Share && same
        };
        let is_told = |of: &HolderFacts| !port.listening && !own(of.pid) && !said(of.pid) && !shares(of);
        if let Some(holder) = holder_of(port).filter(is_told) {
            parts.push(format!(
                "port {} is held by pid {} ({})",
                port_name(port),
                holder.pid,
                mask::line(&holder.command)
            ));
        }
    }
    parts.extend(report.probe.as_ref().filter(|_| alive).and_then(|probe| readiness(probe, &report.verdict)));
    let last = report.output_tail.lines().rev().find(|line| !line.trim().is_empty());
    // The summary of an ending has it already.
    if let Some(line) = last.filter(|line| !report.verdict.summary.contains(line.trim())) {
        let age = report.output_age_ms.filter(|_| alive).map(Duration::from_millis);
        let when = age.map(|age| format!(" {} ago", words::span(age))).unwrap_or_default();
        parts.push(format!("last output{when}: \"{}\"", line.trim()));
    }
    if parts.is_empty() { Vec::new() } else { vec![parts.join("; ")] }
}

/// What it would be ready by, unless the verdict says so.
fn readiness(probe: &ProbeFacts, verdict: &Verdict) -> Option<String> {
    let last = probe.last_error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    let text = format!("it is ready when {}{last}", probe.wanted);
    (verdict.target.as_ref() != Some(&probe.wanted)).then_some(text)
}

/// Whether a text names this process.
fn names(text: &str, pid: i32) -> bool {
    [format!("pid {pid},"), format!("pid {pid})")].iter().any(|name| text.contains(name))
}

fn port_name(port: &PortFacts) -> String {
    match &port.listen {
        Listen::Tcp(address) => address.port().to_string(),
        Listen::Udp(address) => format!("{}/udp", address.port()),
        Listen::Unix(path) => path.display().to_string(),
    }
}

fn next(report: &Report, context: &Context<'_>) -> String {
    match (report.kind, context.next) {
        (Occasion::StopTimeout, _) if context.killed => "nothing: what was left of it was sent SIGKILL".to_owned(),
        (Occasion::StopTimeout, _) => "SIGKILL to what is left of it".to_owned(),
        (_, Next::Attempt(after)) => format!("restart in {}", words::span(after)),
        (_, Next::OldStays) => "it is removed, and the generation before it serves on".to_owned(),
        (_, Next::NewTakesOver) => "the generation that was started beside it takes its place".to_owned(),
        (_, Next::Nothing) => "it is not started again".to_owned(),
    }
}

/// Adds a section: its label, then its lines, wrapped, at most `most` of them; nothing when there are none.
fn section(text: &mut String, style: Style, label: &str, most: usize, lines: &[String]) {
    let lead = format!("  {label:<4}  ");
    // A long label moves its first line to the right, and with it the whole section.
    let indent = width(&lead).max(INDENT);
    let columns = style.columns() - indent;
    let wrapped: Vec<String> = lines.iter().flat_map(|line| wrap(&clean(line), columns)).collect();
    for (index, line) in cap(wrapped, most, columns).iter().enumerate() {
        match index {
            0 => text.push_str(&format!("{}{line}\n", style.paint(Paint::Dim, &lead))),
            _ => text.push_str(&format!("{:indent$}{line}\n", "")),
        }
    }
}
