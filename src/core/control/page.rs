//! `/`: the status page for a browser. It stands alone, has no scripts, and reads itself again every two seconds.

use std::fmt::Write as _;
use std::time::Duration;

use crate::core::units::{human_duration, human_size};

use super::Answer;
use super::health;
use super::status::{ServiceStatus, Status};

/// What a browser may do with the page: nothing but show it, by its own styles alone.
pub const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta http-equiv=\"refresh\" content=\"2\"><meta name=\"viewport\" content=\"width=device-width\">\n<style>\n\
:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}body{margin:2em auto;max-width:70em;padding:0 1em}\n\
h1{font-size:1.3em}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35em .8em .35em 0;\
vertical-align:top;border-bottom:1px solid #8884}\nth{font-weight:600}td.n{font-variant-numeric:tabular-nums}\n\
.s{font-weight:600}.ready{color:#188a42}.failed,.open{color:#c62828}.starting,.checking,.waiting,.backing-off,\
.stopping{color:#b26a00}.stopped{color:#777}\nsmall{color:#777}\n</style>\n";

/// The page.
pub fn page(status: &Status) -> Answer {
    let about = &status.launcher.about;
    let name = escaped(&about.name);
    let uptime = human_duration(Duration::from_millis(status.launcher.uptime_ms));
    let mut html = format!("{HEAD}<title>{name} – launcher</title></head><body>\n<h1>{name}</h1>\n");
    let _ = write!(html, "<p>{} <small>launcher {}, ", summary(status), escaped(&about.version));
    let _ = writeln!(html, "pid {}, up {uptime}, {}</small></p>", about.pid, escaped(&about.folder));
    html.push_str("<table><tr><th>service</th><th>state</th><th>since</th><th>pid</th><th>starts</th>");
    html.push_str("<th>memory</th><th></th></tr>\n");
    status.services.iter().for_each(|service| row(&mut html, service));
    html.push_str("</table>\n<p><small><a href=\"/status\">status</a> · <a href=\"/metrics\">metrics</a> · ");
    html.push_str("<a href=\"/readyz\">readyz</a> · <a href=\"/reports\">reports</a></small></p>\n</body></html>\n");
    Answer { content_type: "text/html; charset=utf-8", ..Answer::text(200, html) }
}

fn summary(status: &Status) -> String {
    let ready = status.services.iter().filter(|service| service.ready).count();
    match (status.launcher.stopping, ready == status.services.len()) {
        (true, _) => "stopping".to_owned(),
        (_, true) => "all ready".to_owned(),
        _ => format!("{ready} of {} ready", status.services.len()),
    }
}

fn row(html: &mut String, service: &ServiceStatus) {
    let name = escaped(&service.name);
    let since = human_duration(Duration::from_millis(service.since_ms));
    let pid = service.pid.map(|pid| pid.to_string()).unwrap_or_default();
    let memory = service.memory_bytes.map(human_size).unwrap_or_default();
    let (state, starts) = (escaped(&service.state), service.starts);
    let _ = write!(html, "<tr><td>{name}</td><td class=\"s {state}\">{state}</td><td class=\"n\">{since}</td>");
    let _ = write!(html, "<td class=\"n\">{pid}</td><td class=\"n\">{starts}</td><td class=\"n\">{memory}</td><td>");
    let _ = write!(html, "{}", escaped(&detail(service)));
    let _ = write!(html, " <small><a href=\"/logs/{name}?n=200\">log</a>");
    if service.verdict.is_some() {
        let _ = write!(html, " · <a href=\"/reports/{name}/latest\">report</a>");
    }
    html.push_str("</small></td></tr>\n");
}

/// What there is to say of a service beside its state.
fn detail(service: &ServiceStatus) -> String {
    if service.ready {
        return service.status.clone().unwrap_or_default();
    }
    let text = health::why_not_ready(service);
    text.strip_prefix(&service.state).map(|rest| rest.trim_start_matches([',', ';', ' ']).to_owned()).unwrap_or(text)
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_says_is_text_and_nothing_else() {
        let mut service =
            ServiceStatus { name: "api".into(), state: "ready".into(), ready: true, ..Default::default() };
        service.status = Some("<script>alert('1')</script> & \"more\"".into());
        let page = page(&Status { services: vec![service], ..Status::default() });
        assert!(page.content_type.starts_with("text/html"));
        assert!(page.body.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;more&quot;"));
        assert!(!page.body.contains("<script"));
        assert!(page.body.contains("all ready"));
    }

    #[test]
    fn what_is_not_ready_says_why() {
        let mut service = ServiceStatus { name: "api".into(), state: "starting".into(), ..Default::default() };
        service.waits_for = vec!["READY=1".into()];
        let page = page(&Status { services: vec![service], ..Status::default() });
        assert!(page.body.contains("0 of 1 ready") && page.body.contains("<td>waits for READY=1 "), "{}", page.body);
    }
}
