//! Readers of real consumers while versions are swapped under them: nothing is mixed, no version
//! goes back, and no reader allocates or frees anything.
//!
//! The argument for all of this is in the `served` module of the consumer; these tests fail when it
//! does not hold. Allocations are counted per thread, so that refreshes beside a reader do not count.

use crate::kit::{Kit, publish};
use allocation_counter::{AllocationInfo, measure};
use grotto::Record;
use grotto_consumer::{Attached, Consumer};
use grotto_producer::Producer;
use grotto_state::State;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Ids of the pairs, each `Left` with its `Right`.
const PAIRS: i64 = 210;
/// A version writes the pairs with one remainder by this anew, and only those.
const PARTS: i64 = 7;
/// Versions that are swapped under the readers.
const VERSIONS: u64 = 140;
/// After so many versions the producer waits until every reader has read one of them.
const STRETCH: u64 = 10;

#[derive(Record)]
#[grotto(key(id))]
struct Left {
    id: i64,
    round: i64,
    note: String,
}

#[derive(Record)]
#[grotto(key(id))]
struct Right {
    id: i64,
    round: i64,
}

/// Where a reader gets states from.
trait Source: Send + 'static {
    fn newest(&self) -> Arc<State>;
}

impl Source for Arc<Consumer> {
    fn newest(&self) -> Arc<State> {
        self.state()
    }
}

impl Source for Attached {
    fn newest(&self) -> Arc<State> {
        self.state()
    }
}

/// Reads everything in three ways, allocates nothing, and panics on anything that does not belong
/// together: a pair whose halves, or whose text in a third type, are of different versions, or a
/// state whose records are not those of its version.
fn read_all(state: &State) {
    let (lefts, rights) = (
        state.typed::<Left>().unwrap(),
        state.typed::<Right>().unwrap(),
    );
    let (mut newest, mut sum) = (0, 0);
    for id in 0..PAIRS {
        let left = lefts.get(id).unwrap().expect("every left lives");
        let right = rights.get(id).unwrap().expect("every right lives");
        assert_eq!(left.round(), right.round(), "pair {id} mixes versions");
        assert_eq!(round_of(left.note()), left.round(), "the text of pair {id}");
        newest = newest.max(left.round());
        sum += left.round();
    }
    assert_eq!(newest, state.version() as i64, "newest round of a version");
    let scanned: i64 = rights.iter().map(|right| right.round()).sum();
    assert_eq!(scanned, sum, "a scan and lookups disagree");
    let right = state.type_id("Right").unwrap();
    let untyped = (0..PAIRS).map(|id| state.find(right, id).unwrap().expect("a right").word(1));
    assert_eq!(untyped.sum::<u64>() as i64, sum, "untyped reads disagree");
}

/// The number in "note of round 12, group 1".
fn round_of(note: &str) -> i64 {
    let rest = note.strip_prefix("note of round ").expect("a note");
    let (round, _) = rest.split_once(',').expect("a note with a group");
    round.parse().expect("a number")
}

/// Neither took nor gave back memory, not even that of a version whose last reader this was.
fn assert_untouched(info: &AllocationInfo) {
    assert_eq!((info.count_total, info.bytes_total), (0, 0), "allocated");
    assert_eq!((info.count_current, info.bytes_current), (0, 0), "freed");
}

/// Reads until `last`, with an older version in hand all the time; tells the version of each pass.
fn read_until(last: u64, source: &impl Source, seen: &AtomicU64) {
    let mut held = source.newest();
    // Once unmeasured: a thread's first load and a type's first binding keep something for later.
    read_all(&held);
    let mut pass = 0_u64;
    while seen.load(Ordering::Relaxed) < last {
        let before = seen.load(Ordering::Relaxed);
        let info = measure(|| {
            let state = source.newest();
            assert!(state.version() >= before, "the version went back");
            read_all(&state);
            read_all(&held);
            seen.store(state.version(), Ordering::Release);
            if pass.is_multiple_of(5) {
                // Nobody else reads the version that goes here.
                held = state;
            }
        });
        assert_untouched(&info);
        pass += 1;
    }
}

async fn publish_part(producer: &Producer) -> u64 {
    let part = producer.version() as i64 % PARTS;
    publish(producer, (0..PAIRS).filter(|id| id % PARTS == part)).await
}

/// Starts a reader; gives the version that it has seen.
fn reader(last: u64, source: impl Source) -> (std::thread::JoinHandle<()>, Arc<AtomicU64>) {
    let seen = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&seen);
    let thread = std::thread::spawn(move || read_until(last, &source, &told));
    (thread, seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_beside_refreshes_see_whole_versions_and_touch_no_memory() {
    let kit = Kit::new();
    let producer = kit.producer().await;
    publish(&producer, 0..PAIRS).await;
    let heap = Arc::new(kit.consumer().open().await.unwrap());
    let files = kit.consumer().state_dir(kit.state_dir());
    let files = Arc::new(files.open().await.unwrap());
    let last = producer.version() + VERSIONS;
    let readers = [
        reader(last, Arc::clone(&heap)),
        reader(last, Arc::clone(&heap)),
        reader(last, Arc::clone(&files)),
        reader(last, Consumer::attach(kit.state_dir()).unwrap()),
    ];
    let mut demanded = 0;
    while producer.version() < last {
        let version = publish_part(&producer).await;
        heap.refresh().await.unwrap();
        files.refresh().await.unwrap();
        if version >= demanded + STRETCH {
            for (thread, seen) in &readers {
                // A reader that panicked has said why, and will be joined.
                while seen.load(Ordering::Acquire) <= demanded && !thread.is_finished() {
                    tokio::task::yield_now().await;
                }
            }
            demanded = version;
        }
    }
    for (thread, _) in readers {
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        joined.unwrap().unwrap();
    }
}

#[tokio::test]
async fn many_keys_at_once_take_two_allocations_however_many_they_are() {
    let kit = Kit::new();
    let producer = kit.producer().await;
    publish(&producer, 0..PAIRS).await;
    let consumer = kit.consumer().open().await.unwrap();
    let keys: Vec<i64> = (0..PAIRS).collect();
    let state = consumer.state();
    let read = || {
        let found = state.get_many::<Right>(&keys).unwrap();
        assert!(found.into_iter().flatten().all(|right| right.round() > 0));
    };
    read();
    // The answer itself, and the lookups in flight.
    let info = measure(read);
    assert!(info.count_total <= 2, "{info:?}");
    assert_eq!(info.count_current, 0, "{info:?}");
}

#[tokio::test]
async fn the_memory_of_a_version_goes_with_the_refresh_after_its_last_reader() {
    let kit = Kit::new();
    let producer = kit.producer().await;
    publish(&producer, 0..PAIRS).await;
    let consumer = kit.consumer().open().await.unwrap();
    let held = consumer.state();
    let version = Arc::downgrade(&held);
    publish_part(&producer).await;
    consumer.refresh().await.unwrap();
    read_all(&held);
    assert_untouched(&measure(|| drop(held)));
    // Nothing is new, and still it looks whether there is anything to free.
    consumer.refresh().await.unwrap();
    assert!(version.upgrade().is_none(), "kept for nobody");
}
