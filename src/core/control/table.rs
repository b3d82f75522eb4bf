//! `launcher status`: one line a service, for a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use crate::core::report::text::{Style, clean, cut};
use crate::core::units::{human_duration, human_size};

use super::status::{BesideStatus, ServiceStatus, Status};

/// Which column the state is in.
const STATE: usize = 1;

/// All services, or the one of this name with all that is known of it. `None` when there is no such service.
pub fn table(status: &Status, only: Option<&str>, style: Style) -> Option<String> {
    match only {
        None => Some(all(status, style)),
        Some(name) => status.service(name).map(|service| one(service, style)),
    }
}

fn all(status: &Status, style: Style) -> String {
    let launcher = &status.launcher;
    let about = &launcher.about;
    let uptime = human_duration(Duration::from_millis(launcher.uptime_ms));
    let state = match (launcher.stopping, launcher.ready) {
        (true, _) => "stopping",
        (_, true) => "ready",
        _ => "not ready",
    };
    let mut text = format!("{}: {state}, up {uptime}, pid {}, {}\n", about.name, about.pid, clean(&about.folder));
    let head = ["service", "state", "since", "pid", "starts", "memory", ""].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(status.services.iter().map(row)).collect();
    let mut widths = [0; 7];
    for row in &rows {
        widths.iter_mut().zip(row).for_each(|(width, cell)| *width = cell.chars().count().max(*width));
    }
    for (index, row) in rows.iter().enumerate() {
        let [head @ .., detail] = row;
        let mut line = String::new();
        for (column, (cell, width)) in head.iter().zip(widths).enumerate() {
            let padded = format!("{cell:width$}");
            let _ = write!(line, "{}  ", if column == STATE && index > 0 { in_colour(&padded, style) } else { padded });
        }
        let taken: usize = widths.iter().take(head.len()).map(|width| width + 2).sum();
        line.push_str(&cut(detail, style.columns().saturating_sub(taken).max(20)));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn row(service: &ServiceStatus) -> [String; 7] {
    [
        service.name.clone(),
        service.state.clone(),
        human_duration(Duration::from_millis(service.since_ms)),
        service.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        service.starts.to_string(),
        service.memory_bytes.map_or_else(|| "-".to_owned(), human_size),
        clean(&detail(service)),
    ]
}

/// What there is to say of a service beside its state.
fn detail(service: &ServiceStatus) -> String {
    if let Some(beside) = &service.beside {
        return words(beside);
    }
    let first = |text: &String| text.lines().next().unwrap_or_default().to_owned();
    match service.waits_for.first() {
        Some(waits) if service.waits_for.len() > 1 => {
            format!("waits for {waits}, and {} more", service.waits_for.len() - 1)
        }
        Some(waits) => format!("waits for {waits}"),
        None if service.ready => service.status.as_ref().map(first).unwrap_or_default(),
        None => match (&service.verdict, service.exit_code) {
            (Some(verdict), _) if service.state == "failed" => verdict.summary.clone(),
            (_, Some(code)) => format!("exit code {code}"),
            _ => String::new(),
        },
    }
}

/// What the generation beside the one that serves is.
fn words(beside: &BesideStatus) -> String {
    let number = beside.generation;
    let percent = beside.percent.map(|percent| format!("{percent}% of new connections")).unwrap_or_default();
    match (beside.part.as_str(), beside.state.as_str()) {
        ("canary", "ready") => format!("generation {number} is its canary, with {percent}"),
        ("leaving", _) => format!("generation {number} ends what it has begun"),
        (_, state) if percent.is_empty() => format!("generation {number} is {state} beside it"),
        (_, state) => format!("generation {number} is {state} beside it, as a canary with {percent}"),
    }
}

/// Everything about one service, a line each.
fn one(service: &ServiceStatus, style: Style) -> String {
    let since = human_duration(Duration::from_millis(service.since_ms));
    let mut text = format!("{}: {}, since {since}\n", service.name, in_colour(&service.state, style));
    let mut line = |key: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {key:<10}{}", clean(&value));
        }
    };
    service.waits_for.iter().for_each(|waits| line("waits for", waits.clone()));
    line("says", service.status.clone().unwrap_or_default());
    if let Some(pid) = service.pid {
        let memory = service.memory_bytes.map(|bytes| format!(", {}", human_size(bytes))).unwrap_or_default();
        let others = if service.processes > 1 { format!(", {} processes", service.processes) } else { String::new() };
        line("pid", format!("{pid}{others}{memory}"));
    }
    if service.generation > 0 {
        let took = service.start_took_ms.map(|took| human_duration(Duration::from_millis(took)));
        let took = took.map(|took| format!(", the last start took {took}")).unwrap_or_default();
        line(
            "starts",
            format!("{} (generation {}, attempt {}{took})", service.starts, service.generation, service.attempt),
        );
    }
    if let Some(beside) = &service.beside {
        let pid = beside.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
        line("beside", format!("{}{pid}", words(beside)));
    }
    line("exit code", service.exit_code.map(|code| code.to_string()).unwrap_or_default());
    for port in &service.ports {
        let listens = if port.listening { "listening" } else { "nothing listens" };
        line("port", format!("{} {}, {listens}", port.name, port.listen));
    }
    if let Some(verdict) = &service.verdict {
        let age = format!("generation {}, {}", verdict.generation, verdict.time);
        line("failure", format!("{} ({age})", verdict.summary));
        line("report", verdict.report.clone().unwrap_or_default());
    }
    text
}

fn in_colour(state: &str, style: Style) -> String {
    let colour = match state.trim_end() {
        _ if !style.colour => return state.to_owned(),
        "ready" => 32,
        "failed" | "open" => 31,
        "stopped" => 2,
        _ => 33,
    };
    format!("\x1b[{colour}m{state}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::control::status::PortStatus;

    fn status() -> Status {
        let mut status = Status::default();
        status.launcher.about.name = "shop".into();
        status.launcher.about.folder = "/srv/shop".into();
        status.launcher.about.pid = 7;
        status.launcher.uptime_ms = 61_000;
        let service = |name: &str, state: &str| ServiceStatus {
            name: name.into(),
            state: state.into(),
            ready: state == "ready",
            since_ms: 1500,
            ..ServiceStatus::default()
        };
        let (mut api, mut db) = (service("api", "starting"), service("db", "ready"));
        api.waits_for = vec!["READY=1 from its\u{1b}[31m processes".into()];
        db.pid = Some(4711);
        db.memory_bytes = Some(2048);
        db.starts = 2;
        db.generation = 2;
        db.ports.push(PortStatus { name: "pg".into(), listen: "tcp://127.0.0.1:5432".into(), listening: true });
        status.services = vec![api, db];
        status
    }

    #[test]
    fn a_line_a_service() {
        let text = table(&status(), None, Style { width: 100, colour: false }).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "shop: not ready, up 1m 1s, pid 7, /srv/shop",
                "service  state     since  pid   starts  memory",
                "api      starting  1.5 s  -     0       -       waits for READY=1 from its\\x1b[31m processes",
                "db       ready     1.5 s  4711  2       2 KiB",
            ]
        );
        let coloured = table(&status(), None, Style { width: 100, colour: true }).unwrap();
        assert!(coloured.contains("db       \x1b[32mready   \x1b[0m  1.5 s"), "{coloured}");
        let narrow = table(&status(), None, Style { width: 60, colour: false }).unwrap();
        assert!(narrow.lines().all(|line| line.chars().count() < 70), "{narrow}");
    }

    #[test]
    fn a_generation_beside_the_one_that_serves_is_shown() {
        for (part, state, percent, expected) in [
            ("successor", "starting", None, "generation 3 is starting beside it"),
            (
                "successor",
                "checking",
                Some(10),
                "generation 3 is checking beside it, as a canary with 10% of new connections",
            ),
            ("canary", "ready", Some(10), "generation 3 is its canary, with 10% of new connections"),
            ("leaving", "stopping", None, "generation 3 ends what it has begun"),
        ] {
            let mut status = status();
            let (part, state, pid) = (part.to_owned(), state.to_owned(), Some(12));
            status.services[1].beside = Some(BesideStatus { generation: 3, part, state, pid, percent });
            let text = table(&status, None, Style { width: 150, colour: false }).unwrap();
            assert!(text.contains(&format!("2 KiB   {expected}\n")), "{text}");
            let text = table(&status, Some("db"), Style::default()).unwrap();
            assert!(text.contains(&format!("  beside    {expected}, pid 12\n")), "{text}");
        }
    }

    #[test]
    fn one_service_in_full() {
        let text = table(&status(), Some("db"), Style::default()).unwrap();
        assert!(text.starts_with("db: ready, since 1.5 s\n"), "{text}");
        assert!(text.contains("  starts    2 (generation 2, attempt 0)\n"), "{text}");
        assert!(text.contains("  port      pg tcp://127.0.0.1:5432, listening\n"), "{text}");
        assert_eq!(table(&status(), Some("web"), Style::default()), None);
    }
}
