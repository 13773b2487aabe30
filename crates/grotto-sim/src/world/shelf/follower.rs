//! A consumer of the dataset that is collected: with a lease, slow, and told where to be.
//!
//! Owns: that it serves what it was told to, and in the end where it is. Never: reads a pin itself.

use std::sync::Arc;
use std::time::Duration;

use grotto_consumer::{Consumer, Refresh};
use grotto_state::State;
use grotto_store::ErrorKind;

use crate::check::SHELF;
use crate::dice::Dice;
use crate::fault::Fault;
use crate::sim::Sim;
use crate::store::{Client, Looked};
use crate::world::incidents::pause;
use crate::world::road::records;
use crate::world::stage::Stage;

/// How long one waits for a start: without a channel there is nothing to serve.
const PATIENT_FOR: Duration = Duration::from_secs(20);
/// How long it may take after faults ended until a lease tells what is served.
const SOON: Duration = Duration::from_secs(15);

/// One consumer, in all its lives.
pub(super) struct Follower {
    stage: Arc<Stage>,
    number: u64,
    lives: u64,
    dice: Dice,
    channel: Option<&'static str>,
    leased: bool,
    poll: Duration,
    life: Option<(Arc<Client>, Consumer)>,
}

impl Follower {
    pub(super) fn new(stage: &Arc<Stage>, number: u64, dice: Dice) -> Self {
        Self {
            stage: Arc::clone(stage),
            number,
            lives: 0,
            channel: dice.chance(600).then(|| *dice.pick(&["stable", "canary"])),
            leased: dice.chance(800),
            // Slow ones lag behind, with a lease that lives.
            poll: match dice.chance(500) {
                true => dice.millis(300..800),
                false => dice.millis(3_000..12_000),
            },
            dice,
            life: None,
        }
    }

    pub(super) fn name(&self) -> String {
        format!("sr{}.{}", self.number, self.lives)
    }

    /// Reads until faults end.
    pub(super) async fn live(mut self) -> Self {
        while self.stage.is_raining() {
            tokio::time::sleep(self.dice.millis(100..4_000)).await;
            match &self.life {
                None => _ = self.open().await,
                Some((client, _)) => match self.dice.below(100) {
                    0..4 => self.restart().await,
                    4..8 => {
                        self.stage.sim.count(Fault::CutOff);
                        pause(&self.stage, client, self.dice.millis(1_000..25_000));
                    }
                    _ => {}
                },
            }
            self.check();
        }
        self
    }

    /// Ends, at times with its lease left to expire.
    async fn restart(&mut self) {
        if let Some((client, consumer)) = self.life.take() {
            self.stage.sim.count(Fault::CrashedReader);
            if self.dice.chance(500) {
                client.die();
            }
            let ended = tokio::time::timeout(PATIENT_FOR, consumer.shutdown()).await;
            self.note("ends", &format!("{:?}", ended.is_ok()));
            client.die();
        }
    }

    async fn open(&mut self) -> Result<(), String> {
        self.lives += 1;
        let name = self.name();
        let (client, store) = self.stage.connect(&name, &self.dice);
        let mut builder = Consumer::builder(SHELF, store)
            .poll_interval(self.poll)
            .max_backoff(self.poll.max(Duration::from_secs(5)))
            .wait_for_dataset(true);
        if self.leased {
            let interval = self.dice.millis(1_000..4_000);
            builder = builder.lease(self.consumer()).lease_interval(interval);
        }
        if let Some(channel) = self.channel {
            builder = builder.channel(channel);
        }
        builder = self.stage.listening(builder, &client, SHELF, self.poll);
        let watching = self.watching(&name, &client);
        let opened = builder.on_refresh(watching).start();
        let opened = tokio::time::timeout(PATIENT_FOR, opened).await;
        let told = match opened {
            Ok(Ok(consumer)) => {
                self.note("open", &format!("at {}", consumer.version()));
                self.life = Some((client, consumer));
                return Ok(());
            }
            Ok(Err(error)) => {
                if error.kind() == ErrorKind::Internal {
                    self.violation(&format!("an internal error: {error}"));
                }
                error.to_string()
            }
            Err(_) => "nobody waits for it any more".to_owned(),
        };
        self.note("open", &told);
        client.die();
        Err(told)
    }

    fn consumer(&self) -> String {
        format!("sr{}", self.number)
    }

    /// By which rollouts know it, if they do.
    fn known_as(&self) -> Option<String> {
        self.leased.then(|| self.consumer())
    }

    /// Looks on whenever another version is served.
    fn watching(
        &self,
        name: &str,
        client: &Arc<Client>,
    ) -> impl Fn(&Refresh) + Send + Sync + use<> {
        let (sim, client) = (Arc::clone(&self.stage.sim), Arc::downgrade(client));
        let (name, known_as, channel) = (name.to_owned(), self.known_as(), self.channel);
        move |refresh| {
            let Some(looked) = client.upgrade().map(|client| client.looked()) else {
                return;
            };
            let version = refresh.to;
            sim.note(&name, format_args!("serves {version}, looked {looked:?}"));
            let told = match looked {
                Looked::Blurred => true,
                Looked::Never => false,
                Looked::At(since) => {
                    let shelf = sim.shelf.lock();
                    shelf.was_told(known_as.as_deref(), channel, version, since)
                }
            };
            if !told {
                let what = format!(
                    "serves version {version}, which nobody told it to; it looked: {looked:?}"
                );
                sim.violation(&name, what);
            }
        }
    }

    fn check(&self) {
        if let Some((client, consumer)) = &self.life {
            check(&self.stage.sim, client.name(), &consumer.state());
        }
    }

    /// Whether it is where it has to be.
    ///
    /// # Errors
    /// Where it is instead.
    pub(super) async fn is_settled(&mut self) -> Result<(), String> {
        let sim = Arc::clone(&self.stage.sim);
        let target = sim
            .shelf
            .lock()
            .target(self.known_as().as_deref(), self.channel);
        let gone = |(client, _): &mut (Arc<Client>, _)| client.is_dead();
        self.life.take_if(gone);
        if self.life.is_none() {
            let opened = self.open().await;
            // Without its channel it serves nothing.
            if target.is_some() {
                opened?;
            }
        }
        self.check();
        let Some((_, consumer)) = &self.life else {
            return Ok(());
        };
        let served = consumer.version();
        match target {
            Some(target) if target != served => Err(format!(
                "serves version {served}, and is told to serve {target}, long after faults ended"
            )),
            _ => Ok(()),
        }
    }

    /// After faults ended, whoever keeps a lease tells what it serves. Where it may not write, what a late request of
    /// it told expires.
    pub(super) async fn await_lease(&self) {
        let Some((client, consumer)) = self.life.as_ref().filter(|_| self.leased) else {
            return;
        };
        let sim = &self.stage.sim;
        let until = sim.now() + SOON;
        loop {
            let told = sim.shelf.lock().leased(&self.consumer(), sim.now());
            let writes = client.can_write();
            if told == Some(consumer.version()) || (told.is_none() && !writes) {
                return;
            }
            if writes && sim.now() > until {
                let served = consumer.version();
                let what =
                    format!("its lease tells of version {told:?}, version {served} is served");
                return self.violation(&what);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn violation(&self, what: &str) {
        self.stage.sim.violation(&self.name(), what);
    }

    fn note(&self, what: &str, how: &str) {
        let sim = &self.stage.sim;
        sim.note(&self.name(), format_args!("{what}: {how}"));
    }
}

/// Compares what is served with the model.
pub(super) fn check(sim: &Sim, who: &str, state: &State) {
    let checked = sim.shelf.lock().check(state.version(), &records(state));
    if let Err(what) = checked {
        sim.violation(who, what);
    }
}
