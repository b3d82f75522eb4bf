//! "did you mean": the known word that is closest to the one written.

/// The candidate most like `word`, if one is like enough that it may have been meant.
pub fn closest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let written = plain(word);
    // One slip in a short word, two in a longer one: more and the suggestion is noise.
    let allowed = match written.chars().count() {
        0..=1 => return None,
        2..=4 => 1,
        5..=8 => 2,
        // The distance takes time in the square of the length, and no known word is so long.
        9..=64 => 3,
        _ => return None,
    };
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&written, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `unknown WHAT "word"`, with `, did you mean "candidate"?` when one is close.
pub fn unknown<'c>(what: &str, word: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    match closest(word, candidates) {
        Some(candidate) => format!("unknown {what} {word:?}, did you mean {candidate:?}?"),
        None => format!("unknown {what} {word:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_nothing_else() {
        let keys = ["command", "directory", "start_timeout", "stop_timeout", "user", "after"];
        assert_eq!(closest("comand", keys), Some("command"));
        assert_eq!(closest("start-timeout", keys), Some("start_timeout"));
        assert_eq!(closest("starttimeout", keys), Some("start_timeout"));
        assert_eq!(closest("USER", keys), Some("user"));
        assert_eq!(closest("colour", keys), None);
        assert_eq!(closest("", keys), None);
        assert_eq!(closest(&"x".repeat(100_000), keys), None);
        assert_eq!(unknown("key", "comand", keys), "unknown key \"comand\", did you mean \"command\"?");
    }
}
