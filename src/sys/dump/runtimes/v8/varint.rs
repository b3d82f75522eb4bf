//! Numbers of variable length, seven bits a byte, as V8 writes them into its tables.

/// Reads numbers from bytes.
#[derive(Debug, Clone)]
pub struct Varints<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Varints<'a> {
    /// Reads from `at` on.
    pub fn new(bytes: &'a [u8], at: usize) -> Varints<'a> {
        Varints { bytes, at }
    }

    /// Where the next byte is.
    pub fn position(&self) -> usize {
        self.at
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// A number without a sign.
    pub fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A number whose lowest bit is its sign.
    pub fn signed(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        let size = (value >> 1) as i64;
        Some(if value & 1 == 1 { -size } else { size })
    }

    /// A number in zigzag order: 0, -1, 1, -2, …
    pub fn zigzag(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_seven_bits_a_byte() {
        let bytes = [0x81, 0x01, 0x03, 0x05, 0xff];
        let mut numbers = Varints::new(&bytes, 0);
        assert_eq!((numbers.unsigned(), numbers.signed(), numbers.zigzag()), (Some(129), Some(-1), Some(-3)));
        assert_eq!((numbers.position(), numbers.unsigned()), (4, None));
    }

    proptest! {
        #[test]
        fn noise_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..300) {
            let mut numbers = Varints::new(&bytes, at);
            while numbers.signed().is_some() {}
            prop_assert!(numbers.position() <= bytes.len().max(at));
        }
    }
}
