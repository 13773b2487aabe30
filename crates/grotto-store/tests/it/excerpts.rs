//! Fetching some sections of a blob: what is asked for, and what is believed.

use bytes::Bytes;
use grotto_format::blob::{Blob, BlobHeader, BlobKind, BlobWriter, SectionKind, TypeInfo};
use grotto_store::excerpt::Choice;
use grotto_store::{BlobRef, Dataset, ErrorKind, Ranges, Source, StoreOptions};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::kit::{Fault, FaultStore, acquire, faulty};

/// Of these types.
#[derive(Debug)]
struct Of(Option<Vec<bool>>);

impl Choice for Of {
    fn of(&self, header: &BlobHeader) -> Option<Vec<bool>> {
        assert_eq!(header.types.len(), 3);
        self.0.clone()
    }
}

/// A snapshot of three types, of which the one in the middle is large.
fn snapshot(version: u64) -> Bytes {
    let header = BlobHeader {
        kind: BlobKind::Snapshot,
        dataset: "cities".into(),
        from: 0,
        to: version,
        from_checksum: 0,
        to_checksum: 1,
        from_schema_hash: 2,
        schema_hash: 3,
        schema_text: None,
        types: vec![TypeInfo { shift: 9, live: 0 }; 3],
        sections: Vec::new(),
    };
    let mut writer = BlobWriter::new(header, None);
    for (type_id, chunk, length) in [
        (0, 0, 30),
        (0, 1, 300),
        (1, 0, 200_000),
        (1, 1, 100_000),
        (2, 0, 500),
    ] {
        let bytes = (0..length)
            .map(|at: u32| (at % 251) as u8 + chunk as u8)
            .collect();
        writer.section(type_id, chunk, SectionKind::Removed, bytes);
    }
    writer.finish().unwrap().into()
}

/// The snapshot in a store, asked for in ranges of 100 bytes.
async fn stored() -> (std::sync::Arc<FaultStore>, Dataset, BlobRef) {
    let (faults, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    let version = writer.next_version();
    let blob = writer
        .upload_snapshot(version, snapshot(version))
        .await
        .unwrap();
    let store = dataset.store().clone().with_options(StoreOptions {
        ranges: Ranges {
            bytes: 100,
            at_once: 3,
            excerpt_from: 400,
        },
        ..StoreOptions::default()
    });
    (faults, Dataset::open(store, "cities").unwrap(), blob)
}

fn types(bytes: &Bytes) -> Vec<u16> {
    let blob = Blob::parse(bytes.clone()).unwrap();
    let sections = blob.header.sections.iter().map(|section| section.type_id);
    sections.collect()
}

fn ends() -> Of {
    Of(Some(vec![true, false, true]))
}

#[tokio::test(start_paused = true)]
async fn only_what_is_chosen_is_fetched() {
    let (faults, dataset, blob) = stored().await;
    let before = faults.gets(&blob.name);
    let bytes = dataset
        .fetch_chosen(&Source::from(&blob), &ends())
        .await
        .unwrap();
    assert_eq!(types(&bytes), [0, 0, 2]);
    // The head, whose first 100 bytes do not have all of it; four ranges and five.
    assert_eq!(faults.gets(&blob.name) - before, 2 + 4 + 5);
    let (found, whole) = (
        Blob::parse(bytes).unwrap(),
        Blob::parse(snapshot(found_version(&blob))).unwrap(),
    );
    for (at, of) in [(0, 0), (1, 1), (2, 4)] {
        assert_eq!(found.section(at).unwrap(), whole.section(of).unwrap());
    }
    let none = dataset
        .fetch_chosen(&Source::from(&blob), &Of(Some(vec![false; 3])))
        .await
        .unwrap();
    assert_eq!(types(&none), [0; 0]);
}

fn found_version(blob: &BlobRef) -> u64 {
    let digits = blob
        .name
        .trim_start_matches("snapshot/")
        .split('-')
        .next()
        .unwrap();
    digits.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_blob_is_fetched_whole_where_that_is_no_more_work() {
    let (_, dataset, blob) = stored().await;
    let source = Source::from(&blob);
    for choice in [
        Of(None),
        Of(Some(vec![true; 3])),
        Of(Some(vec![false, true, false])),
    ] {
        let bytes = dataset.fetch_chosen(&source, &choice).await.unwrap();
        assert_eq!(types(&bytes), [0, 0, 1, 1, 2], "{choice:?}");
    }
    let options = dataset.store().options();
    let ranges = Ranges {
        excerpt_from: blob.length + 1,
        ..options.ranges
    };
    let store = dataset
        .store()
        .clone()
        .with_options(StoreOptions { ranges, ..*options });
    let patient = Dataset::open(store, "cities").unwrap();
    let bytes = patient.fetch_chosen(&source, &ends()).await.unwrap();
    assert_eq!(types(&bytes), [0, 0, 1, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_fails_is_asked_again_alone() {
    let (faults, dataset, blob) = stored().await;
    faults.script(Fault::GetFails, "snapshot/");
    let before = faults.gets(&blob.name);
    let bytes = dataset
        .fetch_chosen(&Source::from(&blob), &ends())
        .await
        .unwrap();
    assert_eq!(types(&bytes), [0, 0, 2]);
    assert_eq!(faults.gets(&blob.name) - before, 2 + 4 + 5 + 1);
    assert!(faults.script_is_used_up());
}

#[tokio::test(start_paused = true)]
async fn parts_that_came_wrong_are_made_good_by_the_whole() {
    let (faults, dataset, blob) = stored().await;
    // The first request is for all of the head.
    let options = dataset.store().options();
    let ranges = Ranges {
        excerpt_from: 4 * (blob.length - 16 - 300_830),
        ..options.ranges
    };
    let store = dataset.store().clone();
    let store = store.with_options(StoreOptions { ranges, ..*options });
    let dataset = Dataset::open(store, "cities").unwrap();
    faults.script(Fault::GetFlipsABit, "snapshot/");
    let bytes = dataset
        .fetch_chosen(&Source::from(&blob), &ends())
        .await
        .unwrap();
    assert_eq!(types(&bytes), [0, 0, 1, 1, 2]);
    assert_eq!(bytes, snapshot(found_version(&blob)));
    assert!(faults.script_is_used_up());
}

/// Puts other bytes in the place of a blob.
async fn replace(faults: &FaultStore, blob: &BlobRef, bytes: Vec<u8>) {
    let path = Path::from(format!("cities/{}", blob.name));
    let store: &dyn ObjectStore = faults;
    store.put(&path, bytes.into()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn damage_to_what_is_chosen_is_found_and_to_the_rest_is_nobodys_concern() {
    let (faults, dataset, blob) = stored().await;
    let source = Source::from(&blob);
    let good = snapshot(found_version(&blob)).to_vec();
    let head = good.len() - 16 - 300_830;
    for at in [0, 9, head - 1, head, head + 329, good.len() - 17] {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        replace(&faults, &blob, bad).await;
        let refused = dataset.fetch_chosen(&source, &ends()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt, "byte {at}: {refused}");
    }
    let mut bad = good.clone();
    bad[head + 5000] ^= 0x40;
    replace(&faults, &blob, bad).await;
    assert_eq!(
        types(&dataset.fetch_chosen(&source, &ends()).await.unwrap()),
        [0, 0, 2]
    );
    replace(&faults, &blob, good[..good.len() - 100].to_vec()).await;
    let refused = dataset.fetch_chosen(&source, &ends()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
}
