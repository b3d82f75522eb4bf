//! launcher.toml.example: it is read, it has every key, and the defaults it shows are the defaults.

use super::*;

const EXAMPLE: &str = include_str!("../../../../launcher.toml.example");

/// A line that shows a key, or a table, which is not set.
fn commented(line: &str) -> Option<&str> {
    line.strip_prefix('#').filter(|rest| rest.starts_with('[') || rest.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// The example with every commented line that `wanted` wants in force.
fn uncommented(wanted: impl Fn(&str) -> bool) -> String {
    let lines = EXAMPLE.lines().map(|line| commented(line).filter(|line| wanted(line)).unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn runs_as_it_is() {
    let settings = good(EXAMPLE);
    let api = &settings.services[0];
    assert_eq!(settings.launcher.name, "demo");
    assert_eq!((&api.ready, api.start_timeout), (&Ready::Notify, Duration::from_secs(3)));
    assert_eq!(api.restart, RestartSettings::default());
}

#[test]
fn shows_every_key() {
    let whole = uncommented(|_| true);
    good(&whole);
    let (document, errors) = DeTable::parse_recoverable(&whole);
    assert!(errors.is_empty());
    let at = |path: &[&str]| {
        let mut value = DeValue::Table(document.get_ref().clone());
        for key in path {
            let next = match &value {
                DeValue::Array(values) => values[0].get_ref().get(*key).unwrap().get_ref().clone(),
                value => value.get(*key).unwrap_or_else(|| panic!("{path:?}")).get_ref().clone(),
            };
            value = next;
        }
        match value {
            DeValue::Array(values) => values[0].get_ref().as_table().unwrap().clone(),
            value => value.as_table().unwrap().clone(),
        }
    };
    let tables: [(&[&str], &[keys::Key]); 8] = [
        (&[], keys::TOP),
        (&["launcher"], keys::LAUNCHER),
        (&["service", "api"], keys::SERVICE),
        (&["service", "api", "port"], keys::PORT),
        (&["service", "api", "signals"], keys::SIGNALS),
        (&["service", "api", "restart"], keys::RESTART),
        (&["service", "api", "restart", "backoff"], keys::BACKOFF),
        (&["service", "api", "restart", "breaker"], keys::BREAKER),
    ];
    for (path, keys) in tables {
        let table = at(path);
        for key in keys.iter().filter(|key| key.available) {
            assert!(table.contains_key(key.name), "{path:?} does not show {}", key.name);
        }
    }
    // `ready` is shown as a word, and its table in a comment.
    assert_eq!(tables.len() + 1, keys::TABLES.len());
    for key in keys::READY.iter().filter(|key| key.available) {
        assert!(EXAMPLE.contains(&format!("ready.{} = ", key.name)), "ready.{}", key.name);
    }
}

#[test]
fn the_defaults_it_shows_are_the_defaults() {
    // Ports have no defaults as a whole; those of their keys are compared below.
    let port = |line: &str| line.starts_with("[[") || ["name", "listen", "mode", "until"].contains(&key_of(line));
    let shown = good(&uncommented(|line| !line.contains("no default") && !port(line)));
    assert_eq!(shown, good(EXAMPLE));
    let with_port = good(&uncommented(|line| port(line)));
    let port = &with_port.services[0].ports[0];
    assert_eq!(*port, PortSettings::new("http".into(), Listen::Tcp("127.0.0.1:0".parse().unwrap())));
    // What the demo sets to something else says its default beside it.
    let defaults = ServiceSettings::new("x".into(), vec!["x".into()]);
    assert!(EXAMPLE.contains("by default auto:") && defaults.ready == Ready::Auto);
    assert!(EXAMPLE.contains("by default 30s") && defaults.start_timeout == Duration::from_secs(30));
}

fn key_of(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}
