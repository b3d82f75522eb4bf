//! Where a service listens: `tcp://0.0.0.0:8080`, `127.0.0.1:auto`, `unix:/run/api.sock`.

use std::path::PathBuf;

use ::core::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

use super::suggest;
use super::value::{self, ValueError};
use crate::core::settings::{Listen, PortMode, PortSettings};

/// The longest path of a Unix socket (`unix(7)`: `sun_path` has 108 bytes, one of them the NUL).
const LONGEST_UNIX_PATH: usize = 107;

/// Reads where something listens: `tcp://HOST:PORT`, `udp://HOST:PORT`, `unix:PATH`, or `HOST:PORT`, which is tcp.
///
/// The host is an IP address (IPv6 in brackets), `localhost` (127.0.0.1), or nothing or `*` for all IPv4 addresses;
/// the port is a number from 1 to 65535, or `auto` for one that is free. A port alone is one on all addresses.
pub fn listen(text: &str) -> Result<Listen, ValueError> {
    let all = Ipv4Addr::UNSPECIFIED;
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path.strip_prefix("//").unwrap_or(path));
    }
    if let Some(rest) = text.strip_prefix("tcp://") {
        return address(rest, all).map(Listen::Tcp);
    }
    if let Some(rest) = text.strip_prefix("udp://") {
        return address(rest, all).map(Listen::Udp);
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let message = suggest::unknown("scheme", scheme, ["tcp", "udp", "unix"]);
        let hint = match scheme {
            "http" | "https" => format!("a port is declared by its transport: write tcp://{rest}"),
            _ => "write tcp://ADDRESS:PORT, udp://ADDRESS:PORT or unix:PATH".to_owned(),
        };
        return Err(ValueError::new(message, hint));
    }
    if text.starts_with(['/', '@', '.']) {
        return Err(ValueError::new(format!("{text:?} has no scheme"), format!("write unix:{text}")));
    }
    for scheme in ["tcp", "udp"] {
        if let Some(rest) = text.strip_prefix(scheme).and_then(|rest| rest.strip_prefix(':')) {
            let message = format!("{text:?} is not an address");
            return Err(ValueError::new(message, format!("write {scheme}://{}", rest.trim_start_matches('/'))));
        }
    }
    address(text, all).map(Listen::Tcp)
}

/// Reads where the launcher answers HTTP, if it does: `off`, or an address.
pub fn http(text: &str) -> Result<Option<SocketAddr>, ValueError> {
    if text == "off" { Ok(None) } else { http_address(text).map(Some) }
}

/// Reads where the launcher answers HTTP: as [`listen`] does for TCP, but on this host alone when no host is named.
fn http_address(text: &str) -> Result<SocketAddr, ValueError> {
    let text = text.strip_prefix("http://").or_else(|| text.strip_prefix("tcp://")).unwrap_or(text);
    let text = text.strip_suffix('/').unwrap_or(text);
    match text.strip_prefix("*:") {
        Some(port) => address(port, Ipv4Addr::UNSPECIFIED),
        None => address(text, Ipv4Addr::LOCALHOST),
    }
}

/// Reads an address to connect to: as [`listen`] does, but with a real port, and this host when none is named.
pub fn connect_address(text: &str) -> Result<SocketAddr, ValueError> {
    if text.contains("{port.") {
        let hint =
            "write the number; ready = \"listen\" waits for all declared ports, and ready.http takes their names";
        return Err(ValueError::new("no port is filled in here by its name", hint));
    }
    let known = |error: ValueError| match error.hint.contains("auto") {
        true => ValueError { hint: "a port is a number from 1 to 65535".to_owned(), ..error },
        false => error,
    };
    let found = address(text.strip_prefix("tcp://").unwrap_or(text), Ipv4Addr::LOCALHOST).map_err(known)?;
    match found.port() {
        0 => Err(ValueError::new("a probe needs a port that is known", "write 127.0.0.1:8080")),
        _ => Ok(found),
    }
}

/// Reads where `net/http/pprof` is served: `http://127.0.0.1:6060`, with or without the path that it always has.
pub fn pprof_address(text: &str) -> Result<SocketAddr, ValueError> {
    let hint = "write http://127.0.0.1:6060: an address, not a name, and no path but /debug/pprof";
    let rest = text.strip_prefix("http://").ok_or_else(|| ValueError::new("pprof wants a URL with http://", hint))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !["", "debug/pprof"].contains(&path.trim_end_matches('/')) {
        return Err(ValueError::new(format!("pprof has no path {:?}", format!("/{path}")), hint));
    }
    let host = host.strip_prefix("localhost").map_or(host.to_owned(), |port| format!("127.0.0.1{port}"));
    let port = if host.ends_with(']') || !host.contains(':') { ":80" } else { "" };
    format!("{host}{port}").parse().map_err(|_| ValueError::new(format!("{rest:?} is no address with a port"), hint))
}

/// Reads `[NAME=]ADDRESS[,MODE]`, as `--port` takes it. Without a name it is called by its place, `"1"` for the first.
pub fn port_flag(text: &str, place: usize) -> Result<PortSettings, ValueError> {
    let named = text.split_once('=').filter(|(name, _)| !name.contains([':', '/', ',', '@', '.']));
    let (name, rest) = match named {
        Some((name, rest)) => (value::port_name(name)?, rest),
        None => (default_port_name(place), text),
    };
    let (address, mode) = match rest.rsplit_once(',') {
        Some((address, mode)) => (address, value::port_mode(mode)?),
        None => (rest, PortMode::default()),
    };
    let listen = listen(address)?;
    value::mode_fits(mode, &listen)?;
    Ok(PortSettings { mode, by_flag: true, ..PortSettings::new(name, listen) })
}

/// Whether a free port is to be picked.
pub fn is_auto(listen: &Listen) -> bool {
    matches!(listen, Listen::Tcp(address) | Listen::Udp(address) if address.port() == 0)
}

/// The name of a port that was given none: its place among the service's ports, counted from 1.
pub fn default_port_name(place: usize) -> String {
    place.to_string()
}

/// A Unix socket; `@` in front stands for the abstract namespace.
fn unix(path: &str) -> Result<Listen, ValueError> {
    let hint = "write unix:/run/api.sock, or unix:@name for one in the abstract namespace";
    let message = match path {
        "" | "@" => "the path of a Unix socket is not empty".to_owned(),
        _ if path.contains('\0') => "the path of a Unix socket cannot hold a NUL".to_owned(),
        _ if path.ends_with('/') => format!("{path:?} is a directory"),
        _ if path.len() > LONGEST_UNIX_PATH => {
            format!("the path of a Unix socket has at most {LONGEST_UNIX_PATH} bytes, this has {}", path.len())
        }
        _ => return Ok(Listen::Unix(PathBuf::from(path))),
    };
    Err(ValueError::new(message, hint))
}

/// `HOST:PORT` or `PORT`, where no host stands for `nothing`.
fn address(text: &str, nothing: Ipv4Addr) -> Result<SocketAddr, ValueError> {
    if let Some((host, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port = port.strip_prefix(':').ok_or_else(|| no_port(text, &format!("[{host}]")))?;
        let port = self::port(port)?;
        return format!("[{host}]:{port}")
            .parse::<SocketAddrV6>()
            .map(SocketAddr::V6)
            .map_err(|_| ValueError::new(format!("{host:?} is not an IPv6 address"), "write [::1]:8080"));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        let numeric = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        return match numeric || text == "auto" {
            true => Ok(SocketAddr::new(nothing.into(), self::port(text)?)),
            false => Err(no_port(text, text)),
        };
    };
    if host.contains(':') {
        let message = format!("{text:?}: an IPv6 address goes in brackets");
        let hint = match (host.parse::<IpAddr>(), text.parse::<IpAddr>()) {
            (Ok(_), _) => format!("write [{host}]:{port}"),
            (Err(_), Ok(_)) => format!("write [{text}]:8080"),
            _ => "write [::1]:8080".to_owned(),
        };
        return Err(ValueError::new(message, hint));
    }
    let port = self::port(port)?;
    let ip = match host {
        "" | "*" => nothing.into(),
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        _ => host.parse::<IpAddr>().map_err(|_| {
            ValueError::new(
                format!("{host:?} is not an IP address"),
                "write 127.0.0.1 for this host alone, 0.0.0.0 for all of its addresses",
            )
        })?,
    };
    Ok(SocketAddr::new(ip, port))
}

/// What to say about an address without a port.
fn no_port(text: &str, host: &str) -> ValueError {
    let hint = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => format!("write [{ip}]:8080"),
        Ok(IpAddr::V4(_)) => format!("write {host}:8080"),
        Err(_) => "write 127.0.0.1:8080".to_owned(),
    };
    ValueError::new(format!("{text:?} has no port"), hint)
}

/// A port number from 1 to 65535, or 0 for `auto`.
fn port(text: &str) -> Result<u16, ValueError> {
    if text == "auto" {
        return Ok(0);
    }
    let hint = "a port is a number from 1 to 65535, or auto for one that is free";
    let digits = !text.is_empty() && text.trim_start_matches('-').bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(0) => Err(ValueError::new("port 0 is not a port", "write auto for one that is free")),
        // `parse` alone would take "+80".
        Ok(port) if digits => Ok(port),
        _ if digits => Err(ValueError::new(format!("port {text} is out of range"), hint)),
        _ => Err(ValueError::new(suggest::unknown("port", text, ["auto"]), hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        listen(text).map_or_else(|e| format!("{} ({})", e.message, e.hint), |listen| listen.to_string())
    }

    #[test]
    fn http_is_for_this_host_alone_unless_told_otherwise() {
        for (text, address) in [
            ("9900", "127.0.0.1:9900"),
            (":9900", "127.0.0.1:9900"),
            ("localhost:9900", "127.0.0.1:9900"),
            ("http://127.0.0.2:9900/", "127.0.0.2:9900"),
            ("*:9900", "0.0.0.0:9900"),
            ("0.0.0.0:9900", "0.0.0.0:9900"),
            ("[::1]:9900", "[::1]:9900"),
            ("auto", "127.0.0.1:0"),
        ] {
            assert_eq!(http(text), Ok(Some(address.parse().unwrap())), "{text}");
        }
        for text in ["", "0", "99999", "unix:/x", "example.com:80", "127.0.0.1", "127.0.0.1:9900/x"] {
            assert!(http(text).is_err(), "{text}");
        }
        assert_eq!(http("off"), Ok(None));
    }

    #[test]
    fn reads_addresses() {
        assert_eq!(shown("tcp://0.0.0.0:8080"), "tcp://0.0.0.0:8080");
        assert_eq!(shown("udp://[::]:53"), "udp://[::]:53");
        assert_eq!(shown("127.0.0.1:8080"), "tcp://127.0.0.1:8080");
        assert_eq!(shown("[fe80::1%2]:80"), "tcp://[fe80::1%2]:80");
        assert_eq!(shown("localhost:80"), "tcp://127.0.0.1:80");
        for all in ["8080", ":8080", "*:8080", "tcp://:8080"] {
            assert_eq!(shown(all), "tcp://0.0.0.0:8080", "{all}");
        }
        assert_eq!(shown("127.0.0.1:auto"), "tcp://127.0.0.1:0");
        assert_eq!(shown("auto"), "tcp://0.0.0.0:0");
        assert_eq!(shown("tcp://[::1]:auto"), "tcp://[::1]:0");
        assert_eq!(shown("unix:/run/a.sock"), "unix:/run/a.sock");
        assert_eq!(shown("unix:///run/a.sock"), "unix:/run/a.sock");
        assert_eq!(shown("unix:@name"), "unix:@name");
    }

    #[test]
    fn says_what_is_wrong_with_an_address() {
        let range = "(a port is a number from 1 to 65535, or auto for one that is free)";
        assert_eq!(shown("tcp://0.0.0.0:99999"), format!("port 99999 is out of range {range}"));
        assert_eq!(shown("tcp://0.0.0.0:-1"), format!("port -1 is out of range {range}"));
        assert_eq!(shown("0.0.0.0:0"), "port 0 is not a port (write auto for one that is free)");
        assert_eq!(shown("0.0.0.0:+80"), format!("unknown port \"+80\" {range}"));
        assert_eq!(shown("0.0.0.0:atuo"), format!("unknown port \"atuo\", did you mean \"auto\"? {range}"));
        assert_eq!(shown("127.0.0.1"), "\"127.0.0.1\" has no port (write 127.0.0.1:8080)");
        assert_eq!(
            shown("http://0.0.0.0:80"),
            "unknown scheme \"http\" (a port is declared by its transport: write tcp://0.0.0.0:80)"
        );
        assert_eq!(shown("tcp:127.0.0.1:80"), "\"tcp:127.0.0.1:80\" is not an address (write tcp://127.0.0.1:80)");
        assert_eq!(shown("/run/a.sock"), "\"/run/a.sock\" has no scheme (write unix:/run/a.sock)");
        assert_eq!(shown("::1:8080"), "\"::1:8080\": an IPv6 address goes in brackets (write [::1]:8080)");
        assert!(shown("example.org:80").starts_with("\"example.org\" is not an IP address"));
        assert!(shown(&format!("unix:/{}", "x".repeat(107))).starts_with("the path of a Unix socket has at most 107"));
        for (text, part) in [
            ("", "\"\" has no port (write 127.0.0.1:8080)"),
            ("nowhere", "has no port (write 127.0.0.1:8080)"),
            ("[::1]", "has no port (write [::1]:8080)"),
            ("127.0.0.1:", "unknown port \"\""),
            ("65536", "port 65536 is out of range"),
            ("256.0.0.1:80", "is not an IP address"),
            ("[::g]:80", "is not an IPv6 address"),
            ("unix:", "is not empty"),
            ("unix:@", "is not empty"),
            ("unix:/a\0b", "cannot hold a NUL"),
        ] {
            assert!(shown(text).contains(part), "{text:?}: {}", shown(text));
        }
        assert_eq!(shown(&format!("unix:/{}", "a".repeat(106))).len(), 112);
    }

    #[test]
    fn reads_the_flag() {
        let port = |text| port_flag(text, 1).map(|p| (p.name, p.listen.to_string(), p.mode));
        let ok = |name: &str, listen: &str, mode| Ok((name.to_owned(), listen.to_owned(), mode));
        assert_eq!(port("127.0.0.1:8080,pass"), ok("1", "tcp://127.0.0.1:8080", PortMode::Pass));
        assert_eq!(port("http=8080"), ok("http", "tcp://0.0.0.0:8080", PortMode::Reserve));
        assert_eq!(port("s=unix:/run/a=b.sock,check"), ok("s", "unix:/run/a=b.sock", PortMode::Check));
        assert_eq!(port("unix:/run/a=b.sock"), ok("1", "unix:/run/a=b.sock", PortMode::Reserve));
        assert_eq!(port("8080,adopt"), ok("1", "tcp://0.0.0.0:8080", PortMode::Adopt));
        assert_eq!(port("[::1]:8080,capture"), ok("1", "tcp://[::1]:8080", PortMode::Capture));
        assert!(port("=8080").is_err() && port("a b=8080").is_err());
        assert_eq!(port("8080,share"), ok("1", "tcp://0.0.0.0:8080", PortMode::Share));
        assert!(port("unix:/run/a.sock,share").is_err() && port("udp://127.0.0.1:53,share").is_ok());
        assert!(port("unix:/run/a.sock,adopt").is_err() && port("unix:/run/a.sock,capture").is_err());
        assert!(port("udp://127.0.0.1:53,capture").is_err() && port("udp://127.0.0.1:53,adopt").is_ok());
        assert!(connect_address("auto").is_err());
        let wrong = |text: &str| connect_address(text).unwrap_err();
        assert_eq!(wrong("127.0.0.1:{port.x}").message, "no port is filled in here by its name");
        assert_eq!(wrong("127.0.0.1:0").hint, "a port is a number from 1 to 65535");
        assert_eq!(connect_address("8080"), Ok("127.0.0.1:8080".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(tcp|udp|unix|http)?:?(//)?[\\[\\]:0-9a-f.*%=,@/]{0,24}\\PC{0,6}") {
            let _ = port_flag(&text, 1);
            let _ = connect_address(&text);
            if let Ok(found) = listen(&text) {
                // What is shown is read back, except for `auto`, which is shown as 0.
                let shown = found.to_string();
                if !shown.ends_with(":0") {
                    prop_assert_eq!(listen(&shown), Ok(found));
                }
            }
        }
    }
}
