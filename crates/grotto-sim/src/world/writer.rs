//! A writer: opens, publishes, crashes, begins again.
//!
//! Owns: what producers are told to write, and what is believed of their answers. Never: looks into the
//! store.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use grotto_format::Schema;
use grotto_producer::{Error, Producer, Published};
use grotto_store::ErrorKind;

use super::stage::Stage;
use crate::check::{Content, SCHEMA, check_served};
use crate::dice::Dice;
use crate::fault::Fault;
use crate::sim::DATASET;
use crate::store::Client;

mod orders;

use orders::Orders;

/// Failures in a row after which somebody starts the process anew.
const PATIENT_FOR: u32 = 4;

/// One writer, in all its lives.
pub(crate) struct Writer {
    stage: Arc<Stage>,
    number: u64,
    lives: u64,
    dice: Dice,
    life: Option<Life>,
    failures: u32,
    /// Times that the newest version could not be restored.
    hopeless: u32,
}

/// A process that writes.
struct Life {
    client: Arc<Client>,
    producer: Producer,
    /// The next cycle must be a full one.
    starts_over: bool,
}

/// How a call of a process ended.
enum Ended<T> {
    Returned(T),
    /// The process died in the middle of it.
    Died,
}

/// Waits for a call, or for the death of the process that makes it.
async fn survive<T>(client: &Client, call: impl Future<Output = T>) -> Ended<T> {
    tokio::select! {
        biased;
        () = client.died() => Ended::Died,
        answer = call => Ended::Returned(answer),
    }
}

impl Writer {
    pub(crate) fn new(stage: &Arc<Stage>, number: u64, dice: Dice) -> Self {
        Self {
            stage: Arc::clone(stage),
            number,
            lives: 0,
            dice,
            life: None,
            failures: 0,
            hopeless: 0,
        }
    }

    /// Writes until faults end.
    pub(crate) async fn live(mut self) -> Self {
        while self.stage.is_raining() {
            tokio::time::sleep(self.dice.millis(20..2_500)).await;
            match self.life.take() {
                None => _ = self.open().await,
                Some(life) => self.act(life).await,
            }
        }
        self
    }

    /// Publishes something, whatever that takes short of magic; for when no fault is left. `false` if it
    /// cannot be done. `content` is what the version is to have, where that is wanted.
    pub(crate) async fn publish_surely(&mut self, content: Option<&Content>) -> bool {
        for _ in 0..30 {
            if let Some(life) = self.life.take() {
                let head = self.stage.sim.ledger.lock().head();
                self.cycle(life, content).await;
                if self.stage.sim.ledger.lock().head() > head && self.life.is_some() {
                    return true;
                }
            } else {
                self.open().await;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        false
    }

    /// Writes a snapshot of the newest version, so that everybody can get there.
    pub(crate) async fn snapshot(&self) -> Result<(), Error> {
        if let Some(life) = &self.life {
            self.order_snapshot(life);
            life.producer.snapshot().await?;
        }
        Ok(())
    }

    /// The process is started.
    async fn open(&mut self) -> Option<Error> {
        self.lives += 1;
        let name = format!("w{}.{}", self.number, self.lives);
        let (client, store) = self.stage.connect(&name, &self.dice);
        if self.stage.is_raining() && self.dice.chance(100) {
            client.die_in(self.dice.within(1..60));
        }
        // Also without need, as people do.
        let starts_over = self.hopeless >= 3 || (self.stage.is_raining() && self.dice.chance(60));
        let schema = Schema::parse(SCHEMA).map_err(|e| Error::invalid(e.to_string()));
        let schema = match schema {
            Ok(schema) => schema,
            Err(error) => return Some(error),
        };
        let opened = Producer::builder(DATASET, store)
            .schema(schema)
            .writer_id(&name)
            .snapshot_every(self.dice.below(4))
            .lazy_fence(self.dice.chance(500))
            .threads(1)
            .inline_blobs([0, 250, 4_096][self.dice.below(3) as usize])
            .start_over(starts_over)
            .announcer(self.stage.voice(&name))
            .open();
        match survive(&client, opened).await {
            Ended::Died => self.stage.sim.count(Fault::CrashedWriter),
            Ended::Returned(Ok(producer)) => {
                self.note(&client, "open", &format!("at {}", producer.version()));
                (self.failures, self.hopeless) = (0, 0);
                // One that starts over holds nothing yet, whatever its number.
                if !starts_over {
                    check_served(&self.stage.sim, &name, &producer.state());
                }
                self.life = Some(Life {
                    client,
                    producer,
                    starts_over,
                });
            }
            Ended::Returned(Err(error)) => {
                self.note(&client, "open", &error.to_string());
                self.judge(&client, &error);
                if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Missing) {
                    self.hopeless += 1;
                }
                client.die();
                return Some(error);
            }
        }
        None
    }

    async fn act(&mut self, life: Life) {
        match self.dice.below(100) {
            0..3 => self.crash(&life.client),
            3..8 => {
                life.client.die_in(self.dice.within(1..12));
                self.life = Some(life);
            }
            8..12 => self.write_snapshot(life).await,
            12..18 => self.settle(life).await,
            18..25 if !life.starts_over => self.stop_waiting(life).await,
            _ => self.cycle(life, None).await,
        }
    }

    /// Somewhere between the commit and all that is to follow it.
    fn die_early(&self, client: &Client, per_mille: u64) {
        if self.stage.is_raining() && self.dice.chance(per_mille) {
            client.die_after_entry(self.dice.within(1..6));
        }
    }

    fn crash(&self, client: &Client) {
        self.note(client, "crash", "");
        self.stage.sim.count(Fault::CrashedWriter);
        client.die();
    }

    fn order_snapshot(&self, life: &Life) {
        let version = life.producer.state().version();
        let mut leftovers = self.stage.sim.leftovers.lock();
        leftovers.ordered(life.client.name(), version);
    }

    async fn write_snapshot(&mut self, life: Life) {
        self.order_snapshot(&life);
        match survive(&life.client, life.producer.snapshot()).await {
            Ended::Died => self.stage.sim.count(Fault::CrashedWriter),
            Ended::Returned(written) => {
                let written = written.map(|entry| entry.version);
                self.note(&life.client, "snapshot", &format!("{written:?}"));
                self.life = Some(life);
            }
        }
    }

    async fn settle(&mut self, life: Life) {
        match survive(&life.client, life.producer.settle_pending()).await {
            Ended::Died => self.stage.sim.count(Fault::CrashedWriter),
            Ended::Returned(settled) => self.take_answer(life, settled, None),
        }
    }

    /// A cycle whose caller gives up before it ends.
    async fn stop_waiting(&mut self, life: Life) {
        let (orders, _) = Orders::draw(&self.stage.sim, life.client.name(), &self.dice);
        let patience = self.dice.millis(0..400);
        let cycle = life
            .producer
            .run_incremental(move |cycle| Ok(orders.change(cycle)?));
        let cycle = tokio::time::timeout(patience, cycle);
        match survive(&life.client, cycle).await {
            Ended::Died => self.stage.sim.count(Fault::CrashedWriter),
            Ended::Returned(Ok(answer)) => self.take_answer(life, answer, None),
            Ended::Returned(Err(_)) => {
                self.note(&life.client, "cycle", "nobody waits for it any more");
                self.stage.sim.count(Fault::DroppedCall);
                self.life = Some(life);
            }
        }
    }

    async fn cycle(&mut self, life: Life, content: Option<&Content>) {
        let (sim, name) = (&self.stage.sim, life.client.name());
        let (orders, token) = match content {
            Some(content) => Orders::like(sim, name, content),
            None => Orders::draw(sim, name, &self.dice),
        };
        let ran = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&ran);
        if life.starts_over && self.stage.is_raining() && self.dice.chance(250) {
            // Somewhere between the proof of the store and the announcement of the snapshot.
            life.client.die_in(self.dice.within(1..24));
        }
        self.die_early(&life.client, if life.starts_over { 500 } else { 15 });
        let whole = life.starts_over || content.is_some() || self.dice.chance(100);
        let answer = if whole {
            let cycle = life.producer.run_cycle(move |cycle| {
                noted.store(true, Ordering::Relaxed);
                orders.replace(cycle)?;
                Ok(())
            });
            survive(&life.client, cycle).await
        } else {
            let cycle = life.producer.run_incremental(move |cycle| {
                noted.store(true, Ordering::Relaxed);
                orders.change(cycle)?;
                Ok(())
            });
            survive(&life.client, cycle).await
        };
        let token = ran.load(Ordering::Relaxed).then_some(token);
        match answer {
            Ended::Died => self.stage.sim.count(Fault::CrashedWriter),
            Ended::Returned(answer) => self.take_answer(life, answer, token),
        }
    }

    /// What a cycle says is compared with what the log has.
    fn take_answer(
        &mut self,
        mut life: Life,
        answer: Result<Option<Published>, Error>,
        token: Option<u64>,
    ) {
        match answer {
            Ok(Some(published)) => {
                let version = published.version;
                self.note(&life.client, "published", &format!("{version}"));
                for earlier in &published.settled {
                    self.acknowledged(&life.client, earlier.version, None);
                }
                self.acknowledged(&life.client, version, token);
                check_served(&self.stage.sim, life.client.name(), &life.producer.state());
                (self.failures, life.starts_over) = (0, false);
                self.life = Some(life);
            }
            Ok(None) => {
                if token.is_some() {
                    let what = "a change was not published, and nothing was said";
                    self.stage.sim.violation(life.client.name(), what);
                }
                self.life = Some(life);
            }
            Err(error) => {
                self.note(&life.client, "cycle", &error.to_string());
                self.judge(&life.client, &error);
                self.failures += 1;
                if error.kind() == ErrorKind::Fenced || self.failures > PATIENT_FOR {
                    self.failures = 0;
                    return;
                }
                self.life = Some(life);
            }
        }
    }

    fn acknowledged(&self, client: &Client, version: u64, token: Option<u64>) {
        let mut ledger = self.stage.sim.ledger.lock();
        let told = ledger.acknowledged(client.name(), version, token);
        drop(ledger);
        if let Err(reason) = told {
            self.stage.sim.violation(client.name(), reason);
        }
    }

    /// No fault of the world is a reason for these.
    fn judge(&self, client: &Client, error: &Error) {
        if error.kind() == ErrorKind::Internal {
            let what = format!("an internal error: {error}");
            self.stage.sim.violation(client.name(), what);
        }
    }

    fn note(&self, client: &Client, what: &str, how: &str) {
        let sim = &self.stage.sim;
        sim.note(client.name(), format_args!("{what}: {how}"));
    }
}
