//! Connections.
//!
//! Owns: accepting them, how many there are, how long a request may take to begin, and ending them in good order.
//! Never: reads a request; that is the router's.

use super::crew::Crew;
use super::guard::Counts;
use super::patient::{Pace, Patient};
use axum::{Extension, Router};
use grotto::engine::env::Env;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// Longest head of a request in bytes.
const MAX_HEAD: usize = 64 << 10;
/// Wait after the system refused a connection: for want of files, most likely.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// Connections beyond the limit, each for one request of those who ask whether the daemon is well.
const SPARE: usize = 8;

/// Bytes a second that are to be read of an answer in the long run: less, and it is given up.
pub(crate) const LEAST_RATE: u64 = 32 << 10;

/// Limits of connections.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Most connections at once.
    pub(crate) max_connections: usize,
    /// Longest time until the head of a request is there, also of the next one on the same connection.
    pub(crate) header_timeout: Duration,
    /// How fast answers have to be read.
    pub(crate) pace: Pace,
    /// Where it is counted who does not read.
    pub(crate) counts: Arc<Counts>,
}

/// Where connections come from.
pub(crate) trait Listener: Send + Sync {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next one.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Takes a connection out of the runtime that accepted it; what this gives puts it into the one that calls it.
    fn loose(
        stream: Self::Stream,
    ) -> io::Result<impl FnOnce() -> io::Result<Self::Stream> + Send + 'static>;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = Self::accept(self).await?;
        // Answers are small: nothing is gained by waiting for more of them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot send answers at once");
        }
        Ok(stream)
    }

    fn loose(
        stream: TcpStream,
    ) -> io::Result<impl FnOnce() -> io::Result<TcpStream> + Send + 'static> {
        let stream = stream.into_std()?;
        Ok(move || TcpStream::from_std(stream))
    }
}

#[cfg(unix)]
impl Listener for tokio::net::UnixListener {
    type Stream = tokio::net::UnixStream;

    async fn accept(&self) -> io::Result<tokio::net::UnixStream> {
        let (stream, _) = Self::accept(self).await?;
        Ok(stream)
    }

    fn loose(
        stream: tokio::net::UnixStream,
    ) -> io::Result<impl FnOnce() -> io::Result<tokio::net::UnixStream> + Send + 'static> {
        let stream = stream.into_std()?;
        Ok(move || tokio::net::UnixStream::from_std(stream))
    }
}

/// How serving ends.
#[derive(Debug)]
pub(crate) struct End {
    /// Nothing more is accepted once this says so.
    pub(crate) stop: watch::Receiver<bool>,
    /// Says when nothing is left to be done that answers wait for.
    pub(crate) drained: watch::Receiver<bool>,
    /// Longest time until the last answers are read from then on.
    pub(crate) patience: Duration,
}

/// A mark of requests on a connection that is one too many: only those are answered that ask whether the daemon is
/// well, as it is, only busy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OneTooMany;

/// Serves until told to end, on threads of their own or in the runtime that this is called in.
pub(crate) async fn serve<L: Listener>(
    listener: L,
    router: Router,
    limits: Limits,
    env: Env,
    crew: Option<Arc<Crew>>,
    mut end: End,
) {
    let slots = Slots {
        common: Arc::new(Semaphore::new(limits.max_connections)),
        spare: Arc::new(Semaphore::new(SPARE)),
    };
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = said(&mut end.stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &slots, &env) => accepted,
        };
        let Some((stream, slot)) = accepted else {
            continue;
        };
        let (router, limits) = (router.clone(), limits.clone());
        let (env, stop) = (env.clone(), end.stop.clone());
        let Some(crew) = &crew else {
            connections.spawn(async move {
                converse(stream, router, limits, env, stop, &slot).await;
                drop(slot);
            });
            continue;
        };
        let loose = L::loose(stream);
        crew.spawn(&mut connections, async move {
            match loose.and_then(|join| join()) {
                Ok(stream) => converse(stream, router, limits, env, stop, &slot).await,
                Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
            }
            drop(slot);
        });
    }
    drop(listener);
    let patience = async {
        said(&mut end.drained).await;
        env.sleep(end.patience).await;
    };
    let ended = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        () = ended => {}
        () = patience => tracing::warn!("ending before all requests are answered"),
    }
}

/// Waits until something is said, or nobody is left to say it.
async fn said(what: &mut watch::Receiver<bool>) {
    let _ = what.wait_for(|said| *said).await;
}

/// Room for connections.
struct Slots {
    common: Arc<Semaphore>,
    /// For those beyond.
    spare: Arc<Semaphore>,
}

/// The room of one connection.
enum Slot {
    Common(#[expect(dead_code, reason = "held while the connection lives")] OwnedSemaphorePermit),
    Spare(#[expect(dead_code, reason = "held while the connection lives")] OwnedSemaphorePermit),
}

/// The next connection. Those that find no spare slot either wait in the system's queue.
async fn accept<L: Listener>(listener: &L, slots: &Slots, env: &Env) -> Option<(L::Stream, Slot)> {
    let spare = Arc::clone(&slots.spare).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok(stream) => {
            let common = Arc::clone(&slots.common).try_acquire_owned();
            let slot = common.map_or_else(|_| Slot::Spare(spare), Slot::Common);
            Some((stream, slot))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            env.sleep(AFTER_REFUSAL).await;
            None
        }
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    router: Router,
    limits: Limits,
    env: Env,
    mut stop: watch::Receiver<bool>,
    slot: &Slot,
) {
    let is_common = matches!(slot, Slot::Common(_));
    let router = match is_common {
        true => router,
        false => router.layer(Extension(OneTooMany)),
    };
    let io = TokioIo::new(Patient::new(stream, env, limits.pace, limits.counts));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(is_common)
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(io, TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = said(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
