//! Who may ask by HTTP on an address: anybody who reaches it, but no web page that a browser shows from elsewhere, and no
//! name that was made to point at this host (DNS rebinding).

use ::core::net::IpAddr;

use super::Answer;

/// What a request says of where it comes from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// Whether the address is one of this host alone.
    pub loopback: bool,
    /// `Host`.
    pub host: Option<&'a str>,
    /// `Origin`: a browser sends it with every request of a script to elsewhere.
    pub origin: Option<&'a str>,
    /// `Sec-Fetch-Site`.
    pub site: Option<&'a str>,
    /// `Sec-Fetch-Mode`.
    pub mode: Option<&'a str>,
}

/// Lets it in.
///
/// # Errors
/// The answer to a page from elsewhere.
pub fn admit(request: &Origin<'_>) -> Result<(), Answer> {
    let host = request.host.unwrap_or_default();
    if request.loopback && !host.is_empty() && !is_this_host(host) {
        let text = format!("ask for 127.0.0.1 or localhost, {host:?} is not a name of this host\n");
        return Err(Answer::text(421, text));
    }
    let same = request.origin.is_none_or(|origin| origin.strip_prefix("http://") == Some(host));
    // A link on another page that leads here is followed by a person and shows nothing to that page.
    let own = matches!(request.site, None | Some("none" | "same-origin")) || request.mode == Some("navigate");
    match same && own {
        true => Ok(()),
        false => Err(Answer::text(403, "pages from elsewhere may not ask\n")),
    }
}

/// Whether a `Host` is a number or `localhost`, with a port or without.
fn is_this_host(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(request: Origin<'_>) -> u16 {
        admit(&request).map_or_else(|answer| answer.code, |()| 200)
    }

    #[test]
    fn names_that_were_made_to_point_here_are_refused() {
        let host = |host| code(Origin { loopback: true, host: Some(host), ..Origin::default() });
        for good in ["127.0.0.1:9900", "127.0.0.1", "localhost:9900", "LOCALHOST", "[::1]:9900", "[::1]", ""] {
            assert_eq!(host(good), 200, "{good}");
        }
        for bad in ["evil.example:9900", "localhost.evil.example", "127.0.0.1.evil.example", "[evil]:1", "\u{fffd}"] {
            assert_eq!(host(bad), 421, "{bad}");
        }
        let open = Origin { loopback: false, host: Some("api.cluster.local"), ..Origin::default() };
        assert_eq!(code(open), 200, "an address for others has names");
        assert_eq!(code(Origin { loopback: true, ..Origin::default() }), 200, "HTTP/1.0 has no Host");
    }

    #[test]
    fn pages_from_elsewhere_are_refused() {
        let here = Origin { loopback: true, host: Some("127.0.0.1:9900"), ..Origin::default() };
        assert_eq!(code(Origin { origin: Some("http://127.0.0.1:9900"), ..here }), 200);
        for origin in ["http://evil.example", "null", "https://127.0.0.1:9900", "http://127.0.0.1:9901"] {
            assert_eq!(code(Origin { origin: Some(origin), ..here }), 403, "{origin}");
        }
        assert_eq!(code(Origin { site: Some("none"), mode: Some("navigate"), ..here }), 200);
        assert_eq!(code(Origin { site: Some("same-origin"), mode: Some("cors"), ..here }), 200);
        assert_eq!(code(Origin { site: Some("cross-site"), mode: Some("navigate"), ..here }), 200);
        for (site, mode) in [("cross-site", "no-cors"), ("same-site", "cors"), ("x", "no-cors")] {
            assert_eq!(code(Origin { site: Some(site), mode: Some(mode), ..here }), 403, "{site} {mode}");
        }
    }
}
