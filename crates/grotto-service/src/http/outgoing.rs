//! Texts on their way to who asked for them.
//!
//! Owns: the memory of a text, counted until the connection has sent it. Never: makes one.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::OwnedSemaphorePermit;

/// Most bytes that are handed to a connection at once.
const PIECE: usize = 64 << 10;

/// A text with its memory.
struct Counted {
    text: String,
    _memory: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// The bytes of a text, whose memory is counted until the last of them is let go of, in whichever pieces they are sent.
pub(crate) fn counted(text: String, memory: OwnedSemaphorePermit) -> Bytes {
    Bytes::from_owner(Counted {
        text,
        _memory: memory,
    })
}

/// A body that is handed out in pieces, of which the connection takes as many as it can send.
pub(crate) struct Pieces(pub(crate) Bytes);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.0.len().min(PIECE);
        let piece = self.0.split_to(length);
        Poll::Ready((length > 0).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::body::Memory;
    use futures::executor::block_on;
    use grotto::engine::env::Env;
    use http_body_util::BodyExt as _;
    use std::time::Duration;

    #[test]
    fn the_memory_of_a_text_is_free_once_its_last_piece_is_gone() {
        let memory = Memory::new(1 << 20);
        let all = memory.free();
        let text = "a".repeat(100_000);
        let taken = memory.take(text.len()).unwrap();
        let mut body = Pieces(counted(text, taken));
        let mut next = || {
            let frame = block_on(body.frame())?;
            frame.unwrap().into_data().ok()
        };
        let (first, second) = (next().unwrap(), next().unwrap());
        assert_eq!((first.len(), second.len(), next()), (65_536, 34_464, None));
        drop(body);
        drop(first);
        assert_eq!(memory.free(), all - 7);
        drop(second);
        assert_eq!(memory.free(), all);
    }

    #[tokio::test]
    async fn memory_is_made_to_fit_what_came_of_it() {
        let (memory, env) = (Memory::new(128 << 10), Env::system());
        let (never, hour) = (Duration::ZERO, Duration::from_secs(3600));
        let taken = memory.take(64 << 10).unwrap();
        let small = memory.fit(taken, 1, never, &env).await.unwrap();
        assert_eq!(memory.free(), 7);
        let large = memory.fit(small, 128 << 10, hour, &env).await.unwrap();
        assert_eq!(memory.free(), 0);
        assert!(memory.wait(1, never, &env).await.is_none());
        // There will never be so much.
        assert!(memory.wait(1 << 20, hour, &env).await.is_none());
        assert!(memory.fit(large, 1 << 20, hour, &env).await.is_none());
        assert_eq!(memory.free(), 8);
        assert!(memory.wait(128 << 10, hour, &env).await.is_some());
    }
}
