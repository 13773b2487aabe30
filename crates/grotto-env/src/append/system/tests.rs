//! What the files of this host do, and what they refuse.
#![cfg(unix)]

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_file_grows_at_its_end_and_is_read_from_any_place() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, path) = (dir.path().join("a/b"), dir.path().join("a/b/file"));
    SystemFiles.create_folder(&folder).unwrap();
    SystemFiles.create_folder(&folder).unwrap();
    let mut file = SystemFiles.create(&path).unwrap();
    file.append(b"123").unwrap();
    file.append(b"456").unwrap();
    file.sync().unwrap();
    SystemFiles.sync_folder(&folder).unwrap();
    file.truncate(4).unwrap();
    let mut again = SystemFiles.open(&path).unwrap();
    again.append(b"x").unwrap();
    file.append(b"y").unwrap();
    let read = |offset, limit| SystemFiles.read(&path, offset, limit).unwrap();
    assert_eq!(read(0, usize::MAX), b"1234xy");
    assert_eq!(
        (read(2, 3), read(5, 9), read(7, 9)),
        (b"34x".to_vec(), b"y".to_vec(), vec![])
    );
    assert_eq!(SystemFiles.length(&path).unwrap(), 6);
    let other = folder.join("other");
    SystemFiles.rename(&path, &other).unwrap();
    assert_eq!(SystemFiles.list(&folder).unwrap(), ["other"]);
    SystemFiles.remove(&other).unwrap();
    assert_eq!(SystemFiles.list(&folder).unwrap(), [""; 0]);
    let gone = SystemFiles.read(&path, 0, 1).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

#[test]
fn folders_and_files_are_for_their_owner_alone_and_nothing_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, path) = (dir.path().join("a/b"), dir.path().join("a/b/file"));
    SystemFiles.create_folder(&folder).unwrap();
    drop(SystemFiles.create(&path).unwrap());
    assert_eq!((mode(&dir.path().join("a")), mode(&folder)), (0o700, 0o700));
    assert_eq!(mode(&path), 0o600);
    let there = SystemFiles.create(&path).unwrap_err();
    assert_eq!(there.kind(), ErrorKind::AlreadyExists);
}

#[test]
fn links_and_folders_in_place_of_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (target, link) = (dir.path().join("target"), dir.path().join("link"));
    std::fs::write(&target, b"precious").unwrap();
    symlink(&target, &link).unwrap();
    let inner = dir.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    for path in [&link, &inner] {
        assert!(SystemFiles.create(path).is_err());
        assert!(SystemFiles.open(path).is_err());
        assert!(SystemFiles.lock(path).is_err());
        assert!(SystemFiles.length(path).is_err());
    }
    assert!(SystemFiles.read(&link, 0, 9).is_err());
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
    assert_eq!(SystemFiles.list(dir.path()).unwrap(), ["target"]);
}

#[test]
fn a_folder_that_others_may_write_to_is_refused_and_so_is_a_link_to_one() {
    let dir = tempfile::tempdir().unwrap();
    let (open, link) = (dir.path().join("open"), dir.path().join("link"));
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o770)).unwrap();
    symlink(dir.path(), &link).unwrap();
    let refused = SystemFiles.create_folder(&open).unwrap_err();
    assert!(refused.to_string().contains("(mode 0770)"), "{refused}");
    let refused = SystemFiles.create_folder(&link).unwrap_err();
    assert!(
        refused.to_string().contains("is a symbolic link"),
        "{refused}"
    );
}

#[test]
fn a_lock_is_held_until_it_is_dropped_and_says_by_whom() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("LOCK");
    let Locked::Ours(lock) = SystemFiles.lock(&path).unwrap() else {
        panic!("somebody has it");
    };
    let Locked::Theirs(who) = SystemFiles.lock(&path).unwrap() else {
        panic!("two have it");
    };
    assert_eq!(who, format!("process {}", std::process::id()));
    assert!(lock.is_named().unwrap());
    std::fs::rename(&path, dir.path().join("moved")).unwrap();
    assert!(!lock.is_named().unwrap());
    std::fs::write(&path, b"").unwrap();
    assert!(!lock.is_named().unwrap());
    drop(lock);
    assert!(matches!(SystemFiles.lock(&path).unwrap(), Locked::Ours(_)));
}
