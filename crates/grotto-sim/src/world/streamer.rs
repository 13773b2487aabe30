//! A host that streams: a pipeline with its log on a disk of its own, and somebody who submits to it.
//!
//! Owns: the life of that process, its deaths, the faults of its disk. Never: knows what became of a submission
//! but by what the pipeline says.

use std::path::Path;
use std::sync::Arc;

use grotto_consumer::Consumer;
use grotto_env::{AppendFiles as _, ForgetfulFiles};
use grotto_format::Schema;
use grotto_producer::pipeline::{Ack, Condition, Durability, Pipeline};
use grotto_producer::{Error, Producer, aside};
use grotto_state::State;
use grotto_store::ErrorKind;
use object_store::path::Path as ObjectPath;

use super::PATIENCE;
use super::road::{SCHEMA, batch, durability, fail, options, records, survive, tokens};
use super::stage::Stage;
use crate::check::{MARKER, Stream, StreamChanges};
use crate::dice::Dice;
use crate::fault::Fault;
use crate::store::Client;

/// The dataset of the stream: nobody else writes to it but a rival that fences.
const STREAM: &str = "stream";
const KEYS: u64 = 12;
/// Folder of the write-ahead log.
const LOG: &str = "/log";

/// The host, in all lives of its process.
pub(crate) struct Streamer {
    stage: Arc<Stage>,
    dice: Dice,
    durability: Durability,
    disk: ForgetfulFiles,
    lives: u64,
    stream: Stream,
    /// Acknowledged, and not known to be published.
    waiting: Vec<(i64, Ack)>,
}

/// A process.
struct Life {
    client: Arc<Client>,
    pipeline: Pipeline,
}

impl Streamer {
    pub(crate) fn new(stage: &Arc<Stage>, dice: Dice) -> Self {
        Self {
            stage: Arc::clone(stage),
            durability: durability(&dice, LOG),
            disk: ForgetfulFiles::new(dice.seed()),
            dice,
            lives: 0,
            stream: Stream::default(),
            waiting: Vec::new(),
        }
    }

    /// Streams until faults end.
    pub(crate) async fn live(mut self) -> Self {
        while self.stage.is_raining() {
            tokio::time::sleep(self.dice.millis(20..1_500)).await;
            if let Some(life) = self.begin().await {
                self.go_on(life).await;
            }
        }
        self
    }

    /// The process is started.
    async fn begin(&mut self) -> Option<Life> {
        self.lives += 1;
        self.waiting.clear();
        let name = format!("p{}", self.lives);
        let (client, store) = self.stage.connect(&name, &self.dice);
        let builder = Producer::builder(STREAM, store)
            .schema(Schema::parse(SCHEMA).ok()?)
            .writer_id(&name)
            .snapshot_every(self.dice.below(6))
            .threads(1)
            .inline_blobs([0, 250, 4_096][self.dice.below(3) as usize])
            .announcer(self.stage.voice(&name));
        let pipeline = builder
            .pipeline(options(&self.dice, self.durability.clone()))
            .files(Arc::new(self.disk.clone()));
        match pipeline.start().await {
            Ok(pipeline) => Some(Life { client, pipeline }),
            Err(error) => {
                self.note(&name, "start", &error.to_string());
                // A disk that loses what was not synced never damages what was.
                if matches!(error.kind(), ErrorKind::Internal | ErrorKind::Corrupt) {
                    self.stage
                        .sim
                        .violation(&name, format!("cannot start: {error}"));
                }
                client.die();
                self.disk.restart();
                None
            }
        }
    }

    /// Submits, and suffers, until the process ends.
    async fn go_on(&mut self, life: Life) {
        while self.stage.is_raining() {
            tokio::time::sleep(self.dice.millis(1..600)).await;
            self.hear();
            self.look(&life);
            match self.dice.below(100) {
                0..3 => return self.crash(life, false).await,
                3..5 => return self.crash(life, true).await,
                5..8 => self
                    .disk
                    .die_at(self.disk.operations() + self.dice.within(1..12)),
                8..10 => life.client.die_in(self.dice.within(1..12)),
                10..14 => fail(&self.stage, &self.dice, &self.disk),
                14..16 => self.fence(&life).await,
                16..18 => {
                    let drained = life.pipeline.shutdown().await;
                    self.note(life.client.name(), "shut down", &format!("{drained:?}"));
                    self.hear();
                    life.client.die();
                    return self.disk.restart();
                }
                _ => self.submit(&life).await,
            }
            if life.client.is_dead() || self.disk.is_dead() {
                return self.crash(life, false).await;
            }
            if life.pipeline.status().condition == Condition::Failed {
                self.note(life.client.name(), "failed", "it is started again");
                return self.crash(life, false).await;
            }
        }
        self.crash(life, false).await;
    }

    /// The process dies, or its host goes down.
    async fn crash(&mut self, life: Life, host: bool) {
        self.hear();
        self.note(
            life.client.name(),
            "crash",
            if host { "of the host" } else { "" },
        );
        self.stage.sim.count(Fault::CrashedPipeline);
        life.client.die();
        match host {
            true => {
                self.stage.sim.count(Fault::Reboot);
                self.disk.reboot();
                if self.durability == Durability::Store {
                    // Another host takes its place.
                    self.stage.sim.count(Fault::LostHost);
                    self.disk = ForgetfulFiles::new(self.dice.seed());
                }
            }
            false => self.disk.restart(),
        }
    }

    /// Somebody else becomes the producer, and goes again.
    async fn fence(&self, life: &Life) {
        let (client, store) = self.stage.connect("rival", &self.dice);
        let rival = Producer::builder(STREAM, store).writer_id("rival").open();
        let opened = survive(&life.client, rival)
            .await
            .map(|opened| opened.is_ok());
        self.note(life.client.name(), "rival", &format!("{opened:?}"));
        client.die();
    }

    async fn submit(&mut self, life: &Life) {
        let token = self.stream.next_token();
        let mut changes = StreamChanges::new();
        for _ in 0..self.dice.within(1..5) {
            let value = (!self.dice.chance(250)).then_some(token);
            changes.insert(self.dice.below(KEYS) as i64, value);
        }
        let marked = changes.iter().map(|(key, value)| (*key, *value));
        let marked = marked.chain([(MARKER, Some(token))]);
        let Ok(batch) = batch(&life.pipeline, marked) else {
            return self
                .stage
                .sim
                .violation(life.client.name(), "a batch is refused");
        };
        self.note(
            life.client.name(),
            "submit",
            &format!("{token} of {} changes", changes.len()),
        );
        self.stream.submitted(changes);
        let submitted = async {
            let mut ack = life.pipeline.submit(batch).await?;
            ack.durable().await?;
            Ok::<_, Error>(ack)
        };
        // A full log is waited for no longer than that; it may become durable all the same.
        let submitted = tokio::time::timeout(self.dice.millis(100..20_000), submitted);
        match survive(&life.client, submitted).await {
            Some(Ok(Ok(ack))) => {
                self.note(
                    life.client.name(),
                    "submit",
                    &format!("{token} is acknowledged"),
                );
                self.stream.acknowledged(token);
                self.waiting.push((token, ack));
            }
            Some(Ok(Err(error))) => {
                self.note(life.client.name(), "submit", &error.to_string());
                if error.kind() == ErrorKind::Internal {
                    let what = format!("an internal error: {error}");
                    self.stage.sim.violation(life.client.name(), what);
                }
            }
            Some(Err(_)) | None => {}
        }
    }

    /// Takes in what the pipeline says of submissions.
    fn hear(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        for (token, mut ack) in waiting {
            match ack.try_published() {
                Some(Ok(_)) => self.stream.published(token),
                Some(Err(_)) => {}
                None => self.waiting.push((token, ack)),
            }
        }
    }

    /// Takes in what was set aside for a person: each entry has its token.
    fn find_aside(&mut self) {
        let folder = aside::folder_of(Path::new(LOG));
        // A disk that fails now is asked again.
        let Ok(files) = aside::list(&self.disk, &folder) else {
            return;
        };
        if self.durability == Durability::Store && !files.is_empty() {
            let what = "something was set aside, though nothing is on this host only";
            self.stage.sim.violation("stream", what);
        }
        for file in files {
            let Ok(bytes) = self.disk.read(&file.path, 0, usize::MAX) else {
                continue;
            };
            for token in tokens(&bytes) {
                if let Err(what) = self.stream.set_aside(token) {
                    self.stage.sim.violation("stream", what);
                }
            }
        }
    }

    /// Looks at what the producer holds.
    fn look(&mut self, life: &Life) {
        self.find_aside();
        if let Some(producer) = life.pipeline.producer() {
            _ = self.check(life.client.name(), &producer.state());
        }
    }

    fn check(&mut self, who: &str, state: &State) -> Option<i64> {
        let checked = self.stream.check(state.version(), &records(state));
        checked
            .map_err(|what| self.stage.sim.violation(who, what))
            .ok()
    }

    /// After faults ended: all that was acknowledged is published, and every version was right.
    pub(crate) async fn prove(mut self) {
        self.disk.set_capacity(None);
        self.disk.restart();
        let began = self.stage.sim.now();
        while self.stage.sim.now() < began + PATIENCE {
            let Some(life) = self.begin().await else {
                continue;
            };
            self.submit(&life).await;
            let flushed = life.pipeline.flush();
            let flushed = tokio::time::timeout(PATIENCE, flushed).await;
            let status = life.pipeline.status();
            self.note(
                life.client.name(),
                "flush",
                &format!("{flushed:?}, {status:?}"),
            );
            if matches!(flushed, Ok(Ok(_))) && life.pipeline.status().pending_entries == 0 {
                self.look(&life);
                life.client.die();
                self.disk.restart();
                return self.verify().await;
            }
            life.client.die();
            self.disk.restart();
        }
        let what = "a stream is not published after faults ended";
        self.stage.sim.violation("stream", what);
    }

    /// Every version by itself, as a consumer sees it.
    async fn verify(&mut self) {
        self.find_aside();
        let entries = self
            .stage
            .sim
            .objects
            .lock()
            .list(&format!("{STREAM}/log/"));
        let number = |path: &ObjectPath| -> Option<u64> {
            path.filename()?.strip_suffix(".json")?.parse().ok()
        };
        let mut versions: Vec<u64> = entries
            .iter()
            .filter_map(|(path, _)| number(path))
            .collect();
        versions.sort_unstable();
        let (client, store) = self.stage.connect("stream", &self.dice);
        let mut last = 0;
        for version in versions {
            let consumer = Consumer::builder(STREAM, store.clone())
                .open_at(version)
                .await;
            match consumer {
                Ok(consumer) => {
                    last = self.check("stream", &consumer.state()).unwrap_or(last);
                }
                Err(error) => {
                    let what = format!("version {version} cannot be read: {error}");
                    self.stage.sim.violation("stream", what);
                }
            }
        }
        client.die();
        if let Err(what) = self.stream.check_whole(last) {
            self.stage.sim.violation("stream", what);
        }
    }

    fn note(&self, who: &str, what: &str, how: &str) {
        self.stage.sim.note(who, format_args!("{what}: {how}"));
    }
}
