//! Addresses that services listen on: how one asks about them, and when two of them are in each other's way. How they
//! are written stands in [`super::config::listen`].

use ::core::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::config::listen::listen;
use super::config::value::ValueError;
use super::settings::Listen;

/// Reads the address of a question about a port: what [`listen`] takes, and a path alone. A port without an address,
/// and `localhost`, ask about both families. The answer is in order: the first that is held is what was asked for.
///
/// # Errors
/// As [`listen`]; and `auto` is no port that anybody can hold.
pub fn parse_question(text: &str) -> Result<Vec<Listen>, ValueError> {
    let text = if text.starts_with(['/', '.', '@']) { format!("unix:{text}") } else { text.to_owned() };
    let first = listen(&text)?;
    if port_of(&first) == Some(0) {
        return Err(ValueError::new("nobody holds a port that is not chosen yet", "write a number from 1 to 65535"));
    }
    let address = text.strip_prefix("tcp://").or_else(|| text.strip_prefix("udp://")).unwrap_or(&text);
    let second = match address.rsplit_once(':').map_or("", |(host, _)| host) {
        "" | "*" => with_ip(&first, Ipv6Addr::UNSPECIFIED),
        "localhost" => with_ip(&first, Ipv6Addr::LOCALHOST),
        _ => return Ok(vec![first]),
    };
    Ok(vec![first, second])
}

/// The same port at another IP address; a Unix socket stays as it is.
pub fn with_ip(listen: &Listen, ip: impl Into<IpAddr>) -> Listen {
    let mut other = listen.clone();
    match &mut other {
        Listen::Tcp(address) | Listen::Udp(address) => address.set_ip(ip.into()),
        Listen::Unix(_) => {}
    }
    other
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
            let _ = parse_question(&text);
        }
    }
}
