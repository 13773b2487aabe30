//! A connection whose other side has to read.
//!
//! Owns: giving up on answers that nobody reads, or too slowly. Never: limits how long a request takes to come; the
//! server does.

use super::guard::Counts;
use grotto::engine::env::Env;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How fast answers have to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Longest time in which nothing is read.
    pub(crate) patience: Duration,
    /// Bytes a second that are to be read in the long run.
    pub(crate) least_rate: u64,
}

/// Time for which an answer may still wait for its reader. What is read gives time back, so that a reader who takes a
/// byte now and then gets no more of it than one who takes none.
#[derive(Debug)]
struct Allowance {
    pace: Pace,
    left: Duration,
}

impl Allowance {
    fn new(pace: Pace) -> Self {
        let left = pace.patience;
        Self { pace, left }
    }

    fn is_full(&self) -> bool {
        self.left == self.pace.patience
    }

    fn spend(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }

    fn gain(&mut self, time: Duration) {
        self.left = self.left.saturating_add(time).min(self.pace.patience);
    }

    fn gain_by(&mut self, bytes: u64) {
        let micros = bytes.saturating_mul(1_000_000) / self.pace.least_rate.max(1);
        self.gain(Duration::from_micros(micros));
    }
}

/// Writes fail when they wait for too long.
pub(super) struct Patient<S> {
    stream: S,
    env: Env,
    counts: Arc<Counts>,
    allowance: Allowance,
    /// When the wait began, or the last one ended.
    since: Duration,
    waiting: Option<Wait>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, env: Env, pace: Pace, counts: Arc<Counts>) -> Self {
        Self {
            stream,
            env,
            counts,
            allowance: Allowance::new(pace),
            since: Duration::ZERO,
            waiting: None,
        }
    }

    /// What a write of so many bytes came to; an error once writes have waited for too long.
    fn patiently<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
        bytes: u64,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.waiting.take().is_some() {
                let now = self.env.clock.monotonic();
                self.allowance.spend(now.saturating_sub(self.since));
                self.since = now;
            }
            if !self.allowance.is_full() {
                self.allowance.gain_by(bytes);
            }
            return written;
        }
        let waiting = match &mut self.waiting {
            Some(waiting) => waiting,
            none => {
                let now = self.env.clock.monotonic();
                // While nothing waited.
                self.allowance.gain(now.saturating_sub(self.since));
                self.since = now;
                let (env, left) = (self.env.clone(), self.allowance.left);
                none.insert(Box::pin(async move { env.sleep(left).await }))
            }
        };
        ready!(waiting.as_mut().poll(cx));
        self.counts.note_unread();
        tracing::info!("an answer was given up: nobody reads it, or too slowly");
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "nobody reads the answer, or too slowly",
        )))
    }
}

/// Bytes that were written.
fn amount(written: &Poll<io::Result<usize>>) -> u64 {
    match written {
        Poll::Ready(Ok(bytes)) => *bytes as u64,
        _ => 0,
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        let amount = amount(&written);
        self.patiently(cx, written, amount)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        let amount = amount(&written);
        self.patiently(cx, written, amount)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.patiently(cx, flushed, 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.patiently(cx, shut, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_read_at_the_rate_gives_the_time_back_that_waiting_takes() {
        let second = Duration::from_secs(1);
        let mut allowance = Allowance::new(Pace {
            patience: 3 * second,
            least_rate: 1000,
        });
        for _ in 0..100 {
            allowance.spend(second);
            allowance.gain_by(1000);
        }
        assert!(allowance.is_full());
        for _ in 0..2 {
            allowance.spend(second);
            allowance.gain_by(1);
        }
        assert_eq!(allowance.left, Duration::from_millis(1002));
        allowance.spend(2 * second);
        assert_eq!(allowance.left, Duration::ZERO);
        allowance.gain(100 * second);
        assert!(allowance.is_full());
    }
}
