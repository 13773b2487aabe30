//! Files that are not the ones that were sealed, in the same boot and after it.

use super::*;
use grotto_env::{FileMark, Locked, Mapped};
use std::io;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;

/// A segment, whose time is past: what changes a file at the time that it has already goes unnoticed
/// where times are coarse.
fn segment(dir: &Path) -> PathBuf {
    past(only_file(&dir.join("segments")))
}

fn past(path: PathBuf) -> PathBuf {
    let changed = |path: &Path| HostFiles::default().mark(path).unwrap().unwrap().changed_ns;
    let probe = tempfile::tempdir_in(path.parent().unwrap()).unwrap();
    let probe = probe.path().join("probe");
    loop {
        std::fs::write(&probe, b"x").unwrap();
        if changed(&probe) > changed(&path) {
            return path;
        }
    }
}

fn root(dir: &Path) -> Vec<String> {
    names(&dir.join("roots"))
}

/// Alters a byte in place and has the time of the file say that nothing was written.
fn alter_and_set_time(path: &Path) {
    let mut file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let before = file.metadata().unwrap().modified().unwrap();
    file.seek(SeekFrom::Start(100)).unwrap();
    let mut byte = [0];
    std::io::Read::read_exact(&mut file, &mut byte).unwrap();
    file.seek(SeekFrom::Start(100)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
    file.set_modified(before).unwrap();
    assert_eq!(file.metadata().unwrap().modified().unwrap(), before);
}

/// Puts another file with other bytes in its place.
fn replace_with(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    let other = path.with_extension("other");
    std::fs::write(&other, bytes).unwrap();
    std::fs::rename(&other, path).unwrap();
}

const DAMAGES: [(&str, Damage); 4] = [
    ("a byte is altered", |path| flip(path)),
    ("a byte is altered, and the time set back", |path| {
        alter_and_set_time(path)
    }),
    ("it is full of zeros", |path| {
        let length = std::fs::read(path).unwrap().len();
        std::fs::write(path, vec![0; length]).unwrap();
    }),
    ("another file is in its place", |path| {
        replace_with(path, |bytes| bytes[200] ^= 1)
    }),
];

/// What leaves the bytes right.
const CHANGES: [(&str, Damage); 4] = [
    ("a copy is in its place", |path| replace_with(path, |_| ())),
    ("its mode is set", |path| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    }),
    ("its time is set", |path| {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }),
    ("it has another name elsewhere", |path| {
        std::fs::hard_link(path, path.with_extension("link")).unwrap();
    }),
];

#[test]
fn within_a_boot_a_damaged_file_discards_the_state() {
    for (what, damage) in DAMAGES {
        let dir = tempfile::tempdir().unwrap();
        // Attached readers ask for the boot themselves.
        let boot = HostFiles::default().boot().unwrap();
        filled(dir.path(), 1, &boot);
        damage(&segment(dir.path()));
        let error = Consumer::attach(dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
        assert!(
            error
                .message()
                .contains("00001.seg: the file was altered: bytes 0 to "),
            "{error}"
        );
        assert!(open(dir.path(), &boot).1.is_none(), "{what}");
        assert_eq!(root(dir.path()), [""; 0], "{what}");
    }
}

#[test]
fn within_a_boot_a_file_that_is_another_one_with_the_right_bytes_is_served_and_noted() {
    for (what, change) in CHANGES {
        let dir = tempfile::tempdir().unwrap();
        // Attached readers ask for the boot themselves.
        let boot = HostFiles::default().boot().unwrap();
        filled(dir.path(), 1, &boot);
        change(&segment(dir.path()));
        assert_eq!(Consumer::attach(dir.path()).unwrap().version(), 1, "{what}");
        assert!(open(dir.path(), &boot).1.is_some(), "{what}");
        let noted = root(dir.path());
        assert_eq!(
            noted,
            ["00000000000000000001.root", "00000000000000000002.root"],
            "{what}"
        );
        // Nothing is left to be noted.
        assert!(open(dir.path(), &boot).1.is_some(), "{what}");
        assert_eq!(root(dir.path()), noted[1..], "{what}");
    }
}

#[test]
fn a_copied_directory_is_served() {
    let (dir, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(dir.path(), 2, "boot");
    let copy = parent.path().join("copy");
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg(dir.path())
        .arg(&copy)
        .status();
    assert!(status.unwrap().success());
    assert_eq!(open(&copy, "boot").1.unwrap().state.version(), 2);
    assert_eq!(open(dir.path(), "boot").1.unwrap().state.version(), 2);
}

#[test]
fn after_a_reboot_a_flipped_byte_discards_the_state() {
    let dir = tempfile::tempdir().unwrap();
    let system = Arc::new(Same);
    filled_in(&system, dir.path());
    flip(&segment(dir.path()));
    assert!(reopen(&system, dir.path(), Some("next boot")).is_none());
    assert!(names(&dir.path().join("segments")).is_empty());
    assert!(names(&dir.path().join("roots")).is_empty());
}

#[test]
fn within_a_boot_bytes_of_files_that_are_the_same_are_not_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let system = Arc::new(Same);
    filled_in(&system, dir.path());
    flip(&segment(dir.path()));
    assert!(reopen(&system, dir.path(), Some("boot")).is_some());
}

#[test]
fn after_a_reboot_intact_bytes_are_verified_once() {
    let dir = tempfile::tempdir().unwrap();
    let system = Arc::new(Same);
    filled_in(&system, dir.path());
    assert!(reopen(&system, dir.path(), Some("next boot")).is_some());
    // The root now vouches for this boot: nobody looks again, as the flipped byte shows.
    flip(&segment(dir.path()));
    assert!(reopen(&system, dir.path(), Some("next boot")).is_some());
    assert!(reopen(&system, dir.path(), Some("third boot")).is_none());
}

#[test]
fn where_boots_cannot_be_told_apart_every_start_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let system = Arc::new(Same);
    filled_in(&system, dir.path());
    assert!(reopen(&system, dir.path(), None).is_some());
    flip(&segment(dir.path()));
    assert!(reopen(&system, dir.path(), None).is_none());
}

#[test]
fn a_file_that_is_damaged_while_it_is_written_to_is_found_before_anything_is_built_on_it() {
    for (what, damage) in DAMAGES {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path(), 2, "boot");
        let (mut opened, found) = open(dir.path(), "boot");
        let served = found.unwrap().state;
        let check = |opened: &mut StateDir| opened.check_files(&served).unwrap();
        assert!(matches!(check(&mut opened), Soundness::Same));
        let used = served.segments().next().unwrap().name();
        damage(&past(opened.paths.segment(used)));
        let Soundness::Damaged(error) = check(&mut opened) else {
            panic!("{what} is not seen");
        };
        assert!(
            error
                .message()
                .contains("the file was altered: bytes 0 to "),
            "{error}"
        );
        opened.discard();
        assert_eq!(names(dir.path()), ["LOCK", "roots", "segments"]);
        assert_eq!(
            (
                names(&dir.path().join("segments")).len(),
                root(dir.path()).len()
            ),
            (0, 0)
        );
        assert!(matches!(check(&mut opened), Soundness::Same));
    }
}

#[test]
fn a_good_copy_in_place_of_a_damaged_file_does_not_hide_that_the_damaged_one_is_served() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 1, "boot");
    let (mut opened, found) = open(dir.path(), "boot");
    let served = found.unwrap().state;
    let (path, copy) = (segment(dir.path()), dir.path().join("copy"));
    std::fs::copy(&path, &copy).unwrap();
    alter_and_set_time(&path);
    std::fs::rename(&copy, &path).unwrap();
    let checked = opened.check_files(&served).unwrap();
    assert!(matches!(checked, Soundness::Damaged(_)));
}

#[test]
fn a_file_that_is_another_one_with_the_right_bytes_is_noted_while_it_is_written_to() {
    for (what, change) in CHANGES {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path(), 1, "boot");
        let (mut opened, found) = open(dir.path(), "boot");
        let served = found.unwrap().state;
        change(&segment(dir.path()));
        assert!(
            matches!(opened.check_files(&served).unwrap(), Soundness::Renewed),
            "{what}"
        );
        assert!(
            matches!(opened.check_files(&served).unwrap(), Soundness::Same),
            "{what}"
        );
    }
}

/// The host's files, which all look the same however often they are changed.
#[derive(Debug, Default)]
struct Same;

fn filled_in(system: &Arc<Same>, path: &Path) {
    let system = Arc::clone(system) as Arc<dyn FileSystem>;
    let boot = Some("boot".to_owned());
    let (mut dir, _) = StateDir::open_in_boot(system, path, DATASET, boot).unwrap();
    let state = State::empty(SEED)
        .apply(&Source::new().delta(300, 0), &mut dir)
        .unwrap()
        .0;
    dir.publish(&state, "id").unwrap();
}

fn reopen(system: &Arc<Same>, path: &Path, boot: Option<&str>) -> Option<Found> {
    let system = Arc::clone(system) as Arc<dyn FileSystem>;
    StateDir::open_in_boot(system, path, DATASET, boot.map(str::to_owned))
        .unwrap()
        .1
}

fn same(mark: FileMark) -> FileMark {
    FileMark {
        number: 1,
        written_ns: 1,
        changed_ns: 1,
        length: mark.length,
    }
}

impl FileSystem for Same {
    fn boot(&self) -> Option<String> {
        None
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        HostFiles::default().create_folder(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        HostFiles::default().list(folder)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        HostFiles::default().read(path, limit)
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        let mapped = HostFiles::default().map(path)?;
        Ok(Mapped {
            mark: same(mapped.mark),
            ..mapped
        })
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        HostFiles::default().write(path, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        HostFiles::default().rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        HostFiles::default().remove(path)
    }

    fn touch(&self, path: &Path, wall_ms: u64) -> io::Result<()> {
        HostFiles::default().touch(path, wall_ms)
    }

    fn touched(&self, path: &Path) -> Option<u64> {
        HostFiles::default().touched(path)
    }

    fn mark(&self, path: &Path) -> io::Result<Option<FileMark>> {
        Ok(HostFiles::default().mark(path)?.map(same))
    }

    fn lock(&self, path: &Path) -> io::Result<Locked> {
        HostFiles::default().lock(path)
    }
}
