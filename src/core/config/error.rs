//! The errors of a launcher.toml: all of them, each with its place, its line, a caret and a hint.

use std::fmt;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::value::ValueError;

/// One error of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// What it is about, in bytes of the text.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether it is about something that is not there: after an error of syntax that may only seem so.
    pub(super) absence: bool,
}

impl ConfigError {
    /// An error about this part of the text.
    pub(super) fn new(span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> ConfigError {
        ConfigError { span, message: message.into(), hint: Some(hint.into()), absence: false }
    }

    /// An error about a value.
    pub(super) fn value(span: Range<usize>, error: ValueError) -> ConfigError {
        ConfigError::new(span, error.message, error.hint)
    }
}

/// Everything that is wrong with one file, in the order of the file. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    file_name: String,
    text: String,
    errors: Vec<ConfigError>,
}

impl ConfigErrors {
    /// Puts the errors in the order of the file.
    pub(super) fn new(file_name: &str, text: &str, mut errors: Vec<ConfigError>) -> ConfigErrors {
        for error in &mut errors {
            error.span = on_one_line(text, error.span.clone());
        }
        errors.sort_by_key(|error| (error.span.start, error.span.end));
        errors.dedup();
        ConfigErrors { file_name: file_name.to_owned(), text: text.to_owned(), errors }
    }

    /// One error of another file, shown as those of launcher.toml are.
    pub fn of_file(file_name: &str, text: &str, span: Range<usize>, message: &str) -> ConfigErrors {
        let error = ConfigError { span, message: message.to_owned(), hint: None, absence: false };
        ConfigErrors::new(file_name, text, vec![error])
    }

    /// The file's name, as it was given.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// The line of the first error, with its place and a caret, and without words.
    pub fn snippet(&self) -> String {
        let Some(error) = self.errors.first() else { return String::new() };
        let renderer = Renderer::plain().decor_style(DecorStyle::Ascii).term_width(120);
        let whole = renderer.render(&[self.group(error)]);
        whole.lines().skip(1).collect::<Vec<_>>().join("\n")
    }

    /// The errors in the order of the file.
    pub fn errors(&self) -> &[ConfigError] {
        &self.errors
    }

    /// Line and column of an error, both counted from 1, the column in characters.
    pub fn position(&self, error: &ConfigError) -> (usize, usize) {
        let before = &self.text[..error.span.start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The whole as text, the last line with the number of errors; with the colours of a terminal if asked for.
    pub fn render(&self, colour: bool) -> String {
        self.render_with(colour, "nothing was started")
    }

    /// The same for a launcher that runs: what came of it is said in these words.
    pub fn render_with(&self, colour: bool, consequence: &str) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(120);
        let mut whole = String::new();
        for error in &self.errors {
            whole.push_str(&renderer.render(&[self.group(error)]));
            whole.push_str("\n\n");
        }
        let count = match self.errors.len() {
            1 => "1 error".to_owned(),
            count => format!("{count} errors"),
        };
        whole.push_str(&format!("{}: {count}, {consequence}\n", self.file_name));
        whole
    }

    /// One error in the form the renderer takes: its own line alone, so that the cost does not grow with the file.
    fn group<'a>(&'a self, error: &'a ConfigError) -> Group<'a> {
        let line_start = self.text[..error.span.start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = self.text[error.span.start..].find('\n').map_or(self.text.len(), |at| error.span.start + at);
        let span = error.span.start - line_start..error.span.end - line_start;
        // The carriage return of a file from elsewhere is not of interest; a caret after it still fits.
        let line = self.text[line_start..line_end].trim_end_matches('\r');
        let span = span.start.min(line.len())..span.end.min(line.len());
        let snippet = Snippet::source(line)
            .path(&self.file_name)
            .line_start(self.position(error).0)
            .annotation(AnnotationKind::Primary.span(span));
        let group = Level::ERROR.primary_title(error.message.as_str()).element(snippet);
        match &error.hint {
            Some(hint) => group.element(Level::HELP.message(hint.as_str())),
            None => group,
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigErrors {}

/// The part of a span that lies on its first line and on character boundaries: an error shows one line.
fn on_one_line(text: &str, span: Range<usize>) -> Range<usize> {
    let start = floor(text, span.start.min(text.len()));
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let end = floor(text, span.end.min(line_end)).max(start);
    start..end
}

/// The last character boundary at or before `index`.
fn floor(text: &str, index: usize) -> usize {
    (0..=index).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str, span: Range<usize>) -> String {
        let error = ConfigError::new(span, "wrong", "do it right");
        ConfigErrors::new("launcher.toml", text, vec![error]).to_string()
    }

    #[test]
    fn shows_place_line_caret_and_hint() {
        let expected = "\
error: wrong
 --> launcher.toml:2:5
  |
2 | b = 22
  |     ^^
  |
  = help: do it right

launcher.toml: 1 error, nothing was started
";
        assert_eq!(rendered("a = 1\nb = 22\n", 10..12), expected);
    }

    #[test]
    fn counts_columns_in_characters() {
        assert!(rendered("é = 22", 5..7).contains(" --> launcher.toml:1:5\n"));
        let errors = ConfigErrors::new("f", "a\né = 22", vec![ConfigError::new(7..9, "", "")]);
        assert_eq!(errors.position(&errors.errors()[0]), (2, 5));
    }

    #[test]
    fn odd_spans_do_no_harm() {
        for text in ["", "\n", "é", "a\r\n", "\t\u{0}x\u{1b}[31m"] {
            for start in 0..6 {
                for end in 0..6 {
                    assert!(rendered(text, start..end).contains("launcher.toml:"), "{text:?} {start} {end}");
                }
            }
        }
    }

    #[test]
    fn colours_only_when_asked() {
        let errors = ConfigErrors::new("f", "a = 1", vec![ConfigError::new(0..1, "wrong", "right")]);
        assert!(errors.render(true).contains('\u{1b}'));
        assert!(!errors.render(false).contains('\u{1b}'));
    }
}
