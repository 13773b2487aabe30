//! Readers that come in the middle of a refresh, go on elsewhere, or come too late. Owns nothing.

use super::*;
use crate::place::Place;
use crate::report::RefreshReport;
use crate::shared::Shared;
use futures::FutureExt;
use grotto_env::Env;
use grotto_state::{HashSeed, HeapSeal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

fn state(version: u64) -> Arc<State> {
    Arc::new(State::empty(HashSeed::new([1, 2])).at_version(version))
}

fn of(state: &Arc<State>) -> Identified {
    Identified {
        state: Arc::clone(state),
        dataset_id: "id".into(),
    }
}

fn refresh(before: &Arc<State>, after: &Arc<State>) -> Refresh {
    let report = RefreshReport::default();
    Refresh::new(Arc::clone(before), Arc::clone(after), report)
}

fn taken(queue: &Queue) -> Vec<(u64, u64)> {
    let next = || match queue.take() {
        Taken::Pending(pending) => Some((pending.before.version(), pending.after.version())),
        Taken::Nothing | Taken::Ended => None,
    };
    std::iter::from_fn(next).collect()
}

#[test]
fn a_reader_who_comes_in_the_middle_of_a_refresh_begins_at_what_was_served_then() {
    let all = Subscriptions::default();
    let states: Vec<_> = (1..=4).map(state).collect();
    // Served between the two ends of the refresh, as a part of the way is.
    let middle = all.add("middle", 4, || of(&states[1])).unwrap();
    // Served already, and not told yet.
    let end = all.add("end", 4, || of(&states[2])).unwrap();
    all.tell(&refresh(&states[0], &states[2]), "id");
    assert_eq!(taken(&middle), [(2, 3)]);
    assert_eq!(taken(&end), []);
    all.tell(&refresh(&states[2], &states[3]), "id");
    assert_eq!(taken(&middle), [(3, 4)]);
    assert_eq!(taken(&end), [(3, 4)]);
}

#[test]
fn a_reader_who_comes_after_the_end_gets_nothing_and_knows() {
    let all = Subscriptions::default();
    all.end();
    let late = all.add("late", 4, || of(&state(1))).unwrap();
    assert!(matches!(late.take(), Taken::Ended));
    assert!(late.has_ended());
}

#[tokio::test]
async fn no_thread_of_the_runtime_composes_changes() {
    let url = grotto_store::StoreUrl::Memory;
    let store = grotto_store::Store::open(&url).unwrap();
    let dataset = grotto_store::Dataset::open(store, "cities").unwrap();
    let place = Place::Heap(HeapSeal::default());
    let empty = State::empty(HashSeed::new([1, 2]));
    let env = Env::system();
    let shared = Shared::new(dataset, env, place, (empty, "id"), Duration::ZERO);
    let shared = Arc::new(shared);
    let (before, after) = (state(1), state(2));
    let queue = shared.subscriptions.add("slow", 1, || of(&before)).unwrap();
    // Whoever tells it waits until another task of the only thread has run.
    let ((locked, is_locked), (run, has_run)) = (mpsc::channel(), mpsc::channel());
    let holder = std::thread::spawn(move || {
        let inner = queue.inner.lock();
        locked.send(()).unwrap();
        let ran = has_run.recv_timeout(Duration::from_secs(60)).is_ok();
        drop(inner);
        ran
    });
    is_locked.recv().unwrap();
    let told = refresh(&before, &after);
    let telling = tokio::spawn(async move { shared.tell_readers(&told).await });
    let other = tokio::spawn(async move { run.send(()).unwrap() });
    telling.await.unwrap().unwrap();
    assert!(holder.join().unwrap(), "the thread of the runtime waited");
    other.await.unwrap();
}

#[test]
fn a_reader_that_goes_on_past_what_is_served_gets_what_follows_its_place() {
    let all = Subscriptions::default();
    let states: Vec<_> = (1..=5).map(state).collect();
    let tell = |from: usize, to: usize| all.tell(&refresh(&states[from], &states[to]), "id");
    // It comes at 1 to go on at 3; 4 is served before the state of 3 is found.
    let overtaken = all.add("overtaken", 4, || of(&states[0])).unwrap();
    let ahead = all.add("ahead", 4, || of(&states[0])).unwrap();
    tell(0, 1);
    ahead.skip_to(Arc::clone(&states[2]));
    assert_eq!(taken(&ahead), []);
    tell(1, 3);
    overtaken.skip_to(Arc::clone(&states[2]));
    assert_eq!(taken(&overtaken), [(3, 4)]);
    assert_eq!(taken(&ahead), [(3, 4)]);
    tell(3, 4);
    assert_eq!(taken(&overtaken), [(4, 5)]);
    assert_eq!(taken(&ahead), [(4, 5)]);
}

#[test]
fn what_a_reader_begins_with_comes_before_what_was_told_meanwhile() {
    let all = Subscriptions::default();
    let states: Vec<_> = (1..=3).map(state).collect();
    let queue = all.add("again", 4, || of(&states[1])).unwrap();
    all.tell(&refresh(&states[1], &states[2]), "id");
    let (before, first) = (Arc::clone(&states[0]), Arc::clone(queue.first()));
    queue.begin(Pending::between(before, first, queue.dataset_id(), None));
    assert_eq!(taken(&queue), [(1, 2), (2, 3)]);
}

#[test]
fn a_reader_knows_of_the_end_when_it_has_taken_what_was_told_before() {
    let all = Subscriptions::default();
    let states: Vec<_> = (1..=2).map(state).collect();
    let queue = all.add("last", 4, || of(&states[0])).unwrap();
    all.tell(&refresh(&states[0], &states[1]), "id");
    all.end();
    assert!(!queue.has_ended());
    assert_eq!(taken(&queue), [(1, 2)]);
    assert!(queue.has_ended());
}

#[test]
fn no_more_wait_than_the_reader_asked_for_and_the_newest_is_extended() {
    let all = Subscriptions::default();
    let states: Vec<_> = (1..=6).map(state).collect();
    let queue = all.add("slow", 2, || of(&states[0])).unwrap();
    for pair in states.windows(2) {
        all.tell(&refresh(&pair[0], &pair[1]), "id");
        assert!(queue.len() <= 2);
    }
    assert_eq!(taken(&queue), [(1, 2), (2, 6)]);
}

/// A clock that stands, and says when it was asked how long is left: then its asker holds the lock, and waits once it
/// is free.
#[derive(Debug)]
struct Standing {
    asked: AtomicU64,
    waits: mpsc::Sender<()>,
}

impl Clock for Standing {
    fn wall_ms(&self) -> u64 {
        0
    }

    fn monotonic(&self) -> Duration {
        if self.asked.fetch_add(1, Ordering::Relaxed) == 1 {
            self.waits.send(()).unwrap();
        }
        Duration::ZERO
    }
}

#[test]
fn a_thread_that_waits_is_woken_by_an_update_and_by_the_end() {
    let day = Duration::from_secs(86_400);
    for ends in [false, true] {
        let all = Subscriptions::default();
        let states: Vec<_> = (1..=2).map(state).collect();
        let queue = all.add("waits", 4, || of(&states[0])).unwrap();
        let ((waits, waiting), (sender, got)) = (mpsc::channel(), mpsc::channel());
        let reader = Arc::clone(&queue);
        std::thread::spawn(move || {
            let asked = AtomicU64::new(0);
            sender.send(reader.wait(day, &Standing { asked, waits }))
        });
        waiting.recv().unwrap();
        match ends {
            true => all.end(),
            false => all.tell(&refresh(&states[0], &states[1]), "id"),
        }
        let taken = got.recv_timeout(Duration::from_secs(60)).unwrap();
        match (ends, taken) {
            (true, Taken::Ended) => {}
            (false, Taken::Pending(pending)) => assert_eq!(pending.after.version(), 2),
            (_, taken) => panic!("{taken:?}"),
        }
    }
}

#[test]
fn a_task_that_waits_is_woken_by_an_update_and_by_the_end() {
    for ends in [false, true] {
        let all = Subscriptions::default();
        let states: Vec<_> = (1..=2).map(state).collect();
        let queue = all.add("waits", 4, || of(&states[0])).unwrap();
        let mut arrival = std::pin::pin!(queue.arrival());
        assert!(arrival.as_mut().now_or_never().is_none());
        match ends {
            true => all.end(),
            false => all.tell(&refresh(&states[0], &states[1]), "id"),
        }
        assert!(arrival.as_mut().now_or_never().is_some());
    }
}

#[test]
fn the_identity_is_that_of_where_an_update_ends() {
    let all = Subscriptions::default();
    let states: Vec<_> = (1..=4).map(state).collect();
    let queue = all.add("late", 1, || of(&states[0])).unwrap();
    all.tell(&refresh(&states[0], &states[1]), "id");
    all.tell(&refresh(&states[1], &states[2]), "other");
    queue.skip_to(Arc::clone(&states[1]));
    match queue.take() {
        Taken::Pending(pending) => assert_eq!(pending.dataset_id, "other"),
        taken => panic!("{taken:?}"),
    }
}
