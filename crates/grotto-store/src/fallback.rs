//! A store with another one to read from while it does not answer.
//!
//! Owns: when the other one is asked. Never: writes to it, or asks it for what the first one says is not there: a copy may
//! be behind, which costs news and nothing else.

use crate::breaker::{BreakerOptions, CircuitBreaker};
use crate::error::{Error, is_outage};
use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use grotto_env::Env;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Longest wait for the first store before the other one is asked.
const PATIENCE: Duration = Duration::from_secs(5);

/// Two stores that are read as one.
#[derive(Clone, Debug)]
pub(crate) struct Fallback(Arc<Stores>);

#[derive(Debug)]
struct Stores {
    first: Arc<dyn ObjectStore>,
    other: Arc<dyn ObjectStore>,
    /// Of the first: while it is open, the other one is asked at once.
    breaker: CircuitBreaker,
    /// How often the other one was asked.
    answers: Arc<AtomicU64>,
    env: Env,
}

impl Fallback {
    pub(crate) fn new(first: Arc<dyn ObjectStore>, other: Arc<dyn ObjectStore>, env: &Env) -> Self {
        let options = BreakerOptions {
            failures: 2,
            ..BreakerOptions::default()
        };
        Self(Arc::new(Stores {
            first,
            other,
            breaker: CircuitBreaker::new(Arc::clone(&env.clock), options),
            answers: Arc::default(),
            env: env.clone(),
        }))
    }

    /// How often the other store was asked.
    pub(crate) fn answers(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.answers)
    }

    /// The listing of the first store, or of the other one if the first does not begin.
    fn list_one(
        &self,
        prefix: Option<&Path>,
        after: Option<&Path>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let stores = Arc::clone(&self.0);
        let (prefix, after) = (prefix.cloned(), after.cloned());
        let chosen = async move {
            let open = |store: &dyn ObjectStore| match &after {
                Some(after) => store.list_with_offset(prefix.as_ref(), after),
                None => store.list(prefix.as_ref()),
            };
            let mut first = open(&*stores.first);
            match stores.first(first.try_next()).await {
                Some(Ok(begun)) => futures::stream::iter(begun.map(Ok)).chain(first).boxed(),
                Some(Err(refusal)) => futures::stream::once(async { Err(refusal) }).boxed(),
                None => open(&*stores.other),
            }
        };
        futures::stream::once(chosen).flatten().boxed()
    }
}

impl Stores {
    /// What the first store answers; `None` when it does not. A refusal is an answer.
    async fn first<T>(&self, ask: impl Future<Output = Result<T>>) -> Option<Result<T>> {
        let answer = self.ask_first(ask).await;
        if answer.is_none() {
            self.answers.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    async fn ask_first<T>(&self, ask: impl Future<Output = Result<T>>) -> Option<Result<T>> {
        self.breaker.try_pass().ok()?;
        let answer = self.env.within(PATIENCE, ask).await.ok();
        let told = match &answer {
            Some(Err(error)) if is_outage(error) => Err(Error::unavailable(error.to_string())),
            Some(_) => Ok(()),
            None => Err(Error::unavailable(format!(
                "no answer within {} s",
                PATIENCE.as_secs()
            ))),
        };
        self.breaker.record(&told);
        if let Err(error) = told {
            let (first, other) = (&self.first, &self.other);
            tracing::warn!(%error, %first, %other, "reading from the fallback store");
            return None;
        }
        answer
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, else {}", self.0.first, self.0.other)
    }
}

#[async_trait]
impl ObjectStore for Fallback {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.0.first.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.first.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match self
            .0
            .first(self.0.first.get_opts(location, options.clone()))
            .await
        {
            Some(answer) => answer,
            None => self.0.other.get_opts(location, options).await,
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.0.first.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.list_one(prefix, None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.list_one(prefix, Some(offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        match self.0.first(self.0.first.list_with_delimiter(prefix)).await {
            Some(answer) => answer,
            None => self.0.other.list_with_delimiter(prefix).await,
        }
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.first.copy_opts(from, to, options).await
    }
}
