//! `{port.NAME}` in the arguments of a command.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What begins a placeholder. Any other brace is left alone: arguments are often JSON.
const OPENING: &[u8] = b"{port.";

/// A placeholder that stands for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownPort(pub String);

impl std::fmt::Display for UnknownPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{port.{}}} names no port with a number", self.0)
    }
}

impl std::error::Error for UnknownPort {}

/// The names in every `{port.NAME}` of an argument, in order. A name that is not UTF-8 is shown with replacements.
pub fn placeholders(argument: &OsStr) -> Vec<String> {
    let mut names = Vec::new();
    let collected = replace(argument, |name| {
        names.push(String::from_utf8_lossy(name).into_owned());
        Some(Vec::new())
    });
    debug_assert!(collected.is_ok(), "nothing was refused");
    names
}

/// The argument with the port's number in place of every `{port.NAME}`.
///
/// `port` gives the number a port really has, which for `auto` is known only once one was picked; it gives none for a
/// Unix socket and for a name that was not declared, which [`parse`](super::parse) has refused before.
pub fn expand(argument: &OsStr, port: impl Fn(&str) -> Option<u16>) -> Result<OsString, UnknownPort> {
    replace(argument, |name| {
        let name = std::str::from_utf8(name).ok()?;
        port(name).map(|number| number.to_string().into_bytes())
    })
}

/// Copies the argument with something else in place of every placeholder.
fn replace(argument: &OsStr, mut by: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Result<OsString, UnknownPort> {
    let mut rest = argument.as_bytes();
    let mut whole = Vec::with_capacity(rest.len());
    while let Some(at) = rest.windows(OPENING.len()).position(|window| window == OPENING) {
        let name_at = at + OPENING.len();
        let Some(length) = rest[name_at..].iter().position(|byte| *byte == b'}') else { break };
        let name = &rest[name_at..name_at + length];
        whole.extend_from_slice(&rest[..at]);
        whole.extend(by(name).ok_or_else(|| UnknownPort(String::from_utf8_lossy(name).into_owned()))?);
        rest = &rest[name_at + length + 1..];
    }
    whole.extend_from_slice(rest);
    Ok(OsString::from_vec(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(argument: &str) -> Result<String, UnknownPort> {
        let port = |name: &str| match name {
            "http" => Some(8080),
            "dns" => Some(53),
            _ => None,
        };
        expand(OsStr::new(argument), port).map(|text| text.into_string().unwrap())
    }

    #[test]
    fn puts_numbers_in_place_of_names() {
        assert_eq!(expanded("--listen=127.0.0.1:{port.http}"), Ok("--listen=127.0.0.1:8080".into()));
        assert_eq!(expanded("{port.http},{port.dns}{port.http}"), Ok("8080,538080".into()));
        assert_eq!(expanded("nothing"), Ok("nothing".into()));
        assert_eq!(expanded("{\"a\":{port.dns}}"), Ok("{\"a\":53}".into()));
        assert_eq!(expanded("{port} {port.http"), Ok("{port} {port.http".into()));
        assert_eq!(expanded("{port.web}"), Err(UnknownPort("web".into())));
        assert_eq!(expanded("{port.}"), Err(UnknownPort("".into())));
    }

    #[test]
    fn keeps_what_is_not_utf8() {
        let argument = OsString::from_vec(b"\xff{port.http}\xfe".to_vec());
        assert_eq!(expand(&argument, |_| Some(1)).unwrap().as_bytes(), b"\xff1\xfe");
        assert_eq!(placeholders(OsStr::new("{port.a}{port.b.c}")), ["a", "b.c"]);
    }
}
