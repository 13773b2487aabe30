//! Every kind of field survives the way into a state and back.

use crate::build::{schema_of, state_of};
use grotto::{Encoder, ErrorKind, Record, RecordRef};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

#[derive(Record, Clone, Debug, PartialEq, Default)]
#[grotto(key(id))]
struct Scalars {
    id: i64,
    int: i32,
    long: i64,
    float: f32,
    double: f64,
    flag: bool,
    text: String,
    bytes: Vec<u8>,
    some_int: Option<i32>,
    some_long: Option<i64>,
    some_float: Option<f32>,
    some_double: Option<f64>,
    some_flag: Option<bool>,
    some_text: Option<String>,
    some_bytes: Option<Vec<u8>>,
    #[grotto(dedup)]
    shared: String,
    #[grotto(dedup)]
    some_shared: Option<String>,
    #[grotto(dedup)]
    shared_bytes: Option<Vec<u8>>,
}

fn full() -> Scalars {
    Scalars {
        id: 1,
        int: i32::MIN,
        long: i64::MIN,
        float: -0.0,
        double: f64::MIN_POSITIVE,
        flag: true,
        text: "é".into(),
        bytes: vec![0, 255],
        some_int: Some(i32::MIN),
        some_long: Some(i64::MIN),
        some_float: Some(f32::INFINITY),
        some_double: Some(0.0),
        some_flag: Some(false),
        some_text: Some(String::new()),
        some_bytes: Some(Vec::new()),
        shared: "x".into(),
        some_shared: Some(String::new()),
        shared_bytes: Some(Vec::new()),
    }
}

/// The fields of [`Scalars`] that may be null, by one who expects a value in each.
#[derive(Record, Clone, Debug, PartialEq, Default)]
#[grotto(key(id), rename = "Scalars")]
struct Bare {
    id: i64,
    some_int: i32,
    some_long: i64,
    some_float: f32,
    some_double: f64,
    some_flag: bool,
    some_text: String,
    some_bytes: Vec<u8>,
    some_shared: String,
    shared_bytes: Vec<u8>,
}

impl From<Scalars> for Bare {
    fn from(from: Scalars) -> Self {
        Self {
            id: from.id,
            some_int: from.some_int.unwrap_or_default(),
            some_long: from.some_long.unwrap_or_default(),
            some_float: from.some_float.unwrap_or_default(),
            some_double: from.some_double.unwrap_or_default(),
            some_flag: from.some_flag.unwrap_or_default(),
            some_text: from.some_text.unwrap_or_default(),
            some_bytes: from.some_bytes.unwrap_or_default(),
            some_shared: from.some_shared.unwrap_or_default(),
            shared_bytes: from.shared_bytes.unwrap_or_default(),
        }
    }
}

#[test]
fn scalars_of_every_kind_survive() {
    let nulls = Scalars {
        id: 2,
        ..Scalars::default()
    };
    let set = Scalars {
        some_flag: Some(true),
        some_double: Some(-1.5),
        ..full()
    };
    let state = state_of(&[set.clone(), nulls.clone()]);
    for expected in [set, nulls] {
        let found = state
            .get::<Scalars>(expected.id)
            .expect("key")
            .expect("record");
        assert_eq!(found.to_struct().expect("copy"), expected);
        let bare = state
            .get::<Bare>(expected.id)
            .expect("key")
            .expect("record");
        assert_eq!(bare.to_struct().expect("copy"), Bare::from(expected));
    }
}

#[test]
fn null_differs_from_the_smallest_value_and_from_empty() {
    let state = state_of(&[
        full(),
        Scalars {
            id: 2,
            ..Scalars::default()
        },
    ]);
    let full = state.get::<Scalars>(1).expect("key").expect("record");
    let null = state.get::<Scalars>(2).expect("key").expect("record");
    assert_eq!((full.some_int(), null.some_int()), (Some(i32::MIN), None));
    assert_eq!((full.some_long(), null.some_long()), (Some(i64::MIN), None));
    assert_eq!((full.some_double(), null.some_double()), (Some(0.0), None));
    assert_eq!((full.some_flag(), null.some_flag()), (Some(false), None));
    assert_eq!((full.some_text(), null.some_text()), (Some(""), None));
    assert_eq!(
        (full.some_bytes(), null.some_bytes()),
        (Some(&[][..]), None)
    );
    assert_eq!((full.some_shared(), null.some_shared()), (Some(""), None));
    assert_eq!(
        (full.shared_bytes(), null.shared_bytes()),
        (Some(&[][..]), None)
    );
}

#[test]
fn the_bits_of_nan_and_of_minus_zero_survive() {
    let odd_nan = f64::from_bits(0x7ff8_0000_0000_1234);
    let record = Scalars {
        double: odd_nan,
        some_float: Some(f32::NAN),
        float: -0.0,
        ..full()
    };
    let state = state_of(&[record]);
    let found = state.get::<Scalars>(1).expect("key").expect("record");
    assert_eq!(found.double().to_bits(), odd_nan.to_bits());
    assert_eq!(
        found.some_float().map(f32::to_bits),
        Some(f32::NAN.to_bits())
    );
    assert_eq!(found.float().to_bits(), (-0.0_f32).to_bits());
}

#[derive(Record, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Tag {
    id: i32,
    label: Option<String>,
}

fn tag(id: i32) -> Tag {
    Tag {
        id,
        label: (id % 2 == 0).then(|| format!("tag {id}")),
    }
}

#[derive(Record, Clone, Debug, PartialEq, Default)]
#[grotto(key(id))]
struct Holder {
    id: i64,
    nested: Option<Tag>,
    words: Vec<String>,
    some_words: Option<Vec<String>>,
    numbers: Vec<i64>,
    floats: Vec<f64>,
    blobs: Vec<Vec<u8>>,
    grid: Vec<Vec<i32>>,
    tags: Vec<Tag>,
    #[grotto(hash_key(id))]
    tag_set: HashSet<Tag>,
    names: BTreeSet<String>,
    counts: HashMap<String, i64>,
    #[grotto(hash_key(id))]
    by_tag: BTreeMap<Tag, Vec<String>>,
    flags: BTreeMap<i32, bool>,
}

fn holder() -> Holder {
    Holder {
        id: 1,
        nested: Some(tag(7)),
        words: vec!["b".into(), "a".into(), "b".into(), String::new()],
        some_words: Some(Vec::new()),
        numbers: vec![i64::MIN, 0, i64::MAX, 0],
        floats: vec![-0.0, 1.5],
        blobs: vec![vec![], vec![1]],
        grid: vec![vec![1, 2], vec![], vec![1, 2]],
        tags: vec![tag(2), tag(1), tag(2)],
        tag_set: (0..20).map(tag).collect(),
        names: ["x", "y", ""].map(str::to_owned).into(),
        counts: [("a", 1), ("b", 2), ("", i64::MIN)]
            .map(|(k, v)| (k.to_owned(), v))
            .into(),
        by_tag: (0..20).map(|id| (tag(id), vec![id.to_string()])).collect(),
        flags: [(1, true), (i32::MIN, false)].into(),
    }
}

#[test]
fn nested_records_and_collections_survive() {
    let empty = Holder {
        id: 2,
        ..Holder::default()
    };
    let state = state_of(&[holder(), empty.clone()]);
    for expected in [holder(), empty] {
        let found = state
            .get::<Holder>(expected.id)
            .expect("key")
            .expect("record");
        assert_eq!(found.to_struct().expect("copy"), expected);
    }
}

#[test]
fn lists_keep_their_order_and_their_duplicates() {
    let state = state_of(&[holder()]);
    let found = state.get::<Holder>(1).expect("key").expect("record");
    assert_eq!(
        found.words().iter().collect::<Vec<&str>>(),
        ["b", "a", "b", ""]
    );
    assert_eq!(found.words().get(1), Some("a"));
    assert_eq!(found.words().get(4), None);
    let grid: Vec<Vec<i32>> = found
        .grid()
        .iter()
        .map(|row| row.iter().collect())
        .collect();
    assert_eq!(grid, [vec![1, 2], vec![], vec![1, 2]]);
    assert_eq!(
        found.tags().iter().map(|t| t.id()).collect::<Vec<i32>>(),
        [2, 1, 2]
    );
    assert_eq!(found.nested().and_then(|t| t.label()), None);
}

#[test]
fn an_empty_list_differs_from_no_list() {
    let state = state_of(&[
        holder(),
        Holder {
            id: 2,
            ..Holder::default()
        },
    ]);
    let lists = [1, 2].map(|id| {
        let found = state.get::<Holder>(id).expect("key").expect("record");
        found.some_words().map(|list| list.len())
    });
    assert_eq!(lists, [Some(0), None]);
}

#[test]
fn sets_find_every_element_by_hash_key_and_nothing_else() {
    let state = state_of(&[holder()]);
    let found = state.get::<Holder>(1).expect("key").expect("record");
    for id in 0..20 {
        let tag = found.tag_set().find(id).expect("key").expect("element");
        assert_eq!(tag.id(), id);
    }
    assert!(!found.tag_set().contains(20).expect("key"));
    assert!(found.names().contains("").expect("key"));
    assert!(!found.names().contains("z").expect("key"));
}

#[test]
fn maps_find_every_value_by_key_and_nothing_else() {
    let state = state_of(&[holder()]);
    let found = state.get::<Holder>(1).expect("key").expect("record");
    for id in 0..20 {
        let value = found.by_tag().get(id).expect("key").expect("value");
        assert_eq!(value.get(0), Some(id.to_string().as_str()));
    }
    assert!(found.by_tag().get(-1).expect("key").is_none());
    assert_eq!(found.counts().get("").expect("key"), Some(i64::MIN));
    assert_eq!(found.counts().get("c").expect("key"), None);
    assert_eq!(found.flags().get(i32::MIN).expect("key"), Some(false));
    assert_eq!(found.counts().len(), 3);
}

#[test]
fn a_set_key_of_another_shape_is_refused() {
    let state = state_of(&[holder()]);
    let found = state.get::<Holder>(1).expect("key").expect("record");
    let error = found.tag_set().find("7").expect_err("text for an int");
    assert_eq!(
        error.to_string(),
        "type SetOfTagById, key field id: expected int, found string"
    );
}

#[derive(Record, Clone, Debug, PartialEq)]
#[grotto(key(name))]
struct Tree {
    name: String,
    left: Option<Box<Twig>>,
    twigs: Vec<Twig>,
}

#[derive(Record, Clone, Debug, PartialEq)]
struct Twig {
    size: i32,
    next: Option<Box<Twig>>,
    more: Vec<Twig>,
}

fn twig(depth: i32) -> Twig {
    let next = (depth > 0).then(|| Box::new(twig(depth - 1)));
    Twig {
        size: depth,
        next,
        more: Vec::new(),
    }
}

#[test]
fn types_may_contain_themselves() {
    let bush = Twig {
        size: 9,
        next: None,
        more: vec![twig(2), twig(0)],
    };
    let tree = Tree {
        name: "oak".into(),
        left: Some(Box::new(twig(5))),
        twigs: vec![bush],
    };
    let state = state_of(std::slice::from_ref(&tree));
    let found = state.get::<Tree>("oak").expect("key").expect("record");
    assert_eq!(found.to_struct().expect("copy"), tree);
    assert_eq!(
        found.left().and_then(|t| t.next()).map(|t| t.size()),
        Some(4)
    );
}

#[test]
fn a_record_that_nests_too_deep_is_refused() {
    let encoder = Encoder::<Tree>::new(&schema_of::<Tree>()).expect("encoder");
    let tree = |depth| Tree {
        name: "oak".into(),
        left: Some(Box::new(twig(depth))),
        twigs: vec![],
    };
    assert!(encoder.record(&tree(50)).is_ok());
    let error = encoder.record(&tree(100)).expect_err("too deep");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}
