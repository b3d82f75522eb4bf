//! What a child finds in its environment (DESIGN §4).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::core::service::Generation;
use crate::core::settings::{ServiceSettings, Settings};
use crate::run::preflight;
use crate::sys::users::Identity;

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
    /// As whom it runs, when that is said.
    pub user: Option<&'a Identity>,
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
    if let Some(user) = special.user {
        take_on(&mut variables, user);
    }
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

/// The variables that name the user and its home, as systemd sets them with `User=`: those of the launcher's own user
/// would send the service's files to a home that it may not enter. What the service's own settings say comes after and
/// wins. A user without an entry in `/etc/passwd` gets the home `/`, as from Docker and gosu, and no name.
fn take_on(variables: &mut BTreeMap<OsString, OsString>, user: &Identity) {
    let home = user.home.clone().unwrap_or_else(|| PathBuf::from("/"));
    variables.insert("HOME".into(), home.into());
    for name in ["USER", "LOGNAME"] {
        match &user.name {
            Some(user) => variables.insert(name.into(), user.into()),
            None => variables.remove(OsStr::new(name)),
        };
    }
}

/// A line about a `PORT` that the launcher inherited and passes on to nobody: platforms set it for a program that is now
/// behind the launcher, which would listen elsewhere without a word. `None` when a service has a port or a `PORT` of its
/// own, from where the launcher's is not missed.
pub fn lost_port(settings: &Settings, inherited: Option<&OsStr>) -> Option<String> {
    let port = inherited?.to_string_lossy();
    let in_file =
        |file: &PathBuf| preflight::environment_file(file).is_ok_and(|all| all.iter().any(|(k, _)| k == "PORT"));
    let has_own = |service: &ServiceSettings| {
        !service.ports.is_empty()
            || service.environment.contains_key("PORT")
            || service.environment_files.iter().any(in_file)
    };
    let service = settings.services.first().filter(|_| !settings.services.iter().any(has_own))?;
    let number = if port.parse::<u16>().is_ok_and(|port| port > 0) { &*port } else { "8080" };
    let how = match settings.single_command {
        true => format!("--port {number}"),
        false => format!("[[service.{}.port]] listen = \"tcp://0.0.0.0:{number}\"", service.name),
    };
    Some(format!("PORT={port} was inherited and is not passed on, as no port is declared; to pass it on: {how}"))
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
    fn a_user_has_its_own_home_and_name() {
        let inherited = [("HOME", "/root"), ("USER", "root"), ("LOGNAME", "root")];
        let known =
            Identity { uid: 7, gid: 7, groups: vec![7], name: Some("app".to_owned()), home: Some("/srv/app".into()) };
        let variables = built(&inherited, &Special { user: Some(&known), ..Special::default() });
        let value = |name: &str| variables.get(OsStr::new(name)).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(["HOME", "USER", "LOGNAME"].map(value).map(Option::unwrap), ["/srv/app", "app", "app"]);
        let number = Identity { name: None, home: None, ..known.clone() };
        let variables = built(&inherited, &Special { user: Some(&number), ..Special::default() });
        assert_eq!(variables[OsStr::new("HOME")], "/");
        assert!(!variables.contains_key(OsStr::new("USER")) && !variables.contains_key(OsStr::new("LOGNAME")));
        // What the settings say wins.
        let set = [("HOME".to_owned(), "/data".to_owned())];
        let variables = build(std::iter::empty(), set, &Special { user: Some(&known), ..Special::default() });
        assert_eq!(variables[OsStr::new("HOME")], "/data");
    }

    #[test]
    fn a_port_that_is_not_passed_on_is_told_with_how_to_declare_it() {
        let context = || crate::core::config::Context { folder: std::path::Path::new(""), name: "test" };
        let lost = |more: &str, inherited: Option<&str>| {
            let text = format!("[service.api]\ncommand = ['true']\n{more}");
            let settings = crate::core::config::parse_bytes("launcher.toml", text.as_bytes(), context()).unwrap();
            lost_port(&settings, inherited.map(OsStr::new))
        };
        let line = lost("", Some("5000")).unwrap();
        assert!(line.starts_with("PORT=5000 was inherited and is not passed on"), "{line}");
        assert!(line.ends_with("[[service.api.port]] listen = \"tcp://0.0.0.0:5000\""), "{line}");
        assert!(lost("", Some("http")).unwrap().ends_with(":8080\""));
        assert_eq!(lost("", None), None);
        assert_eq!(lost("port = [{ name = 'http', listen = '127.0.0.1:80' }]", Some("5000")), None);
        assert_eq!(lost("environment = { PORT = '1' }", Some("5000")), None);
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
