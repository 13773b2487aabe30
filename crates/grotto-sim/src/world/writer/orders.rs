//! What a producer is told to write.
//!
//! Owns: random changes, and what a version with them must hold by the model. Never: publishes.

use std::sync::Arc;

use grotto_producer::{Error, FullCycle, IncrementalCycle, Result};
use grotto_state::State;

use crate::check::{Attempt, Content};
use crate::dice::Dice;
use crate::fault::Fault;
use crate::sim::Sim;

/// Keys of each type.
const KEYS: u64 = 50;
/// Most upserts of a cycle that makes a dataset grow a lot.
const SURGE: u64 = 80;
/// Deletes of one that makes it shrink.
const PURGE: u64 = 200;
/// The road whose length is the token of the attempt that wrote it.
const TOKEN: i64 = -1;

/// Changes of one cycle.
pub(super) struct Orders {
    sim: Arc<Sim>,
    writer: String,
    token: u64,
    upserts: Content,
    deletes: Vec<(&'static str, i64)>,
}

impl Orders {
    pub(super) fn draw(sim: &Arc<Sim>, writer: &str, dice: &Dice) -> (Self, u64) {
        let token = sim.ledger.lock().next_token();
        let mut upserts = Content::new();
        // Now and then the dataset grows or shrinks a lot.
        let (most, gone) = match dice.below(25) {
            0 => (SURGE, 0),
            1 => (2, PURGE),
            _ => (12, dice.below(6)),
        };
        if most == SURGE || gone == PURGE {
            sim.count(Fault::Surge);
        }
        for _ in 0..dice.within(1..most) {
            let (key, record) = record(dice, token);
            upserts.insert(key, record);
        }
        let deletes = (0..gone).map(|_| record(dice, token).0).collect();
        (Self::of(sim, writer, token, upserts, deletes), token)
    }

    /// What a version is to have, and nothing else.
    pub(super) fn like(sim: &Arc<Sim>, writer: &str, content: &Content) -> (Self, u64) {
        let token = sim.ledger.lock().next_token();
        let orders = Self::of(sim, writer, token, content.clone(), Vec::new());
        (orders, token)
    }

    fn of(
        sim: &Arc<Sim>,
        writer: &str,
        token: u64,
        mut upserts: Content,
        mut deletes: Vec<(&'static str, i64)>,
    ) -> Self {
        deletes.retain(|key| !upserts.contains_key(key));
        upserts.insert(("Road", TOKEN), (token as i64, String::new()));
        Self {
            sim: Arc::clone(sim),
            writer: writer.to_owned(),
            token,
            upserts,
            deletes,
        }
    }

    /// Changes what there is.
    pub(super) fn change(self, cycle: &mut IncrementalCycle) -> Result<()> {
        let mut content = self.content_of(cycle.before())?;
        for key in &self.deletes {
            content.remove(key);
        }
        content.extend(self.upserts.clone());
        self.tell(content);
        for (name, id) in &self.deletes {
            cycle.delete_from(name, id)?;
        }
        for (key, record) in &self.upserts {
            cycle.upsert_json(key.0, &json(key, record), 0)?;
        }
        Ok(())
    }

    /// Replaces all there is.
    pub(super) fn replace(self, cycle: &mut FullCycle) -> Result<()> {
        self.tell(self.upserts.clone());
        for (key, record) in &self.upserts {
            cycle.add_json(key.0, &json(key, record), 0)?;
        }
        Ok(())
    }

    /// By the model, what the state holds that the producer builds on.
    fn content_of(&self, before: &State) -> Result<Content> {
        let ledger = self.sim.ledger.lock();
        if let Some(known) = ledger.with_state(before.version(), before.checksum()) {
            return Ok((*known.content).clone());
        }
        drop(ledger);
        if before.version() == 0 {
            return Ok(Content::new());
        }
        let what = format!("builds on a version {} that never was", before.version());
        self.sim.violation(&self.writer, what.clone());
        Err(Error::invalid(what))
    }

    fn tell(&self, content: Content) {
        let attempt = Attempt {
            token: self.token,
            content: Arc::new(content),
        };
        self.sim.ledger.lock().told(&self.writer, attempt);
    }
}

type Record = ((&'static str, i64), (i64, String));

fn record(dice: &Dice, token: u64) -> Record {
    let id = dice.below(KEYS) as i64;
    if dice.chance(500) {
        return (("Road", id), (dice.below(1 << 40) as i64, String::new()));
    }
    // Some texts are shared by many, some are of one record.
    let text = match dice.below(3) {
        0 => format!("town of attempt {token}"),
        _ => format!("town {}", dice.below(5)),
    };
    (("City", id), (dice.below(1_000) as i64, text))
}

fn json((name, id): &(&str, i64), (number, text): &(i64, String)) -> String {
    match *name {
        "City" => format!(r#"{{"id":{id},"size":{number},"name":"{text}"}}"#),
        _ => format!(r#"{{"id":{id},"length":{number}}}"#),
    }
}
