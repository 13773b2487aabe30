//! Records without a key that collide in the public content hash, which is a sum of one hash for each
//! value.

use super::craft::word_with;
use super::{ID, Site, Way, flat, mixed};
use crate::write::{Cycle, Mode};
use grotto_format::checksum;
use grotto_format::schema::{Schema, TypeId};
use std::collections::BTreeSet;
use std::sync::Arc;

const SCHEMA: &str = "Pair { long a; long b; }";
/// The same pairs within another record, so that incremental cycles bring them too.
const NESTED: &str = "Order @PrimaryKey(id) { long id; Pair pair; } Pair { long a; long b; }";
const COUNT: u64 = 20_000;

/// Two longs each, all with one content hash.
fn crafted() -> Vec<[u64; 2]> {
    let [a, b] = ["a", "b"].map(|field| checksum::field_seed("Pair", field));
    let pair = |i: u64| [i, word_with(7_u64.wrapping_sub(checksum::fixed(a, i)), b)];
    (0..COUNT).map(pair).collect()
}

fn honest() -> Vec<[u64; 2]> {
    (0..COUNT).map(|i| [i, mixed(i + 1)]).collect()
}

#[test]
fn crafted_records_have_one_content_hash() {
    let site = Site::new(SCHEMA);
    let records: Vec<_> = crafted().iter().map(|pair| flat(pair)).collect();
    let cycle = site.full(&records, Way::OneByOne);
    let hashes: BTreeSet<u64> = cycle.stages[0].hashes.iter().copied().collect();
    assert_eq!(
        (hashes.len(), cycle.stages[0].batch.rows as u64),
        (1, COUNT)
    );
}

/// Records that are compared when each staged record of a type is looked for once.
fn compared_staged(cycle: &Cycle, id: TypeId) -> usize {
    let stage = &cycle.stages[id.index()];
    let mut compared = 0;
    for lookup in &stage.lookups {
        stage.table.find(*lookup, |other| {
            compared += usize::from(stage.lookups[*other as usize] == *lookup);
            false
        });
    }
    compared
}

/// The same of the committed records. Candidates are told apart by seven bits of the hash before they
/// are compared.
fn compared_committed(site: &Site, id: TypeId) -> usize {
    let children = &site.write.children[id.index()];
    let mut compared = 0;
    for record in site.state().scan(id) {
        children.by_content.find(record.value_hash(), |_| {
            compared += 1;
            false
        });
    }
    compared
}

#[test]
fn colliding_values_are_told_apart_in_full_cycles() {
    for way in [Way::OneByOne, Way::Bulk] {
        let costs = [crafted(), honest()].map(|pairs| {
            let records: Vec<_> = pairs.iter().map(|pair| flat(pair)).collect();
            let mut site = Site::new(SCHEMA);
            let cycle = site.full(&records, way);
            let staged = compared_staged(&cycle, ID);
            site.commit(cycle);
            site.write.check_invariants().unwrap();
            let committed = compared_committed(&site, ID);
            // The same records again are found among the committed ones.
            let again = site.full(&records, way);
            assert_eq!(again.stages[0].batch.rows, 0, "{way:?}");
            (staged, committed)
        });
        let [(staged, committed), (usual_staged, usual_committed)] = costs;
        assert_eq!((staged, usual_staged), (COUNT as usize, COUNT as usize));
        assert!(
            committed <= 3 * usual_committed,
            "{committed} beside {usual_committed}"
        );
    }
}

#[test]
fn colliding_values_are_told_apart_in_incremental_cycles() {
    let pair_id = Schema::parse(NESTED).unwrap().find("Pair").unwrap();
    let costs = [crafted(), honest()].map(|pairs| {
        let mut site = Site::new(NESTED);
        let nested = |(id, pair): (u64, &[u64; 2])| {
            let mut builder = grotto_format::flat::FlatBuilder::new();
            let mark = builder.begin_object();
            builder.field(0);
            builder.long(id as i64);
            builder.field(1);
            let inner = builder.begin_nested();
            builder.raw(&flat(pair));
            builder.end_nested(inner);
            builder.end_object(mark, 2);
            builder.bytes().to_vec()
        };
        let records: Vec<_> = (0..).zip(&pairs).map(nested).collect();
        let start = site.full(&records[..1_000], Way::Bulk);
        site.commit(start);
        for some in records[1_000..].chunks(1_900) {
            let cycle = site.upsert(some);
            site.commit(cycle);
        }
        site.write.check_invariants().unwrap();
        let committed = compared_committed(&site, pair_id);
        assert_eq!(site.state().count(pair_id), COUNT);
        committed
    });
    assert!(costs[0] <= 3 * costs[1], "{} beside {}", costs[0], costs[1]);
}

#[test]
fn records_are_found_again_after_their_schema_changed() {
    let mut site = Site::new(SCHEMA);
    let pairs = honest();
    let records: Vec<_> = pairs[..5_000].iter().map(|pair| flat(pair)).collect();
    let cycle = site.full(&records, Way::Bulk);
    site.commit(cycle);
    // The fields change places, and one comes.
    site.schema = Arc::new(Schema::parse("Pair { long c; long b; long a; }").unwrap());
    let swapped: Vec<_> = pairs[..6_000]
        .iter()
        .map(|[a, b]| {
            let mut builder = grotto_format::flat::FlatBuilder::new();
            let mark = builder.begin_object();
            builder.field(2);
            builder.long(*a as i64);
            builder.field(1);
            builder.long(*b as i64);
            builder.end_object(mark, 2);
            builder.bytes().to_vec()
        })
        .collect();
    for way in [Way::OneByOne, Way::Bulk] {
        let cycle = site.full(&swapped, way);
        assert_eq!(cycle.stages[0].batch.rows, 1_000, "{way:?}");
    }
    let cycle = site.full(&swapped, Way::Bulk);
    site.commit(cycle);
    site.write.check_invariants().unwrap();
    // One goes again, with its values.
    site.schema = Arc::new(Schema::parse("Pair { long a; }").unwrap());
    let rest: Vec<_> = pairs[..6_000].iter().map(|[a, _]| flat(&[*a])).collect();
    let cycle = site.full(&rest, Way::Bulk);
    site.commit(cycle);
    site.write.check_invariants().unwrap();
    assert_eq!(site.state().count(ID), 6_000);
}

#[test]
fn a_cycle_that_is_still_held_costs_a_copy_of_what_changes() {
    let mut site = Site::new(NESTED);
    let nested = |id: u64| {
        let mut builder = grotto_format::flat::FlatBuilder::new();
        let mark = builder.begin_object();
        builder.field(0);
        builder.long(id as i64);
        builder.field(1);
        let inner = builder.begin_nested();
        builder.raw(&flat(&[id, mixed(id)]));
        builder.end_nested(inner);
        builder.end_object(mark, 2);
        builder.bytes().to_vec()
    };
    let records: Vec<_> = (0..60_000).map(nested).collect();
    let cycle = site.full(&records, Way::Bulk);
    site.commit(cycle);
    let pair = site.schema.find("Pair").unwrap().index();
    let held = site.write.begin(&site.schema, Mode::Incremental).unwrap();
    let before = held.children[pair].clone();
    let cycle = site.upsert(&[nested(100_000), nested(100_001)]);
    site.commit(cycle);
    site.write.check_invariants().unwrap();
    let after = &site.write.children[pair];
    let (tables, of_tables) = after.by_content.unlike(&before.by_content);
    let (pages, of_pages) = after.references.unlike(&before.references);
    assert!(
        of_tables > 50 && of_pages > 10,
        "{of_tables} tables, {of_pages} pages"
    );
    assert!(
        tables <= 4 && pages <= 2,
        "{tables} tables and {pages} pages were copied"
    );
    // What is held still says what it said.
    assert_eq!(held.children[pair].by_content.len(), 60_000);
}
