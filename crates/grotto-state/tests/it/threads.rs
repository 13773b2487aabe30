//! Full cycles on several threads: the same ordinals, blobs and errors as on one.

use crate::engine::{Chain, dump, flat, options};
use grotto_format::schema::{Schema, TypeId};
use grotto_state::{Cycle, Encoded, Mode, StateResult};
use std::fmt::Write;
use std::sync::Arc;

const SCHEMA: &str = "
    Film @PrimaryKey(id, part) { long id; int part; string title; Name country; Names names; Tags tags;
        Plain plain; Ratings ratings; Maker maker; }
    Maker @PrimaryKey(code) { int code; string text; Name name; }
    Loose { Name name; string more; }
    Name { string value; } Names List<Name>; Tags Set<Name> @HashKey(value); Plain Set<Maker>;
    Ratings Map<Name, Score>; Score { int stars; double weight; }";

fn schema() -> Arc<Schema> {
    Arc::new(Schema::parse(SCHEMA).unwrap())
}

fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (n ^ (n >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11
}

fn name(n: u64) -> String {
    format!("\"name {}\"", n % 701)
}

fn maker(code: u64) -> String {
    let name = name(code * 3);
    format!("{{\"code\":{code},\"text\":\"maker\",\"name\":{name}}}")
}

/// A film with everything, or with what `n` leaves of it.
fn film(id: u64, revision: u64) -> String {
    let n = mixed(id * 1000 + revision);
    let title = "title ".repeat((n % 13) as usize);
    let mut text = format!("{{\"id\":{id},\"part\":{},\"title\":\"{title}{n}\"", id % 3);
    let names = |count: u64| (0..count).map(|i| name(n / (i + 1))).collect::<Vec<_>>();
    if !n.is_multiple_of(5) {
        write!(text, ",\"country\":{}", name(n % 40)).unwrap();
        write!(text, ",\"names\":[{}]", names(n % 6).join(",")).unwrap();
    }
    if !n.is_multiple_of(7) {
        write!(text, ",\"tags\":[{}]", names(n % 4).join(",")).unwrap();
        let makers = [maker(n % 97), maker(n % 89)];
        write!(text, ",\"plain\":[{}]", makers.join(",")).unwrap();
    }
    if !n.is_multiple_of(3) {
        let score = format!("{{\"stars\":{},\"weight\":{}.5}}", n % 5, n % 11);
        let entry = format!("{{\"key\":{},\"value\":{score}}}", name(n));
        write!(text, ",\"ratings\":[{entry}],\"maker\":{}", maker(n % 97)).unwrap();
    }
    text + "}"
}

type Records = Vec<(TypeId, Vec<u8>)>;

/// Films with some makers and unkeyed records between them, at a revision each.
fn records(schema: &Schema, count: u64, revision: impl Fn(u64) -> Option<u64>) -> Records {
    let id = |name| schema.find(name).unwrap();
    let mut all = Vec::new();
    for n in 0..count {
        if let Some(revision) = revision(n) {
            all.push((id("Film"), flat(schema, id("Film"), &film(n, revision))));
        }
        if n % 50 == 0 && n < 2000 {
            all.push((id("Maker"), flat(schema, id("Maker"), &maker(100 + n))));
            let loose = format!("{{\"name\":{},\"more\":\"{}\"}}", name(n), n % 7);
            all.push((id("Loose"), flat(schema, id("Loose"), &loose)));
        }
    }
    all
}

fn fill(cycle: &mut Cycle, records: &Records, threads: usize) -> StateResult<()> {
    cycle.use_threads(threads);
    for (position, (id, flat)) in records.iter().enumerate() {
        match threads {
            0 => cycle.add(*id, flat, position as u64)?,
            _ => cycle.add_later(*id, flat, position as u64)?,
        }
    }
    Ok(())
}

fn full(chain: &Chain, records: &Records, threads: usize) -> StateResult<Option<Encoded>> {
    let mut cycle = chain.write.begin(&schema(), Mode::Full)?;
    fill(&mut cycle, records, threads)?;
    cycle.finish(&options(chain.write.state().version() + 1))
}

#[test]
fn threads_change_nothing_about_the_outcome() {
    let schema = schema();
    let versions: [&dyn Fn(u64) -> Option<u64>; 4] = [
        &|_| Some(0),
        &|n| Some(u64::from(n % 10 == 0)),
        &|n| (n % 11 != 0).then_some(0),
        &|n| Some(u64::from(n % 10 == 0)),
    ];
    let mut chains = [0, 1, 2, 5].map(|threads| (threads, Chain::new()));
    for revision in versions {
        let records = records(&schema, 12_000, revision);
        let outcomes = chains.each_mut().map(|(threads, chain)| {
            let encoded = full(chain, &records, *threads).unwrap();
            assert!(chain.commit(encoded));
            let blobs = (chain.deltas.last().cloned(), chain.reverses.last().cloned());
            (blobs, dump(chain.write.state()))
        });
        for other in &outcomes[1..] {
            assert!(*other == outcomes[0]);
        }
    }
    // The same records once more: nothing is found to be new.
    let records = records(&schema, 12_000, versions[3]);
    for (threads, chain) in &chains {
        assert!(full(chain, &records, *threads).unwrap().is_none());
    }
    let (_, last) = &chains[2];
    last.verify();
}

#[test]
fn the_first_error_is_told_whatever_the_number_of_threads() {
    let schema = schema();
    let film_id = schema.find("Film").unwrap();
    let mut broken = records(&schema, 12_000, |_| Some(0));
    let middle = broken.len() / 2;
    // Two makers of one code, a truncated record, a key that comes twice, a record without a key.
    let other = "{\"id\":1,\"part\":9,\"maker\":{\"code\":3,\"text\":\"another\"}}";
    broken[middle + 900] = (film_id, flat(&schema, film_id, other));
    broken[middle + 1900].1.truncate(9);
    broken[middle + 2900] = broken[17].clone();
    broken[middle + 3900] = (film_id, vec![0, 0]);
    let good = records(&schema, 12_000, |_| Some(0));
    let mut committed = Chain::new();
    let encoded = full(&committed, &good, 2).unwrap();
    assert!(committed.commit(encoded));
    for chain in [Chain::new(), committed] {
        for fixed in [None, Some(900), Some(1900), Some(2900)] {
            if let Some(fixed) = fixed {
                broken[middle + fixed] = good[middle + fixed].clone();
            }
            let told = [0, 2, 3].map(|threads| match full(&chain, &broken, threads) {
                Ok(_) => panic!("broken records were taken"),
                Err(error) => error.to_string(),
            });
            assert_eq!(told[0], told[1]);
            assert_eq!(told[0], told[2]);
        }
    }
}

#[test]
fn a_cycle_that_is_dropped_takes_its_threads_with_it() {
    let schema = schema();
    let records = records(&schema, 6_000, |_| Some(0));
    let chain = Chain::new();
    let mut cycle = chain.write.begin(&schema, Mode::Full).unwrap();
    fill(&mut cycle, &records, 2).unwrap();
    let state = Arc::downgrade(cycle.before());
    drop((cycle, chain));
    assert!(state.upgrade().is_none());
}

#[test]
fn records_of_several_sources_and_both_kinds_of_adding_mix() {
    let schema = schema();
    let records = records(&schema, 6_000, |_| Some(0));
    let chain = Chain::new();
    let mut cycle = chain.write.begin(&schema, Mode::Full).unwrap();
    cycle.use_threads(2);
    for (position, (id, flat)) in records.iter().enumerate() {
        if position % 2000 == 0 {
            cycle.set_source(&format!("source {position}"));
        }
        match position % 1500 {
            0 => cycle.add(*id, flat, position as u64).unwrap(),
            _ => cycle.add_later(*id, flat, position as u64).unwrap(),
        }
    }
    let mixed = cycle.finish(&options(1)).unwrap().unwrap();
    let plain = full(&chain, &records, 0).unwrap().unwrap();
    assert!(mixed.delta == plain.delta);
}

/// The delta of a first cycle that is given these records.
fn first_delta(schema: &Arc<Schema>, records: &Records, threads: usize) -> Vec<u8> {
    let chain = Chain::new();
    let mut cycle = chain.write.begin(schema, Mode::Full).unwrap();
    fill(&mut cycle, records, threads).unwrap();
    cycle.finish(&options(1)).unwrap().unwrap().delta
}

#[test]
fn records_larger_than_a_batch_are_taken_in_as_any_other() {
    let schema = schema();
    let mut records = records(&schema, 3_000, |_| Some(0));
    let film_id = schema.find("Film").unwrap();
    for n in 0..6 {
        let title = "long ".repeat(150_000 << (n % 3));
        let large = format!("{{\"id\":{},\"part\":0,\"title\":\"{title}\"}}", 9_000 + n);
        records[300 * n] = (film_id, flat(&schema, film_id, &large));
    }
    assert!(first_delta(&schema, &records, 0) == first_delta(&schema, &records, 2));
}

#[test]
fn a_cycle_without_records_is_the_same_on_several_threads() {
    let none = Records::new();
    assert!(first_delta(&schema(), &none, 0) == first_delta(&schema(), &none, 2));
}

#[test]
fn types_that_contain_themselves_and_keys_behind_references_are_taken_in_one_by_one() {
    let text = "Node @PrimaryKey(id) { long id; string text; Node next; }
        Item @PrimaryKey(label.value) { Label label; Node node; } Label { string value; }";
    let schema = Arc::new(Schema::parse(text).unwrap());
    let (node, item) = (schema.find("Node").unwrap(), schema.find("Item").unwrap());
    let padding = "text ".repeat(20);
    let mut records = Records::new();
    for n in 0..6_000_u64 {
        let inner = format!("{{\"id\":{},\"text\":\"{padding}\"}}", n / 2 + 10_000);
        let outer = format!("{{\"id\":{n},\"text\":\"{padding}{n}\",\"next\":{inner}}}");
        records.push((node, flat(&schema, node, &outer)));
        let labelled = format!("{{\"label\":\"label {n}\",\"node\":{inner}}}");
        records.push((item, flat(&schema, item, &labelled)));
    }
    assert!(first_delta(&schema, &records, 0) == first_delta(&schema, &records, 2));
}

#[test]
fn a_second_key_within_a_set_is_told_with_the_record_that_holds_it() {
    let schema = schema();
    let film_id = schema.find("Film").unwrap();
    let film = |id: u64, text: &str| {
        let maker = format!("{{\"code\":3,\"text\":\"{text}\"}}");
        let film = format!("{{\"id\":{id},\"part\":0,\"plain\":[{maker}]}}");
        (film_id, flat(&schema, film_id, &film))
    };
    let mut chain = Chain::new();
    let good = vec![film(1, "one"), film(2, "one")];
    let encoded = full(&chain, &good, 0).unwrap();
    assert!(chain.commit(encoded));
    // Found while the film is compared with the published one, which has another set.
    let broken = vec![film(1, "other"), film(2, "third")];
    let error = full(&chain, &broken, 0).unwrap_err().to_string();
    assert!(error.ends_with("record 0 and record 1"), "{error}");
}
