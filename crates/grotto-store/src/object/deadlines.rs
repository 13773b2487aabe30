//! One operation of a store, which has to answer in time.
//!
//! Owns: how long it may take, and what the breaker hears of it. Never: tries it again.

use super::Store;
use crate::error::{Error, Result, from_store};
use object_store::Error as ObjectError;
use std::future::Future;
use std::time::Duration;

impl Store {
    /// Runs one operation under its deadline, which grows with the bytes it may move, if the breaker
    /// lets it pass.
    pub(super) async fn limited<T>(
        &self,
        action: &str,
        path: &str,
        bytes: u64,
        operation: impl Future<Output = Result<T, ObjectError>>,
    ) -> Result<T> {
        self.guarded(action, path, self.within(bytes, operation))
            .await
    }

    /// Runs a part of an operation under the deadline of one that may move so many bytes, which is told if it passes.
    pub(super) async fn within<T>(
        &self,
        bytes: u64,
        part: impl Future<Output = T>,
    ) -> Result<T, Duration> {
        let deadline = self.options.deadline_for(bytes);
        self.env.within(deadline, part).await.map_err(|_| deadline)
    }

    /// Runs one operation, whose parts have deadlines, if the breaker lets it pass.
    pub(super) async fn guarded<T>(
        &self,
        action: &str,
        path: &str,
        operation: impl Future<Output = Result<Result<T, ObjectError>, Duration>>,
    ) -> Result<T> {
        if let Some(breaker) = &self.breaker {
            breaker.try_pass().map_err(|e| {
                Error::new(e.kind(), format!("cannot {action} {path}: {}", e.message()))
            })?;
        }
        let answer = match operation.await {
            Ok(answer) => answer.map_err(|e| from_store(action, path, self.place(), e)),
            Err(deadline) => {
                let store = self.bucket.as_deref().map(|bucket| format!(" in {bucket}"));
                Err(Error::unavailable(format!(
                    "cannot {action} {path}{}: no answer within {} s",
                    store.unwrap_or_default(),
                    deadline.as_secs()
                )))
            }
        };
        if let Some(breaker) = &self.breaker {
            breaker.record(&answer);
        }
        answer
    }
}
