//! States that unit tests build.

use grotto::{Record, RecordRef, Schema, State, testing};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Record, Clone, Debug, PartialEq)]
#[grotto(key(sku))]
struct Product {
    sku: String,
    cents: i64,
    vendor: Vendor,
    tags: BTreeSet<String>,
    names: BTreeMap<String, String>,
}

#[derive(Record, Clone, Debug, PartialEq)]
#[grotto(key(id))]
struct Vendor {
    id: i64,
    name: Option<String>,
}

/// Without a key: it lives in others only.
#[derive(Record, Clone, Debug, PartialEq)]
struct Size {
    centimetres: i64,
}

#[derive(Record, Clone, Debug, PartialEq)]
#[grotto(key(id))]
struct Shelf {
    id: i64,
    size: Size,
}

fn product(sku: &str, cents: i64) -> Product {
    let name = |language: &str| (language.to_owned(), format!("{sku} in {language}"));
    Product {
        sku: sku.to_owned(),
        cents,
        vendor: Vendor {
            id: cents % 2,
            name: Some(format!("vendor {}", cents % 2)),
        },
        tags: ["hot", "new"].map(str::to_owned).into(),
        names: [name("de"), name("fr")].into(),
    }
}

#[track_caller]
fn products(state: &State) -> Vec<Product> {
    let typed = state.typed::<Product>().expect("typed");
    typed
        .iter()
        .map(|product| product.to_struct().expect("copy"))
        .collect()
}

#[test]
fn a_built_state_holds_the_records_it_was_given() {
    let (tea, more) = (
        product("tea", 3),
        vec![product("cup", 4), product("pot", 6)],
    );
    let shelf = Shelf {
        id: 1,
        size: Size { centimetres: 80 },
    };
    let alone = Vendor { id: 9, name: None };
    let state = testing::state()
        .with(&tea)
        .with_all(&more)
        .with(&shelf)
        .with(&alone)
        .build()
        .expect("a state");
    assert_eq!(state.version(), 1);
    assert_eq!(products(&state), [tea, more[0].clone(), more[1].clone()]);
    let found = state.get::<Shelf>(1).expect("key").expect("record");
    assert_eq!(found.to_struct().expect("copy"), shelf);
    // Two that products refer to, and one that stands alone.
    assert_eq!(state.typed::<Vendor>().expect("typed").len(), 3);
    let vendor = state
        .get::<Product>("pot")
        .expect("key")
        .expect("record")
        .vendor();
    assert_eq!(vendor.name(), Some("vendor 0"));
}

#[test]
fn a_state_without_records_has_its_types_and_its_version() {
    let state = testing::state()
        .with_type::<Product>()
        .at_version(7)
        .build()
        .expect("a state");
    assert_eq!(state.version(), 7);
    assert!(state.typed::<Product>().expect("typed").is_empty());
    assert!(state.typed::<Shelf>().is_err(), "a type nobody declared");
    let nothing = testing::state().build().expect("a state");
    assert_eq!((nothing.version(), nothing.total()), (1, 0));
}

#[test]
fn the_state_after_another_keeps_the_place_of_what_stays() {
    let (tea, cup, pot) = (product("tea", 3), product("cup", 4), product("pot", 6));
    let ordinal = |state: &State, sku: &str| {
        let product = state.get::<Product>(sku).expect("key")?;
        product.record().map(|record| record.ordinal())
    };
    let before = testing::state()
        .with_all([&tea, &cup])
        .at_version(41)
        .build()
        .expect("a state");
    let after = testing::state()
        .with_all([&pot, &cup])
        .after(&before)
        .build()
        .expect("a state");
    assert_eq!(after.version(), 42);
    assert_eq!(ordinal(&after, "tea"), None);
    assert_eq!(ordinal(&after, "cup"), ordinal(&before, "cup"));
    assert_eq!(products(&after).len(), 2);
    let same = testing::state()
        .with_all([&pot, &cup])
        .after(&after)
        .at_version(50)
        .build();
    assert_eq!(products(&same.expect("a state")), products(&after));
}

#[test]
fn what_no_producer_would_publish_is_refused() {
    let (tea, other) = (product("tea", 3), product("tea", 4));
    let error = |state: testing::StateBuilder<'_>| state.build().expect_err("refused").to_string();
    assert_eq!(
        error(
            testing::state()
                .with(&product("cup", 1))
                .with(&tea)
                .with(&other)
        ),
        r#"type Product: duplicate key "tea": record 2 and record 3"#
    );
    let size = Size { centimetres: 3 };
    let shelf = Shelf {
        id: 1,
        size: size.clone(),
    };
    assert_eq!(
        error(testing::state().with(&shelf).with(&size)),
        "type Size has no primary key and other types refer to it: its records come with those that refer to them"
    );
    let schema = Schema::parse("Shelf @PrimaryKey(id) { long id; }").expect("schema");
    assert_eq!(
        error(testing::state().schema(schema).with(&shelf)),
        "type Shelf: expected a field size in the schema, found none"
    );
    let before = testing::state().with(&shelf).build().expect("a state");
    let schema = Schema::parse("Shelf @PrimaryKey(id) { string id; }").expect("schema");
    let refused = error(testing::state().schema(schema).after(&before));
    assert!(
        refused.starts_with("type Shelf: field id changes from long to string"),
        "{refused}"
    );
}

#[test]
fn json_lines_are_records_and_name_their_line_where_they_are_not() {
    let schema =
        || Schema::parse("Price @PrimaryKey(sku) { string sku; long cents; }").expect("schema");
    let build = |lines: &str| {
        testing::state()
            .schema(schema())
            .with_json("Price", lines)
            .build()
    };
    let state = build("{\"sku\":\"tea\",\"cents\":450}\n\n{\"sku\":\"cup\",\"cents\":900}\n")
        .expect("a state");
    let id = state.type_id("Price").expect("type");
    let cup = state.find(id, "cup").expect("key").expect("record");
    assert_eq!((state.count(id), cup.word(1)), (2, 900));
    let error = |lines: &str| build(lines).expect_err("refused").to_string();
    let wrong = error("{\"sku\":\"tea\",\"cents\":450}\n{\"sku\":\"tea\",\"cents\":\"x\"}");
    assert!(wrong.starts_with("the JSON of Price, line 2: "), "{wrong}");
    assert_eq!(
        error("{\"sku\":\"tea\",\"cents\":450}\n{\"sku\":\"tea\",\"cents\":1}"),
        "type Price: duplicate key \"tea\": the JSON of Price, line 1 and the JSON of Price, line 2"
    );
    let unknown = testing::state()
        .schema(schema())
        .with_json("Cost", "{}")
        .build();
    assert_eq!(
        unknown.expect_err("refused").to_string(),
        "type Cost is not in the schema: expected Price"
    );
}

#[test]
fn a_built_state_is_shared_and_read_by_threads() {
    let all: Vec<Product> = (0..100).map(|n| product(&format!("sku {n}"), n)).collect();
    let state: Arc<State> = testing::state().with_all(&all).build().expect("a state");
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let (state, all) = (&state, &all);
            scope.spawn(move || {
                let sku = format!("sku {thread}");
                let found = state.get::<Product>(&sku).expect("key").expect("record");
                assert_eq!(found.to_struct().expect("copy"), all[thread]);
            });
        }
    });
}
