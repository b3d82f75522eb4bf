//! The keys by which a person leaves the terminal of a service: typed one after the other, and kept from the service. As
//! Docker has them, so that fingers need not learn.

use std::fmt;

use crate::core::config::value::ValueError;

/// When nothing else is chosen.
const USUAL: [u8; 2] = [CTRL & b'P', CTRL & b'Q'];

/// What Ctrl leaves of a letter.
const CTRL: u8 = 0x1f;

/// So many keys may be chosen.
const MOST: usize = 8;

/// Those keys, and how far they were typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys {
    /// Never empty.
    keys: Vec<u8>,
    /// What was typed of them, and not passed on.
    held: Vec<u8>,
}

/// What becomes of keys that were typed.
#[derive(Debug, PartialEq, Eq)]
pub struct Typed {
    /// For the service.
    pub passed: Vec<u8>,
    /// The person leaves.
    pub detached: bool,
}

impl Default for DetachKeys {
    fn default() -> DetachKeys {
        DetachKeys { keys: USUAL.to_vec(), held: Vec::new() }
    }
}

impl DetachKeys {
    /// `ctrl-p,ctrl-q`: keys with commas between them, each a character of ASCII or `ctrl-` and a letter or one of
    /// `@ [ \ ] ^ _`.
    ///
    /// # Errors
    /// What is wrong, and what to write.
    pub fn parse(text: &str) -> Result<DetachKeys, ValueError> {
        let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
        match keys {
            Some(keys) if keys.len() <= MOST => Ok(DetachKeys { keys, held: Vec::new() }),
            Some(_) => Err(ValueError::new(format!("{text:?} are more than {MOST} keys"), "write ctrl-p,ctrl-q")),
            None => {
                let hint = "write keys with commas between them, each a character or ctrl- and a letter: ctrl-p,ctrl-q";
                Err(ValueError::new(format!("{text:?} are no keys"), hint))
            }
        }
    }

    /// Takes in what was typed. What comes after the last of the keys is for nobody.
    pub fn typed(&mut self, bytes: &[u8]) -> Typed {
        let mut passed = Vec::with_capacity(bytes.len());
        for byte in bytes {
            self.held.push(*byte);
            while !self.keys.starts_with(&self.held) {
                passed.push(self.held.remove(0));
            }
            if self.held == self.keys {
                self.held.clear();
                return Typed { passed, detached: true };
            }
        }
        Typed { passed, detached: false }
    }
}

fn key(text: &str) -> Option<u8> {
    let control = |text: &str| match text.as_bytes() {
        [letter @ (b'a'..=b'z' | b'A'..=b'Z' | b'@' | b'['..=b'_')] => Some(letter & CTRL),
        _ => None,
    };
    match text.as_bytes() {
        [byte @ b' '..=b'~'] => Some(*byte),
        _ => text.strip_prefix("ctrl-").and_then(control),
    }
}

impl fmt::Display for DetachKeys {
    /// `Ctrl-P Ctrl-Q`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.keys.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            match key {
                0..0x20 => write!(f, "{space}Ctrl-{}", char::from(key | 0x40))?,
                _ => write!(f, "{space}{}", char::from(*key))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_keys_are_kept_from_the_service_and_all_else_is_passed_on() {
        let mut keys = DetachKeys::default();
        let passed = |text: &[u8]| Typed { passed: text.to_vec(), detached: false };
        assert_eq!(keys.typed(b"ls\r\x03"), passed(b"ls\r\x03"));
        // Ctrl-P alone waits for what comes after it.
        assert_eq!(keys.typed(b"a\x10"), passed(b"a"));
        assert_eq!(keys.typed(b"b"), passed(b"\x10b"));
        assert_eq!(keys.typed(b"\x10\x10"), passed(b"\x10"));
        assert_eq!(keys.typed(b"\x11more"), Typed { passed: Vec::new(), detached: true });
    }

    #[test]
    fn keys_are_read_and_named() {
        let read = |text| DetachKeys::parse(text).map(|keys| (keys.keys.clone(), keys.to_string()));
        assert_eq!(read("ctrl-p,ctrl-q"), Ok((vec![16, 17], "Ctrl-P Ctrl-Q".to_owned())));
        assert_eq!(read("ctrl-],q"), Ok((vec![29, b'q'], "Ctrl-] q".to_owned())));
        assert_eq!(read("ctrl-@"), Ok((vec![0], "Ctrl-@".to_owned())));
        for wrong in ["", ",", "ctrl-", "ctrl-1", "ctrl-ab", "ab", "\u{e9}", "a,,b", "a,b,c,d,e,f,g,h,i"] {
            assert!(DetachKeys::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        /// Whatever is typed, the service gets all of it but what may still become the keys.
        #[test]
        fn nothing_is_lost(typed in proptest::collection::vec(proptest::sample::select(vec![1_u8, 2, 3]), 0..40)) {
            let mut keys = DetachKeys { keys: vec![1, 1, 2], held: Vec::new() };
            let mut passed = Vec::new();
            for byte in &typed {
                let more = keys.typed(&[*byte]);
                passed.extend(more.passed);
                if more.detached {
                    passed.extend([1, 1, 2]);
                }
            }
            passed.extend(&keys.held);
            prop_assert_eq!(passed, typed);
        }
    }
}
