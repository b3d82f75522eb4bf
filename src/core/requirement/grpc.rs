//! gRPC's health check (<https://github.com/grpc/grpc/blob/master/doc/health-checking.md>) in the few frames of HTTP/2
//! that it takes (RFC 9113). Header fields of answers are not decompressed: the status of the service is in the data.

use super::dialogue::{Dialogue, Turn, beginning, more, wrong};
use super::target::Place;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// One health check.
pub struct Grpc {
    service: String,
    authority: String,
    /// How much was heard and answered.
    done: usize,
    /// What came as data of the answer.
    data: Vec<u8>,
}

impl Grpc {
    /// For a service; the server as a whole when its name is empty.
    pub fn new(service: &str, place: &Place) -> Grpc {
        let authority = match place {
            Place::Host(..) => place.to_string(),
            Place::Unix(_) => "localhost".to_owned(),
        };
        Grpc { service: service.to_owned(), authority, done: 0, data: Vec::new() }
    }

    /// What `HealthCheckResponse` says, once it is whole: five bytes of gRPC, then field 1 as a varint.
    fn status(&self) -> Option<u8> {
        let length: [u8; 4] = self.data.get(1..5)?.try_into().ok()?;
        let message = self.data.get(5..5_usize.checked_add(usize::try_from(u32::from_be_bytes(length)).ok()?)?)?;
        // A field of value 0 is left out.
        Some(if message.first() == Some(&0x08) { *message.get(1)? } else { 0 })
    }

    fn judge(&self, status: u8) -> Turn {
        let whose = if self.service.is_empty() { "the server".to_owned() } else { self.service.clone() };
        match status {
            1 => Turn::Good(frame(GOAWAY, 0, 0, &[0; 8])),
            2 => wrong(format!("{whose} says NOT_SERVING")),
            3 => wrong(format!("{whose} says SERVICE_UNKNOWN")),
            _ => wrong(format!("{whose} says UNKNOWN")),
        }
    }
}

impl Dialogue for Grpc {
    fn opening(&mut self) -> Vec<u8> {
        let mut said = PREFACE.to_vec();
        said.extend(frame(SETTINGS, 0, 0, &[]));
        // Static table: 3 is `:method: POST`, 6 is `:scheme: http`, 1 and 4 are the names `:authority` and `:path`.
        let mut fields = vec![0x80 | 3, 0x80 | 6];
        literal(&mut fields, Err(4), "/grpc.health.v1.Health/Check");
        literal(&mut fields, Err(1), &self.authority);
        literal(&mut fields, Ok("content-type"), "application/grpc");
        literal(&mut fields, Ok("te"), "trailers");
        said.extend(frame(HEADERS, END_HEADERS, 1, &fields));
        let mut request = Vec::new();
        if !self.service.is_empty() {
            let name = &self.service.as_bytes()[..self.service.len().min(127)];
            request.extend_from_slice(&[0x0a, name.len() as u8]);
            request.extend_from_slice(name);
        }
        let length = u32::try_from(request.len()).unwrap_or(0).to_be_bytes();
        said.extend(frame(DATA, END_STREAM, 1, &[&[0], length.as_slice(), &request].concat()));
        said
    }

    fn hear(&mut self, received: &[u8], closed: bool) -> Turn {
        while let Some((kind, flags, stream, body)) = first_frame(received.get(self.done..).unwrap_or_default()) {
            if self.done == 0 && kind != SETTINGS {
                return not_grpc(received);
            }
            self.done += 9 + body.len();
            match (kind, stream) {
                (SETTINGS, _) if flags & 1 == 0 => return Turn::Say(frame(SETTINGS, 1, 0, &[])),
                (PING, _) if flags & 1 == 0 => return Turn::Say(frame(PING, 1, 0, body)),
                (DATA, 1) => {
                    self.data.extend_from_slice(without_padding(flags, body));
                    if let Some(status) = self.status() {
                        return self.judge(status);
                    }
                }
                (GOAWAY | RST_STREAM, _) => return wrong("the gRPC server breaks off the health check"),
                _ => {}
            }
            if stream == 1 && flags & END_STREAM != 0 && matches!(kind, HEADERS | DATA) {
                return wrong(match self.service.is_empty() {
                    true => "the gRPC server has no health service (grpc.health.v1.Health)".to_owned(),
                    false => format!("the gRPC server has no health service, or it does not know {}", self.service),
                });
            }
        }
        let rest = received.get(self.done..).unwrap_or_default();
        match rest {
            [a, b, _, kind, ..] if self.done == 0 && (*kind != SETTINGS || *a != 0 || *b > 4) => not_grpc(received),
            _ => more(closed, "a gRPC server"),
        }
    }
}

fn not_grpc(received: &[u8]) -> Turn {
    wrong(format!("what answers does not speak HTTP/2: it says {}", beginning(received)))
}

fn without_padding(flags: u8, body: &[u8]) -> &[u8] {
    match body.split_first() {
        Some((padding, rest)) if flags & PADDED != 0 => {
            rest.get(..rest.len().saturating_sub(usize::from(*padding))).unwrap_or_default()
        }
        _ => body,
    }
}

/// A header field, not indexed and not compressed: its name by number in the static table, or as text.
fn literal(fields: &mut Vec<u8>, name: Result<&str, u8>, value: &str) {
    match name {
        Err(index) => fields.push(index),
        Ok(name) => {
            fields.extend_from_slice(&[0, name.len() as u8]);
            fields.extend_from_slice(name.as_bytes());
        }
    }
    let value = &value.as_bytes()[..value.len().min(126)];
    fields.push(value.len() as u8);
    fields.extend_from_slice(value);
}

fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
    [&length[1..], &[kind, flags], stream.to_be_bytes().as_slice(), body].concat()
}

/// The first frame that is whole: kind, flags, stream, body.
fn first_frame(bytes: &[u8]) -> Option<(u8, u8, u32, &[u8])> {
    let head: [u8; 9] = bytes.get(..9)?.try_into().ok()?;
    let length = usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).ok()?;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
    Some((head[3], head[4], stream, bytes.get(9..9 + length)?))
}

#[cfg(test)]
mod tests {
    use super::super::dialogue::testing::bad;
    use super::*;

    fn check(service: &str) -> Grpc {
        Grpc::new(service, &Place::Host("a".to_owned(), 50051))
    }

    fn answer(status: u8) -> Vec<u8> {
        let headers = frame(HEADERS, END_HEADERS, 1, &[0x88, 0x5f, 0x8b]);
        [headers, frame(DATA, 0, 1, &[0, 0, 0, 0, 2, 8, status])].concat()
    }

    fn end(service: &str, heard: &[u8]) -> Turn {
        let mut grpc = check(service);
        grpc.opening();
        for end in 0..=heard.len() {
            match grpc.hear(&heard[..end], false) {
                Turn::More | Turn::Say(_) => {}
                turn => return turn,
            }
        }
        grpc.hear(heard, true)
    }

    #[test]
    fn only_serving_is_ready() {
        let settings = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
        let heard = |more: &[u8]| [settings.as_slice(), &frame(SETTINGS, 1, 0, &[]), more].concat();
        assert!(matches!(end("", &heard(&answer(1))), Turn::Good(_)));
        assert_eq!(bad(end("my.Shop", &heard(&answer(2)))), "my.Shop says NOT_SERVING");
        assert_eq!(bad(end("", &heard(&answer(3)))), "the server says SERVICE_UNKNOWN");
        let trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x88]);
        assert!(bad(end("", &heard(&trailers))).contains("no health service"));
        assert!(bad(end("", &heard(&frame(GOAWAY, 0, 0, &[0; 8])))).contains("breaks off"));
        assert!(bad(end("", b"HTTP/1.1 400 Bad Request\r\n")).contains("does not speak HTTP/2"));
        assert!(bad(end("", &heard(b""))).contains("closed the connection"));
    }

    #[test]
    fn settings_are_answered() {
        let mut grpc = check("my.Shop");
        let opening = grpc.opening();
        assert!(opening.starts_with(PREFACE) && opening.ends_with(b"\0\0\0\0\x09\x0a\x07my.Shop"));
        assert_eq!(grpc.hear(&frame(SETTINGS, 0, 0, &[]), false), Turn::Say(frame(SETTINGS, 1, 0, &[])));
    }
}
