//! Tests of the queue: small limits, so that all of them are crossed.

use super::super::batch::blank;
use super::*;
use crate::wal::WalChange;

const BATCHING: Batching = Batching {
    max_batch_size: 4,
    max_batch_bytes: 1 << 20,
    batch_timeout: Duration::from_secs(1),
    max_pending_records: 10,
    max_pending_bytes: 1 << 20,
    memory_pressure_threshold: 8,
};

fn entry(number: u64, records: usize) -> Queued {
    let change = WalChange::Upsert {
        type_id: 0,
        position: 1,
        flat: Vec::new(),
    };
    let entry = WalEntry {
        changes: vec![change; records],
        ..blank()
    };
    Queued {
        number,
        entry: Arc::new(entry),
        rejected: Arc::default(),
        arrived: Duration::from_secs(number),
    }
}

fn filled(sizes: &[usize]) -> Queue {
    let mut queue = Queue::default();
    for (number, records) in (1..).zip(sizes) {
        queue.push(entry(number, *records), &BATCHING, false);
    }
    queue
}

fn numbers(entries: &[Queued]) -> Vec<u64> {
    entries.iter().map(|queued| queued.number).collect()
}

#[test]
fn a_batch_is_due_when_it_is_full_pressed_wanted_or_old() {
    assert_eq!(Queue::default().due(&BATCHING, true), Due::Never);
    let queue = filled(&[2, 1]);
    assert_eq!(queue.due(&BATCHING, false), Due::At(Duration::from_secs(2)));
    assert_eq!(queue.due(&BATCHING, true), Due::Now);
    assert_eq!(filled(&[2, 2]).due(&BATCHING, false), Due::Now);
    let small = Batching {
        max_batch_bytes: 100,
        ..BATCHING
    };
    assert_eq!(queue.due(&small, false), Due::Now);
    let pressed = Batching {
        memory_pressure_threshold: 3,
        ..BATCHING
    };
    assert_eq!(queue.due(&pressed, false), Due::Now);
}

#[test]
fn a_batch_never_cuts_an_entry_and_is_never_empty() {
    let mut queue = filled(&[3, 1, 1]);
    assert_eq!(numbers(&queue.take(&BATCHING)), [1, 2]);
    assert_eq!(numbers(&queue.take(&BATCHING)), [3]);
    let one_large = &mut filled(&[9]);
    assert_eq!(numbers(&one_large.take(&BATCHING)), [1]);
    assert!(one_large.take(&BATCHING).is_empty());
}

#[test]
fn under_pressure_a_batch_grows() {
    let mut queue = filled(&[3, 3, 2]);
    assert!(queue.is_pressed(&BATCHING));
    assert_eq!(numbers(&queue.take(&BATCHING)), [1, 2, 3]);
}

#[test]
fn a_batch_that_failed_is_taken_again_and_one_that_is_committed_is_not() {
    let mut queue = filled(&[3, 1, 2]);
    queue.take(&BATCHING);
    queue.take(&BATCHING);
    assert_eq!(numbers(&queue.commit(2)), [1, 2]);
    assert_eq!(queue.due(&BATCHING, true), Due::Never, "it is under way");
    queue.untake();
    assert_eq!(numbers(&queue.take(&BATCHING)), [3]);
    queue.commit(3);
    assert!(queue.is_empty() && queue.records() == 0 && queue.bytes() == 0);
}

#[test]
fn what_finds_no_room_stays_in_the_log_and_comes_back_in_order() {
    let mut queue = filled(&[4, 4, 4, 1]);
    assert_eq!(
        (queue.spilled(), queue.entries(), queue.spills),
        (Some(3), 4, 2)
    );
    assert_eq!(queue.wants_refill(&BATCHING), None, "there is no room yet");
    queue.commit(1);
    let from = queue.wants_refill(&BATCHING).unwrap().from;
    let read = vec![entry(from, 4), entry(from + 1, 1), entry(from + 2, 1)];
    queue.refill(read, &BATCHING).unwrap();
    assert_eq!((queue.spilled(), queue.entries()), (None, 3));
    queue.push(entry(5, 1), &BATCHING, false);
    queue.untake();
    assert_eq!(numbers(&queue.commit(9)), [2, 3, 4, 5]);
}

#[test]
fn refilling_stops_where_memory_is_full() {
    let mut queue = Queue::default();
    queue.begin(0, 5);
    queue
        .refill(vec![entry(1, 9), entry(2, 9)], &BATCHING)
        .unwrap();
    assert_eq!(
        (queue.spilled(), queue.records(), queue.entries()),
        (Some(2), 9, 5)
    );
}

#[test]
fn an_entry_that_the_log_had_when_the_queue_began_is_not_there_twice() {
    let mut queue = Queue::default();
    queue.begin(2, 3);
    queue.refill(vec![entry(3, 1)], &BATCHING).unwrap();
    queue.push(entry(3, 1), &BATCHING, false);
    queue.push(entry(4, 1), &BATCHING, false);
    assert_eq!(numbers(&queue.commit(9)), [3, 4]);
}

#[test]
fn what_is_only_here_is_kept_whether_or_not_there_is_room() {
    let mut queue = Queue::default();
    for number in 1..=3 {
        queue.push(entry(number, 9), &BATCHING, true);
    }
    assert_eq!((queue.spilled(), queue.records()), (None, 27));
    assert!(!queue.has_room(1, 0, &BATCHING));
}

#[test]
fn what_is_committed_elsewhere_is_forgotten_in_the_log_too() {
    let mut queue = Queue::default();
    queue.begin(0, 9);
    queue.commit(5);
    assert_eq!((queue.spilled(), queue.entries()), (Some(6), 4));
    queue.commit(9);
    assert!(queue.is_empty());
}

#[test]
fn an_entry_of_an_earlier_process_is_not_skipped() {
    let mut queue = Queue::default();
    queue.begin(0, 9);
    queue.commit(9);
    queue.push(entry(11, 1), &BATCHING, false);
    assert_eq!((queue.spilled(), queue.records()), (Some(10), 0));
    queue
        .refill(vec![entry(10, 1), entry(11, 1)], &BATCHING)
        .unwrap();
    assert_eq!(numbers(&queue.commit(99)), [10, 11]);
}

#[test]
fn missing_entries_are_found() {
    let mut queue = Queue::default();
    queue.begin(3, 9);
    assert_eq!(
        queue.refill(vec![entry(6, 1)], &BATCHING).unwrap_err(),
        (4, 6)
    );
}

#[test]
fn what_is_under_way_presses_nobody() {
    let mut queue = filled(&[3, 3, 2]);
    queue.take(&BATCHING);
    queue.push(entry(4, 1), &BATCHING, false);
    assert_eq!(queue.due(&BATCHING, false), Due::At(Duration::from_secs(5)));
}
