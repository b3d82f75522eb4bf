//! Which lines are passed on: those from a level on.

use crate::core::settings::LogLevel;

use super::level;

/// Writes those lines to `out` that are at least so severe, or say no level. A line that goes on with the one before it
/// shares its fate; `last` is the level of the line before.
pub fn filter(lines: &[u8], least: LogLevel, last: &mut Option<LogLevel>, out: &mut Vec<u8>) {
    for (line, whole) in super::lines(lines) {
        if !level::continues(line) {
            *last = level::of(line);
        }
        // Levels are in the order from error to trace.
        if last.is_none_or(|level| level <= least) {
            out.extend_from_slice(line);
            if whole {
                out.push(b'\n');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_below_the_level_are_left_out_with_what_goes_on_with_them() {
        let lines = b"INFO: one\nERROR: two\n  at frame\nDEBUG: three\n  more\nno level\nWARN: four\npart";
        let left = |least| {
            let mut out = Vec::new();
            filter(lines, least, &mut None, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(left(LogLevel::Warn), "ERROR: two\n  at frame\nno level\nWARN: four\npart");
        assert_eq!(left(LogLevel::Error), "ERROR: two\n  at frame\nno level\npart");
        assert_eq!(left(LogLevel::Trace).as_bytes(), lines);
    }
}
