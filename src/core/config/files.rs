//! `[[service.NAME.file]]` and `[service.NAME.required_environment]`: what must be there, and in it, before the start.

use std::path::Path;

use toml::de::DeValue;

use super::keys;
use super::suggest;
use super::tables::from_folder;
use super::value::{self, ValueError};
use super::walk::{Table, Walk, fill, in_order};
use crate::core::settings::{FileFormat, FileSettings, RequiredKey, RequiredVariable, ServiceSettings, ValueType};

/// Reads `file`.
pub(super) fn files(walk: &mut Walk, folder: &Path, service: &Table<'_>, settings: &mut ServiceSettings) {
    let Some(value) = service.get("file") else { return };
    let header = format!("[[service.{}.file]]", settings.name);
    let hint = format!("write {header} above its keys");
    let Some(values) = walk.list(value, "a list of tables", &hint) else { return };
    for value in values {
        let Some(table) = walk.subtable(value, &header, keys::FILE, &hint) else { continue };
        settings.files.extend(file(walk, folder, &table));
    }
}

fn file(walk: &mut Walk, folder: &Path, table: &Table<'_>) -> Option<FileSettings> {
    let format = walk.parsed(table, "format", format);
    let required = required(walk, table);
    let schema = walk.parsed(table, "schema", value::not_empty);
    let mut placeholders = true;
    fill(&mut placeholders, walk.parsed(table, "placeholders", self::placeholders));
    let Some(place) = table.get("path") else {
        walk.missing(table.span.clone(), "this file has no path", "write path = \"config.yaml\"");
        return None;
    };
    let path = walk.parsed(table, "path", value::not_empty)?;
    let format = format.or_else(|| FileFormat::of(&path));
    if format.is_none() && (!required.is_empty() || schema.is_some()) {
        let message = format!("what {path:?} is cannot be told by its name");
        walk.error(place.span(), message, "write format = \"yaml\", json, toml, env, properties or ini");
    }
    let schema = schema.map(|schema| from_folder(folder, &schema));
    Some(FileSettings { path: from_folder(folder, &path), format, required, schema, placeholders })
}

/// A list of keys, or a table of keys and their types.
fn required(walk: &mut Walk, table: &Table<'_>) -> Vec<RequiredKey> {
    let Some(value) = table.get("required") else { return Vec::new() };
    if let DeValue::Table(entries) = value.get_ref() {
        let mut keys = Vec::new();
        for (key, value) in in_order(entries) {
            let kind = walk.text(value).and_then(|text| walk.value(value.span(), value_type(text)));
            keys.push(RequiredKey { path: key.value.to_owned(), kind });
        }
        return keys;
    }
    let keys = walk.texts(table, "required", "[\"database.host\"]", value::not_empty).unwrap_or_default();
    keys.into_iter().map(|key| RequiredKey { path: key.value, kind: None }).collect()
}

/// Reads `required_environment`: a meaning for each variable, or a table with its meaning and type.
pub(super) fn required_environment(walk: &mut Walk, service: &Table<'_>, settings: &mut ServiceSettings) {
    let Some(value) = service.get("required_environment") else { return };
    let DeValue::Table(variables) = value.get_ref() else {
        return walk.wrong_type(value, "a table", "write required_environment = { NAME = \"what it is for\" }");
    };
    for (key, value) in in_order(variables) {
        if key.value.is_empty() || key.value.contains(['=', '\0']) {
            walk.error(
                key.span,
                format!("{:?} cannot be the name of a variable", key.value),
                "a name has no \"=\" in it",
            );
            continue;
        }
        let mut variable = RequiredVariable { name: key.value.to_owned(), meaning: String::new(), kind: None };
        if let DeValue::Table(_) = value.get_ref() {
            let hint = "write NAME = { meaning = \"what it is for\", type = \"url\" }";
            let Some(table) = walk.subtable(value, "a required variable", keys::REQUIRED_VARIABLE, hint) else {
                continue;
            };
            fill(&mut variable.meaning, walk.parsed(&table, "meaning", value::not_empty));
            variable.kind = walk.parsed(&table, "type", value_type);
        } else if let Some(text) = walk.text(value) {
            variable.meaning = text.to_owned();
        }
        settings.required_environment.push(variable);
    }
}

fn value_type(text: &str) -> Result<ValueType, ValueError> {
    ValueType::ALL.iter().find(|(name, _)| *name == text).map(|(_, kind)| *kind).ok_or_else(|| {
        let names = ValueType::ALL.map(|(name, _)| name);
        ValueError::new(suggest::unknown("type", text, names), format!("one of {}", names.join(", ")))
    })
}

fn format(text: &str) -> Result<FileFormat, ValueError> {
    let formats = [
        ("yaml", FileFormat::Yaml),
        ("json", FileFormat::Json),
        ("toml", FileFormat::Toml),
        ("env", FileFormat::Dotenv),
        ("properties", FileFormat::Properties),
        ("ini", FileFormat::Ini),
    ];
    formats.iter().find(|(name, _)| *name == text).map(|(_, format)| *format).ok_or_else(|| {
        let names = formats.map(|(name, _)| name);
        ValueError::new(suggest::unknown("format", text, names), format!("one of {}", names.join(", ")))
    })
}

fn placeholders(text: &str) -> Result<bool, ValueError> {
    match text {
        "environment" => Ok(true),
        "off" => Ok(false),
        _ => Err(ValueError::new(format!("unknown kind of placeholders {text:?}"), "one of environment, off")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{good, places};
    use super::*;

    fn service(lines: &str) -> String {
        format!("[service.a]\ncommand = [\"a\"]\n{lines}")
    }

    #[test]
    fn every_key_reaches_its_setting() {
        let text = service(
            "required_environment = { A = \"for a\", B = { meaning = \"for b\", type = \"url\" } }\n\
             [[service.a.file]]\npath = \"config.yaml\"\nrequired = [\"a.b\"]\nschema = \"schema.json\"\n\
             [[service.a.file]]\npath = \"x\"\nformat = \"ini\"\nrequired = { \"a.port\" = \"port\" }\nplaceholders = \"off\"\n",
        );
        let service = &good(&text).services[0];
        let key = |path: &str, kind| RequiredKey { path: path.to_owned(), kind };
        let yaml = FileSettings {
            path: "config.yaml".into(),
            format: Some(FileFormat::Yaml),
            required: vec![key("a.b", None)],
            schema: Some("schema.json".into()),
            placeholders: true,
        };
        let ini = FileSettings {
            path: "x".into(),
            format: Some(FileFormat::Ini),
            required: vec![key("a.port", Some(ValueType::Port))],
            schema: None,
            placeholders: false,
        };
        assert_eq!(service.files, [yaml, ini]);
        let variable = |name: &str, meaning: &str, kind| RequiredVariable {
            name: name.to_owned(),
            meaning: meaning.to_owned(),
            kind,
        };
        assert_eq!(
            service.required_environment,
            [variable("A", "for a", None), variable("B", "for b", Some(ValueType::Url))]
        );
    }

    #[test]
    fn what_is_wrong_is_told_at_its_place() {
        let wrong = |lines: &str| places(&service(lines));
        assert_eq!(wrong("[[service.a.file]]\nrequired = []\n"), ["3:1 this file has no path"]);
        let unknown = wrong("[[service.a.file]]\npath = \"x\"\nrequired = [\"y\"]\n");
        assert_eq!(unknown, ["4:8 what \"x\" is cannot be told by its name"]);
        let kind = wrong("[[service.a.file]]\npath = \"x.json\"\nrequired = { y = \"prot\" }\n");
        assert_eq!(kind, ["5:18 unknown type \"prot\", did you mean \"port\"?"]);
        let schema = wrong("[[service.a.file]]\npath = \"x\"\nschema = \"s.json\"\n");
        assert_eq!(schema, ["4:8 what \"x\" is cannot be told by its name"]);
        for path in ["", "path = \"\"\n"] {
            let rest = "placeholders = \"x\"\nschema = 3\nrequired = 5\nformat = \"x\"\n";
            let told = wrong(&format!("[[service.a.file]]\n{path}{rest}"));
            assert_eq!(told.len(), 5, "{told:#?}");
        }
    }
}
