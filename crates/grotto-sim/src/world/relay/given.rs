//! What a host is given, and what becomes of it.
//!
//! Owns: submissions. Never: knows what became of one but by what the pipeline and the files beside its log say.

use std::path::Path;
use std::sync::Arc;

use grotto_env::AppendFiles as _;
use grotto_producer::pipeline::Pipeline;
use grotto_producer::{Error, aside};
use grotto_store::StandbyOptions;

use super::host::{Host, LOG, Process};
use crate::check::{StreamChanges, own_record, token_of};
use crate::fault::Fault;
use crate::world::PATIENCE;
use crate::world::road::{batch, survive, upserts};

/// Records that all hosts share.
const KEYS: u64 = 8;

impl Host {
    pub(super) async fn submit(&mut self, process: &Process, pipeline: &Pipeline) {
        let sim = Arc::clone(&self.stage.sim);
        let given = sim.now();
        let mut changes = StreamChanges::new();
        for _ in 0..self.dice.within(1..4) {
            let value = !self.dice.chance(250);
            changes.insert(self.dice.below(KEYS) as i64, value.then_some(0));
        }
        let token = sim.relay.lock().give(self.number, &mut changes);
        let all = changes
            .into_iter()
            .chain([(own_record(token), Some(token))]);
        let Ok(batch) = batch(pipeline, all) else {
            return sim.violation(process.client.name(), "a batch is refused");
        };
        self.note(process, "submit", &format!("{token}"));
        let submitted = async {
            let mut ack = pipeline.submit(batch).await?;
            ack.durable().await?;
            Ok::<_, Error>(ack)
        };
        // A full log is waited for no longer than that; it may become durable all the same.
        let submitted = tokio::time::timeout(self.dice.millis(100..10_000), submitted);
        match survive(&process.client, submitted).await {
            Some(Ok(Ok(ack))) => {
                self.note(process, "acknowledged", &format!("{token}"));
                self.refusals = 0;
                sim.relay.lock().acknowledged(token);
                self.waiting.push((token, given, ack));
            }
            Some(Ok(Err(error))) => {
                self.note(process, "submit", &error.to_string());
                self.refusals += 1;
                self.judge(process, &error);
            }
            Some(Err(_)) => self.refusals += 1,
            None => {}
        }
    }

    /// Takes in what the pipeline says of submissions.
    pub(super) fn hear(&mut self) {
        for (token, given, mut ack) in std::mem::take(&mut self.waiting) {
            match ack.try_published() {
                Some(Ok(version)) => {
                    let told = self.stage.sim.relay.lock().published(token, version);
                    if let Err(what) = told {
                        self.violation(&what);
                    }
                    self.crew.published(self.number, given);
                }
                Some(Err(_)) => {}
                None => self.waiting.push((token, given, ack)),
            }
        }
    }

    /// Takes in what was set aside for a person, who deals with some of it.
    pub(super) fn find_aside(&mut self, process: &Process) {
        let folder = aside::folder_of(Path::new(LOG));
        // A disk that fails now is asked again.
        let Ok(files) = aside::list(&self.disk, &folder) else {
            return;
        };
        for file in files {
            let Ok(bytes) = self.disk.read(&file.path, 0, usize::MAX) else {
                continue;
            };
            let name = format!("host {}: {}", self.number, file.path.display());
            let tokens = upserts(&bytes)
                .into_iter()
                .filter_map(|(id, _)| token_of(id));
            for token in tokens {
                let noted = self
                    .stage
                    .sim
                    .relay
                    .lock()
                    .set_aside(self.number, token, &name);
                match noted {
                    Ok(false) => {}
                    Ok(true) => {
                        self.note(process, "set aside", &format!("{token}"));
                        self.stage.sim.count(Fault::SetAside);
                    }
                    Err(what) => self.violation(&what),
                }
            }
            if self.dice.chance(200) {
                let finished = aside::finish(&self.disk, &file).map_err(|error| error.to_string());
                self.note(process, "dealt with", &format!("{name}: {finished:?}"));
            }
        }
    }

    /// After all is over, the host comes back once more: what others overtook is set aside.
    pub(super) async fn set_aside(&mut self) {
        self.disk.restart();
        let process = self.begin();
        let (mut looks, options) = (0, self.standing());
        let options = StandbyOptions {
            lease: 2 * PATIENCE,
            ..options
        };
        if let Ok(builder) = self.builder(&process) {
            let looked = builder.stand_by(options, |_, turn| looks += u32::from(turn.is_ok()));
            let looked = tokio::time::timeout(options.look_every * 8, looked).await;
            if let Ok(Err(error)) = looked {
                self.violation(&format!("cannot stand by after faults ended: {error}"));
            }
        }
        if looks < 2 {
            self.violation("cannot look at the store after faults ended");
        }
        self.find_aside(&process);
        process.client.die();
        self.disk.restart();
    }
}
