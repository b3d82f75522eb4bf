//! A trial as JUnit XML, which CI systems show: a test suite, a test case for each phase.

use std::fmt::Write as _;
use std::time::Duration;

use super::record::{Failure, PhaseRecord, Record, Status};

/// The record as a JUnit file; `time` is when the trial began, UTC: `2026-11-23T12:33:00Z`.
pub fn junit(record: &Record, time: &str) -> String {
    let count = |status| record.phases.iter().filter(|phase| phase.status == status).count();
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{}\"",
        record.phases.len(),
        count(Status::Failed),
        count(Status::Skipped),
        seconds(record.elapsed)
    );
    let name = escaped(&record.name);
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"launcher verify\" {counts}>\n  \
         <testsuite name=\"{name}\" {counts} timestamp=\"{}\">\n",
        escaped(time)
    );
    for phase in &record.phases {
        case(&mut xml, &name, phase);
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

fn case(xml: &mut String, name: &str, phase: &PhaseRecord) {
    let time = seconds(phase.elapsed);
    // Writing to a string does not fail.
    let _ = write!(xml, "    <testcase classname=\"{name}\" name=\"{}\" time=\"{time}\"", phase.phase.name());
    if phase.status == Status::Passed {
        xml.push_str("/>\n");
        return;
    }
    xml.push_str(">\n");
    if phase.status == Status::Skipped {
        xml.push_str("      <skipped message=\"not reached\"/>\n");
    }
    // More than one in a test case is not known to all who read such files.
    if let Some(first) = phase.failures.first() {
        let text: String = phase.failures.iter().map(body).collect();
        let (message, kind) = (escaped(&first.line()), escaped(&first.cause));
        let _ = writeln!(xml, "      <failure message=\"{message}\" type=\"{kind}\">{}</failure>", escaped(&text));
    }
    xml.push_str("    </testcase>\n");
}

/// All that is known of a failure, in lines.
fn body(failure: &Failure) -> String {
    let mut text = String::new();
    let mut line = |word: &str, value: &str| {
        let _ = writeln!(text, "{word:<7} {value}");
    };
    if let Some(service) = &failure.service {
        line("service", service);
    }
    if let Some(headline) = &failure.headline {
        line("what", headline);
    }
    line("why", &failure.summary);
    failure.evidence.iter().for_each(|evidence| line("seen", evidence));
    failure.advice.iter().for_each(|advice| line("try", advice));
    if let Some(report) = &failure.report {
        line("report", report);
    }
    line("exit", &failure.code.to_string());
    text
}

fn seconds(time: Duration) -> String {
    format!("{:.6}", time.as_secs_f64())
}

/// Text as XML 1.0 can hold it: what it cannot, control characters above all, is replaced.
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\t' | '\n' => xml.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => xml.push('\u{fffd}'),
            c => xml.push(c),
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use super::super::Phase;
    use super::*;

    #[test]
    fn every_phase_is_a_test_case_and_nothing_breaks_the_xml() {
        let failure = Failure {
            service: Some("a<b".to_owned()),
            code: 78,
            advice: vec!["say \"x\" & y".to_owned()],
            ..Failure::new(Phase::Config, "config", "wrong \u{1b}[31m<key>\0".to_owned())
        };
        let record = Record::ended_in("sh\"op", Duration::from_millis(2), failure);
        let xml = junit(&record, "2026-11-23T12:33:00Z");
        assert!(xml.contains("tests=\"6\" failures=\"1\" errors=\"0\" skipped=\"5\" time=\"0.002000\""), "{xml}");
        assert!(xml.contains("<testsuite name=\"sh&quot;op\""), "{xml}");
        let message = "<failure message=\"wrong \u{fffd}[31m&lt;key&gt;\u{fffd}\" type=\"config\">";
        assert!(xml.contains(message) && xml.contains("try     say &quot;x&quot; &amp; y\nexit    78\n"), "{xml}");
        for phase in Phase::ALL {
            assert_eq!(xml.matches(&format!("name=\"{}\" time=", phase.name())).count(), 1, "{xml}");
        }
        assert_eq!(xml.matches("<skipped").count(), 5);
    }
}
