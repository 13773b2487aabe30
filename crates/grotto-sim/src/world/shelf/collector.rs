//! Whoever collects, at any moment, also where another one does, until it is killed in the middle.
//!
//! Owns: when, and what is kept. Never: knows what anybody needs.

use std::sync::Arc;
use std::time::Duration;

use grotto_store::{Collection, Dataset, Error, ErrorKind, Retention};

use super::look_at;
use crate::check::SHELF;
use crate::dice::Dice;
use crate::fault::Fault;
use crate::world::road::survive;
use crate::world::stage::Stage;

/// How long one waits for a collection.
const PATIENT_FOR: Duration = Duration::from_secs(60);

/// One collector, in all its lives.
pub(super) struct Collector {
    stage: Arc<Stage>,
    number: u64,
    lives: u64,
    dice: Dice,
}

impl Collector {
    pub(super) fn new(stage: &Arc<Stage>, number: u64, dice: Dice) -> Self {
        Self {
            stage: Arc::clone(stage),
            number,
            lives: 0,
            dice,
        }
    }

    /// Collects until faults end.
    pub(super) async fn live(mut self) -> Self {
        while self.stage.is_raining() {
            tokio::time::sleep(self.dice.millis(500..12_000)).await;
            let retention = Retention {
                snapshots: self.dice.within(1..4) as usize,
                grace: self.dice.millis(0..6_000),
            };
            let dies = self.dice.chance(300).then(|| self.dice.within(1..40));
            self.collect(&retention, dies).await;
        }
        self
    }

    async fn collect(&mut self, retention: &Retention, dies: Option<u64>) {
        self.lives += 1;
        let name = format!("sc{}.{}", self.number, self.lives);
        let (client, store) = self.stage.connect(&name, &self.dice);
        if let Some(operations) = dies {
            client.die_in(operations);
        }
        let sim = &self.stage.sim;
        sim.shelf.lock().begins(&name, sim.now());
        let collected = async { Dataset::open(store, SHELF)?.collect(retention).await };
        let collected = tokio::time::timeout(PATIENT_FOR, survive(&client, collected)).await;
        match &collected {
            Ok(Some(Ok(collection))) => {
                let (boundary, gone) = (collection.boundary, collection.objects.len());
                sim.note(
                    &name,
                    format_args!("collects up to {boundary}: {gone} objects"),
                );
                if gone > 0 {
                    sim.count(Fault::Collected);
                }
            }
            Ok(Some(Err(error))) => {
                sim.note(&name, format_args!("collect: {error}"));
                if error.kind() == ErrorKind::Internal {
                    sim.violation(&name, format!("an internal error: {error}"));
                }
            }
            Ok(None) => sim.count(Fault::CrashedCollector),
            Err(_) => sim.note(&name, format_args!("nobody waits for it any more")),
        }
        client.die();
        let named = sim.shelf.lock().ends(&name);
        look_at(sim, named, "after a collection");
    }
}

/// After faults ended, and once nobody needs anything but the newest version: all that is older than `before` goes, and
/// what failed on the way.
pub(super) async fn collect_all(stage: &Arc<Stage>, before: u64) {
    let sim = &stage.sim;
    let dice = Dice::new(before);
    let (client, store) = stage.connect("sc", &dice);
    // What is no older than the grace stays.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let retention = Retention {
        snapshots: 1,
        grace: Duration::from_secs(1),
    };
    for _ in 0..2 {
        sim.shelf.lock().begins("sc", sim.now());
        let collected: Result<Collection, Error> = async {
            Dataset::open(store.clone(), SHELF)?
                .collect(&retention)
                .await
        }
        .await;
        if let Err(error) = collected {
            let what = format!("cannot collect after faults ended: {error}");
            sim.violation("sc", what);
        }
    }
    client.die();
    sim.shelf.lock().ends("sc");
    let all = sim.objects.lock().list(&format!("{SHELF}/"));
    let all: Vec<_> = all.into_iter().map(|(path, _)| path).collect();
    let surplus = sim.shelf.lock().surplus(&all, before);
    for what in surplus {
        sim.violation("shelf", what);
    }
    look_at(sim, [], "after the last collection");
}
