//! Enums, newtypes, fields that are converted and fields that are left out.

use crate::build::{schema_of, state_of, state_of_json, state_under};
use grotto::{Record, RecordRef, Schema};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

#[derive(Record, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
enum Colour {
    Red,
    #[grotto(rename = "dark green")]
    Green,
    #[default]
    #[grotto(other)]
    Other,
}

#[derive(Record, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[grotto(int)]
enum Level {
    Low = -1,
    High = 7,
    #[default]
    #[grotto(other)]
    Unknown = 100,
}

#[derive(Record, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
struct Sku(String);

#[derive(Record, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
struct Id(i64);

#[derive(Record, Clone, Debug, PartialEq, Default)]
struct Names(Vec<Sku>);

mod as_millis {
    use std::time::Duration;

    pub(super) type Stored = i64;

    pub(super) fn to_stored(time: &Duration) -> i64 {
        time.as_millis() as i64
    }

    pub(super) fn from_stored(millis: i64) -> Duration {
        Duration::from_millis(millis as u64)
    }
}

mod as_words {
    pub(super) type Stored = String;

    pub(super) fn to_stored(words: &[&'static str; 2]) -> String {
        words.join(" ")
    }

    pub(super) fn from_stored(text: &str) -> [&'static str; 2] {
        match text {
            "a b" => ["a", "b"],
            _ => ["", ""],
        }
    }
}

#[derive(Record, Clone, Debug, PartialEq, Default)]
#[grotto(key(id, sku, level, colour, lasts))]
struct Thing {
    id: Id,
    sku: Sku,
    #[grotto(dedup)]
    brand: Option<Sku>,
    #[grotto(dedup)]
    colour: Colour,
    inside: Option<Colour>,
    level: Level,
    names: Names,
    colours: BTreeSet<Colour>,
    levels: Vec<Level>,
    prices: HashMap<Sku, Id>,
    #[grotto(with = "as_millis")]
    lasts: Duration,
    #[grotto(with = "as_millis")]
    since: Option<Duration>,
    #[grotto(with = "as_words", dedup)]
    words: [&'static str; 2],
    #[grotto(skip)]
    seen: u8,
}

fn thing() -> Thing {
    Thing {
        id: Id(7),
        sku: Sku("s".into()),
        brand: Some(Sku("b".into())),
        colour: Colour::Green,
        inside: Some(Colour::Red),
        level: Level::Low,
        names: Names(vec![Sku("x".into()), Sku("y".into())]),
        colours: [Colour::Red, Colour::Green].into(),
        levels: vec![Level::High, Level::Unknown],
        prices: [(Sku("p".into()), Id(9))].into(),
        lasts: Duration::from_millis(250),
        since: Some(Duration::from_secs(1)),
        words: ["a", "b"],
        seen: 200,
    }
}

const SCHEMA: &str = "
Thing @PrimaryKey(id, sku, level, colour, lasts) {
    long id; string sku; String brand; String colour; string inside; int level; ListOfString names;
    SetOfString colours; ListOfInteger levels; MapOfStringToLong prices; long lasts; long since; String words;
}
String { string value; }
ListOfString List<String>;
";

#[test]
fn each_is_stored_as_the_value_that_it_stands_for() {
    let schema = schema_of::<Thing>().to_string();
    let expected = Schema::parse(&format!(
        "{SCHEMA} SetOfString Set<String> @HashKey(value); ListOfInteger List<Integer>; Integer {{ int value; }} \
         MapOfStringToLong Map<String, Long> @HashKey(value); Long {{ long value; }}"
    ));
    assert_eq!(schema, expected.expect("schema").to_string());
}

#[test]
fn values_survive_and_what_is_skipped_is_the_default() {
    let empty = Thing::default();
    let state = state_of(&[thing(), empty.clone()]);
    let found = state
        .get::<Thing>((7, "s", -1, "dark green", 250))
        .expect("key")
        .expect("record");
    let copy = found.to_struct().expect("copy");
    assert_eq!(copy, Thing { seen: 0, ..thing() });
    assert_eq!((found.id(), found.sku()), (7, "s"));
    assert_eq!(found.inside(), Some(Colour::Red));
    assert_eq!(found.since(), Some(Duration::from_secs(1)));
    assert_eq!(found.words(), ["a", "b"]);
    assert!(found.colours().contains(Colour::Green).expect("key"));
    assert!(!found.colours().contains(Colour::Other).expect("key"));
    assert!(found.levels().find(Level::High).expect("key").is_some());
    assert_eq!(found.prices().get("p").expect("key"), Some(9));
    let found = state.get::<Thing>((0, "", 100, "Other", 0));
    let found = found.expect("key").expect("record");
    assert_eq!(found.to_struct().expect("copy"), empty);
}

#[derive(Record, Clone, Debug)]
#[grotto(key(id))]
struct Painted {
    id: i64,
    colour: Colour,
    level: Level,
    maybe: Option<Level>,
}

#[test]
fn what_an_enum_does_not_know_reads_as_its_other_variant() {
    let schema = "Painted @PrimaryKey(id) { long id; string colour; int level; int maybe; }";
    let lines = [
        r#"{"id":1,"colour":"purple","level":0,"maybe":0}"#,
        r#"{"id":2}"#,
        r#"{"id":3,"colour":"Red","level":-1,"maybe":7}"#,
    ];
    let state = state_of_json(schema, "Painted", &lines);
    let read = |id| {
        let found = state.get::<Painted>(id).expect("key").expect("record");
        (found.colour(), found.level(), found.maybe())
    };
    let unknown = Level::Unknown;
    assert_eq!(read(1), (Colour::Other, unknown, Some(unknown)));
    assert_eq!(read(2), (Colour::Other, unknown, None));
    assert_eq!(read(3), (Colour::Red, Level::Low, Some(Level::High)));
    let bare = state_of_json(
        "Painted @PrimaryKey(id) { long id; }",
        "Painted",
        &lines[1..2],
    );
    let found = bare.get::<Painted>(2).expect("key").expect("record");
    assert_eq!((found.colour(), found.level()), (Colour::Other, unknown));
}

#[test]
fn an_enum_binds_only_to_what_it_is_stored_as() {
    let schema = "Painted @PrimaryKey(id) { long id; int colour; int level; int maybe; }";
    let state = state_of_json(schema, "Painted", &[r#"{"id":1}"#]);
    let error = state.typed::<Painted>().expect_err("a number");
    assert_eq!(
        error.to_string(),
        "field Painted.colour: expected string, found int"
    );
    let schema = Schema::parse(
        "Painted @PrimaryKey(id) { long id; String colour; Integer level; int maybe; } \
         String { string value; } Integer { int value; }",
    );
    let painted = Painted {
        id: 1,
        colour: Colour::Green,
        level: Level::High,
        maybe: None,
    };
    let state = state_under(&schema.expect("schema"), &[painted]);
    let found = state.get::<Painted>(1).expect("key").expect("record");
    assert_eq!(
        (found.colour(), found.level()),
        (Colour::Green, Level::High)
    );
}
