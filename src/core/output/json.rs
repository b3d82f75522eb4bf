//! Lines for a machine: one JSON object each. A line that is an object itself keeps its members, among which the
//! launcher's own are put.

use crate::core::settings::LogLevel;

use super::level;
use super::members::{self, Member};
use super::scan::plain_length;
use super::{Stream, lines};

/// What is the same for all lines of one descriptor of one generation.
#[derive(Debug, Clone)]
pub struct Head {
    /// `,"service":"api","generation":1,"stream":"stdout"`
    members: String,
}

/// The launcher's own members: of a child that writes one itself, the child's is renamed.
const OWN: [&str; 3] = ["service", "generation", "stream"];

/// The names under which levels are written to JSON.
pub fn name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}

impl Head {
    /// For this service, generation and stream.
    pub fn new(service: &str, generation: u64, stream: Stream) -> Head {
        let mut members = b",\"service\":\"".to_vec();
        escape(service, &mut members);
        let stream = stream.name();
        members.extend_from_slice(format!("\",\"generation\":{generation},\"stream\":\"{stream}\"").as_bytes());
        Head { members: String::from_utf8(members).unwrap_or_default() }
    }

    /// Lays out lines that came at this time (`2026-11-23T12:33:00.123Z`). `last` is the level of the line before.
    pub fn lay_out(&self, time: &str, piece: &[u8], last: &mut Option<LogLevel>, out: &mut Vec<u8>) {
        for (line, whole) in lines(piece) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            match ::core::str::from_utf8(line) {
                Ok(text) if whole && self.merge(time, text, out) => *last = None,
                Ok(text) => self.wrap(time, line, whole, last, |out| escape(text, out), out),
                Err(_) => self.wrap(time, line, whole, last, |out| escape_lossy(line, out), out),
            }
        }
    }

    fn wrap(
        &self,
        time: &str,
        line: &[u8],
        whole: bool,
        last: &mut Option<LogLevel>,
        message: impl FnOnce(&mut Vec<u8>),
        out: &mut Vec<u8>,
    ) {
        if !level::continues(line) || last.is_none() {
            *last = level::of(line);
        }
        begin(time, *last, out);
        out.extend_from_slice(self.members.as_bytes());
        // A part of a line that goes on in the next object.
        out.extend_from_slice(if whole { b",\"message\":\"" } else { b",\"partial\":true,\"message\":\"" });
        message(out);
        out.extend_from_slice(b"\"}\n");
    }

    /// Writes a line that is an object; false, and nothing written, when it is none.
    fn merge(&self, time: &str, line: &str, out: &mut Vec<u8>) -> bool {
        if !line.trim_start().starts_with('{') {
            return false;
        }
        let (mut timed, mut levelled, mut level, mut any) = (false, false, None, false);
        // Where keys begin that are the launcher's own; three are enough for all that are not written twice.
        let mut clashes = [usize::MAX; 3];
        let told = members::walk(line, |Member { key, at, value }| {
            any = true;
            timed |= key == "time";
            levelled |= key == "level";
            level = level.or_else(|| level::of_member(key, value));
            if let Some(place) = OWN.iter().position(|own| *own == key) {
                clashes[place] = at;
            }
        });
        if told.is_none() {
            return false;
        }
        match (timed, level.filter(|_| !levelled)) {
            (false, level) => begin(time, level, out),
            (true, Some(level)) => {
                out.extend_from_slice(b"{\"level\":\"");
                out.extend_from_slice(name(level).as_bytes());
                out.push(b'"');
            }
            (true, None) => out.push(b'{'),
        }
        let members = self.members.as_bytes();
        out.extend_from_slice(if out.ends_with(b"{") { &members[1..] } else { members });
        if any {
            out.push(b',');
        }
        let mut rest = line.find('{').map_or(0, |at| at + 1);
        clashes.sort_unstable();
        for at in clashes.into_iter().filter(|at| *at != usize::MAX) {
            out.extend_from_slice(&line.as_bytes()[rest..at]);
            out.extend_from_slice(b"child_");
            rest = at;
        }
        out.extend_from_slice(line[rest..].trim_end().as_bytes());
        out.push(b'\n');
        true
    }
}

/// Begins an object with the time, and the level where it is known.
fn begin(time: &str, level: Option<LogLevel>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(time.as_bytes());
    out.push(b'"');
    if let Some(level) = level {
        out.extend_from_slice(b",\"level\":\"");
        out.extend_from_slice(name(level).as_bytes());
        out.push(b'"');
    }
}

/// Writes text as it stands between the quotes of a JSON string.
fn escape(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let plain = plain_length(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(special) = rest.get(plain) else { return };
        match special {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\n' => out.extend_from_slice(b"\\n"),
            byte => {
                const HEX: [u8; 16] = *b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
        rest = &rest[plain + 1..];
    }
}

/// The same of bytes that are no UTF-8: U+FFFD stands for what is wrong.
fn escape_lossy(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        escape(chunk.valid(), out);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIME: &str = "2026-11-28T12:00:00.000Z";

    fn laid_out(piece: &[u8]) -> Vec<String> {
        let mut out = Vec::new();
        Head::new("api", 3, Stream::Stderr).lay_out(TIME, piece, &mut None, &mut out);
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    fn one(line: &str) -> String {
        let mut all = laid_out(format!("{line}\n").as_bytes());
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    const HEAD: &str = r#""time":"2026-11-28T12:00:00.000Z","service":"api","generation":3,"stream":"stderr""#;

    #[test]
    fn text_is_wrapped() {
        assert_eq!(
            one("plain \"quoted\" \\ \t\x1b[0m"),
            format!("{{{HEAD},\"message\":\"plain \\\"quoted\\\" \\\\ \\t\\u001b[0m\"}}")
        );
        assert_eq!(one(""), format!("{{{HEAD},\"message\":\"\"}}"));
        assert_eq!(one("windows\r"), format!("{{{HEAD},\"message\":\"windows\"}}"));
        assert!(
            one("2026-11-28 12:00:00 ERROR x")
                .starts_with(r#"{"time":"2026-11-28T12:00:00.000Z","level":"error","service""#)
        );
    }

    #[test]
    fn bytes_that_are_no_text_and_parts_of_lines_are_told() {
        assert_eq!(laid_out(b"a\xffb\n"), [format!("{{{HEAD},\"message\":\"a\u{fffd}b\"}}")]);
        assert_eq!(laid_out(b"part"), [format!("{{{HEAD},\"partial\":true,\"message\":\"part\"}}")]);
        assert_eq!(laid_out(b"{\"a\":1}"), [format!("{{{HEAD},\"partial\":true,\"message\":\"{{\\\"a\\\":1}}\"}}")]);
    }

    #[test]
    fn an_object_keeps_its_members() {
        assert_eq!(one(r#"{"msg":"x","n":{"a":[1]}}"#), format!(r#"{{{HEAD},"msg":"x","n":{{"a":[1]}}}}"#));
        assert_eq!(one(" {} "), format!("{{{HEAD}}}"));
        let own = r#"{"service":"api","generation":3,"stream":"stderr","time":"then","level":40}"#;
        assert_eq!(one(r#"{"time":"then","level":40}"#), own);
        let level =
            r#"{"level":"warn","service":"api","generation":3,"stream":"stderr","time":1,"severity":"WARNING"}"#;
        assert_eq!(one(r#"{"time":1,"severity":"WARNING"}"#), level);
        // Not to be mixed up with which service it is to the launcher.
        let renamed = format!(r#"{{{HEAD},"child_stream":1,"child_service":"shop","x":2}}"#);
        assert_eq!(one(r#"{"stream":1,"service":"shop","x":2}"#), renamed);
        assert!(one(r#"{"broken":"#).ends_with(r#""message":"{\"broken\":"}"#));
    }

    #[test]
    fn a_stack_has_the_level_of_its_first_line() {
        let all = laid_out(b"ERROR: x\n\tat y\nplain\n");
        assert_eq!(all.iter().map(|line| line.contains(r#""level":"error""#)).collect::<Vec<_>>(), [true, true, false]);
    }

    proptest! {
        /// Whatever a child writes, each line is one object with the launcher's members, and text is as it was.
        #[test]
        fn every_line_is_one_object(piece in proptest::collection::vec(any::<u8>(), 0..80)) {
            let text = [&piece[..], b"\n"].concat();
            let all = laid_out(&text);
            prop_assert_eq!(all.len(), text.iter().filter(|byte| **byte == b'\n').count());
            for (line, of) in all.iter().zip(text.split(|byte| *byte == b'\n')) {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                prop_assert_eq!(&value["service"], "api");
                if let Some(message) = value["message"].as_str() {
                    let of = of.strip_suffix(b"\r").unwrap_or(of);
                    prop_assert_eq!(message, String::from_utf8_lossy(of));
                }
            }
        }

        #[test]
        fn members_are_as_they_were(object in proptest::collection::btree_map("[a-z\"\\\\é ]{0,4}|service|time", any::<i64>(), 0..5)) {
            let text = serde_json::to_string(&object).unwrap();
            let value: serde_json::Value = serde_json::from_str(&one(&text)).unwrap();
            for (key, number) in &object {
                let key = if key == "service" { "child_service" } else { key };
                prop_assert_eq!(&value[key], *number);
            }
        }
    }
}
