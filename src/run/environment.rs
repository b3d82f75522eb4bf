//! What a child finds in its environment (DESIGN §4).

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::core::environment::{is_set_by_launcher, variable_name};
use crate::core::report::mask::Secrets;
use crate::core::service::Generation;
use crate::core::settings::{ServiceSettings, Settings};
use crate::sys::users::Identity;

/// What is special to one generation.
#[derive(Debug, Default)]
pub struct Special<'a> {
    /// The service's name.
    pub service: &'a str,
    /// Which start it is.
    pub generation: Option<Generation>,
    /// The notify socket's address; none when it is empty.
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

/// One variable that is not inherited, or none in place of an inherited one.
type Own = (Cow<'static, str>, Option<OsString>);

/// The whole environment of a child: what the launcher inherited less what is its own, then `set` in order, then what is
/// special to the generation. `LISTEN_PID` and `WATCHDOG_PID` are the child's own pid and are set after the fork.
///
/// # Errors
/// The name of a variable with a NUL byte in it, which no variable can hold (`execve(2)`).
pub fn build(
    inherited: impl Iterator<Item = &'static CStr>,
    set: impl IntoIterator<Item = (String, String)>,
    special: &Special<'_>,
) -> Result<Vec<Cow<'static, CStr>>, String> {
    let mut own: Vec<Own> = special.user.map(names_of).into_iter().flatten().collect();
    own.extend(set.into_iter().map(|(name, value)| (name.into(), Some(value.into()))));
    own.extend(special.variables());
    let replaced = |name: &[u8]| own.iter().any(|(own, _)| own.as_bytes() == name);
    let kept = |variable: &&CStr| {
        let name = name_of(variable.to_bytes());
        name.is_some_and(|name| !is_set_by_launcher(name) && !replaced(name))
    };
    let mut all: Vec<Cow<'static, CStr>> = inherited.filter(kept).map(Cow::Borrowed).collect();
    for (index, (name, value)) in own.iter().enumerate() {
        // Of several with one name the last one counts.
        let is_last = own.iter().skip(index + 1).all(|(later, _)| later != name);
        if let Some(value) = value.as_ref().filter(|_| is_last) {
            all.push(assignment(name, value)?.into());
        }
    }
    Ok(all)
}

/// The secrets of an environment: what the launcher inherited, and what is set beside.
pub fn secrets<'a>(
    inherited: impl Iterator<Item = &'static CStr>,
    set: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Secrets {
    let mut secrets = Secrets::default();
    for variable in inherited {
        let variable = variable.to_string_lossy();
        variable.split_once('=').into_iter().for_each(|(name, value)| secrets.variable(name, value));
    }
    set.into_iter().for_each(|(name, value)| secrets.variable(name, value));
    secrets
}

/// The name in `NAME=VALUE`; a name may begin with `=`.
fn name_of(variable: &[u8]) -> Option<&[u8]> {
    let end = variable.iter().skip(1).position(|byte| *byte == b'=')? + 1;
    variable.get(..end)
}

fn assignment(name: &str, value: &OsStr) -> Result<CString, String> {
    // Room for the NUL too: each is allocated once, on the way of every start.
    let mut bytes = Vec::with_capacity(name.len() + value.len() + 2);
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(b'=');
    bytes.extend_from_slice(value.as_bytes());
    CString::new(bytes).map_err(|_| name.to_owned())
}

impl Special<'_> {
    fn variables(&self) -> Vec<Own> {
        let mut variables: Vec<Own> = Vec::new();
        let mut put = |name: Cow<'static, str>, value: String| variables.push((name, Some(value.into())));
        put("LAUNCHER_SERVICE".into(), self.service.into());
        if let Some(generation) = self.generation {
            put("LAUNCHER_GENERATION".into(), generation.0.to_string());
        }
        if !self.notify_socket.is_empty() {
            put("NOTIFY_SOCKET".into(), self.notify_socket.into());
        }
        if let Some((_, port)) = self.ports.first() {
            put("PORT".into(), port.to_string());
        }
        for (name, port) in &self.ports {
            put(format!("PORT_{}", variable_name(name)).into(), port.to_string());
        }
        if !self.passed.is_empty() {
            put("LISTEN_FDS".into(), self.passed.len().to_string());
            put("LISTEN_FDNAMES".into(), self.passed.join(":"));
        }
        if let Some(period) = self.watchdog {
            put("WATCHDOG_USEC".into(), period.as_micros().to_string());
        }
        variables
    }
}

/// The variables that name the user and its home, as systemd sets them with `User=`: those of the launcher's own user
/// would send the service's files to a home that it may not enter. What the service's own settings say comes after and
/// wins. A user without an entry in `/etc/passwd` gets the home `/`, as from Docker and gosu, and no name.
fn names_of(user: &Identity) -> [Own; 3] {
    let home = user.home.clone().unwrap_or_else(|| PathBuf::from("/"));
    let name = user.name.clone().map(OsString::from);
    [("HOME".into(), Some(home.into())), ("USER".into(), name.clone()), ("LOGNAME".into(), name)]
}

/// A line about a `PORT` that the launcher inherited and passes on to nobody: platforms set it for a program that is now
/// behind the launcher, which would listen elsewhere without a word. `None` when a service has a port or a `PORT` of its
/// own, from where the launcher's is not missed, or has files that may set one.
pub fn lost_port(settings: &Settings, inherited: Option<&OsStr>) -> Option<String> {
    let port = inherited?.to_string_lossy();
    let has_own = |service: &ServiceSettings| {
        !service.ports.is_empty() || service.environment.contains_key("PORT") || !service.environment_files.is_empty()
    };
    let service = settings.services.first().filter(|_| !settings.services.iter().any(has_own))?;
    let number = if port.parse::<u16>().is_ok_and(|port| port > 0) { &*port } else { "8080" };
    let how = match settings.single_command {
        true => format!("--port {number}"),
        false => format!("[[service.{}.port]] listen = \"tcp://0.0.0.0:{number}\"", service.name),
    };
    Some(format!("PORT={port} was inherited and is not passed on, as no port is declared; to pass it on: {how}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn all(
        inherited: &[(&str, &str)],
        set: impl IntoIterator<Item = (String, String)>,
        special: &Special<'_>,
    ) -> BTreeMap<String, String> {
        let text = |(name, value): &(&str, &str)| {
            &*Box::leak(CString::new(format!("{name}={value}")).unwrap().into_boxed_c_str())
        };
        let built = build(inherited.iter().map(text), set, special).unwrap();
        let pairs = built.iter().map(|variable| variable.to_str().unwrap().split_once('=').unwrap());
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn built(inherited: &[(&str, &str)], special: &Special<'_>) -> BTreeMap<String, String> {
        all(inherited, [], special)
    }

    #[test]
    fn what_the_launcher_was_told_by_its_own_parent_is_not_passed_on() {
        let inherited =
            [("PATH", "/bin"), ("NOTIFY_SOCKET", "/run/above"), ("LISTEN_FDS", "3"), ("PORT", "1"), ("PORT_HTTP", "1")];
        let variables = built(&inherited, &Special { service: "api", notify_socket: "@x", ..Special::default() });
        let names: Vec<&String> = variables.keys().collect();
        assert_eq!(names, ["LAUNCHER_SERVICE", "NOTIFY_SOCKET", "PATH"]);
        assert_eq!(variables["NOTIFY_SOCKET"], "@x");
    }

    #[test]
    fn a_user_has_its_own_home_and_name() {
        let inherited = [("HOME", "/root"), ("USER", "root"), ("LOGNAME", "root")];
        let known = Identity {
            uid: 7,
            gid: 7,
            groups: vec![7],
            groups_are_set: false,
            name: Some("app".to_owned()),
            home: Some("/srv/app".into()),
        };
        let variables = built(&inherited, &Special { user: Some(&known), ..Special::default() });
        assert_eq!(["HOME", "USER", "LOGNAME"].map(|name| &*variables[name]), ["/srv/app", "app", "app"]);
        let number = Identity { name: None, home: None, ..known.clone() };
        let variables = built(&inherited, &Special { user: Some(&number), ..Special::default() });
        assert_eq!(variables["HOME"], "/");
        assert!(!variables.contains_key("USER") && !variables.contains_key("LOGNAME"));
        // What the settings say wins.
        let set = [("HOME".to_owned(), "/data".to_owned())];
        let variables = all(&[], set, &Special { user: Some(&known), ..Special::default() });
        assert_eq!(variables["HOME"], "/data");
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
        assert_eq!(lost("environment_files = ['.env']", Some("5000")), None);
    }

    #[test]
    fn ports_are_told_by_number_and_name() {
        let special = Special { ports: vec![("http", 8080), ("admin-api", 9000)], ..Special::default() };
        let variables = built(&[], &special);
        assert_eq!(variables["PORT"], "8080");
        assert_eq!(variables["PORT_HTTP"], "8080");
        assert_eq!(variables["PORT_ADMIN_API"], "9000");
    }

    #[test]
    fn passed_sockets_are_counted_and_named() {
        let variables = built(&[], &Special { passed: vec!["http", "admin"], ..Special::default() });
        assert_eq!(variables["LISTEN_FDS"], "2");
        assert_eq!(variables["LISTEN_FDNAMES"], "http:admin");
    }

    #[test]
    fn the_last_one_of_a_name_counts_and_none_with_a_nul_is_taken() {
        let set = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let variables = all(&[("A", "0"), ("B", "0")], set(&[("A", "1"), ("A", "2")]), &Special::default());
        assert_eq!((&*variables["A"], &*variables["B"]), ("2", "0"));
        assert_eq!(build(std::iter::empty(), set(&[("A", "\0")]), &Special::default()), Err("A".to_owned()));
    }
}
