//! Words as a shell has them, as far as files of this kind need it.

/// The words of a text in which only quotes and backslashes mean something; `None` when it needs a shell, or a quote is
/// not closed.
pub fn plain_words(text: &str) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"') | None, '$' | '`') => return None,
            (Some('"'), '\\') => {
                let next = rest.next()?;
                let word = word.get_or_insert_default();
                if !matches!(next, '"' | '\\' | '$' | '`') {
                    word.push('\\');
                }
                word.push(next);
            }
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '\\') => word.get_or_insert_default().push(rest.next()?),
            (None, '|' | '&' | ';' | '<' | '>' | '(' | ')' | '*' | '?' | '[' | '{' | '~' | '\n') => return None,
            (None, '#') if word.is_none() => return None,
            (None, ' ' | '\t') => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    let assigns = words.first().is_some_and(|first| first.contains('='));
    (quote.is_none() && !assigns && !words.is_empty()).then_some(words)
}

/// How a text for a shell is run: by itself where it needs none, else by `sh -c`, which it replaces where it is one
/// command: signals reach it then.
pub fn command(text: &str) -> Vec<String> {
    let text = text.trim();
    plain_words(text.strip_prefix("exec ").unwrap_or(text)).unwrap_or_else(|| {
        let several = text.contains(['|', '&', ';', '\n', '(']);
        let first = text.split_whitespace().next().unwrap_or_default();
        let special = first.contains('=') || matches!(first, "exec" | "cd" | "if" | "for" | "while" | "set" | "export");
        let exec = if several || special { "" } else { "exec " };
        vec!["sh".to_owned(), "-c".to_owned(), format!("{exec}{text}")]
    })
}

/// The text with variables in the place of `$NAME`, `${NAME}`, `${NAME:-else}` and `${NAME:+then}`; `double` is true
/// where `$$` stands for one dollar (compose), false where `\$` does (Dockerfile). What is not known is empty and is
/// added to `unknown`.
pub fn substitute(
    text: &str,
    double: bool,
    variable: &dyn Fn(&str) -> Option<String>,
    unknown: &mut Vec<String>,
) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['$', '\\']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let dollar = if double { "$$" } else { "\\$" };
        if let Some(after) = rest.strip_prefix(dollar) {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('\\') {
            out.push('\\');
            rest = after;
        } else {
            let (value, length) = one(rest, double, variable, unknown);
            out.push_str(&value);
            rest = &rest[length..];
        }
    }
    out.push_str(rest);
    out
}

/// What stands at a dollar sign, and how long it is.
fn one(
    rest: &str,
    double: bool,
    variable: &dyn Fn(&str) -> Option<String>,
    unknown: &mut Vec<String>,
) -> (String, usize) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let bare = &rest[1..];
    if let Some(inside) = bare.strip_prefix('{')
        && let Some(end) = closing(inside)
    {
        let inside = &inside[..end];
        let cut = inside.find(|c| !is_name(c)).unwrap_or(inside.len());
        let (name, more) = inside.split_at(cut);
        let value = variable(name).filter(|value| !more.starts_with(':') || !value.is_empty());
        let word = |from: usize, unknown: &mut Vec<String>| {
            substitute(more.get(from..).unwrap_or_default(), double, variable, unknown)
        };
        let operator = more.trim_start_matches(':').chars().next();
        let from = if more.starts_with(':') { 2 } else { 1 };
        let found = match (operator, value) {
            (Some('+'), Some(_)) => word(from, unknown),
            (Some('+'), None) => String::new(),
            (_, Some(value)) => value,
            (Some('-'), None) => word(from, unknown),
            (_, None) => {
                unknown.push(name.to_owned());
                String::new()
            }
        };
        return (found, end + 3);
    }
    let length = bare.find(|c| !is_name(c)).unwrap_or(bare.len());
    if length == 0 {
        return ("$".to_owned(), 1);
    }
    let name = &bare[..length];
    let value = variable(name).unwrap_or_else(|| {
        unknown.push(name.to_owned());
        String::new()
    });
    (value, length + 1)
}

/// Where the brace closes that was opened before the text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_u32;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_needs_no_shell_is_split() {
        let words = |text: &str| plain_words(text).map(|words| words.join("|"));
        assert_eq!(words("./api --name 'a b' \"c \\\" d\" e\\ f"), Some("./api|--name|a b|c \" d|e f".to_owned()));
        for text in ["a $B", "a && b", "a > b", "A=1 b", "a 'b", "a *.rs", "", "a \"$B\""] {
            assert_eq!(words(text), None, "{text}");
        }
        let joined = |text: &str| command(text).join("|");
        assert_eq!(joined("gunicorn -b :$PORT app"), "sh|-c|exec gunicorn -b :$PORT app");
        assert_eq!(joined("cd x && ./y"), "sh|-c|cd x && ./y");
        assert_eq!(joined("A=1 ./y $B"), "sh|-c|A=1 ./y $B");
        assert_eq!(joined("exec ./y"), "./y");
    }

    #[test]
    fn variables_are_put_in() {
        let all = |text: &str, double| {
            let mut unknown = Vec::new();
            let known = |name: &str| match name {
                "A" => Some("1".to_owned()),
                "E" => Some(String::new()),
                _ => None,
            };
            (substitute(text, double, &known, &mut unknown), unknown.join(","))
        };
        let text = |text: &str| all(text, true).0;
        assert_eq!(text("x$A-${A}${B:-z${A}}${A:+t}${B:+u}${E:-e}${E-e}"), "x1-1z1te");
        assert_eq!(all("$$A $", true), ("$A $".to_owned(), String::new()));
        assert_eq!(all("\\$A \\n", false), ("$A \\n".to_owned(), String::new()));
        assert_eq!(all("${C}${D:?must}$F", true), (String::new(), "C,D,F".to_owned()));
        assert_eq!(text("${A"), "${A");
    }
}
