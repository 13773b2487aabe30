//! State directories: restart, reboot, damage, sweeping.

#[cfg(unix)]
mod hostile;
mod identity;
mod refusing;

use super::*;
use crate::consumer::Consumer;
use crate::error::ErrorKind;
use grotto_state::format::Schema;
use grotto_state::format::blob::Blob;
use grotto_state::format::flat::FlatBuilder;
use grotto_state::format::json;
use grotto_state::{EncodeOptions, HashSeed, Mode, WriteState};
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) const DATASET: &str = "cities";
pub(crate) const SEED: HashSeed = HashSeed::new([1, 2]);

/// What happens to a directory.
type Damage = fn(&Path);

/// Produces the deltas of a small dataset.
pub(crate) struct Source {
    write: WriteState,
    schema: Arc<Schema>,
}

impl Source {
    pub(crate) fn new() -> Self {
        let schema = Schema::parse("City @PrimaryKey(id) { long id; string name; }").unwrap();
        Self {
            write: WriteState::new(Arc::new(State::empty(SEED))),
            schema: Arc::new(schema),
        }
    }

    /// The delta to a version in which `count` cities have names that end in `round`.
    pub(crate) fn delta(&mut self, count: u64, round: u64) -> Blob {
        let mut cycle = self.write.begin(&self.schema, Mode::Full).unwrap();
        let city = self.schema.find("City").unwrap();
        for id in 0..count {
            let mut flat = FlatBuilder::new();
            let text = format!(r#"{{"id":{id},"name":"city {id} of {round}"}}"#);
            json::decode(&self.schema, city, text, &mut flat).unwrap();
            cycle.add(city, flat.bytes(), id).unwrap();
        }
        let version = self.write.state().version() + 1;
        let options = EncodeOptions {
            dataset: DATASET.to_owned(),
            version,
            level: None,
            threads: 1,
        };
        let encoded = cycle.finish(&options).unwrap().unwrap();
        let blob = Blob::parse(encoded.delta.clone().into()).unwrap();
        self.write.advance(encoded);
        blob
    }
}

/// A directory with `versions` versions of 300 cities, the last one published under `boot`.
fn filled(path: &Path, versions: u64, boot: &str) -> Arc<State> {
    let (mut dir, _) = open(path, boot);
    let mut source = Source::new();
    let mut state = Arc::new(State::empty(SEED));
    for round in 0..versions {
        state = Arc::new(state.apply(&source.delta(300, round), &mut dir).unwrap().0);
        dir.publish(&state, "id").unwrap();
    }
    state
}

fn open(path: &Path, boot: &str) -> (StateDir, Option<Found>) {
    StateDir::open_in_boot(
        Arc::new(HostFiles::default()),
        path,
        DATASET,
        Some(boot.to_owned()),
    )
    .unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let list = HostFiles::default().list(folder).unwrap();
    let mut names: Vec<String> = list
        .iter()
        .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Changes one byte in the middle of a file, and keeps its length.
fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn only_file(folder: &Path) -> std::path::PathBuf {
    HostFiles::default().list(folder).unwrap().remove(0)
}

#[test]
fn a_published_state_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path(), 3, "boot");
    let (_dir, found) = open(dir.path(), "boot");
    let found = found.unwrap();
    assert_eq!(found.dataset_id, "id");
    assert_eq!(
        (found.state.version(), found.state.checksum()),
        (3, before.checksum())
    );
    let city = found.state.type_id("City").unwrap();
    let record = found.state.find(city, 7_i64).unwrap().unwrap();
    assert_eq!(record.text(1), "city 7 of 2");
}

#[test]
fn a_new_directory_holds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (_dir, found) = open(&dir.path().join("deep/down"), "boot");
    assert!(found.is_none());
}

#[test]
fn a_directory_with_a_damaged_or_missing_file_is_discarded_and_usable() {
    let damage: [(&str, Damage); 6] = [
        ("CURRENT is empty", |dir| {
            std::fs::write(dir.join("CURRENT"), b"").unwrap()
        }),
        ("CURRENT is long", |dir| {
            std::fs::write(dir.join("CURRENT"), [b'x'; 5_000]).unwrap()
        }),
        ("root is altered", |dir| {
            flip(&only_file(&dir.join("roots")))
        }),
        ("root is gone", |dir| {
            std::fs::remove_file(only_file(&dir.join("roots"))).unwrap()
        }),
        ("segment is gone", |dir| {
            std::fs::remove_file(only_file(&dir.join("segments"))).unwrap()
        }),
        ("segment is short", |dir| {
            std::fs::write(only_file(&dir.join("segments")), b"x").unwrap()
        }),
    ];
    for (what, damage) in damage {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path(), 1, "boot");
        damage(dir.path());
        assert!(open(dir.path(), "boot").1.is_none(), "{what}");
        filled(dir.path(), 2, "boot");
        assert_eq!(
            open(dir.path(), "boot").1.unwrap().state.version(),
            2,
            "{what}"
        );
    }
}

#[test]
fn a_directory_of_another_dataset_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 1, "boot");
    let error = StateDir::open(Arc::new(HostFiles::default()), dir.path(), "prices").unwrap_err();
    assert!(
        error
            .message()
            .contains("holds dataset cities, expected prices"),
        "{error}"
    );
    assert!(open(dir.path(), "boot").1.is_some());
}

#[test]
fn leftovers_are_swept_and_files_of_others_are_not() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 1, "boot");
    let at = |name: &str| dir.path().join(name);
    for name in [
        "CURRENT.tmp",
        "segments/00000000000000000077.seg",
        "segments/00000000000000000078.seg.tmp",
        "roots/00000000000000000009.root",
    ] {
        std::fs::write(at(name), b"x").unwrap();
    }
    for name in [
        "notes.tmp",
        "segments/00000000000000000009.root.tmp",
        "segments/notes.tmp",
        "roots/1.root",
    ] {
        std::fs::write(at(name), b"x").unwrap();
    }
    let (mut opened, found) = open(dir.path(), "boot");
    assert!(found.is_some());
    assert_eq!(
        names(dir.path()),
        ["CURRENT", "LOCK", "notes.tmp", "roots", "segments"]
    );
    assert_eq!(
        names(&at("segments")),
        [
            "00000000000000000001.seg",
            "00000000000000000009.root.tmp",
            "notes.tmp"
        ]
    );
    assert_eq!(names(&at("roots")), ["00000000000000000001.root", "1.root"]);
    // A name that was ever seen is not given again: a reader may still have its file mapped.
    assert_eq!(opened.seal(vec![0; 8]).unwrap().name, 78);
}

#[test]
fn files_are_bounded_while_versions_go_by_and_held_states_stay_readable() {
    let dir = tempfile::tempdir().unwrap();
    let (mut opened, _) = open(dir.path(), "boot");
    let mut source = Source::new();
    let mut state = Arc::new(State::empty(SEED));
    let mut first = None;
    for round in 0..30 {
        state = Arc::new(
            state
                .apply(&source.delta(300, round), &mut opened)
                .unwrap()
                .0,
        );
        opened.publish(&state, "id").unwrap();
        first.get_or_insert_with(|| Arc::clone(&state));
        assert!(names(&dir.path().join("roots")).len() <= ROOTS_KEPT);
        assert!(names(&dir.path().join("segments")).len() <= 2 * state.segments().count() + 2);
    }
    let first = first.unwrap();
    let city = first.type_id("City").unwrap();
    assert!(
        first
            .scan(city)
            .all(|record| record.text(1).ends_with(" of 0"))
    );
    assert_eq!(first.scan(city).count(), 300);
}

#[test]
fn what_a_failed_refresh_sealed_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let state = filled(dir.path(), 1, "boot");
    let (mut opened, _) = open(dir.path(), "boot");
    let before = names(&dir.path().join("segments"));
    opened.seal(vec![1; 100]).unwrap();
    opened.roll_back(0);
    assert_eq!(names(&dir.path().join("segments")), before);
    opened.publish(&state, "id").unwrap();
    assert_eq!(names(&dir.path().join("segments")), before);
}

#[test]
fn a_long_way_keeps_only_the_segments_that_the_next_step_goes_on_from() {
    let dir = tempfile::tempdir().unwrap();
    let segments = dir.path().join("segments");
    let (mut opened, _) = open(dir.path(), "boot");
    let mut source = Source::new();
    let mut state = State::empty(SEED);
    for round in 0..50 {
        state = state
            .apply(&source.delta(300, round), &mut opened)
            .unwrap()
            .0;
        opened.thin(&state);
        let used = state.segments().count();
        assert!(names(&segments).len() <= used, "round {round}");
    }
    let kept = names(&segments);
    let mark = opened.mark();
    opened.seal(vec![1; 100]).unwrap();
    opened.roll_back(mark);
    assert_eq!(names(&segments), kept);
    opened.publish(&state, "id").unwrap();
    drop(opened);
    let found = open(dir.path(), "boot").1.unwrap().state;
    assert_eq!((found.version(), found.checksum()), (50, state.checksum()));
}

#[test]
fn a_segment_that_cannot_be_written_leaves_the_directory_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 1, "boot");
    let (mut opened, found) = open(dir.path(), "boot");
    std::fs::rename(dir.path().join("segments"), dir.path().join("away")).unwrap();
    let mut source = Source::new();
    source.delta(300, 0);
    let error = found
        .unwrap()
        .state
        .apply(&source.delta(300, 1), &mut opened)
        .unwrap_err();
    assert!(
        error.to_string().contains("segment could not be stored"),
        "{error}"
    );
    opened.roll_back(0);
    std::fs::rename(dir.path().join("away"), dir.path().join("segments")).unwrap();
    drop(opened);
    assert_eq!(open(dir.path(), "boot").1.unwrap().state.version(), 1);
}

#[test]
fn a_path_that_is_a_file_is_refused_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    let error = StateDir::open(Arc::new(HostFiles::default()), &file, DATASET).unwrap_err();
    assert!(
        error.message().contains(&file.display().to_string()),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn a_writer_whose_directory_was_replaced_touches_nothing_in_the_new_one() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("state");
    let (mut first, _) = open(&path, "a");
    let mut source = Source::new();
    let delta = source.delta(300, 1);
    let (state, _) = State::empty(HashSeed::new([1, 2]))
        .apply(&delta, &mut first)
        .unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    filled(&path, 2, "a");
    let files = |folder: PathBuf| {
        let mut files = HostFiles::default().list(&folder).unwrap();
        files.sort();
        files
    };
    let all = || {
        [
            files(path.clone()),
            files(path.join("segments")),
            files(path.join("roots")),
        ]
    };
    let (second, _) = open(&path, "a");
    let before = (all(), std::fs::read(path.join("CURRENT")).unwrap());
    assert!(first.publish(&state, "id").is_err());
    first.roll_back(0);
    assert!(
        State::empty(HashSeed::new([1, 2]))
            .apply(&delta, &mut first)
            .is_err()
    );
    let error = first.keep_hold().unwrap_err();
    assert!(error.message().contains("in use by"), "{error}");
    assert_eq!(
        before,
        (all(), std::fs::read(path.join("CURRENT")).unwrap())
    );
    drop(second);
    assert!(!first.keep_hold().unwrap());
    assert!(first.keep_hold().unwrap());
}
