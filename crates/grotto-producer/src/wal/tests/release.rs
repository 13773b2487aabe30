//! Segments that are removed while they are read.

use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};

use grotto_env::{AppendFile, AppendFiles, ForgetfulFiles, Locked};
use parking_lot::Mutex;

use super::kit::{FOLDER, NONCE, schema, serial, small};
use crate::wal::Wal;

/// A disk on which somebody releases entries just before or behind a read.
#[derive(Debug)]
struct Meanwhile {
    files: ForgetfulFiles,
    plan: Mutex<Option<Plan>>,
}

#[derive(Debug)]
struct Plan {
    wal: Weak<Wal>,
    /// Reads that are left before.
    left: u32,
    is_before: bool,
    through: u64,
}

impl Meanwhile {
    fn run(&self, is_before: bool) {
        let due = {
            let mut plan = self.plan.lock();
            match plan.as_mut().filter(|plan| plan.is_before == is_before) {
                Some(plan) if plan.left > 0 => {
                    plan.left -= 1;
                    None
                }
                Some(_) => plan.take(),
                None => None,
            }
        };
        if let Some(plan) = due {
            plan.wal.upgrade().unwrap().release(plan.through).unwrap();
        }
    }
}

impl AppendFiles for Meanwhile {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.files.create_folder(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.files.list(folder)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        self.files.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        self.files.open(path)
    }

    fn read(&self, path: &Path, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        self.run(true);
        let read = self.files.read(path, offset, limit);
        self.run(false);
        read
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        self.files.length(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.files.sync_folder(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Locked> {
        self.files.lock(path)
    }
}

#[test]
fn a_read_that_is_overtaken_gives_what_is_left_without_a_gap() {
    for is_before in [true, false] {
        for left in 0..12 {
            for limit in [usize::MAX, 1500, 700] {
                let files = Arc::new(Meanwhile {
                    files: ForgetfulFiles::new(1),
                    plan: Mutex::default(),
                });
                let disk = Arc::clone(&files);
                let nonce = || NONCE.to_owned();
                let opened = Wal::open(disk, Path::new(FOLDER), &schema(), small(), nonce);
                let wal = Arc::new(opened.unwrap().0);
                for number in 1..=10 {
                    wal.append(&[serial(number, 600)]).unwrap();
                }
                *files.plan.lock() = Some(Plan {
                    wal: Arc::downgrade(&wal),
                    left,
                    is_before,
                    through: 5,
                });
                let read = wal.read(0, limit).unwrap();
                let numbers: Vec<u64> = read.iter().map(|read| read.number).collect();
                let (first, count) = (numbers[0], numbers.len() as u64);
                assert!([1, 6].contains(&first), "{numbers:?}");
                let expected: Vec<u64> = (first..first + count).collect();
                assert_eq!(numbers, expected, "{is_before} {left} {limit}");
                assert!(limit < usize::MAX || first + count == 11, "{numbers:?}");
            }
        }
    }
}
