//! The life of a producer daemon.
//!
//! Owns: the order of start and end, and obeying signals meanwhile. Never: knows what a request is about.

use super::collecting::collect_on_schedule;
use super::daemon::Daemon;
use super::kept::Kept;
use super::open::{name, open};
use super::open_again::Company;
use super::routes::{OPEN, routes};
use super::telling::{OnPublish, tell_figures};
use crate::config::{Environment, LeadershipRole, ProducerSettings, read_token};
use crate::http::body::Memory;
use crate::http::guard::{Guard, Hosts};
use crate::http::listen;
use crate::http::paths::router;
use crate::http::patient::Pace;
use crate::http::server::{self, Limits};
use crate::live::{Live, Origin};
use crate::logs::LogControl;
use crate::operators::{self, LAST_ANSWERS, OnListen};
use crate::push::Pushes;
use crate::supervise::{self, Signals};
use grotto::engine::env::Env;
use grotto::producer::pipeline::Pipeline;
use grotto::{Error, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The setting that says how many connections there may be.
const MAX_CONNECTIONS: &str = "producer.listeners.max_connections";

/// How a daemon starts.
pub struct Start {
    /// Configuration file.
    pub path: PathBuf,
    /// Variables of the environment: those named `GROTTO_PRODUCER_…` win over the file.
    pub environment: Environment,
    /// The log, whose level the configuration sets.
    pub log: LogControl,
    /// Who publishes, for those who read the log of a store.
    pub writer: String,
    /// Is told of the address once records are taken in, besides the log.
    pub on_listen: Option<OnListen>,
    /// Is told of every version, besides the log.
    pub on_publish: Option<OnPublish>,
}

impl std::fmt::Debug for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Start({})", self.path.display())
    }
}

/// Runs a daemon until it is told to end by SIGTERM or SIGINT: what is acknowledged is published then, for as long
/// as `producer.reliability.shutdown_timeout` says; the rest is published after the next start.
///
/// # Errors
/// `Invalid` when the configuration is wrong; the first reason when no dataset starts; `Busy` when the port is
/// taken; `Fenced` when other producers took over all datasets, unless these stand by then.
pub async fn run(start: Start) -> Result<()> {
    // A signal that comes while all is being opened is not lost.
    let mut signals = Signals::catch()?;
    let env = Env::system();
    let watchdog = supervise::watchdog_interval(&start.environment, std::process::id());
    let origin = Origin {
        path: start.path,
        environment: start.environment,
    };
    let live = Live::load("producer", origin)?;
    let settings = live.settings().producer;
    let settings =
        settings.ok_or_else(|| Error::invalid("expected a section `producer`, found none"))?;
    start.log.set(settings.monitoring.log_level.as_str())?;
    // Taken before anything else is opened: two daemons of one configuration end here.
    let port = settings.monitoring.health_check_port;
    let listener = listen::tcp(settings.listeners.address, port).await?;
    let address = listener
        .local_addr()
        .map_err(|e| Error::internal(format!("the listener has no address: {e}")))?;
    let daemon = assemble(&env, live, &settings, &start.writer, start.log).await?;
    let (stop, stopped) = watch::channel(false);
    let (drained, is_drained) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let (fenced, mut is_fenced) = watch::channel(None);
    let company = Company {
        fenced,
        writer: start.writer,
        on_publish: start.on_publish,
        stopped: stopped.clone(),
    };
    for name in daemon.datasets.keys() {
        tasks.spawn(company.clone().keep(Arc::clone(&daemon), name.clone()));
    }
    for name in daemon.datasets.keys() {
        let (daemon, name) = (Arc::clone(&daemon), name.clone());
        tasks.spawn(collect_on_schedule(daemon, name, stopped.clone()));
    }
    tasks.spawn(tell_figures(Arc::clone(&daemon)));
    if let Some(interval) = watchdog {
        tasks.spawn(supervise::feed_watchdog(env.clone(), interval));
    }
    let served = tokio::spawn(server::serve(
        listener,
        router(routes(), &daemon, &daemon.guard),
        limits(&settings, &daemon.guard),
        env.clone(),
        None,
        server::End {
            stop: stopped,
            drained: is_drained,
            patience: LAST_ANSWERS,
        },
    ));
    tracing::info!(address = %address, "listening");
    if let Some(tell) = start.on_listen {
        tell(address);
    }
    operators::tell_ready(&daemon).await;
    let lost = tokio::select! {
        () = operators::obey(&daemon, &mut signals) => None,
        lost = is_fenced.wait_for(Option::is_some) => lost.ok().and_then(|lost| lost.clone()),
    };
    end(&daemon, &mut signals, (&stop, &drained), served).await?;
    lost.map_or(Ok(()), Err)
}

fn limits(settings: &ProducerSettings, guard: &Guard) -> Limits {
    let listeners = &settings.listeners;
    Limits {
        max_connections: usize::try_from(listeners.max_connections).unwrap_or(usize::MAX),
        header_timeout: listeners.header_timeout,
        pace: Pace {
            patience: listeners.body_timeout,
            least_rate: server::LEAST_RATE,
        },
        counts: Arc::clone(guard.counts()),
    }
}

/// Starts every dataset; those that fail leave the others alone.
async fn assemble(
    env: &Env,
    live: Live,
    settings: &ProducerSettings,
    writer: &str,
    log: LogControl,
) -> Result<Arc<Daemon>> {
    let token = settings.security.token_file.as_deref();
    let token = token.map(read_token).transpose()?;
    let pushes = Arc::new(Pushes::default());
    let datasets = open_all(settings, writer, &pushes).await?;
    if datasets.values().all(|kept| kept.failure().is_some()) {
        let first = datasets.into_values().find_map(|kept| kept.failure());
        return Err(first.unwrap_or_else(|| Error::invalid("expected a dataset, found none")));
    }
    Ok(Arc::new(Daemon {
        begun: env.clock.monotonic(),
        guard: Arc::new(Guard::new(
            env.clone(),
            token,
            OPEN,
            Hosts::Any,
            MAX_CONNECTIONS,
        )),
        memory: Memory::new(settings.listeners.max_body_memory.0),
        env: env.clone(),
        datasets,
        live,
        log,
        pushes,
    }))
}

/// Opens datasets beside each other: one whose log is long keeps no other one waiting.
async fn open_all(
    settings: &ProducerSettings,
    writer: &str,
    pushes: &Arc<Pushes>,
) -> Result<BTreeMap<String, Kept>> {
    let (mut opening, mut datasets) = (JoinSet::new(), BTreeMap::new());
    for dataset in settings.datasets() {
        let (name, dataset, writer) = (
            name(dataset)?.to_owned(),
            dataset.clone(),
            writer.to_owned(),
        );
        if dataset.leadership.role == LeadershipRole::Standby {
            datasets.insert(name.clone(), Kept::standby(&name, &dataset));
            continue;
        }
        let pushes = Arc::clone(pushes);
        opening.spawn(async move {
            let opened = open(&dataset, &writer, &pushes).await;
            (Kept::new(&name, &dataset, opened), name)
        });
    }
    while let Some(opened) = opening.join_next().await {
        let (kept, name) =
            opened.map_err(|e| Error::internal(format!("opening a dataset stopped: {e}")))?;
        if let Some(error) = kept.failure() {
            tracing::error!(dataset = name, %error, "the dataset does not start");
        }
        datasets.insert(name, kept);
    }
    Ok(datasets)
}

/// Accepts nothing more, publishes what is acknowledged, and ends. A second request to end is obeyed at once.
async fn end(
    daemon: &Daemon,
    signals: &mut Signals,
    (stop, drained): (&watch::Sender<bool>, &watch::Sender<bool>),
    served: tokio::task::JoinHandle<()>,
) -> Result<()> {
    let patience = daemon.pipelines().map(|one| timeout(daemon, &one)).max();
    let patience = patience.unwrap_or_default();
    supervise::tell_stopping(patience + 2 * LAST_ANSWERS);
    tracing::info!("ending: publishing what is acknowledged");
    // Whoever watches has nobody left to tell.
    let _ = stop.send(true);
    let drain = async {
        drain_all(daemon).await;
        let _ = drained.send(true);
        if let Err(error) = served.await {
            tracing::error!(%error, "serving ended early");
        }
    };
    tokio::select! {
        () = drain => tracing::info!("ended"),
        _ = supervise::second(signals) => tracing::warn!(
            "ended at once: what is acknowledged and not published is in the write-ahead log, where the dataset \
             has one"
        ),
    }
    Ok(())
}

/// How long a dataset may take to publish what is acknowledged.
fn timeout(daemon: &Daemon, pipeline: &Pipeline) -> Duration {
    let settings = daemon.dataset_settings(pipeline.dataset());
    let found = settings.map(|settings| settings.reliability.shutdown_timeout);
    found.unwrap_or(LAST_ANSWERS)
}

/// Ends all datasets beside each other.
async fn drain_all(daemon: &Daemon) {
    let mut draining = JoinSet::new();
    for pipeline in daemon.pipelines() {
        draining.spawn(async move {
            let drained = pipeline.shutdown().await;
            (pipeline.dataset().to_owned(), drained)
        });
    }
    while let Some(drained) = draining.join_next().await {
        match drained {
            Ok((dataset, drained)) => {
                let (left, version) = (drained.left, drained.version);
                tracing::info!(dataset, left, version, "dataset ended");
            }
            Err(error) => tracing::error!(%error, "ending a dataset failed"),
        }
    }
}
