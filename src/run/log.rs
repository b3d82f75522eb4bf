//! The launcher's own lines: `tracing` events, as text for a person or as one JSON object a line.
//!
//! Every event has a message that reads well alone; `service` and the other fields are for machines. Text is
//! `launcher: api is ready after 1.2 s`, JSON is `{"time":…,"level":"info","service":"api","event":"ready",…}`.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::core::report::text::Style;
use crate::core::settings::{LogFormat, LogLevel};
use crate::core::units::utc_text;
use crate::run::{output, screen};
use crate::sys::{clock, terminal};

pub use crate::run::screen::{clear as clear_progress, progress};

/// The launcher's own lines are written to stderr, from `level` on; text with the time of day before each line if `times`
/// says so.
///
/// # Errors
/// None: a second call changes nothing.
pub fn start(format: LogFormat, level: LogLevel, times: bool) {
    let text = match format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    TEXT.store(text, Ordering::Relaxed);
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    let _ = tracing::subscriber::set_global_default(Lines { text, colour: text && colour_wanted(), times, level });
}

/// Whether stderr is a terminal whose user has not said `NO_COLOR` (<https://no-color.org>).
pub fn colour_wanted() -> bool {
    at_terminal() && !no_colour()
}

/// Whether the launcher's own lines go to a terminal, where a person reads them.
pub fn at_terminal() -> bool {
    io::stderr().is_terminal()
}

/// How text for a person is laid out on this stream: as wide as the terminal, with colours unless `NO_COLOR` says
/// otherwise; elsewhere plain, and wide enough for most lines.
pub fn style(stream: &(impl IsTerminal + AsFd)) -> Style {
    if !stream.is_terminal() {
        return Style { width: 120, colour: false };
    }
    let width = terminal::columns(stream.as_fd()).unwrap_or(100);
    Style { width: width.min(160), colour: !no_colour() }
}

/// The same with colours as somebody asked for: `always`, `never`, anything else as it is by itself.
pub fn style_asked(stream: &(impl IsTerminal + AsFd), when: &str) -> Style {
    let style = style(stream);
    match when {
        "always" => Style { colour: true, ..style },
        "never" => Style { colour: false, ..style },
        _ => style,
    }
}

/// Whether the user has said `NO_COLOR`.
pub fn no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// The time as reports and JSON lines write it: UTC with milliseconds, `2026-11-23T12:33:00.123Z`.
pub fn utc_now() -> String {
    utc_text(now())
}

/// The time since 1970, UTC.
pub fn now() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

/// The time so long ago, in the same form.
pub fn utc_before(ago: std::time::Duration) -> String {
    utc_text(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().saturating_sub(ago))
}

/// Whether lines are written for a person.
static TEXT: AtomicBool = AtomicBool::new(false);

/// Whether the launcher's own lines are text for a person.
pub fn is_text() -> bool {
    TEXT.load(Ordering::Relaxed)
}

/// How one event becomes one line. There are no spans, and so nothing to remember of them: a whole registry of spans
/// would be the largest part of the launcher's own memory.
struct Lines {
    text: bool,
    colour: bool,
    times: bool,
    level: Level,
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.level))
    }

    fn event(&self, event: &Event<'_>) {
        let line = if self.text { self.text(event) } else { json(event) };
        output::end_line();
        screen::write_above(&line);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Lines {
    fn text(&self, event: &Event<'_>) -> String {
        let mut text = Text { message: String::new(), block: None };
        event.record(&mut text);
        if let Some(block) = &text.block {
            return format!("{}\n", block.trim_end_matches('\n'));
        }
        let time = match (self.times, self.colour) {
            (true, true) => format!("\x1b[2m{}\x1b[0m ", clock::time_of_day(now())),
            (true, false) => format!("{} ", clock::time_of_day(now())),
            _ => String::new(),
        };
        let (start, end) = match (self.colour, *event.metadata().level()) {
            (true, Level::ERROR) => ("\x1b[31m", "\x1b[0m"),
            (true, Level::WARN) => ("\x1b[33m", "\x1b[0m"),
            (true, Level::DEBUG | Level::TRACE) => ("\x1b[2m", "\x1b[0m"),
            _ => ("", ""),
        };
        format!("{time}{start}launcher: {}{end}\n", text.message)
    }
}

fn json(event: &Event<'_>) -> String {
    let mut json = Json { out: String::with_capacity(256) };
    let level = level_name(*event.metadata().level());
    let _ = write!(json.out, r#"{{"time":"{}","level":"{level}""#, utc_now());
    event.record(&mut json);
    json.out.push_str("}\n");
    json.out
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// Takes the message, or a `block` of several lines that stands for it on a terminal.
struct Text {
    message: String,
    block: Option<String>,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "block" => self.block = Some(format!("{value:?}")),
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_owned(),
            "block" => self.block = Some(value.to_owned()),
            _ => {}
        }
    }
}

/// Writes each field as a member of the object that `out` has begun.
struct Json {
    out: String,
}

impl Json {
    fn member(&mut self, field: &Field, value: impl serde::Serialize) {
        // The block repeats in many lines what the message and the report say.
        if field.name() == "block" {
            return;
        }
        if let Ok(value) = serde_json::to_string(&value) {
            let _ = write!(self.out, r#","{}":{value}"#, field.name());
        }
    }
}

impl Visit for Json {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, value);
    }
}
