//! What would be on the disk if the host lost its power: a folder as its system calls left it,
//! without what was never synced.
//!
//! Owns: which names and bytes are durable. Never: trusts a sync that failed, nor a later one of the
//! same file: the pages that could not be written are taken for clean then.

use super::strace::Call;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

type Names = BTreeMap<String, Node>;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    /// By its number.
    File(usize),
}

/// The bytes of a file.
#[derive(Debug, Default)]
struct Inode {
    /// Where they lay before the calls.
    before: Option<PathBuf>,
    writes: usize,
    /// Of these are on the disk.
    synced: usize,
    /// A sync failed.
    lost: bool,
}

#[derive(Debug, Default)]
struct Folder {
    now: Names,
    durable: Names,
    /// When the sync began that made them so.
    synced_at: usize,
    /// A sync failed.
    lost: bool,
}

/// A folder tree and the calls on it.
#[derive(Debug)]
pub(super) struct Disk {
    /// Everything outside is left alone.
    root: PathBuf,
    folders: BTreeMap<PathBuf, Folder>,
    inodes: Vec<Inode>,
}

/// What a sync that succeeds makes durable.
enum Sync {
    Folder(PathBuf, Names),
    File(usize, usize),
}

impl Disk {
    /// What lies below `root` before any call is on the disk; `copy` keeps it as it was.
    pub(super) fn new(root: &Path, copy: &Path) -> Self {
        let mut disk = Self {
            root: root.to_owned(),
            folders: BTreeMap::new(),
            inodes: Vec::new(),
        };
        disk.take_in(root, copy);
        disk
    }

    fn take_in(&mut self, folder: &Path, found_at: &Path) {
        let mut names = Names::new();
        for entry in std::fs::read_dir(found_at).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let node = if entry.path().is_dir() {
                self.take_in(&folder.join(&name), &entry.path());
                Node::Folder
            } else {
                let before = Some(entry.path());
                self.inodes.push(Inode {
                    before,
                    ..Inode::default()
                });
                Node::File(self.inodes.len() - 1)
            };
            names.insert(name, node);
        }
        let taken = Folder {
            now: names.clone(),
            durable: names,
            ..Folder::default()
        };
        self.folders.insert(folder.to_owned(), taken);
    }

    /// Replays the calls that ended before line `until` of the trace.
    pub(super) fn replay(&mut self, calls: &[Call], until: usize) {
        let mut events: Vec<(usize, bool, &Call)> = Vec::new();
        for call in calls {
            events.push((call.began, true, call));
            events.push((call.ended, false, call));
        }
        events.sort_by_key(|(line, begins, _)| (*line, !begins));
        let mut under_way: Vec<(u32, Sync)> = Vec::new();
        for (line, begins, call) in events {
            if line >= until {
                break;
            }
            if begins {
                self.begin(call, &mut under_way);
            } else {
                let at = under_way.iter().position(|(pid, _)| *pid == call.pid);
                match at.map(|at| under_way.remove(at).1) {
                    Some(sync) => self.end_sync(sync, call),
                    None if call.succeeded => self.end(call),
                    None => {}
                }
            }
        }
    }

    /// Bytes count as written when their call begins; a sync covers what was there at that moment.
    fn begin(&mut self, call: &Call, under_way: &mut Vec<(u32, Sync)>) {
        let Some(path) = call.paths().into_iter().next() else {
            return;
        };
        if call.is_of("fsync,fdatasync") {
            if let Some(folder) = self.folders.get(&path) {
                under_way.push((call.pid, Sync::Folder(path, folder.now.clone())));
            } else if let Some(Node::File(file)) = self.node(&path) {
                under_way.push((call.pid, Sync::File(file, self.inodes[file].writes)));
            }
        } else if call.is_of("write,pwrite64,ftruncate")
            && let Some(Node::File(file)) = self.node(&path)
        {
            self.inodes[file].writes += 1;
        }
    }

    fn end_sync(&mut self, sync: Sync, call: &Call) {
        match sync {
            Sync::File(file, writes) if call.succeeded => {
                let inode = &mut self.inodes[file];
                inode.synced = inode.synced.max(writes);
            }
            Sync::File(file, writes) => {
                let inode = &mut self.inodes[file];
                inode.lost |= writes > inode.synced;
            }
            Sync::Folder(path, names) if call.succeeded => {
                let folder = self.folders.get_mut(&path).unwrap();
                if folder.synced_at <= call.began && !folder.lost {
                    folder.durable = names;
                    folder.synced_at = call.began;
                }
            }
            Sync::Folder(path, names) => {
                let folder = self.folders.get_mut(&path).unwrap();
                folder.lost |= names != folder.durable;
            }
        }
    }

    fn end(&mut self, call: &Call) {
        let paths = call.paths();
        match (call.name.as_str(), paths.as_slice()) {
            ("mkdir" | "mkdirat", [path, ..]) => self.make_folder(path),
            ("openat", [path, ..])
                if call.args.contains("O_CREAT") && self.node(path).is_none() =>
            {
                self.inodes.push(Inode::default());
                self.name(path, Some(Node::File(self.inodes.len() - 1)));
            }
            ("link" | "linkat", [from, to]) => self.name(to, self.node(from)),
            ("rename" | "renameat" | "renameat2", [from, to]) => {
                self.name(to, self.node(from));
                self.name(from, None);
            }
            ("unlink" | "unlinkat", [path, ..]) => self.name(path, None),
            _ => {}
        }
    }

    fn make_folder(&mut self, path: &Path) {
        if path.starts_with(&self.root) {
            self.folders.insert(path.to_owned(), Folder::default());
            self.name(path, Some(Node::Folder));
        }
    }

    fn node(&self, path: &Path) -> Option<Node> {
        let (folder, name) = (path.parent()?, path.file_name()?.to_str()?);
        self.folders.get(folder)?.now.get(name).copied()
    }

    /// Gives a name to a node, or takes it away.
    fn name(&mut self, path: &Path, node: Option<Node>) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return;
        };
        let Some(folder) = self.folders.get_mut(parent) else {
            return;
        };
        let name = name.to_str().unwrap().to_owned();
        match node {
            Some(node) => folder.now.insert(name, node),
            None => folder.now.remove(&name),
        };
    }

    /// Writes what is durable to `target`.
    pub(super) fn restore(&self, target: &Path) {
        let mut bytes: BTreeMap<usize, PathBuf> = BTreeMap::new();
        for (path, folder) in &self.folders {
            for (name, node) in &folder.now {
                if let Node::File(file) = node {
                    bytes.insert(*file, path.join(name));
                }
            }
        }
        self.restore_folder(&self.root, target, &bytes);
    }

    fn restore_folder(&self, folder: &Path, target: &Path, bytes: &BTreeMap<usize, PathBuf>) {
        std::fs::create_dir_all(target).unwrap();
        for (name, node) in &self.folders[folder].durable {
            let (from, to) = (folder.join(name), target.join(name));
            match node {
                Node::Folder => self.restore_folder(&from, &to, bytes),
                Node::File(file) => self.restore_file(*file, &to, bytes),
            }
        }
    }

    fn restore_file(&self, file: usize, to: &Path, bytes: &BTreeMap<usize, PathBuf>) {
        let inode = &self.inodes[file];
        let whole = inode.synced == inode.writes && !inode.lost;
        let from = inode.before.as_ref().or_else(|| bytes.get(&file));
        match from.filter(|_| whole) {
            Some(from) => _ = std::fs::copy(from, to).unwrap(),
            // Torn, or removed since: a staged file or a probe.
            None => std::fs::write(to, b"").unwrap(),
        }
    }
}
