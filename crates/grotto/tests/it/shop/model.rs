//! Changes of random histories against a map of what was there.

use super::{Product, Shop, product, told};
use grotto::consumer::StepKind;
use std::collections::{BTreeMap, BTreeSet, HashSet};

type Stock = BTreeMap<String, Product>;

/// A generator of numbers that repeats.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn expected(before: &Stock, after: &Stock) -> Vec<(Option<Product>, Option<Product>)> {
    let skus: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let pairs = skus
        .into_iter()
        .map(|sku| (before.get(sku).cloned(), after.get(sku).cloned()));
    let mut changes: Vec<_> = pairs.filter(|(before, after)| before != after).collect();
    changes.sort_by_key(|change| format!("{change:?}"));
    changes
}

/// Gives the kinds of steps that were gone.
async fn history(seed: u64) -> HashSet<StepKind> {
    let mut kinds = HashSet::new();
    let shop = Shop::open().await;
    let mut numbers = Numbers(seed);
    let mut stock = Stock::new();
    let mut versions: BTreeMap<u64, Stock> = BTreeMap::new();
    let consumer = shop.consumer().wait_for_dataset(true).open().await;
    let consumer = consumer.expect("consumer");
    versions.insert(consumer.version(), Stock::new());
    for _ in 0..40 {
        for _ in 0..=numbers.below(4) {
            let sku = format!("sku {}", numbers.below(12));
            match numbers.below(3) {
                0 => drop(stock.remove(&sku)),
                _ => drop(stock.insert(sku.clone(), product(&sku, numbers.below(6) as i64))),
            }
        }
        let all: Vec<Product> = stock.values().cloned().collect();
        let published = shop.producer.run_cycle(move |cycle| {
            all.iter().try_for_each(|one| cycle.add(one))?;
            Ok(())
        });
        if let Some(published) = published.await.expect("cycle") {
            versions.insert(published.version, stock.clone());
        }
        let moved = match numbers.below(5) {
            0 => consumer.follow().await,
            1 => {
                let nth = numbers.below(versions.len() as u64) as usize;
                let version = versions.keys().copied().nth(nth).unwrap_or_default();
                consumer.refresh_to(version.max(1)).await
            }
            2 => {
                shop.producer.snapshot().await.expect("snapshot");
                shop.remove_deltas();
                consumer.follow().await
            }
            _ => continue,
        };
        // Some versions cannot be reached any more.
        let Ok(Some(moved)) = moved else { continue };
        kinds.extend(moved.steps.iter().map(|step| step.kind));
        let [before, after] = [moved.from, moved.to].map(|version| &versions[&version]);
        assert_eq!(
            told::<Product>(&moved),
            expected(before, after),
            "seed {seed}, {moved:?}"
        );
    }
    kinds
}

#[tokio::test]
async fn changes_are_those_of_a_model_whatever_way_a_refresh_takes() {
    let mut kinds = HashSet::new();
    for seed in 1..=4 {
        kinds.extend(history(seed).await);
    }
    for kind in [StepKind::Snapshot, StepKind::Delta, StepKind::Reverse] {
        assert!(kinds.contains(&kind), "never went by {kind}");
    }
}
