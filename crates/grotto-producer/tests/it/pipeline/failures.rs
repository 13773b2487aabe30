//! Tests of stores that fail, of records that no cycle takes, and of ends in the middle.

use super::{Bench, city, put, until, until_is};
use crate::kit::{SCHEMA, Trouble, put as put_by_hand};
use grotto_producer::pipeline::Condition;
use grotto_producer::{ErrorKind, MinimumCount, Producer};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn while_the_store_fails_submissions_are_acknowledged_and_published_later() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
    bench.store.cause(Trouble::Fails, "");
    let mut acks = Vec::new();
    for id in 2..=50 {
        acks.push(put(&pipeline, id, "x").await);
    }
    until_is(&pipeline, Condition::Degraded).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = pipeline.status();
    assert!(
        status.failures > 1 && !status.reasons.is_empty(),
        "{status:?}"
    );
    assert_eq!((status.version, status.pending_records), (Some(1), 49));
    bench.store.heal();
    for ack in &mut acks {
        ack.published().await.unwrap();
    }
    until_is(&pipeline, Condition::Running).await;
    assert_eq!(pipeline.status().reasons, [""; 0]);
    assert_eq!(bench.published().await.len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_at_the_start_stops_nobody_from_submitting() {
    let bench = Bench::new();
    bench.store.cause(Trouble::Fails, "");
    let pipeline = bench.start(bench.options()).await;
    let mut ack = put(&pipeline, 1, "Bern").await;
    until_is(&pipeline, Condition::Degraded).await;
    assert_eq!(
        pipeline.snapshot().await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    bench.store.heal();
    assert_eq!(ack.published().await.unwrap(), 1);
}

/// What is acknowledged before a sudden end is published by the next start, once.
async fn check_sudden_end(trouble: Trouble, part: &'static str) {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
    bench.store.cause(trouble, part);
    put(&pipeline, 1, "Berne").await;
    bench.store.met.acquire().await.unwrap().forget();
    put(&pipeline, 2, "Basel").await;
    drop(pipeline);
    bench.store.heal();
    let pipeline = bench.start_again().await;
    put(&pipeline, 3, "Chur").await.published().await.unwrap();
    let expected = [(1, "Berne".into()), (2, "Basel".into()), (3, "Chur".into())];
    assert_eq!(bench.published().await, expected, "{trouble:?} {part}");
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_before_a_sudden_end_is_published_once() {
    for part in ["/delta/", "/log/"] {
        for trouble in [Trouble::LandsAndHangs, Trouble::Hangs] {
            check_sudden_end(trouble, part).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_landed_without_an_answer_is_not_published_again() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
    bench.store.cause(Trouble::LandsThenDenied, "/log/");
    let mut ack = put(&pipeline, 1, "Berne").await;
    until_is(&pipeline, Condition::Degraded).await;
    let mut versions = pipeline.subscribe();
    bench.store.heal();
    assert_eq!(ack.published().await.unwrap(), 2);
    assert_eq!(bench.store.paths("cities/log").await.len(), 2);
    // Nothing is left to be published, which would say so as well.
    until_is(&pipeline, Condition::Running).await;
    assert_eq!(pipeline.status().failures, 0);
    assert_eq!(versions.try_recv().unwrap().version, 2);
}

#[tokio::test(start_paused = true)]
async fn another_producer_stops_the_pipeline_and_what_is_left_stays_in_the_log() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
    let other = bench.store.producer(0).await;
    put_by_hand(&other, 9, "Chur").await.unwrap();
    let mut ack = put(&pipeline, 2, "Basel").await;
    assert_eq!(ack.published().await.unwrap_err().kind(), ErrorKind::Fenced);
    until_is(&pipeline, Condition::Failed).await;
    let error = pipeline.submit(city(&pipeline, 3, "x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert_eq!(pipeline.shutdown().await.left, 1);
    assert_eq!(pipeline.status().condition, Condition::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_a_validator_refuses_is_held_until_more_records_mend_it() {
    let bench = Bench::new();
    let pipeline = picky(&bench).await;
    let mut first = put(&pipeline, 1, "Bern").await;
    until_is(&pipeline, Condition::Degraded).await;
    let reason = pipeline.status().reasons.concat();
    assert!(reason.contains("minimum count"), "{reason}");
    let mut second = put(&pipeline, 2, "Basel").await;
    assert_eq!(second.published().await.unwrap(), 1);
    assert_eq!(first.published().await.unwrap(), 1);
    until(&pipeline, |status| status.reasons.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_cannot_publish_leaves_the_rest_to_the_next_start() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
    bench.store.cause(Trouble::Fails, "");
    put(&pipeline, 2, "Basel").await;
    let drained = pipeline.shutdown().await;
    assert_eq!((drained.left, drained.version), (1, Some(1)));
    bench.store.heal();
    drop(pipeline);
    let pipeline = bench.start_again().await;
    until(&pipeline, |status| {
        status.pending_entries == 0 && status.version == Some(3)
    })
    .await;
    assert_eq!(bench.published().await.len(), 2);
}

/// A pipeline that holds back versions of fewer than two cities.
async fn picky(bench: &Bench) -> grotto_producer::Pipeline {
    let store = bench.store.store().with_env(grotto_env::Env::simulated(1));
    let two = MinimumCount {
        type_name: "City".into(),
        minimum: 2,
    };
    let builder = Producer::builder("cities", store)
        .schema(grotto_format::Schema::parse(SCHEMA).unwrap())
        .validator(two);
    builder.pipeline(bench.options()).start().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_full_cycle_that_cannot_begin_loses_nothing_of_what_comes_before_it() {
    let bench = Bench::new();
    let pipeline = picky(&bench).await;
    let mut first = put(&pipeline, 1, "Bern").await;
    until_is(&pipeline, Condition::Degraded).await;
    let full =
        pipeline.run_full(|cycle| Ok(cycle.add_json("City", r#"{"id":9,"name":"x"}"#, 1)?));
    assert_eq!(full.await.unwrap_err().kind(), ErrorKind::Invalid);
    let mut more = pipeline.batch();
    for id in [2, 3] {
        more.upsert_json("City", &format!(r#"{{"id":{id},"name":"x"}}"#), 1)
            .unwrap();
    }
    pipeline
        .submit(more)
        .await
        .unwrap()
        .published()
        .await
        .unwrap();
    first.published().await.unwrap();
    let ids: Vec<i64> = bench.published().await.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_full_cycle_does_not_take_the_position_back() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.batching.batch_timeout = Duration::from_secs(3_600);
    let pipeline = bench.start(options).await;
    until_is(&pipeline, Condition::Running).await;
    put(&pipeline, 1, "Bern").await;
    let producer = pipeline.producer().unwrap();
    let open = producer.begin_incremental().await.unwrap();
    let asking = pipeline.clone();
    let full = tokio::spawn(async move {
        let fill = |cycle: &mut grotto_producer::FullCycle| {
            Ok(cycle.add_json("City", r#"{"id":9,"name":"Chur"}"#, 1)?)
        };
        asking.run_full(fill).await
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    put(&pipeline, 2, "Basel").await;
    drop(open);
    full.await.unwrap().unwrap().unwrap();
    let positions = producer.positions();
    let (_, position) = positions
        .iter()
        .find(|(name, _)| name.starts_with("wal:"))
        .unwrap();
    assert_eq!(*position, 2);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_begins_behind_the_dataset_stops_the_pipeline_and_says_so() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.wal.segment_bytes = 500;
    let pipeline = bench.start(options).await;
    for id in 0..40 {
        put(&pipeline, id, "x").await.published().await.unwrap();
    }
    pipeline.shutdown().await;
    drop(pipeline);
    let other = Bench {
        store: crate::kit::TroubledStore::new(),
        folder: bench.folder,
    };
    let pipeline = other.start(other.options()).await;
    until_is(&pipeline, Condition::Failed).await;
    let reason = pipeline.status().reasons.concat();
    assert!(
        reason.contains("the write-ahead log begins with entry"),
        "{reason}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_log_that_ends_before_the_dataset_stops_the_pipeline_and_says_so() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
    pipeline.shutdown().await;
    drop(pipeline);
    let copy = tempfile::tempdir().unwrap();
    let copied = copy.path().join("wal");
    copy_folder(&bench.folder.path().join("wal"), &copied);
    let pipeline = bench.start_again().await;
    put(&pipeline, 2, "Basel").await.published().await.unwrap();
    pipeline.shutdown().await;
    drop(pipeline);
    let other = Bench {
        store: bench.store,
        folder: copy,
    };
    let pipeline = other.start(other.options()).await;
    until_is(&pipeline, Condition::Failed).await;
    let reason = pipeline.status().reasons.concat();
    assert!(
        reason.contains("ended with entry 1") && reason.contains("up to 2"),
        "{reason}"
    );
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_of_the_log_that_fails_is_tried_again() {
    let files = grotto_env::ForgetfulFiles::new(1);
    let bench = Bench::new();
    let start = || {
        let builder = bench.builder(SCHEMA, bench.options());
        builder.files(std::sync::Arc::new(files.clone())).start()
    };
    bench.store.cause(Trouble::Fails, "");
    let pipeline = start().await.unwrap();
    put(&pipeline, 1, "Bern").await;
    drop(pipeline);
    tokio::time::sleep(Duration::from_secs(1)).await;
    files.restart();
    let pipeline = start().await.unwrap();
    bench.store.heal();
    files.fail_next(grotto_env::FileOperation::Look, 0);
    until(&pipeline, |status| status.version == Some(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_repeats_is_tried_less_and_less_often() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
    // What is written is gone at once: neither an outage nor anybody's fault.
    bench.store.cause(Trouble::LandsThenDenied, "/log/");
    put(&pipeline, 2, "Basel").await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    let fences = bench.store.paths("cities/log").await.len();
    assert!(fences < 20, "{fences} entries");
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_that_publishes_one_batch_after_the_other_is_well() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.batching.max_batch_size = 1;
    options.batching.memory_pressure_threshold = 1_000;
    let pipeline = bench.start(options).await;
    put(&pipeline, 0, "x").await.published().await.unwrap();
    bench.store.cause(Trouble::Fails, "");
    for id in 1..20 {
        put(&pipeline, id, "x").await;
    }
    until_is(&pipeline, Condition::Degraded).await;
    bench.store.cause(Trouble::Waits, "/delta/");
    bench.store.go_on.add_permits(3);
    until(&pipeline, |status| status.version >= Some(3)).await;
    assert_eq!(pipeline.status().condition, Condition::Running);
}

/// Fails the next sync of the folder of log entries.
#[derive(Debug, Default)]
struct BadSync(std::sync::atomic::AtomicBool);

impl grotto_store::FolderSync for BadSync {
    fn sync_file(&self, file: &std::fs::File, _path: &std::path::Path) -> std::io::Result<()> {
        file.sync_all()
    }

    fn sync_folder(&self, path: &std::path::Path) -> std::io::Result<()> {
        let fails =
            path.ends_with("log") && self.0.swap(false, std::sync::atomic::Ordering::Relaxed);
        match fails {
            true => Err(std::io::Error::other("the disk failed")),
            false => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_store_whose_sync_failed_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let url = grotto_store::StoreUrl::Local(folder.path().join("store"));
    let sync = std::sync::Arc::new(BadSync::default());
    let store = grotto_store::Store::open_writable_with(&url, sync.clone()).unwrap();
    let builder =
        Producer::builder("cities", store).schema(grotto_format::Schema::parse(SCHEMA).unwrap());
    let mut options = super::options(folder.path());
    options.retry.first_delay = Duration::from_millis(1);
    let pipeline = builder.pipeline(options).start().await.unwrap();
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
    sync.0.store(true, std::sync::atomic::Ordering::Relaxed);
    put(&pipeline, 2, "Basel").await.published().await.unwrap();
    let state = pipeline.producer().unwrap().state();
    assert_eq!(crate::kit::names(&state).len(), 2);
    pipeline.shutdown().await;
}

/// It may have led when it was opened first; what it opens again must still be its own.
#[tokio::test(start_paused = true)]
async fn a_pipeline_that_opens_its_dataset_again_takes_over_from_nobody() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
    let next = "cities/log/00000000000000000002.json";
    bench.store.plant(next, b"no entry".to_vec()).await;
    put(&pipeline, 2, "Basel").await;
    until_is(&pipeline, Condition::Degraded).await;
    assert!(pipeline.producer().is_none(), "it is opened again");
    bench.store.remove(next).await;
    let other = Producer::builder("cities", bench.store.store()).writer_id("other");
    let other = other.open().await.unwrap();
    until_is(&pipeline, Condition::Failed).await;
    let failure = pipeline.failure().unwrap();
    assert_eq!(failure.kind(), ErrorKind::Fenced, "{failure}");
    let published = crate::kit::put(&other, 3, "Biel").await.unwrap();
    assert!(published.is_some(), "nobody took over from it");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_lost_its_end_stops_the_pipeline_however_much_comes_in_first() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
    pipeline.shutdown().await;
    drop(pipeline);
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&bench.folder.path().join("wal"), &copy.path().join("wal"));
    let pipeline = bench.start_again().await;
    put(&pipeline, 2, "Basel").await.published().await.unwrap();
    pipeline.shutdown().await;
    drop(pipeline);
    let other = Bench {
        store: bench.store,
        folder: copy,
    };
    other.store.cause(Trouble::Fails, "");
    let pipeline = other.start(other.options()).await;
    // With numbers that the dataset has seen already.
    let mut acks = Vec::new();
    for id in 10..15 {
        acks.push(put(&pipeline, id, "x").await);
    }
    other.store.heal();
    until_is(&pipeline, Condition::Failed).await;
    for ack in &mut acks {
        assert_eq!(
            ack.published().await.unwrap_err().kind(),
            ErrorKind::Corrupt
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_of_what_could_not_be_made_sure_of_at_the_start_is_known() {
    let files = grotto_env::ForgetfulFiles::new(1);
    let bench = Bench::new();
    let start = || {
        let builder = bench.builder(SCHEMA, bench.options());
        builder.files(std::sync::Arc::new(files.clone())).start()
    };
    let keyed = |pipeline: &grotto_producer::Pipeline, name| {
        let mut batch = city(pipeline, 1, name);
        batch.set_key("k").unwrap();
        batch
    };
    bench.store.cause(Trouble::Fails, "");
    let pipeline = start().await.unwrap();
    let mut ack = pipeline.submit(keyed(&pipeline, "Bern")).await.unwrap();
    ack.durable().await.unwrap();
    drop((pipeline, ack));
    tokio::time::sleep(Duration::from_secs(1)).await;
    files.restart();
    // A disk that is full when it starts.
    files.set_capacity(Some(0));
    let pipeline = start().await.unwrap();
    files.set_capacity(None);
    let mut again = pipeline.submit(keyed(&pipeline, "Basel")).await.unwrap();
    again.durable().await.unwrap();
    assert!(again.is_repeated());
}
