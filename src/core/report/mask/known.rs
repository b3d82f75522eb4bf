//! Secrets that the launcher knows: values of variables and arguments whose names say that they are secret. They are
//! masked wherever they stand, also where nothing around them says what they are.

use super::text::{is_secret, text};
use super::{MASK, command};

/// Values that must not be shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// The longest first: one may be part of another.
    values: Vec<String>,
}

impl Secrets {
    /// Shorter ones would hide half of every text, and are not hidden by that.
    const SHORTEST: usize = 6;

    /// Takes in what is secret of a variable: its value, or, by its looks, a part of that: the password of a URL.
    pub fn variable(&mut self, name: &str, value: &str) {
        match is_secret(name) {
            true => self.value(value),
            false => self.hidden(value, &text(value)),
        }
    }

    /// Takes in what is secret of a command line.
    pub fn arguments(&mut self, arguments: &[String]) {
        for (argument, shown) in arguments.iter().zip(command(arguments)) {
            self.hidden(argument, &shown);
        }
    }

    /// Does not mask this one, which is no secret: a service may have its own name as its password.
    pub fn except(&mut self, plain: &str) {
        self.values.retain(|value| value != plain);
    }

    /// Takes in all that another has.
    pub fn all_of(&mut self, other: &Secrets) {
        other.values.iter().for_each(|value| self.add(value));
    }

    /// The text with all of them masked.
    pub fn hide(&self, text: &str) -> String {
        let mut shown = text.to_owned();
        for value in &self.values {
            if shown.contains(value.as_str()) {
                shown = replaced(&shown, value);
            }
        }
        shown
    }

    /// What was masked of a text: what stands between the parts that stayed.
    fn hidden(&mut self, text: &str, masked: &str) {
        let mut rest = text;
        let mut parts = masked.split(MASK);
        let first = parts.next().unwrap_or_default();
        rest = rest.strip_prefix(first).unwrap_or_default();
        while let Some(part) = parts.next() {
            let is_last = parts.clone().next().is_none();
            let end = match (is_last, part) {
                (true, _) => rest.len().checked_sub(part.len()).filter(|end| rest.is_char_boundary(*end)),
                (false, _) => rest.find(part),
            };
            let Some(end) = end else { return };
            self.value(&rest[..end]);
            rest = &rest[end + part.len()..];
        }
    }

    fn value(&mut self, value: &str) {
        let value = value.trim().trim_matches(['"', '\'']);
        // A key of several lines is written line by line.
        if value.contains('\n') {
            let lines = value.lines().map(str::trim);
            lines.filter(|line| line.len() >= 16 && !line.starts_with("-----")).for_each(|line| self.add(line));
        } else {
            self.add(value);
        }
    }

    fn add(&mut self, value: &str) {
        if value.chars().count() < Self::SHORTEST || is_plain(value) {
            return;
        }
        let place = self
            .values
            .partition_point(|known| known.len() > value.len() || known.len() == value.len() && **known < *value);
        if self.values.get(place).is_none_or(|known| known != value) {
            self.values.insert(place, value.to_owned());
        }
    }
}

/// Values are not for a person's eyes, in a panic's message neither.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.values.len())
    }
}

/// A short word or a number is masked only where it stands for itself: `123456` is part of many a longer number.
fn replaced(text: &str, value: &str) -> String {
    let is_word = |alike: fn(&char) -> bool| value.chars().all(|c| alike(&c));
    let whole = is_word(char::is_ascii_digit) || value.len() < 8 && is_word(char::is_ascii_alphabetic);
    if !whole {
        return text.replace(value, MASK);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(value) {
        let (before, after) = (&rest[..at], &rest[at + value.len()..]);
        shown.push_str(before);
        let apart = !shown.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric);
        shown.push_str(if apart { MASK } else { value });
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// Words that stand where a secret may, and in many a line beside: hiding them would hide the line and keep no secret.
fn is_plain(value: &str) -> bool {
    const PLAIN: [&str; 48] = [
        "always",
        "basic auth",
        "bearer",
        "cannot",
        "changeme",
        "client",
        "connect",
        "cookie",
        "database",
        "default",
        "disabled",
        "enabled",
        "environment",
        "example",
        "failed",
        "launcher",
        "localhost",
        "mariadb",
        "memory",
        "mongodb",
        "mysql",
        "notset",
        "optional",
        "password",
        "passwd",
        "postgres",
        "postgresql",
        "prefer",
        "private",
        "production",
        "prompt",
        "public",
        "rabbitmq",
        "random",
        "readonly",
        "redis-server",
        "refused",
        "require",
        "required",
        "secret",
        "secrets",
        "server",
        "service",
        "staging",
        "string",
        "system",
        "testing",
        "username",
    ];
    let lower = value.to_ascii_lowercase();
    PLAIN.contains(&lower.as_str()) || value.chars().all(|c| c == '*' || c == '.' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn known() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.variable("DB_PASSWORD", "hunter2hunter2");
        secrets.variable("DATABASE_URL", "postgres://shop:urlpass77@db/shop");
        secrets.variable("API_KEY", "-----BEGIN KEY-----\nMIIEowIBAAKCAQEA7\n-----END KEY-----\n");
        secrets.variable("ADMIN_PASSWORD", "test");
        secrets.variable("OTHER_PASSWORD", "password");
        secrets.variable("CACHE_PIN", "123456");
        secrets.variable("HOME", "/home/somebody");
        let words = ["api", "--password", "LoginPw44", "--token=Tok3nTok3n", "--port", "8080808080"];
        secrets.arguments(&words.map(str::to_owned));
        secrets.arguments(&["sh", "-c", "app --password ScriptPw5 x; mysql -pGluedPw66"].map(str::to_owned));
        secrets
    }

    #[test]
    fn what_is_known_is_masked_wherever_it_stands() {
        let secrets = known();
        for (line, shown) in [
            ("login with hunter2hunter2 failed", "login with *** failed"),
            ("xhunter2hunter2y urlpass77", "x***y ***"),
            ("read MIIEowIBAAKCAQEA7", "read ***"),
            ("LoginPw44 Tok3nTok3n ScriptPw5 GluedPw66", "*** *** *** ***"),
            ("123456 of 1234567", "*** of 1234567"),
            (
                "the test of password, user shop in /home/somebody, 8080808080",
                "the test of password, user shop in /home/somebody, 8080808080",
            ),
        ] {
            assert_eq!(secrets.hide(line), shown, "{line}");
        }
        assert_eq!(format!("{secrets:?}"), "8 secrets");
    }

    #[test]
    fn what_is_plain_elsewhere_is_not_masked() {
        let mut secrets = Secrets::default();
        secrets.variable("POSTGRES_PASSWORD", "shop-api");
        secrets.except("shop-api");
        assert_eq!(secrets, Secrets::default());
    }

    proptest! {
        #[test]
        fn never_panics(name in "[A-Z_]{1,9}|PASSWORD", value in "\\PC{0,20}", text in "\\PC{0,40}") {
            let mut secrets = Secrets::default();
            secrets.variable(&name, &value);
            secrets.arguments(&[text.clone(), value.clone(), name]);
            let _ = secrets.hide(&format!("{text}{value}"));
        }
    }
}
