//! How severe a line is, as far as it says so in one of the usual ways: JSON, `key=value` (logfmt), klog, a syslog
//! prefix, and the headers of log4j, Python, Rust, Ruby, nginx, Postgres and the like.

use crate::core::settings::LogLevel;

use super::members;
use super::scan::word_length;

/// How much of a line is looked at: levels stand at its beginning.
const HEAD: usize = 256;

/// The number of words of a header that may come before its level: a date, a time, a zone, a thread, a name.
const WORDS: usize = 8;

/// The names that levels are given, in small letters.
const NAMES: [(&str, LogLevel); 44] = [
    ("info", LogLevel::Info),
    ("warn", LogLevel::Warn),
    ("error", LogLevel::Error),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
    ("warning", LogLevel::Warn),
    ("critical", LogLevel::Error),
    ("fatal", LogLevel::Error),
    ("notice", LogLevel::Info),
    ("log", LogLevel::Info),
    ("inf", LogLevel::Info),
    ("wrn", LogLevel::Warn),
    ("err", LogLevel::Error),
    ("dbg", LogLevel::Debug),
    ("debu", LogLevel::Debug),
    ("trc", LogLevel::Trace),
    ("ftl", LogLevel::Error),
    ("crit", LogLevel::Error),
    ("alert", LogLevel::Error),
    ("emerg", LogLevel::Error),
    ("emergency", LogLevel::Error),
    ("panic", LogLevel::Error),
    ("dpanic", LogLevel::Error),
    ("severe", LogLevel::Error),
    ("fine", LogLevel::Debug),
    ("finer", LogLevel::Trace),
    ("finest", LogLevel::Trace),
    ("config", LogLevel::Debug),
    ("verbose", LogLevel::Debug),
    ("information", LogLevel::Info),
    ("informational", LogLevel::Info),
    ("default", LogLevel::Info),
    ("success", LogLevel::Info),
    ("silly", LogLevel::Trace),
    ("http", LogLevel::Debug),
    ("debug1", LogLevel::Debug),
    ("debug2", LogLevel::Debug),
    ("debug3", LogLevel::Debug),
    ("debug4", LogLevel::Debug),
    ("debug5", LogLevel::Debug),
    ("statement", LogLevel::Info),
    ("detail", LogLevel::Info),
    ("hint", LogLevel::Info),
    ("eror", LogLevel::Error),
];

/// Names that are common words, too: they count as the value of a key or the first word alone.
const COMMON: [&str; 6] = ["default", "config", "http", "success", "fine", "silly"];

/// The level of a line, if it says one.
pub fn of(line: &[u8]) -> Option<LogLevel> {
    let mut plain = [0; HEAD];
    let head = without_escapes(line, &mut plain);
    let head = head.trim_ascii_start();
    match head.first()? {
        b'<' => syslog(head).or_else(|| header(head)),
        b'{' => of_object(line),
        b'I' | b'W' | b'E' | b'F' if is_klog(head) => Some(match head[0] {
            b'I' => LogLevel::Info,
            b'W' => LogLevel::Warn,
            _ => LogLevel::Error,
        }),
        _ => header(head).or_else(|| logfmt(head)),
    }
}

/// Whether a line goes on with what the one before it began, and has its level: the frames of a stack do.
pub fn continues(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t' | b'}' | b')'))
}

/// The level in a JSON object.
fn of_object(line: &[u8]) -> Option<LogLevel> {
    let text = ::core::str::from_utf8(line).ok()?;
    let mut level = None;
    members::walk(text, |member| level = level.or_else(|| of_member(member.key, member.value)))?;
    level
}

/// The level that a member of a JSON object says, written as JSON: a word, or a number as pino and bunyan have it.
pub fn of_member(key: &str, value: &str) -> Option<LogLevel> {
    if !is_key(key.as_bytes()) {
        return None;
    }
    match value.strip_prefix('"') {
        Some(quoted) => named(quoted.strip_suffix('"')?.as_bytes()),
        None => match value.parse().ok()? {
            0..=7 if key.eq_ignore_ascii_case("priority") => of_syslog(value.parse().ok()?),
            1..20 => Some(LogLevel::Trace),
            20..30 => Some(LogLevel::Debug),
            30..40 => Some(LogLevel::Info),
            40..50 => Some(LogLevel::Warn),
            50..=60 => Some(LogLevel::Error),
            _ => None,
        },
    }
}

/// Whether a level is kept under this name.
fn is_key(key: &[u8]) -> bool {
    const KEYS: [&str; 10] = [
        "level",
        "severity",
        "lvl",
        "loglevel",
        "log_level",
        "log.level",
        "levelname",
        "severity_text",
        "priority",
        "severityText",
    ];
    (3..=13).contains(&key.len()) && KEYS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(key))
}

/// The level of this name, in letters of any size.
fn named(word: &[u8]) -> Option<LogLevel> {
    if !(3..=13).contains(&word.len()) || !word[0].is_ascii_alphabetic() {
        return None;
    }
    let number = packed(word)?;
    PACKED.iter().position(|packed| *packed == number).map(|place| NAMES[place].1)
}

/// The names as numbers, which are compared at once.
const PACKED: [u128; NAMES.len()] = {
    let mut all = [0; NAMES.len()];
    let mut place = 0;
    while place < all.len() {
        all[place] = packed(NAMES[place].0.as_bytes()).expect("names are letters and digits");
        place += 1;
    }
    all
};

/// Letters, taken as small ones, and digits as a number; `None` for other words, and those that are too long.
const fn packed(word: &[u8]) -> Option<u128> {
    if word.len() > 16 {
        return None;
    }
    let (mut number, mut place) = (0, 0);
    while place < word.len() {
        if !word[place].is_ascii_alphanumeric() {
            return None;
        }
        number = number << 8 | (word[place] | 0x20) as u128;
        place += 1;
    }
    Some(number)
}

/// `<N>` at the beginning, as `sd-daemon(3)` and syslog have it: the lowest three bits are the severity.
fn syslog(head: &[u8]) -> Option<LogLevel> {
    let end = head.iter().take(5).position(|byte| *byte == b'>')?;
    let number: u32 = ::core::str::from_utf8(&head[1..end]).ok()?.parse().ok()?;
    (number < 192).then(|| of_syslog(number & 7)).flatten()
}

fn of_syslog(severity: u32) -> Option<LogLevel> {
    match severity {
        0..=3 => Some(LogLevel::Error),
        4 => Some(LogLevel::Warn),
        5 | 6 => Some(LogLevel::Info),
        7 => Some(LogLevel::Debug),
        _ => None,
    }
}

/// What comes after `<N>` at the beginning of a line, and N; the line as it is when there is none.
pub fn without_syslog(line: &[u8]) -> &[u8] {
    match line.iter().take(5).position(|byte| *byte == b'>') {
        Some(end) if line[0] == b'<' && end > 1 && line[1..end].iter().all(u8::is_ascii_digit) => &line[end + 1..],
        _ => line,
    }
}

/// `I1128 12:00:00.000000   17 main.go:42] text` of klog and glog.
fn is_klog(head: &[u8]) -> bool {
    head.len() > 8 && head[1..5].iter().all(u8::is_ascii_digit) && head[5] == b' ' && head[6].is_ascii_digit()
}

/// `… level=info …`
fn logfmt(head: &[u8]) -> Option<LogLevel> {
    let mut from = 0;
    while let Some(found) = memchr::memchr(b'=', &head[from..]) {
        let at = from + found;
        let key = head[..at].rsplit(|byte| byte.is_ascii_whitespace() || *byte == b'{').next().unwrap_or_default();
        let value = head[at + 1..].strip_prefix(b"\"").unwrap_or(&head[at + 1..]);
        let length = value.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        if is_key(key)
            && let Some(level) = named(&value[..length])
        {
            return Some(level);
        }
        from = at + 1;
    }
    None
}

/// A level in the words that a line begins with. Text may be about errors, so it counts only as the first word, or after
/// what a header begins with, and in capitals or brackets.
fn header(head: &[u8]) -> Option<LogLevel> {
    let mut words = Words(head).take(WORDS);
    let first = words.next()?;
    if let Some(level) = first_word(first) {
        return Some(level);
    }
    if !begins_header(first) {
        return None;
    }
    in_brackets(first).or_else(|| words.find_map(|word| in_brackets(word).or_else(|| in_capitals(word))))
}

/// The words of a line: what stands between spaces and the like.
struct Words<'a>(&'a [u8]);

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.0.iter().position(|byte| *byte > b' ')?;
        let rest = &self.0[start..];
        let (word, rest) = rest.split_at(word_length(rest));
        self.0 = rest;
        Some(word)
    }
}

/// The letters and digits that a word begins with, and what follows: of one that is too long to be a level, some of both.
fn name_and_rest(word: &[u8]) -> (&[u8], &[u8]) {
    let length = word.iter().take(16).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    word.split_at(length)
}

/// `INFO`, `[info]`, `info:`, `WARNING:root:text`, `error[E0308]:`.
fn first_word(word: &[u8]) -> Option<LogLevel> {
    let (name, rest) = name_and_rest(word);
    let marked = matches!(rest.first(), Some(b':' | b'[' | b'|' | b']'));
    let alone = || is_capital(name) && !is_common(name) && rest.iter().all(u8::is_ascii_punctuation);
    if let Some(level) = named(name).filter(|_| marked || alone()) {
        return Some(level);
    }
    in_brackets(word)
}

/// What a header begins with: a date or a time, a bracket, the letter of Ruby's logger, a day or a month.
fn begins_header(word: &[u8]) -> bool {
    const DAYS_AND_MONTHS: [&str; 19] = [
        "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
        "Oct", "Nov", "Dec",
    ];
    match word {
        [b'[' | b'(', ..] => true,
        [b'D' | b'I' | b'W' | b'E' | b'F' | b'A', b','] => true,
        [first, ..] if first.is_ascii_digit() => true,
        [b'A'..=b'W', _, _, ..] => DAYS_AND_MONTHS.iter().any(|name| name.as_bytes() == &word[..3]),
        _ => false,
    }
}

/// `[info]`, `(WARN)`, `<error>`, `[core:error]`, `[ERROR]:`.
fn in_brackets(word: &[u8]) -> Option<LogLevel> {
    let close = match word.first()? {
        b'[' => b']',
        b'(' => b')',
        b'<' => b'>',
        b'|' => b'|',
        _ => return None,
    };
    let inner = &word[1..];
    let inner = match inner.iter().position(|byte| *byte == close) {
        Some(end) => &inner[..end],
        // `[INFO  shop] x`
        None if close == b']' => inner,
        None => return None,
    };
    named(inner.rsplit(|byte| *byte == b':').next().unwrap_or_default())
}

/// `INFO`, `ERROR:`, `-INFO-`, `[ERROR`, `WARNING:root:text`.
fn in_capitals(word: &[u8]) -> Option<LogLevel> {
    let start = word.iter().position(u8::is_ascii_alphanumeric)?;
    if start > 1 {
        return None;
    }
    let (name, rest) = name_and_rest(&word[start..]);
    let ends = rest.first().is_none_or(|byte| matches!(byte, b':' | b']' | b')' | b'|' | b'-' | b',' | b'>'));
    if ends && is_capital(name) { named(name).filter(|_| !is_common(name)) } else { None }
}

fn is_capital(word: &[u8]) -> bool {
    word.first().is_some_and(u8::is_ascii_uppercase)
        && word.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn is_common(word: &[u8]) -> bool {
    COMMON.iter().any(|common| common.as_bytes().eq_ignore_ascii_case(word))
}

/// The beginning of a line without the escape sequences that colour it.
fn without_escapes<'a>(line: &'a [u8], plain: &'a mut [u8; HEAD]) -> &'a [u8] {
    let head = &line[..line.len().min(HEAD)];
    if memchr::memchr(0x1b, head).is_none() {
        return head;
    }
    let mut length = 0;
    let mut bytes = head.iter();
    while let Some(byte) = bytes.next() {
        if *byte != 0x1b {
            plain[length] = *byte;
            length += 1;
        } else if bytes.as_slice().first() == Some(&b'[') {
            bytes.by_ref().skip(1).find(|byte| (0x40..0x7f).contains(*byte));
        }
    }
    &plain[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(line: &str) -> Option<LogLevel> {
        of(line.as_bytes())
    }

    /// Lines as these programs and libraries write them.
    #[test]
    fn common_formats_say_their_level() {
        use LogLevel::{Debug, Error, Info, Trace, Warn};
        let lines = [
            // JSON: slog, zap, pino, logrus, Google Cloud, log4j, python-json-logger, journald.
            (r#"{"time":"2026-11-28T12:00:00Z","level":"WARN","msg":"x"}"#, Warn),
            (r#"{"level":"error","ts":1764331200.1,"caller":"a.go:1","msg":"x"}"#, Error),
            (r#"{"level":30,"time":1764331200000,"pid":1,"msg":"x"}"#, Info),
            (r#"{"severity":"CRITICAL","message":"x"}"#, Error),
            (r#"{"log.level":"DEBUG","message":"x"}"#, Debug),
            (r#"{"levelname":"WARNING","message":"level is INFO"}"#, Warn),
            (r#"{"PRIORITY":"x","priority":4}"#, Warn),
            // logfmt: Go's slog and logrus, Prometheus.
            ("time=2026-11-28T12:00:00.000Z level=INFO msg=started", Info),
            ("ts=2026-11-28T12:00:00Z caller=main.go:1 level=warn msg=\"level=error\"", Warn),
            ("level=\"error\" msg=x", Error),
            ("lvl=dbug lvl=dbg msg=x", Debug),
            // klog, glog.
            ("I1128 12:00:00.000000       1 main.go:42] started", Info),
            ("W1128 12:00:00.000000       1 main.go:42] slow", Warn),
            ("E1128 12:00:00.000000       1 main.go:42] failed", Error),
            // Rust: tracing, env_logger.
            ("2026-11-28T12:00:00.000000Z  INFO shop: started port=80", Info),
            ("\x1b[2m2026-11-28T12:00:00.000000Z\x1b[0m \x1b[33m WARN\x1b[0m \x1b[2mshop\x1b[0m: slow", Warn),
            ("[2026-11-28T12:00:00Z DEBUG shop] x", Debug),
            (" TRACE shop: x", Trace),
            // Java: log4j, logback, Spring, java.util.logging.
            ("2026-11-28 12:00:00,123 [main] ERROR com.example.Shop - failed", Error),
            ("12:00:00.123 [main] INFO  com.example.Shop -- started", Info),
            ("2026-11-28T12:00:00.123Z  WARN 17 --- [shop] [main] c.e.Shop : slow", Warn),
            ("SEVERE: failed", Error),
            ("[12:00:00] [Server thread/INFO] [INFO]: x", Info),
            // Python: the default, the usual format, uvicorn, gunicorn, loguru.
            ("WARNING:root:slow", Warn),
            ("2026-11-28 12:00:00,123 - shop - INFO - started", Info),
            ("INFO:     Started server process [17]", Info),
            ("[2026-11-28 12:00:00 +0000] [17] [INFO] Starting gunicorn", Info),
            ("2026-11-28 12:00:00.123 | ERROR    | shop:main:1 - failed", Error),
            // Ruby, Node's winston and npm, .NET, zerolog, zap.
            ("I, [2026-11-28T12:00:00.123456 #17]  INFO -- : started", Info),
            ("error: failed", Error),
            ("info: Microsoft.Hosting.Lifetime[14]", Info),
            ("12:00PM INF started", Info),
            ("2026-11-28T12:00:00.000Z\tDEBUG\tshop\tmain.go:1\tx", Debug),
            // Servers: nginx, Apache, Postgres, MySQL, Elixir.
            ("2026/11/28 12:00:00 [error] 17#17: *1 connect() failed", Error),
            ("[Sat Nov 28 12:00:00.000000 2026] [core:notice] [pid 17] x", Info),
            ("2026-11-28 12:00:00.123 UTC [17] LOG:  database system is ready", Info),
            ("2026-11-28 12:00:00.123 UTC [17] FATAL:  role does not exist", Error),
            ("2026-11-28T12:00:00.000000Z 0 [Warning] [MY-010068] [Server] x", Warn),
            ("12:00:00.123 [info] Running Shop.Endpoint", Info),
            // sd-daemon, syslog, rustc.
            ("<3>failed", Error),
            ("<30>Nov 28 12:00:00 shop: x", Info),
            ("warning: unused variable", Warn),
            ("error[E0308]: mismatched types", Error),
        ];
        for (line, expected) in lines {
            assert_eq!(level(line), Some(expected), "{line}");
        }
    }

    /// Text that is about levels says none.
    #[test]
    fn other_lines_say_none() {
        let lines = [
            "",
            " ",
            "listening on 8080",
            "Error handling is on",
            "no error",
            "the level is INFO",
            "info about it",
            "errors: 0 x",
            "GET /INFO HTTP/1.1",
            "{",
            "{\"level\":\"INFO\"",
            "{\"level\":true}",
            "<error",
            "<x>INFO",
            "level",
            "level=",
            "level=none",
            "sublevel=info",
            "\x1b",
            "\x1b[",
            "\x1b[31",
            "127.0.0.1 - - [28/Nov/2026:12:00:00 +0000] \"GET /error HTTP/1.1\" 200 2",
            "INFOrmation",
        ];
        for line in lines {
            assert_eq!(level(line), None, "{line:?}");
        }
        assert_eq!(of(&[0xff; 300]), None);
    }

    #[test]
    fn a_syslog_prefix_is_taken_off() {
        assert_eq!(without_syslog(b"<6>text"), b"text");
        for line in [&b"<>x"[..], b"<b>x", b"", b"<1", b"<12345>x"] {
            assert_eq!(without_syslog(line), line);
        }
    }

    #[test]
    fn frames_of_a_stack_go_on() {
        assert!(continues(b"\tat com.example.Shop.main(Shop.java:1)") && continues(b"  File \"x.py\", line 1"));
        assert!(!continues(b"text") && !continues(b""));
    }
}
