//! Records in records, lists, sets and maps: `cargo run -p grotto --example nested`.

use grotto::{Record, RecordRef, testing};
use std::collections::{BTreeMap, HashSet};

#[derive(Record, Debug, PartialEq)]
#[grotto(key(id))]
struct Movie {
    id: i64,
    title: String,
    /// Stored once, however many movies it made.
    studio: Studio,
    cast: Vec<Actor>,
    genres: HashSet<String>,
    /// By language.
    titles: BTreeMap<String, String>,
    /// Found by the actor's number.
    #[grotto(hash_key(id))]
    awards: BTreeMap<Actor, Award>,
}

#[derive(Record, Debug, PartialEq)]
struct Studio {
    name: String,
}

#[derive(Record, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Actor {
    id: i64,
    name: String,
}

#[derive(Record, Debug, PartialEq)]
struct Award {
    year: i32,
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (name, studio) = ("Noriko".to_owned(), "Shochiku".to_owned());
    let actor = Actor { id: 7, name };
    let movie = Movie {
        id: 1,
        title: "Late Spring".to_owned(),
        studio: Studio { name: studio },
        cast: vec![actor.clone()],
        genres: ["drama", "family"].map(str::to_owned).into(),
        titles: [("de".to_owned(), "Später Frühling".to_owned())].into(),
        awards: [(actor, Award { year: 1949 })].into(),
    };
    let state = testing::state().with(&movie).build()?;
    let found = state.get::<Movie>(1)?.ok_or("no movie 1")?;
    assert_eq!(found.studio().name(), "Shochiku");
    assert!(found.genres().contains("drama")?);
    assert_eq!(found.titles().get("de")?, Some("Später Frühling"));
    assert_eq!(found.cast().get(0).map(|actor| actor.id()), Some(7));
    assert_eq!(found.awards().get(7)?.map(|won| won.year()), Some(1949));
    assert_eq!(found.to_struct()?, movie);
    Ok(())
}
