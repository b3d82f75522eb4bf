//! `--expect URL=STATUS`: what a server must answer once everything is ready.

use std::ffi::OsStr;
use std::time::Duration;

use crate::core::config::expand::{expand, placeholders};
use crate::core::config::value::ValueError;
use crate::core::requirement::Target;
use crate::core::settings::RequirementSettings;

use super::moved::{Move, follow_target};

/// How long it is asked again: what is ready answers, but what it stands on may still be warming up.
const LIMIT: Duration = Duration::from_secs(5);

/// A URL, in which `{port.NAME}` may stand for a port's number, and the statuses that it may answer with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    url: String,
    statuses: Vec<u16>,
}

/// Reads one.
///
/// # Errors
/// It is not of this form, or the URL is not one of HTTP.
pub fn expectation(text: &str) -> Result<Expectation, ValueError> {
    let hint = "write URL=STATUS, such as http://127.0.0.1:8080/healthz=200";
    let Some((url, statuses)) = text.rsplit_once('=') else {
        return Err(ValueError::new("there is no status that is expected", hint));
    };
    let status = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (100..600).contains(status));
    let Some(statuses) = statuses.split(',').map(status).collect::<Option<Vec<u16>>>() else {
        let message = format!("{statuses:?} is no status of HTTP");
        return Err(ValueError::new(message, format!("{hint}; several are separated by commas")));
    };
    let expectation = Expectation { url: url.to_owned(), statuses };
    // The number is not known yet; whatever it is, the rest of the URL must be right.
    expectation.settings(|_| Some(1))?;
    Ok(expectation)
}

impl Expectation {
    /// The names of the ports that stand in its URL: `http`, or `api.http` where several services have one.
    pub fn ports(&self) -> Vec<String> {
        placeholders(OsStr::new(&self.url))
    }

    /// What is to be asked, with the ports as they are: each with its service, its name and its number.
    ///
    /// # Errors
    /// It names no port that has a number, or one that several services have.
    pub fn resolve(&self, ports: &[(String, String, u16)], moves: &[Move]) -> Result<RequirementSettings, ValueError> {
        for name in self.ports() {
            find(&name, ports)?;
        }
        let mut settings = self.settings(|name| find(name, ports).ok())?;
        let shown = settings.target.shown.clone();
        settings.target.shown = follow_target(&mut settings.target, moves, &shown);
        Ok(settings)
    }

    fn settings(&self, number: impl Fn(&str) -> Option<u16>) -> Result<RequirementSettings, ValueError> {
        let wrong = || ValueError::new(format!("{:?} names no port", self.url), "write {port.NAME}");
        let url = expand(OsStr::new(&self.url), number).map_err(|_| wrong())?;
        let mut target = Target::parse(&url.to_string_lossy())?;
        let shown = target.shown.clone();
        let Some(request) = target.http() else {
            let message = format!("{shown:?} is not a URL of HTTP");
            return Err(ValueError::new(message, "write http:// or https://; other servers are for --require"));
        };
        request.expected.status.clone_from(&self.statuses);
        let mut settings = RequirementSettings::new(target);
        settings.timeout = LIMIT;
        settings.breaker = None;
        Ok(settings)
    }
}

/// The number of a port by its name, or by its service's and its name.
fn find(asked: &str, ports: &[(String, String, u16)]) -> Result<u16, ValueError> {
    let of = |(service, name, _): &&(String, String, u16)| *name == asked || format!("{service}.{name}") == asked;
    let mut found = ports.iter().filter(of);
    match (found.next(), found.next()) {
        (Some((_, _, number)), None) => Ok(*number),
        (None, _) => {
            let all: Vec<String> =
                ports.iter().map(|(service, name, _)| format!("{{port.{service}.{name}}}")).collect();
            let hint = match all.is_empty() {
                true => "declare the port, or write its number".to_owned(),
                false => format!("there are {}", all.join(", ")),
            };
            Err(ValueError::new(format!("{{port.{asked}}} names no port with a number"), hint))
        }
        (Some((first, ..)), Some((second, ..))) => Err(ValueError::new(
            format!("{{port.{asked}}} is a port of {first} and of {second}"),
            format!("write {{port.{first}.{asked}}} or {{port.{second}.{asked}}}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_and_its_statuses_are_read() {
        let ports = [("api", "http", 4000), ("web", "http", 4001), ("web", "admin", 4002)]
            .map(|(service, port, number)| (service.to_owned(), port.to_owned(), number));
        let resolved = |text: &str| {
            let settings = expectation(text)?.resolve(&ports, &[])?;
            let mut target = settings.target.clone();
            Ok::<_, ValueError>((target.shown.clone(), target.http().unwrap().expected.status.clone()))
        };
        let expected = ("http://127.0.0.1:4002/x".to_owned(), vec![200, 204]);
        assert_eq!(resolved("http://127.0.0.1:{port.admin}/x?a=b=200,204"), Ok(expected));
        assert_eq!(resolved("http://h:{port.api.http}/=302").unwrap().0, "http://h:4000/");
        for (text, message) in [
            ("http://h/", "there is no status that is expected"),
            ("http://h/?a=b", "\"b\" is no status of HTTP"),
            ("http://h/=20", "\"20\" is no status of HTTP"),
            ("tcp://h:1=200", "\"tcp://h:1\" is not a URL of HTTP"),
            ("h=200", "\"h\" is not a URL"),
            ("http://h:{port.http}/=200", "{port.http} is a port of api and of web"),
            ("http://h:{port.x}/=200", "{port.x} names no port with a number"),
        ] {
            assert_eq!(resolved(text).unwrap_err().message, message, "{text}");
        }
    }
}
