//! A consumer for programs without an async runtime.
//!
//! Owns: the thread on which the runtime of such a consumer lives. Never: does anything about versions; each
//! call waits for one of the async [`Consumer`](crate::Consumer).
//!
//! ```no_run
//! # fn example() -> Result<(), grotto_consumer::Error> {
//! use grotto_consumer::Consumer;
//! use grotto_store::{Store, StoreUrl};
//!
//! let store = Store::open(&StoreUrl::parse("/var/lib/grotto/store")?)?;
//! let consumer = Consumer::builder("cities", store).start_blocking()?; // polls in the background
//! let state = consumer.state();
//! consumer.refresh()?;
//! # let _ = state;
//! # Ok(())
//! # }
//! ```
//!
//! Calls that wait block their thread. Within async code they work too, and hold up whatever else that
//! thread would run: [`Consumer`](crate::Consumer) is better there.

use crate::builder::ConsumerBuilder;
use crate::consumer::Consumer as Inner;
use crate::error::{Error, Result};
use crate::listeners::ListenerHandle;
use crate::metrics::Metrics;
use crate::report::Refresh;
use crate::status::ConsumerStatus;
use crate::subscribe::{Subscribe, Subscription};
use grotto_state::State;
use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

impl ConsumerBuilder {
    /// [`start`](Self::start) for programs without an async runtime: the consumer brings its own, on a thread of
    /// its own.
    ///
    /// # Errors
    /// As [`start`](Self::start); `Unavailable` when the system gives no thread.
    pub fn start_blocking(self) -> Result<Consumer> {
        Consumer::begin(self.start())
    }

    /// [`open`](Self::open) for programs without an async runtime.
    ///
    /// # Errors
    /// As [`open`](Self::open); `Unavailable` when the system gives no thread.
    pub fn open_blocking(self) -> Result<Consumer> {
        Consumer::begin(self.open())
    }

    /// [`open_at`](Self::open_at) for programs without an async runtime.
    ///
    /// # Errors
    /// As [`open_at`](Self::open_at); `Unavailable` when the system gives no thread.
    pub fn open_at_blocking(self, version: u64) -> Result<Consumer> {
        Consumer::begin(self.open_at(version))
    }
}

/// Follows the versions of a dataset and serves the newest, without an async runtime around it.
///
/// Made by [`ConsumerBuilder::start_blocking`] and its siblings; can be shared by any number of threads.
/// Dropping it is as dropping a [`Consumer`](crate::Consumer): it waits for no refresh, but some 20 ms at
/// most for another use of its state directory, and may be done anywhere.
pub struct Consumer {
    // Dropped before the runtime that it needs.
    inner: Arc<Inner>,
    rim: Rim,
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Consumer {
    fn begin(started: impl Future<Output = Result<Inner>> + Send + 'static) -> Result<Self> {
        let rim = Rim::new()?;
        let inner = Arc::new(rim.wait(started)??);
        Ok(Self { inner, rim })
    }

    /// As [`Consumer::state`](crate::Consumer::state).
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.inner.state()
    }

    /// The version served now.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.inner.version()
    }

    /// Name of the dataset.
    #[must_use]
    pub fn dataset(&self) -> &str {
        self.inner.dataset()
    }

    /// As [`Consumer::refresh`](crate::Consumer::refresh).
    ///
    /// # Errors
    /// The same.
    pub fn refresh(&self) -> Result<Option<Refresh>> {
        let inner = Arc::clone(&self.inner);
        self.rim.wait(async move { inner.refresh().await })?
    }

    /// As [`Consumer::refresh_to`](crate::Consumer::refresh_to).
    ///
    /// # Errors
    /// The same.
    pub fn refresh_to(&self, version: u64) -> Result<Option<Refresh>> {
        let inner = Arc::clone(&self.inner);
        self.rim
            .wait(async move { inner.refresh_to(version).await })?
    }

    /// As [`Consumer::follow`](crate::Consumer::follow).
    ///
    /// # Errors
    /// The same.
    pub fn follow(&self) -> Result<Option<Refresh>> {
        let inner = Arc::clone(&self.inner);
        self.rim.wait(async move { inner.follow().await })?
    }

    /// As [`Consumer::wait_for`](crate::Consumer::wait_for).
    ///
    /// # Errors
    /// The same.
    pub fn wait_for(&self, version: u64, timeout: Duration) -> Result<Arc<State>> {
        let inner = Arc::clone(&self.inner);
        self.rim
            .wait(async move { inner.wait_for(version, timeout).await })?
    }

    /// As [`Consumer::on_refresh`](crate::Consumer::on_refresh). The listener may call this consumer.
    pub fn on_refresh(
        &self,
        listener: impl Fn(&Refresh) + Send + Sync + 'static,
    ) -> ListenerHandle {
        self.inner.on_refresh(listener)
    }

    /// As [`Consumer::on_error`](crate::Consumer::on_error). The listener may call this consumer.
    pub fn on_error(&self, listener: impl Fn(&Error) + Send + Sync + 'static) -> ListenerHandle {
        self.inner.on_error(listener)
    }

    /// As [`Consumer::subscribe`](crate::Consumer::subscribe); [`Subscription::wait`] takes an update on a thread.
    ///
    /// # Errors
    /// The same.
    pub fn subscribe(&self, wanted: Subscribe) -> Result<Subscription> {
        let inner = Arc::clone(&self.inner);
        self.rim
            .wait(async move { inner.subscribe(wanted).await })?
    }

    /// As [`Consumer::state_at`](crate::Consumer::state_at).
    ///
    /// # Errors
    /// The same.
    pub fn state_at(&self, version: u64) -> Result<Arc<State>> {
        let inner = Arc::clone(&self.inner);
        self.rim
            .wait(async move { inner.state_at(version).await })?
    }

    /// As [`Consumer::staleness`](crate::Consumer::staleness).
    #[must_use]
    pub fn staleness(&self) -> Duration {
        self.inner.staleness()
    }

    /// As [`Consumer::status`](crate::Consumer::status).
    #[must_use]
    pub fn status(&self) -> ConsumerStatus {
        self.inner.status()
    }

    /// As [`Consumer::look_now`](crate::Consumer::look_now).
    pub fn look_now(&self) {
        self.inner.look_now();
    }

    /// As [`Consumer::metrics`](crate::Consumer::metrics).
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        self.inner.metrics()
    }

    /// As [`Consumer::metrics_text`](crate::Consumer::metrics_text).
    #[must_use]
    pub fn metrics_text(&self) -> String {
        self.inner.metrics_text()
    }

    /// As [`Consumer::shutdown`](crate::Consumer::shutdown): waits for a refresh under way, for so long.
    pub fn shutdown(&self) {
        let inner = Arc::clone(&self.inner);
        if let Err(error) = self.rim.wait(async move { inner.shutdown().await }) {
            tracing::error!(%error, dataset = self.dataset(), "the shutdown ended early");
        }
    }
}

/// An async runtime on a thread of its own. It is built and dropped there: a runtime must not be dropped
/// within another one.
struct Rim {
    handle: Handle,
    /// Dropped to end it.
    _stop: oneshot::Sender<()>,
}

impl Rim {
    fn new() -> Result<Self> {
        let failed = |error| Error::unavailable("cannot start an async runtime").with_source(error);
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::channel();
        let thread = std::thread::Builder::new().name("grotto-consumer".to_owned());
        let run = move || match Builder::new_current_thread().enable_all().build() {
            Err(error) => drop(ready.send(Err(error))),
            Ok(runtime) => {
                drop(ready.send(Ok(runtime.handle().clone())));
                // Ends when the sender is dropped.
                let _ = runtime.block_on(stopped);
                // Work under way ends by itself, on the threads that it has.
                runtime.shutdown_background();
            }
        };
        thread.spawn(run).map_err(failed)?;
        let handle = started.recv().map_err(|_| ended_early())?.map_err(failed)?;
        Ok(Self {
            handle,
            _stop: stop,
        })
    }

    /// Runs a future there and waits for it here.
    fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        let (done, answer) = mpsc::channel();
        self.handle.spawn(async move {
            // What the future held is gone when its caller goes on. A caller is always there.
            let _ = done.send(future.await);
        });
        answer.recv().map_err(|_| ended_early())
    }
}

fn ended_early() -> Error {
    Error::internal("the consumer's own runtime ended early")
}
