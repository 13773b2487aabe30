//! State directories whose files are altered while they are served.

use crate::kit::{DATASET, Kit, Publisher, VirtualClock, assert_same};
use grotto_consumer::{Attached, Consumer, ConsumerBuilder, Error, ErrorKind};
use grotto_env::{Env, ManualClock};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

async fn published() -> (Kit, Publisher) {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    (kit, publisher)
}

fn builder(kit: &Kit) -> ConsumerBuilder {
    Consumer::builder(DATASET, kit.store.clone()).state_dir(kit.state_dir())
}

fn segments(state_dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(state_dir.join("segments")).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

/// Alters the number of a round wherever a note tells it: what is read then is wrong, and still text.
fn alter(kit: &Kit) {
    alter_with(&kit.state_dir(), " for pair", b'_');
}

/// Puts a byte wherever this text begins.
pub(crate) fn alter_with(state_dir: &Path, text: &str, byte: u8) {
    let segments = segments(state_dir);
    let altered = segments.iter().map(|path| alter_text(path, text, byte));
    assert!(altered.sum::<usize>() > 0);
}

fn alter_text(path: &Path, text: &str, byte: u8) -> usize {
    // A change at the time that a file has already goes unnoticed where times are coarse.
    let changed = |path: &Path| {
        let found = std::fs::metadata(path).unwrap();
        (found.ctime(), found.ctime_nsec())
    };
    let probe = tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap();
    while changed(probe.path()) <= changed(path) {
        std::fs::write(probe.path(), b"x").unwrap();
    }
    let bytes = std::fs::read(path).unwrap();
    let mut file = std::fs::File::options().write(true).open(path).unwrap();
    let found = bytes
        .windows(text.len())
        .enumerate()
        .filter(|(_, found)| *found == text.as_bytes());
    let places: Vec<usize> = found.map(|(at, _)| at).collect();
    for at in &places {
        file.seek(SeekFrom::Start(*at as u64)).unwrap();
        file.write_all(&[byte]).unwrap();
    }
    places.len()
}

/// An attached reader whose time passes when told.
fn attached_by_hand(kit: &Kit) -> (Arc<ManualClock>, Attached) {
    let clock = Arc::new(ManualClock::new(0));
    let env = Env {
        clock: Arc::clone(&clock) as _,
        ..Env::system()
    };
    let attached = Consumer::attach_with(kit.state_dir(), env).unwrap();
    (clock, attached)
}

/// Has those who are attached look at the directory.
fn wake(kit: &Kit) {
    let outside = kit.folder.path().join("nothing");
    std::fs::write(&outside, b"x").unwrap();
    std::fs::rename(&outside, kit.state_dir().join("nothing")).unwrap();
    std::thread::yield_now();
}

/// Looks of those who are attached that are waited for, at most.
const MOST_WAKES: usize = 20_000;

fn trouble(kit: &Kit, attached: &Attached) -> Arc<Error> {
    for _ in 0..MOST_WAKES {
        if let Some(trouble) = attached.trouble() {
            return trouble;
        }
        wake(kit);
    }
    panic!("nothing is told");
}

pub(crate) fn count(consumer: &Consumer, metric: &str) -> u64 {
    let text = consumer.metrics_text();
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("grotto_consumer_{metric}{{")));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_altered_file_is_found_by_the_next_refresh_and_loaded_afresh() {
    for news in [false, true] {
        let (kit, mut publisher) = published().await;
        let consumer = builder(&kit).open().await.unwrap();
        let attached = Consumer::attach(kit.state_dir()).unwrap();
        alter(&kit);
        if news {
            publisher.publish(3).await;
        }
        let report = consumer.refresh().await.unwrap().unwrap();
        assert!(report.recovered[0].contains("damaged"), "{report:?}");
        assert_same(&consumer.state(), &publisher.state());
        assert_eq!(count(&consumer, "damage_found_total"), 1);
        let version = publisher.state().version();
        let again = Consumer::attach(kit.state_dir()).unwrap();
        assert_same(&again.state(), &publisher.state());
        if news {
            assert_same(
                &attached.wait_for(version, LONG).unwrap(),
                &publisher.state(),
            );
            assert!(attached.trouble().is_none());
        }
        consumer.shutdown().await;
        assert_same(
            &builder(&kit).open().await.unwrap().state(),
            &publisher.state(),
        );
    }
}

#[tokio::test]
async fn an_altered_file_is_found_on_the_way_to_news_that_polling_sees() {
    let (kit, mut publisher) = published().await;
    let interval = Duration::from_millis(1);
    let consumer = builder(&kit).poll_interval(interval).start().await.unwrap();
    alter(&kit);
    publisher.publish(3).await;
    let version = publisher.state().version();
    assert_same(
        &consumer.wait_for(version, LONG).await.unwrap(),
        &publisher.state(),
    );
    assert_eq!(count(&consumer, "damage_found_total"), 1);
    consumer.shutdown().await;
}

#[tokio::test]
async fn what_is_damaged_is_not_found_again_where_the_store_is_away() {
    let (kit, publisher) = published().await;
    let consumer = builder(&kit).open().await.unwrap();
    let (store, away) = (
        kit.folder.path().join("store"),
        kit.folder.path().join("away"),
    );
    std::fs::rename(&store, &away).unwrap();
    let (clock, attached) = attached_by_hand(&kit);
    alter(&kit);
    consumer.refresh().await.unwrap_err();
    // The names of the files are gone: only their bytes can tell.
    assert!(segments(&kit.state_dir()).is_empty());
    clock.advance(Duration::from_secs(5));
    assert_eq!(trouble(&kit, &attached).kind(), ErrorKind::Corrupt);
    let error = Consumer::attach(kit.state_dir()).unwrap_err();
    assert!(error.message().contains("holds no state"), "{error}");
    consumer.shutdown().await;
    builder(&kit).open().await.unwrap_err();
    std::fs::rename(&away, &store).unwrap();
    assert_same(
        &builder(&kit).open().await.unwrap().state(),
        &publisher.state(),
    );
}

#[tokio::test]
async fn an_altered_file_is_refused_by_those_who_attach_and_told_by_those_who_are_attached() {
    let (kit, publisher) = published().await;
    builder(&kit).open().await.unwrap().shutdown().await;
    let (clock, attached) = attached_by_hand(&kit);
    assert!(attached.trouble().is_none());
    alter(&kit);
    clock.advance(Duration::from_secs(5));
    let told = trouble(&kit, &attached);
    assert_eq!(told.kind(), ErrorKind::Corrupt);
    assert!(
        told.message().contains("what is served is damaged: "),
        "{told}"
    );
    assert!(
        told.message().contains("the file was altered: bytes "),
        "{told}"
    );
    let error = Consumer::attach(kit.state_dir()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(
        error.message().contains("the file was altered: bytes "),
        "{error}"
    );
    // Once the files are right again it is over.
    let consumer = builder(&kit).open().await.unwrap();
    assert_same(&consumer.state(), &publisher.state());
    while attached.trouble().is_some() {
        wake(&kit);
    }
    assert_same(&attached.state(), &publisher.state());
}

#[tokio::test(start_paused = true)]
async fn what_is_served_is_verified_again_and_again_at_the_rate_that_was_asked_for() {
    let (kit, publisher) = published().await;
    let env = VirtualClock::env();
    let hour = Duration::from_secs(3_600);
    let (interval, rate) = (Duration::from_secs(60), 10_000);
    let store = kit.store.clone().with_env(env.clone());
    let builder = Consumer::builder(DATASET, store).state_dir(kit.state_dir());
    let scrubbing = builder.scrub_interval(interval).scrub_rate(rate);
    // Nothing else looks at the files meanwhile.
    let builder = scrubbing.poll_interval(20 * hour).check_interval(20 * hour);
    let consumer = builder.start().await.unwrap();
    let length: u64 = consumer
        .state()
        .segments()
        .map(|at| at.bytes().len() as u64)
        .sum();
    env.sleep(interval / 2).await;
    assert_eq!(count(&consumer, "scrubbed_bytes_total"), 0);
    env.sleep(10 * hour).await;
    let (scrubbed, pass) = (
        count(&consumer, "scrubbed_bytes_total"),
        interval.as_secs_f64() + length as f64 / rate as f64,
    );
    let expected = 10.0 * hour.as_secs_f64() / pass * length as f64;
    let share = scrubbed as f64 / expected;
    assert!(
        (0.9..1.1).contains(&share),
        "{scrubbed} bytes instead of {expected}"
    );
    assert_eq!(count(&consumer, "damage_found_total"), 0);
    alter(&kit);
    env.sleep(2 * interval + Duration::from_secs_f64(pass))
        .await;
    assert_eq!(count(&consumer, "damage_found_total"), 1);
    let error = Consumer::attach(kit.state_dir()).unwrap_err();
    assert!(error.message().contains("holds no state"), "{error}");
    // The next refresh loads it again; until then the damage is not found twice.
    env.sleep(hour).await;
    assert_eq!(count(&consumer, "damage_found_total"), 1);
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
    assert_same(
        &Consumer::attach(kit.state_dir()).unwrap().state(),
        &publisher.state(),
    );
    consumer.shutdown().await;
}

#[tokio::test]
async fn a_report_names_every_part_of_a_file_that_is_damaged() {
    let (kit, publisher) = published().await;
    let consumer = builder(&kit).open().await.unwrap();
    // Also while the directory is in use.
    let report = Consumer::verify_dir(kit.state_dir()).unwrap();
    let length: u64 = consumer
        .state()
        .segments()
        .map(|at| at.bytes().len() as u64)
        .sum();
    assert_eq!(
        (report.dataset.as_str(), report.version),
        (DATASET, publisher.state().version())
    );
    assert_eq!(
        (report.bytes, report.changed, report.damage.len()),
        (length, 0, 0)
    );
    let copy = kit.folder.path().join("copy");
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(kit.state_dir())
        .arg(&copy)
        .status();
    assert!(copied.unwrap().success());
    let report = Consumer::verify_dir(&copy).unwrap();
    assert_eq!((report.changed, report.damage.len()), (report.files, 0));
    alter(&kit);
    let report = Consumer::verify_dir(kit.state_dir()).unwrap();
    assert!(
        report.damage[0].contains(".seg: the file was altered: bytes 0 to "),
        "{report:?}"
    );
    for path in segments(&kit.state_dir()) {
        std::fs::remove_file(path).unwrap();
    }
    let report = Consumer::verify_dir(kit.state_dir()).unwrap();
    assert!(report.damage[0].contains(".seg is gone"), "{report:?}");
    std::fs::write(kit.state_dir().join("CURRENT"), "grotto").unwrap();
    assert_eq!(
        Consumer::verify_dir(kit.state_dir()).unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    std::fs::remove_file(kit.state_dir().join("CURRENT")).unwrap();
    assert_eq!(
        Consumer::verify_dir(kit.state_dir()).unwrap_err().kind(),
        ErrorKind::Unavailable
    );
}
