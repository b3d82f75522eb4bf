//! JSON objects that children write: whether a line is one, and what its members are. Nothing is allocated, and one walk
//! does both.

use super::scan::plain_length;

/// Deeper nesting is taken for text: a bit is remembered for each level.
const DEEPEST: u32 = 64;

/// A member at the top of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its key, as it is written between the quotes.
    pub key: &'a str,
    /// Where the key stands, without its quotes.
    pub at: usize,
    /// Its value as it is written.
    pub value: &'a str,
}

/// Walks over a line that should be one JSON object (RFC 8259) and tells each of its members at the top. `None` when it
/// is not: what was told before is worth nothing then.
pub fn walk<'a>(line: &'a str, mut tell: impl FnMut(Member<'a>)) -> Option<()> {
    let bytes = line.as_bytes();
    let mut at = skip_space(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        return None;
    }
    at = skip_space(bytes, at + 1);
    if bytes.get(at) == Some(&b'}') {
        return at_end(bytes, at + 1);
    }
    loop {
        let end = string(bytes, at)?;
        let key = at + 1;
        let start = after_colon(bytes, end)?;
        let past = value(bytes, start)?;
        tell(Member { key: line.get(key..end - 1)?, at: key, value: line.get(start..past)? });
        at = skip_space(bytes, past);
        match bytes.get(at)? {
            b',' => at = skip_space(bytes, at + 1),
            b'}' => return at_end(bytes, at + 1),
            _ => return None,
        }
    }
}

fn at_end(bytes: &[u8], at: usize) -> Option<()> {
    (skip_space(bytes, at) == bytes.len()).then_some(())
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

fn after_colon(bytes: &[u8], at: usize) -> Option<usize> {
    let at = skip_space(bytes, at);
    (bytes.get(at)? == &b':').then(|| skip_space(bytes, at + 1))
}

/// Past the value that begins here.
fn value(bytes: &[u8], mut at: usize) -> Option<usize> {
    // For each level whether it is an object, the innermost in the lowest bit.
    let mut objects = 0_u64;
    let mut depth = 0;
    loop {
        // A value begins here.
        match bytes.get(at)? {
            open @ (b'{' | b'[') => {
                let object = *open == b'{';
                at = skip_space(bytes, at + 1);
                let close = if object { b'}' } else { b']' };
                if bytes.get(at)? == &close {
                    at += 1;
                } else {
                    depth += 1;
                    if depth > DEEPEST {
                        return None;
                    }
                    objects = objects << 1 | u64::from(object);
                    if object {
                        at = after_colon(bytes, string(bytes, at)?)?;
                    }
                    continue;
                }
            }
            b'"' => at = string(bytes, at)?,
            b't' => at = word(bytes, at, b"true")?,
            b'f' => at = word(bytes, at, b"false")?,
            b'n' => at = word(bytes, at, b"null")?,
            _ => at = number(bytes, at)?,
        }
        // A value has ended here.
        while depth > 0 {
            at = skip_space(bytes, at);
            let object = objects & 1 == 1;
            match bytes.get(at)? {
                b',' => {
                    at = skip_space(bytes, at + 1);
                    if object {
                        at = after_colon(bytes, string(bytes, at)?)?;
                    }
                    break;
                }
                b'}' if object => {}
                b']' if !object => {}
                _ => return None,
            }
            at += 1;
            depth -= 1;
            objects >>= 1;
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Past the string that begins here with its quote.
fn string(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at)? != &b'"' {
        return None;
    }
    let mut at = at + 1;
    loop {
        at += plain_length(&bytes[at..]);
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => match bytes.get(at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                b'u' => {
                    let digits = bytes.get(at + 2..at + 6)?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    at += 6;
                }
                _ => return None,
            },
            0..0x20 => return None,
            _ => at += 1,
        }
    }
}

fn word(bytes: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    bytes[at..].starts_with(word).then_some(at + word.len())
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let digits = |at: usize| {
        let end = at + bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (end > at).then_some(end)
    };
    let at = at + usize::from(bytes[at] == b'-');
    let mut end = match bytes.get(at)? {
        b'0' => at + 1,
        _ => digits(at)?,
    };
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(end) {
        let sign = matches!(bytes.get(end + 1), Some(b'+' | b'-'));
        end = digits(end + 1 + usize::from(sign))?;
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(line: &str) -> Option<Vec<(&str, &str)>> {
        let mut found = Vec::new();
        walk(line, |member| found.push((member.key, member.value))).map(|()| found)
    }

    #[test]
    fn members_are_told_with_their_values() {
        let line = r#" {"a": 1 , "b":{"c":[1,2,{"d":"}"}]},"e\"":"x\\\"","f":-1.5e+3,"g":null}  "#;
        let expected = [("a", "1"), ("b", r#"{"c":[1,2,{"d":"}"}]}"#), (r#"e\""#, r#""x\\\"""#), ("f", "-1.5e+3")];
        let found = members(line).unwrap();
        assert_eq!(found[..4], expected);
        assert_eq!(found[4], ("g", "null"));
        assert_eq!(members("{}"), Some(vec![]));
        let mut at = 0;
        walk(r#"{ "key":1}"#, |member| at = member.at).unwrap();
        assert_eq!(at, 3);
    }

    #[test]
    fn what_is_no_object_is_none() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
        let wrong = [
            "",
            "{",
            "}",
            "[1]",
            "1",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":01}",
            "{\"a\":1}x",
            "{a:1}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\t\"}",
            "{\"a\":\"\\u12g4\"}",
            "{\"a\":-}",
            "{\"a\":1.}",
            "{\"a\":1e}",
            "{\"a\":[1,]}",
            "{\"a\":[1}}",
            "{\"a\":{\"b\":1]}",
            "{\"a\":nul}",
            "{\"a\":1 \"b\":2}",
            &deep,
        ];
        for line in wrong {
            assert_eq!(members(line), None, "{line}");
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::btree_map(".{0,4}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn takes_what_serde_writes(value in any_json()) {
            let text = value.to_string();
            prop_assert_eq!(members(&text).is_some(), value.is_object());
            if let (Some(found), Some(object)) = (members(&text), value.as_object()) {
                prop_assert_eq!(found.len(), object.len());
            }
        }

        /// What is taken for an object is one to others, too.
        #[test]
        fn takes_nothing_else(text in r#"\{("a":)?[\{\}\[\]",:0-9a\\unle .+-]{0,12}\}"#) {
            if members(&text).is_some() {
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{}", text);
            }
        }
    }
}
