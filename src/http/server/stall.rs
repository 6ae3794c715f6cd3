//! Clients that take nothing of what they are sent. A connection whose other end accepts no byte
//! for too long is ended: what waits in it would wait for ever.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBufCursor, Write};

/// Whether a connection was ended because its client took nothing. Those who serve it hold it.
#[derive(Debug, Clone, Default)]
pub struct Cut(Arc<AtomicBool>);

impl Cut {
    /// Whether it was.
    #[must_use]
    pub fn was_made(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection that is ended when its client takes nothing for as long as it may. The time is
/// looked at when the connection is polled, which is once a second at least.
#[derive(Debug)]
pub(super) struct Patient<T> {
    connection: T,
    longest: Duration,
    waiting_since: Option<Instant>,
    cut: Cut,
}

impl<T> Patient<T> {
    pub(super) fn new(connection: T, longest: Duration, cut: Cut) -> Self {
        Self { connection, longest, waiting_since: None, cut }
    }

    /// What a write came to, or the end.
    fn judge(&mut self, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        if written.is_ready() {
            self.waiting_since = None;
            return written;
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        if since.elapsed() < self.longest {
            return Poll::Pending;
        }
        self.cut.0.store(true, Ordering::Relaxed);
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<T: Read + Unpin> Read for Patient<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

impl<T: Write + Unpin> Write for Patient<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.connection).poll_write(context, bytes);
        self.judge(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.connection).poll_write_vectored(context, bytes);
        self.judge(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient(longest: Duration) -> Patient<()> {
        Patient::new((), longest, Cut::default())
    }

    #[test]
    fn who_takes_nothing_for_too_long_is_cut_off() {
        let mut connection = patient(Duration::ZERO);
        let Poll::Ready(Err(error)) = connection.judge(Poll::Pending) else { panic!("not cut") };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(connection.cut.was_made());
    }

    #[test]
    fn who_takes_a_byte_now_and_then_is_waited_for() {
        let mut connection = patient(Duration::from_mins(1));
        assert!(connection.judge(Poll::Pending).is_pending());
        let since = connection.waiting_since;
        assert!(connection.judge(Poll::Pending).is_pending());
        assert!(since.is_some() && connection.waiting_since == since, "the clock runs on");
        assert!(connection.judge(Poll::Ready(Ok(1))).is_ready());
        assert!(connection.waiting_since.is_none() && !connection.cut.was_made());
    }
}
