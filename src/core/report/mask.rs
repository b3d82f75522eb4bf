//! Keeps secrets out of reports: values that stand behind a name such as `password`, user information in URLs, and
//! tokens that are known by their looks.
//!
//! It errs on the side of hiding: a word too many behind `***` is a nuisance, a password in a ticket is not.

use crate::core::diagnosis::Verdict;
use crate::core::facts::{FdFacts, PortFacts, ProcessFacts, ProcessName, SocketFacts, WaitingOn};

use super::Report;

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// A command line with the values of its secrets masked: `--password=x`, `--token x`, `API_KEY=x`, `postgres://u:x@db`.
pub fn command(arguments: &[String]) -> Vec<String> {
    let program = arguments.first().map(|program| program.rsplit('/').next().unwrap_or(program)).unwrap_or_default();
    let mut masked = Vec::with_capacity(arguments.len());
    let mut next_is = Next::Plain;
    for argument in arguments {
        let (shown, next) = match next_is {
            Next::Secret if !argument.starts_with("--") => (MASK.to_owned(), Next::Plain),
            Next::Account => (account(argument), Next::Plain),
            _ => one(program, argument),
        };
        masked.push(shown);
        next_is = next;
    }
    masked
}

/// What the argument after this one is.
#[derive(Clone, Copy)]
enum Next {
    Plain,
    Secret,
    /// `user:password`.
    Account,
}

fn one(program: &str, argument: &str) -> (String, Next) {
    if takes_glued(program) && argument.starts_with("-p") {
        return if argument.len() > 2 {
            (format!("-p{MASK}"), Next::Plain)
        } else {
            (argument.to_owned(), glued_next(program))
        };
    }
    if matches!(argument, "-u" | "--user" | "-U" | "--proxy-user") && program == "curl" {
        return (argument.to_owned(), Next::Account);
    }
    let next = match argument.strip_prefix('-') {
        Some(name) if !argument.contains('=') && is_secret(name) => Next::Secret,
        _ => Next::Plain,
    };
    (text(argument), next)
}

/// Programs that take a password glued to `-p`.
const GLUED: [&str; 3] = ["mysql", "mariadb", "sshpass"];

fn takes_glued(program: &str) -> bool {
    GLUED.iter().any(|name| program.starts_with(name))
}

/// What follows a `-p` that stands alone: to mysql it is a prompt, to sshpass the password.
fn glued_next(program: &str) -> Next {
    if program.starts_with("sshpass") { Next::Secret } else { Next::Plain }
}

/// Masks passwords glued to `-p` behind such a program in a line, as in the script of a `sh -c`.
fn glued(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let (mut behind, mut next) = (false, false);
    for word in line.split_inclusive(|c: char| c.is_whitespace() || ";|&\"'()".contains(c)) {
        let bare = word.trim_end_matches(|c: char| c.is_whitespace() || ";|&\"'()".contains(c));
        let end = &word[bare.len()..];
        match bare {
            "" => {}
            _ if std::mem::take(&mut next) => {
                shown.push_str(MASK);
                shown.push_str(end);
                continue;
            }
            _ if behind && bare.starts_with("-p") && bare.len() > 2 => {
                shown.push_str(&format!("-p{MASK}{end}"));
                continue;
            }
            "-p" => next = behind && line.contains("sshpass"),
            _ => behind |= takes_glued(bare.rsplit('/').next().unwrap_or(bare)),
        }
        behind &= !end.contains([';', '|', '&']);
        shown.push_str(word);
    }
    shown
}

fn account(argument: &str) -> String {
    match argument.split_once(':') {
        Some((user, _)) => format!("{user}:{MASK}"),
        None => argument.to_owned(),
    }
}

/// A text with what looks like a secret masked: `password=x`, `"token": "x"`, `Bearer x`, `redis://:x@cache`.
pub fn text(text: &str) -> String {
    // Most texts have nothing of the kind: they are handed on as they are.
    let has_glued = text.contains("-p") && GLUED.iter().any(|name| text.contains(name));
    let has_token = TOKENS.iter().any(|token| text.contains(token)) || text.contains("earer ");
    if !text.contains(['=', ':']) && !has_token && !has_glued {
        return text.to_owned();
    }
    let masked = |line: &str| tokens(&values(&urls(line)));
    text.split_inclusive('\n').map(|line| if has_glued { masked(&glued(line)) } else { masked(line) }).collect()
}

/// Masks the user information of each URL: the password, or, without one, a user that is as long as a key.
fn urls(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after.find(|c: char| c.is_whitespace() || "/?#\"'<>`,".contains(c)).unwrap_or(after.len());
        let (authority, left) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((information, host)) => {
                let information = match information.split_once(':') {
                    Some((user, _)) => format!("{user}:{MASK}"),
                    None if information.len() >= 16 => MASK.to_owned(),
                    None => information.to_owned(),
                };
                shown.push_str(&format!("{information}@{host}"));
            }
            None => shown.push_str(authority),
        }
        rest = left;
    }
    shown.push_str(rest);
    shown
}

/// Masks what stands behind `name=` and `name:` when the name is that of a secret.
fn values(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(['=', ':']) {
        let (before, after) = rest.split_at(at + 1);
        shown.push_str(before);
        rest = after;
        let colon = before.ends_with(':');
        let Some(strength) = secret_name_at_end(&before[..at]) else { continue };
        let (lead, value) = value_after(after);
        // `Unexpected token: foo` is no secret; `token: "foo"` and `token: 8f3a…` are.
        let plain = strength == Strength::Weak && colon && lead.trim().is_empty() && !looks_random(value);
        if value.is_empty() || after.starts_with("//") || plain {
            continue;
        }
        shown.push_str(lead);
        // `Authorization: Bearer x`: the scheme tells nothing.
        let scheme = ["Bearer ", "Basic ", "bearer ", "basic ", "Token "]
            .iter()
            .find(|scheme| after[lead.len()..].starts_with(**scheme));
        let skipped = match scheme {
            Some(scheme) => {
                shown.push_str(scheme);
                let left = &after[lead.len() + scheme.len()..];
                lead.len() + scheme.len() + end_of_value(left, "")
            }
            None => lead.len() + value.len(),
        };
        shown.push_str(MASK);
        rest = &after[skipped..];
    }
    shown.push_str(rest);
    shown
}

/// The blanks and the quote before a value, and the value itself up to the closing quote or the next delimiter.
fn value_after(after: &str) -> (&str, &str) {
    let blanks = after.len() - after.trim_start_matches([' ', '\t']).len();
    let quote = after[blanks..].chars().next().filter(|c| matches!(c, '"' | '\'' | '`'));
    let lead = blanks + quote.map_or(0, char::len_utf8);
    let quote = quote.map(String::from).unwrap_or_default();
    let value = &after[lead..];
    (&after[..lead], &value[..end_of_value(value, &quote)])
}

fn end_of_value(value: &str, quote: &str) -> usize {
    let ends = |c: char| match quote {
        "" => c.is_whitespace() || "&;,\"'`)}]".contains(c),
        quote => c == '\n' || quote.contains(c),
    };
    value.find(ends).unwrap_or(value.len())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Strength {
    /// Also an everyday word: `token`, `key`, `auth`.
    Weak,
    /// Nothing else than a secret.
    Strong,
}

fn secret_name_at_end(before: &str) -> Option<Strength> {
    let before = before.trim_end_matches(['"', '\'', ' ']);
    let start = before
        .rfind(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c)))
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    secret_strength(&before[start..])
}

/// Whether a variable, an option or a key of this name holds a secret.
pub fn is_secret(name: &str) -> bool {
    secret_strength(name).is_some()
}

fn secret_strength(name: &str) -> Option<Strength> {
    const STRONG: [&str; 8] =
        ["password", "passwd", "passphrase", "passcode", "secret", "credential", "authorization", "cookie"];
    // What follows such a word to say that it is about a secret, not one itself.
    const ABOUT: [&str; 18] = [
        "file", "path", "dir", "name", "id", "url", "uri", "ttl", "timeout", "length", "len", "type", "policy",
        "count", "limit", "expiry", "size", "hash",
    ];
    let lower = name.trim_start_matches('-').to_ascii_lowercase();
    let words: Vec<&str> = lower.split(['_', '-', '.']).filter(|word| !word.is_empty()).collect();
    let last = *words.last()?;
    if ABOUT.contains(&last) || lower == "pwd" || lower == "oldpwd" {
        return None;
    }
    if STRONG.iter().any(|word| lower.contains(word)) {
        return Some(Strength::Strong);
    }
    let pairs = |first: &str, second: &str| words.windows(2).any(|pair| pair[0] == first && pair[1] == second);
    let keyed = ["api", "access", "private", "signing", "encryption", "session", "account", "auth", "master"];
    let glued = ["apikey", "accesskey", "privatekey", "secretkey", "authkey", "sessionkey"];
    if keyed.iter().any(|first| pairs(first, "key")) || glued.iter().any(|word| lower.ends_with(word)) {
        return Some(Strength::Strong);
    }
    let shouted = name.chars().any(|c| c.is_ascii_uppercase()) && !name.chars().any(|c| c.is_ascii_lowercase());
    let weak = lower.ends_with("token")
        || matches!(last, "pwd" | "pw" | "pass" | "jwt" | "salt" | "auth" | "bearer" | "pin")
        || (shouted && last == "key" && words.len() > 1);
    weak.then_some(Strength::Weak)
}

fn looks_random(value: &str) -> bool {
    value.len() >= 8 && value.chars().any(|c| c.is_ascii_digit())
}

/// How the tokens of well-known services begin.
const TOKENS: [&str; 16] = [
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "sk_live_",
    "rk_live_",
    "AKIA",
    "ASIA",
    "eyJhbGciOi",
    "hvs.",
    "npm_",
];

/// Masks tokens that are known by their beginning, and what stands behind `Bearer`.
fn tokens(line: &str) -> String {
    let mut shown = line.to_owned();
    for token in TOKENS {
        let mut from = 0;
        while let Some(at) = shown.get(from..).and_then(|rest| rest.find(token)) {
            let start = from + at + token.len();
            let long = |c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c));
            let end = shown[start..].find(long).map_or(shown.len(), |length| start + length);
            // A word that merely begins so is shorter than any such token.
            if end - start >= 12 {
                shown.replace_range(start..end, MASK);
            }
            from = start;
        }
    }
    for scheme in ["Bearer ", "bearer "] {
        if let Some(at) = shown.find(scheme) {
            let start = at + scheme.len();
            let end = start + end_of_value(&shown[start..], "");
            if looks_random(&shown[start..end]) {
                shown.replace_range(start..end, MASK);
            }
        }
    }
    shown
}

/// Masks everything in a report that comes from the service.
pub fn report(report: &mut Report) {
    std::iter::once(&mut report.verdict).chain(&mut report.alternatives).for_each(verdict);
    report.processes.iter_mut().for_each(process);
    report.ports.iter_mut().for_each(port);
    for words in report.probe.iter_mut().flat_map(|probe| [Some(&mut probe.wanted), probe.last_error.as_mut()]) {
        words.into_iter().for_each(|words| *words = text(words));
    }
    for entry in &mut report.timeline {
        entry.event = text(&entry.event);
    }
    report.output_tail = text(&report.output_tail);
}

/// Masks a verdict.
pub fn verdict(verdict: &mut Verdict) {
    verdict.summary = text(&verdict.summary);
    verdict.target = verdict.target.take().map(|target| text(&target));
    for line in verdict.evidence.iter_mut().chain(&mut verdict.advice) {
        *line = text(line);
    }
}

/// Masks a process: its command line, and the command lines of those it waits for.
pub fn process(process: &mut ProcessFacts) {
    process.command = command(&process.command);
    for thread in &mut process.threads {
        thread.syscall = thread.syscall.take().map(|call| text(&call));
        thread.waiting_on.iter_mut().for_each(waiting_on);
    }
    process.tasks.iter_mut().flat_map(|task| &mut task.waiting_on).for_each(waiting_on);
}

fn port(port: &mut PortFacts) {
    for holder in port.owner.iter_mut().flat_map(|owner| &mut owner.holders) {
        holder.command = command(&holder.command);
    }
}

fn waiting_on(wait: &mut WaitingOn) {
    match wait {
        WaitingOn::Connect { socket: it, .. }
        | WaitingOn::Accept { socket: it, .. }
        | WaitingOn::Receive { socket: it, .. }
        | WaitingOn::Send { socket: it, .. } => socket(it),
        WaitingOn::Input { file, .. } | WaitingOn::Output { file, .. } => names(&mut file.peers),
        WaitingOn::FileLock { holders, .. } => names(holders),
        WaitingOn::Child { children } => names(children),
        WaitingOn::Poll { watched, .. } => {
            for watched in watched {
                match &mut watched.what {
                    FdFacts::Socket(it) => socket(it),
                    FdFacts::File(file) => names(&mut file.peers),
                }
            }
        }
        WaitingOn::Open { .. }
        | WaitingOn::Futex(_)
        | WaitingOn::Channels { .. }
        | WaitingOn::RuntimeLock { .. }
        | WaitingOn::Tasks { .. }
        | WaitingOn::Sleep { .. }
        | WaitingOn::Signal
        | WaitingOn::Entropy
        | WaitingOn::Ipc { .. }
        | WaitingOn::Other { .. } => {}
    }
}

fn socket(socket: &mut SocketFacts) {
    names(&mut socket.peer_processes);
    if let Some(listener) = &mut socket.peer_listener {
        names(&mut listener.processes);
    }
}

fn names(names: &mut [ProcessName]) {
    for name in names {
        // A name may be a whole command line.
        let words: Vec<String> = name.name.split(' ').map(str::to_owned).collect();
        name.name = command(&words).join(" ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masked(line: &str) -> String {
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        command(&arguments).join(" ")
    }

    #[test]
    fn arguments_lose_their_secrets_and_nothing_else() {
        for (line, shown) in [
            ("api --password=hunter2 --port=80", "api --password=*** --port=80"),
            ("mysqldump -uroot -phunter2 -P 3306", "mysqldump -uroot -p*** -P 3306"),
            ("sshpass -p hunter2 ssh h", "sshpass -p *** ssh h"),
            ("api --db-password hunter2 --port 80", "api --db-password *** --port 80"),
            ("api --token abc -v", "api --token *** -v"),
            ("api --password --verbose", "api --password --verbose"),
            ("api --token-file /run/token", "api --token-file /run/token"),
            (
                "env API_KEY=abc DB_PASSWORD=x SECRET_KEY_FILE=/run/k api",
                "env API_KEY=*** DB_PASSWORD=*** SECRET_KEY_FILE=/run/k api",
            ),
            (
                "env STRIPE_KEY=abc PWD=/srv TOKENIZERS_PARALLELISM=false",
                "env STRIPE_KEY=*** PWD=/srv TOKENIZERS_PARALLELISM=false",
            ),
            (
                "api postgres://shop:hunter2@db:5432/shop?sslmode=off",
                "api postgres://shop:***@db:5432/shop?sslmode=off",
            ),
            ("api redis://:hunter2@cache:6379", "api redis://:***@cache:6379"),
            ("api postgres://shop@db/shop", "api postgres://shop@db/shop"),
            ("api https://0123456789abcdef0123@sentry.io/1", "api https://***@sentry.io/1"),
            ("api http://h/x?user=a&password=b&page=2", "api http://h/x?user=a&password=***&page=2"),
            ("mysql -uroot -phunter2 -P 3306", "mysql -uroot -p*** -P 3306"),
            ("curl -u me:hunter2 http://h", "curl -u me:*** http://h"),
            ("git push https://x:ghp_0123456789abcdefghij@github.com", "git push https://x:***@github.com"),
            ("/bin/true a:b c=d --key=value.pem", "/bin/true a:b c=d --key=value.pem"),
        ] {
            assert_eq!(masked(line), shown, "{line}");
        }
        let shell = ["sh", "-c", "PGPASSWORD=hunter2 psql -h db"].map(str::to_owned);
        assert_eq!(command(&shell)[2], "PGPASSWORD=*** psql -h db");
    }

    #[test]
    fn lines_of_output_lose_their_secrets() {
        for (line, shown) in [
            (
                "{\"user\": \"a\", \"password\": \"hunter 2\", \"n\": 1}",
                "{\"user\": \"a\", \"password\": \"***\", \"n\": 1}",
            ),
            ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
            ("sent header Bearer a1b2c3d4e5", "sent header Bearer ***"),
            ("password: hunter2\nnext: line", "password: ***\nnext: line"),
            ("SyntaxError: Unexpected token: foo", "SyntaxError: Unexpected token: foo"),
            ("token: 8f3a99c1d2", "token: ***"),
            ("key ghp_0123456789abcdefghij used", "key ghp_*** used"),
            ("Password: ", "Password: "),
            ("main.go:42: cannot open /etc/x: no such file", "main.go:42: cannot open /etc/x: no such file"),
        ] {
            assert_eq!(text(line), shown, "{line}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_masking_twice_changes_nothing(line in "\\PC{0,60}") {
            let once = text(&line);
            prop_assert_eq!(text(&once), once);
        }

        #[test]
        fn a_password_never_passes(secret in "[A-Za-z0-9]{6,20}", lead in "[a-z ]{0,9}") {
            let secret = format!("{secret}Zq9");
            for line in [
                format!("{lead}--password={secret}"),
                format!("{lead} PASSWORD={secret} x"),
                format!("{lead}://u:{secret}@h"),
                format!("{lead} \"secret\":\"{secret}\""),
                format!("{lead} api_key: {secret}"),
            ] {
                prop_assert!(!text(&line).contains(&secret), "{}", text(&line));
            }
        }
    }
}
