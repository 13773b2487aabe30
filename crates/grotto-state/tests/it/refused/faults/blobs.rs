//! Faults that are not in one record: of what a blob removes and adds, and of the order of its sections.
//! Owns nothing.

use super::super::sample::{
    CAST, FILM, NAME, Row, TEXTS, delta, finished, removed, set_chunk, snapshot,
};
use super::{Fault, film, with};
use crate::hostile::Forge;
use grotto_format::batch::Value;

/// What only a change can do wrong.
pub(super) fn of_changes() -> Vec<Fault> {
    let mut all = Vec::new();
    let mut fault = |name: &str, rule, edit: &dyn Fn(&mut Forge), reason: &str| {
        let mut blob = delta();
        edit(&mut blob);
        let (name, blob) = (format!("{name}.delta"), finished(blob, &[snapshot()]));
        let reason = reason.to_owned();
        all.push(Fault {
            name,
            blob,
            rule,
            reason,
        });
    };
    let films = |blob: &mut Forge, gone: &[u32], ordinals: &[u32], rows: &[Row<'static>]| {
        removed(blob, FILM, gone);
        set_chunk(blob, FILM, ordinals, rows);
    };
    fault(
        "key-of-another",
        "a primary key belongs to one record",
        &|blob| films(blob, &[], &[2], &[film(1)]),
        "Film #2: expected a primary key of its own, found 1 in #1 too",
    );
    fault(
        "key-changes-in-place",
        "a record that changes in place keeps its primary key",
        &|blob| films(blob, &[0], &[0], &[film(100)]),
        "state is damaged: expected Film #0 to keep its primary key when it changes",
    );
    fault(
        "reference-to-removed",
        "a reference is to a live record",
        &|blob| {
            let row = with(film(100), 4, Value::Fixed(1));
            films(blob, &[1], &[2], &[row]);
        },
        "Film #2: expected sequel to refer to a live record of Film, found #1",
    );
    fault(
        "element-removed",
        "an element is a live record",
        &|blob| {
            removed(blob, NAME, &[1]);
            set_chunk(blob, CAST, &[1], &[vec![Value::Elements(&[0, 1])]]);
        },
        "Cast #1: expected live records of Name as elements, found #1",
    );
    fault(
        "removed-is-not-live",
        "a removed ordinal is live",
        &|blob| films(blob, &[2], &[3], &[film(100)]),
        "delta from version 1 to 2 does not apply: expected Film #2 to be live before it is removed",
    );
    fault(
        "added-is-live",
        "an added ordinal is not live",
        &|blob| films(blob, &[], &[1], &[film(1)]),
        "state is damaged: expected Film #1 to be free before it is added",
    );
    fault(
        "ordinal-used-again",
        "an ordinal without a primary key is used again by a later blob at the earliest",
        &|blob| {
            removed(blob, NAME, &[1]);
            let texts = [1, 3, 4, 5].map(|n: usize| vec![Value::Var(TEXTS[n].as_bytes())]);
            set_chunk(blob, NAME, &[1, 3, 4, 5], &texts);
        },
        "state is damaged: expected Name #1 to be free before it is added",
    );
    all
}

/// Sections that lie in another order.
pub(super) fn of_tables() -> Vec<Fault> {
    let order =
        "section 4: expected sections in order: removed, then chunks of ordinals and columns";
    let mut all = Vec::new();
    let mut fault = |name: &str, edit: &dyn Fn(&mut Forge), reason: &str| {
        let mut blob = snapshot();
        edit(&mut blob);
        let reason = format!("snapshot from version 0 to 1 does not apply: {reason}");
        let (name, rule) = (
            format!("{name}.snapshot"),
            "sections lie in the order of types and chunks",
        );
        all.push(Fault {
            name,
            blob,
            rule,
            reason,
        });
    };
    // Film has eleven sections, Name two, and all others too.
    fault(
        "types-fall",
        &|blob| blob.sections.rotate_left(11),
        "section 12: expected sections by rising type",
    );
    fault(
        "columns-swapped",
        &|blob| blob.sections.swap(2, 3),
        "section 2: expected the next column of the chunk",
    );
    fault(
        "column-missing",
        &|blob| drop(blob.sections.remove(10)),
        "section 10: expected the next column of the chunk",
    );
    fault(
        "column-twice",
        &|blob| blob.sections.insert(10, blob.sections[10].clone()),
        &order.replace("section 4", "section 11"),
    );
    fault(
        "chunks-from-one",
        &|blob| blob.sections.iter_mut().for_each(|s| s.chunk = 1),
        &order.replace("section 4", "section 0"),
    );
    all
}
