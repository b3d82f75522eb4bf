//! What reports are called: `REPORT_DIR/<service>/<UTC time>-g<generation>.json`.

use super::Report;

/// The file that is always the last report of a service.
pub const LATEST: &str = "latest.json";

/// The file name of a report: `2026-11-23T12-33-00.123Z-g1.json`. Names sort by time.
///
/// The colons of the time are written as hyphens: `scp` takes what stands before a colon for a host, and volumes shared
/// with other systems may not have one in a name.
pub fn file(time: &str, generation: u64) -> String {
    let time: String = time.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    format!("{time}-g{generation}.json")
}

/// The directory of a service's reports: its name, without anything that would lead elsewhere.
pub fn directory(service: &str) -> String {
    let safe: String = service.chars().map(|c| if c == '/' || c.is_control() { '_' } else { c }).collect();
    match safe.as_str() {
        "" | "." | ".." => "_".to_owned(),
        _ => safe,
    }
}

/// Which files of a service's directory are reports too old to be kept: all but the last [`Report::KEPT`].
///
/// Files that are not called as reports are, are not ours and stay.
pub fn superfluous(mut names: Vec<String>) -> Vec<String> {
    names.retain(|name| is_report(name));
    names.sort();
    let surplus = names.len().saturating_sub(Report::KEPT);
    names.truncate(surplus);
    names
}

fn is_report(name: &str) -> bool {
    let Some((time, rest)) = name.rsplit_once("-g") else { return false };
    let digits = rest.strip_suffix(".json").unwrap_or_default();
    let generation = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    generation && time.ends_with('Z') && time.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_time_and_generation() {
        assert_eq!(file("2026-11-23T12:33:00.123Z", 7), "2026-11-23T12-33-00.123Z-g7.json");
        assert_eq!(directory("api"), "api");
        assert_eq!(directory("../x"), ".._x");
        assert_eq!(directory(".."), "_");
    }

    #[test]
    fn the_oldest_are_superfluous_and_foreign_files_stay() {
        let mut names: Vec<String> = (10..40).map(|n| file(&format!("2026-11-23T12:{n}:00.000Z"), n)).collect();
        names.reverse();
        names.extend([LATEST.to_owned(), "notes-g1.json".to_owned(), ".tmp".to_owned()]);
        let gone = superfluous(names);
        assert_eq!(gone.len(), 10);
        assert_eq!(gone[0], "2026-11-23T12-10-00.000Z-g10.json");
        assert_eq!(gone[9], "2026-11-23T12-19-00.000Z-g19.json");
        assert_eq!(superfluous(vec![LATEST.to_owned()]), Vec::<String>::new());
    }
}
