//! Folders that somebody else prepared: links, pipes, other owners, folders that are exchanged.

use super::*;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, UNIX_EPOCH};

const SECRET: &str = "what nobody may write over";
const NOBODY: u32 = 65_534;

/// A file that the state directory must leave as it is.
struct Victim {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Victim {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("victim");
        std::fs::write(&path, SECRET).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1))
            .unwrap();
        Self {
            _folder: folder,
            path,
        }
    }

    #[track_caller]
    fn check(&self, what: &str) {
        assert_eq!(
            std::fs::read_to_string(&self.path).unwrap(),
            SECRET,
            "{what}"
        );
        assert_eq!(std::fs::metadata(&self.path).unwrap().mtime(), 1, "{what}");
    }
}

/// Makes a name stand for another file.
type Plant = fn(&Path, &Path) -> std::io::Result<()>;
const PLANTS: [(&str, Plant); 2] = [
    ("symbolic link", |victim, name| symlink(victim, name)),
    ("hard link", |victim, name| std::fs::hard_link(victim, name)),
];

fn error_of(path: &Path) -> Error {
    StateDir::open(Arc::new(HostFiles::default()), path, DATASET).unwrap_err()
}

/// Whether files can be given to other users; says aloud what is not tested where they cannot.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        // Not by a macro: those are silenced in tests that pass.
        let mut err = std::io::stderr().lock();
        writeln!(
            err,
            "WARNING: SKIPPED: nothing is owned by another user, as this is not root"
        )
        .unwrap();
    }
    root
}

#[test]
fn a_planted_lock_is_refused_and_what_it_leads_to_is_left_alone() {
    for (what, plant) in PLANTS {
        let (dir, victim) = (tempfile::tempdir().unwrap(), Victim::new());
        plant(&victim.path, &dir.path().join("LOCK")).unwrap();
        let error = error_of(dir.path());
        victim.check(what);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.message().contains("LOCK"), "{error}");
    }
}

#[test]
fn planted_names_of_files_that_are_written_lead_nowhere() {
    let names = [
        "CURRENT",
        "CURRENT.tmp",
        "FRESH",
        "segments/00000000000000000001.seg",
        "segments/00000000000000000001.seg.tmp",
        "segments/00000000000000000002.seg.tmp",
        "roots/00000000000000000001.root",
        "roots/00000000000000000001.root.tmp",
    ];
    for name in names {
        for (what, plant) in PLANTS {
            let (dir, victim) = (tempfile::tempdir().unwrap(), Victim::new());
            let plant_it = || {
                let path = dir.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                // What is there already is not in the way of whoever plants.
                let _ = std::fs::remove_file(&path);
                plant(&victim.path, &path).unwrap();
            };
            plant_it();
            let (mut opened, _) = open(dir.path(), "boot");
            victim.check(name);
            plant_it();
            let delta = Source::new().delta(300, 1);
            let state = State::empty(SEED).apply(&delta, &mut opened).unwrap().0;
            opened.publish(&state, "id").unwrap();
            opened.note_fresh(Duration::from_secs(9), 1_700_000_000_000);
            victim.check(&format!("{what} {name}"));
            drop(opened);
            let found = open(dir.path(), "boot").1;
            victim.check(&format!("{what} {name}"));
            assert_eq!(found.unwrap().state.version(), 1, "{what} {name}");
        }
    }
}

#[test]
fn folders_that_are_links_are_refused() {
    for name in ["", "segments", "roots"] {
        let parent = tempfile::tempdir().unwrap();
        let (dir, elsewhere) = (parent.path().join("state"), parent.path().join("elsewhere"));
        std::fs::create_dir(&elsewhere).unwrap();
        if !name.is_empty() {
            std::fs::create_dir(&dir).unwrap();
        }
        let link = dir
            .components()
            .chain(Path::new(name).components())
            .collect::<PathBuf>();
        symlink(&elsewhere, &link).unwrap();
        let error = error_of(&dir);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.message().contains("is a symbolic link"), "{error}");
        assert_eq!(names(&elsewhere), [""; 0]);
        // Nor is it read.
        let error = Consumer::attach(&dir).unwrap_err();
        assert_eq!(
            error.kind(),
            if name.is_empty() {
                ErrorKind::Invalid
            } else {
                ErrorKind::Unavailable
            }
        );
    }
}

#[test]
fn a_folder_that_others_may_write_to_is_neither_written_nor_read() {
    for mode in [0o770, 0o702, 0o1777] {
        for name in ["", "segments", "roots"] {
            let dir = tempfile::tempdir().unwrap();
            filled(dir.path(), 1, "boot");
            // Without the slash of an empty name.
            let folder: PathBuf = dir.path().join(name).components().collect();
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
            for error in [
                error_of(dir.path()),
                Consumer::attach(dir.path()).unwrap_err(),
            ] {
                let said = error.message().to_owned();
                assert_eq!(error.kind(), ErrorKind::Invalid, "{said}");
                assert!(said.contains(&format!("mode {mode:04o}")), "{said}");
                assert!(said.contains(&folder.display().to_string()), "{said}");
            }
        }
    }
}

#[test]
fn a_folder_of_another_user_is_read_and_not_written() {
    if !is_root() {
        return;
    }
    for name in ["", "segments", "roots"] {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path(), 1, "boot");
        std::os::unix::fs::chown(dir.path().join(name), Some(NOBODY), None).unwrap();
        let before = names(dir.path());
        let error = error_of(dir.path());
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.message().contains("user 65534 owns"), "{error}");
        assert_eq!(names(dir.path()), before);
        assert_eq!(Consumer::attach(dir.path()).unwrap().version(), 1);
    }
}

/// `CURRENT`, a root and a segment of a directory that holds one version.
fn read_files(dir: &Path) -> [PathBuf; 3] {
    let only = |name| only_file(&dir.join(name));
    [dir.join("CURRENT"), only("roots"), only("segments")]
}

#[track_caller]
fn check_not_believed(at: usize, open_up: impl FnOnce(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 1, "boot");
    let path = &read_files(dir.path())[at];
    open_up(path);
    let error = Consumer::attach(dir.path()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.message().contains("expected a plain file"), "{error}");
    assert!(open(dir.path(), "boot").1.is_none(), "{path:?}");
    assert!(!path.exists());
}

#[test]
fn a_file_that_others_may_write_to_is_not_believed() {
    for mode in [0o620, 0o602, 0o666] {
        for at in 0..3 {
            check_not_believed(at, |path| {
                let mode = std::fs::Permissions::from_mode(mode);
                std::fs::set_permissions(path, mode).unwrap();
            });
        }
    }
}

#[test]
fn a_file_of_another_user_is_not_believed() {
    for at in (0..3).filter(|_| is_root()) {
        check_not_believed(at, |path| {
            std::os::unix::fs::chown(path, Some(NOBODY), None).unwrap();
        });
    }
}

#[test]
fn a_lock_of_another_user_is_refused() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join("LOCK");
    std::fs::write(&lock, SECRET).unwrap();
    std::os::unix::fs::chown(&lock, Some(NOBODY), None).unwrap();
    let error = error_of(dir.path());
    assert!(
        error.message().contains("LOCK is owned by user 65534"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&lock).unwrap(), SECRET);
}

#[test]
fn pipes_in_place_of_files_hold_nobody_up() {
    let pipe = |path: &Path| {
        let _ = std::fs::remove_file(path);
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
    };
    for name in ["CURRENT", "FRESH", "LOCK", "segments", "roots"] {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path(), 1, "boot");
        let path = dir.path().join(name);
        pipe(&if path.is_dir() {
            only_file(&path)
        } else {
            path
        });
        let attached = Consumer::attach(dir.path());
        let reads = name == "FRESH" || name == "LOCK";
        assert_eq!(attached.is_ok(), reads, "{name}");
        let opened = StateDir::open(Arc::new(HostFiles::default()), dir.path(), DATASET);
        match name {
            "LOCK" => assert!(
                opened
                    .unwrap_err()
                    .message()
                    .contains("LOCK is no plain file")
            ),
            _ => assert_eq!(opened.unwrap().1.is_some(), reads, "{name}"),
        }
    }
}

#[test]
fn a_folder_that_is_exchanged_for_a_link_gets_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let (path, away) = (parent.path().join("state"), parent.path().join("away"));
    let other = parent.path().join("other");
    filled(&other, 2, "boot");
    let (mut first, _) = open(&path, "boot");
    let delta = Source::new().delta(300, 1);
    std::fs::rename(&path, &away).unwrap();
    symlink(&other, &path).unwrap();
    let before = (
        names(&other),
        names(&other.join("segments")),
        names(&other.join("roots")),
    );
    // As if it had been exchanged just after the lock was looked at.
    let system = Arc::clone(&first.system);
    files::write_whole(&*system, &path.join("CURRENT"), b"x").unwrap();
    files::write_whole(&*system, &path.join("segments/x.seg"), b"x").unwrap();
    system.touch(&path.join("FRESH"), 1).unwrap();
    assert!(
        system
            .remove(&path.join("roots/00000000000000000002.root"))
            .is_err()
    );
    assert!(State::empty(SEED).apply(&delta, &mut first).is_err());
    assert!(first.keep_hold().is_err());
    assert_eq!(
        before,
        (
            names(&other),
            names(&other.join("segments")),
            names(&other.join("roots"))
        )
    );
    assert!(away.join("segments/x.seg").exists());
}

/// Modes and group of all that a directory holds, the lock apart.
fn modes(dir: &Path) -> BTreeSet<(bool, u32, u32)> {
    let of = |path: PathBuf| {
        let found = std::fs::metadata(&path).unwrap();
        (path.is_dir(), found.mode() & 0o7777, found.gid())
    };
    let below = |folder: &Path| HostFiles::default().list(folder).unwrap();
    let mut all = below(dir);
    all.extend(
        ["segments", "roots"]
            .iter()
            .flat_map(|name| below(&dir.join(name))),
    );
    all.push(dir.to_owned());
    all.into_iter().map(of).collect()
}

#[test]
fn mode_and_group_hold_for_all_files_and_also_for_those_that_were_there() {
    let group = if is_root() {
        NOBODY
    } else {
        rustix::process::getegid().as_raw()
    };
    let (parent, own) = (
        tempfile::tempdir().unwrap(),
        rustix::process::getegid().as_raw(),
    );
    let path = parent.path().join("state");
    let fill = |access: Access| {
        let system = Arc::new(HostFiles::with_access(access));
        let boot = Some("boot".to_owned());
        let (mut opened, found) = StateDir::open_in_boot(system, &path, DATASET, boot).unwrap();
        opened.note_fresh(Duration::ZERO, 1);
        if found.is_none() {
            let delta = Source::new().delta(300, 1);
            let state = State::empty(SEED).apply(&delta, &mut opened).unwrap().0;
            opened.publish(&state, "id").unwrap();
        }
        modes(&path)
    };
    let all = |folder, file, group| [(false, file, group), (true, folder, group)].into();
    assert_eq!(fill(Access::default()), all(0o700, 0o600, own));
    let shared = Access {
        mode: None,
        group: Some(group),
    }
    .completed();
    assert_eq!(fill(shared), all(0o750, 0o640, group));
    // What is not asked for stays as somebody set it.
    assert_eq!(fill(Access::default()), all(0o750, 0o640, group));
    let closed = Access {
        mode: Some(0o700),
        group: None,
    };
    let modes: BTreeSet<u32> = fill(closed).into_iter().map(|(_, mode, _)| mode).collect();
    assert_eq!(modes, [0o600, 0o700].into());
}
