//! The source of a script: its lines.

use super::heap::Text;

/// A script's source.
#[derive(Debug)]
pub struct Source {
    length: usize,
    /// Where each line but the first starts.
    starts: Vec<u32>,
}

impl Source {
    /// Finds the lines. A line ends as JavaScript has it: LF, CR, CR LF, U+2028, U+2029.
    pub fn new(text: &Text) -> Source {
        let mut starts = Vec::new();
        for index in 0..text.len() {
            let ends = match text.at(index) {
                10 | 0x2028 | 0x2029 => true,
                13 => text.at(index + 1) != 10,
                _ => false,
            };
            if ends {
                starts.push(u32::try_from(index + 1).unwrap_or(u32::MAX));
            }
        }
        Source { length: text.len(), starts }
    }

    /// The line of a position, from 1 on; `None` beyond the end.
    pub fn line(&self, position: u32) -> Option<u32> {
        if position as usize > self.length {
            return None;
        }
        u32::try_from(self.starts.partition_point(|start| *start <= position) + 1).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source(text: &str) -> Source {
        Source::new(&Text::Wide(text.encode_utf16().collect()))
    }

    #[test]
    fn lines_end_as_javascript_has_it() {
        let source = source("a\nb\r\nc\rd\u{2028}e");
        let lines: Vec<_> = (0..11).map(|position| source.line(position)).collect();
        let expected = [1, 1, 2, 2, 2, 3, 3, 4, 4, 5].map(Some);
        assert_eq!(lines[..10], expected);
        assert_eq!(source.line(11), None);
    }

    proptest! {
        #[test]
        fn every_position_has_a_line(units in prop::collection::vec(any::<u16>(), 0..300)) {
            let source = Source::new(&Text::Wide(units.clone()));
            let lines: Vec<u32> = (0..=units.len() as u32).map(|position| source.line(position).unwrap()).collect();
            prop_assert!(lines.is_sorted() && lines[0] == 1);
            prop_assert_eq!(source.line(units.len() as u32 + 1), None);
        }
    }
}
