//! Records that change at their ordinal, because others refer to them by their key.
//!
//! Owns: making the published delta and its reverse once, and what they show.

use super::{Published, options, published, tell};
use crate::engine::{Chain, flat};
use grotto_format::batch::decode_ordinals;
use grotto_format::blob::{Blob, SectionKind};
use grotto_format::schema::Schema;
use grotto_state::{Mode, encode_snapshot};
use std::sync::Arc;

const FOLDER: &str = "in-place";
const SCHEMA: &str = "Film @PrimaryKey(id) { long id; String title; Studio studio; Studios all; }
    Studio @PrimaryKey(name, country.value) { string name; String country; int staff; String city; }
    Studios List<Studio>; String { string value; }";

/// Three studios, of which two change; a film changes as well, but nobody refers to films.
fn records(second: bool) -> [(&'static str, String); 2] {
    let (staff, city, title) = match second {
        false => (1917, "null", "Nosferatu"),
        true => (5000, r#""Potsdam""#, "Nosferatu, 1922"),
    };
    let ufa = format!(r#"{{"name":"UFA","country":"Germany","staff":{staff},"city":"Berlin"}}"#);
    let prana = format!(r#"{{"name":"Prana","country":"Germany","city":{city}}}"#);
    let bavaria = r#"{"name":"Bavaria","country":"Germany","city":"Munich"}"#;
    [
        (
            "Film",
            format!(
                r#"{{"id":1,"title":"Metropolis","studio":{ufa},"all":[{ufa},{bavaria},{prana}]}}"#
            ),
        ),
        (
            "Film",
            format!(r#"{{"id":2,"title":"{title}","studio":{prana}}}"#),
        ),
    ]
}

fn chain() -> Chain {
    let schema = Arc::new(Schema::parse(SCHEMA).unwrap());
    let mut chain = Chain::new();
    for (version, second) in [(1, false), (2, true)] {
        let mut cycle = chain.write.begin(&schema, Mode::Full).unwrap();
        for (line, (ty, text)) in records(second).iter().enumerate() {
            let id = schema.find(ty).unwrap();
            let record = flat(&schema, id, text);
            cycle.add(id, &record, line as u64).unwrap();
        }
        chain.commit(cycle.finish(&options(version, None)).unwrap());
    }
    chain
}

fn all() -> Vec<Published> {
    let chain = std::cell::LazyCell::new(chain);
    let snapshot = |at: usize| {
        let state = &chain.states[at];
        encode_snapshot(state, &options(state.version(), None)).unwrap()
    };
    let blob = |name, from, to, make: &dyn Fn() -> Vec<u8>| Published {
        name,
        path: Some((from, to)),
        bytes: published(FOLDER, name, make),
    };
    vec![
        blob("1.snapshot", "empty", "1", &|| snapshot(1)),
        blob("2.delta", "1", "2", &|| chain.deltas[1].clone()),
        blob("2.reverse", "2", "1", &|| {
            chain.reverses[1].clone().unwrap()
        }),
        blob("2.snapshot", "empty", "2", &|| snapshot(2)),
    ]
}

#[test]
fn published_changes_in_place_apply_and_hold_what_they_held() {
    tell(FOLDER, "in-place.json", &all);
}

#[test]
fn published_changes_in_place_remove_and_add_ordinals_of_studios_and_of_no_other_type() {
    let schema = Schema::parse(SCHEMA).unwrap();
    for published in &all()[1..3] {
        let blob = Blob::parse(published.bytes.clone().into()).unwrap();
        let list = |name: &str, kind: SectionKind| {
            let id = schema.find(name).unwrap();
            let is = |s: &grotto_format::blob::Section| s.type_id == id.0 && s.kind == kind;
            let at = blob.header.sections.iter().position(is).unwrap();
            decode_ordinals(&blob.section(at).unwrap(), 100).unwrap()
        };
        let both = |name| {
            (
                list(name, SectionKind::Removed),
                list(name, SectionKind::Added),
            )
        };
        let (gone, come) = both("Studio");
        assert_eq!((gone.len(), &gone), (2, &come), "{}", published.name);
        let (gone, come) = both("Film");
        assert_eq!((gone.len(), come.len()), (1, 1));
        assert_ne!(gone, come, "{}", published.name);
        let lists = schema.find("Studios").unwrap();
        assert!(blob.header.sections.iter().all(|s| s.type_id != lists.0));
    }
}

/// The bytes of a cycle do not change from build to build.
#[test]
fn published_changes_in_place_are_made_again_to_the_same_bytes() {
    let chain = chain();
    let made = [&chain.deltas[1], chain.reverses[1].as_ref().unwrap()];
    for (published, made) in all()[1..3].iter().zip(made) {
        assert_eq!(&&published.bytes, &made, "{}", published.name);
    }
}
