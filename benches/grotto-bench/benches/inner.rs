//! Inner loops: what a lookup, a row, a column and a block cost by themselves.
//!
//! Owns: benchmarks through the public interface, on datasets that fit the cache of most machines,
//! so that they show instructions and not memory. Never: a figure that anything is promised by.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has nothing better to do than to stop"
)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use grotto::RecordType;
use grotto_bench::engine::{Engine, apply, parse};
use grotto_bench::workload::flat::{Flat, Product};
use grotto_bench::workload::{Model, Workload};
use grotto_format::batch::{Batch, Column, ColumnKind, Value, columns_of};
use grotto_format::flat::FlatBuilder;
use grotto_format::json;
use grotto_format::schema::Schema;
use std::hint::black_box;

const N: u64 = 50_000;
const LOOKUPS: usize = 10_000;

fn engine() -> Engine<Flat> {
    let mut engine = Engine::new(Model::<Flat>::new(N)).unwrap();
    let first = engine.full().unwrap().unwrap();
    engine.write.advance(first);
    engine
}

fn lookups(c: &mut Criterion) {
    let engine = engine();
    let state = engine.loaded().unwrap();
    let (keys, misses) = (engine.model.keys(LOOKUPS), engine.model.misses(LOOKUPS));
    let id = state.type_id(Product::TYPE).unwrap();
    let typed = state.typed::<Product>().unwrap();
    let mut group = c.benchmark_group("lookup");
    group.throughput(Throughput::Elements(LOOKUPS as u64));
    group.bench_function("hit", |b| {
        b.iter(|| {
            keys.iter()
                .filter(|key| matches!(state.find(id, *key), Ok(Some(_))))
                .count()
        });
    });
    group.bench_function("miss", |b| {
        b.iter(|| {
            misses
                .iter()
                .filter(|key| matches!(state.find(id, *key), Ok(Some(_))))
                .count()
        });
    });
    group.bench_function("many", |b| {
        b.iter(|| state.find_many(id, &keys).unwrap().len())
    });
    group.bench_function("typed", |b| {
        let cents = |key: &i64| {
            typed
                .get(*key)
                .unwrap()
                .map_or(0, |product| product.cents())
        };
        b.iter(|| keys.iter().map(cents).fold(0, i32::wrapping_add));
    });
    group.bench_function("typed by state", |b| {
        let cents = |key: &i64| {
            state
                .get::<Product>(*key)
                .unwrap()
                .map_or(0, |product| product.cents())
        };
        b.iter(|| keys.iter().map(cents).fold(0, i32::wrapping_add));
    });
    group.finish();
}

fn rows(c: &mut Criterion) {
    let engine = engine();
    let state = engine.loaded().unwrap();
    let id = state.type_id(Product::TYPE).unwrap();
    let records: Vec<_> = state.scan(id).take(LOOKUPS).collect();
    let mut group = c.benchmark_group("row");
    group.throughput(Throughput::Elements(LOOKUPS as u64));
    group.bench_function("number", |b| {
        b.iter(|| {
            records
                .iter()
                .map(|record| record.word(2))
                .fold(0, u64::wrapping_add)
        });
    });
    group.bench_function("text", |b| {
        b.iter(|| {
            records
                .iter()
                .map(|record| record.text(1).len())
                .sum::<usize>()
        });
    });
    group.throughput(Throughput::Elements(N));
    group.bench_function("scan", |b| {
        b.iter(|| {
            state
                .scan(id)
                .map(|record| record.word(2))
                .fold(0, u64::wrapping_add)
        });
    });
    group.finish();
}

/// The columns `title` and `cents` of the workload, encoded.
fn encoded(kinds: &[ColumnKind], model: &Model<Flat>) -> (Batch, Vec<Vec<u8>>) {
    let mut batch = Batch::new(kinds);
    for product in model.records() {
        batch.columns[0].push(Value::Var(product.title.as_bytes()));
        batch.columns[1].push(Value::Fixed(product.cents as u64));
        batch.rows += 1;
    }
    let rows: Vec<u32> = (0..batch.rows as u32).collect();
    let columns = batch.columns.iter().zip(kinds).map(|(column, kind)| {
        let mut bytes = Vec::new();
        column.encode(*kind, &rows, &mut bytes);
        bytes
    });
    let columns = columns.collect();
    (batch, columns)
}

fn columns(c: &mut Criterion) {
    let schema = Schema::parse(Flat::SCHEMA).unwrap();
    let kinds = columns_of(schema.get(schema.find(Product::TYPE).unwrap()));
    let kinds = [kinds[1], kinds[2]];
    assert!(matches!(kinds[0], ColumnKind::Var(_)) && matches!(kinds[1], ColumnKind::Fixed(_)));
    let (batch, bytes) = encoded(&kinds, &Model::<Flat>::new(N));
    let rows: Vec<u32> = (0..batch.rows as u32).collect();
    let mut group = c.benchmark_group("column");
    group.throughput(Throughput::Elements(N));
    for (position, name) in ["text", "number"].into_iter().enumerate() {
        let (kind, bytes) = (kinds[position], &bytes[position]);
        group.bench_function(format!("decode {name}"), |b| {
            b.iter(|| {
                Column::decode(kind, N as usize, black_box(bytes))
                    .unwrap()
                    .len()
            });
        });
        group.bench_function(format!("encode {name}"), |b| {
            b.iter(|| {
                let mut out = Vec::new();
                batch.columns[position].encode(kind, &rows, &mut out);
                out.len()
            });
        });
    }
    group.finish();
}

/// Deltas over one state: one that touches few blocks, one that touches all of them, and one that
/// builds all of them.
fn blocks(c: &mut Criterion) {
    let mut engine = engine();
    let snapshot = parse(engine.snapshot().unwrap()).unwrap();
    let state = engine.loaded().unwrap();
    let few = parse(engine.publish(10).unwrap()).unwrap();
    let mut group = c.benchmark_group("blocks");
    group.bench_function("patch for 10 changes", |b| {
        b.iter(|| apply(&state, &few).unwrap())
    });
    let state = engine.loaded().unwrap();
    let many = parse(engine.publish(N / 10).unwrap()).unwrap();
    group.bench_function("rebuild for 10 % changes", |b| {
        b.iter(|| apply(&state, &many).unwrap())
    });
    let empty = grotto_bench::engine::empty();
    group.bench_function("build", |b| b.iter(|| apply(&empty, &snapshot).unwrap()));
    group.finish();
}

fn records(c: &mut Criterion) {
    let mut engine = engine();
    let schema = Schema::parse(Flat::SCHEMA).unwrap();
    let id = schema.find(Product::TYPE).unwrap();
    let mut flat = FlatBuilder::new();
    engine
        .model
        .workload()
        .write(&engine.model.records()[0], &mut flat);
    let mut text = String::new();
    json::encode(&schema, id, flat.bytes(), &mut text).unwrap();
    let mut group = c.benchmark_group("record");
    group.bench_function("from JSON", |b| {
        b.iter(|| {
            flat.clear();
            json::decode(&schema, id, black_box(&text), &mut flat)
        });
    });
    group.throughput(Throughput::Elements(1_200));
    group.bench_function("incremental cycle of 1,200", |b| {
        b.iter_batched(
            || (),
            |()| {
                let changes = engine.model.step(1_000);
                let encoded = engine.incremental(&changes).unwrap();
                engine.write.advance(encoded);
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(inner, lookups, rows, columns, blocks, records);
criterion_main!(inner);
