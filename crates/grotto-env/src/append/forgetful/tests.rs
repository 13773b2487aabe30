//! The disk forgets what it should, and nothing else.

use super::*;

const FOLDER: &str = "/log";

fn file(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

fn all(files: &ForgetfulFiles, name: &str) -> Option<Vec<u8>> {
    files.read(&file(name), 0, usize::MAX).ok()
}

fn disk(seed: u64) -> ForgetfulFiles {
    let files = ForgetfulFiles::new(seed);
    files.create_folder(Path::new(FOLDER)).unwrap();
    files
}

#[test]
fn what_is_synced_stays_and_a_part_of_the_rest_goes() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let files = disk(seed);
        let mut a = files.create(&file("a")).unwrap();
        a.append(b"12").unwrap();
        a.sync().unwrap();
        files.sync_folder(Path::new(FOLDER)).unwrap();
        a.append(b"3456").unwrap();
        assert_eq!(all(&files, "a").unwrap(), b"123456");
        let lost = files.reboot();
        let left = all(&files, "a").unwrap();
        assert!(left.starts_with(b"12"), "{left:?}");
        assert_eq!(lost, u64::from(left != b"123456"));
        seen.insert(left);
    }
    for left in [&b"12"[..], b"123456", b"1234", b"12\0\x0056"] {
        assert!(seen.contains(left), "{left:?}");
    }
}

#[test]
fn names_that_were_not_synced_may_go_one_by_one() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let files = disk(seed);
        drop(files.create(&file("old")).unwrap());
        files.sync_folder(Path::new(FOLDER)).unwrap();
        files.rename(&file("old"), &file("new")).unwrap();
        drop(files.create(&file("next")).unwrap());
        files.reboot();
        let names = files.list(Path::new(FOLDER)).unwrap();
        seen.insert(names.join(" "));
    }
    let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(seen, ["new", "new next", "next old", "old"]);
}

#[test]
fn a_sync_that_failed_loses_its_bytes_although_they_can_be_read() {
    let files = disk(1);
    let mut a = files.create(&file("a")).unwrap();
    files.sync_folder(Path::new(FOLDER)).unwrap();
    a.append(b"12").unwrap();
    files.fail_next(FileOperation::Sync, 0);
    assert!(a.sync().is_err());
    a.append(b"34").unwrap();
    a.sync().unwrap();
    files.restart();
    assert_eq!(all(&files, "a").unwrap(), b"1234");
    files.reboot();
    assert_eq!(all(&files, "a").unwrap(), b"\0\x0034");
}

#[test]
fn a_full_disk_takes_what_fits() {
    let files = disk(1);
    files.set_capacity(Some(3));
    let mut a = files.create(&file("a")).unwrap();
    let full = a.append(b"12345").unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    assert_eq!(all(&files, "a").unwrap(), b"123");
    files.remove(&file("a")).unwrap();
    files.create(&file("b")).unwrap().append(b"1").unwrap();
}

#[test]
fn a_dead_process_does_nothing_more_and_has_no_lock() {
    let files = disk(1);
    let lock = files.lock(&file("LOCK")).unwrap();
    assert!(matches!(lock, Locked::Ours(_)));
    assert!(matches!(
        files.lock(&file("LOCK")).unwrap(),
        Locked::Theirs(_)
    ));
    let mut a = files.create(&file("a")).unwrap();
    files.die_at(files.operations() + 1);
    assert!(a.append(b"1").is_err());
    assert!(files.is_dead());
    assert!(files.list(Path::new(FOLDER)).is_err());
    files.restart();
    assert!(a.append(b"1").is_err());
    let lock_of_another = files.lock(&file("LOCK")).unwrap();
    assert!(matches!(lock_of_another, Locked::Ours(_)));
    drop(lock);
    assert!(matches!(
        files.lock(&file("LOCK")).unwrap(),
        Locked::Theirs(_)
    ));
}

#[test]
fn a_lock_that_failed_is_not_held() {
    for seed in 0..10 {
        let files = disk(seed);
        files.fail_next(FileOperation::Create, 0);
        assert!(files.lock(&file("LOCK")).is_err());
        assert!(matches!(
            files.lock(&file("LOCK")).unwrap(),
            Locked::Ours(_)
        ));
    }
}
