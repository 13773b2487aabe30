//! Grotto: a consumer on the heap that loaded a snapshot from a store in a folder.
//!
//! Owns: nothing but the wiring; the deployment is the one of Grotto's own measurements.

use super::{Engine, Read, ends};
use anyhow::Result;
use grotto::{State, Typed};
use grotto_bench::deploy::Deployment;
use grotto_bench::workload::Model;
use grotto_bench::workload::flat::{Flat, Product, ProductRef};
use std::path::Path;
use std::sync::Arc;

/// Keys of one `get_many`.
const MANY: usize = 128;

struct Served(Arc<State>);

pub(super) fn build(model: &Model<Flat>, folder: &Path) -> Result<Box<dyn Engine>> {
    let deployment = Deployment::new(Some(folder), Model::<Flat>::new(model.n()))?;
    let consumer = deployment.consumer(None)?;
    let state = consumer.state();
    deployment.verify(&state)?;
    Ok(Box::new(Served(state)))
}

fn sum(
    typed: &Typed<'_, Product>,
    keys: &[i64],
    read: impl Fn(ProductRef<'_>) -> i64,
) -> Result<i64> {
    let mut sum = 0_i64;
    for key in keys {
        if let Some(product) = typed.get(*key)? {
            sum = sum.wrapping_add(read(product));
        }
    }
    Ok(sum)
}

fn sum_many(
    typed: &Typed<'_, Product>,
    keys: &[i64],
    read: impl Fn(ProductRef<'_>) -> i64,
) -> Result<i64> {
    let mut sum = 0_i64;
    for keys in keys.chunks(MANY) {
        for product in typed.get_many(keys)?.into_iter().flatten() {
            sum = sum.wrapping_add(read(product));
        }
    }
    Ok(sum)
}

impl Engine for Served {
    fn read(&self, read: Read, keys: &[i64]) -> Result<Option<i64>> {
        let typed = self.0.typed::<Product>()?;
        let number = |product: ProductRef<'_>| i64::from(product.cents());
        let text = |product: ProductRef<'_>| ends(product.title().as_bytes());
        Ok(Some(match read {
            Read::Number => sum(&typed, keys, number)?,
            Read::Text => sum(&typed, keys, text)?,
            Read::Many => sum_many(&typed, keys, number)?,
            Read::ManyText => sum_many(&typed, keys, text)?,
            Read::Miss => sum(&typed, keys, |_| 1)?,
            Read::Scan => typed.iter().map(number).fold(0, i64::wrapping_add),
        }))
    }
}
