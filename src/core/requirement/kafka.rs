//! Kafka's ApiVersions request, the first that every client sends (<https://kafka.apache.org/protocol>).

use super::dialogue::{Dialogue, Turn, beginning, more, wrong};

/// ApiVersions, version 0, correlation id 0x6c61756e, from the client "launcher".
const REQUEST: &[u8] = b"\0\0\0\x12\0\x12\0\0\x6c\x61\x75\x6e\0\x08launcher";
/// What the answer repeats.
const CORRELATION: &[u8] = b"\x6c\x61\x75\x6e";

/// One request.
pub struct Kafka;

impl Dialogue for Kafka {
    fn opening(&mut self) -> Vec<u8> {
        REQUEST.to_vec()
    }

    fn hear(&mut self, received: &[u8], closed: bool) -> Turn {
        let not_kafka = || wrong(format!("what answers is not Kafka: it says {}", beginning(received)));
        // Its length is never so large: text of another protocol would be.
        if received.first().is_some_and(|first| *first != 0) {
            return not_kafka();
        }
        match (received.get(4..8), received.get(8..10)) {
            (Some(CORRELATION), Some([0, 0])) => Turn::Good(Vec::new()),
            // UNSUPPORTED_VERSION: it is there, and too new for the oldest version of the request.
            (Some(CORRELATION), Some([0, 35])) => Turn::Good(Vec::new()),
            (Some(CORRELATION), Some([high, low])) => {
                wrong(format!("Kafka answers with error {}", i16::from_be_bytes([*high, *low])))
            }
            (Some(other), _) if other != CORRELATION => not_kafka(),
            _ => more(closed, "Kafka"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dialogue::testing::{bad, hear};
    use super::*;

    #[test]
    fn the_answer_repeats_the_number_and_has_no_error() {
        assert_eq!(REQUEST.len(), 4 + 0x12);
        let answer = |error: u8| [b"\0\0\0\x10", CORRELATION, &[0, error], b"\0\0\0\x01\0\x12\0\0\0\x03"].concat();
        assert_eq!(hear(&mut Kafka, &answer(0)), Turn::Good(vec![]));
        assert_eq!(hear(&mut Kafka, &answer(35)), Turn::Good(vec![]));
        assert_eq!(bad(hear(&mut Kafka, &answer(15))), "Kafka answers with error 15");
        assert!(bad(hear(&mut Kafka, b"HTTP/1.1 400 Bad Request\r\n")).contains("is not Kafka"));
        assert!(bad(hear(&mut Kafka, b"")).contains("closed the connection"));
    }
}
