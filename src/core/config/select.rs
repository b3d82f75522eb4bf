//! Some services of a file: those that are named, and those that must be ready before them.

use super::suggest;
use super::value::ValueError;
use crate::core::settings::Settings;

/// Keeps the services that are named and all that they need, in the order of the file; all when none is named.
///
/// # Errors
/// A name that no service has.
pub fn select(mut settings: Settings, names: &[String]) -> Result<Settings, ValueError> {
    if names.is_empty() {
        return Ok(settings);
    }
    let known: Vec<&str> = settings.services.iter().map(|service| service.name.as_str()).collect();
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        let message = suggest::unknown("service", name, known.iter().copied());
        return Err(ValueError::new(message, format!("there are {}", known.join(", "))));
    }
    let mut wanted: Vec<String> = names.to_vec();
    let mut next = 0;
    while let Some(name) = wanted.get(next) {
        let needed = settings.services.iter().find(|service| service.name == *name).map(|service| &service.after);
        let new: Vec<String> = needed
            .into_iter()
            .flatten()
            .map(|after| &after.service)
            .filter(|name| !wanted.contains(name))
            .cloned()
            .collect();
        wanted.extend(new);
        next += 1;
    }
    settings.services.retain(|service| wanted.contains(&service.name));
    Ok(settings)
}
