//! Blobs that ride in log entries: shown, checked and gone around like files.

use crate::damage::{blobs, three_versions_with};
use crate::kit::Bench;
use grotto::store::{EntryBlobs, LogEntry};

/// Replaces the delta that rides in a log entry by as many other bytes, with an entry that is whole otherwise.
fn replace_inline_delta(file: &std::path::Path) {
    let mut entry = LogEntry::decode(&std::fs::read(file).unwrap()).unwrap();
    let Some(EntryBlobs::Inline(blobs)) = &mut entry.blobs else {
        panic!("expected blobs inside {}", file.display());
    };
    blobs.delta = vec![b'x'; blobs.delta.len()].into();
    std::fs::write(file, entry.encode().unwrap()).unwrap();
}

#[test]
fn small_blobs_ride_in_log_entries_unless_told_otherwise() {
    let bench = Bench::with_schema();
    bench.publish("{\"id\":1}\n", "").ok();
    bench.publish("{\"id\":2}\n", "--inline-blobs 0").ok();
    for kind in ["delta", "reverse"] {
        let files = blobs(&bench, "store", kind);
        assert_eq!(files.len(), 1, "{files:?}");
        assert!(files[0].contains("/00000000000000000002-"), "{files:?}");
    }
    let lines = bench.run("log --store store --all --json").values();
    let inline = lines.iter().map(|line| line["delta"]["inline"].clone());
    assert_eq!(inline.collect::<Vec<_>>(), [true, false]);
    bench.run("verify --store store").ok();
    for (position, kind) in ["delta", "reverse"].into_iter().cycle().take(4).enumerate() {
        let name = lines[position / 2][kind]["name"].as_str();
        let Some(name) = name else { continue };
        let shown = bench.run(&format!("inspect --store store {name} --json"));
        assert_eq!(shown.values()[0]["kind"], kind);
    }
}

#[test]
fn a_bad_blob_inside_a_log_entry_is_found_and_named_and_readers_go_around_it() {
    let bench = three_versions_with(8 << 10);
    bench.damages();
    let before = bench.run("export --store store").ok();
    let name = "log/00000000000000000002.json";
    let file = bench.path(&format!("store/items/{name}"));
    let intact = std::fs::read(&file).unwrap();
    replace_inline_delta(&file);
    let run = bench.run("verify --store store");
    assert_eq!(run.code, 5, "{}", run.err);
    let expected = format!("error: blob {name}#delta: ");
    assert!(run.err.contains(&expected), "{}", run.err);
    assert_eq!(bench.run("export --store store").ok(), before);
    let complaint = bench
        .run(&format!("inspect --store store {name}#delta"))
        .refused(5);
    assert!(
        complaint.contains(&format!("blob {name}#delta")),
        "{complaint}"
    );

    // Any other altered byte is against the seal of the entry.
    let mut bytes = intact;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let run = bench.run("verify --store store");
    assert_eq!(run.code, 5, "{}", run.err);
    assert!(run.err.contains(name), "{}", run.err);
    assert_eq!(bench.run("export --store store").ok(), before);
}
