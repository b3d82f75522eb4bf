//! A connection as hyper wants it, on tokio's sockets. One that takes nothing for too long is given up.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How much is read at a time, in bytes.
const PIECE: usize = 4096;

/// A connection.
pub struct Stream<S> {
    socket: S,
    /// How long the other side may take nothing of what is written; for ever when absent.
    patience: Option<Duration>,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// This socket, given up when the other side takes nothing for so long.
    pub fn new(socket: S, patience: Option<Duration>) -> Stream<S> {
        Stream { socket, patience, stalled: None }
    }

    /// The socket alone.
    pub fn into_socket(self) -> S {
        self.socket
    }

    /// Passes on what came of a write; one that waits must not wait for ever.
    fn watch<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let Some(patience) = self.patience.filter(|_| written.is_pending()) else {
            self.stalled = None;
            return written;
        };
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => written,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Read for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut piece = [0; PIECE];
        let room = into.remaining().min(PIECE);
        let mut buffer = ReadBuf::new(&mut piece[..room]);
        let read = Pin::new(&mut self.socket).poll_read(context, &mut buffer);
        if let Poll::Ready(Ok(())) = &read {
            into.put_slice(buffer.filled());
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(context);
        self.watch(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
