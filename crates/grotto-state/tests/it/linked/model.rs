//! The plain model: records by kind and number, and what each refers to by number.
//!
//! Owns: what a record looks like as JSON, with everything it refers to inside. Never knows of
//! ordinals, blobs or cycles.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Types with a key. All but orders are referred to by others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    Order,
    Customer,
    Town,
    Country,
}

pub(super) const KINDS: [Kind; 4] = [Kind::Order, Kind::Customer, Kind::Town, Kind::Country];

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Order => "Order",
            Self::Customer => "Customer",
            Self::Town => "Town",
            Self::Country => "Country",
        }
    }
}

/// A record by kind and number.
pub(super) type Key = (Kind, i64);

/// A dataset's schema, and a narrower one in which nothing refers to towns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Family {
    /// Customers that refer to customers, keys through references: taken in record by record.
    Deep,
    /// Nothing of that: taken in on several threads.
    Flat,
}

const REST: &str = "Customers Set<Customer> @HashKey(id); Line List<Customer>; Price { int cents; int tax; } Text { string value; }
    Country @PrimaryKey(code) { long id; string code; Text text; }";

impl Family {
    pub(super) fn schema(self, narrow: bool) -> String {
        let (prices, town) = if narrow {
            ("", "")
        } else {
            ("Prices prices;", "Town town;")
        };
        let key = match self {
            Self::Deep => "country.code, name",
            Self::Flat => "name",
        };
        let mentor = match self {
            Self::Deep => "Customer mentor;",
            Self::Flat => "",
        };
        let map = match narrow {
            true => String::new(),
            false => format!("Prices Map<Town, Price> @HashKey({key});"),
        };
        format!(
            "Order @PrimaryKey(id) {{ long id; string text; Customer customer; Customers others; Line line; {prices} }}
             Customer @PrimaryKey(id) {{ long id; Text text; {town} {mentor} Country home; }}
             Town @PrimaryKey({key}) {{ long id; string text; Country country; string name; }} {map} {REST}"
        )
    }
}

/// What a record holds itself. `text` is a number that stands for one.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Body {
    pub(super) text: u64,
    pub(super) customer: Option<i64>,
    pub(super) others: BTreeSet<i64>,
    pub(super) line: Vec<i64>,
    pub(super) prices: BTreeMap<i64, u64>,
    pub(super) town: Option<i64>,
    pub(super) mentor: Option<i64>,
    pub(super) home: Option<i64>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Model {
    pub(super) family: Family,
    pub(super) narrow: bool,
    /// How long texts are.
    pub(super) padding: usize,
    pub(super) countries: i64,
    pub(super) records: BTreeMap<Key, Body>,
}

impl Model {
    /// What a record refers to directly. The country of a town is part of its key.
    pub(super) fn children(&self, (kind, id): Key) -> BTreeSet<Key> {
        let mut all = BTreeSet::new();
        let Some(body) = self.records.get(&(kind, id)) else {
            return all;
        };
        let customers = body.customer.iter().chain(&body.mentor).chain(&body.others);
        all.extend(customers.chain(&body.line).map(|id| (Kind::Customer, *id)));
        let towns = body.town.iter().chain(body.prices.keys());
        all.extend(towns.map(|id| (Kind::Town, *id)));
        all.extend(body.home.map(|id| (Kind::Country, id)));
        if kind == Kind::Town {
            all.insert((Kind::Country, id % self.countries));
        }
        all
    }

    pub(super) fn refers(&self, from: Key, to: Key) -> bool {
        self.children(from).contains(&to)
    }

    /// Records that refer to one.
    pub(super) fn parents(&self, to: Key) -> Vec<Key> {
        let keys = self.records.keys().copied();
        keys.filter(|from| self.refers(*from, to)).collect()
    }

    /// Some records and all that they refer to.
    pub(super) fn closure(&self, of: impl IntoIterator<Item = Key>) -> BTreeSet<Key> {
        let mut all = BTreeSet::new();
        let mut open: Vec<Key> = of.into_iter().collect();
        while let Some(key) = open.pop() {
            if all.insert(key) {
                open.extend(self.children(key));
            }
        }
        all
    }

    /// Writes a record, and plain ones for what it refers to and is not there.
    pub(super) fn write(&mut self, key: Key, body: Body) {
        self.records.insert(key, body);
        for child in self.children(key) {
            if !self.records.contains_key(&child) {
                self.write(child, Body::default());
            }
        }
    }

    /// Takes the fields away that the narrow schema lacks.
    pub(super) fn narrow(&mut self) {
        self.narrow = true;
        for body in self.records.values_mut() {
            body.town = None;
            body.prices.clear();
        }
    }

    fn text(&self, number: u64) -> String {
        let more = self.padding * (1 + number as usize % 3) / 2;
        format!("text {number}{}", "~".repeat(more))
    }

    /// A record with everything it refers to.
    pub(super) fn json(&self, (kind, id): Key) -> Value {
        let body = &self.records[&(kind, id)];
        let customer = |id: &i64| self.json((Kind::Customer, *id));
        let mut record = json!({ "id": id, "text": self.text(body.text) });
        let fields = record.as_object_mut().unwrap();
        let mut put = |name: &str, value: Option<Value>| {
            fields.extend(value.map(|value| (name.to_owned(), value)));
        };
        put("customer", body.customer.as_ref().map(customer));
        put("mentor", body.mentor.as_ref().map(customer));
        put("town", body.town.map(|id| self.json((Kind::Town, id))));
        put("home", body.home.map(|id| self.json((Kind::Country, id))));
        let several = |all: Vec<Value>| Some(all).filter(|all| !all.is_empty()).map(Value::Array);
        put(
            "others",
            several(body.others.iter().map(customer).collect()),
        );
        put("line", several(body.line.iter().map(customer).collect()));
        let price = |(id, cents): (&i64, &u64)| json!({ "key": self.json((Kind::Town, *id)), "value": { "cents": cents } });
        put("prices", several(body.prices.iter().map(price).collect()));
        match kind {
            Kind::Town => {
                let country = self.json((Kind::Country, id % self.countries));
                put("country", Some(country));
                put("name", Some(json!(town_name(id))));
            }
            Kind::Country => put("code", Some(json!(country_code(id)))),
            Kind::Order | Kind::Customer => {}
        }
        record
    }
}

pub(super) fn town_name(id: i64) -> String {
    format!("town {id}")
}

pub(super) fn country_code(id: i64) -> String {
    format!("c{id}")
}

/// A printed record in the form that the model writes: sets and maps in the order of numbers.
pub(super) fn in_order(mut record: Value) -> Value {
    let id = |value: &Value| value["id"].as_i64().or_else(|| value["key"]["id"].as_i64());
    for name in ["others", "prices"] {
        if let Some(Value::Array(all)) = record.get_mut(name) {
            all.sort_by_key(id);
        }
    }
    record
}
