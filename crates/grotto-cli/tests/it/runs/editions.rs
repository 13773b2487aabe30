//! Records that tell to which version they belong.
//!
//! Owns: publishing them, and comparing what somebody reads with what he has to read. Never: knows where a state comes
//! from.
//!
//! Every edition is a version. It writes all records of `Mark`, and of `Item` those whose turn it is: so of any state,
//! every record of either type is known from one number.

use crate::kit::Bench;
use grotto::engine::env::Env;
use grotto::{Producer, Record, State, Store, StoreUrl};
use tokio::runtime::Runtime;

/// Records of `Mark`.
const MARKS: i64 = 8;
/// An item is written once in so many editions.
const TURNS: i64 = 20;

#[derive(Record)]
#[grotto(key(id))]
pub(super) struct Item {
    id: i64,
    edition: i64,
    text: String,
}

#[derive(Record)]
#[grotto(key(id))]
pub(super) struct Mark {
    id: i64,
    edition: i64,
}

/// The edition that wrote an item, as of an edition.
pub(super) fn written(id: i64, edition: i64) -> i64 {
    (edition - (edition - id).rem_euclid(TURNS)).max(1)
}

/// The text of an item.
pub(super) fn text(id: i64, edition: i64) -> String {
    format!("item {id} as edition {edition} wrote it")
}

fn item(id: i64, edition: i64) -> Item {
    let text = text(id, edition);
    Item { id, edition, text }
}

/// Publishes editions.
pub(super) struct Publisher {
    runtime: Runtime,
    producer: Producer,
    items: i64,
    edition: i64,
}

impl Publisher {
    /// One that publishes to `store` of a bench, where it published the first edition of so many items.
    pub(super) fn new(bench: &Bench, items: i64) -> Self {
        let path = bench.path("store");
        std::fs::create_dir_all(&path).unwrap();
        let runtime = Runtime::new().unwrap();
        let store = Store::open_writable(&StoreUrl::Local(path)).unwrap();
        let builder = Producer::builder("items", store)
            .declare::<Item>()
            .declare::<Mark>();
        let producer = runtime.block_on(builder.open()).unwrap();
        let mut publisher = Self {
            runtime,
            producer,
            items,
            edition: 0,
        };
        publisher.publish();
        publisher
    }

    /// Publishes the next edition; its version.
    pub(super) fn publish(&mut self) -> u64 {
        self.edition += 1;
        let (edition, items) = (self.edition, self.items);
        let published = self.producer.run_incremental(move |cycle| {
            for id in 0..MARKS {
                cycle.upsert(&Mark { id, edition })?;
            }
            for id in (0..items).filter(|id| written(*id, edition) == edition) {
                cycle.upsert(&item(id, edition))?;
            }
            Ok(())
        });
        let version = self.runtime.block_on(published).unwrap().unwrap().version;
        self.settle();
        version
    }

    /// Waits until nothing is written any more: the store may go away now.
    fn settle(&self) {
        self.runtime.block_on(self.producer.finish()).unwrap();
    }

    /// From now on editions also write, or take away, items with higher numbers: there are so many.
    pub(super) fn resize(&mut self, items: i64) -> u64 {
        self.edition += 1;
        let (edition, before) = (self.edition, self.items);
        let published = self.producer.run_incremental(move |cycle| {
            for id in 0..MARKS {
                cycle.upsert(&Mark { id, edition })?;
            }
            for id in 0..items.max(before) {
                if id >= items {
                    cycle.delete::<Item>(id)?;
                } else if id >= before || written(id, edition) == edition {
                    // As if it had always been there.
                    cycle.upsert(&item(id, written(id, edition)))?;
                }
            }
            Ok(())
        });
        self.items = items;
        let version = self.runtime.block_on(published).unwrap().unwrap().version;
        self.settle();
        version
    }

    /// Publishes a snapshot of the newest edition.
    pub(super) fn snapshot(&self) {
        self.runtime.block_on(self.producer.snapshot()).unwrap();
    }

    pub(super) fn edition(&self) -> i64 {
        self.edition
    }

    pub(super) fn items(&self) -> i64 {
        self.items
    }

    /// The newest version, which belongs to the newest edition.
    pub(super) fn version(&self) -> u64 {
        self.producer.version()
    }

    /// What the clock of the system is waited for.
    pub(super) fn sleep(&self, wait: std::time::Duration) {
        self.runtime.block_on(Env::system().sleep(wait));
    }
}

/// The edition of a state, after making sure that some of its items, and marks, are of it.
pub(super) fn check(state: &State, ids: impl IntoIterator<Item = i64>) -> Result<i64, String> {
    let told = |error: grotto::Error| error.to_string();
    let mark = state.get::<Mark>(0).map_err(told)?.ok_or("no mark 0")?;
    let edition = mark.edition();
    for id in ids {
        let mark = state.get::<Mark>(id % MARKS).map_err(told)?;
        let found = mark.ok_or("a mark is missing")?.edition();
        if found != edition {
            return Err(format!("marks of editions {edition} and {found}"));
        }
        let item = state.get::<Item>(id).map_err(told)?;
        let item = item.ok_or_else(|| format!("edition {edition} has no item {id}"))?;
        let expected = written(id, edition);
        if item.edition() != expected || item.text() != text(id, expected) {
            let found = item.edition();
            return Err(format!(
                "item {id} of edition {edition}: expected that of {expected}, found {found}: {}",
                item.text()
            ));
        }
    }
    Ok(edition)
}

/// The same of all items that there are; how many.
pub(super) fn check_all(state: &State) -> Result<(i64, u64), String> {
    let item = state.type_id("Item").map_err(|e| e.to_string())?;
    let count = state.count(item);
    let edition = check(state, 0..i64::try_from(count).unwrap())?;
    Ok((edition, count))
}

#[test]
fn each_item_is_written_in_its_turn() {
    for id in 0..50 {
        let turns: Vec<i64> = (2..=60)
            .filter(|edition| written(id, *edition) == *edition)
            .collect();
        assert!(turns.windows(2).all(|pair| pair[1] - pair[0] == TURNS));
        assert_eq!(written(id, 1), 1);
        assert_eq!(turns.len(), 3 - usize::from(id % TURNS == 1));
    }
}
