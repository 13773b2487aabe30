//! Whoever announces what never was.
//!
//! Owns: the forgeries, and when they come. Never: knows a secret: all that it says anybody could say who may publish.

use std::sync::Arc;

use grotto_format::log::MAX_VERSION;
use grotto_store::Announcement;

use super::Herald;
use crate::dice::Dice;
use crate::fault::Fault;
use crate::store::flipped;

/// Begins to forge.
pub(super) fn begin(herald: &Arc<Herald>, dice: &Dice) {
    let manner = *herald.manner.lock();
    if let Some(most) = manner.forges {
        tokio::spawn(at_random(Arc::clone(herald), dice.split(), most));
    }
    if let Some(every) = manner.lies_in_wait {
        tokio::spawn(in_wait(Arc::clone(herald), dice.split(), every));
    }
}

async fn at_random(herald: Arc<Herald>, dice: Dice, most: u64) {
    loop {
        tokio::time::sleep(dice.millis(1..most)).await;
        if herald.manner.lock().forges.is_none() {
            return;
        }
        if let Some(forged) = forged(&herald, &dice) {
            herald.sim.count(Fault::ForgedAnnouncement);
            herald.deliver_to_all(&forged);
        }
    }
}

/// Right behind a look that found nothing: whoever does not take care looks again at once.
async fn in_wait(herald: Arc<Herald>, dice: Dice, every: u64) {
    loop {
        for _ in 0..every {
            herald.sim.missed.notified().await;
        }
        tokio::time::sleep(dice.millis(1..40)).await;
        if herald.manner.lock().lies_in_wait.is_none() {
            return;
        }
        let all: Vec<Announcement> = herald.last.lock().values().cloned().collect();
        for mut told in all {
            told.version = (told.version + dice.within(1..4)).min(MAX_VERSION);
            if let Ok(bytes) = told.encode() {
                herald.sim.count(Fault::ForgedAnnouncement);
                herald.deliver_to_all(&bytes);
            }
        }
    }
}

/// Something that looks like an announcement, or does not even do that; `None` before there was one.
fn forged(herald: &Herald, dice: &Dice) -> Option<Vec<u8>> {
    let all: Vec<Announcement> = herald.last.lock().values().cloned().collect();
    let mut told = all.get(dice.below(all.len() as u64) as usize)?.clone();
    let kind = dice.below(100);
    match kind {
        0..35 => told.version += dice.within(1..5),
        35..45 => told.version = MAX_VERSION - dice.below(2),
        45..55 => told.version = told.version.saturating_sub(dice.below(5)),
        55..70 => {
            told.dataset_id = format!("{:016x}", dice.seed());
            told.version = dice.within(1..2 * told.version + 2);
        }
        70..80 => "elsewhere".clone_into(&mut told.dataset),
        _ => {}
    }
    told.version = told.version.clamp(1, MAX_VERSION);
    let bytes = told.encode().ok()?;
    Some(match kind {
        80..90 => flipped(&bytes.into(), dice.seed()).to_vec(),
        90.. => bytes[..dice.below(bytes.len() as u64) as usize].to_vec(),
        _ => bytes,
    })
}
