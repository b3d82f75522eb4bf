//! What a Go service itself says of its goroutines.

use serde::{Deserialize, Serialize};

/// The goroutine profile of `net/http/pprof`, in its text form with equal stacks folded (`debug=1`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProfileFacts {
    /// Where it was asked for.
    pub url: String,
    /// How many goroutines it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goroutines: Option<u64>,
    /// The profile, as far as it was taken.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Why it is not there, or not whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl ProfileFacts {
    /// From an answer of HTTP/1.0, up to `limit` bytes of which were taken.
    pub fn parse(url: String, answer: &[u8], limit: usize) -> ProfileFacts {
        let mut facts = ProfileFacts { url, ..ProfileFacts::default() };
        let text = String::from_utf8_lossy(answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            facts.error = Some("it does not answer as an HTTP server does".to_owned());
            return facts;
        };
        let status = head.split_whitespace().nth(1).unwrap_or_default();
        let first = body.lines().next().unwrap_or_default();
        facts.goroutines = first.strip_prefix("goroutine profile: total ").and_then(|count| count.trim().parse().ok());
        if status != "200" {
            let status = head.lines().next().unwrap_or_default();
            facts.error = Some(format!("the answer is {status:?}: import net/http/pprof, or correct the address"));
        } else if facts.goroutines.is_none() {
            facts.error = Some("the answer is no goroutine profile".to_owned());
        } else {
            facts.text = body.to_owned();
            facts.error = (answer.len() >= limit).then(|| format!("only the first {limit} bytes were taken"));
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(answer: &str) -> ProfileFacts {
        ProfileFacts::parse("http://127.0.0.1:6060".to_owned(), answer.as_bytes(), 4096)
    }

    #[test]
    fn answers_and_others() {
        let profile = "goroutine profile: total 12\n10 @ 0x1 0x2\n#\t0x1\tmain.work+0x1f\t/src/main.go:9\n";
        let facts = parse(&format!("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n{profile}"));
        assert_eq!((facts.goroutines, facts.text.as_str(), facts.error), (Some(12), profile, None));
        let missing = parse("HTTP/1.0 404 Not Found\r\n\r\n404 page not found\n");
        assert!(missing.error.unwrap().contains("404 Not Found"));
        assert!(parse("HTTP/1.0 200 OK\r\n\r\n<html>").error.unwrap().contains("no goroutine profile"));
        assert!(parse("SSH-2.0-OpenSSH").error.unwrap().contains("HTTP"));
        let cut = ProfileFacts::parse(String::new(), format!("HTTP/1.0 200 OK\r\n\r\n{profile}").as_bytes(), 60);
        assert!(cut.error.unwrap().contains("first 60 bytes"));
    }
}
