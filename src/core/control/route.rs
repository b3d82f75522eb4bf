//! From a request line to what is asked. Nothing in it is trusted: it may come from anybody who reaches the port.

use crate::core::config::value;

use super::Answer;
use super::command::Verb;

/// Where a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The control socket, which the launcher's own user alone can open.
    Socket,
    /// The address of `http`, which others can reach as well.
    Http,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Whether the launcher lives.
    Livez,
    /// Whether no service has failed.
    Healthz,
    /// Whether every service is ready.
    Readyz,
    /// Numbers for Prometheus.
    Metrics,
    /// How everything stands, as JSON.
    Status,
    /// Which reports there are.
    Reports,
    /// The newest report of a service.
    LatestReport(String),
    /// What a service wrote last.
    Logs {
        /// The service.
        service: String,
        /// So many lines of what it wrote last; all that is kept when absent.
        lines: Option<usize>,
        /// Go on with what it writes from now on.
        follow: bool,
    },
    /// The status page.
    Page,
    /// Something is asked of a service.
    Command {
        /// The service.
        service: String,
        /// What.
        verb: Verb,
        /// Whether the answer comes when it has come about.
        wait: bool,
    },
    /// The connection is to be one to the terminal of a service.
    Attach {
        /// The service.
        service: String,
    },
    /// launcher.toml is to be read again.
    Reload {
        /// Whether the answer comes when all that is different has come about.
        wait: bool,
    },
    /// The launcher is to stop all services and end.
    StopAll {
        /// Whether the answer comes when they have ended.
        wait: bool,
    },
}

/// A request that makes no sense, or is not for this door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is nothing at this path.
    NotFound,
    /// There is, but not for this method; these it takes.
    Method(&'static str),
    /// It is for the control socket alone.
    NotHere,
    /// What comes after the `?` makes no sense, and why.
    Query(String),
}

impl Refusal {
    /// The answer that says so.
    pub fn answer(&self) -> Answer {
        match self {
            Refusal::NotFound => Answer::text(
                404,
                "there is nothing here; there are /livez /healthz /readyz /metrics /status /reports /logs/SERVICE and /\n",
            ),
            Refusal::Method(allow) => {
                let text = format!("this path takes {allow}\n");
                Answer { allow: Some(allow), ..Answer::text(405, text) }
            }
            Refusal::NotHere => {
                Answer::text(403, "commands are taken on the control socket alone: launcher restart SERVICE\n")
            }
            Refusal::Query(why) => Answer::text(400, format!("{why}\n")),
        }
    }
}

/// The methods of every path that only answers.
const READ: &str = "GET, HEAD";

/// What is asked by this method, path and query (the text after `?`, if there is one).
///
/// # Errors
/// Why there is no answer to it.
pub fn route(door: Door, method: &str, path: &str, query: Option<&str>) -> Result<Request, Refusal> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    if let ["stop"] | ["reload"] | ["services", _, _] = parts.as_slice() {
        return match (door, method) {
            (Door::Http, _) => Err(Refusal::NotHere),
            (Door::Socket, "POST") => order(&parts, query),
            (Door::Socket, _) => Err(Refusal::Method("POST")),
        };
    }
    let request = match parts.as_slice() {
        [""] => Request::Page,
        ["livez"] => Request::Livez,
        ["healthz"] => Request::Healthz,
        ["readyz"] => Request::Readyz,
        ["metrics"] => Request::Metrics,
        ["status"] => Request::Status,
        ["reports"] => Request::Reports,
        ["reports", service, "latest"] => Request::LatestReport(name(service)?),
        ["logs", service] => logs(name(service)?, query)?,
        _ => return Err(Refusal::NotFound),
    };
    if matches!(method, "GET" | "HEAD") { Ok(request) } else { Err(Refusal::Method(READ)) }
}

/// A service's name as it stands in a path. Names have no character that a URL would write otherwise, and no slash.
fn name(text: &str) -> Result<String, Refusal> {
    value::name(text).map_err(|_| Refusal::NotFound)
}

/// What a command takes.
const WORDS: &str = "a command takes ?wait=0, signal takes ?signal=NAME, and restart takes ?canary=10";

/// What is to be done.
fn order(parts: &[&str], query: Option<&str>) -> Result<Request, Refusal> {
    let (mut wait, mut signal, mut canary) = (true, None, None);
    for (key, value) in pairs(query) {
        match (key, value) {
            ("wait", "" | "1" | "true") => wait = true,
            ("wait", "0" | "false") => wait = false,
            ("signal", name) if parts.last() == Some(&"signal") => {
                let parsed = value::signal(name);
                signal = Some(parsed.map_err(|error| Refusal::Query(format!("{}; {}", error.message, error.hint)))?);
            }
            ("canary", percent) if parts.last() == Some(&"restart") => {
                let parsed = value::percent(percent);
                canary = Some(parsed.map_err(|error| Refusal::Query(format!("{}; {}", error.message, error.hint)))?);
            }
            _ => return Err(Refusal::Query(WORDS.to_owned())),
        }
    }
    let [_, service, verb] = parts else {
        return Ok(if parts == ["reload"] { Request::Reload { wait } } else { Request::StopAll { wait } });
    };
    if *verb == "attach" {
        return Ok(Request::Attach { service: name(service)? });
    }
    let verb = match *verb {
        "start" => Verb::Start,
        "stop" => Verb::Stop,
        "restart" => canary.map_or(Verb::Restart, Verb::Canary),
        "promote" => Verb::Promote,
        "rollback" => Verb::Rollback,
        "reload" => Verb::Reload,
        "dump" => Verb::Dump,
        "signal" => match signal {
            Some(signal) => Verb::Signal(signal),
            None => return Err(Refusal::Query("write which signal: ?signal=HUP".to_owned())),
        },
        _ => return Err(Refusal::NotFound),
    };
    Ok(Request::Command { service: name(service)?, verb, wait })
}

fn logs(service: String, query: Option<&str>) -> Result<Request, Refusal> {
    let (mut lines, mut follow) = (None, false);
    for (key, value) in pairs(query) {
        match (key, value) {
            ("follow", "" | "1" | "true") => follow = true,
            ("follow", "0" | "false") => follow = false,
            ("n", number) if !number.starts_with('+') && number.parse::<usize>().is_ok() => lines = number.parse().ok(),
            _ => return Err(Refusal::Query("write /logs/SERVICE?n=100&follow; both may be left out".to_owned())),
        }
    }
    Ok(Request::Logs { service, lines, follow })
}

/// The keys and values of a query; a key alone has an empty value.
pub(super) fn pairs(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    let parts = query.unwrap_or_default().split('&').filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').unwrap_or((part, "")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn get(path: &str) -> Result<Request, Refusal> {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        route(Door::Http, "GET", path, query)
    }

    fn logs(lines: Option<usize>, follow: bool) -> Result<Request, Refusal> {
        Ok(Request::Logs { service: "api".to_owned(), lines, follow })
    }

    #[test]
    fn every_path_of_the_contract_is_there() {
        assert_eq!(get("/"), Ok(Request::Page));
        assert_eq!(get("/livez"), Ok(Request::Livez));
        assert_eq!(get("/healthz"), Ok(Request::Healthz));
        assert_eq!(get("/readyz?verbose"), Ok(Request::Readyz));
        assert_eq!(get("/metrics"), Ok(Request::Metrics));
        assert_eq!(get("/status"), Ok(Request::Status));
        assert_eq!(get("/reports"), Ok(Request::Reports));
        assert_eq!(get("/reports/api/latest"), Ok(Request::LatestReport("api".to_owned())));
        assert_eq!(get("/logs/api"), logs(None, false));
        assert_eq!(get("/logs/api?follow"), logs(None, true));
        assert_eq!(get("/logs/api?n=20&follow=1"), logs(Some(20), true));
        assert_eq!(get("/logs/api?follow=0"), logs(None, false));
    }

    #[test]
    fn commands_are_for_the_socket_alone() {
        let post = |path: &str, query| route(Door::Socket, "POST", path, query);
        let command = |verb, wait| Ok(Request::Command { service: "api".to_owned(), verb, wait });
        assert_eq!(post("/services/api/restart", None), command(Verb::Restart, true));
        assert_eq!(post("/services/api/stop", Some("wait=0")), command(Verb::Stop, false));
        assert_eq!(post("/services/api/dump", None), command(Verb::Dump, true));
        let usr1 = Verb::Signal(crate::core::signal::Signal::USR1);
        assert_eq!(post("/services/api/signal", Some("signal=USR1")), command(usr1, true));
        let canary = Verb::Canary(crate::core::fleet::Percent::new(10).unwrap());
        assert_eq!(post("/services/api/restart", Some("canary=10")), command(canary, true));
        assert_eq!(post("/services/api/restart", Some("canary=10%&wait=0")), command(canary, false));
        assert_eq!(post("/services/api/promote", None), command(Verb::Promote, true));
        assert_eq!(post("/services/api/rollback", Some("wait=0")), command(Verb::Rollback, false));
        for (path, query) in
            [("restart", "canary=0"), ("restart", "canary=100"), ("restart", "canary"), ("stop", "canary=5")]
        {
            let refused = post(&format!("/services/api/{path}"), Some(query));
            assert!(matches!(refused, Err(Refusal::Query(_))), "{path} {query}");
        }
        assert_eq!(post("/stop", None), Ok(Request::StopAll { wait: true }));
        assert_eq!(post("/reload", Some("wait=0")), Ok(Request::Reload { wait: false }));
        assert_eq!(route(Door::Http, "POST", "/reload", None), Err(Refusal::NotHere));
        for query in [None, Some("signal=NONE"), Some("signal=")] {
            assert!(matches!(post("/services/api/signal", query), Err(Refusal::Query(_))), "{query:?}");
        }
        assert!(matches!(post("/services/api/stop", Some("signal=HUP")), Err(Refusal::Query(_))));
        assert_eq!(post("/services/api/attach", None), Ok(Request::Attach { service: "api".to_owned() }));
        assert_eq!(route(Door::Http, "POST", "/services/api/attach", None), Err(Refusal::NotHere));
        assert_eq!(post("/services/api/explode", None), Err(Refusal::NotFound));
        assert_eq!(post("/services/../stop", None), Err(Refusal::NotFound));
        let get = route(Door::Socket, "GET", "/services/api/stop", None);
        assert_eq!(get, Err(Refusal::Method("POST")));
        for method in ["GET", "POST"] {
            let refused = route(Door::Http, method, "/services/api/stop", None).unwrap_err();
            assert_eq!((refused.clone(), refused.answer().code), (Refusal::NotHere, 403));
        }
        assert_eq!(route(Door::Http, "POST", "/stop", None), Err(Refusal::NotHere));
    }

    #[test]
    fn all_else_is_refused_with_its_reason() {
        for path in ["", "livez", "/livez/", "//", "/logs", "/logs/", "/logs/..", "/logs/a/b", "/reports/api", "/x"] {
            assert_eq!(get(path), Err(Refusal::NotFound), "{path:?}");
        }
        for path in ["/reports/../latest", "/reports//latest", "/reports/%2e%2e/latest", "/reports/a\0/latest"] {
            assert_eq!(get(path), Err(Refusal::NotFound), "{path:?}");
        }
        for query in ["n=", "n=-1", "n=+1", "n=x", "lines=3", "follow=maybe"] {
            assert!(matches!(get(&format!("/logs/api?{query}")), Err(Refusal::Query(_))), "{query}");
        }
        for method in ["POST", "PUT", "DELETE", "get", "OPTIONS", ""] {
            let refused = route(Door::Http, method, "/status", None).unwrap_err();
            assert_eq!(refused, Refusal::Method("GET, HEAD"), "{method}");
            assert_eq!((refused.answer().code, refused.answer().allow), (405, Some("GET, HEAD")));
        }
        assert_eq!(route(Door::Http, "HEAD", "/livez", None), Ok(Request::Livez));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(method in ".{0,8}", path in "(/[a-z%./\0-]{0,8}){0,5}", query in ".{0,12}") {
            let _ = route(Door::Socket, &method, &path, Some(&query));
        }
    }
}
