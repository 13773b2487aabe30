//! What a large snapshot costs in memory, beside the state.

use bytes::Bytes;
use grotto_format::Schema;
use grotto_producer::{AnyError, FullCycle, Producer};
use grotto_store::{Dataset, Store, StoreUrl};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Records of 64 KiB that nothing compresses: 2 GiB of them.
const RECORDS: u64 = 32_768;
const BYTES: usize = 65_536;
/// What the process may take beside its state.
const BESIDE: u64 = 1 << 30;

/// Memory of this process that is no file's, in bytes.
fn anonymous() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("RssAnon:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

/// The most memory that the process takes while something goes on.
async fn peak_of<T>(work: impl Future<Output = T>) -> (T, u64) {
    let (stop, peak) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let (until, most) = (Arc::clone(&stop), Arc::clone(&peak));
    let watch = std::thread::spawn(move || {
        while !until.load(Ordering::Relaxed) {
            most.fetch_max(anonymous(), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let done = work.await;
    stop.store(true, Ordering::Relaxed);
    watch.join().unwrap();
    (done, peak.load(Ordering::Relaxed))
}

fn fill(cycle: &mut FullCycle) -> Result<(), AnyError> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
    let mut word = 0x9e37_79b9_7f4a_7c15_u64;
    for id in 0..RECORDS {
        let name: String = (0..BYTES)
            .map(|_| {
                word ^= word << 13;
                word ^= word >> 7;
                word ^= word << 17;
                LETTERS[(word >> 58) as usize] as char
            })
            .collect();
        cycle.add_json("Item", &format!("{{\"id\":{id},\"name\":\"{name}\"}}"), 0)?;
    }
    Ok(())
}

async fn open(store: Store) -> Producer {
    let schema = Schema::parse("Item @PrimaryKey(id) { long id; string name; }").unwrap();
    let builder = Producer::builder("items", store).schema(schema);
    let builder = builder.compression(None).snapshot_every(0).threads(2);
    builder.open().await.unwrap()
}

/// A folder, or with `GROTTO_LARGE` the address of a bucket, let in by the variables of its vendor.
fn store(folder: &std::path::Path) -> Store {
    let url = match std::env::var("GROTTO_LARGE") {
        Ok(address) => StoreUrl::parse(&address).unwrap(),
        Err(_) => StoreUrl::Local(folder.join("store")),
    };
    let access = grotto_store::Access::from_vars(std::env::vars());
    let store = Store::open_writable(&url.with_access(&access)).unwrap();
    store.with_spool(folder.join("spool"))
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes, 4 GB of memory and 6 GB of disk: by name, with --release"]
async fn a_snapshot_of_two_gigabytes_takes_less_than_one_beside_the_state() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = store(folder.path());
    let producer = open(store.clone()).await;
    producer.run_cycle(fill).await.unwrap().unwrap();
    let before = anonymous();
    let (entry, peak) = peak_of(producer.snapshot()).await;
    let blob = entry.unwrap().blob;
    assert!(blob.length >= 2 << 30, "{} bytes", blob.length);
    let written = peak.saturating_sub(before);
    drop(producer);
    let before = anonymous();
    let dataset = Dataset::open(store, "items").unwrap();
    let (fetched, peak): (_, u64) = peak_of(dataset.fetch_blob(&blob)).await;
    let fetched: Bytes = fetched.unwrap();
    let read = peak.saturating_sub(before);
    eprintln!(
        "a snapshot of {} MiB: {} MiB beside the state to write it, {} MiB to fetch it",
        fetched.len() >> 20,
        written >> 20,
        read >> 20
    );
    assert!(written < BESIDE && read < BESIDE);
}
