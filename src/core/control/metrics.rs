//! `/metrics`: the OpenMetrics text format
//! (<https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>).
//!
//! Written here and not by a library: those keep counters of their own that are updated as things happen, and what is
//! asked for here is a picture of one moment.

use std::fmt::Write as _;

use crate::core::service::State;

use super::Answer;
use super::status::{ServiceStatus, Status};

/// What the format is called in a `Content-Type`.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All numbers.
pub fn metrics(status: &Status) -> Answer {
    let mut text = Text(String::new());
    let launcher = &status.launcher;
    text.family("launcher_build", "info", "Which launcher this is.");
    let about = &launcher.about;
    text.sample("launcher_build_info", &[("version", &about.version), ("name", &about.name)], 1);
    text.family("launcher_uptime_seconds", "gauge", "For how long launcher has run.");
    text.sample("launcher_uptime_seconds", &[], seconds(launcher.uptime_ms));
    for (name, help, value) in [
        ("launcher_ready", "Whether every service is ready.", launcher.ready),
        ("launcher_healthy", "Whether no service has failed and no breaker is open.", launcher.healthy),
        ("launcher_stopping", "Whether all services are being stopped.", launcher.stopping),
    ] {
        text.family(name, "gauge", help);
        text.sample(name, &[], u8::from(value));
    }
    states(&mut text, &status.services);
    reports(&mut text, &status.services);
    ports(&mut text, &status.services);
    for family in FAMILIES {
        text.family(family.name, family.kind, family.help);
        let suffix = if family.kind == "counter" { "_total" } else { "" };
        for service in &status.services {
            if let Some(value) = (family.value)(service) {
                text.sample(&format!("{}{suffix}", family.name), &[("service", &service.name)], value);
            }
        }
    }
    text.0.push_str("# EOF\n");
    Answer { content_type: CONTENT_TYPE, ..Answer::text(200, text.0) }
}

/// A family with one number a service.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&ServiceStatus) -> Option<String>,
}

const fn gauge(name: &'static str, help: &'static str, value: fn(&ServiceStatus) -> Option<String>) -> Family {
    Family { name, kind: "gauge", help, value }
}

const fn counter(name: &'static str, help: &'static str, value: fn(&ServiceStatus) -> Option<String>) -> Family {
    Family { name, kind: "counter", help, value }
}

/// Those that have one number a service.
const FAMILIES: [Family; 12] = [
    gauge("launcher_service_ready", "Whether those that come after it may run.", |it| flag(it.ready)),
    gauge("launcher_service_in_state_seconds", "For how long it has been in its state.", |it| {
        Some(seconds(it.since_ms))
    }),
    gauge("launcher_service_attempt", "Attempts since it was last ready.", |it| Some(it.attempt.to_string())),
    gauge("launcher_service_failures_in_a_row", "Failed generations in a row.", |it| {
        Some(it.failures_in_a_row.to_string())
    }),
    gauge("launcher_service_breaker_open", "Whether its breaker is open.", |it| flag(it.breaker_open)),
    gauge("launcher_service_start_duration_seconds", "How long its last start took until it was ready.", |it| {
        it.start_took_ms.map(seconds)
    }),
    gauge("launcher_service_processes", "How many processes it has.", |it| Some(it.processes.to_string())),
    gauge("launcher_service_memory_bytes", "Memory of its processes that is theirs alone.", |it| {
        it.memory_bytes.map(|bytes| bytes.to_string())
    }),
    counter("launcher_service_generations", "How often a start of it was begun.", |it| Some(it.generation.to_string())),
    counter("launcher_service_starts", "How often it was executed.", |it| Some(it.starts.to_string())),
    counter("launcher_service_readies", "How often it became ready.", |it| Some(it.readies.to_string())),
    counter("launcher_service_breaker_openings", "How often its breaker opened.", |it| {
        Some(it.breaker_opened.to_string())
    }),
];

fn flag(value: bool) -> Option<String> {
    Some(u8::from(value).to_string())
}

fn states(text: &mut Text, services: &[ServiceStatus]) {
    let name = "launcher_service_state";
    text.family(name, "stateset", "The state it is in.");
    for service in services {
        for state in State::ALL {
            let is = u8::from(service.state == state.name());
            text.sample(name, &[("service", &service.name), (name, state.name())], is);
        }
    }
}

fn reports(text: &mut Text, services: &[ServiceStatus]) {
    text.family("launcher_service_reports", "counter", "Reports of each kind: why a start or a stop failed.");
    for service in services {
        for (kind, count) in &service.reports {
            text.sample("launcher_service_reports_total", &[("service", &service.name), ("kind", kind)], count);
        }
    }
}

fn ports(text: &mut Text, services: &[ServiceStatus]) {
    let name = "launcher_service_port_listening";
    text.family(name, "gauge", "Whether somebody listens on a port of it.");
    for service in services {
        for port in &service.ports {
            let labels = [("service", service.name.as_str()), ("port", &port.name), ("listen", &port.listen)];
            text.sample(name, &labels, u8::from(port.listening));
        }
    }
}

/// The text as it grows.
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
        let unit = ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(&format!("_{unit}")));
        if let Some(unit) = unit {
            let _ = writeln!(self.0, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.0, "# HELP {name} {help}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        if !labels.is_empty() {
            let label = |(name, value): &(&str, &str)| format!("{name}=\"{}\"", escaped(value));
            let labels: Vec<String> = labels.iter().map(label).collect();
            let _ = write!(self.0, "{{{}}}", labels.join(","));
        }
        let _ = writeln!(self.0, " {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::control::status::PortStatus;

    /// The whole text is put to Prometheus' own parser by `tests/blackbox`.
    #[test]
    fn numbers_have_their_names_and_labels() {
        let mut service =
            ServiceStatus { name: "api".into(), state: "ready".into(), ready: true, ..Default::default() };
        service.starts = 3;
        service.start_took_ms = Some(1250);
        service.reports.insert("exited".into(), 2);
        service.ports.push(PortStatus { name: "http".into(), listen: "unix:/a\"b\\c\nd".into(), listening: true });
        let mut status = Status { services: vec![service], ..Status::default() };
        status.launcher.about.version = "1.2.3".into();
        let answer = metrics(&status);
        assert!(answer.content_type.starts_with("application/openmetrics-text; version=1.0.0"));
        for line in [
            "launcher_build_info{version=\"1.2.3\",name=\"\"} 1",
            "# TYPE launcher_service_starts counter",
            "launcher_service_starts_total{service=\"api\"} 3",
            "# UNIT launcher_service_start_duration_seconds seconds",
            "launcher_service_start_duration_seconds{service=\"api\"} 1.250",
            "launcher_service_state{service=\"api\",launcher_service_state=\"ready\"} 1",
            "launcher_service_state{service=\"api\",launcher_service_state=\"failed\"} 0",
            "launcher_service_reports_total{service=\"api\",kind=\"exited\"} 2",
            r#"launcher_service_port_listening{service="api",port="http",listen="unix:/a\"b\\c\nd"} 1"#,
        ] {
            assert!(answer.body.lines().any(|found| found == line), "{line} in\n{}", answer.body);
        }
        assert!(answer.body.ends_with("# EOF\n"));
        assert!(!answer.body.contains("launcher_service_memory_bytes{"), "what is not known is left out");
    }
}
