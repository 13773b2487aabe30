//! The records that everybody is asked for.
//!
//! Owns: their text, and that it says what the workload says. Never: asks anybody.

use anyhow::{Context, Result, ensure};
use grotto::{RecordType, State};
use grotto_bench::workload::Model;
use grotto_bench::workload::flat::{Flat, Product};
use grotto_bench::workload::rng::Rng;
use serde_json::{Value, json};

/// Longest text of one record.
const LONGEST: usize = 64 << 10;

/// Keys and texts, in the order of the workload.
#[derive(Debug)]
pub(crate) struct Records {
    /// The version that has them.
    pub(crate) version: u64,
    keys: Vec<i64>,
    texts: Vec<Box<str>>,
}

impl Records {
    /// The records of a state, whose texts are compared with those of the workload.
    pub(crate) fn of(state: &State, model: &Model<Flat>) -> Result<Self> {
        let id = state.schema().find(Product::TYPE).context("no products")?;
        let (mut keys, mut texts) = (Vec::new(), Vec::new());
        for product in model.records() {
            let record = state.find(id, product.id)?;
            let record = record.with_context(|| format!("no product {}", product.id))?;
            let mut text = String::new();
            record.to_json(&mut text, LONGEST)?;
            // All of them would take longer than everything else here.
            if keys.len() % 100 == 0 {
                check(&text, product)?;
            }
            keys.push(product.id);
            texts.push(text.into_boxed_str());
        }
        Ok(Self {
            version: state.version(),
            keys,
            texts,
        })
    }

    /// Positions of records, always the same ones for a seed.
    pub(crate) fn draw(&self, seed: u64, count: usize) -> Vec<usize> {
        let mut rng = Rng(seed);
        let mut draw = || rng.below(self.keys.len() as u64) as usize;
        (0..count).map(|_| draw()).collect()
    }

    /// Number of records.
    pub(crate) fn count(&self) -> usize {
        self.keys.len()
    }

    /// The key of the record at a position.
    pub(crate) fn key(&self, position: usize) -> i64 {
        self.keys[position]
    }

    /// The text of the record at a position.
    pub(crate) fn text(&self, position: usize) -> &str {
        &self.texts[position]
    }
}

fn check(text: &str, product: &Product) -> Result<()> {
    let found: Value = serde_json::from_str(text)?;
    let expected = json!({
        "id": product.id,
        "title": product.title,
        "cents": product.cents,
        "stock": product.stock,
        "category": product.category,
        "active": product.active,
        "updated_at": product.updated_at,
    });
    let mut rest = found.clone();
    let fields = rest.as_object_mut().context("a record is no object")?;
    let rating = fields.remove("rating").and_then(|value| value.as_f64());
    ensure!(
        rest == expected && rating.map(|rating| rating as f32) == Some(product.rating),
        "expected {product:?}, found {found}"
    );
    Ok(())
}
