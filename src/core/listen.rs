//! Addresses that services listen on: how they are written, and when two of them are in each other's way.

use std::path::PathBuf;

use ::core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::settings::Listen;

/// The longest path of a Unix socket, in bytes (`unix(7)`: `sun_path` less the final NUL).
const UNIX_PATH_MAX: usize = 107;

/// Reads the address of a declared port: `tcp://ADDRESS:PORT`, `udp://ADDRESS:PORT`, `unix:PATH` (`unix:@NAME` is
/// abstract), or without a scheme, which is tcp: `ADDRESS:PORT`, `[IPV6]:PORT`, `:PORT` and `PORT`. Where the address
/// is left out, or is `*`, it is 0.0.0.0; `localhost` is 127.0.0.1. The port may be `auto`, which becomes 0.
///
/// # Errors
/// One sentence that says what is wrong and how to write it.
pub fn parse_listen(text: &str) -> Result<Listen, String> {
    let scheme = text.find("://").map(|end| &text[..end]);
    if let Some(path) = text.strip_prefix("unix:") {
        return parse_unix(path.strip_prefix("//").unwrap_or(path)).map(Listen::Unix);
    }
    match scheme {
        Some("tcp") => parse_socket(&text["tcp://".len()..]).map(Listen::Tcp),
        Some("udp") => parse_socket(&text["udp://".len()..]).map(Listen::Udp),
        Some(other) => Err(format!("a port listens on tcp://, udp:// or unix:, not on {other}://")),
        None if text.starts_with(['/', '.', '@']) => Err(format!("for a Unix socket write \"unix:{text}\"")),
        None => parse_socket(text).map(Listen::Tcp),
    }
}

/// Reads the address of a question about a port: what [`parse_listen`] takes, `localhost:PORT`, and a path. A port
/// without an address asks about every address. The answer is in order: the first that is held is what was asked for.
///
/// # Errors
/// As [`parse_listen`].
pub fn parse_question(text: &str) -> Result<Vec<Listen>, String> {
    if text.starts_with(['/', '.', '@']) {
        return parse_unix(text).map(|path| vec![Listen::Unix(path)]);
    }
    let (make, rest): (fn(SocketAddr) -> Listen, &str) = match text.strip_prefix("udp://") {
        Some(rest) => (Listen::Udp, rest),
        None => (Listen::Tcp, text.strip_prefix("tcp://").unwrap_or(text)),
    };
    let both = |v4: Ipv4Addr, v6: Ipv6Addr, port: &str| {
        let port = parse_port(port)?;
        Ok::<_, String>(vec![SocketAddr::from((v4, port)), SocketAddr::from((v6, port))])
    };
    let host = rest.rsplit_once(':').unwrap_or(("", rest));
    let addresses = match host {
        ("", port) | ("*", port) if !text.starts_with("unix:") => {
            both(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED, port)
        }
        ("localhost", port) => both(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST, port),
        _ => return parse_listen(text).and_then(ask_about_one).map(|listen| vec![listen]),
    }?;
    addresses.into_iter().map(|address| ask_about_one(make(address))).collect()
}

fn ask_about_one(listen: Listen) -> Result<Listen, String> {
    match port_of(&listen) {
        Some(0) => Err("which port? One from 1 to 65535".to_owned()),
        _ => Ok(listen),
    }
}

fn parse_unix(path: &str) -> Result<PathBuf, String> {
    if path.is_empty() || path == "@" {
        return Err("a Unix socket needs a path: \"unix:/run/name.sock\"".to_owned());
    }
    if path.contains('\0') {
        return Err("the path of a Unix socket cannot hold a NUL".to_owned());
    }
    if path.len() > UNIX_PATH_MAX {
        return Err(format!(
            "the path of a Unix socket has at most {UNIX_PATH_MAX} bytes, this one has {}",
            path.len()
        ));
    }
    Ok(PathBuf::from(path))
}

fn parse_socket(text: &str) -> Result<SocketAddr, String> {
    // Three or more colons and no bracket: an IPv6 address; where it ends and the port begins cannot be told.
    if !text.starts_with('[') && text.matches(':').count() > 1 {
        return Err(format!("an IPv6 address stands in brackets before the port: \"[{text}]:PORT\""));
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    if text.ends_with(']') {
        return Err(format!("{text:?} has no port: \"{text}:PORT\""));
    }
    if !text.contains(':') && text.parse::<Ipv4Addr>().is_ok() {
        return Err(format!("{text:?} has no port: \"{text}:PORT\""));
    }
    let port = parse_port(port)?;
    let ip = match host {
        "" | "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            // With `[…%3]` the scope of a link-local address comes along.
            Some(_) => {
                let with_port = format!("{host}:{port}").parse::<SocketAddrV6>();
                return with_port
                    .map(SocketAddr::V6)
                    .map_err(|_| format!("{host:?} is no IPv6 address (a scope is written as a number: [fe80::1%2])"));
            }
            None => match host.parse::<Ipv4Addr>() {
                Ok(ip) => IpAddr::V4(ip),
                Err(_) => return Err(format!("{host:?} is no IP address; a port listens on an address, not a name")),
            },
        },
    };
    Ok(SocketAddr::new(ip, port))
}

fn parse_port(text: &str) -> Result<u16, String> {
    if text == "auto" {
        return Ok(0);
    }
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("{text:?} is no port: a number from 1 to 65535, or auto"));
    }
    text.parse().map_err(|_| format!("{text} is no port: they end at 65535"))
}

/// The port's number, 0 for `auto`; `None` for a Unix socket.
pub fn port_of(listen: &Listen) -> Option<u16> {
    match listen {
        Listen::Tcp(address) | Listen::Udp(address) => Some(address.port()),
        Listen::Unix(_) => None,
    }
}

/// The same address on another port; a Unix socket stays as it is.
pub fn with_port(listen: &Listen, port: u16) -> Listen {
    let mut other = listen.clone();
    match &mut other {
        Listen::Tcp(address) | Listen::Udp(address) => address.set_port(port),
        Listen::Unix(_) => {}
    }
    other
}

/// Whether what is sent to `asked` reaches a socket bound to `held`. `v6only` is that socket's. An asked-for IPv6
/// wildcard is reached by one of its kind: whether IPv4 comes in too is not asked.
pub fn reaches(held: SocketAddr, v6only: bool, asked: SocketAddr) -> bool {
    let (held_ip, asked_ip) = (held.ip().to_canonical(), asked.ip().to_canonical());
    held.port() == asked.port()
        && match (held_ip, asked_ip) {
            (held, asked) if held == asked => true,
            (IpAddr::V4(held), IpAddr::V4(_)) => held.is_unspecified(),
            (IpAddr::V6(held), IpAddr::V6(_)) => held.is_unspecified(),
            (IpAddr::V6(held), IpAddr::V4(_)) => held.is_unspecified() && !v6only,
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
        }
}

/// Whether a socket bound to `held` is in the way of one that is to be bound to `asked`: a wildcard is in the way of
/// all of its family, and an IPv6 wildcard that does not keep to IPv6 of all IPv4 too. `asked` is taken as dual stack.
pub fn collides(held: SocketAddr, v6only: bool, asked: SocketAddr) -> bool {
    let wild = |ip: IpAddr, v6only: bool| ip.is_ipv6() && ip.is_unspecified() && !v6only;
    let (held_ip, asked_ip) = (held.ip().to_canonical(), asked.ip().to_canonical());
    held.port() == asked.port()
        && (wild(held_ip, v6only)
            || wild(asked_ip, false)
            || held_ip == asked_ip
            || held_ip.is_ipv4() == asked_ip.is_ipv4() && (held_ip.is_unspecified() || asked_ip.is_unspecified()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn listen(text: &str) -> String {
        parse_listen(text).map_or_else(|error| format!("! {error}"), |listen| listen.to_string())
    }

    #[test]
    fn takes_the_forms_of_the_contract() {
        for (text, expected) in [
            ("8080", "tcp://0.0.0.0:8080"),
            (":8080", "tcp://0.0.0.0:8080"),
            ("*:8080", "tcp://0.0.0.0:8080"),
            ("127.0.0.1:8080", "tcp://127.0.0.1:8080"),
            ("tcp://0.0.0.0:8080", "tcp://0.0.0.0:8080"),
            ("tcp://:8080", "tcp://0.0.0.0:8080"),
            ("[::1]:8080", "tcp://[::1]:8080"),
            ("localhost:8080", "tcp://127.0.0.1:8080"),
            ("udp://[::]:53", "udp://[::]:53"),
            ("tcp://[fe80::1%2]:80", "tcp://[fe80::1%2]:80"),
            ("auto", "tcp://0.0.0.0:0"),
            ("127.0.0.1:auto", "tcp://127.0.0.1:0"),
            ("tcp://[::1]:auto", "tcp://[::1]:0"),
            ("unix:/run/x.sock", "unix:/run/x.sock"),
            ("unix:///run/x.sock", "unix:/run/x.sock"),
            ("unix:@name", "unix:@name"),
        ] {
            assert_eq!(listen(text), expected, "{text}");
        }
    }

    #[test]
    fn what_it_shows_it_can_read() {
        for text in ["tcp://127.0.0.1:80", "udp://[::1]:53", "unix:/a b", "unix:@x", "tcp://[fe80::1%2]:80"] {
            assert_eq!(listen(text), text);
        }
    }

    #[test]
    fn refuses_with_a_way_out() {
        for (text, part) in [
            ("", "is no port"),
            ("http://127.0.0.1:80", "not on http://"),
            ("/run/x.sock", "write \"unix:/run/x.sock\""),
            ("127.0.0.1", "has no port"),
            ("[::1]", "has no port"),
            ("::1:80", "brackets"),
            ("65536", "end at 65535"),
            ("127.0.0.1:99999", "end at 65535"),
            ("127.0.0.1:-1", "is no port"),
            ("127.0.0.1:+1", "is no port"),
            ("127.0.0.1:", "is no port"),
            ("256.0.0.1:80", "is no IP address"),
            ("example.org:80", "not a name"),
            ("[::g]:80", "is no IPv6 address"),
            ("unix:", "needs a path"),
            ("unix:@", "needs a path"),
            ("unix:/a\0b", "NUL"),
        ] {
            assert!(listen(text).starts_with("! ") && listen(text).contains(part), "{text}: {}", listen(text));
        }
        assert!(listen(&format!("unix:/{}", "a".repeat(107))).contains("at most 107 bytes"));
        assert_eq!(listen(&format!("unix:/{}", "a".repeat(106))).len(), 112);
    }

    #[test]
    fn a_question_may_be_shorter() {
        let ask = |text: &str| parse_question(text).map(|all| all.iter().map(Listen::to_string).collect::<Vec<_>>());
        for text in ["8080", ":8080", "*:8080", "tcp://:8080"] {
            assert_eq!(ask(text).unwrap(), ["tcp://0.0.0.0:8080", "tcp://[::]:8080"], "{text}");
        }
        assert_eq!(ask("localhost:80").unwrap(), ["tcp://127.0.0.1:80", "tcp://[::1]:80"]);
        assert_eq!(ask("udp://localhost:80").unwrap(), ["udp://127.0.0.1:80", "udp://[::1]:80"]);
        assert_eq!(ask("[::1]:80").unwrap(), ["tcp://[::1]:80"]);
        assert_eq!(ask("/run/x.sock").unwrap(), ["unix:/run/x.sock"]);
        assert_eq!(ask("unix:/run/x.sock").unwrap(), ["unix:/run/x.sock"]);
        for text in ["auto", "0", "127.0.0.1:0", "", "x", "localhost", "http://localhost:80", "99999"] {
            assert!(ask(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reaching_and_colliding() {
        // held, its v6only, asked, reaches, collides
        let table = [
            ("127.0.0.1:1", false, "127.0.0.1:1", true, true),
            ("127.0.0.1:1", false, "127.0.0.1:2", false, false),
            ("127.0.0.1:1", false, "127.0.0.2:1", false, false),
            ("0.0.0.0:1", false, "127.0.0.1:1", true, true),
            ("127.0.0.1:1", false, "0.0.0.0:1", false, true),
            ("[::]:1", false, "127.0.0.1:1", true, true),
            ("[::]:1", true, "127.0.0.1:1", false, false),
            ("[::]:1", false, "0.0.0.0:1", true, true),
            ("[::]:1", false, "[::1]:1", true, true),
            ("[::]:1", true, "[::1]:1", true, true),
            ("[::1]:1", false, "[::]:1", false, true),
            ("0.0.0.0:1", false, "[::]:1", false, true),
            ("127.0.0.1:1", false, "[::]:1", false, true),
            ("127.0.0.1:1", false, "[::1]:1", false, false),
            ("[::ffff:127.0.0.1]:1", false, "127.0.0.1:1", true, true),
            ("[::ffff:0.0.0.0]:1", false, "127.0.0.1:1", true, true),
        ];
        for (held, v6only, asked, reached, collided) in table {
            let (held, asked) = (held.parse().unwrap(), asked.parse().unwrap());
            assert_eq!(reaches(held, v6only, asked), reached, "{held} {v6only} reaches {asked}");
            assert_eq!(collides(held, v6only, asked), collided, "{held} {v6only} collides {asked}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}|[0-9a-z:/\\[\\].@*%]{0,30}") {
            let _ = parse_listen(&text);
            let _ = parse_question(&text);
        }
    }
}
