//! `ready`: a word, or a table of one key. The words are those of `--ready`, too.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use regex_lite::Regex;
use toml::de::DeValue;

use super::keys;
use super::listen::connect_address;
use super::requirements::{of_http, statuses};
use super::suggest;
use super::tables::from_folder;
use super::value::{self, ValueError};
use super::walk::{Table, Value, Walk, fill};
use crate::core::requirement::{Target, What};
use crate::core::settings::{ExecProbe, HttpProbe, NotifyAccess, PortMode, READY_FD, Ready, ServiceSettings};

/// The highest descriptor that a service may be told to write to.
const HIGHEST_FD: i32 = 255;

/// Kinds that say everything by their name.
const KINDS: [(&str, Ready); 6] = [
    ("auto", Ready::Auto),
    ("notify", Ready::Notify),
    ("listen", Ready::Listen),
    ("started", Ready::Started),
    ("exited", Ready::Exited),
    ("fd", Ready::Fd(READY_FD)),
];

/// How a service is known to be ready: a kind, `fd:NUMBER`, `log:REGEX`, `exec:COMMAND`, or the URL of a server.
pub fn ready(text: &str) -> Result<Ready, ValueError> {
    if let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == text) {
        return Ok(kind.clone());
    }
    let hint = "one of auto, notify, listen, started, exited, fd, fd:NUMBER, log:REGEX, exec:COMMAND, \
                tcp://ADDRESS:PORT, http://ADDRESS:PORT/PATH";
    let needs = |what: &str, example: &str| Err(ValueError::new(format!("{text:?} needs {what}"), example));
    match text.split_once(':') {
        Some(("tcp", address)) => connect_address(address.trim_start_matches('/')).map(Ready::Tcp),
        Some(("http" | "https", _)) => http(text).map(|probe| Ready::Http(Box::new(probe))),
        Some(("log", pattern)) => regex(pattern).map(Ready::Log),
        Some(("exec", _)) => match Target::parse(text)?.what {
            What::Exec(words) => Ok(Ready::Exec(Box::new(ExecProbe::new(words)))),
            _ => needs("a command", "write exec:pg_isready"),
        },
        Some(("fd", number)) => descriptor(number.parse().unwrap_or(-1)).map(Ready::Fd),
        _ => match text {
            "tcp" => needs("its address", "write tcp://127.0.0.1:8080"),
            "http" => needs("its URL", "write http://127.0.0.1:8080/readyz"),
            "log" => needs("a regular expression for a line of output", "write log:REGEX"),
            "exec" => needs("a command", "write exec:pg_isready"),
            _ => {
                let names = KINDS.iter().map(|(name, _)| *name);
                Err(ValueError::new(suggest::unknown("kind of ready", text, names), hint))
            }
        },
    }
}

/// The URL of a probe: with a number in place of each port it must be one.
fn http(url: &str) -> Result<HttpProbe, ValueError> {
    of_http(url, "write http://127.0.0.1:8080/readyz; for a connection alone there is ready.tcp")?;
    let probe = HttpProbe::new(url.to_owned());
    probe.target(|_| Some(1)).map(|_| probe)
}

fn regex(pattern: &str) -> Result<String, ValueError> {
    if pattern.is_empty() {
        return Err(ValueError::new("an empty pattern matches every line", "write ready = \"started\", or a pattern"));
    }
    match Regex::new(pattern) {
        Ok(_) => Ok(pattern.to_owned()),
        Err(problem) => {
            let hint = "it is matched against each line of output; in TOML 'single quotes' keep backslashes";
            Err(ValueError::new(format!("{pattern:?} is not a regular expression: {problem}"), hint))
        }
    }
}

fn descriptor(number: i32) -> Result<i32, ValueError> {
    match number {
        READY_FD..=HIGHEST_FD => Ok(number),
        _ => {
            let message = "this is not a descriptor that is free for it";
            Err(ValueError::new(message, format!("write a number from {READY_FD} to {HIGHEST_FD}")))
        }
    }
}

/// Reads `ready`, a word or a table, and gives its place when it is written.
pub(super) fn key(walk: &mut Walk, folder: &Path, table: &Table<'_>, kind: &mut Ready) -> Option<Range<usize>> {
    let value = table.get("ready")?;
    let DeValue::Table(entries) = value.get_ref() else {
        fill(kind, walk.parsed(table, "ready", ready));
        return Some(value.span());
    };
    let hint = "write ready = \"auto\", or ready.tcp = \"127.0.0.1:8080\"";
    let probes = walk.subtable(value, "ready", keys::READY, hint)?;
    match entries.len() {
        0 => walk.missing(value.span(), "ready says nothing", hint),
        1 => {}
        _ => walk.error(value.span(), "a service is ready by one thing", "keep one key of ready"),
    }
    fill(kind, walk.parsed(&probes, "tcp", connect_address).map(Ready::Tcp));
    fill(kind, walk.parsed(&probes, "log", regex).map(Ready::Log));
    if let Some(value) = probes.get("fd") {
        let number = walk.integer_value(value, i64::MIN..i64::MAX).map(|number| i32::try_from(number).unwrap_or(-1));
        fill(kind, number.and_then(|number| walk.value(value.span(), descriptor(number))).map(Ready::Fd));
    }
    if let Some(value) = probes.get("http") {
        fill(kind, http_key(walk, folder, value).map(|probe| Ready::Http(Box::new(probe))));
    }
    if let Some(value) = probes.get("exec") {
        fill(kind, exec_key(walk, value).map(|probe| Ready::Exec(Box::new(probe))));
    }
    let written = keys::READY.iter().find_map(|key| probes.get(key));
    Some(written.map_or(value.span(), place))
}

/// Where a probe is written: the URL or command of a table, which may have its keys on other lines.
fn place(probe: &Value<'_>) -> Range<usize> {
    let DeValue::Table(entries) = probe.get_ref() else { return probe.span() };
    ["url", "command"].iter().find_map(|key| entries.get(*key)).unwrap_or(probe).span()
}

/// `ready.http`: a URL, or a table with one.
fn http_key(walk: &mut Walk, folder: &Path, value: &Value<'_>) -> Option<HttpProbe> {
    if let DeValue::String(url) = value.get_ref() {
        return walk.value(value.span(), http(url));
    }
    let hint = "write ready.http = { url = \"http://127.0.0.1:8080/readyz\" }";
    let table = walk.subtable(value, "ready.http", keys::READY_HTTP, hint)?;
    if table.get("url").is_none() {
        walk.missing(value.span(), "ready.http has no url", hint);
    }
    let url = walk.parsed(&table, "url", http);
    let known = url.is_some();
    // Without a URL the other keys are read all the same, for what is wrong with them.
    let mut probe = url.unwrap_or_else(|| HttpProbe::new(String::new()));
    fill(&mut probe.expected.status, table.get("status").map(|value| statuses(walk, value)));
    probe.expected.body = walk.parsed(&table, "body", value::not_empty);
    let ca = walk.parsed(&table, "ca", value::not_empty);
    if let (Some(_), false, Some(value)) = (&ca, !known || probe.url.starts_with("https:"), table.get("ca")) {
        walk.error(value.span(), "\"ca\" is for secured connections", "leave it out, or write an https:// URL");
    }
    probe.ca = ca.map(|file| from_folder(folder, &file));
    pace(walk, &table, &mut probe.timeout, &mut probe.interval);
    known.then_some(probe)
}

/// `ready.exec`: the words of a command, or a table with them.
fn exec_key(walk: &mut Walk, value: &Value<'_>) -> Option<ExecProbe> {
    let example = "[\"pg_isready\", \"-q\"]";
    if !matches!(value.get_ref(), DeValue::Table(_)) {
        return words(walk, value, &format!("write ready.exec = {example}")).map(ExecProbe::new);
    }
    let hint = format!("write ready.exec = {{ command = {example} }}");
    let table = walk.subtable(value, "ready.exec", keys::READY_EXEC, &hint)?;
    if table.get("command").is_none() {
        walk.missing(value.span(), "ready.exec has no command", &hint);
    }
    let command = table.get("command").and_then(|command| words(walk, command, &hint));
    let known = command.is_some();
    let mut probe = ExecProbe::new(command.unwrap_or_default());
    pace(walk, &table, &mut probe.timeout, &mut probe.interval);
    known.then_some(probe)
}

/// The words of a command; not none.
pub(super) fn words(walk: &mut Walk, value: &Value<'_>, hint: &str) -> Option<Vec<String>> {
    let values = walk.list(value, "a list of strings", hint)?;
    let words: Vec<String> = values.iter().filter_map(|word| walk.text(word).map(str::to_owned)).collect();
    if words.first().is_none_or(String::is_empty) && words.len() == values.len() {
        walk.error(value.span(), "there is no command", hint);
    }
    Some(words).filter(|words| words.first().is_some_and(|program| !program.is_empty()))
}

fn pace(walk: &mut Walk, table: &Table<'_>, timeout: &mut Duration, interval: &mut Duration) {
    fill(timeout, walk.duration(table, "timeout", value::positive_duration));
    fill(interval, walk.duration(table, "interval", value::positive_duration));
}

/// Refuses a readiness that could never come.
pub fn possible(service: &ServiceSettings) -> Result<(), ValueError> {
    ports_are_there(service, &[])?;
    can_come(service)
}

/// Refuses a readiness by ports that are not declared; of some not more than their names could be read.
pub(super) fn ports_are_there(service: &ServiceSettings, unread: &[String]) -> Result<(), ValueError> {
    for text in service.ready.texts() {
        super::check::placeholders_among(text.as_ref(), &service.ports, unread)?;
    }
    match service.ready {
        Ready::Listen if service.ports.is_empty() && unread.is_empty() => Err(ValueError::new(
            "ready by listening, but no port is declared",
            "declare the port it listens on, or choose another kind of ready",
        )),
        _ => Ok(()),
    }
}

/// Refuses a readiness that other settings keep from coming.
pub(super) fn can_come(service: &ServiceSettings) -> Result<(), ValueError> {
    match service.ready {
        Ready::Notify if service.notify.access == NotifyAccess::None => Err(ValueError::new(
            "ready by READY=1, but notify_access is \"none\": nobody would hear it",
            "leave notify_access out, or choose another kind of ready",
        )),
        Ready::Log(_) if service.interactive => Err(ValueError::new(
            "ready by its output, but an interactive program writes to the terminal itself: nobody would see it",
            "leave interactive out, or choose another kind of ready",
        )),
        Ready::Fd(number) => {
            let passed = service.ports.iter().filter(|port| port.mode == PortMode::Pass).count();
            let free = READY_FD.saturating_add(i32::try_from(passed).unwrap_or(i32::MAX));
            if number >= free {
                return Ok(());
            }
            let message = format!("descriptor {number} is that of a passed port: those begin at 3");
            Err(ValueError::new(message, format!("write ready.fd = {free} (--ready fd:{free}), and tell the program")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{good, places};
    use super::*;

    fn service(lines: &str) -> String {
        format!("[service.a]\ncommand = [\"a\"]\n{lines}")
    }

    #[test]
    fn words_of_the_command_line() {
        assert_eq!(ready("tcp://127.0.0.1:80"), Ok(Ready::Tcp("127.0.0.1:80".parse().unwrap())));
        assert_eq!(ready("exited"), Ok(Ready::Exited));
        assert_eq!((ready("fd"), ready("fd:7")), (Ok(Ready::Fd(3)), Ok(Ready::Fd(7))));
        assert_eq!(ready("log:listening on (.*)"), Ok(Ready::Log("listening on (.*)".into())));
        let words = ["sh", "-c", "exit 0"].map(str::to_owned).to_vec();
        assert_eq!(ready("exec:sh -c 'exit 0'"), Ok(Ready::Exec(Box::new(ExecProbe::new(words)))));
        let url = "http://127.0.0.1:{port.http}/readyz";
        assert_eq!(ready(url), Ok(Ready::Http(Box::new(HttpProbe::new(url.into())))));
        let message = "unknown kind of ready \"listening\", did you mean \"listen\"?";
        assert_eq!(ready("listening").unwrap_err().message, message);
        for wrong in ["fd:2", "fd:x", "fd:256", "log:", "log:(", "exec:", "exec:'", "http://", "http://h:x/", "tcp", ""]
        {
            assert!(ready(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_key_reaches_its_setting() {
        let kind = |lines: &str| good(&service(lines)).services.remove(0).ready;
        assert_eq!(kind("ready.fd = 5\n"), Ready::Fd(5));
        assert_eq!(kind("ready.log = 'up \\d+'\n"), Ready::Log("up \\d+".into()));
        let Ready::Exec(probe) =
            kind("ready.exec = { command = [\"a\", \"b\"], timeout = \"1s\", interval = \"2s\" }\n")
        else {
            panic!()
        };
        assert_eq!((probe.command.len(), probe.timeout, probe.interval.as_secs()), (2, Duration::from_secs(1), 2));
        let url = "url = \"https://localhost/\", status = 204, body = \"ok\", ca = \"ca.pem\"";
        let Ready::Http(probe) = kind(&format!("ready.http = {{ {url}, timeout = \"1s\", interval = \"2s\" }}\n"))
        else {
            panic!()
        };
        assert_eq!((&probe.expected.status[..], probe.expected.body.as_deref()), (&[204][..], Some("ok")));
        assert_eq!((probe.ca.as_deref(), probe.interval.as_secs()), (Some(Path::new("ca.pem")), 2));
        assert_eq!(kind("ready.http = \"http://localhost/\"\n"), ready("http://localhost/").unwrap());
        assert_eq!(kind("ready.exec = [\"true\"]\n"), ready("exec:true").unwrap());
    }

    #[test]
    fn what_could_never_come_is_told_at_its_place() {
        let wrong = |lines: &str| places(&service(lines));
        let pass = "[[service.a.port]]\nlisten = \"tcp://127.0.0.1:1\"\nmode = \"pass\"\n";
        assert_eq!(
            wrong(&format!("ready = \"fd\"\n{pass}")),
            ["3:9 descriptor 3 is that of a passed port: those begin at 3"]
        );
        assert_eq!(good(&service(&format!("ready.fd = 4\n{pass}"))).services[0].ready, Ready::Fd(4));
        let message =
            "3:9 ready by its output, but an interactive program writes to the terminal itself: nobody would see it";
        assert_eq!(wrong("ready = \"log:x\"\ninteractive = true\n"), [message]);
        assert_eq!(wrong("ready.http = \"http://h:{port.x}/\"\n"), ["3:14 unknown port \"x\""]);
        assert_eq!(wrong("ready.http.url = \"http://h:{port.x}/\"\n"), ["3:18 unknown port \"x\""]);
        assert_eq!(wrong("ready = { exec = { command = [\"{port.x}\"] } }\n"), ["3:30 unknown port \"x\""]);
        let second = format!("ready.fd = 3\n{pass}");
        assert_eq!(wrong(&second), ["3:12 descriptor 3 is that of a passed port: those begin at 3"]);
        assert_eq!(wrong("ready.http = { status = 200 }\n"), ["3:14 ready.http has no url"]);
        assert_eq!(wrong("ready = { log = \"a\", fd = 3 }\n"), ["3:9 a service is ready by one thing"]);
        assert_eq!(wrong("ready.exec = []\n"), ["3:14 there is no command"]);
        assert_eq!(wrong("ready.exec = \"pg_isready\"\n").len(), 1);
        let hint = |url: &str| http(url).unwrap_err().hint;
        let example = "write http://127.0.0.1:8080/readyz; for a connection alone there is ready.tcp";
        for url in ["x", "", "tcp://127.0.0.1:80", "unix:/x", "/readyz", "http"] {
            assert_eq!(hint(url), example, "{url}");
        }
        assert_eq!(hint("htp://localhost/x"), "write http://localhost/x");
        assert_eq!(hint("localhost:8080/readyz"), "write http://localhost:8080/readyz");
        let rest = "timeout = \"x\", interval = \"y\"";
        for url in ["", "url = \"x\", "] {
            let told = wrong(&format!("ready.http = {{ {url}{rest}, status = [1], ca = \"x\" }}\n"));
            assert_eq!(told.len(), 4, "{told:#?}");
        }
        for command in ["", "command = [], ", "command = 5, "] {
            let told = wrong(&format!("ready.exec = {{ {command}{rest} }}\n"));
            assert_eq!(told.len(), 3, "{told:#?}");
        }
    }
}
