//! Reports as JSON.

use std::path::Path;

use serde_json::Value;

/// One report file.
#[derive(Debug)]
pub struct Report(pub Value);

impl Report {
    /// All reports in a folder, the oldest first; `latest.json` is not among them but must be the same as the last.
    pub fn all(folder: &Path) -> Vec<Report> {
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".json") && name != "latest.json")
            .collect();
        names.sort();
        let read = |name: &str| -> Value {
            let text = std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"))
        };
        let reports: Vec<Report> = names.iter().map(|name| Report(read(name))).collect();
        if let Some(last) = reports.last() {
            assert_eq!(last.0, read("latest.json"), "latest.json is the last report");
        }
        reports
    }

    /// The text at a JSON pointer; empty when there is none.
    pub fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or("")
    }

    /// `kind`.
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// `verdict.cause`.
    pub fn cause(&self) -> &str {
        self.text("/verdict/cause")
    }

    /// The whole verdict, for messages and for searching.
    pub fn verdict(&self) -> String {
        self.0.pointer("/verdict").map(Value::to_string).unwrap_or_default()
    }

    /// The list at a JSON pointer.
    pub fn list(&self, pointer: &str) -> &[Value] {
        self.0.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}
