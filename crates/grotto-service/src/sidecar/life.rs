//! The life of a sidecar.
//!
//! Owns: the order of start and end, and obeying signals meanwhile. Never: knows what a request is about.

use super::changes::Numbers;
use super::daemon::{Daemon, InForce, consumer_of};
use super::followed::{Followed, OnVersion, Stores};
use super::look::{self, OnLook};
use super::reader::Drops;
use super::routes::{OPEN, routes};
use super::turns::Turns;
use super::{seen, telling};
use crate::config::{ConsumerSettings, Environment, Settings, group_number, read_token};
use crate::http::body::Memory;
use crate::http::crew::Crew;
use crate::http::guard::{Guard, Hosts};
use crate::http::listen::{self, Socket};
use crate::http::paths::router;
use crate::http::patient::Pace;
use crate::http::server::{self, Limits, Listener};
use crate::live::{Live, Origin};
use crate::logs::LogControl;
use crate::operators::{self, LAST_ANSWERS, OnListen};
use crate::supervise::{self, Signals};
use grotto::engine::env::Env;
use grotto::{Error, Result};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// The setting that says how many connections there may be.
const MAX_CONNECTIONS: &str = "consumer.listeners.max_connections";

/// How a sidecar starts.
pub struct Start {
    /// Configuration file.
    pub path: PathBuf,
    /// Variables of the environment: those named `GROTTO_CONSUMER_…`, and the short names, win over the file.
    pub environment: Environment,
    /// The log, whose level the configuration sets.
    pub log: LogControl,
    /// Who this is, unless the configuration says.
    pub id: String,
    /// Is told of the address once requests are answered, besides the log.
    pub on_listen: Option<OnListen>,
    /// Is told of every version, besides the log.
    pub on_version: Option<OnVersion>,
    /// Is told how all is once a second, on a thread that may wait.
    pub on_look: Option<OnLook>,
}

impl std::fmt::Debug for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Start({})", self.path.display())
    }
}

/// Where a sidecar listens.
struct Listeners {
    tcp: TcpListener,
    unix: Option<(UnixListener, Socket)>,
}

/// Runs a sidecar until it is told to end by SIGTERM or SIGINT. A dataset that does not open leaves the others alone and is
/// tried again, so that it may be published for the first time after the start.
///
/// # Errors
/// `Invalid` when the configuration is wrong; `Busy` when the port or the socket is taken.
pub async fn run(start: Start) -> Result<()> {
    // A signal that comes while all is being opened is not lost.
    let mut signals = Signals::catch()?;
    let env = Env::system();
    let watchdog = supervise::watchdog_interval(&start.environment, std::process::id());
    let origin = Origin {
        path: start.path,
        environment: start.environment,
    };
    let live = Live::load("consumer", origin)?;
    let all = live.settings();
    let settings = consumer_of(all.clone())?;
    start.log.set(settings.monitoring.log_level.as_str())?;
    let followed = followed(&env, &all, &settings)?;
    // Taken before anything is opened: two sidecars of one configuration end here.
    let listeners = listen(&settings).await?;
    let address = listeners.tcp.local_addr();
    let address =
        address.map_err(|e| Error::internal(format!("the listener has no address: {e}")))?;
    let (stop, stopped) = watch::channel(false);
    let id = seen::name(settings.id.as_deref(), &start.id, address.port());
    let daemon = assemble(
        &env,
        live,
        &settings,
        followed,
        id.clone(),
        stopped.clone(),
        start.log,
    )?;
    let mut tasks = JoinSet::new();
    let stores = Arc::new(Stores::default());
    for one in daemon.datasets.values() {
        let opening =
            Arc::clone(one).open(Arc::clone(&stores), id.clone(), start.on_version.clone());
        tasks.spawn(opening);
    }
    tasks.spawn(telling::watch(Arc::clone(&daemon)));
    tasks.spawn(telling::tell_figures(Arc::clone(&daemon)));
    if let Some(tell) = start.on_look {
        tasks.spawn(look::look(Arc::clone(&daemon), tell));
    }
    if let Some(interval) = watchdog {
        tasks.spawn(supervise::feed_watchdog(env.clone(), interval));
    }
    let served = serve(&daemon, &settings, listeners, &stopped)?;
    tracing::info!(address = %address, id = daemon.id, "listening");
    if let Some(tell) = start.on_listen {
        tell(address);
    }
    operators::tell_ready(&daemon).await;
    operators::obey(&daemon, &mut signals).await;
    // Nothing is opened any more.
    drop(tasks);
    end(&daemon, supervise::second(&mut signals), &stop, served).await;
    Ok(())
}

/// The datasets of a configuration, none of them open.
pub(super) fn followed(
    env: &Env,
    all: &Settings,
    settings: &ConsumerSettings,
) -> Result<BTreeMap<String, Arc<Followed>>> {
    let mut datasets = BTreeMap::new();
    for one in settings.datasets() {
        let name = one.dataset.clone().or_else(|| {
            // As those who read take it.
            let only = settings.listed.is_empty();
            only.then(|| all.dataset(crate::config::Role::Writer))?
        });
        let missing =
            "expected a key `consumer.dataset` or entries of `consumer.datasets`, found none";
        let name = name.ok_or_else(|| Error::invalid(missing))?;
        let followed = Followed::new(&name, one, all.store_of(one), env.clone());
        datasets.insert(name, Arc::new(followed));
    }
    Ok(datasets)
}

async fn listen(settings: &ConsumerSettings) -> Result<Listeners> {
    let listeners = &settings.listeners;
    let tcp = listen::tcp(listeners.address, settings.monitoring.health_check_port).await?;
    let group = listeners.socket_group.as_deref();
    let group = group.map(group_number).transpose()?;
    let unix = listeners.socket.as_deref();
    let unix = unix.map(|path| listen::unix(path, listeners.socket_mode.0, group));
    Ok(Listeners {
        tcp,
        unix: unix.transpose()?,
    })
}

pub(super) fn assemble(
    env: &Env,
    live: Live,
    settings: &ConsumerSettings,
    datasets: BTreeMap<String, Arc<Followed>>,
    id: String,
    stopped: watch::Receiver<bool>,
    log: LogControl,
) -> Result<Arc<Daemon>> {
    let token = settings.security.token_file.as_deref();
    let token = token.map(read_token).transpose()?;
    // Who has the token is no page in a browser.
    let hosts = match token {
        Some(_) => Hosts::Any,
        None => Hosts::Local,
    };
    let tcp = Guard::new(env.clone(), token, OPEN, hosts, MAX_CONNECTIONS).quiet();
    // The mode of the socket says who may ask there.
    let unix = Guard::new(env.clone(), None, OPEN, Hosts::Any, MAX_CONNECTIONS).quiet();
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Ok(Arc::new(Daemon {
        begun: env.clock.monotonic(),
        env: env.clone(),
        id,
        datasets,
        live,
        in_force: RwLock::new(InForce::of(settings)),
        tcp: Arc::new(tcp),
        unix: Arc::new(unix),
        memory: Memory::new(settings.listeners.max_body_memory.0),
        answers: Memory::new(settings.listeners.max_answer_memory.0),
        numbers: Numbers::default(),
        waiting: Arc::new(Semaphore::new(count(settings.limits.max_waiting))),
        resuming: Arc::new(Semaphore::new(count(settings.limits.max_resuming))),
        drops: Drops::default(),
        turns: Turns::new(processors(), env.clone()),
        stopped,
        log,
    }))
}

/// Serves on all listeners; the tasks end with the sidecar.
fn serve(
    daemon: &Arc<Daemon>,
    settings: &ConsumerSettings,
    listeners: Listeners,
    stopped: &watch::Receiver<bool>,
) -> Result<JoinSet<()>> {
    let mut served = JoinSet::new();
    let crew = Arc::new(Crew::new(processors())?);
    let listed = &settings.listeners;
    let limits = |guard: &Guard| Limits {
        max_connections: usize::try_from(listed.max_connections).unwrap_or(usize::MAX),
        header_timeout: listed.header_timeout,
        pace: Pace {
            patience: listed.body_timeout,
            least_rate: server::LEAST_RATE,
        },
        counts: Arc::clone(guard.counts()),
    };
    let (tcp, unix) = (
        router(routes(), daemon, &daemon.tcp),
        router(routes(), daemon, &daemon.unix),
    );
    let env = &daemon.env;
    served.spawn(until(
        listeners.tcp,
        tcp,
        limits(&daemon.tcp),
        Arc::clone(&crew),
        env.clone(),
        stopped.clone(),
        None,
    ));
    if let Some((listener, socket)) = listeners.unix {
        let socket = Some(socket);
        served.spawn(until(
            listener,
            unix,
            limits(&daemon.unix),
            crew,
            env.clone(),
            stopped.clone(),
            socket,
        ));
    }
    Ok(served)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Serves on one listener. The path of a socket goes first, so that nobody connects to what is ending.
async fn until(
    listener: impl Listener,
    router: axum::Router,
    limits: Limits,
    crew: Arc<Crew>,
    env: Env,
    stopped: watch::Receiver<bool>,
    socket: Option<Socket>,
) {
    let mut ending = stopped.clone();
    let gone = async move {
        let _ = ending.wait_for(|stopped| *stopped).await;
        drop(socket);
    };
    let end = server::End {
        // Nothing is left to be done that answers wait for.
        drained: stopped.clone(),
        stop: stopped,
        patience: LAST_ANSWERS,
    };
    let served = server::serve(listener, router, limits, env, Some(crew), end);
    tokio::join!(served, gone);
}

/// Accepts nothing more, lets refreshes under way end, and ends. A `second` request to end is obeyed at once.
pub(super) async fn end(
    daemon: &Daemon,
    second: impl Future<Output = ()>,
    stop: &watch::Sender<bool>,
    mut served: JoinSet<()>,
) {
    let patience = daemon.datasets.values().map(|one| one.patience()).max();
    supervise::tell_stopping(patience.unwrap_or_default() + 2 * LAST_ANSWERS);
    tracing::info!("ending");
    // Whoever watches has nobody left to tell.
    let _ = stop.send(true);
    let ended = async {
        while let Some(ended) = served.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "serving ended early");
            }
        }
        let mut ending = JoinSet::new();
        for one in daemon.datasets.values() {
            let one = Arc::clone(one);
            ending.spawn(async move { one.end().await });
        }
        while let Some(ended) = ending.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "ending a dataset failed");
            }
        }
    };
    tokio::select! {
        () = ended => tracing::info!("ended"),
        () = second => tracing::warn!("ended at once"),
    }
}
