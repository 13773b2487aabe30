//! What a state remembers of the types it was read by: nothing that another type or state would see.

use crate::build::{state_of, state_of_json};
use grotto::engine::format::blob::Blob;
use grotto::engine::state::{EncodeOptions, HashSeed, HeapSeal, TypeFilter, encode_snapshot};
use grotto::{Declarations, Record, State};
use std::sync::Arc;

#[derive(Record)]
#[grotto(key(id))]
struct Product {
    id: i64,
    cents: i64,
    name: String,
}

/// The same type of the schema, with other fields in another order.
#[derive(Record)]
#[grotto(key(id), rename = "Product")]
struct Named {
    name: String,
    id: i64,
}

/// The same with what the one before lacks.
#[derive(Record)]
#[grotto(key(id), rename = "Product")]
struct Priced {
    id: i64,
    cents: i64,
}

/// The same type of the schema, with a key that it does not have.
#[derive(Record)]
#[grotto(key(cents), rename = "Product")]
struct ByCents {
    cents: i64,
}

fn product(id: i64) -> Product {
    let name = format!("product {id}");
    Product {
        id,
        cents: id * 10,
        name,
    }
}

fn products() -> Arc<State> {
    state_of(&[product(1), product(2), product(3)])
}

/// A state whose schema has `fields` numbers in front of those that [`Product`] reads.
fn with_fields(fields: usize) -> Arc<State> {
    let names: String = (0..fields).map(|n| format!("long field_{n}; ")).collect();
    let schema = format!("Product @PrimaryKey(id) {{ {names} long cents; string name; long id; }}");
    let line = format!(r#"{{"id":7,"cents":{fields},"name":"of {fields}"}}"#);
    state_of_json(&schema, "Product", &[&line])
}

/// What is left of a state where this field of a product is kept.
fn part_of(whole: &State, field: &str) -> State {
    let options = EncodeOptions {
        dataset: "test".into(),
        version: whole.version(),
        level: None,
        threads: 1,
    };
    let snapshot = encode_snapshot(whole, &options).expect("snapshot");
    let blob = Blob::parse(snapshot.into()).expect("blob");
    let filter = TypeFilter::of([format!("Product.{field}").as_str()]);
    let empty = State::empty_of(HashSeed::new([1, 2]), Some(Arc::new(filter)));
    let applied = empty.apply(&blob, &mut HeapSeal::default());
    applied.expect("a part").0
}

#[test]
fn states_that_keep_other_fields_of_one_schema_are_read_in_turns() {
    let whole = with_fields(2);
    let (priced, named) = (part_of(&whole, "cents"), part_of(&whole, "name"));
    for _ in 0..2 {
        let found = whole.get::<Product>(7).expect("key").expect("record");
        assert_eq!((found.cents(), found.name()), (2, "of 2"));
        for state in [&whole, &priced] {
            let found = state.get::<Priced>(7).expect("key").expect("record");
            assert_eq!((found.id(), found.cents()), (7, 2));
        }
        for state in [&whole, &named] {
            let found = state.get::<Named>(7).expect("key").expect("record");
            assert_eq!((found.id(), found.name()), (7, "of 2"));
        }
        for (state, field) in [(&priced, "name"), (&named, "cents")] {
            let error = state.get::<Product>(7).map(drop).expect_err("left out");
            let told = format!("field Product.{field} is left out here");
            assert!(error.to_string().contains(&told), "{error}");
        }
    }
}

#[test]
fn what_is_left_of_two_schemas_may_be_the_same_and_hold_other_things_back() {
    let without = "Product @PrimaryKey(id) { long cents; long id; }";
    let without = state_of_json(without, "Product", &[r#"{"id":7,"cents":3}"#]);
    let (without, with) = (
        part_of(&without, "cents"),
        part_of(&with_fields(0), "cents"),
    );
    assert_eq!(without.schema().to_string(), with.schema().to_string());
    for _ in 0..2 {
        // Nobody wrote such a field; the other one has it, and it is not here.
        let found = without.get::<Product>(7).expect("key").expect("record");
        assert_eq!((found.cents(), found.name()), (3, ""));
        let error = with.get::<Product>(7).map(drop).expect_err("left out");
        assert!(error.to_string().contains("left out here"), "{error}");
    }
}

#[test]
fn two_structs_of_one_type_read_one_state_in_turns() {
    let state = products();
    for _ in 0..3 {
        let product = state.get::<Product>(2).expect("key").expect("record");
        let named = state.get::<Named>(2).expect("key").expect("record");
        assert_eq!((product.cents(), product.name()), (20, "product 2"));
        assert_eq!((named.id(), named.name()), (2, "product 2"));
        let error = state.get::<ByCents>(2).expect_err("another key");
        assert_eq!(
            error.to_string(),
            "type Product: expected the primary key (cents) of the struct, found (id)"
        );
    }
}

#[test]
fn states_of_many_schemas_are_read_in_turns_by_one_struct() {
    let states: Vec<Arc<State>> = (0..40).map(with_fields).collect();
    for turn in 0..3 {
        for (fields, state) in (0..).zip(&states) {
            let found = state.get::<Product>(7).expect("key").expect("record");
            let read = (found.id(), found.cents(), found.name().to_owned());
            assert_eq!(read, (7, fields, format!("of {fields}")), "turn {turn}");
            assert!(state.get::<Product>(8).expect("key").is_none());
        }
    }
}

#[test]
fn a_type_that_a_state_lacks_is_refused_however_often_it_is_asked_for() {
    #[derive(Record)]
    #[grotto(key(id))]
    struct Vendor {
        id: i64,
    }
    let (without, with) = (products(), state_of(&[Vendor { id: 1 }]));
    for _ in 0..3 {
        let error = without.get::<Vendor>(1).expect_err("no such type");
        assert!(
            error
                .to_string()
                .contains("type Vendor is not in the schema"),
            "{error}"
        );
        let found = with.get::<Vendor>(1).expect("key").expect("record");
        assert_eq!(found.id(), 1);
    }
}

#[test]
fn a_type_behind_many_others_is_found_by_its_key() {
    let others: String = (0..300)
        .map(|n| format!("T{n} @PrimaryKey(id) {{ long id; }} "))
        .collect();
    let product = "Product @PrimaryKey(id) { long id; long cents; string name; }";
    let schema = format!("{others} {product}");
    let state = state_of_json(&schema, "Product", &[r#"{"id":5,"cents":6,"name":"last"}"#]);
    let found = state.get::<Product>(5).expect("key").expect("record");
    assert_eq!((found.cents(), found.name()), (6, "last"));
    let declared = Declarations::new()
        .with::<Product>()
        .schema()
        .expect("schema");
    assert_ne!(state.schema_hash(), declared.hash());
}

#[test]
fn sixteen_threads_bind_one_struct_to_many_schemas_at_once() {
    #[derive(Record)]
    #[grotto(key(id), rename = "Product")]
    struct Fresh {
        id: i64,
        cents: i64,
    }
    let states: Vec<Arc<State>> = (0..40).map(with_fields).collect();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let states = &states;
            scope.spawn(move || {
                for step in 0..states.len() {
                    let fields = (step + thread * 5) % states.len();
                    let found = states[fields]
                        .get::<Fresh>(7)
                        .expect("key")
                        .expect("record");
                    assert_eq!((found.id(), found.cents()), (7, fields as i64));
                }
            });
        }
    });
}
