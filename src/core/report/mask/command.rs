//! Secrets in command lines: as arguments, and as a line of text has them.

use super::MASK;
use super::text::{end_of_value, is_secret, text};

/// A command line with the values of its secrets masked: `--password=x`, `--token x`, `API_KEY=x`, `postgres://u:x@db`.
pub fn command(arguments: &[String]) -> Vec<String> {
    let program = arguments.first().map(|program| program.rsplit('/').next().unwrap_or(program)).unwrap_or_default();
    let mut masked = Vec::with_capacity(arguments.len());
    let mut next_is = Next::Plain;
    for argument in arguments {
        let (shown, next) = match next_is {
            Next::Secret if !argument.starts_with("--") => (MASK.to_owned(), Next::Plain),
            Next::Account => (account(argument), Next::Plain),
            _ => one(program, argument),
        };
        masked.push(shown);
        next_is = next;
    }
    masked
}

/// A command line as one line of text, masked: whatever a person is shown of a command line is written by this.
pub fn line(arguments: &[String]) -> String {
    command(arguments).join(" ")
}

/// What the argument after this one is.
#[derive(Clone, Copy)]
enum Next {
    Plain,
    Secret,
    /// `user:password`.
    Account,
}

fn one(program: &str, argument: &str) -> (String, Next) {
    if let Some(own) = of_its_own(program, argument) {
        return own;
    }
    let next = match argument.strip_prefix('-') {
        Some(name) if !argument.contains('=') && is_secret(name) => Next::Secret,
        _ => Next::Plain,
    };
    (text(argument), next)
}

/// An argument by which this program is given a password in its own way.
fn of_its_own(program: &str, argument: &str) -> Option<(String, Next)> {
    match argument {
        "-p" if takes_glued(program) => Some((argument.to_owned(), glued_next(program))),
        _ if takes_glued(program) && argument.starts_with("-p") => Some((format!("-p{MASK}"), Next::Plain)),
        "-u" | "--user" | "-U" | "--proxy-user" if program == "curl" => Some((argument.to_owned(), Next::Account)),
        _ => None,
    }
}

/// Programs that take a password glued to `-p`.
const GLUED: [&str; 3] = ["mysql", "mariadb", "sshpass"];

fn takes_glued(program: &str) -> bool {
    GLUED.iter().any(|name| program.starts_with(name))
}

/// What follows a `-p` that stands alone: to mysql it is a prompt, to sshpass the password.
fn glued_next(program: &str) -> Next {
    if program.starts_with("sshpass") { Next::Secret } else { Next::Plain }
}

/// Masks what a program in a line is given as a password in ways of its own, as in the script of a `sh -c`: glued to the
/// `-p` of mysql, behind the `-u` of curl.
pub(super) fn given(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let (mut program, mut next_is) = ("", Next::Plain);
    let is_end = |c: char| c.is_whitespace() || ";|&\"'()".contains(c);
    for word in line.split_inclusive(is_end) {
        let bare = word.trim_end_matches(is_end);
        let end = &word[bare.len()..];
        let (value, next) = match (bare, next_is) {
            ("", _) => (String::new(), next_is),
            (_, Next::Secret) => (MASK.to_owned(), Next::Plain),
            (_, Next::Account) => (account(bare), Next::Plain),
            (_, Next::Plain) if program.is_empty() => (bare.to_owned(), Next::Plain),
            (_, Next::Plain) => of_its_own(program, bare).unwrap_or_else(|| (bare.to_owned(), Next::Plain)),
        };
        let name = bare.rsplit('/').next().unwrap_or(bare);
        if takes_glued(name) || name == "curl" {
            program = name;
        }
        if end.contains([';', '|', '&']) {
            program = "";
        }
        next_is = next;
        shown.push_str(&value);
        shown.push_str(end);
    }
    shown
}

/// Whether a text may have something for [`given`].
pub(super) fn may_be_given(text: &str) -> bool {
    text.contains("-p") && GLUED.iter().any(|name| text.contains(name)) || text.contains("curl")
}

/// Masks what stands behind an option of a secret's name: `--password x`, `'--token', 'x'`.
pub(super) fn options(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('-') {
        let (before, after) = rest.split_at(at);
        shown.push_str(before);
        let begins = shown.chars().next_back().is_none_or(|c| !(c.is_alphanumeric() || "_-.".contains(c)));
        let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c))).unwrap_or(after.len());
        let (name, behind) = after.split_at(end);
        shown.push_str(name);
        rest = behind;
        if !begins || !is_secret(name) {
            continue;
        }
        let lead = between(behind);
        let value = &behind[lead.len()..];
        let value = &value[..end_of_value(value, quote_of(lead))];
        if lead.is_empty() || value.is_empty() || value.starts_with("--") || is_said_of_options(value) {
            continue;
        }
        shown.push_str(lead);
        shown.push_str(MASK);
        rest = &behind[lead.len() + value.len()..];
    }
    shown.push_str(rest);
    shown
}

/// What stands between an option and its value: blanks, and perhaps the quotes and the comma of a list.
fn between(behind: &str) -> &str {
    let is_quote = |c: char| matches!(c, '"' | '\'');
    let closed = behind.strip_prefix(is_quote).unwrap_or(behind);
    let listed = closed.strip_prefix(',').filter(|_| closed.len() < behind.len());
    let blanks = listed.unwrap_or(closed).trim_start_matches([' ', '\t']);
    let opened = blanks.strip_prefix(is_quote).unwrap_or(blanks);
    let apart = blanks.len() < closed.len();
    // A quote that was closed before a blank was the whole text's.
    let whole = closed.len() < behind.len() && listed.is_none();
    let length = if apart && !whole { behind.len() - opened.len() } else { 0 };
    &behind[..length]
}

fn quote_of(lead: &str) -> &str {
    if lead.ends_with('"') {
        "\""
    } else if lead.ends_with('\'') {
        "'"
    } else {
        ""
    }
}

/// Words that follow an option where a sentence is about it, and that nobody has as a password.
fn is_said_of_options(word: &str) -> bool {
    const SAID: [&str; 24] = [
        "is", "was", "are", "must", "may", "or", "and", "not", "to", "needs", "requires", "cannot", "has", "for", "in",
        "with", "from", "option", "options", "flag", "argument", "given", "missing", "required",
    ];
    SAID.contains(&word)
}

fn account(argument: &str) -> String {
    match argument.split_once(':') {
        Some((user, _)) => format!("{user}:{MASK}"),
        None => argument.to_owned(),
    }
}
