//! launcher.toml.example: it is read, it has every key, and the defaults it shows are the defaults.

use std::collections::BTreeSet;

use super::*;

const EXAMPLE: &str = include_str!("../../../../launcher.toml.example");

/// A line that shows a key, or a table, which is not set.
fn commented(line: &str) -> Option<&str> {
    line.strip_prefix('#').filter(|rest| rest.starts_with('[') || rest.starts_with(|c: char| c.is_ascii_alphabetic()))
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
    let tables: [(&[&str], &[&str]); 14] = [
        (&[], keys::TOP),
        (&["launcher"], keys::LAUNCHER),
        (&["service", "api"], keys::SERVICE),
        (&["service", "api", "log"], keys::LOG),
        (&["service", "api", "port"], keys::PORT),
        (&["service", "api", "require"], keys::REQUIRE),
        (&["service", "api", "require", "breaker"], keys::REQUIRE_BREAKER),
        (&["service", "api", "file"], keys::FILE),
        (&["service", "api", "required_environment", "CACHE_URL"], keys::REQUIRED_VARIABLE),
        (&["service", "api", "signals"], keys::SIGNALS),
        (&["service", "api", "limits"], keys::LIMITS),
        (&["service", "api", "restart"], keys::RESTART),
        (&["service", "api", "restart", "backoff"], keys::BACKOFF),
        (&["service", "api", "restart", "breaker"], keys::BREAKER),
    ];
    for (path, keys) in tables {
        let table = at(path);
        for key in keys {
            assert!(table.contains_key(*key), "{path:?} does not show {}", key);
        }
    }
    // `ready` is shown as a word, and its tables in a comment; so are the tables of an entry of `after` and of
    // `on_stop`, which does one thing of two.
    assert_eq!(tables.len() + 6, keys::TABLES.len());
    assert!(EXAMPLE.contains("{ service = \"migrate\", until = \"exited\" }") && keys::AFTER.len() == 2);
    assert!(EXAMPLE.contains("{ exec = [\"make\"], restart = true }") && EXAMPLE.contains("{ signal = \"HUP\" }"));
    for key in keys::READY {
        assert!(EXAMPLE.contains(&format!("ready.{} = ", key)), "ready.{}", key);
    }
    for key in keys::ON_STOP {
        assert!(EXAMPLE.contains(&format!(" {} = ", key)), "on_stop.{}", key);
    }
    for key in keys::READY_HTTP.iter().chain(keys::READY_EXEC) {
        assert!(EXAMPLE.contains(&format!(" {} = ", key)), "{}", key);
    }
}

#[test]
fn the_defaults_it_shows_are_the_defaults() {
    // What is written as a list of tables has no defaults as a whole; those of their keys are compared below.
    let lists = listed();
    let shown = good(&uncommented(|line| !line.contains("no default") && !lists.iter().any(|(_, l)| l.contains(line))));
    assert_eq!(shown, good(EXAMPLE));
    let with = |list: &str| {
        let wanted = |line: &str| lists.iter().any(|(name, lines)| *name == list && lines.contains(line));
        good(&uncommented(|line| wanted(line) && !line.contains("no default"))).services.remove(0)
    };
    let port = PortSettings::new("http".into(), Listen::Tcp("127.0.0.1:0".parse().unwrap()));
    assert_eq!(with("port").ports, [port]);
    let (path, format) = (PathBuf::from("config.yaml"), Some(FileFormat::Yaml));
    assert_eq!(with("file").files, [FileSettings { path, format, required: vec![], schema: None, placeholders: true }]);
    let target = crate::core::requirement::Target::parse("https://127.0.0.1:8443/readyz").unwrap();
    assert_eq!(with("require").requirements, [RequirementSettings::new(target)]);
    // What the demo sets to something else says its default beside it.
    let defaults = ServiceSettings::new("x".into(), vec!["x".into()]);
    assert!(EXAMPLE.contains("by default auto:") && defaults.ready == Ready::Auto);
    assert!(EXAMPLE.contains("timeout = \"3s\", interval = \"250ms\" }"));
    let http = HttpProbe::new("http://x/".into());
    assert_eq!((http.timeout, http.interval), (Duration::from_secs(3), Duration::from_millis(250)));
    assert!(EXAMPLE.contains("timeout = \"10s\", interval = \"1s\" }"));
    let exec = ExecProbe::new(vec!["x".into()]);
    assert_eq!((exec.timeout, exec.interval), (Duration::from_secs(10), Duration::from_secs(1)));
    assert!(EXAMPLE.contains("by default 30s") && defaults.start_timeout == Duration::from_secs(30));
}

/// The commented lines of every `[[service.api.NAME]]`, by that name.
fn listed() -> Vec<(&'static str, BTreeSet<&'static str>)> {
    let mut lists: Vec<(&str, BTreeSet<&str>)> = Vec::new();
    let mut inside = false;
    for line in EXAMPLE.lines() {
        match commented(line) {
            Some(header) if header.starts_with("[[") => {
                let name = header.trim_matches(['[', ']']).rsplit('.').next().unwrap();
                lists.push((name.trim_end_matches("]]"), BTreeSet::from([header])));
                inside = true;
            }
            Some(line) if inside => {
                lists.last_mut().unwrap().1.insert(line);
            }
            _ => inside &= line.starts_with('#'),
        }
    }
    lists
}
