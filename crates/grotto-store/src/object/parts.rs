//! Large objects, sent part by part.
//!
//! Owns: the upload of parts and its end. Never: copies a byte of what it sends, or sends a part of an object that must not
//! be written over: such an upload always overwrites.

use super::Store;
use crate::error::Result;
use crate::retry::RetryPolicy;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use grotto_env::Env;
use object_store::client::HttpErrorKind;
use object_store::path::Path;
use object_store::retry::{RetryContext, RetryFailure};
use object_store::{MultipartUpload, PutMultipartOptions, PutPayload};
use std::sync::Arc;

/// The most parts that an object may have, of all vendors.
const MOST_PARTS: u64 = 10_000;

impl Store {
    /// Whether an object of so many bytes is sent in parts. A folder takes it whole.
    pub(crate) fn takes_parts(&self, bytes: u64) -> bool {
        self.root.is_none() && bytes > self.options.parts.whole
    }

    /// Writes a large object, whatever was there; nothing of it is seen before all of it is there. Parts are tried again
    /// one by one, the whole once.
    pub(crate) async fn put_in_parts(&self, path: &Path, bytes: &Bytes) -> Result<()> {
        let again = PartRetry {
            policy: self.options.writes,
            env: self.env.clone(),
        };
        let options = PutMultipartOptions::default().with_retry_policy(Arc::new(again));
        let begin = self.objects.put_multipart_opts(path, options);
        let mut upload = self.limited("begin", path.as_ref(), 0, begin).await?;
        let sent = match self.send_parts(path, bytes, &mut *upload).await {
            Ok(()) => self.complete(path, bytes.len() as u64, &mut *upload).await,
            failed => failed,
        };
        if sent.is_err() {
            // The store keeps what it has of it, until a rule of the bucket removes that.
            if let Err(error) = self
                .limited("abort", path.as_ref(), 0, upload.abort())
                .await
            {
                tracing::warn!(%error, %path, "parts of an upload that failed stay in the store");
            }
        }
        sent
    }

    async fn send_parts(
        &self,
        path: &Path,
        bytes: &Bytes,
        upload: &mut dyn MultipartUpload,
    ) -> Result<()> {
        let parts = self.options.parts;
        let length = bytes.len() as u64;
        let each = parts.bytes.max(length.div_ceil(MOST_PARTS)).max(1);
        let step = usize::try_from(each).unwrap_or(usize::MAX);
        let cuts = (0..bytes.len()).step_by(step);
        let sends = cuts.map(|at| {
            let part = bytes.slice(at..bytes.len().min(at.saturating_add(step)));
            let tries = u64::from(self.options.writes.tries.max(1));
            let moved = (part.len() as u64).saturating_mul(tries);
            let send = upload.put_part(PutPayload::from(part));
            self.limited("send a part of", path.as_ref(), moved, send)
        });
        let sends = futures::stream::iter(sends).buffer_unordered(parts.at_once.max(1));
        sends.try_collect().await
    }

    /// An error may follow a success: the object is there then, as nobody else has its name.
    async fn complete(
        &self,
        path: &Path,
        length: u64,
        upload: &mut dyn MultipartUpload,
    ) -> Result<()> {
        let complete = upload.complete();
        let Err(error) = self.limited("complete", path.as_ref(), 0, complete).await else {
            return Ok(());
        };
        match self.reading(|| self.length(path)).await {
            Ok(Some(found)) if found == length => Ok(()),
            _ => Err(error),
        }
    }
}

/// The rules of the store, for one part.
#[derive(Debug)]
struct PartRetry {
    policy: RetryPolicy,
    env: Env,
}

#[async_trait]
impl object_store::retry::RetryPolicy for PartRetry {
    async fn retry(&self, context: RetryContext) -> bool {
        let passes = match context.failure {
            RetryFailure::Status(status) => matches!(status.as_u16(), 200 | 408 | 429 | 500..=599),
            RetryFailure::Transport(kind) => kind != HttpErrorKind::Unknown,
            _ => false,
        };
        let tried = u32::try_from(context.attempt).unwrap_or(u32::MAX);
        if !passes || tried >= self.policy.tries {
            return false;
        }
        let delay = self.policy.delay(tried, &*self.env.random);
        tracing::debug!(tried, delay_ms = delay.as_millis(), "sending a part again");
        self.env.sleep(delay).await;
        true
    }
}
