//! What probes are answered: whether the launcher lives, whether a service has failed, whether all are ready.

use std::fmt::Write as _;

use super::Answer;
use super::status::{ServiceStatus, Status};

/// `/livez`: it lives, for it answers.
pub fn livez() -> Answer {
    Answer::text(200, "ok\n")
}

/// `/healthz`: no service has failed and no breaker is open.
pub fn healthz(status: &Status) -> Answer {
    if status.launcher.healthy {
        return Answer::text(200, "ok\n");
    }
    let mut text = String::new();
    for service in &status.services {
        if matches!(service.state.as_str(), "failed" | "open") {
            let why = service.verdict.as_ref().map(|verdict| format!(": {}", verdict.summary)).unwrap_or_default();
            let what = if service.breaker_open { "its breaker is open" } else { "has failed" };
            let _ = writeln!(text, "{}: {what}{why}", service.name);
        }
    }
    Answer::text(503, text)
}

/// `/readyz`: every service is ready; else those that are not, each with what it waits for.
pub fn readyz(status: &Status) -> Answer {
    if status.launcher.ready {
        return Answer::text(200, "ok\n");
    }
    let mut text = String::new();
    if status.launcher.stopping {
        text.push_str("all services are being stopped\n");
    }
    for service in status.services.iter().filter(|service| !service.ready) {
        let _ = writeln!(text, "{}: {}", service.name, why_not_ready(service));
    }
    Answer::text(503, text)
}

/// Its state, what it waits for, and what its last failure was.
pub fn why_not_ready(service: &ServiceStatus) -> String {
    let mut text = service.state.clone();
    if !service.waits_for.is_empty() {
        let _ = write!(text, ", waits for {}", service.waits_for.join("; "));
    }
    if let Some(said) = &service.status {
        let _ = write!(text, "; it says: {}", said.lines().next().unwrap_or_default());
    }
    if let Some(verdict) = &service.verdict {
        let _ = write!(text, "; last failure: {}", verdict.summary);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::control::status::VerdictStatus;

    fn service(name: &str, state: &str) -> ServiceStatus {
        ServiceStatus { name: name.into(), state: state.into(), ready: state == "ready", ..ServiceStatus::default() }
    }

    #[test]
    fn those_that_are_not_ready_are_listed_with_their_reasons() {
        let mut status =
            Status { services: vec![service("db", "starting"), service("api", "ready")], ..Status::default() };
        status.services[0].waits_for = vec!["READY=1 from its processes".into()];
        status.services[0].status = Some("recovering\nmore".into());
        let answer = readyz(&status);
        assert_eq!(answer.code, 503);
        assert_eq!(answer.body, "db: starting, waits for READY=1 from its processes; it says: recovering\n");
        status.launcher.ready = true;
        assert_eq!(readyz(&status), Answer::text(200, "ok\n"));
        status.launcher.ready = false;
        status.launcher.stopping = true;
        assert!(readyz(&status).body.starts_with("all services are being stopped\n"));
    }

    #[test]
    fn a_failure_is_told_with_its_verdict() {
        let mut status =
            Status { services: vec![service("api", "failed"), service("db", "open")], ..Status::default() };
        status.services[1].breaker_open = true;
        let (kind, cause) = ("exited".to_owned(), "exited".to_owned());
        let summary = "it ended with exit code 3".to_owned();
        status.services[0].verdict =
            Some(VerdictStatus { generation: 1, kind, cause, summary, time: String::new(), report: None });
        let answer = healthz(&status);
        assert_eq!(answer.code, 503);
        assert_eq!(answer.body, "api: has failed: it ended with exit code 3\ndb: its breaker is open\n");
        status.launcher.healthy = true;
        assert_eq!(healthz(&status).code, 200);
    }
}
