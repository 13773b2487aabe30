//! Checks of files that take longer than a version does to come.

use super::*;
use crate::dir::tests::{DATASET, SEED, Source};
use std::os::unix::fs::PermissionsExt;

/// Cities whose segment has several checksums.
const CITIES: u64 = 30_000;

/// A directory with one large segment, who writes to it, and who follows it.
struct Large {
    folder: tempfile::TempDir,
    dir: StateDir,
    source: Source,
    state: State,
    follower: Follower,
}

impl Large {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let system: Arc<dyn FileSystem> = Arc::new(HostFiles::default());
        let (mut dir, _) = StateDir::open(Arc::clone(&system), folder.path(), DATASET).unwrap();
        let mut source = Source::new();
        let state = State::empty(SEED);
        let state = state.apply(&source.delta(CITIES, 0), &mut dir).unwrap().0;
        dir.publish(&state, "id").unwrap();
        let clock = Env::simulated(1).clock;
        let mut follower = Follower::new(system, folder.path(), clock).unwrap();
        follower.checks.parts = 1;
        Self {
            folder,
            dir,
            source,
            state,
            follower,
        }
    }

    fn segment(&self) -> PathBuf {
        let folder = self.folder.path().join("segments");
        HostFiles::default().list(&folder).unwrap().remove(0)
    }

    fn parts(&self) -> usize {
        let mut held = self.follower.segments.values();
        held.next().unwrap().file.sums.count()
    }

    /// One city more.
    fn publish(&mut self) {
        let delta = self.source.delta(CITIES + 1, 0);
        self.state = self.state.apply(&delta, &mut self.dir).unwrap().0;
        self.dir.publish(&self.state, "id").unwrap();
    }

    /// Looks, and tells what is wrong.
    fn look(&mut self) -> Option<String> {
        self.follower.look_again();
        let trouble = self.follower.seen.trouble.lock();
        trouble.as_ref().map(ToString::to_string)
    }

    fn version(&self) -> u64 {
        self.follower.seen.served.hold().version()
    }
}

/// Its bytes have to be compared.
fn set_mode(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_new_version_is_served_before_the_check_of_a_file_ends() {
    let mut large = Large::new();
    let parts = large.parts();
    assert!(parts > 2, "{parts}");
    assert_eq!(large.look(), None);
    assert_eq!(large.follower.patience(), IDLE_INTERVAL);
    set_mode(&large.segment());
    wait(checks::CHECK_INTERVAL).await;
    assert_eq!(large.look(), None);
    // It goes on soon, whatever is told meanwhile.
    assert_eq!(large.follower.patience(), BREATH);
    large.publish();
    assert_eq!(large.look(), None);
    assert_eq!((large.version(), large.follower.patience()), (2, BREATH));
    for _ in 2..parts {
        assert!(large.follower.checks.is_busy());
        assert_eq!(large.look(), None);
    }
    assert_eq!(large.follower.patience(), IDLE_INTERVAL);
    // What it is now is known: the next pass compares nothing.
    wait(checks::CHECK_INTERVAL).await;
    assert_eq!(large.look(), None);
    assert!(!large.follower.checks.is_busy());
}

#[tokio::test(start_paused = true)]
async fn damage_in_any_part_of_a_file_is_found_when_that_part_is_compared() {
    for at in 0..3 {
        let mut large = Large::new();
        let path = large.segment();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at * (256 << 10) + 7] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        wait(checks::CHECK_INTERVAL).await;
        for _ in 0..at {
            assert_eq!(large.look(), None);
        }
        let trouble = large.look().unwrap();
        let from = at * (256 << 10);
        let expected = format!("the file was altered: bytes {from} to ");
        assert!(trouble.contains(&expected), "{trouble}");
        assert!(
            trouble.starts_with("what is served is damaged: "),
            "{trouble}"
        );
        assert_eq!(large.look(), Some(trouble), "it stays so");
        assert_eq!(large.follower.patience(), IDLE_INTERVAL);
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_without_its_name_is_compared_once() {
    let mut large = Large::new();
    std::fs::remove_file(large.segment()).unwrap();
    wait(checks::CHECK_INTERVAL).await;
    for _ in 0..large.parts() {
        assert_eq!(large.look(), None);
    }
    assert!(!large.follower.checks.is_busy());
    wait(checks::CHECK_INTERVAL).await;
    assert_eq!(large.look(), None);
    assert!(!large.follower.checks.is_busy());
}
