//! `[service.NAME.log]`: where the lines of a service go.

use std::path::Path;
use std::time::Duration;

use super::keys;
use super::suggest;
use super::tables::from_folder;
use super::value::{self, ValueError};
use super::walk::{Table, Walk, fill, quoted};
use crate::core::settings::{FileLog, FileLogFormat, LogSettings, OnSlow};
use crate::core::units;

/// Keys that are about a file.
const ABOUT_A_FILE: [&str; 5] = ["format", "max_size", "max_age", "keep", "compress"];

/// Files of less would be put aside with every few lines.
const SMALLEST: u64 = 4096;

/// The most files that may be kept.
const MOST_KEPT: i64 = 10_000;

/// Reads `log`.
pub(super) fn log(walk: &mut Walk, folder: &Path, service: &Table<'_>, name: &str, settings: &mut LogSettings) {
    let Some(value) = service.get("log") else { return };
    let title = format!("[service.{name}.log]");
    let Some(table) = walk.subtable(value, &title, keys::LOG, &format!("write {title} above its keys")) else {
        return;
    };
    fill(&mut settings.level, walk.parsed(&table, "level", value::log_level));
    fill(&mut settings.forward, walk.boolean(&table, "forward"));
    fill(&mut settings.on_slow, walk.parsed(&table, "on_slow", on_slow));
    if table.get("file").is_none() {
        for key in ABOUT_A_FILE {
            if let Some(value) = table.get(key) {
                let message = format!("\"{key}\" is about a file, and there is none");
                walk.missing(value.span(), message, "write file = \"api.log\" beside it, or leave it out");
            }
        }
        return;
    }
    let path = walk.parsed(&table, "file", value::not_empty).map(|path| from_folder(folder, &path));
    let mut file = FileLog::new(path.unwrap_or_default());
    fill(&mut file.format, walk.parsed(&table, "format", format));
    fill(&mut file.max_size, walk.parsed(&table, "max_size", max_size));
    fill(&mut file.max_age, walk.duration(&table, "max_age", max_age));
    let keep = walk.integer(&table, "keep", 0..MOST_KEPT + 1);
    fill(&mut file.keep, keep.and_then(|keep| usize::try_from(keep).ok()));
    fill(&mut file.compress, walk.boolean(&table, "compress"));
    settings.file = Some(file);
}

fn on_slow(text: &str) -> Result<OnSlow, ValueError> {
    word("on_slow", text, [("block", OnSlow::Block), ("drop-oldest", OnSlow::DropOldest)])
}

fn format(text: &str) -> Result<FileLogFormat, ValueError> {
    word("format", text, [("plain", FileLogFormat::Plain), ("json", FileLogFormat::Json)])
}

fn word<T: Copy>(what: &str, text: &str, words: [(&'static str, T); 2]) -> Result<T, ValueError> {
    words.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names = words.map(|(name, _)| name);
        ValueError::new(suggest::unknown(what, text, names), format!("one of {}", names.join(", ")))
    })
}

fn max_size(text: &str) -> Result<u64, ValueError> {
    match units::parse_size(text).map_err(|error| quoted(error.into()))? {
        size if size < SMALLEST => Err(ValueError::new("a file is not put aside so soon", "write at least \"4KiB\"")),
        size => Ok(size),
    }
}

fn max_age(text: &str) -> Result<Option<Duration>, ValueError> {
    if text == "off" { Ok(None) } else { value::positive_duration(text).map(Some) }
}

/// Refuses a file that two services would write to, which would put it aside under each other's hands.
pub(super) fn files_of_others(walk: &mut Walk, files: &[(&str, &Path, std::ops::Range<usize>)]) {
    for (index, (_, path, place)) in files.iter().enumerate() {
        if let Some((other, ..)) = files[..index].iter().find(|(_, other, _)| other == path) {
            let message = format!("{} is already the file of service {other:?}", path.display());
            walk.error(place.clone(), message, "give each service a file of its own");
        }
    }
}
