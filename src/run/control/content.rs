//! The body of an answer: what there is; and of a log that is followed, what comes.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::core::output::Lines;
use crate::run::output::Memory;

/// A body.
pub struct Content {
    begin: Option<Bytes>,
    rest: Option<Followed>,
}

/// What comes.
struct Followed {
    memory: Arc<Memory>,
    at: u64,
    /// Turns true when nothing more will come.
    ending: watch::Receiver<bool>,
    next: Option<Pin<Box<dyn Future<Output = Option<Lines>>>>>,
    _place: OwnedSemaphorePermit,
}

impl Content {
    /// All of it.
    pub fn whole(text: String) -> Content {
        Content { begin: Some(Bytes::from(text)), rest: None }
    }

    /// These lines, and those that follow until the launcher ends.
    pub fn followed(
        begin: &Lines,
        memory: Arc<Memory>,
        ending: watch::Receiver<bool>,
        place: OwnedSemaphorePermit,
    ) -> Content {
        let rest = Followed { memory, at: begin.next, ending, next: None, _place: place };
        let begin = Some(Bytes::from(bytes(begin))).filter(|begin| !begin.is_empty());
        Content { begin, rest: Some(rest) }
    }
}

impl Followed {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let next = self.next.get_or_insert_with(|| {
            let (memory, at, mut ending) = (self.memory.clone(), self.at, self.ending.clone());
            Box::pin(async move {
                tokio::select! {
                    biased;
                    lines = memory.after(at) => Some(lines),
                    _ = ending.wait_for(|ending| *ending) => None,
                }
            })
        });
        let lines = ready!(next.as_mut().poll(context));
        self.next = None;
        Poll::Ready(lines.map(|lines| {
            self.at = lines.next;
            Bytes::from(bytes(&lines))
        }))
    }
}

/// Lines as they were written, and where some are missing.
fn bytes(lines: &Lines) -> Vec<u8> {
    let mut bytes = Vec::new();
    if lines.missed > 0 {
        let missed = lines.missed;
        bytes.extend_from_slice(format!("[launcher: {missed} bytes before this were not read in time]\n").as_bytes());
    }
    for line in &lines.lines {
        bytes.extend_from_slice(&line.text);
        bytes.push(b'\n');
    }
    bytes
}

/// The same as text.
pub fn text(lines: &Lines) -> String {
    String::from_utf8(bytes(lines)).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(begin) = self.begin.take() {
            return Poll::Ready(Some(Ok(Frame::data(begin))));
        }
        match &mut self.rest {
            Some(rest) => rest.poll_next(context).map(|more| more.map(|bytes| Ok(Frame::data(bytes)))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.begin.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Some(_) => SizeHint::new(),
            None => SizeHint::with_exact(self.begin.as_ref().map_or(0, |begin| begin.len() as u64)),
        }
    }
}
