//! `launcher report`: the last report of a service, as text or as it was written.

use std::io::{self, Write as _};
use std::path::Path;

use crate::core::exit::code;
use crate::core::report::{Report, text};
use crate::run::log;
use crate::run::reports::ReportStore;

/// Prints the newest report of `service`, or of the service that got one last. Returns the exit code.
pub fn report(service: Option<&str>, report_dir: Option<&Path>, json: bool) -> i32 {
    let store = ReportStore::at(report_dir);
    match find(&store, service).and_then(|text| show(&text, json)) {
        Ok(()) => 0,
        Err(problem) => {
            eprintln!("launcher: {problem}");
            code::PREFLIGHT
        }
    }
}

/// The newest report's JSON text.
fn find(store: &ReportStore, service: Option<&str>) -> Result<String, String> {
    let known = store.services().map_err(|problem| format!("the reports cannot be listed: {problem}"))?;
    let place = store.root().display();
    let Some(service) = service.or(known.first().map(String::as_str)) else {
        return Err(format!("there is no report in {place}: no service failed there, or --report-dir was another one"));
    };
    let path = store.latest(service);
    std::fs::read_to_string(&path).map_err(|problem| match problem.kind() {
        io::ErrorKind::NotFound if known.is_empty() => format!("there is no report of {service} in {place}"),
        io::ErrorKind::NotFound => {
            format!("there is no report of {service} in {place}; there are reports of {}", known.join(", "))
        }
        _ => format!("{} cannot be read: {problem}", path.display()),
    })
}

fn show(json: &str, as_json: bool) -> Result<(), String> {
    let text = if as_json {
        json.to_owned()
    } else {
        let report = Report::from_json(json).map_err(|problem| format!("the report cannot be shown: {problem}"))?;
        text::full(&report, log::style(&io::stdout()))
    };
    // A reader that has seen enough (`| head`) is no error.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(())
}
