//! A write-ahead log on the simulated disk, with everything that happens to a host.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use grotto_format::Schema;
use grotto_producer::ErrorKind;
use grotto_producer::wal::{Wal, WalEntry, WalOptions};

use crate::dice::Dice;
use crate::disk::{Disk, Mount};
use crate::fault::Fault;
use crate::sim::Sim;

const FOLDER: &str = "/logs/places";

fn entry(serial: u64) -> Arc<WalEntry> {
    Arc::new(WalEntry {
        key: Some(serial.to_string()),
        atomic: false,
        source: "x".repeat(serial as usize % 300),
        positions: BTreeMap::new(),
        time_ms: serial,
        changes: Vec::new(),
    })
}

fn open(mount: &Arc<Mount>) -> Option<Wal> {
    let schema = Schema::parse("Place @PrimaryKey(id) { long id; }").unwrap();
    let options = WalOptions {
        segment_bytes: 2000,
        ..WalOptions::default()
    };
    let files = Arc::clone(mount);
    let opened = Wal::open(files, Path::new(FOLDER), &schema, options, || {
        "0123456789abcdef0123456789abcdef".to_owned()
    });
    match opened {
        Ok((wal, _)) => Some(wal),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
            None
        }
    }
}

/// What was acknowledged is there, in order; what else is there becomes known.
fn compare(wal: &Wal, known: &mut BTreeMap<u64, u64>, released: u64) {
    let read = wal.read(0, usize::MAX).unwrap();
    let found: BTreeMap<u64, u64> = read.iter().map(|r| (r.number, r.entry.time_ms)).collect();
    for (number, serial) in known.range(released + 1..) {
        assert_eq!(found.get(number), Some(serial), "entry {number}");
    }
    for (number, serial) in found {
        assert_eq!(*known.entry(number).or_insert(serial), serial);
    }
}

async fn run(seed: u64) -> crate::fault::Tally {
    let (sim, dice) = (Sim::new(false, false), Dice::new(seed));
    let disk = Disk::new(&sim, "host", dice.split());
    let (mut known, mut released, mut serial) = (BTreeMap::new(), 0, 0);
    for _ in 0..8 {
        let mount = disk.mount();
        if dice.chance(500) {
            mount.die_in(1 + dice.below(150));
        }
        let wal = open(&mount);
        for _ in 0..40 {
            let Some(wal) = wal.as_ref().filter(|_| !mount.is_dead()) else {
                break;
            };
            if dice.chance(50) {
                disk.fill(dice.millis(10..200));
            }
            serial += 1;
            if let Ok(numbers) = wal.append(&[entry(serial)]) {
                assert_eq!(known.insert(*numbers.start(), serial), None, "used twice");
            }
            if dice.chance(100) {
                released = released.max(dice.below(wal.last() + 1));
                // One that fails is gone on with by the next.
                let _ = wal.release(released);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        mount.die();
        drop(wal);
        if dice.chance(500) {
            disk.reboot();
        }
        // Somebody looks at it without any faults.
        let fresh = disk.mount();
        disk.heal();
        compare(&open(&fresh).unwrap(), &mut known, released);
        fresh.die();
        disk.files.lock().fails = true;
    }
    assert!(known.len() > 50, "{}", known.len());
    let (violations, tally, ..) = sim.results();
    assert!(violations.is_empty(), "{violations:?}");
    tally
}

#[tokio::test(start_paused = true)]
async fn a_log_keeps_what_was_acknowledged_through_faults_deaths_and_reboots() {
    let mut tally = crate::fault::Tally::default();
    for seed in 0..150 {
        tally.add(&run(seed).await);
    }
    for (fault, times) in tally.all() {
        let expected = [
            Fault::FailedFile,
            Fault::FullDisk,
            Fault::TornFile,
            Fault::Reboot,
        ];
        assert!(times > 0 || !expected.contains(&fault), "never: {fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_leaves_its_lock_and_a_second_one_is_refused_before() {
    let sim = Sim::new(false, false);
    let disk = Disk::new(&sim, "host", Dice::new(1));
    disk.heal();
    let (first, second) = (disk.mount(), disk.mount());
    let wal = open(&first).unwrap();
    let schema = Schema::parse("Place { long id; }").unwrap();
    let busy = Wal::open(
        Arc::clone(&second) as Arc<dyn grotto_env::AppendFiles>,
        Path::new(FOLDER),
        &schema,
        WalOptions::default(),
        String::new,
    );
    assert_eq!(busy.unwrap_err().kind(), ErrorKind::Busy);
    first.die();
    let next = open(&second).unwrap();
    assert!(wal.append(&[entry(1)]).is_err(), "a dead process writes");
    next.append(&[entry(2)]).unwrap();
    drop(wal);
    let third = Wal::open(
        disk.mount(),
        Path::new(FOLDER),
        &schema,
        WalOptions::default(),
        String::new,
    );
    let busy = third.unwrap_err();
    assert_eq!(
        busy.kind(),
        ErrorKind::Busy,
        "the lock went with the dead process"
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_writes_where_another_process_has_the_lock_is_seen() {
    let sim = Sim::new(false, false);
    let disk = Disk::new(&sim, "host", Dice::new(1));
    disk.heal();
    let (first, second) = (disk.mount(), disk.mount());
    let _wal = open(&first).unwrap();
    let rogue: &dyn grotto_env::AppendFiles = &*second;
    rogue.create(&Path::new(FOLDER).join("x")).unwrap();
    let (violations, ..) = sim.results();
    assert_eq!(violations.len(), 1, "{violations:?}");
}
