//! `launcher check`: preflight alone, every finding and not only the first.

use std::io::Write;

use crate::core::exit::code;
use crate::core::facts::Refusal;
use crate::core::settings::Settings;
use crate::run::preflight;

/// Checks every service and writes what it finds, with what can be done about it, to `out`, which is stderr: it is for
/// a person.
///
/// The exit code is 0 when nothing is in the way; 126 or 127 when nothing but programs is, by the first of them; else
/// 71.
pub fn check(settings: &Settings, out: &mut dyn Write) -> i32 {
    let mut all = Vec::new();
    for service in &settings.services {
        let found = preflight::findings(service);
        // Nobody is left to be told when stderr is closed: the exit code says it still.
        let _ = out.write_all(text(&service.name, &found).as_bytes());
        all.extend(found);
    }
    exit_code(&all)
}

fn exit_code(findings: &[Refusal]) -> i32 {
    let codes: Vec<i32> = findings
        .iter()
        .map(|finding| match finding {
            Refusal::Exec(failure) => failure.problem.exit_code(),
            Refusal::Port(_) => code::PREFLIGHT,
        })
        .collect();
    match codes.first() {
        None => 0,
        Some(_) if codes.contains(&code::PREFLIGHT) => code::PREFLIGHT,
        Some(first) => *first,
    }
}

fn text(service: &str, findings: &[Refusal]) -> String {
    if findings.is_empty() {
        return format!("✓ {service}: nothing is in the way\n");
    }
    let mut text = String::new();
    for finding in findings {
        let (summary, advice) = match finding {
            Refusal::Exec(failure) => (&failure.summary, &failure.advice),
            Refusal::Port(failure) => (&failure.summary, &failure.advice),
        };
        text.push_str(&format!("✗ {service}: {summary}\n"));
        for line in advice {
            text.push_str(&format!("    try {line}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::core::config::listen::listen as parse_listen;
    use crate::core::exec_words::{Finding, explain};
    use crate::core::port_words::{self, RawPortFailure};

    use super::*;
    use crate::core::facts::PortProblem;

    fn exec(finding: &Finding) -> Refusal {
        Refusal::Exec(explain(finding))
    }

    fn port() -> Refusal {
        let raw = RawPortFailure {
            problem: PortProblem::Taken,
            errno: Some(98),
            unprivileged_from: None,
            addresses: Vec::new(),
        };
        Refusal::Port(port_words::failure("http", &parse_listen("127.0.0.1:1").unwrap(), &raw, None))
    }

    #[test]
    fn the_exit_code_is_that_of_what_is_in_the_way() {
        let missing = exec(&Finding::Missing { path: "/x".to_owned(), near: vec![], directory: None });
        let directory = exec(&Finding::Directory { path: "/".to_owned() });
        let closed = exec(&Finding::WorkingDirectory { path: "/".to_owned(), errno: 13, uid: None });
        assert_eq!(exit_code(&[]), 0);
        assert_eq!(exit_code(std::slice::from_ref(&missing)), 127);
        assert_eq!(exit_code(std::slice::from_ref(&directory)), 126);
        assert_eq!(exit_code(&[directory, missing.clone()]), 126);
        assert_eq!(exit_code(&[missing.clone(), port()]), 71);
        assert_eq!(exit_code(&[missing, closed]), 71);
    }

    #[test]
    fn every_finding_has_its_line() {
        let missing = exec(&Finding::Missing { path: "/x".to_owned(), near: vec![], directory: None });
        let text = text("api", &[missing, port()]);
        assert_eq!(text.lines().filter(|line| line.starts_with("✗ api: ")).count(), 2, "{text}");
        assert!(text.contains("/x does not exist") && text.contains("port http (tcp://127.0.0.1:1)"), "{text}");
    }
}
