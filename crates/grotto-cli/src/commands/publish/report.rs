//! What `publish` says.
//!
//! Owns: the words and the JSON. Never: publishes.

use crate::failure::Outcome;
use crate::output::Out;
use crate::text::{self, Table, bytes, count, duration, milliseconds};
use grotto::engine::state::Counts;
use grotto::producer::Published;
use grotto::store::SnapshotEntry;
use serde_json::{Value, json};

/// A version came out of it.
pub(super) fn published(
    dataset: &str,
    published: &Published,
    snapshot: Option<&SnapshotEntry>,
    out: &mut Out,
) -> Outcome<()> {
    if out.is_json() {
        return out.json(&line(dataset, published, snapshot));
    }
    let times = &published.times;
    let total = times.populate + times.encode + times.upload + times.commit;
    let (version, records) = (published.version, text::things(published.records, "record"));
    out.line(format_args!(
        "published version {version} of {dataset} from {records} in {}",
        duration(total)
    ))?;
    let mut table = Table::new(1, &["type", "records", "added", "removed", "modified"]);
    let changed = |counts: &&Counts| counts.added + counts.removed + counts.modified > 0;
    for counts in published.counts.iter().filter(changed) {
        table.row(row(counts));
    }
    table.lines().try_for_each(|line| out.line(line))?;
    let mut blobs = match published.delta_bytes {
        0 => "begun anew with a snapshot instead of a delta".to_owned(),
        length => format!("delta {}", bytes(length)),
    };
    if let Some(length) = published.reverse_bytes {
        blobs.push_str(&format!(", reverse delta {}", bytes(length)));
    }
    if let Some(snapshot) = snapshot {
        blobs.push_str(&format!(
            ", snapshot of version {}: {}",
            snapshot.version,
            bytes(snapshot.blob.length)
        ));
    }
    out.line(blobs)?;
    out.line(format_args!(
        "read {}, encode {}, upload {}, commit {}",
        duration(times.populate),
        duration(times.encode),
        duration(times.upload),
        duration(times.commit)
    ))
}

/// Nothing changed.
pub(super) fn unchanged(
    dataset: &str,
    version: u64,
    snapshot: Option<&SnapshotEntry>,
    out: &mut Out,
) -> Outcome<()> {
    if out.is_json() {
        return out.json(&json!({
            "dataset": dataset,
            "published": false,
            "version": version,
            "snapshot": snapshot.map(announced),
        }));
    }
    out.line(format_args!(
        "no change: {dataset} stays at version {version}"
    ))?;
    snapshot.map_or(Ok(()), |snapshot| {
        let length = text::bytes(snapshot.blob.length);
        out.line(format_args!(
            "snapshot of version {}: {length}",
            snapshot.version
        ))
    })
}

fn row(counts: &Counts) -> Vec<String> {
    let figures = [counts.live, counts.added, counts.removed, counts.modified];
    std::iter::once(counts.type_name.clone())
        .chain(figures.map(count))
        .collect()
}

fn announced(snapshot: &SnapshotEntry) -> Value {
    json!({ "version": snapshot.version, "bytes": snapshot.blob.length })
}

fn line(dataset: &str, published: &Published, snapshot: Option<&SnapshotEntry>) -> Value {
    let types: Vec<Value> = published
        .counts
        .iter()
        .map(|c| {
            json!({
                "type": c.type_name, "records": c.live,
                "added": c.added, "removed": c.removed, "modified": c.modified,
            })
        })
        .collect();
    let times = &published.times;
    json!({
        "dataset": dataset,
        "published": true,
        "version": published.version,
        "records_read": published.records,
        "types": types,
        "delta_bytes": published.delta_bytes,
        "reverse_bytes": published.reverse_bytes,
        "snapshot": snapshot.map(announced),
        "state_checksum": format!("{:016x}", published.state_checksum),
        "times_ms": {
            "read": milliseconds(times.populate),
            "encode": milliseconds(times.encode),
            "upload": milliseconds(times.upload),
            "commit": milliseconds(times.commit),
        },
    })
}
