//! What befalls the whole world: weather, pauses, loss and damage for good.
//!
//! Owns: when and what. Never: does more than the store of a real host could do to its users.

use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;

use super::stage::Stage;
use crate::check::{Ledger, RELAY, check_reach};
use crate::dice::Dice;
use crate::fault::Fault;
use crate::sim::{DATASET, entry_of};
use crate::store::{Client, Weather};

/// Lets faults rain for some minutes.
pub(crate) async fn rain(stage: &Arc<Stage>, dice: &Dice) {
    // In some runs nothing is ever lost for good: there every version must stay within reach.
    let scars = dice.chance(600);
    // In some nothing but the end of the log is: then too all that is left must be.
    let ends_only = dice.chance(250);
    if stage.sim.is_folder {
        tokio::spawn(crash_in_doubt(Arc::clone(stage), dice.split()));
    }
    for _ in 0..dice.within(3..9) {
        let weather = match dice.chance(250) {
            true => Weather::calm(),
            false => Weather::draw(dice),
        };
        stage.sim.note("sim", format_args!("weather: {weather:?}"));
        *stage.sim.weather.lock() = weather;
        tokio::time::sleep(dice.millis(2_000..12_000)).await;
        if scars && dice.chance(500) {
            scar(stage, dice, ends_only);
        }
        if dice.chance(300) {
            stage.set_clocks(dice);
        }
        if dice.chance(300) {
            pause_somebody(stage, dice);
        }
        tokio::time::sleep(dice.millis(2_000..12_000)).await;
    }
}

/// A writer does not move for a while, nor does anything it asked for.
fn pause_somebody(stage: &Arc<Stage>, dice: &Dice) {
    let clients = stage.clients('w');
    if let Some(client) = clients.get(dice.below(clients.len() as u64) as usize) {
        stage.sim.count(Fault::Paused);
        pause(stage, client, dice.millis(1_000..40_000));
    }
}

/// No reader hears of the store for a while: what was written anew meanwhile has the numbers of what they have.
fn cut_readers_off(stage: &Arc<Stage>, dice: &Dice) {
    for client in stage.clients('r') {
        if dice.chance(600) {
            stage.sim.count(Fault::CutOff);
            pause(stage, &client, dice.millis(3_000..25_000));
        }
    }
}

pub(super) fn pause(stage: &Arc<Stage>, client: &Arc<Client>, time: Duration) {
    stage.sim.note(client.name(), format_args!("is paused"));
    client.pause(true);
    let (stage, client) = (Arc::clone(stage), Arc::clone(client));
    tokio::spawn(async move {
        tokio::time::sleep(time).await;
        stage.sim.note(client.name(), format_args!("goes on"));
        client.pause(false);
    });
}

/// Something is damaged or lost for good.
fn scar(stage: &Arc<Stage>, dice: &Dice, ends_only: bool) {
    let hit = match dice.below(100) {
        _ if ends_only => cut_off(stage, dice),
        0..20 => hit_blob(stage, dice, Fault::DamagedBlob),
        20..40 => hit_blob(stage, dice, Fault::MissingBlob),
        40..60 => damage_entry(stage, dice),
        60..78 => lose_entry(stage, dice),
        78..94 => cut_off(stage, dice),
        _ => create_anew(stage),
    };
    if let Some((fault, what)) = hit {
        stage.sim.count(fault);
        stage.sim.note("sim", format_args!("{fault}: {what}"));
        if fault != Fault::LostEnd {
            stage.sim.ledger.lock().scarred();
        }
        if fault == Fault::LostEnd && dice.chance(600) {
            cut_readers_off(stage, dice);
        }
        check_reach(&stage.sim, "after a loss");
    }
}

/// Where syncs fail, hosts go down: often soon after something was written that would be lost.
async fn crash_in_doubt(stage: Arc<Stage>, dice: Dice) {
    while stage.is_raining() {
        stage.sim.doubt.notified().await;
        if dice.chance(250) {
            continue;
        }
        tokio::time::sleep(dice.millis(0..5_000)).await;
        if stage.is_raining() {
            crash_host(&stage, &dice);
        }
    }
}

/// The host of the store goes down, with all writers. What was acknowledged must still be there.
fn crash_host(stage: &Stage, dice: &Dice) {
    end_writers(stage);
    let lost = stage.sim.objects.lock().crash(dice);
    stage.sim.count(Fault::StoreCrash);
    let (count, sim) = (lost.len(), &stage.sim);
    sim.note("sim", format_args!("{}, {count} lost", Fault::StoreCrash));
    let relayed = lost.iter().filter_map(|path| entry_of(RELAY, path));
    if let Err(reason) = sim.relay.lock().crashed(&relayed.collect()) {
        sim.violation("store", reason);
    }
    for path in lost {
        sim.count(Fault::LostObject);
        sim.note("sim", format_args!("{}: {path}", Fault::LostObject));
        let left = sim.objects.lock().get(&path);
        if let Err(reason) = sim.shelf.lock().crashed(&path, left.as_ref(), sim.now()) {
            sim.violation("store", reason);
        }
        let version = entry_of(DATASET, &path);
        let told = version.map(|version| sim.ledger.lock().crashed(version));
        if let Some(Err(reason)) = told {
            sim.violation("store", reason);
        }
    }
    check_reach(sim, "after a crash of the store");
}

type Hit = Option<(Fault, String)>;

fn hit_blob(stage: &Stage, dice: &Dice, fault: Fault) -> Hit {
    let folder = ["delta", "reverse", "snapshot"][dice.below(3) as usize];
    let mut objects = stage.sim.objects.lock();
    let blobs = objects.list(&format!("{DATASET}/{folder}/"));
    // The newest are those that somebody still needs.
    let newest = blobs.len().saturating_sub(4) as u64;
    let (path, _) = blobs.get(dice.within(newest..blobs.len() as u64) as usize)?;
    if fault == Fault::DamagedBlob {
        objects.damage(path, dice.seed());
    } else {
        objects.remove(path);
    }
    stage.sim.ledger.lock().spoilt(path.as_ref());
    Some((fault, path.to_string()))
}

fn entry_path(version: u64) -> Path {
    Path::from(format!("{DATASET}/log/{version:020}.json"))
}

/// The entries that may be hit: with the last one gone, nobody could tell which dataset it was.
fn hittable(ledger: &Ledger) -> Option<Vec<u64>> {
    Some(ledger.intact()).filter(|intact| intact.len() > 1)
}

/// The newest entry more often than another one.
fn damage_entry(stage: &Stage, dice: &Dice) -> Hit {
    let mut ledger = stage.sim.ledger.lock();
    let intact = hittable(&ledger)?;
    let last = intact.len() as u64;
    let at = match dice.chance(700) {
        true => last.checked_sub(1)?,
        false => dice.below(last),
    };
    let version = *intact.get(at as usize)?;
    let path = entry_path(version);
    stage.sim.objects.lock().damage(&path, dice.seed());
    ledger.lose(version);
    Some((Fault::DamagedEntry, path.to_string()))
}

/// Not the newest: what follows shows that it was there.
fn lose_entry(stage: &Stage, dice: &Dice) -> Hit {
    let mut ledger = stage.sim.ledger.lock();
    let mut intact = hittable(&ledger)?;
    intact.retain(|version| *version < ledger.head());
    let last = intact.len() as u64;
    let recent = dice.within(last.saturating_sub(3)..last);
    let version = *intact.get(recent as usize)?;
    let path = entry_path(version);
    stage.sim.objects.lock().remove(&path);
    ledger.lose(version);
    Some((Fault::MissingEntry, path.to_string()))
}

/// The store is put back to what it was some versions ago, but only its log: all writers begin again.
fn cut_off(stage: &Stage, dice: &Dice) -> Hit {
    let head = stage.sim.ledger.lock().head();
    let left = match announced(stage) {
        Some(version) if version <= head && head - version < 8 && dice.chance(500) => version - 1,
        _ => head.saturating_sub(dice.within(1..4)),
    };
    if left == 0 {
        return None;
    }
    if !stage.sim.ledger.lock().intact().contains(&left) {
        return None;
    }
    end_writers(stage);
    for version in left + 1..=head {
        stage.sim.objects.lock().remove(&entry_path(version));
    }
    stage.sim.ledger.lock().cut_off(left);
    Some((Fault::LostEnd, format!("version {left} is the newest now")))
}

/// The newest version with a snapshot that is announced: one that the log loses is of no use.
fn announced(stage: &Stage) -> Option<u64> {
    let prefix = format!("{DATASET}/snapshots/");
    let (newest, _) = stage.sim.objects.lock().list(&prefix).pop()?;
    let name = newest.filename()?.strip_suffix(".json")?;
    name.parse().ok()
}

fn create_anew(stage: &Stage) -> Hit {
    end_writers(stage);
    stage.sim.objects.lock().clear(&format!("{DATASET}/"));
    stage.sim.ledger.lock().cut_off(0);
    Some((Fault::Recreated, String::new()))
}

/// Also what they have under way.
fn end_writers(stage: &Stage) {
    *stage.sim.generation.lock() += 1;
    for client in stage.clients('w') {
        client.die();
    }
}
