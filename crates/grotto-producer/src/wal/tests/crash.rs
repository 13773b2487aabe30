//! One fault at each operation of a use that meets everything a log does.

use grotto_env::{FileOperation, ForgetfulFiles};

use super::kit::{entry, numbers, open, small};
use super::model::Model;

/// Groups of several entries, full segments, releases, and a new start in the middle.
fn use_all(model: &mut Model) {
    if !model.open() {
        return;
    }
    for round in 0..6 {
        model.append(&[100, 8, 50]);
        model.append(&[300]);
        if round % 2 == 1 {
            model.release(round * 3);
        }
        model.check(false);
    }
    model.wal = None;
    if model.files.is_dead() {
        return;
    }
    if model.open() {
        model.check(true);
        model.append(&[20]);
        model.append(&[600, 600]);
        model.release(12);
        model.append(&[20]);
        model.check(false);
    }
}

fn operations() -> u64 {
    let files = ForgetfulFiles::new(0);
    let mut model = Model::new(files.clone(), small());
    use_all(&mut model);
    let operations = files.operations();
    assert!(operations > 100, "{operations}");
    operations
}

#[test]
fn a_process_that_dies_in_any_operation_loses_nothing_acknowledged() {
    for operation in 1..=operations() {
        for seed in 0..12 {
            let files = ForgetfulFiles::new(seed);
            files.die_at(operation);
            let mut model = Model::new(files.clone(), small());
            use_all(&mut model);
            assert!(files.is_dead(), "operation {operation}");
            model.wal = None;
            if seed % 4 == 0 {
                files.restart();
            } else {
                files.reboot();
            }
            model.recover();
            model.append(&[40]);
            model.wal = None;
            files.reboot();
            model.recover();
        }
    }
}

#[test]
fn any_operation_may_fail_once() {
    for operation in 1..=operations() {
        for seed in 0..12 {
            let files = ForgetfulFiles::new(seed);
            files.fail_at(operation);
            let mut model = Model::new(files.clone(), small());
            use_all(&mut model);
            model.wal = None;
            if seed % 4 == 0 {
                files.restart();
            } else {
                files.reboot();
            }
            model.recover();
            model.append(&[40]);
            model.append(&[40]);
            model.check(false);
            model.wal = None;
            files.reboot();
            model.recover();
        }
    }
}

/// The sync of its last group failed, so that it can be read until the host goes down.
fn doubtful_log(seed: u64) -> ForgetfulFiles {
    let files = ForgetfulFiles::new(seed);
    let (wal, _) = open(&files, small()).unwrap();
    wal.append(&[entry(None, 1, 400)]).unwrap();
    wal.append(&[entry(None, 2, 700)]).unwrap();
    files.fail_next(FileOperation::Sync, 1);
    wal.append(&[entry(None, 3, 700)]).unwrap_err();
    drop(wal);
    files.restart();
    files
}

#[test]
fn what_was_read_once_is_there_although_processes_died_while_they_opened_the_log() {
    let files = doubtful_log(0);
    let before = files.operations();
    open(&files, small()).unwrap();
    let operations = files.operations() - before;
    assert!(operations > 10, "{operations}");
    for operation in 1..=operations {
        for seed in 0..40 {
            let files = doubtful_log(seed);
            files.die_at(files.operations() + operation);
            drop(open(&files, small()));
            files.restart();
            let (wal, _) = open(&files, small()).unwrap();
            let seen = numbers(&wal);
            drop(wal);
            files.reboot();
            let (wal, _) = open(&files, small()).unwrap();
            assert_eq!(numbers(&wal), seen, "operation {operation}, seed {seed}");
        }
    }
}
