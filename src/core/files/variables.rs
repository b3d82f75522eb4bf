//! What must be in the environment of a service.

use super::check::Variables;
use super::tree::Value;
use crate::core::settings::{RequiredVariable, ValueType};

/// A variable that is missing, or not what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableProblem {
    /// A short word for it, for machines: `variable-missing`.
    pub code: &'static str,
    /// Which one.
    pub name: String,
    /// What is wrong; no final period. It never shows a value, which may be a secret.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// Everything that is wrong with the variables of a service; `value` gives one by its name.
pub fn check(
    required: &[RequiredVariable],
    value: &dyn Fn(&str) -> Option<String>,
    variables: &dyn Variables,
) -> Vec<VariableProblem> {
    required.iter().filter_map(|variable| one(variable, value(&variable.name), variables)).collect()
}

fn one(variable: &RequiredVariable, value: Option<String>, variables: &dyn Variables) -> Option<VariableProblem> {
    let RequiredVariable { name, meaning, kind } = variable;
    let meaning = if meaning.is_empty() { String::new() } else { format!(": {meaning}") };
    let example = kind.map_or("a value", ValueType::example);
    let problem =
        |code, message: String, hint: String| Some(VariableProblem { code, name: name.clone(), message, hint });
    match (value, kind) {
        (None, _) => {
            let hint = match variables.near(name) {
                Some(near) => format!("{near} is set: is it misspelt?"),
                None => format!("set {name} to {example}"),
            };
            problem("variable-missing", format!("the variable {name} is not set{meaning}"), hint)
        }
        (Some(value), _) if value.trim().is_empty() => problem(
            "variable-empty",
            format!("the variable {name} is empty{meaning}"),
            format!("set {name} to {example}"),
        ),
        (Some(value), Some(kind)) if !kind.fits(&Value::Text(value.clone())) => problem(
            "variable-type",
            format!("the variable {name} is not {}{meaning}", kind.name()),
            format!("write {example}"),
        ),
        _ => None,
    }
}

impl ValueType {
    /// All of them, by the words by which they are asked for.
    pub const ALL: [(&'static str, ValueType); 8] = [
        ("string", ValueType::String),
        ("integer", ValueType::Integer),
        ("number", ValueType::Number),
        ("boolean", ValueType::Boolean),
        ("port", ValueType::Port),
        ("url", ValueType::Url),
        ("list", ValueType::List),
        ("table", ValueType::Table),
    ];

    /// Its name with its article.
    pub fn name(self) -> &'static str {
        match self {
            ValueType::String => "a text",
            ValueType::Integer => "a whole number",
            ValueType::Number => "a number",
            ValueType::Boolean => "a boolean",
            ValueType::Port => "a port",
            ValueType::Url => "a URL",
            ValueType::List => "a list",
            ValueType::Table => "a table",
        }
    }

    /// What to write.
    pub fn example(self) -> &'static str {
        match self {
            ValueType::String => "a text",
            ValueType::Integer => "a whole number, such as 10",
            ValueType::Number => "a number, such as 0.5",
            ValueType::Boolean => "true or false",
            ValueType::Port => "a number from 1 to 65535",
            ValueType::Url => "a URL, such as https://example.com/",
            ValueType::List => "a list",
            ValueType::Table => "a table with keys below it",
        }
    }

    /// Whether a value is of this type. A text is when it reads so: environments and many formats have nothing else.
    pub fn fits(self, value: &Value) -> bool {
        let text = match value {
            Value::Text(text) | Value::Number(text) => text.trim(),
            Value::Boolean(_) => return self == ValueType::Boolean,
            Value::List(_) => return self == ValueType::List,
            Value::Table(_) => return self == ValueType::Table,
            Value::Null => return false,
        };
        match self {
            ValueType::String => matches!(value, Value::Text(_)),
            ValueType::Integer => text.replace('_', "").parse::<i128>().is_ok(),
            ValueType::Number => text.parse::<f64>().is_ok(),
            ValueType::Boolean => {
                let words = ["true", "false", "yes", "no", "on", "off", "1", "0"];
                matches!(value, Value::Text(_)) && words.contains(&text.to_ascii_lowercase().as_str())
            }
            ValueType::Port => text.parse::<u16>().is_ok_and(|port| port > 0),
            ValueType::Url => is_url(text),
            ValueType::List | ValueType::Table => false,
        }
    }
}

fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    // `db:5432` is no URL of the scheme "db".
    named && rest.starts_with("//") && rest.len() > 2 && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::super::check::tests::Named;
    use super::*;

    fn told(name: &str, kind: Option<ValueType>, value: Option<&str>) -> Option<(&'static str, String, String)> {
        let required = RequiredVariable { name: name.to_owned(), meaning: "the database to use".to_owned(), kind };
        let given = |_: &str| value.map(str::to_owned);
        let problem = check(&[required], &given, &Named(&["DATABSE_URL", "HOME"])).pop()?;
        Some((problem.code, problem.message, problem.hint))
    }

    #[test]
    fn a_missing_variable_is_told_with_its_meaning_and_near_misses() {
        let (code, message, hint) = told("DATABASE_URL", None, None).unwrap();
        assert_eq!(
            (code, message.as_str()),
            ("variable-missing", "the variable DATABASE_URL is not set: the database to use")
        );
        assert_eq!(hint, "DATABSE_URL is set: is it misspelt?");
        assert_eq!(told("DATABASE_URL", None, Some(" ")).unwrap().0, "variable-empty");
        assert_eq!(told("DATABASE_URL", None, Some("x")), None);
    }

    #[test]
    fn a_variable_of_another_type_is_told_without_its_value() {
        let (code, message, hint) = told("DATABASE_URL", Some(ValueType::Url), Some("s3cret")).unwrap();
        assert_eq!(code, "variable-type");
        assert!(!message.contains("s3cret") && !hint.contains("s3cret"), "{message} {hint}");
        for (kind, good, bad) in [
            (ValueType::Url, "postgres://db/x", "db:5432"),
            (ValueType::Port, "8080", "0"),
            (ValueType::Integer, "-3", "3.5"),
            (ValueType::Number, "3.5", "x"),
            (ValueType::Boolean, "Yes", "maybe"),
        ] {
            assert_eq!(told("X", Some(kind), Some(good)), None, "{good}");
            assert!(told("X", Some(kind), Some(bad)).is_some(), "{bad}");
        }
    }
}
