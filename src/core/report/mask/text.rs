//! Secrets in texts: what stands behind a name, in URLs, and tokens that are known by their looks.

use super::MASK;
use super::command;

/// A text with what looks like a secret masked: `password=x`, `"token": "x"`, `Bearer x`, `redis://:x@cache`.
pub fn text(text: &str) -> String {
    // Most texts have nothing of the kind: they are handed on as they are.
    let given = command::may_be_given(text);
    let has_token = TOKENS.iter().any(|token| text.contains(token)) || text.contains("earer ");
    if !text.contains(['=', ':', '-']) && !has_token && !given {
        return text.to_owned();
    }
    let masked = |line: &str| tokens(&values(&urls(&command::options(line))));
    text.split_inclusive('\n').map(|line| if given { masked(&command::given(line)) } else { masked(line) }).collect()
}

/// Masks the user information of each URL: the password, or, without one, a user that is as long as a key.
fn urls(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after.find(|c: char| c.is_whitespace() || "/?#\"'<>`,".contains(c)).unwrap_or(after.len());
        let (authority, left) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((information, host)) => {
                let information = match information.split_once(':') {
                    Some((user, _)) => format!("{user}:{MASK}"),
                    None if information.len() >= 16 => MASK.to_owned(),
                    None => information.to_owned(),
                };
                shown.push_str(&format!("{information}@{host}"));
            }
            None => shown.push_str(authority),
        }
        rest = left;
    }
    shown.push_str(rest);
    shown
}

/// Masks what stands behind `name=` and `name:` when the name is that of a secret.
fn values(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(['=', ':']) {
        let (before, after) = rest.split_at(at + 1);
        shown.push_str(before);
        rest = after;
        let colon = before.ends_with(':');
        let Some(strength) = secret_name_at_end(&before[..at]) else { continue };
        let (lead, value) = value_after(after);
        // `Unexpected token: foo` is no secret; `token: "foo"` and `token: 8f3a…` are.
        let plain = strength == Strength::Weak && colon && lead.trim().is_empty() && !looks_random(value);
        if value.is_empty() || after.starts_with("//") || plain {
            continue;
        }
        shown.push_str(lead);
        // `Authorization: Bearer x`: the scheme tells nothing.
        let scheme = ["Bearer ", "Basic ", "bearer ", "basic ", "Token "]
            .iter()
            .find(|scheme| after[lead.len()..].starts_with(**scheme));
        let skipped = match scheme {
            Some(scheme) => {
                shown.push_str(scheme);
                let left = &after[lead.len() + scheme.len()..];
                lead.len() + scheme.len() + end_of_value(left, "")
            }
            None => lead.len() + value.len(),
        };
        shown.push_str(MASK);
        rest = &after[skipped..];
    }
    shown.push_str(rest);
    shown
}

/// The blanks and the quote before a value, and the value itself up to the closing quote or the next delimiter.
fn value_after(after: &str) -> (&str, &str) {
    let blanks = after.len() - after.trim_start_matches([' ', '\t']).len();
    let quote = after[blanks..].chars().next().filter(|c| matches!(c, '"' | '\'' | '`'));
    let lead = blanks + quote.map_or(0, char::len_utf8);
    let quote = quote.map(String::from).unwrap_or_default();
    let value = &after[lead..];
    (&after[..lead], &value[..end_of_value(value, &quote)])
}

pub(super) fn end_of_value(value: &str, quote: &str) -> usize {
    let ends = |c: char| match quote {
        "" => c.is_whitespace() || "&;,\"'`)}]".contains(c),
        quote => c == '\n' || quote.contains(c),
    };
    value.find(ends).unwrap_or(value.len())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Strength {
    /// Also an everyday word: `token`, `key`, `auth`.
    Weak,
    /// Nothing else than a secret.
    Strong,
}

fn secret_name_at_end(before: &str) -> Option<Strength> {
    let before = before.trim_end_matches(['"', '\'', ' ']);
    let start = before
        .rfind(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c)))
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    secret_strength(&before[start..])
}

/// Whether a variable, an option or a key of this name holds a secret.
pub fn is_secret(name: &str) -> bool {
    secret_strength(name).is_some()
}

fn secret_strength(name: &str) -> Option<Strength> {
    const STRONG: [&str; 8] =
        ["password", "passwd", "passphrase", "passcode", "secret", "credential", "authorization", "cookie"];
    // What follows such a word to say that it is about a secret, not one itself.
    const ABOUT: [&str; 18] = [
        "file", "path", "dir", "name", "id", "url", "uri", "ttl", "timeout", "length", "len", "type", "policy",
        "count", "limit", "expiry", "size", "hash",
    ];
    let lower = name.trim_start_matches('-').to_ascii_lowercase();
    let words: Vec<&str> = lower.split(['_', '-', '.']).filter(|word| !word.is_empty()).collect();
    let last = *words.last()?;
    if ABOUT.contains(&last) || lower == "pwd" || lower == "oldpwd" {
        return None;
    }
    if STRONG.iter().any(|word| lower.contains(word)) {
        return Some(Strength::Strong);
    }
    let pairs = |first: &str, second: &str| words.windows(2).any(|pair| pair[0] == first && pair[1] == second);
    let keyed = ["api", "access", "private", "signing", "encryption", "session", "account", "auth", "master"];
    let glued = ["apikey", "accesskey", "privatekey", "secretkey", "authkey", "sessionkey"];
    if keyed.iter().any(|first| pairs(first, "key")) || glued.iter().any(|word| lower.ends_with(word)) {
        return Some(Strength::Strong);
    }
    let shouted = name.chars().any(|c| c.is_ascii_uppercase()) && !name.chars().any(|c| c.is_ascii_lowercase());
    let weak = lower.ends_with("token")
        || matches!(last, "pwd" | "pw" | "pass" | "jwt" | "salt" | "auth" | "bearer" | "pin")
        || (shouted && last == "key" && words.len() > 1);
    weak.then_some(Strength::Weak)
}

fn looks_random(value: &str) -> bool {
    value.len() >= 8 && value.chars().any(|c| c.is_ascii_digit())
}

/// How the tokens of well-known services begin.
const TOKENS: [&str; 16] = [
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "sk_live_",
    "rk_live_",
    "AKIA",
    "ASIA",
    "eyJhbGciOi",
    "hvs.",
    "npm_",
];

/// Masks tokens that are known by their beginning, and what stands behind `Bearer`.
fn tokens(line: &str) -> String {
    let mut shown = line.to_owned();
    for token in TOKENS {
        let mut from = 0;
        while let Some(at) = shown.get(from..).and_then(|rest| rest.find(token)) {
            let start = from + at + token.len();
            let long = |c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c));
            let end = shown[start..].find(long).map_or(shown.len(), |length| start + length);
            // A word that merely begins so is shorter than any such token.
            if end - start >= 12 {
                shown.replace_range(start..end, MASK);
            }
            from = start;
        }
    }
    for scheme in ["Bearer ", "bearer "] {
        if let Some(at) = shown.find(scheme) {
            let start = at + scheme.len();
            let end = start + end_of_value(&shown[start..], "");
            if looks_random(&shown[start..end]) {
                shown.replace_range(start..end, MASK);
            }
        }
    }
    shown
}
