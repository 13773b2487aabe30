//! What all actors share: the simulation, their connections, and whether faults still rain.
//!
//! Owns: the connections of everybody. Never: acts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use grotto_consumer::{ConsumerBuilder, Position};
use grotto_env::{Env, Work};
use grotto_store::{BreakerOptions, Store, StoreOptions};
use object_store::ObjectStore;
use parking_lot::Mutex;

use super::herald::{Herald, Voice};
use crate::check::{Content, check_reach};
use crate::clock::HostClock;
use crate::dice::Dice;
use crate::fault::Fault;
use crate::sim::Sim;
use crate::store::{Client, Connection, Weather};

/// How far a clock may be ahead, or behind: two days.
const MOST_AHEAD_MS: u64 = 2 * 86_400_000;

/// Types that are kept, a copy of them, and where it is.
pub(crate) type Moving = (Option<&'static [&'static str]>, Content, Position);

/// Shared by all actors.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) sim: Arc<Sim>,
    healed: AtomicBool,
    clients: Mutex<Vec<Arc<Client>>>,
    /// Versions that readers hold back, by their numbers.
    held: Mutex<BTreeMap<u64, u64>>,
    /// Copies whose programs go on at another reader, with the types that they have.
    pub(crate) moving: Mutex<Vec<Moving>>,
    /// Clocks of writers' hosts.
    clocks: Mutex<Vec<Arc<HostClock>>>,
    /// Through whom versions are announced, in some seeds.
    herald: OnceLock<Arc<Herald>>,
}

impl Stage {
    pub(crate) fn new(sim: &Arc<Sim>) -> Arc<Self> {
        Arc::new(Self {
            sim: Arc::clone(sim),
            healed: AtomicBool::new(false),
            clients: Mutex::default(),
            held: Mutex::default(),
            moving: Mutex::default(),
            clocks: Mutex::default(),
            herald: OnceLock::new(),
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
        let store = store
            .with_env(self.env_of(name, dice))
            .with_options(options());
        self.clients.lock().push(Arc::clone(&client));
        (client, store)
    }

    /// From now on versions are announced, if the seed says so.
    pub(crate) fn begin_herald(&self, seed: u64) {
        if let Some(herald) = Herald::begin(&self.sim, seed) {
            self.herald.get_or_init(|| herald);
        }
    }

    pub(crate) fn herald(&self) -> Option<&Arc<Herald>> {
        self.herald.get()
    }

    /// What a process of this name announces versions with.
    pub(crate) fn voice(&self, name: &str) -> Voice {
        Voice {
            sim: Arc::clone(&self.sim),
            herald: self.herald.get().cloned(),
            name: name.to_owned(),
        }
    }

    /// Has a consumer that polls hear announcements, perhaps, and look no more often for them than it would poll.
    pub(crate) fn listening(
        &self,
        builder: ConsumerBuilder,
        client: &Client,
        dataset: &str,
        interval: Duration,
    ) -> ConsumerBuilder {
        client.keep_pace(interval);
        let herald = self.herald.get();
        match herald.and_then(|herald| herald.listen(client.name(), dataset)) {
            Some(heard) => builder.push(heard),
            None => builder,
        }
    }

    /// Chance of its own, and the time of all.
    pub(crate) fn env(&self, dice: &Dice) -> Env {
        Env {
            clock: Arc::clone(&self.sim.clock),
            work: Work::Interleaved,
            ..Env::simulated(dice.seed())
        }
    }

    /// The same on the host of a process: writers' wall clocks are set now and then.
    fn env_of(&self, name: &str, dice: &Dice) -> Env {
        if !name.starts_with(['w', 'h']) {
            return self.env(dice);
        }
        let clock = HostClock::new(Arc::clone(&self.sim.clock));
        self.clocks.lock().push(Arc::clone(&clock));
        Env {
            clock,
            work: Work::Interleaved,
            ..Env::simulated(dice.seed())
        }
    }

    /// Somebody sets the clocks of writers' hosts.
    pub(crate) fn set_clocks(&self, dice: &Dice) {
        let all = self.clocks.lock();
        for clock in all.iter().rev().take(3) {
            let ahead_ms = dice.below(2 * MOST_AHEAD_MS) as i64 - MOST_AHEAD_MS as i64;
            clock.set_ahead(ahead_ms);
        }
        self.sim.count(Fault::ClockJump);
    }

    /// Connections of processes whose names begin with `letter`.
    pub(crate) fn clients(&self, letter: char) -> Vec<Arc<Client>> {
        let all = self.clients.lock();
        let fits = all
            .iter()
            .filter(|client| client.name().starts_with(letter) && !client.is_dead());
        fits.cloned().collect()
    }

    /// A reader holds a version back, or none any more.
    pub(crate) fn holds(&self, reader: u64, version: Option<u64>) {
        let mut held = self.held.lock();
        match version {
            Some(version) => _ = held.insert(reader, version),
            None => _ = held.remove(&reader),
        }
    }

    /// Versions that are held back.
    pub(crate) fn held(&self) -> Vec<u64> {
        self.held.lock().values().copied().collect()
    }

    pub(crate) fn is_raining(&self) -> bool {
        !self.healed.load(Ordering::Relaxed)
    }

    /// Ends all faults, and waits for what is still on its way.
    pub(crate) async fn heal(&self) {
        self.sim.note("sim", format_args!("faults end"));
        self.healed.store(true, Ordering::Relaxed);
        *self.sim.weather.lock() = Weather::calm();
        if let Some(herald) = self.herald() {
            herald.settle_down();
        }
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
