//! What is said of requirements to a person.

use std::time::Duration;

use crate::core::facts::{RequirementFacts, RequirementFailure, RequirementProblem, Trouble};
use crate::core::settings::RequirementSettings;
use crate::core::units::{exact_duration, human_duration};

use super::target::{Place, Stream, Target, What};
use super::vigil::News;

/// The line about a requirement that does not answer yet, or does at last.
pub fn news(service: Option<&str>, news: &News) -> String {
    let waits = service.map_or_else(|| "waiting".to_owned(), |service| format!("{service} waits"));
    match news {
        News::Met { url, after, tries } => {
            format!("{url} answers, after {} ({})", human_duration(*after), times(*tries))
        }
        News::Missing { url, after, tries, error, slower, .. } => {
            let since = match tries {
                0 | 1 => String::new(),
                tries => format!(" ({} in {})", times(*tries), human_duration(*after)),
            };
            let slower = slower.map(|every| format!("; it is tried once in {} from here on", exact_duration(every)));
            format!("{waits} for {url}: {error}{since}{}", slower.unwrap_or_default())
        }
    }
}

fn times(tries: u32) -> String {
    if tries == 1 { "1 try".to_owned() } else { format!("{tries} tries") }
}

/// One requirement with all that is known of it.
pub fn line(fact: &RequirementFacts) -> String {
    let waited = human_duration(Duration::from_millis(fact.waited_ms));
    let tries = times(fact.tries);
    match (&fact.last_error, fact.met) {
        (_, true) => format!("{} answered after {waited} ({tries})", fact.url),
        (Some(error), false) => format!("{}: {error} ({tries} in {waited})", fact.url),
        (None, false) => format!("{}: no answer yet to {} ({tries} in {waited})", fact.url, fact.tried),
    }
}

/// Why a service was not started.
pub fn failure(settings: &[RequirementSettings], facts: Vec<RequirementFacts>, limit: Duration) -> RequirementFailure {
    let missing: Vec<(&RequirementSettings, &RequirementFacts)> =
        settings.iter().zip(&facts).filter(|(_, fact)| !fact.met).collect();
    let within = exact_duration(limit);
    let summary = match missing.as_slice() {
        [(_, one)] => {
            let error = one.last_error.clone().unwrap_or_else(|| format!("no answer to {}", one.tried));
            format!("{} did not answer within {within}: {error}", one.url)
        }
        several => {
            let urls: Vec<&str> = several.iter().map(|(_, fact)| fact.url.as_str()).collect();
            format!("{} did not answer within {within}", urls.join(" and "))
        }
    };
    let mut advice: Vec<String> = Vec::new();
    for (settings, fact) in missing {
        let line = remedy(&settings.target, fact.problem);
        if !advice.contains(&line) {
            advice.push(line);
        }
    }
    RequirementFailure { summary, advice, requirements: facts }
}

/// What can be done, in the imperative.
pub fn remedy(target: &Target, problem: Option<RequirementProblem>) -> String {
    use RequirementProblem::{Dns, Missing, NoRoute, NotPermitted, Refused, Timeout, Tls};
    let what = match &target.what {
        What::Exec(_) => return format!("look at what {} says", target.shown),
        What::File(path) => return format!("see that {} is made, or is the right path", path.display()),
        What::Dns(name) => return format!("check the name {name} and the nameservers in /etc/resolv.conf"),
        What::Stream(Stream { place, .. }) => place,
    };
    match (problem, what) {
        (Some(Dns), Place::Host(host, _)) => format!("check the name {host} and the nameservers in /etc/resolv.conf"),
        (Some(Refused | Missing), _) => format!("start what should listen on {what}, or correct the address"),
        (Some(NoRoute), _) => format!("check the address and the routes of this host (ip route get, for {what})"),
        (Some(Timeout) | None, _) => {
            format!("check that {what} is the right address and that no firewall drops what is sent to it")
        }
        (Some(Tls), _) => format!("check the certificate of {what}, and which authorities are trusted here"),
        (Some(NotPermitted), _) => format!("let the launcher's user connect to {what}"),
        _ => format!("look into the log of what listens on {what}; if it only needs longer, raise its timeout"),
    }
}

/// Trouble of connecting, from the errno of `connect(2)`.
pub fn connect_trouble(address: &str, errno: i32, text: &str) -> Trouble {
    // errno(3): the numbers of Linux on the architectures launcher runs on.
    match errno {
        111 => Trouble::new(RequirementProblem::Refused, format!("connection refused by {address}")),
        101 | 113 => Trouble::new(RequirementProblem::NoRoute, format!("no route to {address}")),
        110 => Trouble::new(RequirementProblem::Timeout, format!("{address} does not answer the connection")),
        104 => Trouble::new(RequirementProblem::Closed, format!("{address} reset the connection")),
        2 => Trouble::new(RequirementProblem::Missing, format!("{address} does not exist")),
        1 | 13 => Trouble::new(RequirementProblem::NotPermitted, format!("not permitted to connect to {address}")),
        _ => Trouble::new(RequirementProblem::Other, format!("connecting to {address} failed: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(url: &str, met: bool, error: Option<&str>) -> RequirementFacts {
        RequirementFacts {
            url: url.to_owned(),
            tried: "a TCP connection to x".to_owned(),
            met,
            tries: 3,
            waited_ms: 1500,
            problem: error.map(|_| RequirementProblem::Refused),
            last_error: error.map(str::to_owned),
            breaker_open: false,
        }
    }

    #[test]
    fn a_failure_names_what_is_missing_and_what_to_do() {
        let settings = ["tcp://db:1", "tcp://cache:2", "file:/run/x"];
        let settings = settings.map(|url| RequirementSettings::new(Target::parse(url).unwrap()));
        let facts = vec![
            fact("tcp://db:1", false, Some("connection refused by 10.0.0.1:1")),
            fact("tcp://cache:2", true, None),
            fact("file:/run/x", true, None),
        ];
        let failure = super::failure(&settings, facts, Duration::from_secs(2));
        assert_eq!(failure.summary, "tcp://db:1 did not answer within 2s: connection refused by 10.0.0.1:1");
        assert_eq!(failure.advice, ["start what should listen on db:1, or correct the address"]);
        assert_eq!(failure.first().unwrap().url, "tcp://db:1");
        let facts = ["tcp://db:1", "tcp://cache:2", "file:/run/x"].map(|url| fact(url, false, None)).to_vec();
        let failure = super::failure(&settings, facts, Duration::from_secs(2));
        assert_eq!(failure.summary, "tcp://db:1 and tcp://cache:2 and file:/run/x did not answer within 2s");
        assert_eq!(failure.advice.len(), 3);
    }

    #[test]
    fn lines_say_how_often_and_why() {
        let missing = |tries, slower| News::Missing {
            url: "tcp://db:1".to_owned(),
            after: Duration::from_millis(1500),
            tries,
            error: "connection refused by 10.0.0.1:1".to_owned(),
            due: true,
            slower,
        };
        assert_eq!(news(Some("api"), &missing(1, None)), "api waits for tcp://db:1: connection refused by 10.0.0.1:1");
        let text = news(Some("api"), &missing(4, Some(Duration::from_secs(10))));
        assert!(text.ends_with("(4 tries in 1.5 s); it is tried once in 10s from here on"), "{text}");
        let met = News::Met { url: "tcp://db:1".to_owned(), after: Duration::from_millis(1500), tries: 4 };
        assert_eq!(news(None, &met), "tcp://db:1 answers, after 1.5 s (4 tries)");
        assert_eq!(line(&fact("tcp://db:1", true, None)), "tcp://db:1 answered after 1.5 s (3 tries)");
    }

    #[test]
    fn an_errno_is_told_apart() {
        let problem = |errno| connect_trouble("x", errno, "").problem;
        assert_eq!(problem(111), RequirementProblem::Refused);
        assert_eq!((problem(113), problem(101)), (RequirementProblem::NoRoute, RequirementProblem::NoRoute));
        assert_eq!((problem(110), problem(2)), (RequirementProblem::Timeout, RequirementProblem::Missing));
        assert_eq!(problem(99), RequirementProblem::Other);
    }
}
