//! Reach: whoever comes to the store at this very moment, with nothing in hand, gets to the newest version.
//!
//! Owns: when that is demanded, and a consumer to whom nothing happens. Never: takes virtual time: what is
//! looked at is a copy of the store.
//!
//! A version whose writer dies is for ever what the store has of it, so it must be whole when its entry
//! appears, not some requests later: in the end another version has long taken its place.

use std::sync::Arc;

use grotto_consumer::Consumer;
use grotto_env::Env;
use grotto_store::Store;

use super::check_served;
use crate::sim::{DATASET, Sim};
use crate::store::Frozen;

/// Demands that the newest version is within reach, unless something is lost for good that it may need.
pub(crate) fn check_reach(sim: &Arc<Sim>, when: &'static str) {
    let ledger = sim.ledger.lock();
    let newest = ledger.intact().pop();
    let newest = newest.filter(|version| ledger.is_readable(*version));
    drop(ledger);
    let Some(version) = newest else { return };
    let store = sim.objects.lock().freeze();
    let sim = Arc::clone(sim);
    *sim.looks.lock() += 1;
    tokio::spawn(async move {
        look(&sim, version, store, when).await;
        *sim.looks.lock() -= 1;
    });
}

async fn look(sim: &Arc<Sim>, version: u64, store: Frozen, when: &str) {
    let env = Env::simulated(version);
    let store = Store::from_object_store(Arc::new(store)).with_env(env);
    let consumer = Consumer::builder(DATASET, store).open_at(version);
    match consumer.await {
        Ok(consumer) => _ = check_served(sim, "new", &consumer.state()),
        Err(error) => {
            let what = format!("version {version} is out of reach {when}: {error}");
            sim.violation("new", what);
        }
    }
}
