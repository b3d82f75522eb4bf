//! The version of Go that a program was built with, from its build information.

use super::bytes::Bytes;

/// Where the version stands in it since Go 1.18: a length, then the text.
const VERSION: u64 = 32;
/// No version is longer, in bytes.
const LONGEST: u64 = 128;

/// `1.21.13` of `go1.21.13`, as it stands in the build information at `address`. The text of a development version is
/// told whole.
pub fn version(memory: &dyn Bytes, address: u64) -> Option<String> {
    let mut flags = [0];
    if !memory.fill(address.checked_add(15)?, &mut flags) || flags[0] & 2 == 0 {
        return None;
    }
    let mut length = [0];
    let at = address.checked_add(VERSION)?;
    // The length is written in groups of seven bits; one group holds any that makes sense.
    if !memory.fill(at, &mut length) || u64::from(length[0]) >= LONGEST || length[0] == 0 {
        return None;
    }
    let text = memory.bytes(at.checked_add(1)?, usize::from(length[0]))?;
    let text = String::from_utf8(text).ok().filter(|text| !text.chars().any(char::is_control))?;
    Some(text.strip_prefix("go").map(str::to_owned).unwrap_or(text))
}

/// The number behind `1.`: 21 of `1.21.13`.
pub fn minor(version: &str) -> Option<u32> {
    // A development version: `devel go1.28-abcdef`.
    let version = version.rsplit_once(" go").map_or(version, |(_, rest)| rest);
    let digits: String = version.strip_prefix("1.")?.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::bytes::testing::Pieces;
    use super::*;

    #[test]
    fn versions() {
        let mut bytes = b"\xff Go buildinf:\x08\x02".to_vec();
        bytes.resize(32, 0);
        bytes.push(9);
        bytes.extend(b"go1.21.13and more");
        let memory = Pieces(vec![(0x1000, bytes.clone())]);
        assert_eq!(version(&memory, 0x1000).as_deref(), Some("1.21.13"));
        bytes[32] = 0xff;
        assert_eq!(version(&Pieces(vec![(0x1000, bytes)]), 0x1000), None);
        assert_eq!(version(&memory, 0x2000), None);
        let minors = ["1.21.13", "1.27", "1.28rc1", "devel go1.28-0123abc Mon", "2.0", "", "1."].map(minor);
        assert_eq!(minors, [Some(21), Some(27), Some(28), Some(28), None, None, None]);
    }
}
