//! AMQP 0-9-1: the protocol header, which a broker answers with `Connection.Start`
//! (<https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf>, 4.2.2).

use super::dialogue::{Dialogue, Turn, beginning, more, wrong};

/// The protocol header.
const HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
/// A method frame on channel 0…
const METHOD: &[u8] = &[1, 0, 0];
/// …of class Connection, method Start.
const START: &[u8] = &[0, 10, 0, 10];

/// One header.
pub struct Amqp;

impl Dialogue for Amqp {
    fn opening(&mut self) -> Vec<u8> {
        HEADER.to_vec()
    }

    fn hear(&mut self, received: &[u8], closed: bool) -> Turn {
        let head = &received[..received.len().min(METHOD.len())];
        if received.starts_with(b"AMQP") {
            // A header of its own is how a broker says which version it speaks instead.
            return wrong("the broker does not speak AMQP 0-9-1");
        }
        if !METHOD.starts_with(head) && !b"AMQP".starts_with(head) {
            return wrong(format!("what answers is not an AMQP broker: it says {}", beginning(received)));
        }
        match received.get(7..11) {
            Some(START) => Turn::Good(Vec::new()),
            Some(_) => wrong("the broker does not begin as AMQP 0-9-1 does"),
            None => more(closed, "an AMQP broker"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dialogue::testing::{bad, hear};
    use super::*;

    #[test]
    fn a_broker_begins_with_start() {
        let start = b"\x01\x00\x00\x00\x00\x01\xfc\x00\x0a\x00\x0a\x00\x09\x00\x00\x01\xd7\x0ccapabilities";
        assert_eq!(hear(&mut Amqp, start), Turn::Good(vec![]));
        assert!(bad(hear(&mut Amqp, b"AMQP\x00\x01\x00\x00")).contains("does not speak AMQP 0-9-1"));
        assert!(bad(hear(&mut Amqp, b"HTTP/1.1 400")).contains("is not an AMQP broker"));
        assert!(bad(hear(&mut Amqp, b"\x01\x00\x00\x00\x00\x01\xfc\x00\x0a\x00\x0b")).contains("does not begin"));
        assert!(bad(hear(&mut Amqp, b"\x01")).contains("closed the connection"));
    }
}
