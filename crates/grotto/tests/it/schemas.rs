//! The schema a struct stands for.

use crate::build::schema_of;
use grotto::{Declarations, Producer, Record, Schema, Store, StoreUrl};
use std::collections::{BTreeMap, HashMap, HashSet};

#[derive(Record)]
#[grotto(key(id, home.country.value))]
#[allow(dead_code)]
struct Person {
    id: i64,
    age: Option<i32>,
    weight: f32,
    height: f64,
    alive: bool,
    name: String,
    photo: Option<Vec<u8>>,
    #[grotto(dedup)]
    job: Option<String>,
    #[grotto(rename = "homeAddress")]
    home: Address,
    nicknames: Vec<String>,
    #[grotto(hash_key(street, country))]
    places: HashSet<Address>,
    #[grotto(hash_key(value))]
    scores: HashMap<String, i32>,
    matrix: Vec<Vec<f64>>,
    r#type: i32,
    friends: Vec<Person>,
    best: Option<Box<Person>>,
    notes: BTreeMap<i64, Vec<u8>>,
}

#[derive(Record, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(dead_code)]
struct Address {
    street: String,
    #[grotto(dedup)]
    country: String,
}

const PERSON: &str = "
Person @PrimaryKey(id, homeAddress.country.value) {
    long id; int age; float weight; double height; boolean alive; string name; bytes photo;
    String job; Address homeAddress; ListOfString nicknames; SetOfAddressByStreetCountry places;
    MapOfStringToInteger scores; ListOfListOfDouble matrix; int type; ListOfPerson friends;
    Person best; MapOfLongToBytes notes;
}
String { string value; }
Address { string street; String country; }
ListOfString List<String>;
SetOfAddressByStreetCountry Set<Address> @HashKey(street, country);
MapOfStringToInteger Map<String, Integer> @HashKey(value);
Integer { int value; }
ListOfListOfDouble List<ListOfDouble>;
ListOfDouble List<Double>;
Double { double value; }
ListOfPerson List<Person>;
MapOfLongToBytes Map<Long, Bytes> @HashKey(value);
Long { long value; }
Bytes { bytes value; }
";

#[test]
fn a_struct_declares_the_types_it_stands_for() {
    let expected = Schema::parse(PERSON).expect("schema");
    assert_eq!(schema_of::<Person>().to_string(), expected.to_string());
}

#[test]
fn types_shared_by_several_records_are_declared_once() {
    let both = Declarations::new()
        .with::<Address>()
        .with::<Person>()
        .schema()
        .expect("schema");
    assert_eq!(both.types().len(), schema_of::<Person>().types().len());
}

mod other {
    #[derive(grotto::Record)]
    #[allow(dead_code)]
    pub(crate) struct Address {
        zip: i32,
    }
}

#[test]
fn two_structs_of_one_name_are_refused() {
    let both = Declarations::new()
        .with::<Address>()
        .with::<other::Address>()
        .schema();
    assert_eq!(
        both.expect_err("conflict").to_string(),
        "type Address: expected one declaration, found it::schemas::Address and it::schemas::other::Address"
    );
}

#[test]
fn sets_of_one_element_with_other_hash_keys_stand_beside_each_other() {
    #[derive(Record)]
    #[allow(dead_code)]
    struct Several {
        #[grotto(hash_key(street))]
        first: HashSet<Address>,
        second: HashSet<Address>,
        #[grotto(hash_key(country.value, street))]
        third: Option<BTreeMap<Address, i32>>,
        fourth: BTreeMap<Address, i32>,
    }
    let expected = "
        Several {
            SetOfAddressByStreet first; SetOfAddress second;
            MapOfAddressToIntegerByCountryValueStreet third; MapOfAddressToInteger fourth;
        }
        SetOfAddressByStreet Set<Address> @HashKey(street);
        Address { string street; String country; }
        String { string value; }
        SetOfAddress Set<Address>;
        MapOfAddressToIntegerByCountryValueStreet Map<Address, Integer> @HashKey(country.value, street);
        Integer { int value; }
        MapOfAddressToInteger Map<Address, Integer>;";
    let expected = Schema::parse(expected).expect("schema");
    assert_eq!(schema_of::<Several>().to_string(), expected.to_string());
}

#[test]
fn sets_and_maps_of_scalars_are_searched_by_value_whether_it_is_said_or_not() {
    #[derive(Record)]
    #[allow(dead_code)]
    struct Plain {
        names: HashSet<String>,
        #[grotto(hash_key(value))]
        others: HashSet<String>,
        nested: Vec<HashMap<i64, Address>>,
    }
    let expected = "
        Plain { SetOfString names; SetOfString others; ListOfMapOfLongToAddress nested; }
        SetOfString Set<String> @HashKey(value);
        String { string value; }
        ListOfMapOfLongToAddress List<MapOfLongToAddress>;
        MapOfLongToAddress Map<Long, Address> @HashKey(value);
        Long { long value; }
        Address { string street; String country; }";
    let expected = Schema::parse(expected).expect("schema");
    assert_eq!(schema_of::<Plain>().to_string(), expected.to_string());
}

#[derive(Record)]
#[grotto(key(id))]
#[allow(dead_code)]
struct Town {
    id: i64,
}

#[derive(Record)]
#[grotto(key(id))]
#[allow(dead_code)]
struct Mayor {
    id: i64,
    town: i64,
}

#[tokio::test]
async fn what_a_producer_declares_is_its_schema_unless_one_is_given() {
    let store = Store::open(&StoreUrl::Memory).expect("a store");
    let open = || Producer::builder("towns", store.clone());
    let producer = open().declare::<Town>().declare::<Mayor>().open();
    let mut cycle = producer
        .await
        .expect("open")
        .begin_cycle()
        .await
        .expect("begun");
    let expected = Declarations::new().with::<Town>().with::<Mayor>().schema();
    assert_eq!(cycle.schema().as_ref(), &expected.expect("a schema"));
    cycle.add(&Mayor { id: 1, town: 2 }).expect("added");
    drop(cycle);
    let given: Schema = "Town @PrimaryKey(id) { long id; string name; }"
        .parse()
        .expect("a schema");
    let producer = open().declare::<Town>().schema(given.clone()).open();
    let cycle = producer
        .await
        .expect("open")
        .begin_cycle()
        .await
        .expect("begun");
    assert_eq!(cycle.schema().as_ref(), &given);
}
