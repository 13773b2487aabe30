//! A simulated disk for state directories: what a process, a host or somebody with a shell can do to it.
//!
//! Owns: the files of one host, and what a reboot takes away. Never: knows what a file is for.
//!
//! Nothing that a state directory writes is synced, on purpose: within a boot the page cache has it, and
//! after a boot every byte is verified. So a process that dies loses nothing that it wrote, and a host
//! that goes down may lose any of it.

mod mount;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

pub(crate) use mount::Mount;

use crate::dice::Dice;
use crate::fault::Fault;
use crate::sim::Sim;
use crate::store::flipped;

/// Changes of a folder in a thousand that nobody is told of.
const UNTOLD: u64 = 100;

/// The disk of one host.
#[derive(Debug)]
pub(crate) struct Disk {
    sim: Arc<Sim>,
    name: String,
    dice: Dice,
    files: Mutex<Files>,
    /// Told of files that get their names, by folder.
    told: Mutex<Vec<(PathBuf, Weak<Notify>)>>,
}

#[derive(Debug, Default)]
struct Files {
    all: BTreeMap<PathBuf, File>,
    folders: BTreeSet<PathBuf>,
    boot: u64,
    /// What makes files other files, whatever their names.
    numbers: u64,
    /// Locked files by their numbers, and the mounts of the processes that hold them.
    locked: BTreeMap<u64, u64>,
    mounts: u64,
    full_until: Duration,
    /// Whether writes and reads may fail.
    fails: bool,
}

#[derive(Clone, Debug)]
struct File {
    number: u64,
    /// Rises with every write to the disk.
    written: u64,
    /// Rises with every change of anything about it.
    changed: u64,
    bytes: Bytes,
    touched_ms: Option<u64>,
    /// Written in this boot, so that it may be in memory only.
    unsynced: bool,
}

impl Files {
    /// The mount of the process that holds the lock of a folder.
    fn holder(&self, folder: &Path) -> Option<u64> {
        let lock = self.all.get(&folder.join("LOCK"))?;
        self.locked.get(&lock.number).copied()
    }
}

impl Disk {
    pub(crate) fn new(sim: &Arc<Sim>, name: &str, dice: Dice) -> Arc<Self> {
        let files = Files {
            fails: true,
            ..Files::default()
        };
        Arc::new(Self {
            sim: Arc::clone(sim),
            name: name.to_owned(),
            dice,
            files: Mutex::new(files),
            told: Mutex::default(),
        })
    }

    /// The disk as a process sees it that starts now.
    pub(crate) fn mount(self: &Arc<Self>) -> Arc<Mount> {
        Mount::new(self)
    }

    /// Whether a process holds the lock of the folder that has the name now.
    pub(crate) fn is_locked_by(&self, mount: &Mount, folder: &Path) -> bool {
        self.files.lock().holder(folder) == Some(mount.id())
    }

    /// The host goes down: of what was written since it came up, anything may be lost, torn, or full of
    /// other bytes. Nobody may use the disk at that time.
    pub(crate) fn reboot(&self) {
        let mut files = self.files.lock();
        files.boot += 1;
        files.locked.clear();
        let paths: Vec<PathBuf> = files.all.keys().cloned().collect();
        let kind = self.dice.below(3);
        for path in paths {
            self.lose_some(&mut files, &path, kind);
        }
        self.sim.count(Fault::Reboot);
        self.note(&format!("reboot {}", files.boot));
    }

    fn lose_some(&self, files: &mut Files, path: &Path, kind: u64) {
        let Some(file) = files.all.get_mut(path).filter(|file| file.unsynced) else {
            return;
        };
        file.unsynced = false;
        // Some boots lose nothing, some a little, some a lot.
        if !self.dice.chance([0, 100, 600][kind as usize]) {
            return;
        }
        let length = file.bytes.len() as u64;
        let fault = match self.dice.below(3) {
            0 => Fault::LostFile,
            1 => {
                file.bytes = file.bytes.slice(..self.dice.below(length) as usize);
                Fault::TornFile
            }
            _ => {
                file.bytes = flipped(&file.bytes, self.dice.seed());
                Fault::DamagedFile
            }
        };
        if fault == Fault::LostFile {
            files.all.remove(path);
        }
        self.suffer(fault, path);
    }

    /// Somebody removes everything, while a process may use it.
    pub(crate) fn remove_all(&self) {
        let mut files = self.files.lock();
        files.all.clear();
        files.folders.clear();
        self.sim.count(Fault::RemovedDir);
        self.note("everything is removed");
    }

    /// Somebody alters a sealed file, in the boot in which it was written. Whoever has it mapped reads on
    /// what it was, which is less than what a real disk does: nothing wrong is ever to be served.
    pub(crate) fn alter(&self) {
        let mut files = self.files.lock();
        let is_sealed = |path: &&PathBuf| path.extension().is_some_and(|ending| ending == "seg");
        let sealed: Vec<PathBuf> = files.all.keys().filter(is_sealed).cloned().collect();
        if sealed.is_empty() {
            return;
        }
        let path = self.dice.pick(&sealed);
        files.numbers += 1;
        let now = files.numbers;
        if let Some(file) = files.all.get_mut(path) {
            file.bytes = flipped(&file.bytes, self.dice.seed());
            (file.written, file.changed) = (now, now);
        }
        drop(files);
        self.suffer(Fault::AlteredFile, path);
    }

    /// The disk is full for a while.
    pub(crate) fn fill(&self, time: Duration) {
        self.files.lock().full_until = self.sim.now() + time;
        self.note("is full");
    }

    /// No faults from now on.
    pub(crate) fn heal(&self) {
        let mut files = self.files.lock();
        (files.full_until, files.fails) = (Duration::ZERO, false);
    }

    /// Names of all files but those that are of no size to speak of.
    pub(crate) fn names(&self) -> BTreeSet<PathBuf> {
        let files = self.files.lock();
        let small = ["LOCK", "FRESH", "CURRENT"];
        let names = files.all.keys().filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_none_or(|name| !small.contains(&name))
        });
        names.cloned().collect()
    }

    /// Notified when a file of the folder gets its name.
    fn watch(&self, folder: &Path) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        let told = (folder.to_owned(), Arc::downgrade(&notify));
        self.told.lock().push(told);
        notify
    }

    /// Tells all who want to know of a change in a folder; some changes they are not told of, whether or
    /// not anything else fails.
    fn tell(&self, folder: &Path) {
        let mut told = self.told.lock();
        told.retain(|(_, notify)| notify.strong_count() > 0);
        let here = told.iter().filter(|(path, _)| path == folder);
        for notify in here.filter_map(|(_, notify)| notify.upgrade()) {
            if self.dice.chance(UNTOLD) {
                self.suffer(Fault::UntoldChange, folder);
            } else {
                notify.notify_one();
            }
        }
    }

    fn suffer(&self, fault: Fault, path: &Path) {
        self.sim.count(fault);
        self.note(&format!("{fault}: {}", path.display()));
    }

    /// All files.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.files.lock().all.keys().cloned().collect()
    }

    fn note(&self, what: &str) {
        self.sim.note(&self.name, format_args!("disk: {what}"));
    }
}
