//! A dataset that is collected while consumers lag behind, and whose consumers are told where to be.
//!
//! Owns: who takes part, and what must hold once faults ended: everybody is where it is told to be, and nothing piles
//! up. Never: collects, or tells anybody where to be.

mod collector;
mod follower;
mod keeper;
mod scribe;

use std::sync::Arc;
use std::time::Duration;

use grotto_consumer::Consumer;
use grotto_store::Store;
use tokio::task::JoinHandle;

use super::stage::Stage;
use crate::check::SHELF;
use crate::dice::Dice;
use crate::sim::Sim;
use collector::{Collector, collect_all};
use follower::Follower;
use keeper::Keeper;
use scribe::Scribe;

/// How long it may take after faults ended until everybody is where it is told to be.
const SOON: Duration = Duration::from_secs(40);
/// Versions that are published before all that is older is collected.
const MORE: u64 = 3;

/// Everybody who has to do with the dataset.
pub(crate) struct Library {
    stage: Arc<Stage>,
    scribes: Vec<JoinHandle<Scribe>>,
    collectors: Vec<JoinHandle<Collector>>,
    followers: Vec<JoinHandle<Follower>>,
    keeper: JoinHandle<Keeper>,
}

impl Library {
    pub(crate) fn begin(stage: &Arc<Stage>, dice: Dice) -> Self {
        let scribes = (1..=1 + u64::from(dice.chance(300)))
            .map(|n| tokio::spawn(Scribe::new(stage, n, dice.split()).live()));
        let scribes = scribes.collect();
        let followers = (1..=dice.within(2..4))
            .map(|n| tokio::spawn(Follower::new(stage, n, dice.split()).live()));
        let followers = followers.collect();
        let collectors = (1..=dice.within(1..3))
            .map(|n| tokio::spawn(Collector::new(stage, n, dice.split()).live()));
        Self {
            collectors: collectors.collect(),
            stage: Arc::clone(stage),
            scribes,
            followers,
            keeper: tokio::spawn(Keeper::new(stage, dice.split()).live()),
        }
    }

    /// After faults ended: everybody is where it is told to be, and what nobody needs goes.
    pub(crate) async fn prove(self) {
        let stage = &self.stage;
        let mut scribes = super::join(stage, self.scribes).await;
        super::join(stage, self.collectors).await;
        let mut followers = super::join(stage, self.followers).await;
        let keepers = super::join(stage, vec![self.keeper]).await;
        let (Some(scribe), Some(mut keeper)) = (scribes.first_mut(), keepers.into_iter().next())
        else {
            return;
        };
        let before = stage.sim.shelf.lock().head();
        for _ in 0..MORE {
            if let Err(what) = scribe.publish_surely().await {
                return stage.sim.violation("shelf", what);
            }
        }
        settle(stage, &mut followers).await;
        if let Err(error) = keeper.release_all().await {
            let what = format!("pins and channels cannot be changed after faults ended: {error}");
            return stage.sim.violation("shelf", what);
        }
        settle(stage, &mut followers).await;
        for follower in &followers {
            follower.await_lease().await;
        }
        collect_all(stage, before).await;
    }
}

/// Waits until everybody is where it has to be.
async fn settle(stage: &Arc<Stage>, followers: &mut [Follower]) {
    let until = stage.sim.now() + SOON;
    for follower in followers {
        while let Err(what) = follower.is_settled().await {
            if stage.sim.now() > until {
                stage.sim.violation(&follower.name(), what);
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Somebody to whom nothing happens opens versions of the store as it is at this moment: those, and the newest.
fn look_at(sim: &Arc<Sim>, versions: impl IntoIterator<Item = u64>, when: &'static str) {
    let newest = sim.shelf.lock().head();
    let mut versions: Vec<u64> = versions.into_iter().chain([newest]).collect();
    versions.retain(|version| *version > 0);
    versions.dedup();
    if versions.is_empty() {
        return;
    }
    let store = Arc::new(sim.objects.lock().freeze());
    let sim = Arc::clone(sim);
    *sim.looks.lock() += 1;
    tokio::spawn(async move {
        for version in versions {
            let env = grotto_env::Env::simulated(version);
            let store = Store::from_object_store(Arc::clone(&store) as _).with_env(env);
            match Consumer::builder(SHELF, store).open_at(version).await {
                Ok(consumer) => follower::check(&sim, "shelf", &consumer.state()),
                Err(error) => {
                    let what = format!("version {version} is out of reach {when}: {error}");
                    sim.violation("shelf", what);
                }
            }
        }
        *sim.looks.lock() -= 1;
    });
}
