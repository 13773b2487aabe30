//! The cache of blobs in a folder of this host, by a clock that is moved by hand. Owns nothing.

mod faulty;

use super::*;
use grotto_env::{ManualClock, SeededRandom};
use std::os::unix::fs::PermissionsExt;

const HOUR: Duration = Duration::from_secs(3_600);
const NOW_MS: u64 = 1_700_000_000_000;

struct Kit {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Kit {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::new(NOW_MS)),
        }
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("blobs")
    }

    fn open(&self, bytes: u64) -> Result<FolderCache> {
        self.open_in(bytes, None)
    }

    fn open_in(&self, bytes: u64, system: Option<Arc<dyn FileSystem>>) -> Result<FolderCache> {
        let settings = CacheSettings {
            path: self.folder(),
            bytes,
            age: 24 * HOUR,
        };
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let random = Arc::new(SeededRandom::new(1));
        FolderCache::open(settings, system, (clock, random), CacheMetrics::default())
    }

    fn names(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.folder()).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }
}

fn key(number: u64) -> BlobKey {
    BlobKey {
        dataset: "cities".to_owned(),
        name: format!("delta/{number}.delta"),
        length: 100,
        checksum: Some(number),
    }
}

fn blob(number: u64) -> Bytes {
    Bytes::from(vec![number as u8; 100])
}

fn failures(cache: &FolderCache, reason: &'static str) -> u64 {
    let metrics = &cache.metrics.failures;
    metrics.get_or_create(&metrics::Reason { reason }).get()
}

#[test]
fn a_blob_is_found_under_all_that_it_is_known_by_and_under_nothing_else() {
    let kit = Kit::new();
    let cache = kit.open(1_000).unwrap();
    cache.put(&key(1), &blob(1));
    assert_eq!(cache.get(&key(1)), Some(blob(1)));
    let others = [
        BlobKey {
            dataset: "towns".to_owned(),
            ..key(1)
        },
        BlobKey {
            name: "delta/2.delta".to_owned(),
            ..key(1)
        },
        BlobKey {
            length: 101,
            ..key(1)
        },
        BlobKey {
            checksum: Some(2),
            ..key(1)
        },
        BlobKey {
            checksum: None,
            ..key(1)
        },
    ];
    for other in others {
        assert_eq!(cache.get(&other), None, "{other:?}");
    }
    assert_eq!(cache.metrics.held(), 100);
    cache.refuse(&key(1));
    assert_eq!(cache.metrics.held(), 0);
    assert_eq!(cache.get(&key(1)), None);
    assert_eq!(failures(&cache, "damaged"), 1);
    assert_eq!(
        (cache.metrics.hits.get(), cache.metrics.misses.get()),
        (1, 6)
    );
    assert_eq!(cache.metrics.hit_bytes.get(), 100);
    assert!(kit.names().is_empty());
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let kit = Kit::new();
    let cache = kit.open(300).unwrap();
    for number in 1..=3 {
        cache.put(&key(number), &blob(number));
        kit.clock.advance(HOUR);
    }
    assert!(cache.get(&key(1)).is_some());
    kit.clock.advance(HOUR);
    cache.put(&key(4), &blob(4));
    let left: Vec<u64> = (1..=4).filter(|n| cache.get(&key(*n)).is_some()).collect();
    assert_eq!(left, [1, 3, 4]);
    assert_eq!((kit.names().len(), cache.metrics.evictions.get()), (3, 1));
    // What is on disk tells the same to the next one.
    for number in [3, 1] {
        kit.clock.advance(HOUR);
        assert!(cache.get(&key(number)).is_some());
    }
    let next = kit.open(200).unwrap();
    assert_eq!(
        (next.metrics.held(), next.metrics.evictions.get()),
        (200, 1)
    );
    let left: Vec<u64> = (1..=4).filter(|n| next.get(&key(*n)).is_some()).collect();
    assert_eq!(left, [1, 3]);
}

#[test]
fn what_was_not_used_for_too_long_goes() {
    let kit = Kit::new();
    let cache = kit.open(1_000).unwrap();
    cache.put(&key(1), &blob(1));
    kit.clock.advance(23 * HOUR);
    assert!(cache.get(&key(1)).is_some());
    kit.clock.advance(23 * HOUR);
    cache.put(&key(2), &blob(2));
    assert!(cache.get(&key(1)).is_some());
    kit.clock.advance(25 * HOUR);
    cache.put(&key(3), &blob(3));
    assert!(cache.get(&key(1)).is_none() && cache.get(&key(2)).is_none());
    assert_eq!(kit.names().len(), 1);
}

#[test]
fn what_was_used_is_not_too_old_for_the_next_one_either() {
    let kit = Kit::new();
    // By the time of the host, as files have it when they are written.
    kit.clock
        .set_wall_ms(grotto_env::Env::system().clock.wall_ms());
    let cache = kit.open(1_000).unwrap();
    for number in 1..=2 {
        cache.put(&key(number), &blob(number));
    }
    kit.clock.advance(23 * HOUR);
    assert!(cache.get(&key(1)).is_some());
    kit.clock.advance(2 * HOUR);
    let next = kit.open(1_000).unwrap();
    let left: Vec<u64> = (1..=2).filter(|n| next.get(&key(*n)).is_some()).collect();
    assert_eq!(left, [1]);
}

#[test]
fn two_that_share_a_folder_find_and_bound_what_the_other_put() {
    let kit = Kit::new();
    let (first, second) = (kit.open(300).unwrap(), kit.open(300).unwrap());
    for number in 1..=3 {
        first.put(&key(number), &blob(number));
        kit.clock.advance(HOUR);
        second.put(&key(10 + number), &blob(number));
        kit.clock.advance(HOUR);
    }
    assert_eq!(first.get(&key(13)), Some(blob(3)));
    second.sweep();
    assert_eq!(kit.names().len(), 3);
    first.sweep();
    assert_eq!(kit.names().len(), 3);
    // One that another has removed is a miss and no failure.
    assert_eq!(first.get(&key(1)), None);
    assert_eq!(failures(&first, "read") + failures(&first, "remove"), 0);
}

#[test]
fn nothing_that_fails_is_an_error() {
    let kit = Kit::new();
    let cache = kit.open(1_000).unwrap();
    cache.put(&key(1), &blob(1));
    std::fs::remove_dir_all(kit.folder()).unwrap();
    cache.put(&key(2), &blob(2));
    assert_eq!(failures(&cache, "write"), 1);
    assert_eq!((cache.get(&key(1)), cache.get(&key(2))), (None, None));
    cache.sweep();
    assert_eq!(failures(&cache, "list"), 1);
    let large = BlobKey {
        length: 600,
        ..key(3)
    };
    cache.put(&large, &Bytes::from(vec![0; 600]));
    assert_eq!(failures(&cache, "too large"), 1);
}

#[test]
fn a_file_that_is_longer_than_the_blob_or_a_link_is_not_read() {
    let kit = Kit::new();
    let cache = kit.open(1_000).unwrap();
    let secret = kit.dir.path().join("secret");
    std::fs::write(&secret, blob(7)).unwrap();
    std::os::unix::fs::symlink(&secret, cache.path_of(&key(1))).unwrap();
    std::fs::write(cache.path_of(&key(2)), vec![0; 101]).unwrap();
    for number in [1, 2] {
        assert_eq!(cache.get(&key(number)), None);
        assert!(!cache.path_of(&key(number)).exists());
    }
    assert_eq!(failures(&cache, "read"), 2);
    assert!(secret.exists());
    cache.put(&key(1), &blob(1));
    assert_eq!(cache.get(&key(1)), Some(blob(1)));
}

#[test]
fn the_folder_is_for_its_owner_alone_and_no_link() {
    let kit = Kit::new();
    let cache = kit.open(1_000).unwrap();
    cache.put(&key(1), &blob(1));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&kit.folder()), 0o700);
    assert_eq!(mode(&cache.path_of(&key(1))), 0o600);
    std::fs::set_permissions(kit.folder(), PermissionsExt::from_mode(0o777)).unwrap();
    let error = kit.open(1_000).unwrap_err();
    assert!(error.to_string().contains("others may write"), "{error}");
    let elsewhere = kit.dir.path().join("elsewhere");
    std::fs::rename(kit.folder(), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, kit.folder()).unwrap();
    assert!(kit.open(1_000).is_err());
}

#[test]
fn writes_that_never_ended_are_swept_and_files_of_others_stay() {
    let kit = Kit::new();
    let cache = kit.open(1_000).unwrap();
    let temp = cache.path_of(&key(1)).with_extension("0123.tmp");
    let other = kit.folder().join("notes.txt");
    std::fs::write(&temp, "half").unwrap();
    std::fs::write(&other, "x").unwrap();
    // By the time of the host, as files have it.
    kit.clock
        .set_wall_ms(grotto_env::Env::system().clock.wall_ms());
    cache.sweep();
    assert!(temp.exists());
    kit.clock.advance(2 * HOUR);
    cache.sweep();
    assert!(!temp.exists() && other.exists());
}

#[test]
fn what_others_put_is_found_after_so_many_of_ones_own() {
    let kit = Kit::new();
    let most = u64::from(PUTS_BETWEEN_SWEEPS) * 100;
    let (first, second) = (kit.open(most).unwrap(), kit.open(most).unwrap());
    // Between two looks each knows of its own alone.
    for number in 0..u64::from(PUTS_BETWEEN_SWEEPS) - 1 {
        first.put(&key(number), &blob(number));
        second.put(&key(1_000 + number), &blob(number));
    }
    let found = kit.names().len() as u64;
    assert!(found > u64::from(PUTS_BETWEEN_SWEEPS), "{found}");
    first.put(&key(999), &blob(999));
    let found = kit.names().len() as u64;
    assert_eq!(found, u64::from(PUTS_BETWEEN_SWEEPS));
}

#[test]
fn a_blob_that_is_put_again_counts_once() {
    let kit = Kit::new();
    let cache = kit.open(1_000).unwrap();
    for _ in 0..3 {
        cache.put(&key(1), &blob(1));
        kit.clock.advance(HOUR);
        cache.put(&key(2), &blob(2));
        kit.clock.advance(HOUR);
    }
    assert_eq!(cache.metrics.held(), 200);
    assert_eq!(kit.names().len(), 2);
}
