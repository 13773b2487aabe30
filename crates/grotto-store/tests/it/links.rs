//! Entries stay small and still lead far, and small blobs need no objects of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use grotto_store::follow::{Fetched, Journey, Traveller};
use grotto_store::plan::Step;
use grotto_store::{
    BlobKind, CommitFields, Dataset, Error, ErrorKind, LogEntry, Source, TypeSummary, Writer,
    WriterOptions,
};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::kit::{FaultStore, change, faulty, framed};

/// Takes every step and checks that it brings the blob of its version.
struct Walker {
    at: u64,
    steps: usize,
    set_aside: Vec<String>,
}

impl Walker {
    fn at(version: u64) -> Self {
        Self {
            at: version,
            steps: 0,
            set_aside: Vec::new(),
        }
    }
}

impl Traveller for Walker {
    type Error = Error;

    fn kind(error: &Error) -> ErrorKind {
        error.kind()
    }

    fn version(&self) -> u64 {
        self.at
    }

    fn start_from_nothing(&mut self) {
        self.at = 0;
    }

    async fn apply(
        &mut self,
        step: &Step,
        fetched: Fetched,
        _last: bool,
    ) -> grotto_store::Result<()> {
        let (name, text) = match step {
            Step::Delta { to, .. } => ("delta", format!("to {to}")),
            Step::Reverse { from, .. } => ("reverse", format!("from {from}")),
            Step::Snapshot { version, .. } => ("snapshot", format!("of {version}")),
            Step::Skip { .. } => ("skip", String::new()),
        };
        if let Some(bytes) = fetched.bytes
            && bytes != framed(&text)
        {
            let message = format!("this is no {name} {text}");
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        self.at = step.to();
        self.steps += 1;
        Ok(())
    }

    async fn recover(&mut self, _error: &Error, blob: &str, _misfit: bool) -> bool {
        self.set_aside.push(blob.to_owned());
        true
    }
}

/// A one-shot writer, as a command is.
async fn one_shot(dataset: &Dataset, inline_bytes: usize) -> Writer {
    let options = WriterOptions {
        writer: "publisher-7.eu-west-1.example.org/4711".to_owned(),
        inline_bytes,
        ..WriterOptions::default()
    };
    let (writer, _) = Writer::prepare(dataset.clone(), options).await.unwrap();
    writer.claim().await.unwrap();
    writer
}

async fn step(writer: &Writer, delta: Bytes) -> CommitFields {
    let version = writer.next_version();
    let reverse = Some(framed(&format!("from {version}")));
    let names = [
        "Country",
        "AdminRegion",
        "City",
        "AlternateName",
        "TimeZone",
    ];
    let types = names.map(|name| {
        let summary = TypeSummary {
            changed: None,
            nested: false,
            records: 12_345_678,
            checksum: u64::MAX - version,
        };
        (name.to_owned(), summary)
    });
    CommitFields {
        blobs: Some(writer.upload_step(version, delta, reverse).await.unwrap()),
        types: types.into_iter().collect(),
        state_checksum: version,
        sources: BTreeMap::from([("wal".to_owned(), 1 << 40)]),
        ..CommitFields::default()
    }
}

async fn publish(writer: &Writer) -> LogEntry {
    let delta = framed(&format!("to {}", writer.next_version()));
    writer.commit(step(writer, delta).await).await.unwrap()
}

/// A thousand versions and one, each published by a command of its own.
async fn long_log(inline_bytes: usize) -> (Arc<FaultStore>, Dataset, LogEntry) {
    let (store, dataset) = faulty();
    for _ in 0..1_000 {
        publish(&one_shot(&dataset, inline_bytes).await).await;
    }
    let last = one_shot(&dataset, inline_bytes).await;
    let blob = last
        .upload_snapshot(1_001, framed("of 1001"))
        .await
        .unwrap();
    let delta = framed("to 1001");
    let fields = CommitFields {
        snapshot: Some(blob),
        ..step(&last, delta).await
    };
    let head = last.commit(fields).await.unwrap();
    last.heartbeat().await;
    (store, dataset, head)
}

#[allow(clippy::print_stdout, reason = "the design note quotes these figures")]
#[tokio::test]
async fn small_entries_plan_a_catch_up_of_a_thousand_versions_in_twenty_requests() {
    let (store, dataset, head) = long_log(0).await;
    let path = Path::from(format!("cities/log/{:020}.json", head.version));
    let length = store.get(&path).await.unwrap().bytes().await.unwrap().len();
    println!(
        "an entry of five types and {} links: {length} bytes",
        head.links.0.len()
    );
    assert!(length <= 2 << 10, "{length} bytes");

    let asked = || store.gets("") - store.gets("/delta/") + store.lists();
    let (before, blobs) = (asked(), store.gets("/delta/"));
    let found = dataset.head().await.unwrap().unwrap();
    assert_eq!(found, head);
    // The snapshot would be the way of fewer steps; the deltas are what is to be planned.
    let mut walker = Walker::at(1);
    let mut without = found.clone();
    without.snapshot = None;
    Journey::new(&dataset, &without)
        .travel(&mut walker)
        .await
        .unwrap();
    assert_eq!((walker.at, walker.steps), (1_001, 1_000));
    assert_eq!(store.gets("/delta/") - blobs, 1_000);
    let planned = asked() - before;
    println!("planned with {planned} requests");
    assert!(planned <= 20, "{planned} requests");
}

#[tokio::test]
async fn links_lead_back_over_reverse_deltas() {
    let (_store, dataset, _) = long_log(0).await;
    let mut walker = Walker::at(1_001);
    let target = dataset.read_entry(900).await.unwrap().unwrap();
    let mut journey = Journey::new(&dataset, &target);
    journey.travel(&mut walker).await.unwrap();
    assert_eq!((walker.at, walker.steps), (900, 101));
}

#[tokio::test]
async fn a_small_version_is_one_put_and_one_get() {
    let (store, dataset) = faulty();
    let writer = one_shot(&dataset, 100).await;
    publish(&writer).await;
    let (puts, gets, lists) = (store.puts(""), store.gets(""), store.lists());
    let entry = publish(&writer).await;
    assert_eq!(store.puts("") - puts, 1);
    let asked = (store.gets("") - gets, store.lists() - lists);
    assert_eq!(asked, (1, 1), "a look for a gap, and at what is collected");
    assert!(entry.blobs.as_ref().unwrap().is_inline());
    let asked = store.gets("");
    let news = dataset.read_entry(2).await.unwrap().unwrap();
    let mut walker = Walker::at(1);
    Journey::new(&dataset, &news)
        .travel(&mut walker)
        .await
        .unwrap();
    assert_eq!((walker.at, store.gets("") - asked), (2, 1));

    // One byte more than the limit together: objects of their own.
    let delta = framed(&format!("to {}", "x".repeat(100)));
    let large = writer.commit(step(&writer, delta).await).await.unwrap();
    assert_eq!(store.puts("") - puts, 4);
    assert!(!large.blobs.unwrap().is_inline());
}

#[tokio::test]
async fn blobs_at_the_limit_ride_in_the_entry_and_one_byte_more_does_not() {
    let (_store, dataset) = faulty();
    let reverse = framed("from 1").len();
    for (inline_bytes, expected) in [(reverse + 50, true), (reverse + 49, false)] {
        let writer = one_shot(&dataset, inline_bytes).await;
        let delta = Bytes::from(vec![7; 50]);
        let back = Some(framed("from 1"));
        let step = writer.upload_step(1, delta, back).await.unwrap();
        assert_eq!(step.blobs().is_inline(), expected);
        let stored = if expected { 0 } else { reverse + 50 };
        assert_eq!(step.stored_bytes(), stored as u64);
    }
}

#[allow(clippy::print_stdout, reason = "the design note quotes this figure")]
#[tokio::test]
async fn links_to_entries_that_hold_their_blobs_lead_there_too() {
    let (store, dataset, head) = long_log(100).await;
    assert!(head.links.0.iter().all(|link| link.inline));
    let before = store.gets("") + store.lists();
    assert_eq!(dataset.head().await.unwrap().unwrap(), head);
    let mut without = head.clone();
    without.snapshot = None;
    let mut walker = Walker::at(1);
    Journey::new(&dataset, &without)
        .travel(&mut walker)
        .await
        .unwrap();
    assert_eq!((walker.at, walker.steps), (1_001, 1_000));
    // The entries that planned the way bring their own steps with them.
    let asked = store.gets("") + store.lists() - before;
    println!("{asked} requests for a thousand steps");
    assert!(asked <= 1_010, "{asked} requests");
    let mut walker = Walker::at(1_001);
    let target = dataset.read_entry(990).await.unwrap().unwrap();
    Journey::new(&dataset, &target)
        .travel(&mut walker)
        .await
        .unwrap();
    assert_eq!((walker.at, walker.steps), (990, 11));
}

#[tokio::test]
async fn a_bad_blob_inside_an_entry_is_set_aside_and_gone_around() {
    let (_store, dataset) = faulty();
    let writer = one_shot(&dataset, 1_000).await;
    publish(&writer).await;
    // The entry is whole; what it holds as its delta is not one.
    let bad = writer
        .commit(step(&writer, Bytes::from_static(b"garbage")).await)
        .await
        .unwrap();
    publish(&writer).await;
    let blob = writer.upload_snapshot(3, framed("of 3")).await.unwrap();
    writer.announce_snapshot(3, blob).await.unwrap();
    let head = dataset.head().await.unwrap().unwrap();
    let mut walker = Walker::at(1);
    Journey::new(&dataset, &head)
        .travel(&mut walker)
        .await
        .unwrap();
    assert_eq!(walker.at, 3);
    let name = Source::of(&bad, BlobKind::Delta).unwrap().name().to_owned();
    assert_eq!(walker.set_aside, [name]);
}

#[tokio::test]
async fn a_damaged_file_that_only_a_link_tells_of_is_found_by_its_footer() {
    let (store, dataset) = faulty();
    let writer = one_shot(&dataset, 0).await;
    publish(&writer).await;
    let second = publish(&writer).await;
    let head = publish(&writer).await;
    let name = &second.blob(BlobKind::Delta).unwrap().name;
    change(&store, &format!("cities/{name}"), |bytes| bytes[9] ^= 1).await;
    let linked = Source::linked(&head.links.0[1], BlobKind::Delta).unwrap();
    assert_eq!(linked.checksum(), None);
    let error = dataset.fetch(&linked).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("expected checksum"), "{error}");
}

#[tokio::test]
async fn blobs_uploaded_for_another_version_are_refused() {
    let (_store, dataset) = faulty();
    let writer = one_shot(&dataset, 0).await;
    let first = step(&writer, framed("to 1")).await;
    let again = first.clone();
    writer.commit(first).await.unwrap();
    let error = writer.commit(again).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("version 2 of epoch 1"), "{error}");
}
