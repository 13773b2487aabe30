//! One fault in a sample each. Owns nothing.

mod blobs;

use super::sample::{
    CAST, FILM, GRADES, MARKS, Row, TAGS, TEXTS, WORDS, by_hash, delta, finished, removed,
    set_chunk, snapshot,
};
use crate::hostile::Forge;
use grotto_format::batch::Value;

/// A blob that no reader may accept.
pub(super) struct Fault {
    /// Name of the published file.
    pub(super) name: String,
    pub(super) blob: Forge,
    /// The rule that it breaks.
    pub(super) rule: &'static str,
    /// What this build says.
    pub(super) reason: String,
}

/// Where the records of a sample begin.
#[derive(Clone, Copy)]
struct At {
    film: u32,
    name: u32,
    collection: u32,
    delta: bool,
}

/// A film that refers to nothing.
fn film(id: u64) -> Row<'static> {
    [vec![Value::Fixed(id)], vec![Value::Null; 9]].concat()
}

fn with(mut film: Row<'static>, column: usize, value: Value<'static>) -> Row<'static> {
    film[column] = value;
    film
}

/// The ways to put two films wrong.
fn films(at: At) -> Vec<(&'static str, &'static str, Vec<Row<'static>>, String)> {
    let (first, second) = (at.film, at.film + 1);
    let (a, b) = (film(100), film(101));
    let second_with = |column, word| vec![a.clone(), with(b.clone(), column, Value::Fixed(word))];
    let wide = "an int holds 32 bits, sign-extended";
    let year = "expected year of -2147483648 to 2147483647";
    let live = "a reference is to a live record";
    let sequel = "expected sequel to refer to a live record of Film";
    let own = "a primary key belongs to one record";
    let own_reason = "expected a primary key of its own, found 100 in";
    let null = "no part of a primary key is null";
    let null_reason = "expected no part of the primary key to be null";
    vec![
        (
            "int-above",
            wide,
            second_with(1, 1 << 31),
            format!("Film #{second}: {year}, found 2147483648"),
        ),
        (
            "int-below",
            wide,
            second_with(1, (-(1_i64 << 31) - 1).cast_unsigned()),
            format!("Film #{second}: {year}, found -2147483649"),
        ),
        (
            "boolean-two",
            "a boolean is 0 or 1",
            second_with(2, 2),
            format!("Film #{second}: expected seen of 0 to 1, found 2"),
        ),
        (
            "reference-to-nothing",
            live,
            second_with(4, 7),
            format!("Film #{second}: {sequel}, found #7"),
        ),
        (
            "reference-of-33-bits",
            live,
            second_with(4, 1 << 32 | u64::from(first)),
            format!(
                "Film #{second}: {sequel}, found #{}",
                1_u64 << 32 | u64::from(first)
            ),
        ),
        (
            "key-twice",
            own,
            vec![a.clone(), a.clone()],
            format!("Film #{second}: {own_reason} #{first} too"),
        ),
        (
            "key-null",
            null,
            vec![a.clone(), with(b.clone(), 0, Value::Null)],
            format!("Film #{second}: {null_reason}"),
        ),
    ]
}

/// A collection that does not do: name and rule of the fault, its type, its elements (none for null), and
/// why.
type Wrong = (&'static str, &'static str, u16, Option<Vec<u32>>, String);

/// The ways to put a collection wrong.
fn collections(at: At) -> Vec<Wrong> {
    let name = at.name;
    let [low, high] = by_hash(name);
    let hash = |name: u32| {
        let text = TEXTS[name as usize].as_bytes();
        format!(
            "#{name} ({:016x})",
            grotto_format::checksum::key_var(grotto_format::checksum::KEY_SEED, text)
        )
    };
    let live = "an element is a live record";
    let dangling = "expected live records of Name as elements, found #77";
    let (order, null) = (
        "elements rise by hash and ordinal",
        "a collection is never null",
    );
    let falls =
        |before, after| format!("expected elements to rise, found #{after} after #{before}");
    let by = |before: u32, after: u32| {
        format!(
            "expected elements in the order of their hash, found {} after {}",
            hash(after),
            hash(before)
        )
    };
    vec![
        (
            "list-of-nothing",
            live,
            CAST,
            Some(vec![name, 77, name]),
            dangling.into(),
        ),
        (
            "set-of-nothing",
            live,
            TAGS,
            Some(vec![name, 77]),
            dangling.into(),
        ),
        (
            "map-from-nothing",
            live,
            MARKS,
            Some(vec![name, name, 77, name]),
            dangling.into(),
        ),
        (
            "map-to-nothing",
            live,
            MARKS,
            Some(vec![name, 77]),
            dangling.into(),
        ),
        (
            "list-null",
            null,
            CAST,
            None,
            "expected elements, found null".into(),
        ),
        (
            "set-null",
            null,
            WORDS,
            None,
            "expected elements, found null".into(),
        ),
        (
            "map-null",
            null,
            GRADES,
            None,
            "expected elements, found null".into(),
        ),
        (
            "set-falls",
            order,
            TAGS,
            Some(vec![name + 2, name]),
            falls(name + 2, name),
        ),
        (
            "set-repeats",
            order,
            TAGS,
            Some(vec![name, name]),
            falls(name, name),
        ),
        (
            "map-falls",
            order,
            MARKS,
            Some(vec![name + 2, name, name, name]),
            falls(name + 2, name),
        ),
        (
            "map-repeats",
            order,
            MARKS,
            Some(vec![name, name, name, name + 1]),
            falls(name, name),
        ),
        (
            "hash-set-falls",
            order,
            WORDS,
            Some(vec![high, low]),
            by(high, low),
        ),
        (
            "hash-set-repeats",
            order,
            WORDS,
            Some(vec![low, low]),
            by(low, low),
        ),
        (
            "hash-map-falls",
            order,
            GRADES,
            Some(vec![high, name, low, name]),
            by(high, low),
        ),
        (
            "hash-map-repeats",
            order,
            GRADES,
            Some(vec![low, name, low, name + 1]),
            by(low, low),
        ),
    ]
}

const TYPES: [&str; 7] = ["Film", "Name", "Cast", "Tags", "Words", "Marks", "Grades"];

fn of_sample(at: At) -> Vec<Fault> {
    let (sample, before, kind) = match at.delta {
        true => (delta(), vec![snapshot()], "delta"),
        false => (snapshot(), vec![], "snapshot"),
    };
    let mut all = Vec::new();
    let mut fault = |name: &str, rule, blob, reason| {
        let (name, blob) = (format!("{name}.{kind}"), finished(blob, &before));
        all.push(Fault {
            name,
            blob,
            rule,
            reason,
        });
    };
    for (name, rule, rows, reason) in films(at) {
        let mut blob = sample.clone();
        if at.delta {
            removed(&mut blob, FILM, &[]);
        }
        set_chunk(&mut blob, FILM, &[at.film, at.film + 1], &rows);
        fault(name, rule, blob, reason);
    }
    for (name, rule, ty, elements, reason) in collections(at) {
        let mut blob = sample.clone();
        let value = elements.as_deref().map_or(Value::Null, Value::Elements);
        set_chunk(&mut blob, ty, &[at.collection], &[vec![value]]);
        let reason = format!("{} #{}: {reason}", TYPES[usize::from(ty)], at.collection);
        fault(name, rule, blob, reason);
    }
    all
}

/// All faults: those of records as snapshot and as delta, and those of changes.
pub(super) fn all() -> Vec<Fault> {
    let snapshot = At {
        film: 0,
        name: 0,
        collection: 0,
        delta: false,
    };
    let delta = At {
        film: 2,
        name: 3,
        collection: 1,
        delta: true,
    };
    let mut all = of_sample(snapshot);
    all.extend(of_sample(delta));
    all.extend(blobs::of_changes());
    all.extend(blobs::of_tables());
    all
}
