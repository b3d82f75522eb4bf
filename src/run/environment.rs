//! What a child finds in its environment (DESIGN §4).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use crate::core::service::Generation;

/// Variables that speak of one process and its supervisor: those of the launcher's own parent are not the child's.
const PRIVATE: [&str; 10] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
    "LAUNCHER_SERVICE",
    "LAUNCHER_GENERATION",
    "PORT",
];

/// Whether a variable is one that the launcher sets for its children, and so never passes on from its own parent.
pub fn is_private(name: &OsStr) -> bool {
    PRIVATE.iter().any(|private| name == *private) || name.as_bytes().starts_with(b"PORT_")
}

/// What is special to one generation.
#[derive(Debug, Default)]
pub struct Special<'a> {
    /// The service's name.
    pub service: &'a str,
    /// Which start it is.
    pub generation: Option<Generation>,
    /// The notify socket's address.
    pub notify_socket: &'a str,
    /// The ports by name, as far as they have a number.
    pub ports: Vec<(&'a str, u16)>,
    /// Names of the passed sockets, in their order from fd 3 on.
    pub passed: Vec<&'a str>,
    /// The watchdog period.
    pub watchdog: Option<std::time::Duration>,
}

/// The whole environment of a child: what the launcher inherited less what is private, then `set` in order, then what is
/// special to the generation. `LISTEN_PID` and `WATCHDOG_PID` are the child's own pid and are set after the fork.
pub fn build(
    inherited: impl Iterator<Item = (OsString, OsString)>,
    set: impl IntoIterator<Item = (String, String)>,
    special: &Special<'_>,
) -> BTreeMap<OsString, OsString> {
    let mut variables: BTreeMap<OsString, OsString> = inherited.filter(|(name, _)| !is_private(name)).collect();
    variables.extend(set.into_iter().map(|(name, value)| (name.into(), value.into())));
    let mut put = |name: String, value: String| variables.insert(name.into(), value.into());
    put("LAUNCHER_SERVICE".into(), special.service.into());
    if let Some(generation) = special.generation {
        put("LAUNCHER_GENERATION".into(), generation.0.to_string());
    }
    put("NOTIFY_SOCKET".into(), special.notify_socket.into());
    if let Some((_, port)) = special.ports.first() {
        put("PORT".into(), port.to_string());
    }
    for (name, port) in &special.ports {
        put(format!("PORT_{}", variable_name(name)), port.to_string());
    }
    if !special.passed.is_empty() {
        put("LISTEN_FDS".into(), special.passed.len().to_string());
        put("LISTEN_FDNAMES".into(), special.passed.join(":"));
    }
    if let Some(period) = special.watchdog {
        put("WATCHDOG_USEC".into(), period.as_micros().to_string());
    }
    variables
}

/// A port's name as the end of a variable's name: `http-admin` gives `HTTP_ADMIN`.
fn variable_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(inherited: &[(&str, &str)], special: &Special<'_>) -> BTreeMap<OsString, OsString> {
        build(inherited.iter().map(|(name, value)| (name.into(), value.into())), [], special)
    }

    #[test]
    fn what_the_launcher_was_told_by_its_own_parent_is_not_passed_on() {
        let inherited =
            [("PATH", "/bin"), ("NOTIFY_SOCKET", "/run/above"), ("LISTEN_FDS", "3"), ("PORT", "1"), ("PORT_HTTP", "1")];
        let variables = built(&inherited, &Special { service: "api", notify_socket: "@x", ..Special::default() });
        let names: Vec<_> = variables.keys().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(names, ["LAUNCHER_SERVICE", "NOTIFY_SOCKET", "PATH"]);
        assert_eq!(variables[OsStr::new("NOTIFY_SOCKET")], "@x");
    }

    #[test]
    fn ports_are_told_by_number_and_name() {
        let special = Special { ports: vec![("http", 8080), ("admin-api", 9000)], ..Special::default() };
        let variables = built(&[], &special);
        assert_eq!(variables[OsStr::new("PORT")], "8080");
        assert_eq!(variables[OsStr::new("PORT_HTTP")], "8080");
        assert_eq!(variables[OsStr::new("PORT_ADMIN_API")], "9000");
    }

    #[test]
    fn passed_sockets_are_counted_and_named() {
        let variables = built(&[], &Special { passed: vec!["http", "admin"], ..Special::default() });
        assert_eq!(variables[OsStr::new("LISTEN_FDS")], "2");
        assert_eq!(variables[OsStr::new("LISTEN_FDNAMES")], "http:admin");
    }
}
