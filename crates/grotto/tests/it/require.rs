//! Consumers that say what they read, and versions that lack it.

use crate::build::{schema_of, state_of};
use grotto::consumer::{Consumer, ErrorKind};
use grotto::producer::Producer;
use grotto::store::{Store, StoreUrl};
use grotto::{Record, RecordType, State};
use std::path::Path;

#[derive(Record, Clone, Debug)]
#[grotto(key(id))]
struct City {
    id: i64,
    home: Option<Country>,
    population: i64,
}

#[derive(Record, Clone, Debug)]
struct Country {
    code: String,
}

/// Later shapes of the type.
mod later {
    use grotto::Record;

    #[derive(Record, Clone)]
    #[grotto(key(id), rename = "City")]
    pub(super) struct Removed {
        pub(super) id: i64,
        pub(super) home: Option<super::Country>,
    }

    #[derive(Record, Clone)]
    #[grotto(key(id), rename = "City")]
    pub(super) struct Renamed {
        pub(super) id: i64,
        pub(super) home: Option<super::Country>,
        pub(super) people: i64,
    }

    #[derive(Record, Clone)]
    #[grotto(key(id), rename = "City")]
    pub(super) struct OtherKind {
        pub(super) id: i64,
        pub(super) home: Option<super::Country>,
        pub(super) population: String,
    }

    #[derive(Record, Clone)]
    #[grotto(rename = "Country")]
    pub(super) struct Anonymous {
        pub(super) name: String,
    }

    #[derive(Record, Clone)]
    #[grotto(key(id), rename = "City")]
    pub(super) struct Nested {
        pub(super) id: i64,
        pub(super) home: Option<Anonymous>,
        pub(super) population: i64,
    }
}

fn city(population: i64) -> City {
    let code = "DE".to_owned();
    let home = Some(Country { code });
    City {
        id: 1,
        home,
        population,
    }
}

fn removed() -> later::Removed {
    later::Removed { id: 1, home: None }
}

fn renamed() -> later::Renamed {
    later::Renamed {
        id: 1,
        home: None,
        people: 2,
    }
}

fn other_kind() -> later::OtherKind {
    later::OtherKind {
        id: 1,
        home: None,
        population: "many".into(),
    }
}

fn nested() -> later::Nested {
    let name = "Germany".to_owned();
    let home = Some(later::Anonymous { name });
    later::Nested {
        id: 1,
        home,
        population: 3,
    }
}

#[track_caller]
fn strict(state: &State, expected: &str) {
    let error = state
        .typed_strict::<City>()
        .expect_err("it lacks something");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_strict_reader_refuses_what_another_reads_as_default_and_names_the_field() {
    let whole = state_of(&[city(5)]);
    let typed = whole.typed_strict::<City>().expect("all is there");
    let population = typed.get(1).expect("key").map(|city| city.population());
    assert_eq!(population, Some(5));

    let lacks = "type City: expected a field population in the schema, found none";
    let without = state_of(&[removed()]);
    strict(&without, lacks);
    let default = without
        .get::<City>(1)
        .expect("key")
        .map(|city| city.population());
    assert_eq!(default, Some(0));
    strict(&state_of(&[renamed()]), lacks);
    strict(
        &state_of(&[other_kind()]),
        "field City.population: expected long, found string",
    );
    strict(
        &state_of(&[nested()]),
        "type Country: expected a field code in the schema, found none",
    );
    let without = state_of(&[Country { code: "DE".into() }]);
    let error = without.typed_strict::<City>().expect_err("no such type");
    assert!(
        error.to_string().contains("type City is not in the schema"),
        "{error}"
    );
}

#[test]
fn a_strict_reader_refuses_another_primary_key() {
    #[derive(Record)]
    #[grotto(key(population, id), rename = "City")]
    struct Swapped {
        id: i64,
        population: i64,
    }
    #[derive(Record)]
    #[grotto(rename = "City")]
    struct Keyless {
        id: i64,
    }
    let state = state_of(&[city(5)]);
    let error = state.typed_strict::<Swapped>().expect_err("another key");
    let expected = "type City: expected the primary key (population, id) of the struct, found (id)";
    assert_eq!(error.to_string(), expected);
    let error = state.get::<Swapped>((5, 1)).expect_err("another key");
    assert_eq!(error.to_string(), expected);
    let typed = state.typed_strict::<Keyless>().expect("asks for no key");
    assert_eq!(typed.iter().map(|city| city.id()).sum::<i64>(), 1);
    let unkeyed = state_of(&[Country { code: "DE".into() }]);
    #[derive(Record)]
    #[grotto(key(code), rename = "Country")]
    struct ByCode {
        code: String,
    }
    let error = unkeyed.get::<ByCode>("DE").expect_err("no key");
    let expected = "type Country: expected the primary key (code) of the struct, found none";
    assert_eq!(error.to_string(), expected);
}

struct Shop {
    producer: Producer,
    url: StoreUrl,
}

impl Shop {
    async fn new(folder: &Path) -> Self {
        let url = StoreUrl::parse(&folder.join("store").to_string_lossy()).expect("url");
        let store = Store::open_writable(&url).expect("store");
        let builder = Producer::builder("cities", store).schema(schema_of::<City>());
        Self {
            producer: builder.open().await.expect("producer"),
            url,
        }
    }

    /// Publishes one record under the schema of its type.
    async fn publish<T: RecordType + Send + Clone>(&self, record: T) -> u64 {
        let schema = schema_of::<T>();
        self.producer.set_schema(schema).await.expect("compatible");
        let filled = self
            .producer
            .run_cycle(move |cycle| Ok(cycle.add(&record)?));
        filled.await.expect("cycle").expect("a version").version
    }

    fn consumer(&self) -> grotto::consumer::ConsumerBuilder {
        let store = Store::open(&self.url).expect("store");
        Consumer::builder("cities", store).require::<City>()
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, grotto::consumer::Error>, expected: &str) {
    let error = outcome.expect_err("the version lacks something");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.to_string(), expected);
}

fn lacks(version: u64) -> String {
    format!(
        "dataset cities, version {version} lacks what is required: \
         type City: expected a field population in the schema, found none"
    )
}

#[tokio::test]
async fn a_version_that_lacks_what_is_required_is_refused_and_the_one_before_stays_served() {
    let folder = tempfile::tempdir().expect("folder");
    let shop = Shop::new(folder.path()).await;
    let first = shop.publish(city(5)).await;
    let state_dir = folder.path().join("state");
    let consumer = shop.consumer().state_dir(&state_dir);
    let consumer = consumer.open().await.expect("all is there");

    let gone = shop.publish(removed()).await;
    refused(consumer.refresh().await, &lacks(gone));
    assert_eq!(consumer.version(), first);
    let kinds = format!(
        "dataset cities, version {} lacks what is required: \
         field City.population: expected long, found string",
        gone + 1
    );
    assert_eq!(shop.publish(other_kind()).await, gone + 1);
    refused(consumer.refresh().await, &kinds);
    assert_eq!(consumer.version(), first);
    let names = shop.publish(renamed()).await;
    refused(consumer.refresh().await, &lacks(names));
    let served = consumer.state();
    let found = served.get::<City>(1).expect("key").expect("record");
    assert_eq!((served.version(), found.population()), (first, 5));

    // A local state that is whole is served by the next start as well, until a whole version comes.
    consumer.shutdown().await;
    let again = shop.consumer().state_dir(&state_dir).open().await;
    let again = again.expect("the local state is whole");
    assert_eq!(again.version(), first);
    let whole = shop.publish(city(6)).await;
    again.refresh().await.expect("whole again");
    assert_eq!(again.version(), whole);
}

#[tokio::test]
async fn a_start_on_a_version_that_lacks_what_is_required_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let shop = Shop::new(folder.path()).await;
    let first = shop.publish(city(5)).await;
    let gone = shop.publish(removed()).await;
    refused(shop.consumer().start().await, &lacks(gone));
    refused(shop.consumer().open().await, &lacks(gone));
    refused(shop.consumer().open_at(gone).await, &lacks(gone));
    let before = shop.consumer().open_at(first).await.expect("whole");
    assert_eq!(before.version(), first);

    // Left in the state directory by a consumer that required nothing.
    let state_dir = folder.path().join("state");
    let store = Store::open(&shop.url).expect("store");
    let careless = Consumer::builder("cities", store).state_dir(&state_dir);
    careless.open().await.expect("any").shutdown().await;
    refused(
        shop.consumer().state_dir(&state_dir).start().await,
        &lacks(gone),
    );
    refused(
        shop.consumer().state_dir(&state_dir).open().await,
        &lacks(gone),
    );
    let whole = shop.publish(city(6)).await;
    let consumer = shop.consumer().state_dir(&state_dir).start().await;
    let consumer = consumer.expect("whole again");
    assert_eq!(consumer.version(), whole);
    consumer.shutdown().await;
}
