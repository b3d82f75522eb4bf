//! Lines for the journal of systemd, in its own protocol: a datagram of fields each
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>). So each line has its service as its identifier, and its level.

use crate::core::settings::LogLevel;

use super::{Stream, level};

/// The fields that are the same for all lines of one descriptor of one generation.
#[derive(Debug, Clone)]
pub struct Entry {
    fields: Vec<u8>,
}

impl Entry {
    /// For this service, generation and stream.
    pub fn new(service: &str, generation: u64, stream: Stream) -> Entry {
        let stream = stream.name();
        let fields = format!(
            "SYSLOG_IDENTIFIER={service}\nLAUNCHER_SERVICE={service}\nLAUNCHER_GENERATION={generation}\n\
             LAUNCHER_STREAM={stream}\n"
        );
        Entry { fields: fields.into_bytes() }
    }

    /// Lays out one line as a datagram, in place of what `out` holds. `last` is the level of the line before.
    pub fn lay_out(&self, line: &[u8], last: &mut Option<LogLevel>, out: &mut Vec<u8>) {
        if !level::continues(line) || last.is_none() {
            *last = level::of(line);
        }
        let priority: &[u8] = match last {
            Some(LogLevel::Error) => b"PRIORITY=3\n",
            Some(LogLevel::Warn) => b"PRIORITY=4\n",
            Some(LogLevel::Debug | LogLevel::Trace) => b"PRIORITY=7\n",
            Some(LogLevel::Info) | None => b"PRIORITY=6\n",
        };
        out.clear();
        out.extend_from_slice(&self.fields);
        out.extend_from_slice(priority);
        out.extend_from_slice(b"MESSAGE=");
        out.extend_from_slice(level::without_syslog(line));
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_datagram_of_fields() {
        let entry = Entry::new("api", 2, Stream::Stderr);
        let mut out = b"old".to_vec();
        entry.lay_out(b"<3>failed = yes", &mut None, &mut out);
        let expected = "SYSLOG_IDENTIFIER=api\nLAUNCHER_SERVICE=api\nLAUNCHER_GENERATION=2\nLAUNCHER_STREAM=stderr\n\
                        PRIORITY=3\nMESSAGE=failed = yes\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn levels_are_priorities() {
        let entry = Entry::new("api", 1, Stream::Stdout);
        for (line, priority) in [("plain", "6"), ("WARN x", "4"), ("level=debug x", "7"), ("ERROR: x", "3")] {
            let mut out = Vec::new();
            entry.lay_out(line.as_bytes(), &mut None, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains(&format!("\nPRIORITY={priority}\nMESSAGE={line}\n")), "{text}");
        }
    }
}
