//! Consumers that keep some of the types.

use crate::faults::FaultStore;
use crate::kit::{DATASET, Kit, Publisher};
use grotto_consumer::{Consumer, ConsumerBuilder, ErrorKind, Interest, State, Subscribe};
use grotto_store::{BlobKind, Ranges, Source, Store, StoreOptions};
use std::time::Duration;

fn builder(kit: &Kit) -> ConsumerBuilder {
    Consumer::builder(DATASET, kit.store.clone()).types(["Left"])
}

/// Asserts that a state has the `Left` of the publisher's, and refuses to read `Right`.
fn assert_left(state: &State, publisher: &Publisher) {
    let whole = publisher.state();
    assert_eq!(state.version(), whole.version());
    let (found, expected) = (state.summary(), whole.summary());
    assert_eq!(found["Left"].checksum, expected["Left"].checksum);
    assert_eq!(found["Left"].records, expected["Left"].records);
    assert_eq!(found["Right"].records, 0);
    let refused = state.type_id("Right").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("only Left"), "{refused}");
}

#[tokio::test]
async fn only_what_is_asked_for_is_kept_through_refreshes_and_back() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    publisher.snapshot().await;
    let consumer = builder(&kit).open().await.unwrap();
    assert_left(&consumer.state(), &publisher);
    let first = consumer.version();
    for every in [2, 3, 50] {
        publisher.publish(every).await;
        let refresh = consumer.refresh().await.unwrap().unwrap();
        assert_left(&consumer.state(), &publisher);
        assert!(refresh.changes_of("Left").unwrap().count() > 0);
        assert!(refresh.changes_of("Right").is_err());
    }
    consumer.refresh_to(first).await.unwrap().unwrap();
    assert_eq!(consumer.version(), first);
    consumer.follow().await.unwrap();
    assert_left(&consumer.state(), &publisher);
}

#[tokio::test]
async fn a_state_directory_is_served_again_to_the_same_filter_only() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = builder(&kit)
        .state_dir(kit.state_dir())
        .open()
        .await
        .unwrap();
    let attached = Consumer::attach(kit.state_dir()).unwrap();
    assert_left(&attached.state(), &publisher);
    drop(consumer);

    let store = FaultStore::new(&kit.folder.path().join("store"));
    let open = |store: &std::sync::Arc<FaultStore>| {
        Consumer::builder(DATASET, store.store()).state_dir(kit.state_dir())
    };
    let again = open(&store).types(["Left"]).open().await.unwrap();
    assert_left(&again.state(), &publisher);
    assert_eq!(store.asked("delta/") + store.asked("snapshot/"), 0);
    drop(again);

    let whole = open(&store).open().await.unwrap();
    crate::kit::assert_same(&whole.state(), &publisher.state());
    assert!(store.asked("delta/") + store.asked("snapshot/") > 0);
    drop(whole);
    let left = open(&store).types(["Left"]).open().await.unwrap();
    assert_left(&left.state(), &publisher);
}

#[tokio::test]
async fn fields_are_kept_through_refreshes_restarts_and_in_attached_processes() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let open = || {
        let builder = Consumer::builder(DATASET, kit.store.clone());
        let builder = builder.types(["Left.round", "Right.round"]);
        builder.state_dir(kit.state_dir()).open()
    };
    let assert_part = |state: &State, publisher: &Publisher| {
        let (found, expected) = (state.summary(), publisher.state().summary());
        assert_eq!(state.version(), publisher.state().version());
        for ty in ["Left", "Right"] {
            assert_eq!(found[ty].checksum, expected[ty].checksum, "{ty}");
        }
        let left = state.type_id("Left").unwrap();
        let fields = |path| state.schema().field_path(left, path);
        assert!(fields("round").is_ok() && fields("id").is_ok());
        let refused = fields("note").unwrap_err().to_string();
        assert_eq!(refused, "field Left.note is left out here");
    };
    let consumer = open().await.unwrap();
    publisher.publish(3).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_part(&consumer.state(), &publisher);
    let attached = Consumer::attach(kit.state_dir()).unwrap();
    assert_part(&attached.state(), &publisher);
    drop(consumer);
    publisher.publish(2).await;
    let again = open().await.unwrap();
    assert_part(&again.state(), &publisher);
    let refused = Consumer::builder(DATASET, kit.store.clone()).types(["Left.size"]);
    let refused = refused.open().await.unwrap_err().to_string();
    assert!(refused.contains(r#"Left has no field "size""#), "{refused}");
}

#[tokio::test]
async fn a_version_whose_kept_types_are_not_those_of_the_log_is_refused() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = builder(&kit).open().await.unwrap();
    let (before, good) = (publisher.state(), publisher.publish(7).await);
    // The log promises the records of a version before.
    let mut lie = good.clone();
    let left = before.summary()["Left"];
    let promised = lie.types.get_mut("Left").unwrap();
    assert_ne!(promised.checksum, left.checksum);
    promised.checksum = left.checksum;
    std::fs::write(
        kit.file(&format!("log/{:020}.json", good.version)),
        lie.encode().unwrap(),
    )
    .unwrap();
    let refused = consumer.refresh().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
    assert!(
        refused.to_string().contains("state checksum of Left"),
        "{refused}"
    );
    assert_eq!(consumer.version(), before.version());
}

#[tokio::test]
async fn a_type_that_there_is_not_is_refused_at_the_start() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let builder = Consumer::builder(DATASET, kit.store.clone());
    let refused = builder.types(["Left", "Rihgt"]).open().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("Rihgt"), "{refused}");
}

#[tokio::test]
async fn subscriptions_and_visits_keep_to_the_filter() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = builder(&kit).open().await.unwrap();
    let first = consumer.version();
    let mut all = consumer
        .subscribe(Subscribe::named("all").from_beginning())
        .await
        .unwrap();
    publisher.publish(9).await;
    consumer.refresh().await.unwrap();
    let update = all.next().await.unwrap().unwrap();
    assert_eq!(update.types().collect::<Vec<_>>(), ["Left"]);
    let right = consumer
        .subscribe(Subscribe::named("right").to(Interest::of("Right")))
        .await;
    assert!(right.unwrap_err().to_string().contains("left out"));
    let visited = consumer.state_at(first).await.unwrap();
    assert!(visited.type_id("Right").is_err());
    assert_eq!(visited.version(), first);
}

#[tokio::test]
async fn what_the_log_alone_can_prove_is_not_served_before_it_does() {
    for keeps_all in [true, false] {
        let kit = Kit::new();
        let mut publisher = kit.publisher().await;
        publisher.publish(1).await;
        let builder = Consumer::builder(DATASET, kit.store.clone());
        let builder = match keeps_all {
            true => builder,
            false => builder.types(["Left"]),
        };
        let consumer = builder.open().await.unwrap();
        let first = consumer.version();
        publisher.publish(2).await;
        let broken = publisher.publish(3).await.version;
        crate::kit::flip(&kit.file(&publisher.delta_of(broken)), 60);
        consumer.refresh().await.unwrap_err();
        // A whole state is proven by every blob.
        assert_eq!(consumer.version(), first + u64::from(keeps_all));
    }
}

/// The same store, of whose blobs of some size only the sections that are of use are fetched.
fn in_excerpts(store: &Store) -> Store {
    let options = store.options();
    let ranges = Ranges {
        excerpt_from: 1000,
        ..options.ranges
    };
    let options = StoreOptions { ranges, ..*options };
    store.clone().with_options(options)
}

#[tokio::test]
async fn only_the_sections_of_kept_types_are_fetched() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish_exactly(300, 3000).await;
    publisher.snapshot().await;
    let consumer = Consumer::builder(DATASET, in_excerpts(&kit.store)).types(["Right"]);
    let consumer = consumer.open().await.unwrap();
    let same = |publisher: &Publisher| {
        let (found, whole) = (consumer.state().summary(), publisher.state().summary());
        assert_eq!(found["Right"].checksum, whole["Right"].checksum);
        assert_eq!(found["Left"].records, 0);
    };
    same(&publisher);
    // Notes of Left take nearly all of it, compressed as they are.
    let entry = publisher.publish_exactly(290, 4000).await;
    let length = Source::of(&entry, BlobKind::Delta).unwrap().length();
    let refresh = consumer.refresh().await.unwrap().unwrap();
    let bytes = refresh.into_report().bytes();
    assert!(bytes < length / 2, "{bytes} of {length}");
    same(&publisher);
}

#[tokio::test]
async fn a_schema_that_changes_on_the_way_moves_the_sections_that_are_fetched() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish_exactly(300, 3000).await;
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let builder = Consumer::builder(DATASET, in_excerpts(&store.store())).types(["Right"]);
    let consumer = builder.open().await.unwrap();
    let new = "New @PrimaryKey(id) { long id; }";
    let before = publisher.use_schema(new);
    publisher.use_schema(&format!("{new} {before}"));
    publisher.publish_exactly(290, 3000).await;
    // This one does not say its schema.
    publisher.publish_exactly(280, 3000).await;
    store.take_asked();
    consumer.refresh().await.unwrap().unwrap();
    let (found, whole) = (consumer.state().summary(), publisher.state().summary());
    assert_eq!(found["Right"].checksum, whole["Right"].checksum);
    assert_eq!(found["Left"].records, 0);
    assert_eq!(consumer.version(), publisher.state().version());
}

#[tokio::test]
async fn a_blob_in_the_cache_is_not_fetched_in_parts() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish_exactly(300, 3000).await;
    let open = |types: Option<&'static str>| {
        let store = FaultStore::new(&kit.folder.path().join("store"));
        let builder = Consumer::builder(DATASET, in_excerpts(&store.store()));
        let day = Duration::from_secs(86_400);
        let builder = builder.blob_cache(kit.folder.path().join("blobs"), 100 << 20, day);
        let builder = match types {
            Some(types) => builder.types([types]),
            None => builder,
        };
        async move { (builder.open().await.unwrap(), store.asked("delta/")) }
    };
    // Parts are not kept: what one that keeps some types fetched is of no use to others.
    let parts = open(Some("Right")).await.1;
    assert!(parts > 0);
    assert_eq!(open(Some("Right")).await.1, parts);
    assert!(open(None).await.1 > 0);
    let (consumer, asked) = open(Some("Right")).await;
    assert_eq!(asked, 0);
    let (found, whole) = (consumer.state().summary(), publisher.state().summary());
    assert_eq!(found["Right"].checksum, whole["Right"].checksum);
}

#[tokio::test]
async fn another_version_is_proven_by_the_log_too() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    let first = publisher.publish(1).await;
    let second = publisher.publish(7).await;
    let consumer = builder(&kit).open().await.unwrap();
    let mut lie = first.clone();
    let promised = lie.types.get_mut("Left").unwrap();
    promised.checksum = second.types["Left"].checksum;
    let entry = kit.file(&format!("log/{:020}.json", first.version));
    std::fs::write(entry, lie.encode().unwrap()).unwrap();
    let refused = consumer.state_at(first.version).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
    let told = refused.to_string();
    assert!(told.contains("state checksum of Left"), "{told}");
}

#[tokio::test]
async fn a_reader_does_not_go_on_where_other_types_or_fields_were_kept() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let all = ["Left", "Left.round", "Left.note", "Right"];
    for (before, now) in all.iter().flat_map(|one| all.map(|other| (*one, other))) {
        let open = |types: &str| {
            let builder = Consumer::builder(DATASET, kit.store.clone());
            builder.types([types.to_owned()]).open()
        };
        let earlier = open(before).await.unwrap();
        let position = earlier.subscribe(Subscribe::named("a")).await.unwrap();
        let position = position.position().clone();
        let later = open(now).await.unwrap();
        let wanted = Subscribe::named("a").after(position.clone());
        match later.subscribe(wanted).await {
            Ok(again) => {
                assert_eq!(before, now);
                assert_eq!(again.position(), &position);
            }
            Err(refused) => {
                assert_ne!(before, now, "{refused}");
                assert_eq!(refused.kind(), ErrorKind::Missing, "{refused}");
                assert!(refused.to_string().contains("of other types"), "{refused}");
            }
        }
    }
}
