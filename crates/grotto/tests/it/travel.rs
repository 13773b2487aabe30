//! Rust values on their whole way: producer, store, consumer, attached reader.

use grotto::consumer::Consumer;
use grotto::producer::Producer;
use grotto::store::{Store, StoreUrl};
use grotto::{Declarations, Record, RecordRef, State};
use std::time::Duration;

#[derive(Record, Clone, Debug, PartialEq)]
#[grotto(key(id))]
struct City {
    id: i64,
    name: String,
    #[grotto(dedup)]
    country: Option<String>,
    tags: Vec<String>,
}

fn city(id: i64, name: &str) -> City {
    let tags = (0..id % 3).map(|tag| format!("tag {tag}")).collect();
    City {
        id,
        name: name.to_owned(),
        country: (id % 2 == 0).then(|| "DE".to_owned()),
        tags,
    }
}

#[track_caller]
fn found(state: &State, id: i64) -> Option<City> {
    let city = state.get::<City>(id).expect("key")?;
    Some(city.to_struct().expect("copy"))
}

#[tokio::test(flavor = "multi_thread")]
async fn values_arrive_as_they_were_published_everywhere() {
    let folder = tempfile::tempdir().expect("folder");
    let url = StoreUrl::parse(&folder.path().join("store").to_string_lossy()).expect("url");
    let schema = Declarations::new().with::<City>().schema().expect("schema");
    let store = Store::open_writable(&url).expect("store");
    let producer = Producer::builder("cities", store)
        .schema(schema)
        .open()
        .await
        .expect("producer");
    let first =
        producer.run_cycle(|cycle| Ok((0..100).try_for_each(|id| cycle.add(&city(id, "old")))?));
    let first = first.await.expect("cycle").expect("a version");

    let state_dir = folder.path().join("state");
    let store = Store::open(&url).expect("store");
    let consumer = Consumer::builder("cities", store).state_dir(&state_dir);
    let consumer = consumer.start().await.expect("consumer");
    let before = consumer.state();
    assert_eq!(before.version(), first.version);
    (0..100).for_each(|id| assert_eq!(found(&before, id), Some(city(id, "old"))));

    let attached = Consumer::attach(&state_dir).expect("attached");
    let second = producer.run_incremental(|cycle| {
        cycle.upsert(&city(7, "new"))?;
        cycle.upsert(&city(100, "new"))?;
        cycle.delete::<City>(8)?;
        Ok(())
    });
    let second = second.await.expect("cycle").expect("a version").version;
    consumer
        .wait_for(second, Duration::from_secs(60))
        .await
        .expect("in time");
    let seen = attached
        .wait_past(first.version, Duration::from_secs(60))
        .expect("a version");
    for state in [consumer.state(), seen] {
        assert_eq!(state.version(), second);
        assert_eq!(found(&state, 7), Some(city(7, "new")));
        assert_eq!(found(&state, 100), Some(city(100, "new")));
        assert_eq!(found(&state, 8), None);
        assert_eq!(found(&state, 9), Some(city(9, "old")));
    }
    assert_eq!(
        found(&before, 7),
        Some(city(7, "old")),
        "a held state does not change"
    );

    attached.shutdown();
    consumer.shutdown().await;
    producer.finish().await.expect("snapshots");
}
