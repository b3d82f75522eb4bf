//! Environment files: lines of `KEY=VALUE`.
//!
//! Own code, because dotenvy puts variables of its own process into values and its errors have no line.

use std::fmt;
use std::ops::Range;

/// A line of an environment file that cannot be read. It never shows a value, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DotenvError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
    /// What to write instead.
    pub hint: &'static str,
}

impl fmt::Display for DotenvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.message, self.hint)
    }
}

impl std::error::Error for DotenvError {}

/// What is left to read, and where it is.
struct Reader<'t> {
    rest: &'t str,
    line: usize,
}

/// Reads the variables of an environment file in their order; of two with the same name the later one is to win.
///
/// Empty lines and lines that begin with `#` are skipped, and so is `export` before a name. A value without quotes
/// ends at the end of its line or before ` #`, and loses the blanks around it. Between single quotes everything stays
/// as it is; between double quotes `\n`, `\r`, `\t`, `\\`, `\"` and `\$` are what they are in most languages. A quoted
/// value may go over several lines. Nothing is put in place of `$NAME`: what is in the file is what the child gets.
///
/// # Errors
/// Every line that cannot be read. After a quote that is not closed nothing more can be.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, Vec<DotenvError>> {
    let placed = parse_placed(text)?;
    Ok(placed.into_iter().map(|variable| (variable.name, variable.value)).collect())
}

/// A variable and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The lines it is written on, in bytes of the text, without the last line's end.
    pub span: Range<usize>,
}

/// The same as [`parse`], with places.
///
/// # Errors
/// As there.
pub fn parse_placed(text: &str) -> Result<Vec<Placed>, Vec<DotenvError>> {
    let mut reader = Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let mut variables = Vec::new();
    let mut errors = Vec::new();
    while !reader.rest.is_empty() {
        let line = reader.line;
        let start = text.len() - reader.rest.len();
        match reader.entry() {
            Ok(Some((name, value))) => {
                let written = &text[start..text.len() - reader.rest.len()];
                let span = start..start + written.trim_end().len();
                variables.push(Placed { name, value, span });
            }
            Ok(None) => {}
            Err((message, hint)) => {
                errors.push(DotenvError { line, message, hint });
                reader.skip_line();
            }
        }
    }
    if errors.is_empty() { Ok(variables) } else { Err(errors) }
}

type Wrong = (String, &'static str);

impl<'t> Reader<'t> {
    /// What is left of the line, without its end.
    fn current(&self) -> &'t str {
        self.rest.split('\n').next().unwrap_or_default().trim_end_matches('\r')
    }

    /// Goes to the next line.
    fn skip_line(&mut self) {
        self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        self.line += 1;
    }

    /// Reads one line, or several when a quoted value goes over them; `None` is a line that says nothing.
    fn entry(&mut self) -> Result<Option<(String, String)>, Wrong> {
        let line = self.current();
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            self.skip_line();
            return Ok(None);
        }
        let Some((before, after)) = line.split_once('=') else {
            return Err(("there is no \"=\"".to_owned(), "write KEY=VALUE, or # before a comment"));
        };
        let key = before.trim();
        let key = key.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).map_or(key, str::trim);
        check_key(key)?;
        let value = match after.trim_start().chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let opening = before.len() + 1 + (after.len() - after.trim_start().len());
                self.rest = &self.rest[opening + 1..];
                let value = self.quoted(key, quote)?;
                self.after_quote(key)?;
                value
            }
            _ => without_comment(after).trim().to_owned(),
        };
        self.skip_line();
        if value.contains('\0') {
            return Err((format!("the value of {key} contains a NUL byte"), "no environment variable can hold one"));
        }
        Ok(Some((key.to_owned(), value)))
    }

    /// Reads up to the closing quote and past it.
    fn quoted(&mut self, key: &str, quote: char) -> Result<String, Wrong> {
        let mut value = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                _ if character == quote => {
                    self.line += self.rest[..at].matches('\n').count();
                    self.rest = &self.rest[at + 1..];
                    return Ok(value);
                }
                '\\' if quote == '"' => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 'r')) => value.push('\r'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, known @ ('\\' | '"' | '$'))) => value.push(known),
                    // Any other backslash is one: paths and patterns have them.
                    Some((_, other)) => value.extend(['\\', other]),
                    None => break,
                },
                _ => value.push(character),
            }
        }
        self.rest = "";
        Err((format!("the quote that begins the value of {key} is not closed"), "close it with the same quote"))
    }

    /// Refuses anything but a comment after a closing quote: `KEY="a"b` means different things to different readers.
    fn after_quote(&self, key: &str) -> Result<(), Wrong> {
        let left = self.current().trim();
        if left.is_empty() || left.starts_with('#') {
            return Ok(());
        }
        Err((format!("something follows the closing quote of {key}"), "put the whole value between the quotes"))
    }
}

/// Refuses a name that a shell could not use.
fn check_key(key: &str) -> Result<(), Wrong> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    match key.chars().next() {
        None => Err(("there is no name before \"=\"".to_owned(), "write KEY=VALUE")),
        Some(first) if !first.is_ascii_digit() && key.chars().all(fits) => Ok(()),
        // What stands before "=" may be the end of a secret that was broken over two lines, so it is not shown.
        Some(_) => Err((
            "what stands before \"=\" is not a name".to_owned(),
            "use letters, digits, '_', '.' and '-', the first no digit",
        )),
    }
}

/// The value before a comment: `#` after a blank, or at the very beginning of the value.
fn without_comment(value: &str) -> &str {
    let comment = value
        .char_indices()
        .find(|(at, c)| *c == '#' && value[..*at].chars().next_back().is_some_and(char::is_whitespace));
    comment.map_or(value, |(at, _)| &value[..at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap_or_else(|errors| panic!("{errors:?}"))
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn reads_the_forms_people_write() {
        let text = "\u{feff}# comment\n\nA=1\r\n export B = two words # comment\nC=\nD='single $X # \\n'\n\
                    E=\"double \\n\\t\\\"\\\\ \\$ \\d\" # comment\nF=a#b\nG=\"over\ntwo lines\"\nURL=postgres://u:p@h/d?x=1\nH= # empty\nexport=1";
        let expected = pairs(&[
            ("A", "1"),
            ("B", "two words"),
            ("C", ""),
            ("D", "single $X # \\n"),
            ("E", "double \n\t\"\\ $ \\d"),
            ("F", "a#b"),
            ("G", "over\ntwo lines"),
            ("URL", "postgres://u:p@h/d?x=1"),
            ("H", ""),
            ("export", "1"),
        ]);
        assert_eq!(read(text), expected);
    }

    #[test]
    fn every_wrong_line_is_named_and_no_value_shown() {
        let text = "A='x\ny'\nnothing\n=secret\n1A=secret\nB=\"secret\"secret\nOK=1\nC=\"secret";
        let errors = parse(text).unwrap_err();
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "line 3: there is no \"=\": write KEY=VALUE, or # before a comment",
                "line 4: there is no name before \"=\": write KEY=VALUE",
                "line 5: what stands before \"=\" is not a name: use letters, digits, '_', '.' and '-', the first no digit",
                "line 6: something follows the closing quote of B: put the whole value between the quotes",
                "line 8: the quote that begins the value of C is not closed: close it with the same quote",
            ]
        );
        assert!(parse("A=x\0").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "([A-Za-z ]{0,4}[=#'\"\\\\\r\n$é\u{0}]{0,3}){0,12}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_quoted_is_read_back(value in "[^'\u{0}]{0,30}") {
            prop_assert_eq!(read(&format!("X=1\nK='{value}' # c")), pairs(&[("X", "1"), ("K", &value)]));
        }
    }
}
