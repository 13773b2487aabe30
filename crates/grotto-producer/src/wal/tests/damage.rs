//! Bytes that are not those that were written.

use std::path::{Path, PathBuf};

use grotto_env::{AppendFiles as _, ForgetfulFiles, Random as _, SeededRandom};

use super::kit::{FOLDER, all, entry, open, segments, small};
use crate::wal::frame::{GROUP_HEADER, SegmentHeader};
use crate::{Error, ErrorKind};

/// Some segments, and where the last group of the newest one begins.
fn log() -> (ForgetfulFiles, u64) {
    let files = ForgetfulFiles::new(1);
    let (wal, _) = open(&files, small()).unwrap();
    for fill in 1..=3 {
        let group = [entry(Some("k"), fill, 500), entry(None, fill, 200)];
        wal.append(&group).unwrap();
        wal.append(&[entry(None, fill, 40)]).unwrap();
    }
    let newest = path(segments(&files).last().unwrap());
    let tail = files.length(&newest).unwrap();
    wal.append(&[entry(Some("tail"), 9, 10), entry(None, 9, 5)])
        .unwrap();
    assert_eq!(path(segments(&files).last().unwrap()), newest);
    assert!(segments(&files).len() >= 3);
    drop(wal);
    (files, tail)
}

fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

fn bytes(files: &ForgetfulFiles, name: &str) -> Vec<u8> {
    files.read(&path(name), 0, usize::MAX).unwrap()
}

/// The offset that an error about a file names.
fn offset_in(error: &Error, name: &str) -> u64 {
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    let (file, rest) = error.message().split_once(" at offset ").unwrap();
    assert_eq!(file, path(name).display().to_string());
    rest.split_once(':').unwrap().0.parse().unwrap()
}

#[test]
fn a_byte_that_is_flipped_anywhere_but_in_the_last_group_is_refused_with_file_and_offset() {
    let (files, tail) = log();
    let names = segments(&files);
    let whole = all(&open(&files, small()).unwrap().0);
    let (files, _) = log();
    for name in &names {
        let original = bytes(&files, name);
        let is_newest = name == names.last().unwrap();
        for (at, mask) in (0..original.len()).flat_map(|at| [(at, 0x01), (at, 0x80), (at, 0xff)]) {
            let mut damaged = original.clone();
            damaged[at] ^= mask;
            files.write(&path(name), &damaged);
            match open(&files, small()) {
                Err(error) => {
                    let offset = offset_in(&error, name);
                    assert!(offset <= at as u64, "{name} {at}: {error}");
                    assert!(!is_newest || at < tail as usize, "{name} {at}: {error}");
                }
                Ok((wal, recovery)) => {
                    assert!(is_newest && at >= tail as usize, "{name} {at}");
                    assert_eq!(recovery.cut.unwrap().offset, tail);
                    assert_eq!(all(&wal), whole[..whole.len() - 2]);
                    assert_eq!(wal.known_key("tail"), None);
                }
            }
        }
        files.write(&path(name), &original);
    }
}

#[test]
fn a_newest_segment_that_ends_early_is_cut_between_groups_and_one_before_that_refused() {
    let (files, _) = log();
    let names = segments(&files);
    let newest = names.last().unwrap();
    let original = bytes(&files, newest);
    let beginning = SegmentHeader::decode(&original).unwrap().0.beginning as usize;
    let mut counts = std::collections::BTreeSet::new();
    for length in 0..original.len() {
        files.write(&path(newest), &original[..length]);
        match open(&files, small()) {
            Err(error) => {
                assert!(length < beginning, "{length}: {error}");
                offset_in(&error, newest);
            }
            Ok((wal, recovery)) => {
                assert!(length >= beginning, "{length}");
                assert!(recovery.cut.is_some() || length == beginning || recovery.last > 6);
                counts.insert(all(&wal).len());
            }
        }
        // What opening made of it.
        for name in segments(&files).iter().filter(|name| !names.contains(name)) {
            files.remove(&path(name)).unwrap();
        }
    }
    assert!(counts.len() >= 2, "{counts:?}");
}

#[test]
fn an_older_segment_that_ends_early_or_is_missing_is_refused() {
    let (files, _) = log();
    let names = segments(&files);
    let original = bytes(&files, &names[0]);
    for length in 0..original.len() {
        files.write(&path(&names[0]), &original[..length]);
        let error = open(&files, small()).unwrap_err();
        assert!(offset_in(&error, &names[0]) <= length as u64);
    }
    files.write(&path(&names[0]), &original);
    files.remove(&path(&names[1])).unwrap();
    let error = open(&files, small()).unwrap_err();
    assert_eq!(offset_in(&error, &names[0]), original.len() as u64);
}

#[test]
fn a_segment_of_another_log_or_under_another_number_is_refused() {
    let (files, _) = log();
    let names = segments(&files);
    let (header, taken) = SegmentHeader::decode(&bytes(&files, &names[0])).unwrap();
    let original = bytes(&files, &names[0]);
    let identity = crate::wal::frame::Identity::of_nonce("fedcba98").unwrap();
    let other = SegmentHeader {
        identity: identity.clone(),
        ..header
    };
    let foreign = [other.encode(), original[taken..].to_vec()].concat();
    files.write(&path(&names[0]), &foreign);
    let error = open(&files, small()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    let moved = path("wal-00000000000000000000.log");
    files.write(&path(&names[0]), &original);
    files.write(&moved, &original);
    let error = open(&files, small()).unwrap_err();
    assert_eq!(offset_in(&error, "wal-00000000000000000000.log"), 0);
}

#[test]
fn an_id_of_no_digits_is_refused_although_its_checksum_is_right() {
    let (files, _) = log();
    let names = segments(&files);
    let mut damaged = bytes(&files, &names[0]);
    let (_, taken) = SegmentHeader::decode(&damaged).unwrap();
    for id in [0x80, b'G', b'A'] {
        damaged[16] = id;
        let crc = crc32fast::hash(&damaged[..taken - 4]).to_le_bytes();
        damaged[taken - 4..taken].copy_from_slice(&crc);
        files.write(&path(&names[0]), &damaged);
        let error = open(&files, small()).unwrap_err();
        assert_eq!(offset_in(&error, &names[0]), 0);
    }
}

#[test]
fn bytes_that_somebody_made_up_are_refused_or_read_without_a_panic() {
    let (files, _) = log();
    let names = segments(&files);
    let random = SeededRandom::new(7);
    let below = |most: usize| (random.next_u64() % most as u64) as usize;
    for _ in 0..3000 {
        let name = &names[below(names.len())];
        let original = bytes(&files, name);
        let mut damaged = original.clone();
        for _ in 0..1 + below(4) {
            let at = below(damaged.len());
            match below(3) {
                0 => damaged[at] = random.next_u64() as u8,
                1 => damaged.truncate(at.max(1)),
                _ => {
                    let piece = original[below(original.len())..].to_vec();
                    damaged.extend(&piece[..piece.len().min(300)]);
                }
            }
        }
        files.write(&path(name), &damaged);
        if let Ok((wal, _)) = open(&files, small()) {
            let _ = wal.read(0, usize::MAX);
        }
        for name in segments(&files).iter().filter(|name| !names.contains(name)) {
            files.remove(&path(name)).unwrap();
        }
        files.write(&path(name), &original);
    }
}

#[test]
fn the_length_of_a_frame_takes_no_memory_that_the_file_does_not_have() {
    let (files, tail) = log();
    let names = segments(&files);
    let newest = names.last().unwrap();
    let original = bytes(&files, newest);
    let mut damaged = original.clone();
    let frame = tail as usize + GROUP_HEADER;
    damaged[frame..frame + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    files.write(&path(newest), &damaged);
    let (_, recovery) = open(&files, small()).unwrap();
    assert!(recovery.cut.unwrap().what.contains("frame"));
}
