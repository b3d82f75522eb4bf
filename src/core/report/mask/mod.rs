//! Keeps secrets out of reports: values that stand behind a name such as `password`, user information in URLs, and
//! tokens that are known by their looks.
//!
//! It knows some for certain, and masks them wherever they stand ([`Secrets`]). Else it errs on the side of hiding: a word too many behind `***` is a nuisance, a password in a ticket is not.

use crate::core::diagnosis::Verdict;
use crate::core::facts::{FdFacts, FileFacts, OwnerFacts, ProcessFacts, ProcessName, SocketFacts, WaitingOn};

use super::Report;

mod command;
mod known;
mod text;

pub use command::{command, line};
pub use known::Secrets;
pub use text::{is_secret, text};

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// Masks everything in a report that comes from the service: what looks like a secret, and those that are known.
pub fn report(report: &mut Report, secrets: &Secrets) {
    let mask = Mask { secrets };
    std::iter::once(&mut report.verdict).chain(&mut report.alternatives).for_each(|it| mask.verdict(it));
    report.processes.iter_mut().for_each(|it| mask.process(it));
    report.ports.iter_mut().filter_map(|port| port.owner.as_mut()).for_each(|it| mask.owner(it));
    for requirement in &mut report.requirements {
        mask.text(&mut requirement.url);
        mask.text(&mut requirement.tried);
        mask.texts(&mut requirement.last_error);
    }
    if let Some(probe) = &mut report.probe {
        mask.text(&mut probe.wanted);
        mask.texts(&mut probe.last_error);
    }
    if let Some(profile) = &mut report.goroutine_profile {
        mask.text(&mut profile.text);
        mask.texts(&mut profile.error);
    }
    report.timeline.iter_mut().for_each(|entry| mask.text(&mut entry.event));
    mask.text(&mut report.output_tail);
}

/// Masks the command lines of those that hold a port.
pub fn owner(owner: &mut OwnerFacts) {
    Mask { secrets: &Secrets::default() }.owner(owner);
}

struct Mask<'a> {
    secrets: &'a Secrets,
}

impl Mask<'_> {
    fn text(&self, it: &mut String) {
        *it = self.secrets.hide(&text(it));
    }

    fn texts<'t>(&self, all: impl IntoIterator<Item = &'t mut String>) {
        all.into_iter().for_each(|it| self.text(it));
    }

    fn command(&self, arguments: &mut Vec<String>) {
        *arguments = command(arguments).iter().map(|argument| self.secrets.hide(argument)).collect();
    }

    fn verdict(&self, verdict: &mut Verdict) {
        self.text(&mut verdict.summary);
        self.texts(verdict.target.iter_mut().chain(&mut verdict.evidence).chain(&mut verdict.advice));
    }

    fn owner(&self, owner: &mut OwnerFacts) {
        owner.holders.iter_mut().for_each(|holder| self.command(&mut holder.command));
    }

    /// Its command line, what it is called, and what it waits for.
    fn process(&self, process: &mut ProcessFacts) {
        self.command(&mut process.command);
        self.texts(&mut process.dump_error);
        for thread in &mut process.threads {
            self.text(&mut thread.name);
            self.texts(&mut thread.syscall);
            thread.waiting_on.iter_mut().for_each(|it| self.waiting_on(it));
        }
        for task in &mut process.tasks {
            self.texts(&mut task.name);
            task.waiting_on.iter_mut().for_each(|it| self.waiting_on(it));
        }
    }

    fn waiting_on(&self, wait: &mut WaitingOn) {
        match wait {
            WaitingOn::Connect { socket, .. }
            | WaitingOn::Accept { socket, .. }
            | WaitingOn::Receive { socket, .. }
            | WaitingOn::Send { socket, .. } => self.socket(socket),
            WaitingOn::Input { file, .. } | WaitingOn::Output { file, .. } => self.file(file),
            WaitingOn::FileLock { path, holders } => {
                self.texts(path);
                self.names(holders);
            }
            WaitingOn::Child { children } => self.names(children),
            WaitingOn::Poll { watched, .. } => watched.iter_mut().for_each(|watched| match &mut watched.what {
                FdFacts::Socket(socket) => self.socket(socket),
                FdFacts::File(file) => self.file(file),
            }),
            WaitingOn::Open { path } => self.text(path),
            WaitingOn::Futex(_)
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

    fn socket(&self, socket: &mut SocketFacts) {
        self.texts([&mut socket.local, &mut socket.peer, &mut socket.asks].into_iter().flatten());
        self.names(&mut socket.peer_processes);
        socket.peer_listener.iter_mut().for_each(|listener| self.names(&mut listener.processes));
    }

    fn file(&self, file: &mut FileFacts) {
        self.text(&mut file.path);
        self.names(&mut file.peers);
        file.passed_on_to.iter_mut().for_each(|names| self.names(names));
    }

    fn names(&self, names: &mut [ProcessName]) {
        for name in names {
            // A name may be a whole command line.
            let words: Vec<String> = name.name.split(' ').map(str::to_owned).collect();
            name.name = self.secrets.hide(&line(&words));
        }
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
