//! Lines for a person: the service's name before each, in a colour of its own on a terminal.

use crate::core::settings::LogLevel;

use super::{level, lines};

/// The colours of services: those that are read well on a dark and on a light ground. Red is for errors.
const COLOURS: [&str; 10] = ["36", "33", "32", "35", "34", "96", "93", "92", "95", "94"];

/// What stands before each line of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    text: Vec<u8>,
    colour: bool,
}

impl Prefix {
    /// `name | `, filled up to this width; with a place among the services, in that one's colour.
    ///
    /// A colour that a child has left on ends here: the sequence takes back what was there before.
    pub fn new(name: &str, width: usize, place: Option<usize>) -> Prefix {
        let text = match place {
            Some(place) => format!("\x1b[0;{}m{name:width$} |\x1b[0m ", COLOURS[place % COLOURS.len()]),
            None => format!("{name:width$} | "),
        };
        Prefix { text: text.into_bytes(), colour: place.is_some() }
    }

    /// The same after the time of day (`12:33:00.123`), which does not stand out.
    pub fn at(&self, time: &str) -> Prefix {
        let text = match self.colour {
            true => format!("\x1b[0;2m{time}\x1b[0m "),
            false => format!("{time} "),
        };
        Prefix { text: [text.as_bytes(), &self.text].concat(), colour: self.colour }
    }

    /// The prefix itself.
    pub fn bytes(&self) -> &[u8] {
        &self.text
    }

    /// Lays out lines; each of them ends with a newline then. The first goes on with what is shown already when
    /// `begun`.
    pub fn lay_out(&self, piece: &[u8], begun: bool, out: &mut Vec<u8>) {
        let mut begun = begun;
        for (line, _) in lines(piece) {
            if !std::mem::take(&mut begun) {
                out.extend_from_slice(&self.text);
            }
            out.extend_from_slice(line);
            out.push(b'\n');
        }
    }

    /// The same with the colour of each line's level, where it has none of its own. `last` is the level of the line
    /// before.
    pub fn lay_out_tinted(&self, piece: &[u8], begun: bool, last: &mut Option<LogLevel>, out: &mut Vec<u8>) {
        let mut begun = begun;
        for (line, _) in lines(piece) {
            if !std::mem::take(&mut begun) {
                out.extend_from_slice(&self.text);
            }
            if !level::continues(line) || last.is_none() {
                *last = level::of(line);
            }
            let tint = tint(*last).filter(|_| self.colour && memchr::memchr(0x1b, line).is_none());
            if let Some(tint) = tint {
                out.extend_from_slice(tint);
                out.extend_from_slice(line);
                out.extend_from_slice(b"\x1b[0m\n");
            } else {
                out.extend_from_slice(line);
                out.push(b'\n');
            }
        }
    }
}

fn tint(level: Option<LogLevel>) -> Option<&'static [u8]> {
    match level? {
        LogLevel::Error => Some(b"\x1b[31m"),
        LogLevel::Warn => Some(b"\x1b[33m"),
        LogLevel::Info => None,
        LogLevel::Debug | LogLevel::Trace => Some(b"\x1b[2m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid_out(prefix: &Prefix, piece: &[u8]) -> String {
        let mut out = Vec::new();
        prefix.lay_out_tinted(piece, false, &mut None, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_stand_before_lines_that_all_end() {
        let prefix = Prefix::new("db", 0, None);
        assert_eq!(laid_out(&prefix, b"one\n\ntwo"), "db | one\ndb | \ndb | two\n");
        let mut out = Vec::new();
        prefix.lay_out(b"rest\nnext\n", true, &mut out);
        assert_eq!(out, b"rest\ndb | next\n");
    }

    #[test]
    fn a_time_stands_before_the_name() {
        let mut out = Vec::new();
        Prefix::new("db", 0, None).at("12:33:00.123").lay_out(b"up\n", false, &mut out);
        assert_eq!(out, b"12:33:00.123 db | up\n");
        let coloured = Prefix::new("db", 0, Some(0)).at("12:33:00.123");
        assert_eq!(coloured.bytes(), b"\x1b[0;2m12:33:00.123\x1b[0m \x1b[0;36mdb |\x1b[0m ");
    }

    #[test]
    fn names_are_aligned_and_coloured() {
        let prefix = Prefix::new("db", 5, Some(0));
        assert_eq!(laid_out(&prefix, b"one\n"), "\x1b[0;36mdb    |\x1b[0m one\n");
        assert_ne!(Prefix::new("a", 1, Some(0)), Prefix::new("a", 1, Some(1)));
        assert_eq!(Prefix::new("a", 1, Some(0)), Prefix::new("a", 1, Some(10)));
    }

    #[test]
    fn lines_have_the_colour_of_their_level_unless_they_have_one() {
        let prefix = Prefix::new("a", 0, Some(0));
        let name = "\x1b[0;36ma |\x1b[0m ";
        let out = laid_out(&prefix, b"error: x\n  at y\nplain\n\x1b[32merror: own\x1b[0m\n");
        let red = |line: &str| format!("{name}\x1b[31m{line}\x1b[0m\n");
        let expected =
            [red("error: x"), red("  at y"), format!("{name}plain\n"), format!("{name}\x1b[32merror: own\x1b[0m\n")];
        assert_eq!(out, expected.concat());
        assert_eq!(laid_out(&Prefix::new("a", 0, None), b"error: x\n"), "a | error: x\n");
    }
}
