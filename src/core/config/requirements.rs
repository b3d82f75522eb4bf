//! `[[service.NAME.require]]`: what must answer before the service is started.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::keys;
use super::suggest;
use super::tables::{backoff, from_folder};
use super::value::{self, ValueError};
use super::walk::{Table, Value, Walk, fill};
use crate::core::requirement::{Place, Stream, Target, What};
use crate::core::settings::{RequirementBreaker, RequirementSettings, ServiceSettings};

/// Reads `require` and `require_timeout`.
pub(super) fn requirements(walk: &mut Walk, folder: &Path, service: &Table<'_>, settings: &mut ServiceSettings) {
    settings.require_timeout = walk.duration(service, "require_timeout", value::positive_duration);
    let Some(value) = service.get("require") else { return };
    let header = format!("[[service.{}.require]]", settings.name);
    let hint = match value.get_ref() {
        DeValue::String(url) => format!("write require = [{{ url = {url:?} }}]"),
        _ => format!("write {header} above its keys"),
    };
    let Some(values) = walk.list(value, "a list of tables", &hint) else { return };
    for value in values {
        let hint = match value.get_ref() {
            DeValue::String(url) => format!("write {{ url = {url:?} }}"),
            _ => format!("write {header} above its keys"),
        };
        let Some(table) = walk.subtable(value, &header, keys::REQUIRE, &hint) else { continue };
        settings.requirements.extend(requirement(walk, folder, &table, settings.require_timeout));
    }
}

fn requirement(
    walk: &mut Walk,
    folder: &Path,
    table: &Table<'_>,
    all: Option<Duration>,
) -> Option<RequirementSettings> {
    if table.get("url").is_none() {
        walk.missing(table.span.clone(), "this requirement names nothing", "write url = \"tcp://db:5432\"");
    };
    let mut target = walk.parsed(table, "url", Target::parse);
    http(walk, table, target.as_mut());
    let known = target.is_some();
    // Without a URL the other keys are read all the same, for what is wrong with them.
    let mut target = target.unwrap_or(Target { shown: String::new(), what: What::File(PathBuf::new()) });
    seen_from(folder, &mut target);
    let secured = !known || matches!(&target.what, What::Stream(Stream { tls: true, .. }));
    let mut settings = RequirementSettings::new(target);
    fill(&mut settings.timeout, all);
    fill(&mut settings.timeout, walk.duration(table, "timeout", value::positive_duration));
    fill(&mut settings.try_timeout, walk.duration(table, "try_timeout", value::positive_duration));
    backoff(walk, table, &mut settings.backoff);
    breaker(walk, table, &mut settings);
    let ca = walk.parsed(table, "ca", value::not_empty);
    if let (Some(_), false, Some(value)) = (&ca, secured, table.get("ca")) {
        walk.error(value.span(), "\"ca\" is for secured connections", "leave it out, or write an https:// URL");
    }
    settings.ca = ca.map(|file| from_folder(folder, &file));
    known.then_some(settings)
}

/// A relative path in a URL is seen from the file's folder.
fn seen_from(folder: &Path, target: &mut Target) {
    let path = match &mut target.what {
        What::File(path) => path,
        What::Stream(Stream { place: Place::Unix(path), .. })
            if !path.as_os_str().as_encoded_bytes().starts_with(b"@") =>
        {
            path
        }
        _ => return,
    };
    *path = folder.join(&*path);
}

/// Reads `status` and `body`, which are for HTTP alone.
fn http(walk: &mut Walk, table: &Table<'_>, target: Option<&mut Target>) {
    let status = table.get("status").map(|value| statuses(walk, value));
    let body = walk.parsed(table, "body", value::not_empty);
    let Some(target) = target else { return };
    if let Some(request) = target.http() {
        fill(&mut request.expected.status, status);
        request.expected.body = body;
        return;
    }
    for key in ["status", "body"] {
        if let Some(value) = table.get(key) {
            let hint = "leave it out, or write an http:// URL";
            walk.error(value.span(), format!("{key:?} is what an HTTP server answers"), hint);
        }
    }
}

/// Refuses a URL that is none of HTTP where only those are taken: no other scheme is advised then.
pub(super) fn of_http(url: &str, example: &str) -> Result<(), ValueError> {
    let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
    if matches!(scheme, "http" | "https") {
        return Ok(());
    }
    let plain = format!("http://{url}");
    let hint = match suggest::closest(scheme, ["http", "https"]).filter(|_| rest.starts_with("//")) {
        Some(meant) => format!("write {meant}:{rest}"),
        None if url.contains(['/', ':']) && !url.contains("://") && Target::parse(&plain).is_ok() => {
            format!("write {plain}")
        }
        None => example.to_owned(),
    };
    Err(ValueError::new(format!("{url:?} is not the URL of an HTTP server"), hint))
}

/// A status, or a list of them.
pub(super) fn statuses(walk: &mut Walk, value: &Value<'_>) -> Vec<u16> {
    let values = match value.get_ref() {
        DeValue::Array(values) => values.iter().collect(),
        _ => vec![value],
    };
    let numbers = values.into_iter().filter_map(|value| walk.integer_value(value, 100..600));
    numbers.filter_map(|number| u16::try_from(number).ok()).collect()
}

/// Reads `breaker = { … }`, or `"off"`.
fn breaker(walk: &mut Walk, table: &Table<'_>, settings: &mut RequirementSettings) {
    let Some(value) = table.get("breaker") else { return };
    if matches!(value.get_ref(), DeValue::String(text) if text == "off") {
        settings.breaker = None;
        return;
    }
    let hint = "write breaker = { failures = 20, cooldown = \"10s\" }, or breaker = \"off\"";
    let Some(table) = walk.subtable(value, "breaker", keys::REQUIRE_BREAKER, hint) else { return };
    let mut breaker = RequirementBreaker::default();
    let failures = walk.integer(&table, "failures", 1..i64::from(u32::MAX));
    fill(&mut breaker.failures, failures.and_then(|failures| u32::try_from(failures).ok()));
    fill(&mut breaker.cooldown, walk.duration(&table, "cooldown", value::positive_duration));
    settings.breaker = Some(breaker);
}

/// Reads a URL and the deadline for all, as `--require` and `launcher wait` take them: an error of the URL is about it.
///
/// # Errors
/// In what way the URL is wrong.
pub fn from_url(url: &str, all: Option<Duration>) -> Result<RequirementSettings, ValueError> {
    let mut settings = RequirementSettings::new(Target::parse(url)?);
    fill(&mut settings.timeout, all);
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{good, places};
    use super::*;
    use crate::core::requirement::Protocol;

    fn service(require: &str) -> String {
        format!("[service.a]\ncommand = [\"a\"]\n{require}")
    }

    #[test]
    fn every_key_reaches_its_setting() {
        let text = service(
            "require_timeout = \"2m\"\n[[service.a.require]]\nurl = \"https://api/readyz\"\ntimeout = \"5s\"\n\
             try_timeout = \"1s\"\nstatus = [200, 204]\nbody = \"ok\"\nca = \"ca.pem\"\n\
             backoff = { initial = \"1ms\", max = \"2ms\" }\nbreaker = { failures = 3, cooldown = \"1s\" }\n\
             [[service.a.require]]\nurl = \"file:ready\"\nbreaker = \"off\"\n",
        );
        let service = &good(&text).services[0];
        let [https, file] = &service.requirements[..] else { panic!("{service:?}") };
        let seconds = Duration::from_secs;
        assert_eq!(
            (https.timeout, https.try_timeout, service.require_timeout),
            (seconds(5), seconds(1), Some(seconds(120)))
        );
        assert_eq!(https.breaker, Some(RequirementBreaker { failures: 3, cooldown: seconds(1) }));
        assert_eq!((https.ca.as_deref(), https.backoff.max), (Some(Path::new("ca.pem")), Duration::from_millis(2)));
        let What::Stream(Stream { protocol: Protocol::Http(request), .. }) = &https.target.what else { panic!() };
        assert_eq!((&request.expected.status[..], request.expected.body.as_deref()), (&[200, 204][..], Some("ok")));
        assert_eq!((file.timeout, file.breaker), (seconds(120), None));
    }

    #[test]
    fn what_is_wrong_is_told_at_its_place() {
        let wrong = |lines: &str| places(&service(&format!("[[service.a.require]]\n{lines}")));
        assert_eq!(wrong("timeout = \"1s\"\n"), ["3:1 this requirement names nothing"]);
        let one = wrong("url = \"tcp://db\"\n");
        assert_eq!(one, ["4:7 \"tcp://db\" has no port"]);
        let http = wrong("url = \"tcp://db:1\"\nstatus = 200\nca = \"x\"\n");
        assert_eq!(http, ["5:10 \"status\" is what an HTTP server answers", "6:6 \"ca\" is for secured connections"]);
        assert_eq!(wrong("url = \"http://x\"\nstatus = 99\n"), ["5:10 99 is out of range"]);
        assert_eq!(places(&service("require = \"tcp://x:1\"\n")).len(), 1);
        let rest = "timeout = \"60\"\nstatus = 9\nca = \"x\"\nbackoff = { initial = \"1s\", max = \"x\" }\nbreaker = { failures = 0 }\n";
        let all = ["5:11 a duration", "6:10 9 is out", "8:35 \"x\" is not a duration", "9:24 0 is out"];
        for (url, error) in [("url = \"x\"\n", "4:7 \"x\" is not a URL"), ("\n", "3:1 this requirement names nothing")]
        {
            let told = wrong(&format!("{url}{rest}"));
            assert!(told.len() == 5 && told[0] == error, "{told:#?}");
            assert!(told[1..].iter().zip(all).all(|(told, known)| told.starts_with(known)), "{told:#?}");
        }
    }
}
