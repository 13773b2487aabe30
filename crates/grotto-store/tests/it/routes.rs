//! Ways through a log: what is read to find one, and what damage and outages leave of it.

use std::sync::Arc;

use grotto_store::follow::{Fetched, Journey, Traveller};
use grotto_store::plan::{PlanWeights, Step};
use grotto_store::{CommitFields, Dataset, Error, ErrorKind, LogEntry, Writer};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::kit::{Fault, FaultStore, acquire, commit, damage, faulty, framed};

/// Writes down where its steps lead and what they are: `s` snapshot, `d` delta, `r` reverse.
#[derive(Default)]
struct Notes {
    at: u64,
    steps: Vec<String>,
    restarts: usize,
}

impl Traveller for Notes {
    type Error = Error;

    fn kind(error: &Error) -> ErrorKind {
        error.kind()
    }

    fn version(&self) -> u64 {
        self.at
    }

    fn start_from_nothing(&mut self) {
        self.at = 0;
        self.restarts += 1;
    }

    async fn apply(
        &mut self,
        step: &Step,
        _fetched: Fetched,
        _last: bool,
    ) -> grotto_store::Result<()> {
        let kind = match step {
            Step::Snapshot { .. } => 's',
            Step::Delta { .. } => 'd',
            Step::Reverse { .. } => 'r',
            Step::Skip { .. } => '>',
        };
        self.at = step.to();
        self.steps.push(format!("{kind}{}", self.at));
        Ok(())
    }

    async fn recover(&mut self, _error: &Error, _blob: &str, _misfit: bool) -> bool {
        true
    }
}

struct World {
    faults: Arc<FaultStore>,
    dataset: Dataset,
    writer: Writer,
}

impl World {
    /// A log of a fence and versions 2 to `last`.
    async fn new(last: u64) -> Self {
        let (faults, dataset) = faulty();
        let writer = acquire(&dataset, "a").await;
        for _ in 2..=last {
            commit(&writer, "x").await.unwrap();
        }
        Self {
            faults,
            dataset,
            writer,
        }
    }

    /// The same, of entries that each tell of their own step alone.
    async fn of_short_links(last: u64) -> Self {
        let world = Self::new(last).await;
        world.shorten_links(last).await;
        world
    }

    /// Has the entries up to a version tell of their own step alone.
    async fn shorten_links(&self, last: u64) {
        for version in 2..=last {
            let mut entry = self.entry(version).await;
            entry.links.0.drain(..entry.links.0.len() - 1);
            let path = Path::from(format!("cities/log/{version:020}.json"));
            let bytes = entry.encode().unwrap().into();
            self.faults.put(&path, bytes).await.unwrap();
        }
    }

    /// A log of so many fences, each with two versions after it.
    async fn of_fences(fences: u64) -> Self {
        let mut world = Self::new(1).await;
        for fence in 0..fences {
            if fence > 0 {
                world.writer = acquire(&world.dataset, "a").await;
            }
            for _ in 0..2 {
                commit(&world.writer, "x").await.unwrap();
            }
        }
        world
    }

    async fn announce(&self, version: u64, text: &str) {
        let blob = self.writer.upload_snapshot(version, framed(text)).await;
        let announced = self.writer.announce_snapshot(version, blob.unwrap());
        announced.await.unwrap();
    }

    async fn entry(&self, version: u64) -> LogEntry {
        self.dataset.read_entry(version).await.unwrap().unwrap()
    }

    async fn lose(&self, blob: &str) {
        let path = Path::from(format!("cities/{blob}"));
        self.faults.delete(&path).await.unwrap();
    }

    async fn lose_delta(&self, version: u64) {
        let entry = self.entry(version).await;
        let kind = grotto_store::BlobKind::Delta;
        self.lose(&entry.blob(kind).unwrap().name).await;
    }

    async fn lose_reverse(&self, version: u64) {
        let entry = self.entry(version).await;
        let kind = grotto_store::BlobKind::Reverse;
        self.lose(&entry.blob(kind).unwrap().name).await;
    }

    async fn travel(&self, from: u64, target: &LogEntry) -> (Notes, grotto_store::Result<()>) {
        let mut notes = Notes {
            at: from,
            ..Notes::default()
        };
        let mut journey = Journey::new(&self.dataset, target);
        let travelled = journey.travel(&mut notes).await;
        (notes, travelled)
    }
}

#[tokio::test]
async fn waits_are_weighed_as_the_caller_says() {
    let world = World::new(5).await;
    world.announce(5, &"s".repeat(300)).await;
    let head = world.entry(5).await;
    let one_by_one = PlanWeights {
        round_bytes: 1_000,
        width: 1,
    };
    for (weights, steps) in [(PlanWeights::default(), 5), (one_by_one, 1)] {
        let mut notes = Notes::default();
        let mut journey = Journey::new(&world.dataset, &head).weights(weights);
        journey.travel(&mut notes).await.unwrap();
        assert_eq!((notes.at, notes.steps.len()), (5, steps));
        assert_eq!(journey.newest_snapshot(), 5);
    }
}

#[tokio::test]
async fn at_the_target_nothing_is_asked_for() {
    let world = World::new(3).await;
    let head = world.entry(3).await;
    let asked = || (world.faults.gets(""), world.faults.lists());
    let before = asked();
    let (notes, travelled) = world.travel(3, &head).await;
    travelled.unwrap();
    assert!(notes.steps.is_empty());
    assert_eq!(asked(), before);
}

#[tokio::test]
async fn a_step_back_is_taken_before_an_older_snapshot_is_loaded() {
    let world = World::new(5).await;
    world.announce(2, "s").await;
    let target = world.entry(4).await;
    let (notes, travelled) = world.travel(5, &target).await;
    travelled.unwrap();
    assert_eq!(notes.steps, ["r4"]);
}

#[tokio::test]
async fn around_a_lost_delta_a_snapshot_is_loaded_without_giving_up_the_state_before() {
    let world = World::new(5).await;
    world.announce(4, "s").await;
    world.lose_delta(2).await;
    let (notes, travelled) = world.travel(1, &world.entry(5).await).await;
    travelled.unwrap();
    assert_eq!(
        (notes.steps, notes.restarts),
        (vec!["s4".into(), "d5".into()], 0)
    );
}

#[tokio::test]
async fn where_nothing_leads_up_a_newer_snapshot_leads_down() {
    let world = World::new(6).await;
    world.announce(5, "s").await;
    world.lose_delta(3).await;
    let target = world.entry(3).await;
    for from in [0, 1] {
        let (notes, travelled) = world.travel(from, &target).await;
        travelled.unwrap();
        assert!(
            notes
                .steps
                .ends_with(&["s5".into(), "r4".into(), "r3".into()])
        );
        assert_eq!((notes.at, notes.restarts), (3, 0));
    }
}

#[tokio::test]
async fn entries_are_read_only_as_far_as_the_way_leads() {
    let world = World::new(70).await;
    let head = world.entry(70).await;
    assert_eq!(head.links.0[0].since, 6);
    for (from, read) in [(6, 0), (5, 1)] {
        let before = world.faults.gets("/log/");
        let (notes, travelled) = world.travel(from, &head).await;
        travelled.unwrap();
        assert_eq!(notes.steps.len() as u64, 70 - from);
        assert_eq!(world.faults.gets("/log/") - before, read, "from {from}");
    }
}

/// More entries than are read before a snapshot is considered.
#[tokio::test]
async fn a_way_that_many_entries_tell_of_is_found_in_both_directions() {
    let world = World::of_short_links(41).await;
    for (from, target, kind) in [(1, 41, 'd'), (41, 1, 'r')] {
        let target = world.entry(target).await;
        let (notes, travelled) = world.travel(from, &target).await;
        travelled.unwrap();
        assert_eq!((notes.at, notes.restarts), (target.version, 0));
        assert_eq!(notes.steps.len(), 40);
        assert!(notes.steps.iter().all(|step| step.starts_with(kind)));
    }
}

#[tokio::test]
async fn what_was_learned_below_the_target_is_not_read_again_after_a_look_above_it() {
    let world = World::new(300).await;
    world.announce(100, &"s".repeat(10)).await;
    world.lose_reverse(250).await;
    let target = world.entry(200).await;
    let before = world.faults.gets("/log/");
    let (notes, travelled) = world.travel(300, &target).await;
    travelled.unwrap();
    let loaded = notes.steps.iter().position(|step| step == "s100");
    assert_eq!((notes.at, loaded), (200, Some(50)));
    // 300 and 236 for the way back, 250 for another one from there, 100 for its snapshot, and 136, where the
    // links of the target end.
    assert_eq!(world.faults.gets("/log/") - before, 5);
}

#[tokio::test]
async fn a_damaged_entry_is_read_once_and_the_way_goes_around_it() {
    let world = World::new(70).await;
    world.announce(60, "s").await;
    let head = world.entry(70).await;
    damage(&world.faults, 6).await;
    let before = world.faults.gets("log/00000000000000000006");
    let (notes, travelled) = world.travel(1, &head).await;
    travelled.unwrap();
    assert_eq!((notes.at, notes.steps[0].as_str()), (70, "s60"));
    // Once more as it may have been damaged on the way.
    assert_eq!(world.faults.gets("log/00000000000000000006") - before, 2);
}

/// Entries are read several at a time: those past the damage tell of nothing that leads on.
#[tokio::test]
async fn a_damaged_entry_far_below_hides_what_lies_before_it_and_nothing_else() {
    let world = World::new(300).await;
    world.announce(110, "s").await;
    let head = world.entry(300).await;
    damage(&world.faults, 108).await;
    for (from, first, read) in [(1, "s110", 6), (109, "d110", 2), (172, "d173", 1)] {
        let before = world.faults.gets("/log/");
        let (notes, travelled) = world.travel(from, &head).await;
        travelled.unwrap();
        assert_eq!((notes.at, notes.steps[0].as_str()), (300, first), "{from}");
        // 236, 172, twice the damaged 108, 44, and that of the snapshot.
        assert_eq!(world.faults.gets("/log/") - before, read, "from {from}");
    }
}

#[tokio::test]
async fn only_so_many_entries_are_read_before_a_snapshot_is_considered() {
    let world = World::of_short_links(60).await;
    world.announce(59, "s").await;
    let head = world.entry(60).await;
    let before = world.faults.gets("/log/");
    let (notes, travelled) = world.travel(1, &head).await;
    travelled.unwrap();
    assert_eq!(notes.steps, ["s59", "d60"]);
    // And that of the snapshot.
    assert_eq!(world.faults.gets("/log/") - before, 32 + 1);
}

#[tokio::test]
async fn where_older_entries_tell_of_less_none_of_them_is_left_out() {
    let world = World::new(200).await;
    world.shorten_links(136).await;
    let head = world.entry(200).await;
    let (notes, travelled) = world.travel(60, &head).await;
    travelled.unwrap();
    assert_eq!((notes.at, notes.restarts), (200, 0));
    assert_eq!(notes.steps.len(), 140);
}

#[tokio::test]
async fn damage_in_an_entry_that_is_read_in_vain_hides_nothing() {
    let world = World::of_fences(66).await;
    while world.writer.next_version() <= 300 {
        commit(&world.writer, "x").await.unwrap();
    }
    let head = world.entry(300).await;
    // The head tells of 64 versions, and so would the next one, 236, were there no fences before 200.
    assert_eq!(head.links.0[0].since, 236);
    assert!(world.entry(236).await.links.0[0].since < 172);
    damage(&world.faults, 172).await;
    let before = world.faults.gets("/log/00000000000000000172");
    let (notes, travelled) = world.travel(2, &head).await;
    travelled.unwrap();
    assert_eq!((notes.at, notes.restarts), (300, 0));
    assert!(world.faults.gets("/log/00000000000000000172") > before);
}

#[tokio::test]
async fn fences_between_versions_cost_no_more_than_the_entries_they_lie_in() {
    let world = World::of_fences(100).await;
    let head = world.entry(300).await;
    let before = world.faults.gets("/log/");
    let (notes, travelled) = world.travel(2, &head).await;
    travelled.unwrap();
    assert_eq!((notes.at, notes.restarts), (300, 0));
    // 64 steps in 96 versions.
    assert_eq!(world.faults.gets("/log/") - before, 3);
}

#[tokio::test]
async fn a_damaged_entry_above_does_not_hide_what_the_target_tells() {
    let world = World::new(170).await;
    let target = world.entry(100).await;
    world.lose_reverse(101).await;
    damage(&world.faults, 42).await;
    let (notes, travelled) = world.travel(170, &target).await;
    travelled.unwrap();
    assert_eq!((notes.at, notes.restarts), (100, 1));
}

#[tokio::test]
async fn with_a_damaged_head_the_way_back_is_made_from_nothing() {
    let world = World::new(5).await;
    let target = world.entry(4).await;
    damage(&world.faults, 5).await;
    let (notes, travelled) = world.travel(5, &target).await;
    travelled.unwrap();
    assert_eq!((notes.at, notes.restarts), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn an_outage_ends_the_search_and_is_no_reason_for_another_way() {
    let world = World::new(70).await;
    world.announce(60, "s").await;
    let head = world.entry(70).await;
    let assert_outage = |(notes, travelled): (Notes, grotto_store::Result<()>)| {
        assert_eq!(travelled.unwrap_err().kind(), ErrorKind::Unavailable);
        assert!(notes.steps.is_empty() && world.faults.script_is_used_up());
    };
    let older = "log/00000000000000000006";
    (0..3).for_each(|_| world.faults.script(Fault::GetFails, older));
    assert_outage(world.travel(1, &head).await);
    let target = world.entry(60).await;
    damage(&world.faults, 70).await;
    (0..3).for_each(|_| world.faults.script(Fault::ListFails, "/log"));
    assert_outage(world.travel(70, &target).await);
}

#[tokio::test]
async fn a_target_that_names_its_snapshot_says_which_is_the_newest() {
    let world = World::new(2).await;
    let blob = world.writer.upload_snapshot(3, framed("s")).await.unwrap();
    let start = CommitFields {
        snapshot: Some(blob),
        state_checksum: 3,
        ..CommitFields::default()
    };
    let target = world.writer.commit(start).await.unwrap();
    let journey = Journey::new(&world.dataset, &target);
    assert_eq!(journey.newest_snapshot(), 3);
    let (notes, travelled) = world.travel(0, &target).await;
    travelled.unwrap();
    assert_eq!(notes.steps, ["s3"]);
}
