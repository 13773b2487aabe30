//! What processes with pipelines have in common: their records, settings and disks.
//!
//! Owns: how a submission is written as records, read back and set aside. Never: submits.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use grotto_env::{FileOperation, ForgetfulFiles};
use grotto_producer::Error;
use grotto_producer::pipeline::{Batch, Batching, Durability, Pipeline, PipelineOptions};
use grotto_producer::wal::WalOptions;
use grotto_state::State;
use grotto_store::RetryPolicy;

use super::stage::Stage;
use crate::check::MARKER;
use crate::dice::Dice;
use crate::fault::Fault;
use crate::store::Client;

/// The schema of the stream.
pub(super) const SCHEMA: &str = "Road @PrimaryKey(id) { long id; long length; }";

/// A submission.
pub(super) fn batch(
    pipeline: &Pipeline,
    changes: impl IntoIterator<Item = (i64, Option<i64>)>,
) -> Result<Batch, Error> {
    let mut batch = pipeline.batch();
    for (key, value) in changes {
        match value {
            Some(value) => {
                batch.upsert_json("Road", &format!(r#"{{"id":{key},"length":{value}}}"#), 1)?;
            }
            None => batch.delete_from("Road", key)?,
        }
    }
    Ok(batch)
}

/// Where an acknowledgement lives, in one of three seeds in the store.
pub(super) fn durability(dice: &Dice, log: &str) -> Durability {
    match dice.chance(350) {
        true => Durability::Store,
        false => Durability::Host(log.into()),
    }
}

/// Settings that have much happen in little time.
pub(super) fn options(dice: &Dice, durability: Durability) -> PipelineOptions {
    let pending = dice.within(4..40) as usize;
    PipelineOptions {
        durability,
        wal: WalOptions {
            segment_bytes: dice.within(600..4_000),
            max_bytes: [8_000, 40_000, 1 << 30][dice.below(3) as usize],
            remembered_keys: dice.below(5) as usize,
            kept_slots: dice.below(4) as usize,
            ..WalOptions::default()
        },
        batching: Batching {
            max_batch_size: dice.within(1..12) as usize,
            batch_timeout: dice.millis(1..400),
            max_pending_records: pending,
            memory_pressure_threshold: pending.saturating_sub(2).max(1),
            ..Batching::default()
        },
        retry: RetryPolicy {
            first_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(5),
            ..PipelineOptions::default().retry
        },
        drain_timeout: Duration::from_secs(20),
        ..PipelineOptions::default()
    }
}

/// Operations of a disk that fail, and how often.
const FAILING: [FileOperation; 7] = [
    FileOperation::Create,
    FileOperation::Append,
    FileOperation::Append,
    FileOperation::Sync,
    FileOperation::Sync,
    FileOperation::Name,
    FileOperation::SyncFolder,
];

/// A fault of a disk that is not one of its host.
pub(super) fn fail(stage: &Stage, dice: &Dice, disk: &ForgetfulFiles) {
    if dice.chance(200) {
        stage.sim.count(Fault::FullDisk);
        let full = dice.chance(600);
        return disk.set_capacity(full.then(|| dice.within(1_000..6_000)));
    }
    stage.sim.count(Fault::FailedLog);
    disk.fail_next(*dice.pick(&FAILING), dice.below(3));
}

/// No fault that is planned happens any more.
pub(super) fn mend(disk: &ForgetfulFiles) {
    disk.set_capacity(None);
    disk.die_at(u64::MAX);
    for kind in FAILING {
        disk.fail_next(kind, u64::MAX);
    }
}

/// Waits for a call, or for the death of the process that makes it.
pub(super) async fn survive<T>(client: &Client, call: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = client.died() => None,
        answer = call => Some(answer),
    }
}

/// The tokens of submissions in a file of what was set aside.
pub(super) fn tokens(bytes: &[u8]) -> Vec<i64> {
    let marked = upserts(bytes).into_iter().filter(|(id, _)| *id == MARKER);
    marked.map(|(_, token)| token).collect()
}

/// The records that are upserted in a file of what was set aside.
pub(super) fn upserts(bytes: &[u8]) -> Vec<(i64, i64)> {
    let text = String::from_utf8_lossy(bytes);
    let start = r#"{"op":"upsert","type":"Road","record":{"id":"#;
    let upsert = |line: &str| {
        let record = line.strip_prefix(start)?.strip_suffix("}}")?;
        let (id, length) = record.split_once(r#","length":"#)?;
        Some((id.parse().ok()?, length.parse().ok()?))
    };
    text.lines().filter_map(upsert).collect()
}

/// The records of a state, by key.
pub(super) fn records(state: &State) -> BTreeMap<i64, i64> {
    let Ok(road) = state.type_id("Road") else {
        return BTreeMap::new();
    };
    let records = state.scan(road);
    records
        .map(|road| (road.word(0) as i64, road.word(1) as i64))
        .collect()
}
