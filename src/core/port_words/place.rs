//! Where a process runs: a unit of systemd, a container.

/// The command that stops what [`unit_or_container`] named.
pub fn stop_command(place: &str) -> Option<String> {
    if let Some(unit) = place.strip_prefix("user unit ") {
        return Some(format!("systemctl --user stop {unit}"));
    }
    if place.ends_with(".service") {
        return Some(format!("systemctl stop {place}"));
    }
    let (engine, id) = place.split_once(" container ")?;
    matches!(engine, "docker" | "podman").then(|| format!("{engine} stop {id}"))
}

/// The systemd unit or the container that a cgroup's path names, else the path itself.
///
/// `/system.slice/nginx.service` → `nginx.service`, `…/user@1000.service/app.slice/x.service` → `user unit x.service`,
/// `/docker/<id>` or `…/docker-<id>.scope` → `docker container 0123456789ab`.
pub fn unit_or_container(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let container = parts.iter().enumerate().rev().find_map(|(index, part)| {
        let name = part.strip_suffix(".scope").unwrap_or(part);
        let (prefix, id) = name.rsplit_once('-').unwrap_or(("", name));
        let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let above = index.checked_sub(1).and_then(|above| parts.get(above)).copied().unwrap_or_default();
        let engine = match (prefix, above) {
            ("docker", _) | ("", "docker") => "docker ",
            ("libpod", _) | ("", "libpod_parent") => "podman ",
            _ => "",
        };
        is_id.then(|| format!("{engine}container {}", &id[..12]))
    });
    if let Some(container) = container {
        return container;
    }
    let of_user = parts.iter().any(|part| part.starts_with("user@") && part.ends_with(".service"));
    let unit = parts.iter().rev().find(|part| part.ends_with(".service") && !part.starts_with("user@"));
    match unit {
        Some(unit) if of_user => format!("user unit {unit}"),
        Some(unit) => (*unit).to_owned(),
        None => match parts.last() {
            Some(scope) if scope.ends_with(".scope") => (*scope).to_owned(),
            _ => path.to_owned(),
        },
    }
}
