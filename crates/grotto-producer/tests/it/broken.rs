//! Closures and validators that fail or panic: the committed state stays, the next cycle works.

use crate::kit::{SCHEMA, TroubledStore, names, put};
use grotto_format::Schema;
use grotto_producer::{AnyError, Candidate, ErrorKind, Producer, Validator};

#[tokio::test]
async fn a_closure_that_panics_fails_its_cycle_and_no_other() {
    let producer = TroubledStore::new().producer(0).await;
    put(&producer, 1, "one").await.unwrap().unwrap();
    let version = producer.version();
    let panicked = producer
        .run_cycle(|_| panic!("a bug of the caller"))
        .await
        .unwrap_err();
    assert_eq!(panicked.kind(), ErrorKind::UserPanic);
    assert_eq!(
        panicked.message(),
        "the closure that fills the cycle panicked: a bug of the caller"
    );
    let failed = producer.metrics_text();
    assert!(
        failed.contains(r#"grotto_producer_failed_cycles_total{dataset="cities"} 1"#),
        "{failed}"
    );
    assert_eq!(
        (producer.version(), names(&producer.state()).len()),
        (version, 1)
    );
    put(&producer, 2, "two").await.unwrap().unwrap();
    assert_eq!(names(&producer.state()).len(), 2);
}

/// Its error panics when it is looked at.
#[derive(Debug)]
struct Unspeakable;

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("no words for it")
    }
}

impl std::error::Error for Unspeakable {}

struct Speechless;

impl Validator for Speechless {
    fn name(&self) -> &str {
        "speechless"
    }

    fn validate(&self, _: &Candidate<'_>) -> Result<(), AnyError> {
        Err(Unspeakable.into())
    }
}

#[tokio::test]
async fn an_error_of_a_validator_that_panics_when_shown_is_its_panic() {
    let schema = Schema::parse(SCHEMA).unwrap();
    let builder = Producer::builder("cities", TroubledStore::new().store()).schema(schema);
    let producer = builder.validator(Speechless).open().await.unwrap();
    let panicked = put(&producer, 1, "one").await.unwrap_err();
    assert_eq!(panicked.kind(), ErrorKind::UserPanic);
    let expected = "validator speechless panicked: no words for it";
    assert_eq!(panicked.message(), expected);
}

struct Moody;

impl Validator for Moody {
    fn name(&self) -> &str {
        "moody"
    }

    fn validate(&self, candidate: &Candidate<'_>) -> Result<(), AnyError> {
        match candidate.after.total() {
            2 => panic!("a bug of the validator"),
            3 => Err("three is too many".into()),
            4 => Ok("four".parse::<std::num::NonZero<u8>>().map(|_| ())?),
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_validator_that_panics_or_refuses_keeps_the_last_version() {
    let store = TroubledStore::new().store();
    let schema = Schema::parse(SCHEMA).unwrap();
    let builder = Producer::builder("cities", store)
        .schema(schema)
        .snapshot_every(0);
    let producer = builder.validator(Moody).open().await.unwrap();
    put(&producer, 1, "one").await.unwrap().unwrap();
    let version = producer.version();
    let panicked = put(&producer, 2, "two").await.unwrap_err();
    assert_eq!(panicked.kind(), ErrorKind::UserPanic);
    assert_eq!(
        panicked.message(),
        "validator moody panicked: a bug of the validator"
    );
    let three = |cycle: &mut grotto_producer::IncrementalCycle| {
        cycle.upsert_json("City", r#"{"id":2}"#, 1)?;
        cycle.upsert_json("City", r#"{"id":3}"#, 2)?;
        Ok(())
    };
    let refused = producer.run_incremental(three).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "validator moody: three is too many; nothing was published"
    );
    assert_eq!(
        (producer.version(), names(&producer.state()).len()),
        (version, 1)
    );
    put(&producer, 1, "uno").await.unwrap().unwrap();
}

#[tokio::test]
async fn the_error_of_a_validator_is_the_source_of_the_refusal() {
    let store = TroubledStore::new().store();
    let schema = Schema::parse(SCHEMA).unwrap();
    let builder = Producer::builder("cities", store).schema(schema);
    let producer = builder.validator(Moody).open().await.unwrap();
    let four = |cycle: &mut grotto_producer::FullCycle| {
        (0..4).try_for_each(|id| cycle.add_json("City", &format!(r#"{{"id":{id}}}"#), id))?;
        Ok(())
    };
    let refused = producer.run_cycle(four).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert_eq!(
        refused.message(),
        "validator moody refused the version; nothing was published"
    );
    assert!(refused.inner::<std::num::ParseIntError>().is_some());
    assert!(std::error::Error::source(&refused).is_some());
    assert_eq!(producer.version(), 0);
}

#[tokio::test]
async fn a_record_added_twice_fails_the_cycle_even_if_the_caller_goes_on() {
    let producer = TroubledStore::new().producer(0).await;
    let twice = |cycle: &mut grotto_producer::FullCycle| {
        for position in [1, u64::MAX] {
            let _ = cycle.add_json("City", r#"{"id":1,"name":"one"}"#, position);
        }
        Ok(())
    };
    for _ in 0..2 {
        assert_eq!(
            producer.run_cycle(twice).await.unwrap_err().kind(),
            ErrorKind::Invalid
        );
        put(&producer, 1, "one").await.unwrap();
    }
}

#[test]
fn without_a_runtime_an_error_says_what_is_missing() {
    let open = || Producer::builder("cities", TroubledStore::new().store()).open();
    let error = futures::executor::block_on(open()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    assert!(
        text.starts_with("expected a tokio runtime around the call"),
        "{text}"
    );
    let bare = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let error = bare.block_on(open()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("with `enable_all()`"), "{text}");
}

#[tokio::test]
async fn a_new_dataset_without_a_schema_is_told_from_other_errors() {
    let store = TroubledStore::new().store();
    let error = Producer::builder("cities", store).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSchema);
    assert_eq!(
        error.message(),
        "no schema given, and dataset cities has no version yet to take one from"
    );
}
