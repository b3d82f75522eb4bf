//! The keys of a service about its processes: groups, limits, privileges.

use toml::de::DeValue;

use super::keys;
use super::suggest;
use super::value::{self, ValueError};
use super::walk::{Placed, Table, Value, Walk, fill, quoted};
use crate::core::capability::{self, CapabilitySet};
use crate::core::settings::{Limit, ProcessSettings, Resource};
use crate::core::units;

/// Reads all of them.
pub(super) fn process(walk: &mut Walk, table: &Table<'_>, title: &str, settings: &mut ProcessSettings) {
    settings.group = walk.parsed(table, "group", value::not_empty);
    let groups = walk.texts(table, "groups", "[\"audio\"]", value::not_empty);
    settings.groups = groups.map(|groups| groups.into_iter().map(|group| group.value).collect());
    settings.umask = walk.parsed(table, "umask", umask);
    settings.nice = walk.integer(table, "nice", -20..20).and_then(|nice| i32::try_from(nice).ok());
    let score = walk.integer(table, "oom_score_adj", -1000..1001);
    settings.oom_score_adj = score.and_then(|score| i32::try_from(score).ok());
    fill(&mut settings.no_new_privs, walk.boolean(table, "no_new_privs"));
    if let Some(kept) = walk.texts(table, "capabilities", "[\"NET_BIND_SERVICE\"]", capability) {
        let set = kept.iter().fold(CapabilitySet::default(), |set, kept| set.with(kept.value));
        settings.capabilities = Some(set);
    }
    fill(&mut settings.go_limits, walk.parsed(table, "go_limits", go_limits));
    limits(walk, table, title, settings);
}

/// Reads `[service.NAME.limits]`.
fn limits(walk: &mut Walk, service: &Table<'_>, title: &str, settings: &mut ProcessSettings) {
    let Some(value) = service.get("limits") else { return };
    let header = format!("{}.limits]", title.trim_end_matches(']'));
    let Some(table) = walk.subtable(value, &header, keys::LIMITS, &format!("write {header}")) else { return };
    for (name, resource) in Resource::NAMES {
        if let Some(value) = table.get(name)
            && let Some(limit) = limit(walk, value, resource)
        {
            settings.limits.push((resource, limit));
        }
    }
    settings.group_limits.memory = table.get("memory").and_then(|value| memory(walk, value));
    let tasks = walk.integer(&table, "tasks", 1..i64::from(u32::MAX));
    settings.group_limits.tasks = tasks.and_then(|tasks| u64::try_from(tasks).ok());
    if let Some(Placed { value, span }) = walk.float(&table, "cpus") {
        settings.group_limits.millicpus = walk.value(span, millicpus(value));
    }
}

/// A size of memory: a number of bytes, or one with a unit.
fn memory(walk: &mut Walk, value: &Value<'_>) -> Option<u64> {
    if let DeValue::Integer(_) = value.get_ref() {
        return walk.integer_value(value, 1..i64::MAX).and_then(|bytes| u64::try_from(bytes).ok());
    }
    let size = |text: &str| units::parse_size(text).map_err(|error| quoted(error.into()));
    let size = walk.parsed_value(value, "a number of bytes or a string", size)?;
    if size == 0 {
        walk.error(value.span(), "no program runs without memory", "write \"512MiB\"");
    }
    Some(size)
}

/// CPUs in thousandths. The kernel counts no less than 1 ms of each 100 ms.
fn millicpus(cpus: f64) -> Result<u32, ValueError> {
    match cpus {
        0.01..=65536.0 => Ok((cpus * 1000.0).round() as u32),
        _ => Err(ValueError::new(format!("{cpus} CPUs cannot be given"), "write a number from 0.01 on, such as 1.5")),
    }
}

/// A number, a size, `unlimited`, or `SOFT:HARD` of these.
fn limit(walk: &mut Walk, value: &Value<'_>, resource: Resource) -> Option<Limit> {
    if let DeValue::Integer(_) = value.get_ref() {
        let number = walk.integer_value(value, 0..i64::MAX)?;
        let number = u64::try_from(number).ok()?;
        return Some(Limit { soft: number, hard: number });
    }
    let limit = |text: &str| parse_limit(text, resource).map_err(quoted);
    walk.parsed_value(value, "a whole number or a string", limit)
}

fn parse_limit(text: &str, resource: Resource) -> Result<Limit, ValueError> {
    let (soft, hard) = text.split_once(':').unwrap_or((text, text));
    let one = |text: &str| match text {
        "unlimited" | "infinity" => Ok(Limit::UNLIMITED),
        _ if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().map_err(|_| ValueError::new(format!("{text} is out of range"), "write unlimited"))
        }
        _ if resource.is_size() => Ok(units::parse_size(text)?),
        _ => Err(ValueError::new(
            format!("{text:?} is not a number"),
            "write a number, \"unlimited\", or two of them: \"1024:4096\"",
        )),
    };
    let limit = Limit { soft: one(soft)?, hard: one(hard)? };
    if limit.soft > limit.hard {
        return Err(ValueError::new(
            format!("the limit in force ({soft}) is above the one it may be raised to ({hard})"),
            "write the lower one first",
        ));
    }
    Ok(limit)
}

/// An octal number, as `umask` shows it.
fn umask(text: &str) -> Result<u32, ValueError> {
    let octal = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| (b'0'..b'8').contains(&byte));
    let mask = u32::from_str_radix(text, 8).ok().filter(|mask| octal && *mask <= 0o777);
    mask.ok_or_else(|| ValueError::new(format!("{text:?} is not a umask"), "write an octal number: \"022\""))
}

/// A capability, as its number.
fn capability(text: &str) -> Result<u32, ValueError> {
    capability::number(text).ok_or_else(|| {
        let upper = text.to_ascii_uppercase();
        let plain = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let message = suggest::unknown("capability", plain, capability::names());
        ValueError::new(message, "write a name of capabilities(7), such as NET_BIND_SERVICE")
    })
}

fn go_limits(text: &str) -> Result<bool, ValueError> {
    match text {
        "auto" => Ok(true),
        "off" => Ok(false),
        _ => Err(ValueError::new(suggest::unknown("go_limits", text, ["auto", "off"]), "one of auto, off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::settings::GroupLimits;

    #[test]
    fn limits_are_numbers_sizes_or_both_of_two() {
        let of = |text, resource| parse_limit(text, resource).map(|limit| (limit.soft, limit.hard));
        assert_eq!(of("1024:unlimited", Resource::OpenFiles), Ok((1024, u64::MAX)));
        assert_eq!(of("64MiB", Resource::Stack), Ok((64 << 20, 64 << 20)));
        assert_eq!(of("0", Resource::Core), Ok((0, 0)));
        for (text, resource) in
            [("64KiB", Resource::OpenFiles), ("", Resource::Core), ("2:1", Resource::Core), ("1:", Resource::Core)]
        {
            assert!(of(text, resource).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_of_a_whole_service() {
        let text = |limits: &str| format!("[service.a]\ncommand = [\"a\"]\nlimits = {{ {limits} }}\n");
        let good = |limits: &str| super::super::tests::good(&text(limits)).services.remove(0).process.group_limits;
        let limits = good("memory = \"512MiB\", tasks = 64, cpus = 1.5");
        assert_eq!(limits, GroupLimits { memory: Some(512 << 20), tasks: Some(64), millicpus: Some(1500) });
        assert_eq!((good("memory = 4096").memory, good("cpus = 2").millicpus), (Some(4096), Some(2000)));
        for wrong in ["memory = 0", "memory = \"0MiB\"", "memory = \"much\"", "tasks = 0", "cpus = 0.0", "cpus = -1"] {
            assert_eq!(super::super::tests::places(&text(wrong)).len(), 1, "{wrong}");
        }
    }

    #[test]
    fn umasks_and_capabilities() {
        assert_eq!((umask("022"), umask("0777")), (Ok(0o22), Ok(0o777)));
        for text in ["", "8", "u=rwx", "1777", "+22"] {
            assert!(umask(text).is_err(), "{text}");
        }
        assert_eq!(capability("CAP_CHOWN"), Ok(0));
        assert!(capability("NET_BIND").unwrap_err().message.contains("capability"));
    }
}
