//! V8's bytecode, as far as to tell where each instruction begins, by the tables of each version
//! (`interpreter/bytecodes.h`): baseline code notes how much was made of each instruction, not which one that is.

use super::layout::Version;

/// Bytecode arrays longer than this are not decoded, in bytes.
pub const LONGEST: u64 = 1 << 22;

/// The instructions of a version of V8, by number: a name and a letter for each operand: `s` one that grows with a
/// prefix, `b` a byte, `w` two bytes.
#[derive(Debug, Clone)]
pub struct Opcodes(Vec<(&'static str, &'static [u8])>);

impl Opcodes {
    /// The instructions of a version, where they are known.
    pub fn of(version: Version) -> Option<Opcodes> {
        let text = match version {
            (10, 2) => include_str!("bytecodes/10.2.txt"),
            (11, 3) => include_str!("bytecodes/11.3.txt"),
            (12, 4) => include_str!("bytecodes/12.4.txt"),
            (13, 6) => include_str!("bytecodes/13.6.txt"),
            (14, 6) => include_str!("bytecodes/14.6.txt"),
            _ => return None,
        };
        let entry = |word: &'static str| word.split_once('/').map_or((word, &b""[..]), |(a, b)| (a, b.as_bytes()));
        Some(Opcodes(text.split_whitespace().map(entry).collect()))
    }
}

/// Where each instruction begins, its prefix included; `None` when it is not the bytecode of this version.
pub fn offsets(bytes: &[u8], opcodes: &Opcodes) -> Option<Vec<u32>> {
    let mut all = Vec::new();
    let mut at = 0usize;
    while at < bytes.len() {
        all.push(u32::try_from(at).ok()?);
        let (mut name, mut operands) = *opcodes.0.get(usize::from(bytes[at]))?;
        at += 1;
        let scale = match name {
            "Wide" | "DebugBreakWide" => 2,
            "ExtraWide" | "DebugBreakExtraWide" => 4,
            _ => 1,
        };
        if scale > 1 {
            (name, operands) = *opcodes.0.get(usize::from(*bytes.get(at)?))?;
            at += 1;
        }
        let size = |kind: &u8| match kind {
            b'b' => 1,
            b'w' => 2,
            _ => scale,
        };
        at += operands.iter().map(size).sum::<usize>();
        if name.ends_with("Wide") && scale > 1 {
            return None;
        }
    }
    (at == bytes.len()).then_some(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VERSIONS: [Version; 5] = [(10, 2), (11, 3), (12, 4), (13, 6), (14, 6)];

    #[test]
    fn every_version_has_its_table() {
        for version in VERSIONS {
            let opcodes = Opcodes::of(version).unwrap().0;
            assert_eq!((opcodes[0].0, opcodes[1].0), ("Wide", "ExtraWide"));
            for name in ["GetNamedProperty", "CallProperty1", "Construct", "Star0", "Star15", "Return", "JumpLoop"] {
                assert!(opcodes.iter().any(|(other, _)| *other == name), "{version:?} {name}");
            }
            let known = |kinds: &[u8]| kinds.len() <= 5 && kinds.iter().all(|kind| b"sbw".contains(kind));
            assert!(opcodes.len() < 256 && opcodes.iter().all(|(_, kinds)| known(kinds)));
        }
        assert!(Opcodes::of((9, 4)).is_none());
    }

    #[test]
    fn instructions_follow_one_another() {
        let opcodes = Opcodes::of((11, 3)).unwrap();
        let number = |name: &str| opcodes.0.iter().position(|(other, _)| *other == name).unwrap() as u8;
        let [wide, star2, star] = ["Wide", "Star2", "Star"].map(number);
        let [load, call, end] = ["LdaSmi", "CallRuntime", "Return"].map(number);
        let bytes = [star2, wide, star, 0xf8, 0xff, load, 0xff, call, 1, 2, 3, 4, wide, call, 1, 2, 3, 4, 5, 6, end];
        assert_eq!(offsets(&bytes, &opcodes), Some(vec![0, 1, 5, 7, 12, 20]));
        assert_eq!(offsets(&bytes[..4], &opcodes), None);
        assert_eq!(offsets(&[wide, wide, star, 0], &opcodes), None);
    }

    proptest! {
        #[test]
        fn noise_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for version in VERSIONS {
                let found = offsets(&bytes, &Opcodes::of(version).unwrap()).unwrap_or_default();
                prop_assert!(found.is_sorted_by(|a, b| a < b));
            }
        }
    }
}
