//! Key paths end at a value, and lead through structs only.

use grotto::Record;

#[derive(Record)]
struct Country {
    code: String,
    names: Vec<String>,
}

#[derive(Record)]
#[grotto(key(country.zip))]
struct Missing {
    country: Country,
}

#[derive(Record)]
#[grotto(key(country))]
struct Several {
    country: Option<Country>,
}

#[derive(Record)]
#[grotto(key(country.names))]
struct Listed {
    country: Country,
}

#[derive(Record)]
#[grotto(key(id.low))]
struct Beyond {
    id: i64,
}

fn main() {}
