//! Somebody at the terminal of a service: frames in both directions, once the connection is no HTTP any more.
//!
//! Both directions go on by themselves: who looks at nothing can type, and a program that reads nothing can be looked at.

use std::future::pending;

use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

use crate::core::attach::{End, Frame, Frames, Piece};
use crate::run::output::{Seat, Terminal};

use super::server;

/// Of what is typed and not taken by the program so much is kept, in bytes; the rest waits in the connection.
const MOST_TYPED: usize = 64 * 1024;

/// Serves one person until the service or the launcher ends, or the person leaves.
pub async fn attached(socket: Box<dyn server::Bytes>, begin: Bytes, mut seat: Seat, ending: watch::Receiver<bool>) {
    let (reader, mut writer) = tokio::io::split(socket);
    let terminal = seat.terminal();
    let mut said = Vec::new();
    tokio::select! {
        end = input(reader, begin, &terminal) => {
            // Who has gone is told nothing.
            if let Some(end) = end {
                Frame::End(end).write(&mut said);
                let _ = writer.write_all(&said).await;
            }
        }
        () = output(&mut writer, &mut seat, ending) => {}
    }
}

/// Types what comes. Returns when nothing more does: with what is said to somebody whose input has ended.
async fn input(mut reader: impl AsyncRead + Unpin, begin: Bytes, terminal: &Terminal) -> Option<End> {
    let (mut frames, mut typed, mut ended) = (Frames::default(), Vec::new(), false);
    frames.push(&begin);
    let mut piece = vec![0; 4096];
    loop {
        while let Some(frame) = frames.next_frame().ok()? {
            match frame {
                Frame::Bytes(bytes) => typed.extend_from_slice(&bytes),
                Frame::Size(size) => terminal.resize(size),
                Frame::InputEnded => ended = true,
                // Those are the launcher's to send.
                Frame::Note(_) | Frame::End(_) => return None,
            }
        }
        if ended && typed.is_empty() {
            return Some(End { code: 0, text: "all of the input was typed".to_owned() });
        }
        let type_in = async {
            match typed.is_empty() {
                true => pending().await,
                false => terminal.type_in(&typed).await,
            }
        };
        tokio::select! {
            read = reader.read(&mut piece), if typed.len() < MOST_TYPED => match read {
                Ok(length) if length > 0 => frames.push(&piece[..length]),
                _ => return None,
            },
            length = type_in => drop(typed.drain(..length)),
        }
    }
}

/// Shows what comes, until it is over or nobody looks any more.
async fn output(writer: &mut (impl AsyncWrite + Unpin), seat: &mut Seat, mut ending: watch::Receiver<bool>) {
    let mut out = Vec::new();
    loop {
        let (pieces, end) = tokio::select! {
            biased;
            next = seat.next() => next,
            _ = ending.wait_for(|ending| *ending) => (Vec::new(), Some(launcher_ends())),
        };
        out.clear();
        pieces.into_iter().for_each(|piece| frame(piece).write(&mut out));
        let over = end.is_some();
        if let Some(end) = end {
            Frame::End(end).write(&mut out);
        }
        if writer.write_all(&out).await.is_err() || writer.flush().await.is_err() || over {
            return;
        }
    }
}

fn frame(piece: Piece) -> Frame {
    match piece {
        Piece::Bytes(bytes) => Frame::Bytes(bytes),
        Piece::Note(text) => Frame::Note(text),
        Piece::Missed(bytes) => Frame::Note(format!("{bytes} bytes before this were not read in time")),
    }
}

/// The service has not come to rest by then.
fn launcher_ends() -> End {
    End { code: crate::core::exit::code::INTERNAL, text: "launcher has ended before its service had".to_owned() }
}
