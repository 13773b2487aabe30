//! Somebody who looks after the dataset: accepts versions that readers hold back, and at times one that nobody does.
//!
//! Owns: which versions are accepted, and when. Never: changes anything else.

use std::sync::Arc;
use std::time::Duration;

use grotto_store::{Acceptance, Dataset, Error, ErrorKind};

use super::stage::Stage;
use crate::dice::Dice;
use crate::fault::Fault;
use crate::sim::DATASET;

/// How long one waits for an answer.
const PATIENT_FOR: Duration = Duration::from_secs(20);

/// One operator.
pub(crate) struct Operator {
    stage: Arc<Stage>,
    dice: Dice,
    calls: u64,
}

impl Operator {
    pub(crate) fn new(stage: &Arc<Stage>, dice: Dice) -> Self {
        Self {
            stage: Arc::clone(stage),
            dice,
            calls: 0,
        }
    }

    /// Accepts versions until faults end.
    pub(crate) async fn live(mut self) -> Self {
        while self.stage.is_raining() {
            tokio::time::sleep(self.dice.millis(2_000..20_000)).await;
            let mut known = self.stage.held();
            if known.is_empty() && self.dice.chance(150) {
                known = self.stage.sim.ledger.lock().intact();
            }
            if !known.is_empty() {
                let version = *self.dice.pick(&known);
                let accepted = tokio::time::timeout(PATIENT_FOR, self.accept(version)).await;
                let sim = &self.stage.sim;
                sim.note("o", format_args!("accept {version}: {accepted:?}"));
            }
        }
        self
    }

    /// Accepts a version; what is said to be done must be done.
    pub(crate) async fn accept(&mut self, version: u64) -> Result<(), Error> {
        self.calls += 1;
        let name = format!("o{}", self.calls);
        let (client, store) = self.stage.connect(&name, &self.dice);
        let note = Acceptance {
            by: name.clone(),
            reason: String::new(),
        };
        let dataset = Dataset::open(store, DATASET)?;
        let answer = dataset.accept(version, &note).await;
        client.die();
        let sim = &self.stage.sim;
        match answer {
            Ok((accepted, _)) => {
                sim.count(Fault::Accepted);
                let ledger = sim.ledger.lock();
                let mut all = ledger.all_of(version);
                let id = &accepted.dataset_id;
                let done = all.any(|c| c.entry.dataset_id == *id && ledger.is_accepted(&c.entry));
                drop(all);
                drop(ledger);
                if !done {
                    sim.violation(&name, format!("version {version} was not accepted"));
                }
                Ok(())
            }
            Err(error) => {
                if error.kind() == ErrorKind::Internal {
                    sim.violation(&name, format!("an internal error: {error}"));
                }
                Err(error)
            }
        }
    }
}
