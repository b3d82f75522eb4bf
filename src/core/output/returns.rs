//! The ends of lines on a terminal, which it shows as two characters (`ONLCR`, `termios(3)`): what is kept of a line has the
//! one that the program wrote.

/// Takes them out of bytes as they come.
#[derive(Debug, Default)]
pub struct Returns {
    /// The last byte was a carriage return, of which it is not known yet what comes after it.
    held: bool,
}

impl Returns {
    /// Puts what was held back to the beginning of this; how many bytes that is. What comes next is to follow it.
    pub fn put_back(&self, buffer: &mut [u8]) -> usize {
        match buffer.first_mut().filter(|_| self.held) {
            Some(first) => {
                *first = b'\r';
                1
            }
            None => 0,
        }
    }

    /// Moves together what is left of this, which begins with what was [put back](Returns::put_back): how long that is.
    pub fn take_out(&mut self, bytes: &mut [u8]) -> usize {
        let mut length = 0;
        for index in 0..bytes.len() {
            let next = bytes.get(index + 1);
            if bytes[index] != b'\r' || next.is_some_and(|next| *next != b'\n') {
                bytes[length] = bytes[index];
                length += 1;
            }
        }
        self.held = bytes.last() == Some(&b'\r');
        length
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However it comes, what is left is the same.
        #[test]
        fn ends_of_lines_are_one_character(text in "[a\r\n]{0,30}", piece in 1..8_usize) {
            let (mut returns, mut left) = (Returns::default(), Vec::new());
            for bytes in text.as_bytes().chunks(piece) {
                let mut buffer = [0; 16];
                let start = returns.put_back(&mut buffer);
                buffer[start..start + bytes.len()].copy_from_slice(bytes);
                let length = returns.take_out(&mut buffer[..start + bytes.len()]);
                left.extend_from_slice(&buffer[..length]);
            }
            if returns.held {
                left.push(b'\r');
            }
            prop_assert_eq!(String::from_utf8(left).unwrap(), text.replace("\r\n", "\n"));
        }
    }
}
