//! `watch` and `on_change`.

use std::path::Path;

use globset::GlobBuilder;
use toml::de::DeValue;

use super::keys;
use super::suggest;
use super::value::{self, ValueError};
use super::walk::{Table, Value, Walk};
use crate::core::settings::{OnChange, ServiceSettings};

const ON_CHANGE: &str = "write \"restart\", { signal = \"HUP\" } or { exec = [\"make\"] }";

/// Reads both.
pub(super) fn watch(walk: &mut Walk, folder: &Path, table: &Table<'_>, settings: &mut ServiceSettings) {
    let patterns = walk.texts(table, "watch", "[\"src/**\"]", pattern).unwrap_or_default();
    let watch = &mut settings.watch;
    watch.folder = folder.to_owned();
    watch.patterns = patterns.into_iter().map(|pattern| pattern.value).collect();
    let Some(value) = table.get("on_change") else { return };
    if let Some(on_change) = on_change(walk, value) {
        watch.on_change = on_change;
    }
    if table.get("watch").is_none() {
        walk.missing(value.span(), "no files are watched that could change", "write watch = [\"src/**\"], too");
    }
}

/// A pattern of files.
pub(super) fn pattern(text: &str) -> Result<String, ValueError> {
    let glob = text.strip_prefix('!').unwrap_or(text);
    if glob.is_empty() {
        return Err(ValueError::new("this pattern is empty", "write \"src/**\", or leave it out"));
    }
    match GlobBuilder::new(glob).literal_separator(true).build() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => {
            let message = format!("this is no pattern of files: {}", error.kind());
            Err(ValueError::new(message, "* stands for any name, ** for any folders, [ab] for a or b"))
        }
    }
}

fn on_change(walk: &mut Walk, value: &Value<'_>) -> Option<OnChange> {
    match value.get_ref() {
        DeValue::String(text) if text == "restart" => Some(OnChange::Restart),
        DeValue::String(text) => {
            let message = suggest::unknown("on_change", text, ["restart"]);
            walk.error(value.span(), message, ON_CHANGE);
            None
        }
        DeValue::Table(_) => {
            let table = walk.subtable(value, "on_change", keys::ON_CHANGE, ON_CHANGE)?;
            let signal = walk.parsed(&table, "signal", value::signal);
            let command = walk.texts(&table, "exec", "[\"make\"]", value::not_empty);
            let restart = walk.boolean(&table, "restart");
            match (table.get("signal"), table.get("exec")) {
                (Some(_), None) if table.get("restart").is_none() => signal.map(OnChange::Signal),
                (None, Some(exec)) => {
                    let command: Vec<String> = command?.into_iter().map(|word| word.value).collect();
                    if command.is_empty() {
                        walk.error(exec.span(), "the command is empty", "write exec = [\"make\", \"argument\"]");
                        return None;
                    }
                    Some(OnChange::Exec { command, restart: restart.unwrap_or(true) })
                }
                _ => {
                    let message = "one of signal and exec is wanted here; restart goes with exec alone";
                    walk.error(value.span(), message, ON_CHANGE);
                    None
                }
            }
        }
        _ => {
            walk.wrong_type(value, "a string or a table", ON_CHANGE);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{good, places};
    use super::*;
    use crate::core::signal::Signal;

    fn service(lines: &str) -> String {
        format!("[service.a]\ncommand = [\"a\"]\n{lines}\n")
    }

    fn read(on_change: &str) -> OnChange {
        let text = service(&format!("watch = [\"src/**\", \"!src/made/**\"]\n{on_change}"));
        let watch = good(&text).services.remove(0).watch;
        assert_eq!(watch.patterns, ["src/**", "!src/made/**"]);
        watch.on_change
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(read(""), OnChange::Restart);
        assert_eq!(read("on_change = \"restart\""), OnChange::Restart);
        assert_eq!(read("on_change = { signal = \"HUP\" }"), OnChange::Signal(Signal::HUP));
        let make = |restart| OnChange::Exec { command: vec!["make".into(), "api".into()], restart };
        assert_eq!(read("on_change = { exec = [\"make\", \"api\"] }"), make(true));
        assert_eq!(read("on_change.exec = [\"make\", \"api\"]\non_change.restart = false"), make(false));
    }

    #[test]
    fn what_is_wrong_is_told_at_its_place() {
        let wrong = |lines: &str| places(&service(lines));
        assert!(wrong("watch = [\"src/[\"]")[0].starts_with("3:10 this is no pattern of files: unclosed"));
        assert_eq!(wrong("watch = [\"!\"]"), ["3:10 this pattern is empty"]);
        assert_eq!(wrong("on_change = \"restart\""), ["3:13 no files are watched that could change"]);
        let watched = |lines: &str| wrong(&format!("watch = [\"*\"]\n{lines}"));
        assert_eq!(
            watched("on_change = \"restrat\""),
            ["4:13 unknown on_change \"restrat\", did you mean \"restart\"?"]
        );
        assert_eq!(watched("on_change = {}").len(), 1);
        assert_eq!(watched("on_change = { signal = \"HUP\", exec = [\"make\"] }").len(), 1);
        assert_eq!(watched("on_change = { exec = [] }"), ["4:22 the command is empty"]);
        assert_eq!(watched("on_change = { signal = \"HUPP\" }").len(), 1);
    }
}
