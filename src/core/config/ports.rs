//! `[[service.NAME.port]]`: where a service listens.

use std::path::Path;

use toml::de::DeValue;

use super::check;
use super::keys;
use super::listen;
use super::value;
use super::walk::{Placed, Table, Value, Walk, fill};
use crate::core::settings::{HoldUntil, Listen, PortMode, PortSettings, TakeOver};

/// The ports of a service, as far as they could be read.
#[derive(Default)]
pub(super) struct Ports {
    /// With the place of `listen`.
    pub read: Vec<Placed<PortSettings>>,
    /// The names of those that could not be read.
    pub unread: Vec<String>,
    /// Whether there are some of which not even the name could be read.
    pub unknown: bool,
}

/// Reads `[[service.NAME.port]]`.
pub(super) fn ports(walk: &mut Walk, folder: &Path, table: &Table<'_>, title: &str) -> Ports {
    let mut ports = Ports::default();
    let Some(value) = table.get("port") else { return ports };
    let header = format!("[{}.port]]", title.trim_end_matches(']'));
    let hint = format!("write {header} above its keys");
    let Some(values) = walk.list(value, "a list of tables", &hint) else {
        return Ports { unknown: true, ..ports };
    };
    let mut names: Vec<String> = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let Some(table) = walk.subtable(value, &header, keys::PORT, &hint) else {
            ports.unknown = true;
            continue;
        };
        let name = port_name(walk, &table, index + 1, &names);
        ports.unknown |= name.is_none();
        names.extend(name.clone());
        match port(walk, folder, &table, name.clone().unwrap_or_else(|| listen::default_port_name(index + 1))) {
            Some(port) => ports.read.push(port),
            None => ports.unread.extend(name),
        }
    }
    ports
}

/// Reads the name of a port, which none before it has; without one it is called by its place.
fn port_name(walk: &mut Walk, table: &Table<'_>, place: usize, before: &[String]) -> Option<String> {
    let name = match table.get("name") {
        Some(_) => walk.parsed(table, "name", value::port_name)?,
        None => listen::default_port_name(place),
    };
    let written = table.get("name").or(table.get("listen")).map_or(table.span.clone(), Value::span);
    walk.value(written, check::name_against(&name, before.iter().map(String::as_str)));
    Some(name)
}

/// Reads one port; its place is that of `listen`.
fn port(walk: &mut Walk, folder: &Path, table: &Table<'_>, name: String) -> Option<Placed<PortSettings>> {
    let mode = walk.parsed(table, "mode", value::port_mode);
    let until = walk.parsed(table, "until", value::port_until);
    let take_over = take_over(walk, table);
    if let (Some(mode), Some(_), Some(value)) = (mode.filter(|m| *m != PortMode::Reserve), until, table.get("until")) {
        let message = match mode {
            PortMode::Pass => "a port in mode \"pass\" is held for launcher's whole life, not until something",
            PortMode::Adopt => "a port in mode \"adopt\" is held for launcher's whole life, not until something",
            PortMode::Share => {
                "a port in mode \"share\" is kept until the program is executed, not until something else"
            }
            PortMode::Capture => "a port in mode \"capture\" is held from its first listen on, not until something",
            _ => "a port in mode \"check\" is not held, so not until something either",
        };
        walk.error(value.span(), message, "leave out until, or write mode = \"reserve\"");
    }
    let Some(value) = table.get("listen") else {
        walk.missing(
            table.span.clone(),
            "this port does not say where it listens",
            "write listen = \"tcp://127.0.0.1:8080\"",
        );
        return None;
    };
    let listen = match walk.parsed(table, "listen", listen::listen)? {
        Listen::Unix(path) if path.is_relative() && !path.as_os_str().as_encoded_bytes().starts_with(b"@") => {
            Listen::Unix(folder.join(path))
        }
        listen => listen,
    };
    if let (Some(Err(wrong)), Some(value)) = (mode.map(|mode| value::mode_fits(mode, &listen)), table.get("mode")) {
        walk.error(value.span(), wrong.message, &wrong.hint);
    }
    let mut port = PortSettings::new(name, listen);
    fill(&mut port.mode, mode);
    fill(
        &mut port.until,
        until.filter(|until| mode.is_none_or(|m| m == PortMode::Reserve) || *until == HoldUntil::Exec),
    );
    fill(&mut port.take_over, take_over);
    Some(Placed { value: port, span: value.span() })
}

/// Reads `take_over`: true, false or `"any"`.
fn take_over(walk: &mut Walk, table: &Table<'_>) -> Option<TakeOver> {
    let value = table.get("take_over")?;
    match value.get_ref() {
        DeValue::Boolean(true) => Some(TakeOver::Own),
        DeValue::Boolean(false) => Some(TakeOver::Never),
        DeValue::String(text) if text == "any" => Some(TakeOver::Any),
        _ => {
            walk.wrong_type(
                value,
                "true, false or \"any\"",
                "write true for processes of launcher's own user, or \"any\"",
            );
            None
        }
    }
}
