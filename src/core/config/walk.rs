//! The walk over the tables of a file: typed access to keys, where every miss becomes an error at its place and the
//! walk goes on.

use std::ffi::OsString;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::keys;
use super::suggest;
use super::value::ValueError;

/// A value with its place.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// Something that was read, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Placed<T> {
    /// What was read.
    pub value: T,
    /// Where it stands.
    pub span: Range<usize>,
}

/// The errors found so far.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub errors: Vec<ConfigError>,
}

/// A table whose keys were checked.
pub(super) struct Table<'t> {
    /// Where it begins: its header, its brace, or its name.
    pub span: Range<usize>,
    entries: &'t DeTable<'t>,
    keys: &'static [&'static str],
}

impl<'t> Table<'t> {
    /// The value of a key, if it is written. Only keys of the table's list may be asked for.
    pub fn get(&self, key: &str) -> Option<&'t Value<'t>> {
        debug_assert!(self.keys.contains(&key), "{key} is not in the list of keys");
        self.entries.get(key)
    }

    /// Whether a key that is not known seems to be meant for this one: its error says so.
    pub fn is_misspelt(&self, key: &str) -> bool {
        let known = || self.keys.iter().copied();
        let others = self.entries.keys().map(|other| other.get_ref().as_ref());
        others
            .filter(|other| known().all(|name| name != *other))
            .any(|other| suggest::closest(other, known()) == Some(key))
    }
}

/// The entries of a table in the order in which they were written: the parser keeps them by the alphabet.
pub(super) fn in_order<'t>(table: &'t DeTable<'t>) -> Vec<(Placed<&'t str>, &'t Value<'t>)> {
    let mut entries: Vec<_> =
        table.iter().map(|(key, value)| (Placed { value: key.get_ref().as_ref(), span: key.span() }, value)).collect();
    entries.sort_by_key(|(key, _)| key.span.start);
    entries
}

impl Walk {
    /// Keeps an error.
    pub fn error(&mut self, span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        self.errors.push(ConfigError::new(span, message, hint));
    }

    /// Keeps an error about something that is not there.
    pub fn missing(&mut self, span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        self.errors.push(ConfigError { absence: true, ..ConfigError::new(span, message, hint) });
    }

    /// Keeps the error, if it is one, and gives the value, if it is one.
    pub fn value<T>(&mut self, span: Range<usize>, result: Result<T, ValueError>) -> Option<T> {
        result.map_err(|error| self.errors.push(ConfigError::value(span, error))).ok()
    }

    /// The same for an error about something that is not there.
    pub fn absent<T>(&mut self, span: Range<usize>, result: Result<T, ValueError>) -> Option<T> {
        let keep = |error| self.errors.push(ConfigError { absence: true, ..ConfigError::value(span, error) });
        result.map_err(keep).ok()
    }

    /// Opens a table: every key that is not in its list is an error. `title` is how the table
    /// is called in a message.
    pub fn table<'t>(
        &mut self,
        span: Range<usize>,
        entries: &'t DeTable<'t>,
        title: &str,
        keys: &'static [&'static str],
    ) -> Table<'t> {
        for (key, _) in in_order(entries) {
            if !keys.contains(&key.value) {
                self.unknown_key(key, title, keys);
            }
        }
        Table { span, entries, keys }
    }

    fn unknown_key(&mut self, key: Placed<&str>, title: &str, keys: &'static [&'static str]) {
        let message = suggest::unknown("key", key.value, keys.iter().copied());
        let elsewhere = suggest::closest(key.value, keys::names()).filter(|name| !keys.contains(name));
        let hint = match elsewhere.and_then(|name| Some((name, keys::home_of(name)?))) {
            Some((name, place)) => format!("{name:?} belongs in {place}"),
            None => format!("{title} takes {}", keys.join(", ")),
        };
        self.error(key.span, message, hint);
    }

    /// Keeps an error about a value of the wrong type.
    pub fn wrong_type(&mut self, found: &Value<'_>, expected: &str, hint: impl Into<String>) {
        let article = if found.get_ref().type_str().starts_with(['a', 'i']) { "an" } else { "a" };
        let message = format!("expected {expected}, found {article} {}", found.get_ref().type_str());
        self.error(found.span(), message, hint);
    }

    /// The table in a value, its keys checked; `hint` says how one is written.
    pub fn subtable<'t>(
        &mut self,
        value: &'t Value<'t>,
        title: &str,
        keys: &'static [&'static str],
        hint: &str,
    ) -> Option<Table<'t>> {
        match value.get_ref() {
            DeValue::Table(entries) => Some(self.table(value.span(), entries, title, keys)),
            _ => {
                self.wrong_type(value, "a table", hint);
                None
            }
        }
    }

    /// The text in a value. NUL is refused: nothing of the kernel's can hold one.
    pub fn text<'t>(&mut self, value: &'t Value<'t>) -> Option<&'t str> {
        let DeValue::String(text) = value.get_ref() else {
            let hint =
                unquoted(value).map_or("write one text between quotes".to_owned(), |text| format!("write {text:?}"));
            self.wrong_type(value, "a string", hint);
            return None;
        };
        if text.contains('\0') {
            self.error(
                value.span(),
                "this contains a NUL byte",
                "take it out: no file, argument or variable can hold one",
            );
            return None;
        }
        Some(text)
    }

    /// The text of a key, put through a parser.
    pub fn parsed<T>(&mut self, table: &Table<'_>, key: &str, parser: fn(&str) -> Result<T, ValueError>) -> Option<T> {
        self.parsed_value(table.get(key)?, "a string", parser)
    }

    /// The text in a value, put through a parser. Of a value of another type, which is not what was `expected`, it is
    /// said what to write: quotes around it only if they would make it right.
    pub fn parsed_value<T>(
        &mut self,
        value: &Value<'_>,
        expected: &str,
        parser: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<T> {
        if let Some(Err(error)) = unquoted(value).map(|text| parser(&text)) {
            self.wrong_type(value, expected, error.hint);
            return None;
        }
        let text = self.text(value)?;
        self.value(value.span(), parser(text))
    }

    /// The duration of a key; a number is told to have a unit.
    pub fn duration<T>(
        &mut self,
        table: &Table<'_>,
        key: &str,
        parser: fn(&str) -> Result<T, ValueError>,
    ) -> Option<T> {
        let value = table.get(key)?;
        let parser = |text: &str| parser(text).map_err(quoted);
        match value.get_ref() {
            DeValue::Integer(number) => self.value(value.span(), parser(number.as_str())),
            DeValue::Float(number) => self.value(value.span(), parser(number.as_str())),
            _ => self.parsed_value(value, "a string", parser),
        }
    }

    /// The whole number of a key, within bounds.
    pub fn integer(&mut self, table: &Table<'_>, key: &str, bounds: Range<i64>) -> Option<i64> {
        let value = table.get(key)?;
        self.integer_value(value, bounds)
    }

    /// The whole number in a value, within bounds.
    pub fn integer_value(&mut self, value: &Value<'_>, bounds: Range<i64>) -> Option<i64> {
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_type(value, "a whole number", "write digits without quotes");
            return None;
        };
        let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
        match parsed.filter(|parsed| bounds.contains(parsed)) {
            Some(parsed) => Some(parsed),
            None => {
                let hint = format!("write a number from {} to {}", bounds.start, bounds.end - 1);
                self.error(value.span(), format!("{number} is out of range"), hint);
                None
            }
        }
    }

    /// The number of a key, with or without a fraction.
    pub fn float(&mut self, table: &Table<'_>, key: &str) -> Option<Placed<f64>> {
        let value = table.get(key)?;
        let number = match value.get_ref() {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.wrong_type(value, "a number", "write 2.0, without quotes");
        }
        number.map(|number| Placed { value: number, span: value.span() })
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, table: &Table<'_>, key: &str) -> Option<bool> {
        let value = table.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(boolean) => Some(*boolean),
            _ => {
                self.wrong_type(value, "true or false", "write true or false, without quotes");
                None
            }
        }
    }

    /// The values of a list.
    pub fn list<'t>(&mut self, value: &'t Value<'t>, expected: &str, hint: &str) -> Option<&'t [Value<'t>]> {
        match value.get_ref() {
            DeValue::Array(values) => Some(values.as_ref()),
            _ => {
                self.wrong_type(value, expected, hint);
                None
            }
        }
    }

    /// The texts of a list, each put through a parser; what is wrong is left out, and an error.
    pub fn texts<T>(
        &mut self,
        table: &Table<'_>,
        key: &str,
        example: &str,
        parser: fn(&str) -> Result<T, ValueError>,
    ) -> Option<Vec<Placed<T>>> {
        let value = table.get(key)?;
        let hint = match value.get_ref() {
            DeValue::String(text) => format!("write {key} = [{text:?}]"),
            _ => format!("write {key} = {example}"),
        };
        let values = self.list(value, "a list of strings", &hint)?;
        let mut texts = Vec::with_capacity(values.len());
        for value in values {
            let parsed = self.parsed_value(value, "a string", parser);
            texts.extend(parsed.map(|parsed| Placed { value: parsed, span: value.span() }));
        }
        Some(texts)
    }

    /// The command of a service; when it is wrong there is none, and an error.
    pub fn command(&mut self, table: &Table<'_>, service: &Placed<&str>) -> Option<Vec<Placed<OsString>>> {
        let Some(value) = table.get("command") else {
            if table.is_misspelt("command") {
                return None;
            }
            let message = format!("service {:?} has no command", service.value);
            self.missing(service.span.clone(), message, "write command = [\"./program\", \"argument\"]");
            return None;
        };
        let hint = match value.get_ref() {
            DeValue::String(text) if !text.contains(['"', '\'', '\\', '$', '|', ';', '&', '<', '>', '*']) => {
                format!("write command = {:?}", text.split_whitespace().collect::<Vec<_>>())
            }
            DeValue::String(text) => format!("no shell reads it: write command = [\"sh\", \"-c\", {text:?}]"),
            _ => "write command = [\"./program\", \"argument\"]".to_owned(),
        };
        let values = self.list(value, "the program and its arguments as a list of strings", &hint)?;
        let words: Vec<_> = values
            .iter()
            .filter_map(|v| self.text(v).map(|text| Placed { value: OsString::from(text), span: v.span() }))
            .collect();
        match words.first() {
            None if values.is_empty() => {
                self.error(value.span(), "the command is empty", "write command = [\"./program\", \"argument\"]");
                None
            }
            Some(first) if first.value.is_empty() => {
                self.error(
                    first.span.clone(),
                    "the program's name is empty",
                    "write the path of a program, or its name",
                );
                None
            }
            _ if words.len() < values.len() => None,
            _ => Some(words),
        }
    }
}

/// A number or boolean as it would be between quotes.
fn unquoted(value: &Value<'_>) -> Option<String> {
    match value.get_ref() {
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(boolean) => Some(boolean.to_string()),
        _ => None,
    }
}

/// An error of a duration or a size whose hint is right in a file as well: there it goes between quotes.
pub(super) fn quoted(error: ValueError) -> ValueError {
    let Some(right) = error.hint.strip_prefix("write ") else { return error };
    let numbers: Vec<&str> = right.split(" or ").collect();
    if !numbers.iter().all(|number| number.starts_with(|c: char| c.is_ascii_digit()) && !number.contains(' ')) {
        return error;
    }
    let numbers: Vec<String> = numbers.iter().map(|number| format!("{number:?}")).collect();
    ValueError { hint: format!("write {}", numbers.join(" or ")), ..error }
}

/// Sets the target when there is something to set it to.
pub(super) fn fill<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}
