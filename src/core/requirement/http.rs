//! One HTTP/1.1 request (RFC 9112), its status, and what its body must contain.

use super::dialogue::{Dialogue, LONGEST, Turn, beginning, more, wrong};
use super::target::{HttpRequest, Place};

/// What an answer must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpExpectation {
    /// One of these statuses; any from 200 to 399 when empty.
    pub status: Vec<u16>,
    /// Text that its body must contain.
    pub body: Option<String>,
}

/// So many header fields an answer may have.
const FIELDS: usize = 100;

/// One request.
pub struct Http {
    request: HttpRequest,
    host: String,
}

impl Http {
    /// A request to the server at this place.
    pub fn new(request: &HttpRequest, place: &Place, tls: bool) -> Http {
        let host = match place {
            Place::Host(host, 80) if !tls => host.clone(),
            Place::Host(host, 443) if tls => host.clone(),
            Place::Host(..) => place.to_string(),
            Place::Unix(_) => "localhost".to_owned(),
        };
        Http { request: request.clone(), host }
    }

    fn status_fits(&self, status: u16) -> bool {
        match self.request.expected.status.as_slice() {
            [] => (200..400).contains(&status),
            wanted => wanted.contains(&status),
        }
    }
}

impl Dialogue for Http {
    fn opening(&mut self) -> Vec<u8> {
        let Http { request, host } = self;
        let path: String = request.path.chars().filter(|c| !c.is_whitespace()).collect();
        let login =
            request.credentials.as_ref().map(|of| format!("Authorization: Basic {}\r\n", base64(of.as_bytes())));
        let version = env!("CARGO_PKG_VERSION");
        let method = if request.post { "POST" } else { "GET" };
        let empty = if request.post { "Content-Length: 0\r\n" } else { "" };
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: launcher/{version}\r\nAccept: */*\r\n");
        format!("{head}{empty}{}Connection: close\r\n\r\n", login.unwrap_or_default()).into_bytes()
    }

    fn hear(&mut self, received: &[u8], closed: bool) -> Turn {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut answer = httparse::Response::new(&mut fields);
        let head = match answer.parse(received) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if received.len() < LONGEST => return more(closed, "an HTTP server"),
            Ok(httparse::Status::Partial) => return wrong("its answer has no end of its header"),
            Err(_) => return wrong(format!("what answers does not speak HTTP: it says {}", beginning(received))),
        };
        let status = answer.code.unwrap_or_default();
        if !self.status_fits(status) {
            let reason = answer.reason.map(str::trim).filter(|reason| !reason.is_empty());
            return wrong(format!(
                "it answers with status {status}{}",
                reason.map(|r| format!(" ({r})")).unwrap_or_default()
            ));
        }
        let Some(wanted) = &self.request.expected.body else { return Turn::Good(Vec::new()) };
        let field = |name: &str| {
            let found = answer.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
            found.and_then(|field| std::str::from_utf8(field.value).ok())
        };
        let chunked = field("transfer-encoding").is_some_and(|how| how.to_ascii_lowercase().contains("chunked"));
        let raw = received.get(head..).unwrap_or_default();
        let (body, whole) = match field("content-length").and_then(|length| length.trim().parse::<usize>().ok()) {
            _ if chunked => unchunked(raw),
            Some(length) => (raw.to_vec(), raw.len() >= length),
            None => (raw.to_vec(), false),
        };
        match contains(&body, wanted.as_bytes()) {
            true => Turn::Good(Vec::new()),
            false if whole || closed || received.len() >= LONGEST => {
                wrong(format!("it answers with status {status}, but its body does not contain {wanted:?}"))
            }
            false => Turn::More,
        }
    }
}

fn contains(body: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || body.windows(wanted.len()).any(|window| window == wanted)
}

/// What is there of a body in chunks, and whether it is all of it.
fn unchunked(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Ok(httparse::Status::Complete((start, length))) = httparse::parse_chunk_size(raw) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length == 0 {
            return (body, true);
        }
        let end = start.saturating_add(length);
        body.extend_from_slice(raw.get(start..end.min(raw.len())).unwrap_or_default());
        raw = raw.get(end.saturating_add(2)..).unwrap_or_default();
    }
    (body, false)
}

/// RFC 4648.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().chain([&0, &0]).take(3).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        for place in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::dialogue::testing::{bad, hear};
    use super::*;

    fn get(expected: HttpExpectation) -> Http {
        let request = HttpRequest { path: "/healthz".to_owned(), post: false, credentials: None, expected };
        Http::new(&request, &Place::Host("api".to_owned(), 8080), false)
    }

    fn status(wanted: &[u16]) -> Http {
        get(HttpExpectation { status: wanted.to_vec(), body: None })
    }

    fn body(wanted: &str) -> Http {
        get(HttpExpectation { status: vec![], body: Some(wanted.to_owned()) })
    }

    #[test]
    fn the_status_decides() {
        let answer = |status: &str| format!("HTTP/1.1 {status}\r\nServer: x\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(hear(&mut status(&[]), answer("200 OK").as_bytes()), Turn::Good(vec![]));
        assert_eq!(hear(&mut status(&[]), answer("302 Found").as_bytes()), Turn::Good(vec![]));
        let unready = answer("503 Service Unavailable");
        let text = "it answers with status 503 (Service Unavailable)";
        assert_eq!(bad(hear(&mut status(&[]), unready.as_bytes())), text);
        assert_eq!(hear(&mut status(&[404, 503]), unready.as_bytes()), Turn::Good(vec![]));
        assert!(bad(hear(&mut status(&[]), b"SSH-2.0-OpenSSH_9.2p1\r\n")).contains("does not speak HTTP"));
        assert!(bad(hear(&mut status(&[]), b"HTTP/1.1 200 OK\r\nx")).contains("closed the connection"));
    }

    #[test]
    fn the_body_must_contain_what_is_asked_for() {
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"up\"}";
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"sta\r\na\r\ntus\":\"up\"}\r\n0\r\n\r\n";
        let closed = b"HTTP/1.0 200 OK\r\n\r\n{\"status\":\"up\"}";
        for answer in [plain.as_slice(), chunked, closed] {
            assert_eq!(hear(&mut body("\"status\":\"up\""), answer), Turn::Good(vec![]));
            assert!(bad(hear(&mut body("down"), answer)).contains("does not contain \"down\""));
        }
    }

    #[test]
    fn the_request_is_what_servers_take() {
        let request = HttpRequest {
            post: false,
            path: "/a b".to_owned(),
            credentials: Some("u:p".to_owned()),
            expected: HttpExpectation::default(),
        };
        let said = Http::new(&request, &Place::Host("api".to_owned(), 80), false).opening();
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with("GET /ab HTTP/1.1\r\nHost: api\r\nUser-Agent: launcher/"), "{said}");
        assert!(said.ends_with("Authorization: Basic dTpw\r\nConnection: close\r\n\r\n"), "{said}");
        let mut request = request;
        request.post = true;
        let posted =
            String::from_utf8(Http::new(&request, &Place::Host("api".to_owned(), 80), false).opening()).unwrap();
        assert!(
            posted.starts_with("POST /ab HTTP/1.1\r\n") && posted.contains("\r\nContent-Length: 0\r\n"),
            "{posted}"
        );
        assert_eq!(
            ["", "f", "fo", "foo", "foobar"].map(|text| base64(text.as_bytes())),
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYmFy"]
        );
    }
}
