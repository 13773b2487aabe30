//! What an archive may hold.

use std::io::Write;

use super::*;

/// An archive of these files, each with its type and what is in it.
fn archive(files: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, bytes) in files {
        let mut header = tar::Header::new_ustar();
        let raw = &mut header.as_ustar_mut().unwrap().name;
        raw[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn open(bytes: &[u8]) -> Result<Store> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    Store::open_archive(file.path())
}

const PLAIN: tar::EntryType = tar::EntryType::Regular;
const ENTRY: &str = "cities/log/00000000000000000001.json";

#[test]
fn only_plain_files_of_a_dataset_are_taken() {
    open(&archive(&[(ENTRY, PLAIN, b"x")])).unwrap();
    open(&archive(&[
        ("cities/log/", tar::EntryType::Directory, b""),
        (ENTRY, PLAIN, b"x"),
    ]))
    .unwrap();
    for name in [
        "../cities/log/1.json",
        "/etc/passwd",
        "cities/log/../../x",
        "cities/log/.hidden",
        "cities/log",
        "cities/control/leader.json",
        "cities/consumers/web.json",
        "cities/other/x",
        "cities/log/a b",
        ".cities/log/1.json",
        "log/1.json",
        "cities//x",
        "cities/delta/x\\y",
    ] {
        let refused = open(&archive(&[(name, PLAIN, b"x")])).unwrap_err();
        assert_eq!(refused.kind(), crate::ErrorKind::Invalid, "{name}");
        assert!(
            refused.message().contains("expected plain files"),
            "{refused}"
        );
    }
    for kind in [
        tar::EntryType::Symlink,
        tar::EntryType::Link,
        tar::EntryType::Char,
        tar::EntryType::GNUSparse,
        tar::EntryType::GNULongName,
        tar::EntryType::XHeader,
        tar::EntryType::Continuous,
    ] {
        let refused = open(&archive(&[(ENTRY, kind, b"x"), (ENTRY, PLAIN, b"x")])).unwrap_err();
        assert_eq!(refused.kind(), crate::ErrorKind::Invalid, "{kind:?}");
    }
}

#[test]
fn one_that_is_cut_or_altered_is_refused_before_anything_of_it_is_read() {
    let whole = archive(&[
        (ENTRY, PLAIN, &[7; 700]),
        ("cities/delta/x.delta", PLAIN, &[8; 10]),
    ]);
    open(&whole).unwrap();
    for length in (0..whole.len()).step_by(64) {
        let refused = open(&whole[..length]).unwrap_err();
        assert!(
            matches!(
                refused.kind(),
                crate::ErrorKind::Corrupt | crate::ErrorKind::Invalid
            ),
            "{length}: {refused}"
        );
    }
    for at in (0..512).chain(1536..2048) {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        assert!(open(&altered).is_err(), "byte {at}");
    }
    let mut behind = whole.clone();
    let end = behind.len() - 1024;
    behind[end + 600] = 1;
    assert!(open(&behind).is_err());
    let refused = open(&archive(&[(ENTRY, PLAIN, b"x"), (ENTRY, PLAIN, b"y")])).unwrap_err();
    assert!(refused.message().contains("twice"), "{refused}");
    let refused = open(&archive(&[])).unwrap_err();
    assert!(refused.message().contains("found none"), "{refused}");
}

#[test]
fn a_length_is_not_believed() {
    let mut header = tar::Header::new_ustar();
    header.set_path(ENTRY).unwrap();
    for size in [10_000, u64::MAX / 2, u64::MAX] {
        header.set_size(size);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(&[0; 2048]);
        let refused = open(&bytes).unwrap_err();
        assert_eq!(refused.kind(), crate::ErrorKind::Corrupt, "{size}");
    }
}
