//! Keeps secrets out of reports: values that stand behind a name such as `password`, user information in URLs, and
//! tokens that are known by their looks.
//!
//! It errs on the side of hiding: a word too many behind `***` is a nuisance, a password in a ticket is not.

use crate::core::diagnosis::Verdict;
use crate::core::facts::{FdFacts, OwnerFacts, PortFacts, ProcessFacts, ProcessName, SocketFacts, WaitingOn};

use super::Report;

mod command;
mod text;

pub use command::{command, line};
pub use text::{is_secret, text};

/// What stands in the place of a secret.
pub const MASK: &str = "***";

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
    port.owner.iter_mut().for_each(owner);
}

/// Masks the command lines of those that hold a port.
pub fn owner(owner: &mut OwnerFacts) {
    for holder in &mut owner.holders {
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
        name.name = line(&words);
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
        for (script, shown) in [
            ("PGPASSWORD=hunter2 psql -h db", "PGPASSWORD=*** psql -h db"),
            ("api --password hunter2 --token 'a b'; true", "api --password *** --token '***'; true"),
            ("curl -s -u 'me:hunter2' http://h; ls -u a:b", "curl -s -u 'me:***' http://h; ls -u a:b"),
            ("mysql -phunter2 a; ls -param", "mysql -p*** a; ls -param"),
        ] {
            let shell = ["sh", "-c", script].map(str::to_owned);
            assert_eq!(command(&shell)[2], shown);
        }
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
            ("mysql --password PwSpaceOut222", "mysql --password ***"),
            (
                "held by pid 7: python3 a.py --api-key\tK3 --port 80",
                "held by pid 7: python3 a.py --api-key\t*** --port 80",
            ),
            ("Command '['api', '--password', 'x y']' failed", "Command '['api', '--password', '***']' failed"),
            ("[\"api\",\"--token\",\"x\"]", "[\"api\",\"--token\",\"***\"]"),
            ("--token is required, or --password", "--token is required, or --password"),
            ("required: --token, --password", "required: --token, --password"),
            (
                "'--password' is missing; --token-file /x a-token b",
                "'--password' is missing; --token-file /x a-token b",
            ),
            ("main.go:42: cannot open /etc/x: no such file", "main.go:42: cannot open /etc/x: no such file"),
        ] {
            assert_eq!(text(line), shown, "{line}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_masking_twice_changes_nothing(line in "\\PC{0,60}|[-a'\",= *:]{0,9}(-+(password|token)['\",= *-]{1,4}[a-z*']{0,3}){0,3}") {
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
                format!("{lead} --api-key {secret}"),
                format!("{lead} '--password', '{secret}'"),
            ] {
                prop_assert!(!text(&line).contains(&secret), "{}", text(&line));
            }
        }
    }
}
