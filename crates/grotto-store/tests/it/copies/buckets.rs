//! Copies to a bucket and from it.

use grotto_store::{CopyOptions, Dataset, Parts};

use crate::fake::Fake;
use crate::place::Place;

#[tokio::test]
async fn a_copy_goes_to_a_bucket_in_parts_and_comes_back() {
    let (a, b) = (Place::new(), Place::new());
    a.grown(20, &[5, 15]).await;
    let fake = Fake::start().await;
    let mut options = *fake.store().options();
    options.parts = Parts {
        whole: 20,
        bytes: 16,
        at_once: 2,
    };
    let bucket = Dataset::open(fake.store().with_options(options), "cities").unwrap();
    let copying = CopyOptions::default();
    let source = a.dataset();
    let copied = source.copy_to(&bucket, &copying, &|_| {}).await.unwrap();
    assert_eq!((copied.newest, copied.faults.len()), (20, 0));
    assert_eq!(fake.unfinished(), 0);
    let again = source.copy_to(&bucket, &copying, &|_| {}).await.unwrap();
    assert_eq!((again.versions, again.blobs), (0, 0));
    let target = b.dataset();
    let back = bucket.copy_to(&target, &copying, &|_| {}).await.unwrap();
    assert_eq!((back.versions, back.blobs), (copied.versions, copied.blobs));
    b.assert_whole(20).await;
}
