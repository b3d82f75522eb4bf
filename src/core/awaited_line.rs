//! A line of output that is waited for (`ready.log`).

use regex_lite::Regex;

/// The line that is waited for.
#[derive(Debug)]
pub struct AwaitedLine(Regex);

impl AwaitedLine {
    /// Waits for a line that matches this regular expression; `None` when it is none.
    pub fn new(pattern: &str) -> Option<AwaitedLine> {
        Regex::new(pattern).ok().map(AwaitedLine)
    }

    /// Whether one of these whole lines is the one. What a terminal would show in colour is matched without the colour.
    pub fn is_among(&self, lines: &[u8]) -> bool {
        let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
        lines.split(|byte| *byte == b'\n').any(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.0.is_match(&String::from_utf8_lossy(&plain(line)))
        })
    }
}

/// The line without what changes colours or moves the cursor (ECMA-48: `ESC [`, parameters, a final byte).
fn plain(line: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((first, after)) = rest.split_first() {
        rest = match after.strip_prefix(b"[").filter(|_| *first == 0x1b) {
            Some(sequence) => {
                let end = sequence.iter().position(|byte| (0x40..=0x7e).contains(byte));
                end.and_then(|end| sequence.get(end + 1..)).unwrap_or_default()
            }
            None => {
                plain.push(*first);
                after
            }
        };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_lines() {
        let line = AwaitedLine::new("^listening on .*:80$").unwrap();
        assert!(!line.is_among(b"starting\nlistening on 127.0.0.1:8080\n"));
        assert!(line.is_among(b"starting\nlistening on 127.0.0.1:80\r\nmore\n"));
        assert!(AwaitedLine::new("(").is_none());
    }

    #[test]
    fn colours_and_what_is_no_text_do_not_matter() {
        let line = AwaitedLine::new("INFO ready$").unwrap();
        assert!(line.is_among(b"\xff\x1b[2m12:00\x1b[0m \x1b[32mINFO\x1b[0m ready\x1b[K\n"));
        assert!(!line.is_among(b"INFO ready or not\x1b[31\n"));
    }
}
