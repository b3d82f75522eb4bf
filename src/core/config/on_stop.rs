//! `on_stop`: what is done when a service has come to rest.

use super::keys;
use super::ready;
use super::requirements::of_http;
use super::value::{self, ValueError};
use super::walk::{Table, Walk, fill};
use crate::core::report::mask;
use crate::core::requirement::{Target, What};
use crate::core::settings::OnStop;

const HINT: &str = "write on_stop = { http_post = \"http://127.0.0.1:15020/quitquitquit\" }";

/// Reads it.
pub(super) fn key(walk: &mut Walk, service: &Table<'_>) -> Option<OnStop> {
    let value = service.get("on_stop")?;
    let table = walk.subtable(value, "on_stop", keys::ON_STOP, HINT)?;
    let command = table.get("exec").and_then(|value| ready::words(walk, value, "write exec = [\"./after\"]"));
    let posted = walk.parsed(&table, "http_post", post);
    let timeout = walk.duration(&table, "timeout", value::positive_duration);
    match (table.get("http_post"), table.get("exec")) {
        (None, None) => walk.missing(value.span(), "on_stop does nothing", HINT),
        (Some(_), Some(exec)) => walk.error(exec.span(), "on_stop does one thing", "keep http_post or exec"),
        _ => {}
    }
    let run = command.map(|words| Target { shown: mask::line(&words), what: What::Exec(words) });
    let mut on_stop = OnStop::new(posted.or(run)?);
    fill(&mut on_stop.timeout, timeout);
    Some(on_stop)
}

/// The URL of a server that is sent a POST.
fn post(url: &str) -> Result<Target, ValueError> {
    of_http(url, HINT)?;
    let mut target = Target::parse(url)?;
    if let Some(request) = target.http() {
        request.post = true;
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{good, places};

    use super::*;

    fn service(on_stop: &str) -> String {
        format!("[service.a]\ncommand = [\"a\"]\non_stop = {on_stop}\n")
    }

    #[test]
    fn a_post_or_a_command() {
        let of = |text: &str| good(&service(text)).services.remove(0).on_stop.unwrap();
        let posted = of("{ http_post = \"http://127.0.0.1:15020/quitquitquit\", timeout = \"1s\" }");
        assert_eq!(
            (posted.target.shown.as_str(), posted.timeout),
            ("http://127.0.0.1:15020/quitquitquit", Duration::from_secs(1))
        );
        assert_eq!(of("{ exec = [\"a\", \"b\"] }").target.what, What::Exec(vec!["a".into(), "b".into()]));
    }

    #[test]
    fn what_is_wrong_is_told_at_its_place() {
        let wrong = |text: &str| places(&service(text));
        assert_eq!(wrong("{ timeout = \"1s\" }"), ["3:11 on_stop does nothing"]);
        assert_eq!(wrong("{ http_post = \"tcp://a:1\" }"), ["3:25 \"tcp://a:1\" is not the URL of an HTTP server"]);
        assert_eq!(wrong("{ exec = [\"a\"], http_post = \"http://a/\" }"), ["3:20 on_stop does one thing"]);
        assert_eq!(wrong("{ exec = [] }"), ["3:20 there is no command"]);
        for what in ["http_post = \"x\"", "exec = []"] {
            assert_eq!(wrong(&format!("{{ {what}, timeout = \"x\" }}")).len(), 2, "{what}");
        }
    }
}
