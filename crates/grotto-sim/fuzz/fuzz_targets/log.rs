//! Documents of the log are refused, or read.
#![no_main]

use grotto_format::checksum;
use grotto_format::log::{
    Announcement, CollectedRow, LeaderHint, Lease, LogEntry, Pointer, SnapshotEntry,
};

fn read(bytes: &[u8]) {
    let _ = LogEntry::decode(bytes);
    let _ = SnapshotEntry::decode(bytes);
    let _ = CollectedRow::decode(bytes);
    let _ = LeaderHint::decode(bytes);
    let _ = Lease::decode(bytes);
    let _ = Pointer::decode(bytes);
    let _ = Announcement::decode(bytes);
}

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    read(body);
    // The same with a right checksum as its last member.
    let unsealed = [body, b",\"checksum\":\"\"}"].concat();
    let digits = format!("{:016x}", checksum::of_bytes(&unsealed));
    read(&[body, b",\"checksum\":\"", digits.as_bytes(), b"\"}"].concat());
});
