//! Getting everybody to the newest version once faults ended, past what readers hold back.
//!
//! Owns: what must be served without anybody's help, and what after a version was accepted. Never: accepts a version
//! before it was seen to be held.

use std::sync::Arc;
use std::time::Duration;

use super::PATIENCE;
use super::operator::Operator;
use super::reader::{Hold, Reader};
use super::stage::Stage;
use super::writer::Writer;
use crate::dice::Dice;

/// How a reader ended up.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Settled {
    /// At the newest version.
    Newest,
    /// It holds that back, and may.
    Held(Hold),
    /// It does not get there.
    Stuck,
}

/// Everybody gets to the newest version: what somebody holds back is accepted, or followed by a version that is
/// within the limits of all.
pub(crate) async fn settle(
    stage: &Arc<Stage>,
    dice: &Dice,
    last: &mut Writer,
    readers: &mut [Reader],
) {
    let held = await_all(stage, readers, false).await;
    let Some(reader) = held.first().copied() else {
        return;
    };
    if dice.chance(400) {
        release(stage, last, &mut readers[reader]).await;
        if await_all(stage, readers, false).await.is_empty() {
            return;
        }
    }
    let head = stage.sim.ledger.lock().head();
    let mut operator = Operator::new(stage, dice.split());
    if let Err(error) = operator.accept(head).await {
        let what = format!("version {head} cannot be accepted after faults ended: {error}");
        stage.sim.violation("sim", what);
    }
    await_all(stage, readers, true).await;
}

/// A version that has what a reader serves releases what it holds.
async fn release(stage: &Stage, last: &mut Writer, reader: &mut Reader) {
    let Some(content) = reader.content() else {
        return;
    };
    if !last.publish_surely(Some(&content)).await {
        let what = "the last writer cannot publish what was served before";
        stage.sim.violation("sim", what);
    }
}

/// Waits for all; gives the positions of those who hold the newest version back by their limits, which they may
/// unless it was accepted.
async fn await_all(stage: &Stage, readers: &mut [Reader], accepted: bool) -> Vec<usize> {
    let mut held = Vec::new();
    for (position, reader) in readers.iter_mut().enumerate() {
        if await_newest(stage, reader, accepted).await == Settled::Held(Hold::Limits) {
            held.push(position);
        }
    }
    held
}

/// Waits for a reader to have the newest version, or to hold it back.
async fn await_newest(stage: &Stage, reader: &mut Reader, accepted: bool) -> Settled {
    let head = stage.sim.ledger.lock().head();
    let until = stage.sim.now() + PATIENCE;
    let mut found = Ok(0);
    while stage.sim.now() < until {
        found = reader.catch_up().await;
        if matches!(found, Ok(version) if version == head) {
            return Settled::Newest;
        }
        if let Some(hold) = reader.hold().filter(|_| reader.has_seen(head))
            && (hold == Hold::Memory || !accepted)
            && !reader.must_let_in(head)
        {
            return Settled::Held(hold);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    // One that looks by itself may not know of the newest version, and holds one before it.
    if let Some(hold) = reader.hold()
        && (hold == Hold::Memory || !accepted)
        && !reader.must_let_in(head)
    {
        return Settled::Held(hold);
    }
    let found = match found {
        Ok(version) => format!("is at version {version}"),
        Err(error) => format!("fails: {error}"),
    };
    let what = format!("{found} when the newest is {head}, long after faults ended");
    stage.sim.violation(&reader.name(), what);
    Settled::Stuck
}
