//! Folders of write-ahead logs, damaged: bytes replaced, cut and made up, with checksums that are right again.
//!
//! Owns: the edits, and what must hold of a log that opens. Never: touches a file of the host.

use arbitrary::Arbitrary;
use grotto_env::AppendFiles as _;
use grotto_env::ForgetfulFiles;
use grotto_format::Schema;
use grotto_producer::wal::{ReadEntry, Wal, WalOptions};
use std::path::Path;
use std::sync::Arc;

const FOLDER: &str = "/log";
const NAMES: [&str; 2] = [
    "wal-00000000000000000001.log",
    "wal-00000000000000000003.log",
];
const SEGMENTS: [&[u8]; 2] = [
    include_bytes!("../../../../docs/format/vectors/wal/wal-00000000000000000001.log"),
    include_bytes!("../../../../docs/format/vectors/wal/wal-00000000000000000003.log"),
];
const SCHEMA: &str = "City @PrimaryKey(id) { long id; string name; }";
const OTHER: &str = "Lake { long id; } City @PrimaryKey(id) { string name; int id; }";
/// Bytes of a segment's header before its schema, of a group's header and of a frame's.
const HEADERS: [usize; 3] = [52, 32, 8];

/// What happens to the segments of a log.
#[derive(Arbitrary, Debug)]
pub struct WalEdits {
    replaced: Vec<(bool, u16, Vec<u8>)>,
    cut: [Option<u16>; 2],
    appended: [Vec<u8>; 2],
    missing: [bool; 2],
    /// Whether checksums are made right again.
    summed: bool,
    other_schema: bool,
}

impl WalEdits {
    /// Does them, opens the log and uses it.
    pub fn provoke(&self) {
        let files = self.damage();
        let Ok(wal) = open(&files, self.other_schema) else {
            return;
        };
        let Ok(read) = wal.read(0, usize::MAX) else {
            return;
        };
        check_order(&read);
        let Some(entry) = read.last().map(|read| read.entry.clone()) else {
            return;
        };
        // An entry that was made up may be past a limit of those that are appended.
        let Ok(next) = wal.append(&[Arc::new(entry)]) else {
            return;
        };
        assert!(next.clone().eq(wal.last()..=wal.last()));
        drop(wal);
        files.reboot();
        let wal = open(&files, self.other_schema).unwrap();
        let mut again = wal.read(0, usize::MAX).unwrap();
        assert_eq!(again.pop().map(|read| read.number), Some(*next.start()));
        // Numbers of floats are never equal to themselves.
        assert_eq!(format!("{again:?}"), format!("{read:?}"));
        wal.release(u64::MAX).unwrap();
        assert_eq!((wal.segments(), wal.read(0, 0).unwrap()), (1, Vec::new()));
    }

    fn damage(&self) -> ForgetfulFiles {
        let files = ForgetfulFiles::new(1);
        files.create_folder(Path::new(FOLDER)).unwrap();
        for (at, original) in SEGMENTS.iter().enumerate() {
            let mut bytes = original.to_vec();
            for (which, start, new) in self.replaced.iter().take(6) {
                if usize::from(*which) == at {
                    overwrite(&mut bytes, *start, new);
                }
            }
            if let Some(length) = self.cut[at] {
                bytes.truncate(usize::from(length));
            }
            bytes.extend(self.appended[at].iter().take(4096));
            if self.summed {
                sum(&mut bytes);
            }
            if !self.missing[at] {
                files.write(&Path::new(FOLDER).join(NAMES[at]), &bytes);
            }
        }
        files
    }
}

fn open(files: &ForgetfulFiles, other: bool) -> grotto_producer::Result<Wal> {
    let schema = Schema::parse(if other { OTHER } else { SCHEMA }).unwrap();
    let nonce = || "0123456789abcdef0123456789abcdef".to_owned();
    let files = Arc::new(files.clone());
    let options = WalOptions::default();
    Wal::open(files, Path::new(FOLDER), &schema, options, nonce).map(|(wal, _)| wal)
}

fn check_order(read: &[ReadEntry]) {
    for pair in read.windows(2) {
        assert!(pair[0].number < pair[1].number, "{pair:?}");
    }
}

fn overwrite(bytes: &mut [u8], at: u16, new: &[u8]) {
    let start = usize::from(at) % bytes.len().max(1);
    for (old, new) in bytes[start..].iter_mut().zip(new) {
        *old = *new;
    }
}

/// Makes the checksums right of all that can be found by its length.
fn sum(bytes: &mut [u8]) -> Option<()> {
    let [header, group, frame] = HEADERS;
    let word = |bytes: &[u8], at: usize| -> Option<usize> {
        let word = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(word) as usize)
    };
    let put = |bytes: &mut [u8], at: usize, crc: u32| -> Option<()> {
        bytes
            .get_mut(at..at + 4)?
            .copy_from_slice(&crc.to_le_bytes());
        Some(())
    };
    let mut at = header.checked_add(word(bytes, header - 4)?)?;
    let crc = crc32fast::hash(bytes.get(..at)?);
    put(bytes, at, crc)?;
    at += 4;
    loop {
        let crc = crc32fast::hash(bytes.get(at..at + group - 4)?);
        put(bytes, at + group - 4, crc)?;
        let end = at.checked_add(group)?.checked_add(word(bytes, at + 24)?)?;
        at += group;
        while at < end {
            let length = word(bytes, at)?;
            let payload = bytes.get(at + frame..(at + frame).checked_add(length)?)?;
            let summed = [&bytes[at..at + 4], payload].concat();
            put(bytes, at + 4, crc32fast::hash(&summed))?;
            at += frame + length;
        }
        at = end;
    }
}
