//! The story of one seed.
//!
//! Owns: the three acts and who plays in them. Never: checks anything itself.

mod finale;
mod herald;
mod incidents;
mod operator;
mod reader;
mod relay;
mod road;
mod settle;
mod shelf;
mod stage;
mod streamer;
mod writer;

use std::time::Duration;

use crate::dice::Dice;
use crate::fault::Tally;
use crate::sim::Sim;
use operator::Operator;
use reader::Reader;
use relay::Relay;
use shelf::Library;
use stage::Stage;
use streamer::Streamer;
use writer::Writer;

/// How long it may take, in virtual time, until everybody has the newest version after faults ended.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Sets the chance of those apart who do not take part in every seed.
const OTHERS: u64 = 0x6f74_6865_7273;

/// How a seed ended.
#[derive(Clone, Debug)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// What happened that must not; empty for a good run.
    pub violations: Vec<String>,
    /// Faults injected.
    pub tally: Tally,
    /// Hash of all lines of the trace.
    pub hash: u64,
    /// The last lines of the trace, or all of them.
    pub trace: Vec<String>,
    /// Versions in the log at the end.
    pub versions: u64,
    /// Virtual time that passed.
    pub time: Duration,
}

/// Plays the story of a seed; `whole_trace` keeps every line of it.
///
/// # Errors
/// When the host gives no runtime.
pub fn run(seed: u64, whole_trace: bool) -> std::io::Result<Run> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    Ok(runtime.block_on(play(seed, whole_trace)))
}

async fn play(seed: u64, whole_trace: bool) -> Run {
    let dice = Dice::new(seed);
    let sim = Sim::new(whole_trace, dice.chance(400));
    let stage = Stage::new(&sim);
    let writers = (1..=dice.within(1..4)).map(|n| Writer::new(&stage, n, dice.split()));
    let readers = (1..=dice.within(1..4)).map(|n| Reader::new(&stage, n, dice.split()));
    let writers: Vec<_> = writers.map(|w| tokio::spawn(w.live())).collect();
    let readers: Vec<_> = readers.map(|r| tokio::spawn(r.live())).collect();
    let streamers = (0..dice.below(2)).map(|_| Streamer::new(&stage, dice.split()));
    let streamers: Vec<_> = streamers.map(|s| tokio::spawn(s.live())).collect();
    let operator = tokio::spawn(Operator::new(&stage, dice.split()).live());
    // Of their own chance: who else there is changes nothing for the others.
    let others = Dice::new(seed ^ OTHERS);
    let relay = others
        .chance(300)
        .then(|| Relay::begin(&stage, others.split()));
    let library = others
        .chance(300)
        .then(|| Library::begin(&stage, others.split()));
    stage.begin_herald(seed);
    incidents::rain(&stage, &dice).await;
    stage.heal().await;
    if let Some(relay) = relay {
        relay.prove().await;
    }
    if let Some(library) = library {
        library.prove().await;
    }
    let writers = join(&stage, writers).await;
    let readers = join(&stage, readers).await;
    join(&stage, vec![operator]).await;
    for streamer in join(&stage, streamers).await {
        streamer.prove().await;
    }
    finale::demand_progress(&stage, &dice, writers, readers).await;
    let (violations, tally, hash, trace) = sim.results();
    let versions = sim.ledger.lock().head();
    Run {
        seed,
        violations,
        tally,
        hash,
        trace,
        versions,
        time: sim.now(),
    }
}

/// Waits for actors to end what they are at.
async fn join<T>(stage: &Stage, tasks: Vec<tokio::task::JoinHandle<T>>) -> Vec<T> {
    let mut ended = Vec::new();
    for task in tasks {
        match tokio::time::timeout(PATIENCE, task).await {
            Ok(Ok(actor)) => ended.push(actor),
            Ok(Err(error)) => stage
                .sim
                .violation("sim", format!("an actor ended: {error}")),
            Err(_) => stage
                .sim
                .violation("sim", "a call does not return after faults ended"),
        }
    }
    ended
}
