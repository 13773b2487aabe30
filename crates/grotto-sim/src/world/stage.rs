//! What all actors share: the simulation, their connections, and whether faults still rain.
//!
//! Owns: the connections of everybody. Never: acts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use grotto_env::Env;
use grotto_store::{BreakerOptions, Store, StoreOptions};
use object_store::ObjectStore;
use parking_lot::Mutex;

use crate::check::check_reach;
use crate::dice::Dice;
use crate::sim::Sim;
use crate::store::{Client, Connection, Weather};

/// Shared by all actors.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) sim: Arc<Sim>,
    healed: AtomicBool,
    clients: Mutex<Vec<Arc<Client>>>,
}

impl Stage {
    pub(crate) fn new(sim: &Arc<Sim>) -> Arc<Self> {
        Arc::new(Self {
            sim: Arc::clone(sim),
            healed: AtomicBool::new(false),
            clients: Mutex::default(),
        })
    }

    /// A process named `name` connects to the store.
    pub(crate) fn connect(&self, name: &str, dice: &Dice) -> (Arc<Client>, Store) {
        let client = Client::new(&self.sim, name, dice.split());
        let connection = Arc::new(Connection(Arc::clone(&client)));
        let mut store = Store::from_object_store(Arc::clone(&connection) as Arc<dyn ObjectStore>);
        if self.sim.is_folder {
            store = store.with_confirm(connection);
        }
        let store = store.with_env(self.env(dice)).with_options(options());
        self.clients.lock().push(Arc::clone(&client));
        (client, store)
    }

    /// Chance of its own, and the time of all.
    pub(crate) fn env(&self, dice: &Dice) -> Env {
        Env {
            clock: Arc::clone(&self.sim.clock),
            ..Env::simulated(dice.seed())
        }
    }

    /// Connections of processes whose names begin with `letter`.
    pub(crate) fn clients(&self, letter: char) -> Vec<Arc<Client>> {
        let all = self.clients.lock();
        let fits = all
            .iter()
            .filter(|client| client.name().starts_with(letter) && !client.is_dead());
        fits.cloned().collect()
    }

    pub(crate) fn is_raining(&self) -> bool {
        !self.healed.load(Ordering::Relaxed)
    }

    /// Ends all faults, and waits for what is still on its way.
    pub(crate) async fn heal(&self) {
        self.sim.note("sim", format_args!("faults end"));
        self.healed.store(true, Ordering::Relaxed);
        *self.sim.weather.lock() = Weather::calm();
        for client in self.clients.lock().iter() {
            client.heal();
        }
        while *self.sim.under_way.lock() > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        check_reach(&self.sim, "after faults ended");
    }
}

/// Shorter deadlines than in life: a run is short.
fn options() -> StoreOptions {
    StoreOptions {
        deadline: Duration::from_secs(5),
        breaker: Some(BreakerOptions {
            failures: 10,
            open_for: Duration::from_secs(3),
            probes: 1,
        }),
        ..StoreOptions::default()
    }
}
