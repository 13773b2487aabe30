//! Uploading a step: what did not get there is sent again, and nothing else.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use grotto_store::{BlobKind, CommitFields, Dataset, ErrorKind, Uploaded, Writer};
use object_store::ObjectStore;
use object_store::path::Path;

use crate::kit::{Fault, FaultStore, acquire, faulty, framed};

async fn upload(writer: &Writer) -> grotto_store::Result<Uploaded> {
    let reverse = Some(framed("from 2"));
    writer.upload_step(2, framed("to 2"), reverse).await
}

/// Commits a step and fetches what its entry names.
async fn assert_whole(dataset: &Dataset, writer: &Writer, blobs: Uploaded) {
    let fields = CommitFields {
        blobs: Some(blobs),
        state_checksum: 2,
        ..CommitFields::default()
    };
    let entry = writer.commit(fields).await.unwrap();
    for (kind, text) in [(BlobKind::Delta, "to 2"), (BlobKind::Reverse, "from 2")] {
        let blob = entry.blob(kind).unwrap();
        assert_eq!(dataset.fetch_blob(&blob).await.unwrap(), framed(text));
    }
}

async fn objects(faults: &FaultStore, folder: &str) -> usize {
    let prefix = Path::from(format!("cities/{folder}"));
    let listed: Vec<_> = faults.list(Some(&prefix)).try_collect().await.unwrap();
    listed.len()
}

/// Puts of the delta and of the reverse delta when `fault` hits the first one on `path`.
async fn puts_with(fault: Fault, path: &'static str) -> [usize; 2] {
    let (faults, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    faults.script(fault, path);
    let blobs = upload(&writer).await.unwrap();
    assert!(faults.script_is_used_up());
    assert_whole(&dataset, &writer, blobs).await;
    for folder in ["delta", "reverse"] {
        assert_eq!(objects(&faults, folder).await, 1, "{fault:?} {path}");
    }
    [faults.puts("/delta/"), faults.puts("/reverse/")]
}

#[tokio::test(start_paused = true)]
async fn of_a_step_only_the_blob_that_failed_is_sent_again() {
    assert_eq!(puts_with(Fault::PutFails, "/reverse/").await, [1, 2]);
    assert_eq!(puts_with(Fault::PutFails, "/delta/").await, [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_blob_that_landed_without_an_answer_is_found_and_leaves_no_orphan() {
    let lost = Fault::PutLandsThenFails;
    assert_eq!(puts_with(lost, "/delta/").await, [2, 1]);
    assert_eq!(puts_with(lost, "/reverse/").await, [1, 2]);
    // The client tried again by itself: the answer alone tells, and nothing is sent twice.
    let exists = Fault::PutLandsThenExists;
    assert_eq!(puts_with(exists, "/delta/").await, [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_not_given_up_for_an_outage_while_it_is_looked_at() {
    let (faults, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    faults.script(Fault::PutLandsThenFails, "/delta/");
    faults.script(Fault::GetFails, "/delta/");
    let blobs = upload(&writer).await.unwrap();
    assert!(faults.script_is_used_up());
    assert_whole(&dataset, &writer, blobs).await;
    assert_eq!([faults.puts("/delta/"), faults.puts("/reverse/")], [3, 1]);
}

/// Has another blob lie where the next one of this kind is to go.
async fn take_next_name(bytes: Bytes) -> (Arc<FaultStore>, Dataset, Writer) {
    let (faults, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    faults.script(Fault::PutFails, "/delta/");
    faults.replace_when_refused(bytes);
    (faults, dataset, writer)
}

#[tokio::test(start_paused = true)]
async fn where_another_blob_has_the_name_both_get_another_one() {
    for other in [framed("to 3"), framed("longer than ours"), Bytes::new()] {
        let (faults, dataset, writer) = take_next_name(other.clone()).await;
        let blobs = upload(&writer).await.unwrap();
        assert_whole(&dataset, &writer, blobs).await;
        assert_eq!(objects(&faults, "delta").await, 2, "{other:?}");
        assert_eq!(objects(&faults, "reverse").await, 2, "{other:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_cannot_be_uploaded_is_an_outage() {
    let (faults, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    (0..4).for_each(|_| faults.script(Fault::PutFails, "/reverse/"));
    let error = upload(&writer).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!([faults.puts("/delta/"), faults.puts("/reverse/")], [1, 4]);
    assert_eq!(faults.puts("/log/00000000000000000002"), 0);
}
