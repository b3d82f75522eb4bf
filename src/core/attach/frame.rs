//! Frames: one byte that says what it is, two that say how long it is (the high one first), then so many bytes. The same
//! in both directions. Nothing in it is trusted.

use super::{End, Size};

/// The most that one frame carries, in bytes.
const LARGEST: usize = u16::MAX as usize;

/// What is in front of each, in bytes.
const HEAD: usize = 3;

const BYTES: u8 = b'b';
const SIZE: u8 = b's';
const INPUT_ENDED: u8 = b'e';
const NOTE: u8 = b'n';
const END: u8 = b'x';

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// What was typed, or what the terminal shows.
    Bytes(Vec<u8>),
    /// How large the person's terminal is.
    Size(Size),
    /// Nothing more will be typed.
    InputEnded,
    /// What the launcher says in between.
    Note(String),
    /// It is over.
    End(End),
}

/// Bytes that are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoFrame;

impl Frame {
    /// Writes it to the end of this. What is too long for one frame becomes several.
    pub fn write(&self, to: &mut Vec<u8>) {
        match self {
            Frame::Bytes(bytes) => bytes.chunks(LARGEST).for_each(|piece| put(to, BYTES, &[piece])),
            Frame::Size(size) => put(to, SIZE, &[&size.columns.to_be_bytes(), &size.rows.to_be_bytes()]),
            Frame::InputEnded => put(to, INPUT_ENDED, &[]),
            Frame::Note(text) => put(to, NOTE, &[cut(text, LARGEST).as_bytes()]),
            Frame::End(end) => {
                put(to, END, &[&end.code.to_be_bytes(), cut(&end.text, LARGEST - 4).as_bytes()]);
            }
        }
    }

    fn read(kind: u8, payload: &[u8]) -> Result<Frame, NoFrame> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| NoFrame);
        match (kind, payload) {
            (BYTES, bytes) => Ok(Frame::Bytes(bytes.to_vec())),
            (SIZE, [a, b, c, d]) => {
                let number = |high, low| u16::from_be_bytes([high, low]);
                Ok(Frame::Size(Size { columns: number(*a, *b), rows: number(*c, *d) }))
            }
            (INPUT_ENDED, []) => Ok(Frame::InputEnded),
            (NOTE, bytes) => text(bytes).map(Frame::Note),
            (END, [a, b, c, d, rest @ ..]) => {
                let code = i32::from_be_bytes([*a, *b, *c, *d]);
                Ok(Frame::End(End { code, text: text(rest)? }))
            }
            _ => Err(NoFrame),
        }
    }
}

fn put(to: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    to.push(kind);
    // No caller passes more than `LARGEST`.
    to.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    parts.iter().for_each(|part| to.extend_from_slice(part));
}

/// No more than so many bytes of a text, without breaking a character.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// Frames out of bytes as they come.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    /// These came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// What came is no frame: whoever sends it is no one to go on with.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, NoFrame> {
        let [kind, high, low, rest @ ..] = self.bytes.as_slice() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let frame = Frame::read(*kind, payload)?;
        self.bytes.drain(..HEAD + length);
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_frame() -> impl Strategy<Value = Frame> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 1..100).prop_map(Frame::Bytes),
            any::<(u16, u16)>().prop_map(|(columns, rows)| Frame::Size(Size { columns, rows })),
            Just(Frame::InputEnded),
            ".{0,40}".prop_map(Frame::Note),
            (any::<i32>(), ".{0,40}").prop_map(|(code, text)| Frame::End(End { code, text })),
        ]
    }

    fn read_all(frames: &mut Frames) -> Vec<Frame> {
        std::iter::from_fn(|| frames.next_frame().unwrap()).collect()
    }

    #[test]
    fn much_becomes_several_frames() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
        let mut written = Vec::new();
        Frame::Bytes(bytes.clone()).write(&mut written);
        let mut frames = Frames::default();
        frames.push(&written);
        let pieces: Vec<Vec<u8>> = read_all(&mut frames)
            .into_iter()
            .map(|frame| match frame {
                Frame::Bytes(bytes) => bytes,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(pieces.len(), 4);
        assert_eq!(pieces.concat(), bytes);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let mut written = Vec::new();
        Frame::Note("é".repeat(40_000)).write(&mut written);
        let mut frames = Frames::default();
        frames.push(&written);
        assert_eq!(read_all(&mut frames), [Frame::Note("é".repeat(LARGEST / 2))]);
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for wrong in [&b"?\0\0"[..], b"s\0\x01a", b"e\0\x01a", b"n\0\x01\xff", b"x\0\x03abc", b"x\0\x05\0\0\0\0\xff"] {
            let mut frames = Frames::default();
            frames.push(wrong);
            assert_eq!(frames.next_frame(), Err(NoFrame), "{wrong:?}");
        }
    }

    proptest! {
        /// However the bytes are cut on their way, the same frames come out.
        #[test]
        fn frames_come_out_as_they_went_in(sent in proptest::collection::vec(any_frame(), 0..8), piece in 1..50_usize) {
            let mut written = Vec::new();
            sent.iter().for_each(|frame| frame.write(&mut written));
            let (mut frames, mut come) = (Frames::default(), Vec::new());
            for bytes in written.chunks(piece) {
                frames.push(bytes);
                come.extend(read_all(&mut frames));
            }
            prop_assert_eq!(come, sent);
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut frames = Frames::default();
            frames.push(&bytes);
            while let Ok(Some(_)) = frames.next_frame() {}
        }
    }
}
