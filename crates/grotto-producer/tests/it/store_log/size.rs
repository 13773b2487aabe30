//! The log in the store with thousands of slots: none is lost, doubled or left behind, whoever takes it over.

use super::{append, entry, ids, log, nobody_wrote, slots};
use crate::kit::TroubledStore;

const ENTRIES: u64 = 4_000;

#[tokio::test(start_paused = true)]
async fn thousands_of_slots_are_taken_over_read_in_parts_and_removed() {
    let store = TroubledStore::new();
    let one = log(&store, 1);
    one.take(1, 0, nobody_wrote()).await.unwrap();
    for id in 1..=ENTRIES {
        assert_eq!(append(&one, id).await.unwrap(), id);
    }
    let bytes = one.bytes();
    // Half of it is in a version.
    let two = log(&store, 2);
    two.take(2, ENTRIES / 2, nobody_wrote()).await.unwrap();
    assert_eq!(two.last(), ENTRIES);
    assert!(two.bytes() < bytes, "{} of {bytes}", two.bytes());
    for known in [ENTRIES / 2 + 1, ENTRIES] {
        assert_eq!(two.known_key(&format!("key {known}")), Some(known));
    }
    let mut next = ENTRIES / 2 + 1;
    while next <= ENTRIES {
        let part = two.read_up_to(next, usize::MAX, 100).await.unwrap();
        assert_eq!(part.len(), 100.min((ENTRIES + 1 - next) as usize));
        for read in part {
            assert_eq!((read.number, read.entry.time_ms), (next, next));
            next += 1;
        }
    }
    // A group, as of submissions that came meanwhile.
    let group: Vec<_> = (1..=1_000).map(|id| entry(ENTRIES + id)).collect();
    assert_eq!(two.append(&group).await.unwrap(), ENTRIES + 1);
    let last = ENTRIES + 1_000;
    assert_eq!(ids(&two).await.len() as u64, last - ENTRIES / 2);
    let mut rounds = 0;
    while slots(&store).await.len() > 3 {
        two.release(last).await.unwrap();
        rounds += 1;
        assert!(rounds <= 100, "{} slots stay", slots(&store).await.len());
    }
    let fences_and_the_newest = [1, ENTRIES + 2, ENTRIES + 3];
    assert_eq!(slots(&store).await, fences_and_the_newest);
    let three = log(&store, 3);
    three.take(3, last, nobody_wrote()).await.unwrap();
    assert_eq!(ids(&three).await, [0; 0]);
    assert_eq!(append(&three, 1).await.unwrap(), last + 1);
}
