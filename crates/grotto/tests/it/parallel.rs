//! Typed records on several threads.

use crate::build::state_of;
use grotto::{Record, State};
use std::sync::Arc;

#[derive(Record)]
#[grotto(key(id))]
struct Product {
    id: i64,
    name: String,
    tags: Vec<String>,
}

fn products(count: i64) -> Arc<State> {
    let product = |id: i64| Product {
        id,
        name: format!("product {id}"),
        tags: vec![format!("tag {}", id % 7)],
    };
    state_of(&(0..count).map(product).collect::<Vec<_>>())
}

#[test]
fn parts_of_a_type_are_its_records_in_order() {
    for count in [0, 1, 2_000, 20_000] {
        let state = products(count);
        let products = state.typed::<Product>().expect("typed");
        let all: Vec<&str> = products.iter().map(|product| product.name()).collect();
        assert_eq!(all.len(), count as usize);
        for parts in [0, 1, 2, 5, 64] {
            let parts = products.split(parts);
            let joined: Vec<&str> = parts
                .into_iter()
                .flatten()
                .map(|product| product.name())
                .collect();
            assert_eq!(joined, all);
        }
    }
}

#[test]
fn a_fold_on_many_threads_is_that_on_one() {
    let state = products(20_000);
    let products = state.typed::<Product>().expect("typed");
    assert!(products.split(8).len() > 4, "the test needs several blocks");
    let tagged = |threads| {
        products.par_fold(
            threads,
            Vec::new,
            |mut ids, product| {
                if product.tags().iter().any(|tag| tag == "tag 3") {
                    ids.push(product.id());
                }
                ids
            },
            |mut first, second| {
                first.extend(second);
                first
            },
        )
    };
    let one = tagged(1);
    assert_eq!(
        one,
        (0..20_000).filter(|id| id % 7 == 3).collect::<Vec<i64>>()
    );
    for threads in [2, 3, 8] {
        assert_eq!(tagged(threads), one, "{threads} threads");
    }
}

#[test]
fn parts_go_to_threads_that_the_program_has_anyway() {
    let state = products(20_000);
    let products = state.typed::<Product>().expect("typed");
    let (sender, results) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for part in products.split(4) {
            let sender = sender.clone();
            scope.spawn(move || sender.send(part.map(|product| product.id()).sum::<i64>()));
        }
    });
    drop(sender);
    assert_eq!(results.iter().sum::<i64>(), (0..20_000).sum::<i64>());
}
