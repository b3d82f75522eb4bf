//! Durations and sizes as people write them (`250ms`, `1m30s`, `64KiB`), and as they are shown to people.

use std::fmt;
use std::time::Duration;

/// No duration is longer than this, so that sums and backoff factors cannot overflow anywhere: 100 years.
pub const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The units of a duration, longest first, in nanoseconds.
const DURATION_UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// The units of a size, largest first, in bytes.
const SIZE_UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A text that is no duration or no size: what is wrong with it and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl UnitError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> UnitError {
        UnitError { message: message.into(), hint: hint.into() }
    }
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.hint)
    }
}

impl std::error::Error for UnitError {}

/// Reads a duration: `250ms`, `30s`, `2m`, `1h`, `1m30s`, `1.5s`. The units are d, h, m, s, ms, us and ns, the
/// longer before the shorter, and only the last number may have a fraction.
///
/// A number without a unit is refused: nobody can know whether 30 is seconds or milliseconds.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let units = "units are ms, s, m, h and d: 250ms, 30s, 1m30s";
    let wrong = || UnitError::new(format!("{text:?} is not a duration"), units);
    if text.starts_with('-') {
        return Err(UnitError::new("a duration is not negative", units));
    }
    let mut total: u128 = 0;
    let mut rest = text;
    let mut smallest = u128::MAX;
    while !rest.is_empty() {
        let number = &rest[..rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len())];
        let after = &rest[number.len()..];
        let unit = &after[..after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len())];
        rest = &after[unit.len()..];
        if number.is_empty() {
            return Err(wrong());
        }
        if unit.is_empty() {
            return Err(UnitError::new("a duration needs a unit", format!("write {}", with_unit(text))));
        }
        let Some(nanos) = duration_unit(unit) else { return Err(wrong_unit(text, unit)) };
        if nanos >= smallest {
            return Err(UnitError::new("the units of a duration go from long to short, each once", "write 1m30s"));
        }
        if number.contains('.') && !rest.is_empty() {
            return Err(UnitError::new("only the last number of a duration may have a fraction", "write 1m30.5s"));
        }
        smallest = nanos;
        let part = scaled(number, nanos).ok_or_else(wrong)?;
        total = total.saturating_add(part);
    }
    if text.is_empty() {
        return Err(wrong());
    }
    if total > LONGEST.as_nanos() {
        return Err(UnitError::new(format!("{text:?} is longer than 100 years"), units));
    }
    // At most 100 years in nanoseconds fits in 64 bits.
    Ok(Duration::from_nanos(u64::try_from(total).unwrap_or(u64::MAX)))
}

/// How many nanoseconds a unit has.
fn duration_unit(unit: &str) -> Option<u128> {
    let unit = if unit == "µs" || unit == "μs" { "us" } else { unit };
    DURATION_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, nanos)| *nanos)
}

/// What a bare number most likely meant: seconds.
fn with_unit(text: &str) -> String {
    match text.bytes().all(|b| b.is_ascii_digit()) && text.len() <= 9 {
        true => format!("{text}s"),
        false => "30s".to_owned(),
    }
}

/// What to say about a unit that is none, and which one was most likely meant.
fn wrong_unit(text: &str, unit: &str) -> UnitError {
    let units = "units are ms, s, m, h and d: 250ms, 30s, 1m30s";
    match (respelt(text), meant_unit(unit)) {
        (Some(right), _) => UnitError::new(format!("{text:?} is not a duration"), format!("write {right}")),
        (None, Some(_)) => UnitError::new(format!("{text:?} is not a duration"), units),
        (None, None) => UnitError::new(format!("{text:?} is not a duration: {:?} is no unit", unit.trim()), units),
    }
}

/// The unit that is meant by a word, in any case and with blanks around it.
fn meant_unit(word: &str) -> Option<&'static str> {
    match word.trim().to_ascii_lowercase().as_str() {
        "msec" | "msecs" | "milli" | "millis" | "millisecond" | "milliseconds" | "ms" => Some("ms"),
        "s" | "sec" | "secs" | "second" | "seconds" => Some("s"),
        "m" | "min" | "mins" | "minute" | "minutes" => Some("m"),
        "h" | "hr" | "hrs" | "hour" | "hours" => Some("h"),
        "d" | "day" | "days" => Some("d"),
        _ => None,
    }
}

/// The whole duration as it is written here, if only its units and blanks are not.
fn respelt(text: &str) -> Option<String> {
    let (mut right, mut rest) = (String::new(), text.trim());
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(unit_at);
        let (unit, next) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let known = DURATION_UNITS.iter().map(|(name, _)| *name).find(|name| *name == unit.trim());
        right.push_str(number);
        right.push_str(known.or_else(|| meant_unit(unit))?);
        rest = next;
    }
    parse_duration(&right).is_ok().then_some(right)
}

/// A decimal number times a whole one, rounded down; `None` when it is no number (`1.2.3`, `.`) or far too large.
fn scaled(number: &str, by: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // More than 18 digits of a fraction lie below a nanosecond of even a day.
    let fraction = &fraction[..fraction.len().min(18)];
    // A number too large to parse is longer than the longest duration in any case.
    let whole = whole.parse::<u64>().map_or(u128::from(u64::MAX), u128::from);
    let parts = fraction.parse::<u128>().ok()? * by / 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    Some(whole * by + parts)
}

/// Reads a size: `512B`, `64KiB`, `1.5MiB`, `2GiB`. Only binary units, so that nobody need ask whether KB is 1000.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let units = "units are B, KiB, MiB and GiB: 64KiB";
    let number = &text[..text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len())];
    let unit = &text[number.len()..];
    let wrong = || UnitError::new(format!("{text:?} is not a size"), units);
    if number.is_empty() {
        return Err(wrong());
    }
    if unit.is_empty() {
        return Err(UnitError::new("a size needs a unit", format!("write {number}B or {number}KiB")));
    }
    let Some((_, bytes)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) else {
        let letter = unit.trim().get(..1).map(str::to_ascii_uppercase).unwrap_or_default();
        let meant = SIZE_UNITS.iter().find(|(name, _)| name.starts_with(&letter) && !letter.is_empty());
        return Err(match meant {
            Some((name, _)) => UnitError::new(format!("{text:?} is not a size"), format!("write {number}{name}")),
            None => wrong(),
        });
    };
    let total = scaled(number, u128::from(*bytes)).ok_or_else(wrong)?;
    u64::try_from(total).map_err(|_| UnitError::new(format!("{text:?} is more than a 64-bit number of bytes"), units))
}

/// A duration for a person to read, with no more than is of interest: `850 µs`, `412 ms`, `29.8 s`, `2m 5s`, `3h 4m`.
/// It is cut, not rounded, so that a wait is never shown longer than it was.
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.as_millis() > 0 => format!("{} ms", duration.as_millis()),
        0 if duration.is_zero() => "0 ms".to_owned(),
        0 => format!("{} µs", duration.as_micros()),
        1..=59 => format!("{seconds}.{} s", duration.subsec_millis() / 100),
        60..=3599 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..=86_399 => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A duration as it would be written in launcher.toml: `250ms`, `30s`, `1m30s`. [`parse_duration`] gives it back exactly.
pub fn exact_duration(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, nanos) in DURATION_UNITS {
        if rest >= nanos {
            text.push_str(&format!("{}{unit}", rest / nanos));
            rest %= nanos;
        }
    }
    text
}

/// A size for a person to read: `512 B`, `64 KiB`, `1.5 GiB`; cut, not rounded.
pub fn human_size(bytes: u64) -> String {
    let (unit, size) = SIZE_UNITS.into_iter().find(|(_, size)| bytes >= *size).unwrap_or(("B", 1));
    let tenths = u128::from(bytes % size) * 10 / u128::from(size);
    match tenths {
        0 => format!("{} {unit}", bytes / size),
        _ => format!("{}.{tenths} {unit}", bytes / size),
    }
}

/// A time since 1970 as reports and JSON lines write it: UTC with milliseconds, `2026-11-23T12:33:00.123Z`.
pub fn utc_text(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since_epoch.subsec_millis())
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant, `civil_from_days`): years begin in March, so
/// that a leap day is a year's last, and 400 of them have the same number of days.
fn civil(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn duration(text: &str) -> Duration {
        parse_duration(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn times_are_written_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_709_251_199, "2024-02-29T23:59:59"),
            (1_709_251_200, "2024-03-01T00:00:00"),
            (1_735_689_599, "2024-12-31T23:59:59"),
            (1_795_437_180, "2026-11-23T12:33:00"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            assert_eq!(utc_text(Duration::new(seconds, 123_999_999)), format!("{text}.123Z"));
        }
    }

    #[test]
    fn reads_durations() {
        assert_eq!(duration("250ms"), Duration::from_millis(250));
        assert_eq!(duration("30s"), Duration::from_secs(30));
        assert_eq!(duration("2m"), Duration::from_secs(120));
        assert_eq!(duration("1h"), Duration::from_secs(3600));
        assert_eq!(duration("1m30s"), Duration::from_secs(90));
        assert_eq!(duration("1d2h3m4s5ms"), Duration::from_millis(93_784_005));
        assert_eq!(duration("1.5s"), Duration::from_millis(1500));
        assert_eq!(duration("1m0.25s"), Duration::from_millis(60_250));
        assert_eq!(duration("0.1ms"), Duration::from_micros(100));
        assert_eq!(duration("7µs"), Duration::from_micros(7));
        assert_eq!(duration("0s"), Duration::ZERO);
    }

    #[test]
    fn says_what_to_write_instead_of_a_wrong_duration() {
        let hint = |text: &str| parse_duration(text).unwrap_err().hint;
        assert_eq!(parse_duration("30").unwrap_err().message, "a duration needs a unit");
        assert_eq!(hint("30"), "write 30s");
        assert_eq!(hint("30 s"), "write 30s");
        assert_eq!(hint("30S"), "write 30s");
        assert_eq!(hint("5min"), "write 5m");
        assert_eq!(hint("250 msec"), "write 250ms");
        assert_eq!((hint("1m 30s"), hint("1 Hour 5 min 2s")), ("write 1m30s".into(), "write 1h5m2s".into()));
        assert!(hint("1m 30").starts_with("units are") && hint("30 s 1 m").starts_with("units are"));
        assert_eq!(parse_duration("30s1m").unwrap_err().hint, "write 1m30s");
        for text in ["", "s", "-5s", "1..5s", ".s", "1.s", ".5s", "1.5m3s", "1s1s", "5x", "1e3s", "ten", "99999999d"] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
        assert!(parse_duration("99999999999999999999999999s").unwrap_err().message.contains("longer than 100 years"));
    }

    #[test]
    fn reads_sizes() {
        assert_eq!(parse_size("512B"), Ok(512));
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("1.5MiB"), Ok(1_572_864));
        assert_eq!(parse_size("2GiB"), Ok(2 << 30));
        assert_eq!(parse_size("64").unwrap_err().hint, "write 64B or 64KiB");
        assert_eq!(parse_size("64KB").unwrap_err().hint, "write 64KiB");
        assert_eq!(parse_size("64k").unwrap_err().hint, "write 64KiB");
        for text in ["", "KiB", "-1B", "1.2.3B", "1é", "99999999999TiB"] {
            assert!(parse_size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn shows_durations_and_sizes_to_people() {
        let millis = |n| human_duration(Duration::from_millis(n));
        assert_eq!(millis(412), "412 ms");
        assert_eq!(millis(29_899), "29.8 s");
        assert_eq!(millis(59_999), "59.9 s");
        assert_eq!(millis(125_000), "2m 5s");
        assert_eq!(millis(11_045_000), "3h 4m");
        assert_eq!(millis(180_000_000), "2d 2h");
        assert_eq!(human_duration(Duration::from_micros(850)), "850 µs");
        assert_eq!(human_duration(Duration::ZERO), "0 ms");
        assert_eq!(exact_duration(Duration::from_secs(90)), "1m30s");
        assert_eq!(exact_duration(Duration::from_millis(250)), "250ms");
        assert_eq!(exact_duration(Duration::ZERO), "0s");
        assert_eq!(human_size(65_536), "64 KiB");
        assert_eq!(human_size(1_610_612_736), "1.5 GiB");
        assert_eq!(human_size(0), "0 B");
        assert_eq!(human_size(u64::MAX), "16777215.9 TiB");
    }

    proptest! {
        #[test]
        fn what_is_written_exactly_is_read_back(nanos in 0..=LONGEST.as_nanos() as u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse_duration(&exact_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,12}|[0-9.]{0,30}[a-zµKiBdhms ]{0,4}[0-9.]{0,5}[a-z]{0,2}") {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
        }
    }
}
