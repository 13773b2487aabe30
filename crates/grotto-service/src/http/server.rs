//! Connections.
//!
//! Owns: accepting them, how many there are, how long a request may take to begin, and ending them in good order.
//! Never: reads a request; that is the router's.

use super::patient::Patient;
use axum::Router;
use grotto::engine::env::Env;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Longest head of a request in bytes.
const MAX_HEAD: usize = 64 << 10;
/// Wait after the system refused a connection: for want of files, most likely.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// Limits of connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Most connections at once.
    pub(crate) max_connections: usize,
    /// Longest time until the head of a request is there, also of the next one on the same connection.
    pub(crate) header_timeout: Duration,
    /// Longest time in which nobody reads of an answer.
    pub(crate) write_timeout: Duration,
}

/// Serves until `stop` says so, then lets requests under way end for as long as `patience`.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    env: Env,
    mut stop: watch::Receiver<bool>,
    patience: Duration,
) {
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &slots, &env) => accepted,
        };
        let Some((stream, slot)) = accepted else {
            continue;
        };
        let (router, env, stop) = (router.clone(), env.clone(), stop.clone());
        connections.spawn(async move {
            converse(stream, router, limits, env, stop).await;
            drop(slot);
        });
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if env.within(patience, ended).await.is_err() {
        tracing::warn!("ending before all requests are answered");
    }
}

/// Waits until serving is to end, or nobody is left to say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The next connection, once there is a slot for it: more of them wait in the system's queue.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    env: &Env,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            env.sleep(AFTER_REFUSAL).await;
            None
        }
    }
}

async fn converse(
    stream: TcpStream,
    router: Router,
    limits: Limits,
    env: Env,
    mut stop: watch::Receiver<bool>,
) {
    // Answers are small: nothing is gained by waiting for more of them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot send answers at once");
    }
    let io = TokioIo::new(Patient::new(stream, env, limits.write_timeout));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(io, TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
