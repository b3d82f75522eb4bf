//! Names to addresses: `/etc/hosts`, `/etc/resolv.conf`, and the messages of DNS (RFC 1035). The program is static and
//! has no NSS; what else `nsswitch.conf` names (mDNS, LDAP) is not asked.

use std::time::Duration;

use ::core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An IPv4 address.
pub const A: u16 = 1;
/// An IPv6 address.
pub const AAAA: u16 = 28;
/// So many nameservers are asked (`resolv.conf(5)`).
const SERVERS: usize = 3;

/// How names are resolved: `resolv.conf(5)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvConf {
    /// The nameservers, in order; the one on this host when none is named.
    pub servers: Vec<SocketAddr>,
    /// Domains that are put behind a name.
    pub search: Vec<String>,
    /// A name with so many dots is tried as it is first.
    pub ndots: usize,
    /// How long one nameserver is waited for.
    pub timeout: Duration,
    /// How often all of them are asked.
    pub attempts: usize,
}

impl ResolvConf {
    /// Reads the file; lines that make no sense are left out, as glibc does.
    pub fn parse(text: &str) -> ResolvConf {
        let mut conf = ResolvConf {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        };
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => conf.servers.extend(words.next().and_then(server)),
                Some("search" | "domain") => {
                    conf.search = words.map(|domain| domain.trim_matches('.').to_owned()).collect();
                }
                Some("options") => words.for_each(|option| conf.option(option)),
                _ => {}
            }
        }
        conf.servers.truncate(SERVERS);
        if conf.servers.is_empty() {
            conf.servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53));
        }
        conf
    }

    fn option(&mut self, option: &str) {
        let Some((name, value)) = option.split_once(':') else { return };
        let Ok(value) = value.parse::<u32>() else { return };
        match name {
            "ndots" => self.ndots = value.min(15) as usize,
            "timeout" => self.timeout = Duration::from_secs(value.clamp(1, 30).into()),
            "attempts" => self.attempts = value.clamp(1, 5) as usize,
            _ => {}
        }
    }

    /// The names that a name stands for, in the order in which they are asked for.
    pub fn names(&self, name: &str) -> Vec<String> {
        if let Some(whole) = name.strip_suffix('.') {
            return vec![whole.to_owned()];
        }
        let with_domains =
            self.search.iter().filter(|domain| !domain.is_empty()).map(|domain| format!("{name}.{domain}"));
        let as_it_is = std::iter::once(name.to_owned());
        match name.matches('.').count() >= self.ndots {
            true => as_it_is.chain(with_domains).collect(),
            false => with_domains.chain(as_it_is).collect(),
        }
    }
}

fn server(text: &str) -> Option<SocketAddr> {
    // A zone (`fe80::1%eth0`) would need the number of its interface: such a server is left out.
    Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, 53))
}

/// The addresses of a name in `hosts(5)`.
pub fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let name = name.trim_end_matches('.');
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        if words.any(|word| word.eq_ignore_ascii_case(name)) && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

/// The addresses of a name that needs no resolver: an address, and `localhost` (RFC 6761).
pub fn without_asking(name: &str) -> Vec<IpAddr> {
    let plain = name.trim_end_matches('.').to_ascii_lowercase();
    match name.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) if plain == "localhost" || plain.ends_with(".localhost") => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        Err(_) => Vec::new(),
    }
}

/// A question; `None` when no such name can be asked for (labels of 1 to 63 bytes, 253 in all).
pub fn question(id: u16, name: &str, kind: u16) -> Option<Vec<u8>> {
    let mut message = id.to_be_bytes().to_vec();
    // A standard query, recursion desired, one question.
    message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    if name.is_empty() || name.len() > 253 {
        return None;
    }
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    Some(message)
}

/// What a nameserver answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// These addresses; none when the name has none of this kind.
    Addresses(Vec<IpAddr>),
    /// There is no such name (NXDOMAIN).
    NoSuchName,
    /// The answer did not fit: it is to be asked for by TCP.
    Truncated,
    /// It does not answer the question, for this reason (`SERVFAIL`, `REFUSED`).
    Failed(&'static str),
}

/// Reads an answer; `None` when it is none to a question with this id.
pub fn answer(id: u16, message: &[u8]) -> Option<Answer> {
    let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let flags = word(2)?;
    if word(0)? != id || flags & 0x8000 == 0 {
        return None;
    }
    match flags & 15 {
        0 => {}
        3 => return Some(Answer::NoSuchName),
        2 => return Some(Answer::Failed("SERVFAIL")),
        5 => return Some(Answer::Failed("REFUSED")),
        1 => return Some(Answer::Failed("FORMERR")),
        _ => return Some(Answer::Failed("an error")),
    }
    let mut at = 12;
    for _ in 0..word(4)? {
        at = after_name(message, at)? + 4;
    }
    let mut addresses = Vec::new();
    for _ in 0..word(6)? {
        let Some(record) = after_name(message, at) else { break };
        let (Some(kind), Some(length)) = (word(record), word(record + 8)) else { break };
        let Some(data) = message.get(record + 10..record + 10 + usize::from(length)) else { break };
        if let (A, Ok(four)) = (kind, <[u8; 4]>::try_from(data)) {
            addresses.push(Ipv4Addr::from(four).into());
        } else if let (AAAA, Ok(sixteen)) = (kind, <[u8; 16]>::try_from(data)) {
            addresses.push(Ipv6Addr::from(sixteen).into());
        }
        at = record + 10 + usize::from(length);
    }
    match addresses.is_empty() && flags & 0x0200 != 0 {
        true => Some(Answer::Truncated),
        false => Some(Answer::Addresses(addresses)),
    }
}

/// Where a name ends: at its zero, or at a pointer to the rest of it.
fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += usize::from(length) + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_file_is_read_as_glibc_reads_it() {
        let text = "# Docker\nnameserver 127.0.0.11\nnameserver nonsense\nnameserver ::1\nsearch a.b. c\n\
                    options ndots:5 timeout:2 attempts:9 edns0\n";
        let conf = ResolvConf::parse(text);
        assert_eq!(conf.servers, ["127.0.0.11:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
        assert_eq!((conf.ndots, conf.timeout, conf.attempts), (5, Duration::from_secs(2), 5));
        assert_eq!(conf.names("db"), ["db.a.b", "db.c", "db"]);
        assert_eq!(conf.names("db."), ["db"]);
        let plain = ResolvConf::parse("");
        assert_eq!(plain.servers, ["127.0.0.1:53".parse().unwrap()]);
        assert_eq!(ResolvConf { search: vec!["c".to_owned()], ..plain }.names("a.b"), ["a.b", "a.b.c"]);
    }

    #[test]
    fn hosts_and_what_needs_no_asking() {
        let hosts = "127.0.0.1 localhost\n10.0.0.5\tdb db.internal # the database\nfe80::1 DB\n";
        assert_eq!(in_hosts(hosts, "db"), ["10.0.0.5".parse::<IpAddr>().unwrap(), "fe80::1".parse().unwrap()]);
        assert_eq!(in_hosts(hosts, "database"), [] as [IpAddr; 0]);
        assert_eq!(without_asking("::1"), [IpAddr::from(Ipv6Addr::LOCALHOST)]);
        assert_eq!(without_asking("a.localhost.").len(), 2);
        assert_eq!(without_asking("db").len(), 0);
    }

    /// As 8.8.8.8 answers for a name with an alias: a CNAME, then the address.
    #[test]
    fn an_answer_with_an_alias() {
        let question = question(0x1234, "www.db.test", A).unwrap();
        assert_eq!(&question[12..], b"\x03www\x02db\x04test\0\0\x01\0\x01");
        let mut message = question.clone();
        message[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 2]);
        message.extend_from_slice(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x10");
        message.extend_from_slice(b"\xc0\x10\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x05");
        assert_eq!(answer(0x1234, &message), Some(Answer::Addresses(vec!["10.0.0.5".parse().unwrap()])));
        assert_eq!(answer(0x1235, &message), None, "an answer to somebody else");
        assert_eq!(answer(0x1234, &question), None, "a question is no answer");
        let code = |code: u8| {
            let mut message = message.clone();
            message[3] = 0x80 | code;
            answer(0x1234, &message)
        };
        assert_eq!(code(3), Some(Answer::NoSuchName));
        assert_eq!((code(2), code(5)), (Some(Answer::Failed("SERVFAIL")), Some(Answer::Failed("REFUSED"))));
        let mut truncated = question;
        truncated[2..4].copy_from_slice(&[0x83, 0x80]);
        assert_eq!(answer(0x1234, &truncated), Some(Answer::Truncated));
    }

    #[test]
    fn what_is_no_name_is_not_asked_for() {
        for name in ["", "a..b", &"a".repeat(64), &"a.".repeat(200)] {
            assert_eq!(question(1, name, A), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn noise_does_no_harm(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            answer(0, &bytes);
            if let Some(head) = bytes.get_mut(..4) {
                head.copy_from_slice(&[0, 0, 0x81, 0x80]);
            }
            answer(0, &bytes);
        }
    }
}
