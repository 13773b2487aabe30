//! `grotto-lookups`: lookups of one kind and nothing else, for counting their instructions.
//!
//! Owns: the loops. Never: a measurement; that is done from outside, by valgrind.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "so that no lookup is optimised away")]

use anyhow::{Result, bail};
use clap::Parser;
use grotto::{RecordType, State};
use grotto_bench::engine::Engine;
use grotto_bench::workload::flat::{Flat, Product};
use grotto_bench::workload::{Model, Workload};

/// Looks records up, one key after the other.
#[derive(Debug, Parser)]
struct Arguments {
    /// `typed` binds once, `state` in each call, `untyped` not at all; `many` takes 128 keys a call.
    kind: String,
    /// Lookups. Run it with two numbers: the difference leaves out all that comes before.
    lookups: usize,
    /// Records of the dataset.
    #[arg(long, default_value_t = 2_000)]
    n: u64,
}

/// The number that a record is read for.
fn number(record: Option<<Product as grotto_state::typed::Element>::Ref<'_>>) -> i64 {
    record.map_or(0, Flat::number)
}

#[inline(never)]
fn typed(state: &State, keys: &[i64]) -> Result<i64> {
    let products = state.typed::<Product>()?;
    let read = |sum: i64, key: &i64| Ok(sum.wrapping_add(number(products.get(*key)?)));
    keys.iter().try_fold(0, read)
}

#[inline(never)]
fn by_state(state: &State, keys: &[i64]) -> Result<i64> {
    let read = |sum: i64, key: &i64| Ok(sum.wrapping_add(number(state.get::<Product>(*key)?)));
    keys.iter().try_fold(0, read)
}

#[inline(never)]
fn untyped(state: &State, keys: &[i64]) -> Result<i64> {
    let id = state.type_id(Product::TYPE)?;
    let read = |sum: i64, key: &i64| {
        let found = state.find(id, *key)?;
        Ok(sum.wrapping_add(found.map_or(0, |record| record.word(2).cast_signed())))
    };
    keys.iter().try_fold(0, read)
}

#[inline(never)]
fn many(state: &State, keys: &[i64]) -> Result<i64> {
    let products = state.typed::<Product>()?;
    let mut sum = 0_i64;
    for keys in keys.chunks(128) {
        for found in products.get_many(keys)? {
            sum = sum.wrapping_add(number(found));
        }
    }
    Ok(sum)
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut engine = Engine::new(Model::<Flat>::new(arguments.n))?;
    if let Some(first) = engine.full()? {
        engine.write.advance(first);
    }
    let (state, keys) = (engine.write.state(), engine.model.keys(arguments.lookups));
    let sum = match arguments.kind.as_str() {
        "typed" => typed(state, &keys)?,
        "state" => by_state(state, &keys)?,
        "untyped" => untyped(state, &keys)?,
        "many" => many(state, &keys)?,
        kind => bail!("expected typed, state, untyped or many, found {kind}"),
    };
    println!("{sum}");
    Ok(())
}
