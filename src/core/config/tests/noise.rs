//! Text that nobody means: it is refused in its place, and ends nothing.

use proptest::prelude::*;

use super::*;

/// Text that is nearly a launcher.toml.
fn nearly_toml() -> impl Strategy<Value = String> {
    let keys: Vec<&str> = keys::names().collect();
    let key = prop_oneof![
        8 => proptest::sample::select(keys),
        1 => Just("environment.A"),
        1 => Just("ready.tcp"),
        1 => Just("restart.backoff.max"),
        1 => Just("é"),
    ];
    let value = proptest::sample::select(vec![
        "5",
        "-1",
        "0",
        "1.5",
        "inf",
        "true",
        "True",
        "\"30s\"",
        "\"a\"",
        "\"tcp://[::1]:80\"",
        "[\"a\"]",
        "[\"{port.a}\"]",
        "[\"b\", \"c\"]",
        "[",
        "{",
        "]",
        "}",
        "{ a = 1",
        "{ tcp = \"1\" }",
        "{ initial = \"5s\", max = \"1s\" }",
        "'x",
        "\"",
        "\"\"\"",
        "[{ name = \"a\", listen = \"80\" }]",
        "30s",
        "",
        "1979-05-27",
        "99999999999999999999",
        "0xff",
        "\"\\u0000\"",
        "\"\\q\"",
        "{}",
        "[]",
        "[[]]",
        "é",
        "\u{0}",
    ]);
    let header = proptest::sample::select(vec![
        "[launcher]",
        "[service]",
        "[service.a]",
        "[service.b]",
        "[service.b",
        "[[service.a.port]]",
        "[service.a.port]",
        "[service.b.signals]",
        "[service.a.restart]",
        "[service.\"x y\"]",
        "[[service]]",
        "[]",
        "[",
        "[a.b.c]",
        "\r",
        "#",
    ]);
    let line = prop_oneof![
        4 => (key, value).prop_map(|(key, value)| format!("{key} = {value}")),
        3 => header.prop_map(str::to_owned),
        1 => "\\PC{0,10}",
    ];
    proptest::collection::vec(line, 0..14).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_input_panics_and_every_error_has_its_place(text in nearly_toml()) {
        if let Err(errors) = read(&text) {
            prop_assert!(!errors.errors().is_empty());
            for error in errors.errors() {
                prop_assert!(error.hint.as_ref().is_some_and(|hint| !hint.is_empty()));
                prop_assert!(errors.position(error).0 <= text.matches('\n').count() + 1);
            }
            prop_assert!(errors.render(true).len() >= errors.render(false).len());
        }
    }

    #[test]
    fn no_text_at_all_panics(text in any::<String>()) {
        if let Err(errors) = read(&text) {
            errors.render(true);
        }
    }
}
