//! Blobs that every reader refuses, each for one reason: intact files with right counts and checksums.
//!
//! Owns: that this build refuses them and says where and why, as snapshot and as delta; and making the
//! published ones once (`GROTTO_BLESS=1` writes what is missing and overwrites nothing), which a second
//! reader in `grotto-format`'s tests refuses as well.

mod faults;
mod sample;

use crate::hostile::Forge;
use crate::vectors::published;
use faults::{Fault, all};
use grotto_format::blob::Blob;
use grotto_state::{HeapSeal, State};
use sample::{delta, snapshot};
use serde_json::{Value, json};

const FOLDER: &str = "refused";

fn apply(base: &State, forge: &Forge) -> Result<State, String> {
    let applied = base.apply(&forge.seal(), &mut HeapSeal::default());
    applied.map(|(state, _)| state).map_err(|e| e.to_string())
}

fn base() -> State {
    apply(&crate::engine::empty(), &snapshot()).unwrap()
}

#[test]
fn what_the_faults_are_put_into_is_accepted() {
    let next = apply(&base(), &delta()).unwrap();
    next.check_invariants().unwrap();
    let live: Vec<u64> = delta().header.types.iter().map(|t| t.live).collect();
    assert_eq!(live, [4, 6, 2, 2, 2, 2, 2]);
    assert_eq!(next.total(), live.iter().sum::<u64>());
}

#[test]
fn every_fault_is_refused_with_its_place_and_what_was_expected() {
    let (empty, base) = (crate::engine::empty(), base());
    let mut wrong = Vec::new();
    for Fault {
        name, blob, reason, ..
    } in all()
    {
        let from = if blob.header.from == 0 { &empty } else { &base };
        match apply(from, &blob) {
            Err(found) if found == reason => {}
            found => wrong.push(format!(
                "{name}: expected {reason}\n  found {:?}",
                found.map(drop)
            )),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Chunks of a load are checked on other paths than those of a change, and side by side.
#[test]
fn a_fault_behind_other_chunks_is_refused_by_any_number_of_threads() {
    for Fault {
        name, blob, reason, ..
    } in all()
    {
        if blob.header.from != 0 || !reason.contains(" #") {
            continue;
        }
        let many = sample::with_chunks_behind(&blob);
        for threads in [1, 3] {
            let empty = crate::engine::empty();
            let found = empty.apply_on(&many.seal(), &mut HeapSeal::default(), threads);
            assert_eq!(found.unwrap_err().to_string(), reason, "{name}");
        }
    }
}

#[test]
fn published_faults_are_refused_and_what_they_apply_to_is_not() {
    let empty = crate::engine::empty();
    let read = |bytes: Vec<u8>| Blob::parse(bytes.into()).unwrap();
    let first = published(FOLDER, "base.snapshot", &|| {
        snapshot().seal().bytes().to_vec()
    });
    let (base, _) = empty.apply(&read(first), &mut HeapSeal::default()).unwrap();
    let second = published(FOLDER, "base.delta", &|| delta().seal().bytes().to_vec());
    base.apply(&read(second), &mut HeapSeal::default()).unwrap();
    let mut table = Vec::new();
    for Fault {
        name,
        blob,
        rule,
        reason,
    } in all()
    {
        let (from, of) = match blob.header.from {
            0 => (&empty, "empty"),
            _ => (&base, "base.snapshot"),
        };
        let bytes = published(FOLDER, &name, &|| blob.seal().bytes().to_vec());
        let refused = from.apply(&read(bytes), &mut HeapSeal::default());
        assert_eq!(refused.unwrap_err().to_string(), reason, "{name}");
        table.push(json!({ "blob": name, "applies_to": of, "rule": rule }));
    }
    let made = Value::Array(table);
    let told = published(FOLDER, "refused.json", &|| {
        let mut text = serde_json::to_vec_pretty(&made).unwrap();
        text.push(b'\n');
        text
    });
    assert_eq!(serde_json::from_slice::<Value>(&told).unwrap(), made);
}
