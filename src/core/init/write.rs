//! A draft as the text of a launcher.toml.

use std::collections::BTreeSet;

use super::{Draft, Key, Port, Service};

/// How long the line of a comment may be.
const WIDTH: usize = 110;

/// The text of a launcher.toml; `origin` is what it was made from.
pub fn write(draft: &Draft, origin: &str) -> String {
    let mut text = String::new();
    comment(
        &mut text,
        &format!("Written by launcher init from {origin}. What was guessed says why: correct what is wrong."),
    );
    comment(&mut text, "Then: launcher check looks at all of it, launcher verify tries a start, launcher run runs it.");
    for note in &draft.notes {
        text.push_str("#\n");
        comment(&mut text, note);
    }
    for service in &draft.services {
        text.push('\n');
        write_service(&mut text, service);
    }
    text
}

fn write_service(text: &mut String, service: &Service) {
    let name = &key(&service.name);
    service.notes.iter().for_each(|note| comment(text, note));
    text.push_str(&format!("[service.{name}]\n"));
    service.command_notes.iter().for_each(|note| comment(text, note));
    text.push_str(&format!("command = {}\n", list(&service.command)));
    if !service.after.is_empty() {
        text.push_str(&format!("after = {}\n", list(&service.after)));
    }
    for Key { name, value, note, holds } in &service.keys {
        comment(text, note);
        text.push_str(&format!("{}{name} = {value}\n", if *holds { "" } else { "#" }));
    }
    let mut names = BTreeSet::new();
    for port in &service.ports {
        text.push_str(&format!("\n[[service.{name}.port]]\n"));
        comment(text, &port.note);
        if let Some(name) = port_name(port).filter(|name| names.insert(*name)) {
            text.push_str(&format!("name = {}\n", quoted(name)));
        }
        let scheme = if port.udp { "udp" } else { "tcp" };
        let address = ::core::net::SocketAddr::new(port.host, port.number);
        text.push_str(&format!("listen = {}\n", quoted(&format!("{scheme}://{address}"))));
    }
    for (url, note) in &service.requirements {
        text.push_str(&format!("\n[[service.{name}.require]]\n"));
        comment(text, note);
        text.push_str(&format!("url = {}\n", quoted(url)));
    }
    if !service.environment.is_empty() {
        text.push_str(&format!("\n[service.{name}.environment]\n"));
        for (name, value) in &service.environment {
            text.push_str(&format!("{} = {}\n", key(name), quoted(value)));
        }
    }
}

/// What a port is usually called, by its number; a service may have one of each name.
fn port_name(port: &Port) -> Option<&'static str> {
    match port.number {
        80 | 3000 | 4000 | 5000 | 8000 | 8080 | 8888 => Some("http"),
        443 | 8443 => Some("https"),
        53 => Some("dns"),
        9090 | 9100 => Some("metrics"),
        50051 => Some("grpc"),
        _ => None,
    }
}

/// A list of texts as TOML.
pub fn list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", words.join(", "))
}

/// A text as TOML.
pub fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A key as TOML: bare where that is possible.
pub fn key(text: &str) -> String {
    let bare = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if bare { text.to_owned() } else { quoted_line(text) }
}

/// A key is written in one line.
fn quoted_line(text: &str) -> String {
    let escaped: String = text
        .chars()
        .flat_map(|c| match c {
            '"' | '\\' => vec!['\\', c],
            c if c.is_control() => format!("\\u{:04x}", u32::from(c)).chars().collect(),
            c => vec![c],
        })
        .collect();
    format!("\"{escaped}\"")
}

/// Words as lines of a comment.
fn comment(text: &mut String, words: &str) {
    let mut line = String::new();
    for word in words.split_whitespace() {
        let word: String = word.chars().filter(|c| !c.is_control()).collect();
        if !line.is_empty() && line.chars().count() + word.chars().count() > WIDTH {
            text.push_str(&format!("#{line}\n"));
            line.clear();
        }
        line.push(' ');
        line.push_str(&word);
    }
    if !line.is_empty() {
        text.push_str(&format!("#{line}\n"));
    }
}
