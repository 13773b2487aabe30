//! Whoever publishes versions of the dataset that is collected.
//!
//! Owns: what is written. Never: knows what of it is kept.

use std::sync::Arc;
use std::time::Duration;

use grotto_format::Schema;
use grotto_producer::{Error, FullCycle, Producer, Published};
use grotto_store::ErrorKind;

use crate::check::{Records, SHELF};
use crate::dice::Dice;
use crate::fault::Fault;
use crate::store::Client;
use crate::world::road::{SCHEMA, survive};
use crate::world::stage::Stage;

/// Failures in a row after which somebody starts the process anew.
const PATIENT_FOR: u32 = 3;

/// One writer, in all its lives.
pub(super) struct Scribe {
    stage: Arc<Stage>,
    number: u64,
    lives: u64,
    dice: Dice,
    life: Option<(Arc<Client>, Producer)>,
    failures: u32,
}

impl Scribe {
    pub(super) fn new(stage: &Arc<Stage>, number: u64, dice: Dice) -> Self {
        Self {
            stage: Arc::clone(stage),
            number,
            lives: 0,
            dice,
            life: None,
            failures: 0,
        }
    }

    /// Writes until faults end.
    pub(super) async fn live(mut self) -> Self {
        while self.stage.is_raining() {
            tokio::time::sleep(self.dice.millis(50..2_500)).await;
            if self.dice.chance(40)
                && let Some((client, _)) = &self.life
            {
                client.die_in(self.dice.within(1..16));
            }
            self.publish().await;
        }
        self
    }

    /// Publishes a version and a snapshot of it; for when no fault is left.
    ///
    /// # Errors
    /// When that cannot be done.
    pub(super) async fn publish_surely(&mut self) -> Result<(), String> {
        let mut told = "nothing can be published after faults ended".to_owned();
        for _ in 0..30 {
            if self.publish().await
                && let Some((_, producer)) = &self.life
            {
                match producer.snapshot().await {
                    Ok(_) => return Ok(()),
                    // What hung before faults ended may still be waited for.
                    Err(error) => told = format!("no snapshot after faults ended: {error}"),
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Err(told)
    }

    /// Publishes a version, or tries to.
    async fn publish(&mut self) -> bool {
        let gone = |(client, _): &mut (Arc<Client>, _)| client.is_dead() || !client.can_write();
        self.life.take_if(gone);
        if self.life.is_none() {
            self.open().await;
        }
        let Some((client, producer)) = self.life.take() else {
            return false;
        };
        let mut records = Records::new();
        for _ in 0..self.dice.within(1..12) {
            let value = self.dice.below(1 << 40) as i64;
            records.insert(self.dice.below(24) as i64, value);
        }
        let (sim, name) = (Arc::clone(&self.stage.sim), client.name().to_owned());
        let cycle = producer.run_cycle(move |cycle| {
            sim.shelf.lock().tell(&name, &mut records);
            Ok(add(cycle, &records)?)
        });
        match survive(&client, cycle).await {
            None => {
                self.stage.sim.count(Fault::CrashedWriter);
                false
            }
            Some(answer) => self.take_answer(client, producer, answer),
        }
    }

    async fn open(&mut self) {
        self.lives += 1;
        let name = format!("sw{}.{}", self.number, self.lives);
        let (client, store) = self.stage.connect(&name, &self.dice);
        let Ok(schema) = Schema::parse(SCHEMA) else {
            return;
        };
        let opened = Producer::builder(SHELF, store)
            .schema(schema)
            .writer_id(&name)
            .snapshot_every(self.dice.within(1..4))
            .threads(1)
            .inline_blobs([0, 0, 250][self.dice.below(3) as usize])
            .announcer(self.stage.voice(&name))
            .open();
        match survive(&client, opened).await {
            None => {}
            Some(Ok(producer)) => self.life = Some((client, producer)),
            Some(Err(error)) => {
                self.note(&client, &error);
                client.die();
            }
        }
    }

    fn take_answer(
        &mut self,
        client: Arc<Client>,
        producer: Producer,
        answer: Result<Option<Published>, Error>,
    ) -> bool {
        let sim = &self.stage.sim;
        match answer {
            Ok(published) => {
                let version = published.map_or(0, |published| published.version);
                sim.note(client.name(), format_args!("published: {version}"));
                let told = sim.shelf.lock().was_published(client.name(), version);
                if let Err(what) = told {
                    sim.violation(client.name(), what);
                }
                self.failures = 0;
                self.life = Some((client, producer));
                true
            }
            Err(error) => {
                self.note(&client, &error);
                self.failures += 1;
                match error.kind() == ErrorKind::Fenced || self.failures > PATIENT_FOR {
                    true => client.die(),
                    false => self.life = Some((client, producer)),
                }
                false
            }
        }
    }

    /// Nothing is lost or damaged for good here.
    fn note(&self, client: &Client, error: &Error) {
        let sim = &self.stage.sim;
        sim.note(client.name(), format_args!("publish: {error}"));
        if error.kind() == ErrorKind::Internal {
            sim.violation(client.name(), format!("an internal error: {error}"));
        }
    }
}

fn add(cycle: &mut FullCycle, records: &Records) -> Result<(), Error> {
    for (id, length) in records {
        cycle.add_json("Road", &format!(r#"{{"id":{id},"length":{length}}}"#), 0)?;
    }
    Ok(())
}
