//! From bytes as they come to whole lines.

/// How long a line may be, in bytes; a longer one is passed on in parts, so that memory stays bounded.
pub const LONGEST_LINE: usize = 64 * 1024;

/// What one descriptor of a child has written of a line that has no end yet.
#[derive(Debug, Default)]
pub struct Cutter {
    partial: Vec<u8>,
}

impl Cutter {
    /// Takes what was read to `buffer[LONGEST_LINE..][..length]` and gives the whole lines that are there now, the first
    /// one with its beginning from before, which is put in front of what was read. Nothing is copied but that beginning
    /// and the end without a newline. A line that is too long comes in parts without a newline.
    ///
    /// `buffer` is longer than [`LONGEST_LINE`] by at least `length`.
    pub fn cut<'b>(&mut self, buffer: &'b mut [u8], length: usize) -> &'b [u8] {
        let end = LONGEST_LINE + length;
        let fresh = &buffer[LONGEST_LINE..end];
        let whole = match memchr::memrchr(b'\n', fresh) {
            Some(last) => last + 1,
            // So much without a newline: as much of it goes as makes it a part of the longest length.
            None if self.partial.len() + length >= LONGEST_LINE => LONGEST_LINE - self.partial.len(),
            None => 0,
        };
        if whole == 0 {
            self.partial.extend_from_slice(fresh);
            return &[];
        }
        let start = LONGEST_LINE - self.partial.len();
        buffer[start..LONGEST_LINE].copy_from_slice(&self.partial);
        self.partial.clear();
        self.partial.extend_from_slice(&buffer[LONGEST_LINE + whole..end]);
        if self.partial.is_empty() && self.partial.capacity() > SPARE {
            self.partial = Vec::new();
        }
        &buffer[start..LONGEST_LINE + whole]
    }

    /// What there is of a line without an end.
    pub fn partial(&self) -> &[u8] {
        &self.partial
    }

    /// Takes it out: nothing more comes, or it is shown as it is.
    pub fn take_partial(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }
}

/// So much memory is kept by every descriptor for the next line without an end.
const SPARE: usize = 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Cuts what comes in these reads.
    fn cut(reads: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut cutter = Cutter::default();
        let mut buffer = vec![0; 2 * LONGEST_LINE];
        let mut pieces = Vec::new();
        for read in reads {
            buffer[LONGEST_LINE..LONGEST_LINE + read.len()].copy_from_slice(read);
            let piece = cutter.cut(&mut buffer, read.len());
            if !piece.is_empty() {
                pieces.push(piece.to_vec());
            }
        }
        (pieces, cutter.take_partial())
    }

    #[test]
    fn lines_are_put_together_over_reads() {
        let (pieces, rest) = cut(&[b"one\ntw", b"o", b"\nthree\nfo"]);
        assert_eq!(pieces, [b"one\n".to_vec(), b"two\nthree\n".to_vec()]);
        assert_eq!(rest, b"fo");
    }

    #[test]
    fn a_line_without_end_comes_in_parts() {
        let long = vec![b'x'; LONGEST_LINE];
        let (pieces, rest) = cut(&[&long[..10], &long, b"end\n"]);
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [LONGEST_LINE, 14]);
        assert!(rest.is_empty());
        let (pieces, rest) = cut(&[&long, &long[..5]]);
        assert_eq!((pieces.len(), pieces[0].len(), rest.len()), (1, LONGEST_LINE, 5));
    }

    proptest! {
        /// No byte is lost or changed, and no piece but a part ends without a newline.
        #[test]
        fn nothing_is_lost(reads in proptest::collection::vec("[a\n]{0,40}", 0..20)) {
            let reads: Vec<&[u8]> = reads.iter().map(|read| read.as_bytes()).filter(|read| !read.is_empty()).collect();
            let (pieces, rest) = cut(&reads);
            prop_assert!(pieces.iter().all(|piece| piece.ends_with(b"\n")));
            prop_assert!(!rest.contains(&b'\n'));
            prop_assert_eq!([pieces.concat(), rest].concat(), reads.concat());
        }
    }
}
