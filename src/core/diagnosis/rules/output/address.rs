//! Addresses in lines of output.

use crate::core::diagnosis::words;

/// The first `host:port` in a line, or a host and a `port N` of libpq's kind.
pub fn address_in(line: &str) -> Option<String> {
    let tokens: Vec<&str> = line.split(|c: char| c.is_whitespace() || "()<>,;'\"`=".contains(c)).collect();
    let direct = tokens.iter().map(|token| strip(token)).find(|token| is_address(token));
    if let Some(address) = direct {
        return Some(address.to_owned());
    }
    // connection to server at "localhost" (127.0.0.1), port 5432 failed
    let at = tokens.iter().position(|token| token.eq_ignore_ascii_case("port"))?;
    let port: u16 = strip(tokens.get(at + 1)?).parse().ok()?;
    let host = tokens[..at].iter().rev().find(|token| {
        let token = strip(token);
        token.parse::<::core::net::IpAddr>().is_ok() || token == "localhost"
    })?;
    let host = strip(host);
    Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

/// The address in a line about a bind that failed.
pub fn bound_in(line: &str) -> Option<String> {
    address_in(line).or_else(|| port_in(line))
}

/// An address that is only a port, as Go (`listen tcp :8080`) and Node (`:::8080`) have it: on all addresses.
pub fn port_in(line: &str) -> Option<String> {
    let tokens = line
        .split(|c: char| c.is_whitespace() || "()<>,;'\"`=".contains(c))
        .map(|token| token.trim_end_matches([':', '.']));
    let mut ports = tokens.filter_map(|token| {
        let wide = token.strip_prefix(":::").map(|port| ("[::]", port));
        let (all, port) = wide.or_else(|| Some(("0.0.0.0", token.strip_prefix(':')?)))?;
        Some(format!("{all}:{}", port.parse::<u16>().ok().filter(|port| *port > 0)?))
    });
    ports.next()
}

/// Without a scheme, a path, a user and the punctuation around.
fn strip(token: &str) -> &str {
    let token = token.rsplit_once("://").map_or(token, |(_, rest)| rest.split(['/', '?']).next().unwrap_or(rest));
    let token = token.rsplit_once('@').map_or(token, |(_, rest)| rest);
    // `[::1]:53` keeps its bracket, `[db:5432]` does not.
    let token = token.trim_end_matches(['.', ':', '!', '/']);
    match token.strip_prefix('[') {
        Some(rest) if !rest.contains("]:") => rest.trim_end_matches(']'),
        _ if !token.starts_with('[') => token.trim_end_matches(']'),
        _ => token,
    }
}

fn is_address(token: &str) -> bool {
    const SOURCES: [&str; 20] = [
        "go", "py", "js", "mjs", "cjs", "ts", "rs", "rb", "java", "kt", "c", "cc", "cpp", "h", "php", "scala", "ex",
        "erl", "pl", "sh",
    ];
    if token.parse::<::core::net::SocketAddr>().is_ok() {
        return true;
    }
    let Some((host, port)) = token.split_once(':') else { return false };
    let named = host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    let source = host.rsplit_once('.').is_some_and(|(_, ending)| SOURCES.contains(&ending));
    // A time of day, an errno, a line of a source file: none of them is a host.
    let letters = host.chars().any(|c| c.is_ascii_alphabetic());
    named && letters && !source && port.parse::<u16>().is_ok_and(|port| port > 0) && words::port(token).is_some()
}
