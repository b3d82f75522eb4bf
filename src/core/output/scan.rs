//! How far nothing special comes, eight bytes at a time: most bytes of a line are letters.

/// Eight bytes of this value.
const fn eight(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The high bit of each of eight bytes that is less than `limit`, which is at most 0x80; of others above such a one it may
/// be set, too, so that only the lowest counts.
const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(eight(limit)) & !word & eight(0x80)
}

/// The same of each that is `byte`.
const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ eight(byte), 1)
}

/// How many bytes come before the first special one. `specials` has the high bit of the first such byte of eight as its
/// lowest bit, and is zero where there is none.
fn length(bytes: &[u8], specials: impl Fn(u64) -> u64) -> usize {
    let (eights, rest) = bytes.as_chunks::<8>();
    let mut length = 0;
    for eight in eights {
        let found = specials(u64::from_le_bytes(*eight));
        if found != 0 {
            return length + found.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    // Filled up with what is special nowhere.
    let mut last = [b'x'; 8];
    last[..rest.len()].copy_from_slice(rest);
    let found = specials(u64::from_le_bytes(last));
    length + if found == 0 { rest.len() } else { found.trailing_zeros() as usize / 8 }
}

/// How many bytes at the beginning may stand in a JSON string as they are.
pub fn plain_length(bytes: &[u8]) -> usize {
    length(bytes, |word| below(word, b' ') | equal(word, b'"') | equal(word, b'\\') | equal(word, 0x7f))
}

/// How many bytes come before the first one that is a space or a control character.
pub fn word_length(bytes: &[u8]) -> usize {
    length(bytes, |word| below(word, b' ' + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The same comes of it as of one byte after the other.
        #[test]
        fn eight_at_a_time_are_as_good_as_one(bytes in proptest::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], 0..40)) {
            let until = |special: fn(u8) -> bool| {
                bytes.iter().position(|byte| special(*byte)).unwrap_or(bytes.len())
            };
            prop_assert_eq!(plain_length(&bytes), until(|byte| byte < b' ' || matches!(byte, b'"' | b'\\' | 0x7f)));
            prop_assert_eq!(word_length(&bytes), until(|byte| byte <= b' '));
        }
    }

    #[test]
    fn every_byte_is_seen_at_every_place() {
        for byte in 0..=255 {
            for place in 0..20 {
                let mut bytes = vec![b'a'; 20];
                bytes[place] = byte;
                let plain = byte >= b' ' && !matches!(byte, b'"' | b'\\' | 0x7f);
                assert_eq!(plain_length(&bytes), if plain { 20 } else { place }, "{byte}");
                assert_eq!(word_length(&bytes), if byte > b' ' { 20 } else { place }, "{byte}");
            }
        }
    }
}
