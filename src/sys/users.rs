//! Users and groups from `/etc/passwd` and `/etc/group` (`passwd(5)`, `group(5)`), read as text: a static binary cannot
//! load the name services of libc.

use std::fmt;
use std::path::PathBuf;

/// As whom a service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// The supplementary groups, the primary one among them, without repetition.
    pub groups: Vec<u32>,
    /// Whether it was said which these are, not only which user.
    pub groups_are_set: bool,
    /// The user's name, where there is an entry.
    pub name: Option<String>,
    /// The user's home, where there is an entry.
    pub home: Option<PathBuf>,
}

impl Identity {
    /// Whether a process without privilege is to become what it is: `setgroups(2)` would be denied, and is not needed.
    pub fn is_own_and_unprivileged(&self) -> bool {
        let (uid, gid) = own_ids();
        let same_groups = || {
            let own = own_groups();
            let has = |group: &u32| *group == gid || own.contains(group);
            self.groups.iter().all(has) && own.iter().all(|group| self.groups.contains(group))
        };
        uid != 0 && (uid, gid) == (self.uid, self.gid) && (!self.groups_are_set || same_groups())
    }
}

/// Why a user is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserError {
    /// No entry of `/etc/passwd` has this name.
    NoSuchUser(String),
    /// No entry of `/etc/group` has this name.
    NoSuchGroup(String),
    /// This number has no entry of `/etc/passwd`, and so no group.
    NoGroup(u32),
    /// It is neither `USER` nor `USER:GROUP`.
    Malformed(String),
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UserError::NoSuchUser(name) => write!(f, "no user {name:?} in /etc/passwd"),
            UserError::NoSuchGroup(name) => write!(f, "no group {name:?} in /etc/group"),
            UserError::NoGroup(uid) => {
                write!(f, "user {uid} has no entry in /etc/passwd that names a group: write {uid}:GROUP")
            }
            UserError::Malformed(text) => write!(f, "{text:?} is neither USER nor USER:GROUP, by name or number"),
        }
    }
}

impl std::error::Error for UserError {}

/// Finds `USER` or `USER:GROUP`, each by name or number, in this machine's files. Files that cannot be read are empty.
///
/// # Errors
/// See [`UserError`].
pub fn find(text: &str) -> Result<Identity, UserError> {
    find_in(text, &read("/etc/passwd"), &read("/etc/group"))
}

/// As [`find`], with the primary and the supplementary groups that are set beside the user. Without a user it is this
/// process's own, and `None` when nothing is set at all.
///
/// # Errors
/// See [`UserError`].
pub fn resolve(
    user: Option<&str>,
    group: Option<&str>,
    groups: Option<&[String]>,
) -> Result<Option<Identity>, UserError> {
    let group_file = || read("/etc/group");
    let gid = |name: &str| find_group(name, &group_file()).ok_or_else(|| UserError::NoSuchGroup(name.to_owned()));
    let mut identity = match (user, group) {
        (None, None) if groups.is_none() => return Ok(None),
        (Some(user), Some(group)) if !user.contains(':') => find(&format!("{user}:{group}"))?,
        (Some(user), _) => find(user)?,
        (None, _) => own_identity(),
    };
    if let Some(group) = group {
        identity.gid = gid(group)?;
        identity.groups = find(&format!("{}", identity.uid)).map_or(Vec::new(), |found| found.groups);
    }
    if let Some(groups) = groups {
        identity.groups = groups.iter().map(|name| gid(name)).collect::<Result<_, _>>()?;
        identity.groups_are_set = true;
    }
    identity.groups.push(identity.gid);
    identity.groups.sort_unstable();
    identity.groups.dedup();
    Ok(Some(identity))
}

/// All of them that are not known, where [`resolve`] tells the first.
pub fn unknown(user: Option<&str>, group: Option<&str>, groups: Option<&[String]>) -> Vec<UserError> {
    let of_user = user.and_then(|user| find(user).err());
    // A number needs no group of its own where one is set.
    let of_user = of_user.filter(|error| !(group.is_some() && matches!(error, UserError::NoGroup(_))));
    let group_file = read("/etc/group");
    let named = group.into_iter().chain(groups.into_iter().flatten().map(String::as_str));
    let of_groups = named.filter(|name| find_group(name, &group_file).is_none());
    of_user.into_iter().chain(of_groups.map(|name| UserError::NoSuchGroup(name.to_owned()))).collect()
}

/// Whoever this process runs as.
fn own_identity() -> Identity {
    let (uid, gid) = own_ids();
    Identity { uid, gid, groups: own_groups(), groups_are_set: false, name: name_of(uid), home: None }
}

fn own_ids() -> (u32, u32) {
    (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
}

fn own_groups() -> Vec<u32> {
    nix::unistd::getgroups().unwrap_or_default().into_iter().map(nix::unistd::Gid::as_raw).collect()
}

/// The name of a user, if `/etc/passwd` has it.
pub fn name_of(uid: u32) -> Option<String> {
    let passwd = read("/etc/passwd");
    users(&passwd).find(|user| user.uid == uid).map(|user| user.name.to_owned())
}

/// Entries with bytes that are no UTF-8 are kept, lossily: the numbers beside them still count.
fn read(path: &str) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// As [`find`], in these texts.
///
/// With a group of its own the supplementary groups are that group alone, as `docker run --user` has it.
///
/// # Errors
/// See [`UserError`].
pub fn find_in(text: &str, passwd: &str, group: &str) -> Result<Identity, UserError> {
    let malformed = || UserError::Malformed(text.to_owned());
    let (user, own_group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    if user.is_empty() || own_group.is_some_and(|group| group.is_empty() || group.contains(':')) {
        return Err(malformed());
    }
    // A name of digits alone is a name if there is such an entry.
    let entry = users(passwd).find(|entry| entry.name == user).or_else(|| {
        let uid = number(user)?;
        users(passwd).find(|entry| entry.uid == uid)
    });
    let uid = match entry {
        Some(entry) => entry.uid,
        None => match number(user) {
            Some(uid) => uid,
            None if user.bytes().all(|byte| byte.is_ascii_digit()) => return Err(malformed()),
            None => return Err(UserError::NoSuchUser(user.to_owned())),
        },
    };
    let gid = match (own_group, entry) {
        (Some(name), _) => find_group(name, group).ok_or_else(|| UserError::NoSuchGroup(name.to_owned()))?,
        (None, Some(entry)) => entry.gid,
        (None, None) => return Err(UserError::NoGroup(uid)),
    };
    let mut all = vec![gid];
    if let (None, Some(entry)) = (own_group, entry) {
        let member_of = groups(group).filter(|group| group.members.split(',').any(|member| member == entry.name));
        all.extend(member_of.map(|group| group.gid));
        all.sort_unstable();
        all.dedup();
    }
    let home = entry.filter(|entry| !entry.home.is_empty()).map(|entry| PathBuf::from(entry.home));
    let name = entry.map(|entry| entry.name.to_owned());
    Ok(Identity { uid, gid, groups: all, groups_are_set: false, name, home })
}

fn find_group(text: &str, group: &str) -> Option<u32> {
    groups(group).find(|entry| entry.name == text).map(|entry| entry.gid).or_else(|| number(text))
}

/// A user's or group's number. The highest one means "leave it as it is" to the kernel (`setresuid(2)`) and is
/// nobody's.
fn number(text: &str) -> Option<u32> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| *number != u32::MAX)
}

#[derive(Clone, Copy)]
struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Lines that make no sense are passed over.
fn users(passwd: &str) -> impl Iterator<Item = User<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let uid = number(fields.nth(1)?)?;
        let gid = number(fields.next()?)?;
        Some(User { name, uid, gid, home: fields.nth(1).unwrap_or_default() })
    })
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn groups(group: &str) -> impl Iterator<Item = Group<'_>> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = number(fields.nth(1)?)?;
        Some(Group { name, gid, members: fields.next().unwrap_or_default() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
                          # a comment\n\
                          broken:x:12\n\
                          app:x:1000:1001:App,,,:/srv/app:/bin/sh\n\
                          4242:x:77:78::/:\n\
                          evil:x:4294967295:0::/:\n";
    const GROUP: &str = "root:x:0:\nadm:x:4:syslog,app\napp:x:1001:\nvideo:x:44:app,other\nappendix:x:9:application\n";

    fn identity(text: &str) -> Result<Identity, UserError> {
        find_in(text, PASSWD, GROUP)
    }

    #[test]
    fn a_name_brings_its_group_and_all_groups_it_is_a_member_of() {
        let app = identity("app").unwrap();
        assert_eq!((app.uid, app.gid, &app.groups[..]), (1000, 1001, &[4, 44, 1001][..]));
        assert_eq!(app.name.as_deref(), Some("app"));
        assert_eq!(app.home, Some(PathBuf::from("/srv/app")));
        assert_eq!(identity("1000").unwrap(), app);
    }

    #[test]
    fn a_group_of_its_own_is_the_only_one() {
        let app = identity("app:video").unwrap();
        assert_eq!((app.uid, app.gid, &app.groups[..]), (1000, 44, &[44][..]));
        let app = identity("app:7").unwrap();
        assert_eq!((app.gid, &app.groups[..]), (7, &[7][..]));
    }

    #[test]
    fn a_number_without_an_entry_needs_a_group() {
        assert_eq!(identity("5000"), Err(UserError::NoGroup(5000)));
        let nobody = identity("5000:5000").unwrap();
        assert_eq!((nobody.uid, nobody.gid, nobody.name), (5000, 5000, None));
    }

    #[test]
    fn a_name_of_digits_is_a_name_first() {
        assert_eq!(identity("4242").unwrap().uid, 77);
    }

    #[test]
    fn what_is_not_there_is_named() {
        assert_eq!(identity("nope"), Err(UserError::NoSuchUser("nope".into())));
        assert_eq!(identity("app:nope"), Err(UserError::NoSuchGroup("nope".into())));
        assert_eq!(identity("broken"), Err(UserError::NoSuchUser("broken".into())));
        for text in ["", ":", "app:", ":app", "app:app:app", "99999999999"] {
            assert_eq!(identity(text), Err(UserError::Malformed(text.into())), "{text}");
        }
    }

    #[test]
    fn nobody_is_the_number_that_means_no_change() {
        assert!(identity("4294967295:0").is_err());
        assert!(identity("app:4294967295").is_err());
        assert!(identity("evil").is_err());
    }

    #[test]
    fn root_is_found_on_this_machine() {
        assert_eq!(find("root").unwrap().uid, 0);
        assert_eq!(name_of(0).as_deref(), Some("root"));
    }
}
