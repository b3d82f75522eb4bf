//! By which rules a process looks names up.

use serde::{Deserialize, Serialize};

/// What `resolv.conf(5)` and `nsswitch.conf(5)` say, as the process sees them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ResolverFacts {
    /// The name servers, in the order in which they are asked.
    pub servers: Vec<String>,
    /// For how many seconds each is waited for.
    pub timeout: u32,
    /// How often all are asked.
    pub attempts: u32,
    /// The sources of host names: `files mdns4_minimal [NOTFOUND=return] dns`; `None` when nothing says so.
    pub hosts: Option<String>,
}

impl ResolverFacts {
    /// Reads both files; what they do not say is as the C library has it.
    pub fn parse(resolv: &str, nsswitch: &str) -> ResolverFacts {
        let mut facts = ResolverFacts { timeout: 5, attempts: 2, ..ResolverFacts::default() };
        for line in resolv.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => facts.servers.extend(words.next().map(str::to_owned)),
                Some("options") => words.for_each(|word| facts.option(word)),
                _ => {}
            }
        }
        // The C library takes no more.
        facts.servers.truncate(3);
        let hosts = nsswitch.lines().find_map(|line| line.trim_start().strip_prefix("hosts:"));
        let words = hosts.map(|hosts| hosts.split('#').next().unwrap_or_default().split_whitespace());
        facts.hosts = words.map(|words| words.collect::<Vec<_>>().join(" ")).filter(|hosts| !hosts.is_empty());
        facts
    }

    fn option(&mut self, word: &str) {
        let value = |most: u32, text: &str| text.parse::<u32>().ok().map(|number| number.min(most));
        match word.split_once(':') {
            // The most that the C library takes.
            Some(("timeout", text)) => self.timeout = value(30, text).unwrap_or(self.timeout),
            Some(("attempts", text)) => self.attempts = value(5, text).unwrap_or(self.attempts),
            _ => {}
        }
    }

    /// After how many seconds without any answer a look-up of one name fails.
    pub fn patience(&self) -> u32 {
        (self.servers.len() as u32).max(1) * self.timeout * self.attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_are_read() {
        let resolv = "# by hand\nnameserver 10.0.0.2\nsearch shop.internal\nnameserver 10.0.0.3\noptions rotate timeout:1 attempts:9\n";
        let nsswitch = "passwd: files\nhosts:   files mdns4_minimal [NOTFOUND=return]  dns # all\n";
        let facts = ResolverFacts::parse(resolv, nsswitch);
        assert_eq!(facts.servers, ["10.0.0.2", "10.0.0.3"]);
        assert_eq!((facts.timeout, facts.attempts, facts.patience()), (1, 5, 10));
        assert_eq!(facts.hosts.as_deref(), Some("files mdns4_minimal [NOTFOUND=return] dns"));
        let nothing = ResolverFacts::parse("", "");
        assert_eq!((nothing.timeout, nothing.attempts, nothing.patience(), nothing.hosts), (5, 2, 10, None));
    }
}
