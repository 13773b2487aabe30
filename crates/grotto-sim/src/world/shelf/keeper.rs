//! Somebody who pins the dataset, and leads its channels, step by step at times.
//!
//! Owns: which versions are named, and when. Never: waits for a consumer to go there.

use std::sync::Arc;
use std::time::Duration;

use grotto_format::log::{Pointer, Rollout};
use grotto_store::{ChannelId, Dataset, Error, ErrorKind, Note, PointerName};

use crate::check::SHELF;
use crate::dice::Dice;
use crate::fault::Fault;
use crate::world::road::survive;
use crate::world::stage::Stage;

/// How long one waits for an answer.
const PATIENT_FOR: Duration = Duration::from_secs(20);
/// The stages of rollouts, in shares of 10,000.
const STAGES: [u16; 3] = [2_500, 6_000, 10_000];

/// One operator.
pub(super) struct Keeper {
    stage: Arc<Stage>,
    dice: Dice,
    calls: u64,
}

impl Keeper {
    pub(super) fn new(stage: &Arc<Stage>, dice: Dice) -> Self {
        Self {
            stage: Arc::clone(stage),
            dice,
            calls: 0,
        }
    }

    /// Pins, unpins and leads until faults end.
    pub(super) async fn live(mut self) -> Self {
        while self.stage.is_raining() {
            tokio::time::sleep(self.dice.millis(500..8_000)).await;
            let name = *self.dice.pick(&["pin", "stable", "stable", "canary"]);
            let done = match self.dice.below(100) {
                0..35 if name == "pin" => self.remove(name).await,
                0..10 => self.remove(name).await,
                10..55 if name != "pin" => self.roll_out(name).await,
                _ => self.set(name, None).await,
            };
            if let Err(error) = done {
                self.note(&error.to_string());
                if error.kind() == ErrorKind::Internal {
                    let what = format!("an internal error: {error}");
                    self.stage.sim.violation("so", what);
                }
            }
        }
        self
    }

    /// After faults ended: nobody is held any more at an older version.
    ///
    /// # Errors
    /// When that cannot be done.
    pub(super) async fn release_all(&mut self) -> Result<(), Error> {
        let newest = self.stage.sim.shelf.lock().head();
        for channel in ["stable", "canary"] {
            self.set(channel, Some(newest)).await?;
        }
        self.remove("pin").await
    }

    /// One call, made by a process of its own.
    async fn call<T>(
        &mut self,
        call: impl AsyncFnOnce(&Dataset) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.calls += 1;
        let (client, store) = self.stage.connect(&format!("so{}", self.calls), &self.dice);
        if self.stage.is_raining() && self.dice.chance(80) {
            client.die_in(self.dice.within(1..8));
        }
        let dataset = Dataset::open(store, SHELF)?;
        let answer = survive(&client, call(&dataset));
        let answer = tokio::time::timeout(PATIENT_FOR, answer).await;
        client.die();
        let answer = answer.map_err(|_| Error::unavailable("nobody waits for it any more"))?;
        answer.unwrap_or_else(|| Err(Error::unavailable("the process died")))
    }

    async fn set(&mut self, name: &str, version: Option<u64>) -> Result<(), Error> {
        let kept = self.stage.sim.shelf.lock().kept();
        let version = match version {
            Some(version) => version,
            None if kept.is_empty() => return Ok(()),
            None => *self.dice.pick(&kept),
        };
        let pointer = named(name)?;
        let note = Note {
            by: "so".to_owned(),
            reason: String::new(),
        };
        let set = self.call(async |dataset| dataset.set_pointer(&pointer, version, &note).await);
        let set = set.await?;
        self.note(&format!("{pointer} names version {version}"));
        self.stage.sim.count(Fault::Pointed);
        self.was_set(name, set);
        Ok(())
    }

    async fn remove(&mut self, name: &str) -> Result<(), Error> {
        let pointer = named(name)?;
        let removed = self.call(async |dataset| dataset.remove_pointer(&pointer).await);
        let removed = removed.await?;
        self.note(&format!("{pointer} is removed: {removed}"));
        Ok(())
    }

    /// A step of a rollout, or its beginning.
    async fn roll_out(&mut self, channel: &str) -> Result<(), Error> {
        let (before, kept) = {
            let shelf = self.stage.sim.shelf.lock();
            let before = shelf.pointer(&format!("channel {channel}")).cloned();
            (before, shelf.kept())
        };
        let Some(before) = before.filter(|_| !kept.is_empty()) else {
            return Ok(());
        };
        let next = match &before.rollout {
            Some(rollout) if usize::from(rollout.stage) + 1 == STAGES.len() => {
                return self.set(channel, Some(rollout.to)).await;
            }
            Some(rollout) => stage(rollout.clone(), rollout.stage + 1),
            None => stage(
                Rollout {
                    to: *self.dice.pick(&kept),
                    nonce: format!("{:016x}", self.dice.seed()),
                    stages: STAGES.to_vec(),
                    stage: 0,
                    share: 0,
                    wait_ms: 1_000,
                    halted: None,
                },
                0,
            ),
        };
        let pointer = Pointer {
            rollout: Some(next),
            ..before.clone()
        };
        let name = named(channel)?;
        let changed = async |dataset: &Dataset| {
            let changed = dataset.change_pointer(&name, &before, &pointer);
            changed.await
        };
        self.call(changed).await?;
        self.note(&format!("rollout: {:?}", pointer.rollout));
        self.stage.sim.count(Fault::RolledOut);
        self.was_set(channel, pointer);
        Ok(())
    }

    fn was_set(&self, name: &str, pointer: Pointer) {
        let name = match name {
            "pin" => name.to_owned(),
            channel => format!("channel {channel}"),
        };
        self.stage.sim.shelf.lock().was_set(&name, pointer);
    }

    fn note(&self, what: &str) {
        self.stage.sim.note("so", format_args!("{what}"));
    }
}

fn stage(rollout: Rollout, stage: u16) -> Rollout {
    Rollout {
        stage,
        share: STAGES[usize::from(stage)],
        ..rollout
    }
}

fn named(name: &str) -> Result<PointerName, Error> {
    match name {
        "pin" => Ok(PointerName::Pin),
        channel => ChannelId::parse(channel).map(PointerName::Channel),
    }
}
