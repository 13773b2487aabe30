//! Orders that refer to customers which change under them: however a consumer gets to a version, on
//! the heap, in files or attached to them, it sees what the model holds and is told what changed.

use crate::kit::{DATASET, Kit};
use grotto_consumer::{Consumer, Refresh, TypeChanges};
use grotto_env::{Random, SeededRandom};
use grotto_format::Schema;
use grotto_producer::{ErrorKind, Producer};
use grotto_state::State;
use std::collections::BTreeMap;
use std::time::Duration;

const SCHEMA: &str =
    "Order @PrimaryKey(id) { long id; long amount; Customer customer; Customers others; }
    Customer @PrimaryKey(id) { long id; long round; string text; Town town; }
    Town @PrimaryKey(code) { int code; long round; } Customers Set<Customer> @HashKey(id);";

/// Several blocks and index pages of customers.
const CUSTOMERS: i64 = 3000;
const TOWNS: i64 = 20;

/// What a version holds: the rounds in which customers and towns were written, and what orders hold.
#[derive(Clone, Default)]
struct Model {
    towns: BTreeMap<i64, u64>,
    /// Round and town.
    customers: BTreeMap<i64, (u64, i64)>,
    /// Amount and two customers.
    orders: BTreeMap<i64, (u64, i64, i64)>,
}

impl Model {
    fn town(&self, code: i64) -> String {
        format!(r#"{{"code":{code},"round":{}}}"#, self.towns[&code])
    }

    fn customer(&self, id: i64) -> String {
        let (round, town) = self.customers[&id];
        let (text, town) = (text(id, round), self.town(town));
        format!(r#"{{"id":{id},"round":{round},"text":"{text}","town":{town}}}"#)
    }

    fn order(&self, id: i64) -> String {
        let (amount, first, second) = self.orders[&id];
        let (first, second) = (self.customer(first), self.customer(second));
        format!(r#"{{"id":{id},"amount":{amount},"customer":{first},"others":[{first},{second}]}}"#)
    }
}

/// Short ones and long ones, so that a change often does not fit where the record was.
fn text(id: i64, round: u64) -> String {
    let length = (id as u64 * 31 + round * 17) % 500;
    "t".repeat(length as usize)
}

/// Reads everything, through indexes and references.
fn assert_holds(state: &State, model: &Model) {
    let [orders, customers, towns] =
        ["Order", "Customer", "Town"].map(|name| state.type_id(name).unwrap());
    let counts = [orders, customers, towns].map(|ty| state.count(ty) as usize);
    assert_eq!(
        counts,
        [model.orders.len(), model.customers.len(), model.towns.len()]
    );
    let check_customer = |record: grotto_state::Record<'_>, id: i64| {
        let (round, town) = model.customers[&id];
        let at = record.follow(3, towns).unwrap();
        let found = (
            record.word(0) as i64,
            record.word(1),
            record.text(2).to_owned(),
            at.word(0),
            at.word(1),
        );
        let expected = (id, round, text(id, round), town as u64, model.towns[&town]);
        assert_eq!(found, expected, "version {}", state.version());
    };
    for id in model.customers.keys() {
        check_customer(state.find(customers, id).unwrap().unwrap(), *id);
    }
    let members = state.schema().find("Customers").unwrap();
    for (id, (amount, first, second)) in &model.orders {
        let order = state.find(orders, id).unwrap().unwrap();
        assert_eq!(order.word(1), *amount);
        check_customer(order.follow(2, customers).unwrap(), *first);
        let set = order.follow(3, members).unwrap();
        let mut ids: Vec<i64> = set
            .elements(0)
            .map(|ordinal| state.record(customers, ordinal).unwrap().word(0) as i64)
            .collect();
        ids.sort_unstable();
        let mut expected = vec![*first, *second];
        expected.sort_unstable();
        expected.dedup();
        assert_eq!(ids, expected);
    }
    assert!(!state.is_damaged());
    state.check_invariants().unwrap();
}

/// Changes the model from either side and publishes it, by changes or as a whole.
async fn next(producer: &Producer, model: &mut Model, random: &SeededRandom) -> u64 {
    let below = |limit: i64| (random.next_u64() % limit as u64) as i64;
    let round = producer.version() + 1;
    let (mut towns, mut customers, mut orders) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..below(3) {
        let code = below(TOWNS);
        model.towns.insert(code, round);
        towns.push(code);
    }
    for _ in 0..1 + below(40) {
        let id = below(CUSTOMERS);
        model.customers.insert(id, (round, below(TOWNS)));
        customers.push(id);
    }
    for _ in 0..below(20) {
        let id = below(400);
        model.orders.insert(
            id,
            (random.next_u64() >> 8, below(CUSTOMERS), below(CUSTOMERS)),
        );
        orders.push(id);
    }
    let gone = below(400);
    let gone = model.orders.remove(&gone).map(|_| gone);
    orders.retain(|id| Some(*id) != gone);
    let whole = below(4) == 0;
    let now = model.clone();
    let published = if whole {
        producer
            .run_cycle(move |cycle| {
                let all = now.orders.keys().map(|id| ("Order", now.order(*id)));
                let all = all.chain(
                    now.customers
                        .keys()
                        .map(|id| ("Customer", now.customer(*id))),
                );
                let mut all = all.chain(now.towns.keys().map(|code| ("Town", now.town(*code))));
                all.try_for_each(|(ty, text)| cycle.add_json(ty, &text, 0))?;
                Ok(())
            })
            .await
    } else {
        producer
            .run_incremental(move |cycle| {
                towns
                    .iter()
                    .try_for_each(|code| cycle.upsert_json("Town", &now.town(*code), 0))?;
                for id in customers {
                    cycle.upsert_json("Customer", &now.customer(id), 0)?;
                }
                for id in orders {
                    cycle.upsert_json("Order", &now.order(id), 0)?;
                }
                if let Some(id) = gone {
                    cycle.delete_from("Order", id)?;
                }
                Ok(())
            })
            .await
    };
    published.unwrap().unwrap().version
}

async fn producer(kit: &Kit) -> Producer {
    Producer::builder(DATASET, kit.store())
        .schema(Schema::parse(SCHEMA).unwrap())
        .snapshot_every(0)
        .inline_blobs(0)
        .open()
        .await
        .unwrap()
}

fn first() -> Model {
    Model {
        towns: (0..TOWNS).map(|code| (code, 0)).collect(),
        customers: (0..CUSTOMERS).map(|id| (id, (0, id % TOWNS))).collect(),
        orders: (0..400).map(|id| (id, (1, id * 3, id * 2))).collect(),
    }
}

/// What a report must say of customers and towns: they all stay, and change where they are.
fn assert_told(report: &Refresh, before: &Model, after: &Model) {
    let changed = |name: &str| report.ordinals.get(name).cloned().unwrap_or_default();
    let modified = |count: usize, change: &TypeChanges| {
        let found = [
            change.added.len(),
            change.removed.len(),
            change.modified.len(),
        ];
        assert_eq!(found, [0, 0, count], "{} to {}", report.from, report.to);
    };
    let customers = before
        .customers
        .iter()
        .filter(|(id, held)| after.customers[*id] != **held);
    modified(customers.count(), &changed("Customer"));
    let towns = before
        .towns
        .iter()
        .filter(|(code, round)| after.towns[*code] != **round);
    modified(towns.count(), &changed("Town"));
    let orders = changed("Order");
    let came = after
        .orders
        .iter()
        .filter(|(id, held)| before.orders.get(*id) != Some(*held));
    let went = before
        .orders
        .iter()
        .filter(|(id, held)| after.orders.get(*id) != Some(*held));
    let found = [
        orders.added.len(),
        orders.removed.len(),
        orders.modified.len(),
    ];
    assert_eq!(
        found,
        [came.count(), went.count(), 0],
        "{} to {}",
        report.from,
        report.to
    );
}

#[tokio::test]
async fn customers_that_change_under_their_orders_are_seen_alike_by_all() {
    let kit = Kit::new();
    let random = SeededRandom::new(11);
    let mut model = first();
    let mut producer_now = producer(&kit).await;
    let mut versions: BTreeMap<u64, Model> = BTreeMap::new();
    let now = model.clone();
    let published = producer_now.run_cycle(move |cycle| {
        for id in now.customers.keys() {
            cycle.add_json("Customer", &now.customer(*id), 0)?;
        }
        now.orders
            .keys()
            .try_for_each(|id| cycle.add_json("Order", &now.order(*id), 0))?;
        Ok(())
    });
    versions.insert(published.await.unwrap().unwrap().version, model.clone());
    let build = || kit.consumer().state_dir(kit.state_dir());
    let heap = kit.consumer().open().await.unwrap();
    let mut files = build().open().await.unwrap();
    let attached = Consumer::attach(kit.state_dir()).unwrap();
    assert!(heap.state().shape().blocks > 4 && heap.state().shape().index_pages > 8);
    for turn in 0..24 {
        if turn % 7 == 6 {
            producer_now = producer(&kit).await;
            files.shutdown().await;
            files = build().open().await.unwrap();
        }
        let before = model.clone();
        let version = next(&producer_now, &mut model, &random).await;
        versions.insert(version, model.clone());
        if turn % 9 == 4 {
            producer_now.snapshot().await.unwrap();
        }
        let report = heap.refresh().await.unwrap().unwrap();
        assert_told(&report, &before, &model);
        let seen = attached.version();
        files.refresh().await.unwrap();
        assert_holds(&heap.state(), &model);
        assert_holds(&files.state(), &model);
        let state = attached.wait_past(seen, Duration::from_secs(60)).unwrap();
        assert_eq!(
            (state.version(), state.checksum()),
            (version, heap.state().checksum())
        );
        assert_holds(&state, &model);
    }
    let numbers: Vec<u64> = versions.keys().copied().collect();
    for _ in 0..12 {
        // Forward and back by any number of steps.
        let target = numbers[(random.next_u64() % numbers.len() as u64) as usize];
        let from = heap.version();
        if let Some(report) = heap.refresh_to(target).await.unwrap() {
            assert_told(&report, &versions[&from], &versions[&target]);
        }
        assert_holds(&heap.state(), &versions[&target]);
        let fresh = kit.consumer().open_at(target).await.unwrap();
        assert_eq!(fresh.state().checksum(), heap.state().checksum());
    }
}

#[tokio::test]
async fn a_snapshot_on_the_way_tells_the_same_of_customers_as_deltas() {
    let mut told = Vec::new();
    for by_snapshot in [false, true] {
        let kit = Kit::new();
        let random = SeededRandom::new(5);
        let producer = producer(&kit).await;
        let mut model = first();
        let now = model.clone();
        let published = producer.run_cycle(move |cycle| {
            now.customers
                .keys()
                .try_for_each(|id| cycle.add_json("Customer", &now.customer(*id), 0))?;
            now.orders
                .keys()
                .try_for_each(|id| cycle.add_json("Order", &now.order(*id), 0))?;
            Ok(())
        });
        published.await.unwrap().unwrap();
        let consumer = kit.consumer().open().await.unwrap();
        let before = model.clone();
        for _ in 0..5 {
            next(&producer, &mut model, &random).await;
        }
        if by_snapshot {
            producer.snapshot().await.unwrap();
            std::fs::remove_dir_all(kit.file("delta")).unwrap();
        }
        let report = consumer.refresh().await.unwrap().unwrap();
        assert_told(&report, &before, &model);
        told.push(report.into_report().ordinals);
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
async fn a_customer_that_an_order_needs_is_not_deleted() {
    let kit = Kit::new();
    let producer = producer(&kit).await;
    let mut model = first();
    model.orders.retain(|id, _| *id == 3);
    let now = model.clone();
    let published =
        producer.run_incremental(move |cycle| Ok(cycle.upsert_json("Order", &now.order(3), 1)?));
    published.await.unwrap().unwrap();
    let deleted = producer.run_incremental(|cycle| {
        cycle.delete_from("Customer", 9_i64)?;
        Ok(())
    });
    let error = deleted.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(
        error.message(),
        "type Customer: key 9 cannot be deleted: 2 records of the new version refer to it, such as Order 3"
    );
    let both = producer.run_incremental(|cycle| {
        cycle.delete_from("Customer", 9_i64)?;
        cycle.delete_from("Order", 3_i64)?;
        Ok(())
    });
    both.await.unwrap().unwrap();
}
