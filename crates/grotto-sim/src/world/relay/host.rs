//! A host that stands by, leads, hands over, and comes back.
//!
//! Owns: the life of its processes, and its disk. Never: knows what became of a submission; `given` does.

use std::sync::Arc;
use std::time::Duration;

use grotto_env::ForgetfulFiles;
use grotto_format::Schema;
use grotto_producer::pipeline::{Ack, Pipeline, PipelineBuilder};
use grotto_producer::{Error, Producer};
use grotto_store::{ErrorKind, StandbyOptions, Store};

use super::crew::Crew;
use crate::check::RELAY;
use crate::dice::Dice;
use crate::fault::Fault;
use crate::store::Client;
use crate::world::road::{SCHEMA, fail, options, survive};
use crate::world::stage::Stage;

/// Folder of the write-ahead log.
pub(super) const LOG: &str = "/log";
/// Refusals in a row after which somebody starts the process anew.
const PATIENT_FOR: u32 = 6;

/// The host, in all lives of its processes.
pub(super) struct Host {
    pub(super) stage: Arc<Stage>,
    pub(super) crew: Arc<Crew>,
    pub(super) number: u64,
    pub(super) dice: Dice,
    pub(super) disk: ForgetfulFiles,
    /// All its processes write under one name.
    keeps_name: bool,
    lives: u64,
    pub(super) refusals: u32,
    /// Acknowledged, and not known to be published; with when they were given.
    pub(super) waiting: Vec<(i64, Duration, Ack)>,
}

/// A process.
pub(super) struct Process {
    pub(super) client: Arc<Client>,
    store: Store,
}

/// What a process does once it does not lead any more.
#[derive(PartialEq, Eq)]
enum Next {
    StandBy,
    /// Nothing: it is gone. `true` if its host went down with it.
    End(bool),
}

impl Host {
    pub(super) fn new(stage: &Arc<Stage>, crew: &Arc<Crew>, number: u64, dice: Dice) -> Self {
        Self {
            stage: Arc::clone(stage),
            crew: Arc::clone(crew),
            number,
            disk: ForgetfulFiles::new(dice.seed()),
            keeps_name: dice.chance(500),
            dice,
            lives: 0,
            refusals: 0,
            waiting: Vec::new(),
        }
    }

    pub(super) fn disk(&self) -> ForgetfulFiles {
        self.disk.clone()
    }

    /// Stands by and leads until all is over.
    pub(super) async fn live(mut self) -> Self {
        while !self.crew.is_over() {
            tokio::time::sleep(self.dice.millis(20..1_500)).await;
            if self.crew.is_down(self.number) {
                continue;
            }
            let process = self.begin();
            let crashes = self.go_on(&process).await;
            self.end(&process, crashes);
        }
        self
    }

    pub(super) fn begin(&mut self) -> Process {
        self.lives += 1;
        let name = format!("h{}.{}", self.number, self.lives);
        let (client, store) = self.stage.connect(&name, &self.dice);
        self.crew.begins(self.number, &client);
        Process { client, store }
    }

    /// The process is gone; `crashes` if the host is, too.
    fn end(&mut self, process: &Process, crashes: bool) {
        self.hear();
        self.waiting.clear();
        self.note(process, "ends", if crashes { "with its host" } else { "" });
        self.stage.sim.count(Fault::CrashedHost);
        process.client.die();
        match crashes {
            true => {
                self.stage.sim.count(Fault::Reboot);
                self.disk.reboot();
            }
            false => self.disk.restart(),
        }
    }

    /// Stands by and leads in turn; whether its host went down with it.
    async fn go_on(&mut self, process: &Process) -> bool {
        let mut at_once = self.stage.is_raining() && self.dice.chance(120);
        while !self.crew.is_over() && !self.is_gone(process) {
            self.find_aside(process);
            if self.is_gone(process) {
                return false; // its disk died of that
            }
            let led = match self.come_to_lead(process, at_once).await {
                Some(pipeline) => self.lead(process, pipeline).await,
                None => Next::StandBy,
            };
            self.crew.gave_up(self.number);
            if let Next::End(crashes) = led {
                return crashes;
            }
            at_once = false;
            tokio::time::sleep(self.dice.millis(20..1_000)).await;
        }
        false
    }

    /// Whether there is nobody any more who could do something.
    fn is_gone(&self, process: &Process) -> bool {
        let client = &process.client;
        client.is_dead() || self.disk.is_dead() || !client.can_write()
    }

    pub(super) fn builder(&self, process: &Process) -> Result<PipelineBuilder, Error> {
        let schema = Schema::parse(SCHEMA).map_err(|e| Error::invalid(e.to_string()))?;
        let name = match self.keeps_name {
            true => format!("h{}", self.number),
            false => process.client.name().to_owned(),
        };
        let mut options = options(&self.dice, self.crew.durability());
        options.heartbeat = Some(self.crew.lease() / 4);
        let builder = Producer::builder(RELAY, process.store.clone())
            .schema(schema)
            .writer_id(name)
            .snapshot_every(self.dice.below(6))
            .threads(1)
            .inline_blobs([0, 250, 4_096][self.dice.below(3) as usize])
            .announcer(self.stage.voice(process.client.name()));
        Ok(builder.pipeline(options).files(Arc::new(self.disk.clone())))
    }

    pub(super) fn standing(&self) -> StandbyOptions {
        StandbyOptions {
            lease: self.crew.lease(),
            look_every: Duration::from_secs(1).min(self.crew.lease() / 4),
        }
    }

    /// Waits until nobody leads, unless somebody has it lead `at_once`.
    async fn come_to_lead(&mut self, process: &Process, at_once: bool) -> Option<Pipeline> {
        let standing = self.standing();
        let builder = self.builder(process);
        let sim = Arc::clone(&self.stage.sim);
        let started = async {
            let mut builder = builder?;
            if !at_once {
                builder = builder.stand_by(standing, |_, _| {}).await?;
            }
            self.crew.comes(self.number);
            sim.relay.lock().begins(self.number);
            builder.start().await
        };
        let crew = Arc::clone(&self.crew);
        let started = tokio::select! {
            biased;
            () = crew.ended() => return None,
            started = survive(&process.client, started) => started?,
        };
        match started {
            Ok(pipeline) => {
                self.note(process, "leads", if at_once { "at once" } else { "" });
                Some(pipeline)
            }
            Err(error) => {
                self.note(process, "stands by", &error.to_string());
                self.judge(process, &error);
                None
            }
        }
    }

    /// Is given something, and suffers, until it does not lead any more.
    async fn lead(&mut self, process: &Process, pipeline: Pipeline) -> Next {
        self.refusals = 0;
        loop {
            tokio::time::sleep(self.dice.millis(50..1_500)).await;
            self.hear();
            if self.crew.is_over() {
                self.end_well(process, &pipeline).await;
                return Next::End(false);
            }
            if self.is_gone(process) || self.refusals > PATIENT_FOR {
                self.refusals = 0;
                return Next::End(false);
            }
            if let Some(error) = pipeline.failure() {
                return self.failed(process, &pipeline, &error).await;
            }
            if let Some(next) = self.act(process, &pipeline).await {
                return next;
            }
        }
    }

    async fn act(&mut self, process: &Process, pipeline: &Pipeline) -> Option<Next> {
        let raining = self.stage.is_raining();
        if self.crew.must_hand_over(self.number) {
            let answer = self.hand_over(process, pipeline).await;
            self.crew
                .hands_over(answer.map_err(|error| error.to_string()));
            return Some(Next::StandBy);
        }
        match self.dice.below(100) {
            0..2 if raining => return Some(Next::End(false)),
            2..4 if raining => return Some(Next::End(true)),
            4..6 if raining => {
                let operations = self.disk.operations() + self.dice.within(1..12);
                self.disk.die_at(operations);
            }
            6..9 if raining => fail(&self.stage, &self.dice, &self.disk),
            9..13 if raining => {
                let answer = self.hand_over(process, pipeline).await;
                self.note(process, "hand over", &format!("{answer:?}"));
                return Some(Next::StandBy);
            }
            _ => self.submit(process, pipeline).await,
        }
        None
    }

    /// Asks others to take over; when that was done.
    async fn hand_over(
        &mut self,
        process: &Process,
        pipeline: &Pipeline,
    ) -> Result<Duration, Error> {
        let handed = survive(&process.client, pipeline.hand_over()).await;
        self.hear();
        match handed {
            Some(Ok(_)) => {
                self.stage.sim.count(Fault::HandedOver);
                Ok(self.stage.sim.now())
            }
            Some(Err(error)) => {
                self.judge(process, &error);
                Err(error)
            }
            None => Err(Error::unavailable("the process died")),
        }
    }

    /// The pipeline does nothing any more: there is no other reason than that another host leads.
    async fn failed(&mut self, process: &Process, pipeline: &Pipeline, error: &Error) -> Next {
        self.note(process, "failed", &error.to_string());
        if error.kind() != ErrorKind::Fenced {
            let what = format!("cannot lead any more: {error}");
            self.stage.sim.violation(process.client.name(), what);
            return Next::End(false);
        }
        self.stage.sim.count(Fault::FencedHost);
        let closed = survive(&process.client, pipeline.closed()).await;
        self.hear();
        closed.map_or(Next::End(false), |()| Next::StandBy)
    }

    /// Publishes what is left.
    async fn end_well(&mut self, process: &Process, pipeline: &Pipeline) {
        let drained = pipeline.shutdown().await;
        self.hear();
        if drained.left > 0 && pipeline.failure().is_none() {
            let what = format!("{} submissions are left after faults ended", drained.left);
            self.stage.sim.violation(process.client.name(), what);
        }
    }

    /// A disk that loses what was not synced never damages what was, and nothing else is a reason for these.
    pub(super) fn judge(&self, process: &Process, error: &Error) {
        if matches!(error.kind(), ErrorKind::Internal | ErrorKind::Corrupt) {
            let what = format!("an error that nothing is a reason for: {error}");
            self.stage.sim.violation(process.client.name(), what);
        }
    }

    pub(super) fn violation(&self, what: &str) {
        self.stage.sim.violation(&format!("h{}", self.number), what);
    }

    pub(super) fn note(&self, process: &Process, what: &str, how: &str) {
        let name = process.client.name();
        self.stage.sim.note(name, format_args!("{what}: {how}"));
    }
}
