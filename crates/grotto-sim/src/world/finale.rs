//! After faults ended: progress is demanded, and everything that is left is verified.
//!
//! Owns: what must be possible then, and how soon. Never: injects a fault.

use std::sync::Arc;
use std::time::Duration;

use grotto_format::log::LogEntry;
use object_store::path::Path;

use super::reader::{Reader, prove_announcements};
use super::settle::settle;
use super::stage::Stage;
use super::writer::Writer;
use crate::dice::Dice;
use crate::sim::DATASET;

/// Everybody gets to the newest version; every version is what it was.
pub(crate) async fn demand_progress(
    stage: &Arc<Stage>,
    dice: &Dice,
    writers: Vec<Writer>,
    mut readers: Vec<Reader>,
) {
    stage.sim.note("sim", format_args!("progress is demanded"));
    for mut writer in writers {
        if !writer.publish_surely(None).await {
            let what = "a writer cannot publish after faults ended";
            stage.sim.violation("sim", what);
        }
    }
    let mut last = publish_last(stage, dice).await;
    settle(stage, dice, &mut last, &mut readers).await;
    for reader in &mut readers {
        reader.await_attached().await;
    }
    for reader in &mut readers {
        reader.await_lease().await;
        reader.await_copy().await;
    }
    watch_room(stage, dice, &mut last, &mut readers).await;
    prove_announcements(stage, &mut last, &readers).await;
    if let Some(reader) = readers.first_mut() {
        verify_versions(stage, reader).await;
    }
    while *stage.sim.looks.lock() > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    verify_log(stage);
    verify_objects(stage);
}

/// A new process publishes a version, with a snapshot: whatever was damaged before, from there on
/// everybody can follow.
async fn publish_last(stage: &Arc<Stage>, dice: &Dice) -> Writer {
    let mut last = Writer::new(stage, 9, dice.split());
    loop {
        // Past whatever was lost, or those who have it would wait for more.
        let peak = stage.sim.ledger.lock().peak();
        if !last.publish_surely(None).await {
            let what = "a new writer cannot publish after faults ended";
            stage.sim.violation("sim", what);
            break;
        }
        if stage.sim.ledger.lock().head() > peak {
            break;
        }
    }
    if let Err(error) = last.snapshot().await {
        let what = format!("no snapshot after faults ended: {error}");
        stage.sim.violation("sim", what);
    }
    last
}

/// One version more, to which everybody goes in one step from a version that is known: then it is known
/// which files are of use.
async fn watch_room(stage: &Arc<Stage>, dice: &Dice, last: &mut Writer, readers: &mut [Reader]) {
    let head = stage.sim.ledger.lock().head();
    // Who holds the newest version back goes over it later.
    let before = readers
        .iter()
        .map(|reader| (reader.segments(), reader.serves(head)));
    let before: Vec<_> = before.collect();
    if !last.publish_surely(None).await {
        let what = "the last writer cannot publish again";
        stage.sim.violation("sim", what);
    }
    settle(stage, dice, last, readers).await;
    let is_step = stage.sim.ledger.lock().head() == head + 1;
    for (reader, (before, served_head)) in readers.iter_mut().zip(before) {
        if is_step && served_head && reader.hold().is_none() {
            reader.check_room(&before);
        }
    }
}

/// Every version that is in the log can be read, unless something was lost for good that it needs, and is
/// what it was. One that begins anew needs nothing before it.
async fn verify_versions(stage: &Stage, reader: &mut Reader) {
    let versions = stage.sim.ledger.lock().intact();
    for version in versions {
        if let Err(error) = reader.read(version, None).await
            && stage.sim.ledger.lock().is_readable(version)
        {
            let what = format!("version {version} cannot be read: {error}");
            stage.sim.violation("sim", what);
        }
    }
}

/// The log is the history that was seen to be written, and has all that was acknowledged.
fn verify_log(stage: &Stage) {
    let ledger = stage.sim.ledger.lock();
    let mut violations = ledger.missing();
    for version in ledger.intact() {
        let path = Path::from(format!("{DATASET}/log/{version:020}.json"));
        let found = stage.sim.objects.lock().get(&path);
        let found = found.and_then(|bytes| LogEntry::decode(&bytes).ok());
        let expected = ledger.at(version).map(|committed| &committed.entry);
        if found.as_ref() != expected {
            violations.push(format!("the entry of version {version} is not what landed"));
        }
    }
    drop(ledger);
    for what in violations {
        stage.sim.violation("log", what);
    }
}

/// Nothing piles up in the store: there is what the log names, and what attempts that failed may have left.
fn verify_objects(stage: &Stage) {
    let objects = stage.sim.objects.lock();
    let all = objects.list(&format!("{DATASET}/"));
    let probes = objects.list(&format!("{DATASET}/control/probe-"));
    drop(objects);
    let all: Vec<Path> = all.into_iter().map(|(path, _)| path).collect();
    let ledger = stage.sim.ledger.lock();
    let surplus = stage.sim.leftovers.lock().surplus(&ledger, &all);
    drop(ledger);
    for what in surplus {
        stage.sim.violation("store", what);
    }
    // Each by the death of its process, a refused removal, or because it landed late.
    let allowed = *stage.sim.left_probes.lock();
    if probes.len() > allowed {
        let what = format!(
            "{} probes are left, expected {allowed} at most",
            probes.len()
        );
        stage.sim.violation("store", what);
    }
}
