//! A schema that cannot follow the one of the dataset is refused before it does harm.

use crate::kit::{Trouble, TroubledStore, names, put};
use grotto_format::Schema;
use grotto_producer::{ErrorKind, Producer, ProducerBuilder};
use std::sync::Arc;

/// The name of a city becomes a number.
const OTHER: &str = "City @PrimaryKey(id) { long id; long name; }";
const WIDER: &str = "City @PrimaryKey(id) { long id; string name; int people; }";

fn builder(store: &Arc<TroubledStore>, schema: &str) -> ProducerBuilder {
    let builder = Producer::builder("cities", store.store()).threads(1);
    builder
        .schema(Schema::parse(schema).unwrap())
        .snapshot_every(0)
}

#[tokio::test]
async fn a_producer_that_could_never_publish_does_not_fence_one_that_can() {
    let store = TroubledStore::new();
    let healthy = store.producer(0).await;
    put(&healthy, 1, "Ghent").await.unwrap().unwrap();
    let log = store.paths("cities/log/").await;
    for lazy in [false, true] {
        let opened = builder(&store, OTHER).lazy_fence(lazy).open().await;
        let error = opened.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let shown = error.to_string();
        assert!(
            shown.contains("cities") && shown.contains("name"),
            "{shown}"
        );
        assert_eq!(store.paths("cities/log/").await, log);
    }
    let published = put(&healthy, 2, "Bruges").await.unwrap().unwrap();
    assert_eq!(published.version, healthy.version());
}

#[tokio::test]
async fn a_producer_with_a_wider_schema_takes_over_with_all_records() {
    let store = TroubledStore::new();
    let before = store.producer(0).await;
    put(&before, 1, "Ghent").await.unwrap().unwrap();
    let wider = builder(&store, WIDER).open().await.unwrap();
    assert_eq!(names(&wider.state()), names(&before.state()));
    let fenced = put(&before, 2, "Bruges").await.unwrap_err();
    assert_eq!(fenced.kind(), ErrorKind::Fenced);
    put(&wider, 2, "Bruges").await.unwrap().unwrap();
    assert_eq!(wider.state().schema().types()[0].fields().len(), 3);
    // And one whose schema the newest version has already.
    let again = builder(&store, WIDER).open().await.unwrap();
    assert_eq!(names(&again.state()), names(&wider.state()));
}

#[tokio::test]
async fn what_is_published_while_a_schema_is_checked_is_taken_over_too() {
    let store = TroubledStore::new();
    let before = store.producer(0).await;
    put(&before, 1, "Ghent").await.unwrap().unwrap();
    // Restored and checked, about to fence.
    store.cause(Trouble::Waits, "probe");
    let opening = tokio::spawn(builder(&store, WIDER).open());
    store.met.acquire().await.unwrap().forget();
    put(&before, 2, "Bruges").await.unwrap().unwrap();
    store.heal();
    store.go_on.add_permits(1);
    let wider = opening.await.unwrap().unwrap();
    assert_eq!(names(&wider.state()), names(&before.state()));
    put(&wider, 3, "Ypres").await.unwrap().unwrap();
    let restored = builder(&store, WIDER).open().await.unwrap();
    assert_eq!(names(&restored.state()).len(), 3);
}

#[tokio::test]
async fn a_new_start_may_have_any_schema() {
    let store = TroubledStore::new();
    let before = store.producer(0).await;
    put(&before, 1, "Ghent").await.unwrap().unwrap();
    // Over records that can be restored there is nothing to start over from.
    let opened = builder(&store, OTHER).start_over(true).open().await;
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::Invalid);
    store.lose("cities/delta/").await;
    let anew = builder(&store, OTHER)
        .start_over(true)
        .open()
        .await
        .unwrap();
    let fill = |cycle: &mut grotto_producer::FullCycle| {
        cycle.add_json("City", r#"{"id":1,"name":9000}"#, 1)?;
        Ok(())
    };
    anew.run_cycle(fill).await.unwrap().unwrap();
    assert_eq!(
        anew.state().schema().to_string(),
        Schema::parse(OTHER).unwrap().to_string()
    );
}

#[tokio::test]
async fn a_schema_that_cannot_follow_changes_nothing() {
    let store = TroubledStore::new();
    let producer = store.producer(0).await;
    put(&producer, 1, "Ghent").await.unwrap().unwrap();
    let refused = producer.set_schema(Schema::parse(OTHER).unwrap()).await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    put(&producer, 2, "Bruges").await.unwrap().unwrap();
    producer
        .set_schema(Schema::parse(WIDER).unwrap())
        .await
        .unwrap();
    put(&producer, 3, "Ypres").await.unwrap().unwrap();
    assert_eq!(producer.state().schema().types()[0].fields().len(), 3);
    // What was committed since counts, and not what the producer was opened with.
    let error = producer
        .set_schema(Schema::parse(OTHER).unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn an_incremental_cycle_names_the_field_that_it_cannot_remove() {
    let store = TroubledStore::new();
    let producer = store.producer(0).await;
    put(&producer, 1, "Ghent").await.unwrap().unwrap();
    let narrow = Schema::parse("City @PrimaryKey(id) { long id; }").unwrap();
    producer.set_schema(narrow).await.unwrap();
    let refused =
        producer.run_incremental(|cycle| Ok(cycle.upsert_json("City", r#"{"id":2}"#, 1)?));
    let error = refused.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let shown = error.to_string();
    assert!(
        shown.contains("City.name") && shown.contains("full-state cycle"),
        "{shown}"
    );
    let fill =
        |cycle: &mut grotto_producer::FullCycle| Ok(cycle.add_json("City", r#"{"id":1}"#, 1)?);
    producer.run_cycle(fill).await.unwrap().unwrap();
}
