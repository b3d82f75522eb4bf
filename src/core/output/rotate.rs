//! When a file of lines is put aside, under which name, and which of those are too many.

use std::time::Duration;

use crate::core::settings::FileLog;
use crate::core::units::utc_text;

/// A file that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Its size in bytes.
    pub size: u64,
    /// When it was begun, since 1970.
    pub since: Duration,
}

/// What is to be done with lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Whether the file is put aside first.
    pub rotate: bool,
    /// What is written to it then.
    pub write: &'a [u8],
    /// What is left for the next step.
    pub rest: &'a [u8],
}

/// How much of these lines goes into a file before it is put aside: whole lines, and one at least.
pub fn step<'a>(lines: &'a [u8], file: Written, now: Duration, settings: &FileLog) -> Step<'a> {
    let old = settings.max_age.is_some_and(|age| now.saturating_sub(file.since) >= age);
    if file.size > 0 && old {
        return Step { rotate: true, ..step(lines, Written { size: 0, since: now }, now, settings) };
    }
    let room = usize::try_from(settings.max_size.saturating_sub(file.size)).unwrap_or(usize::MAX);
    if lines.len() <= room {
        return Step { rotate: false, write: lines, rest: &[] };
    }
    let fitting = memchr::memrchr(b'\n', &lines[..room]).map_or(0, |end| end + 1);
    if fitting == 0 && file.size > 0 {
        return Step { rotate: true, ..step(lines, Written { size: 0, since: now }, now, settings) };
    }
    // A line that is longer than a file may be has one of its own.
    let fitting = match fitting {
        0 => memchr::memchr(b'\n', lines).map_or(lines.len(), |end| end + 1),
        _ => fitting,
    };
    Step { rotate: false, write: &lines[..fitting], rest: &lines[fitting..] }
}

/// The ending of a compressed file.
pub const COMPRESSED: &str = ".gz";

/// What a file is called when it is put aside at this time: `api.log.2026-11-28T12-33-00.123Z`.
pub fn aside(name: &str, time: Duration) -> String {
    format!("{name}.{}", utc_text(time).replace(':', "-"))
}

/// The names among these that were put aside from `name`, the oldest first.
pub fn put_aside<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let is_ours = |other: &&str| {
        let time = other.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
        let time = time.map(|time| time.strip_suffix(COMPRESSED).unwrap_or(time));
        let shape = |time: &str| {
            time.len() == 24
                && time.bytes().zip(b"0000-00-00T00-00-00.000Z").all(|(byte, as_in)| match as_in {
                    b'0' => byte.is_ascii_digit(),
                    _ => byte == *as_in,
                })
        };
        time.is_some_and(shape)
    };
    let mut found: Vec<&str> = names.into_iter().filter(is_ours).collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_795_867_980);

    fn settings(max_size: u64, age: Option<u64>) -> FileLog {
        FileLog { max_size, max_age: age.map(Duration::from_secs), ..FileLog::new("x".into()) }
    }

    /// The files that come of these lines, each as it is when it is put aside.
    fn files(lines: &[u8], max_size: u64) -> Vec<String> {
        let settings = settings(max_size, None);
        let mut files = vec![Vec::new()];
        let mut rest = lines;
        while !rest.is_empty() {
            let last = files.last_mut().unwrap();
            let step = step(rest, Written { size: last.len() as u64, since: NOW }, NOW, &settings);
            if step.rotate {
                files.push(Vec::new());
            }
            files.last_mut().unwrap().extend_from_slice(step.write);
            rest = step.rest;
        }
        files.into_iter().map(|file| String::from_utf8(file).unwrap()).collect()
    }

    #[test]
    fn files_hold_whole_lines_and_are_no_longer_than_allowed() {
        assert_eq!(files(b"one\ntwo\nthree\n", 100), ["one\ntwo\nthree\n"]);
        assert_eq!(files(b"one\ntwo\nthree\n", 9), ["one\ntwo\n", "three\n"]);
        assert_eq!(files(b"one\ntwo\nthree\n", 8), ["one\ntwo\n", "three\n"]);
        assert_eq!(files(b"a line that is longer\nb\nc\n", 4), ["a line that is longer\n", "b\nc\n"]);
        assert_eq!(files(b"a part without an end", 4), ["a part without an end"]);
    }

    #[test]
    fn a_file_that_is_old_is_put_aside_when_something_is_written() {
        let written = |age: u64| Written { size: 10, since: NOW - Duration::from_secs(age) };
        let rotates = |age| step(b"x\n", written(age), NOW, &settings(100, Some(60))).rotate;
        assert!(rotates(60) && !rotates(59));
        let empty = Written { size: 0, since: Duration::ZERO };
        assert!(!step(b"x\n", empty, NOW, &settings(100, Some(60))).rotate);
        // A clock that was put back makes no file old.
        let ahead = Written { size: 10, since: NOW + Duration::from_secs(100) };
        assert!(!step(b"x\n", ahead, NOW, &settings(100, Some(60))).rotate);
    }

    #[test]
    fn names_are_known_again() {
        let name = aside("api.log", NOW);
        assert_eq!(name, "api.log.2026-11-28T12-13-00.000Z");
        let zipped = aside("api.log", NOW + Duration::from_millis(1)) + COMPRESSED;
        let others = [
            "api.log",
            "api.log.1",
            "api.log.2026-11-28T12:13:00.000Z",
            "api.log.gz",
            "web.log.2026-11-28T12-13-00.000Z",
        ];
        let all = others.into_iter().chain([zipped.as_str(), name.as_str()]);
        assert_eq!(put_aside("api.log", all), [name.as_str(), zipped.as_str()]);
    }
}
