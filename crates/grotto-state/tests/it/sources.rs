//! Positions in messages: each with the source it is a position of, whenever the message is made.

use crate::engine::{Chain, flat, options};
use grotto_format::schema::Schema;
use grotto_state::{Cycle, Mode, StateResult};
use std::sync::Arc;

const SCHEMA: &str = "Order @PrimaryKey(id) { long id; Customer customer; string text; }
    Customer @PrimaryKey(id) { long id; string name; }";

fn schema() -> Arc<Schema> {
    Arc::new(Schema::parse(SCHEMA).unwrap())
}

fn order(id: i64, name: &str) -> (&'static str, String) {
    (
        "Order",
        format!(r#"{{"id":{id},"customer":{{"id":7,"name":"{name}"}}}}"#),
    )
}

fn customer(id: i64, name: &str) -> (&'static str, String) {
    ("Customer", format!(r#"{{"id":{id},"name":"{name}"}}"#))
}

/// An order of about a batch's size, so that threads begin before the source ends.
fn large(id: i64) -> (&'static str, String) {
    (
        "Order",
        format!(r#"{{"id":{id},"text":"{}"}}"#, "x".repeat(300_000)),
    )
}

type Source = (&'static str, Vec<(&'static str, String)>);

fn fill(cycle: &mut Cycle, sources: &[Source], take: Take) -> StateResult<()> {
    let schema = Arc::clone(cycle.schema());
    for (name, records) in sources {
        cycle.set_source(name);
        for (line, (ty, text)) in (1..).zip(records) {
            let id = schema.find(ty).unwrap();
            take(cycle, id, &flat(&schema, id, text), line)?;
        }
    }
    Ok(())
}

type Take = fn(&mut Cycle, grotto_format::schema::TypeId, &[u8], u64) -> StateResult<()>;

fn refused(chain: &Chain, mode: Mode, threads: usize, sources: &[Source], take: Take) -> String {
    let mut cycle = chain.write.begin(&schema(), mode).unwrap();
    cycle.use_threads(threads);
    let version = chain.write.state().version() + 1;
    let filled = fill(&mut cycle, sources, take);
    let outcome = filled.and_then(|()| cycle.finish(&options(version)).map(|_| ()));
    outcome.expect_err("expected a duplicate key").to_string()
}

/// What every way of taking records in says of two places.
fn check(sources: &[Source], key: &str, expected: &str) {
    let expected = format!("type {key}: {expected}");
    let mut committed = Chain::new();
    let first = [order(1, "old"), order(2, "old"), customer(9, "old")];
    committed.full(&schema(), &first).unwrap();
    for chain in [&Chain::new(), &committed] {
        for threads in [0, 2, 3] {
            let told = refused(chain, Mode::Full, threads, sources, Cycle::add_later);
            assert_eq!(told, expected, "{threads} threads");
        }
        assert_eq!(refused(chain, Mode::Full, 0, sources, Cycle::add), expected);
    }
}

#[test]
fn both_places_of_a_key_are_told_with_their_own_source() {
    let sources = [
        ("ord.nd", vec![order(1, "old"), order(5, "new")]),
        ("cus.nd", vec![customer(3, "x"), customer(9, "old")]),
    ];
    check(
        &sources,
        "Customer",
        "duplicate key 7: ord.nd line 1 and ord.nd line 2",
    );
    let sources = [
        ("ord.nd", vec![order(1, "old"), order(2, "old")]),
        ("more.nd", vec![]),
        (
            "cus.nd",
            vec![customer(3, "x"), customer(9, "new"), customer(7, "new")],
        ),
    ];
    check(
        &sources,
        "Customer",
        "duplicate key 7: ord.nd line 1 and cus.nd line 3",
    );
    let sources = [
        ("a.nd", vec![order(8, "old"), order(1, "old")]),
        ("b.nd", vec![customer(1, "x")]),
        ("c.nd", vec![order(1, "old")]),
    ];
    check(
        &sources,
        "Order",
        "duplicate key 1: a.nd line 2 and c.nd line 1",
    );
}

#[test]
fn a_place_that_is_told_late_has_the_source_it_came_from() {
    let sources = [
        (
            "a.nd",
            vec![large(50), large(51), order(1, "old"), large(50)],
        ),
        ("b.nd", vec![large(60), large(61)]),
        ("c.nd", vec![large(70)]),
    ];
    check(
        &sources,
        "Order",
        "duplicate key 50: a.nd line 1 and a.nd line 4",
    );
}

#[test]
fn changes_of_several_sources_are_told_with_their_own() {
    let mut chain = Chain::new();
    let first = [order(1, "old"), order(2, "old"), customer(9, "old")];
    chain.full(&schema(), &first).unwrap();
    for (first, second) in [("old", "new"), ("new", "old"), ("new", "newer")] {
        let sources = [
            ("ord.nd", vec![order(6, first), order(1, first)]),
            ("cus.nd", vec![customer(9, "x"), customer(7, second)]),
        ];
        assert_eq!(
            refused(&chain, Mode::Incremental, 0, &sources, Cycle::upsert),
            "type Customer: duplicate key 7: ord.nd line 1 and cus.nd line 2"
        );
    }
}

#[test]
fn a_position_that_is_too_large_to_remember_is_not_told_wrong() {
    let mut chain = Chain::new();
    chain.full(&schema(), &[order(1, "old")]).unwrap();
    let schema = schema();
    let id = schema.find("Order").unwrap();
    let (_, text) = order(1, "old");
    let mut cycle = chain.write.begin(&schema, Mode::Full).unwrap();
    let flat = flat(&schema, id, &text);
    cycle.add(id, &flat, 1 << 40).unwrap();
    let error = cycle.add(id, &flat, (1 << 40) + 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "type Order: duplicate key 1: another record and record 1099511627777"
    );
}
