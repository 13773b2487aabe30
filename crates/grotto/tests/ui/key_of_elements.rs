//! Elements of a set and keys of a map are found by values of their own type.

use grotto::Record;
use std::collections::{HashMap, HashSet};

#[derive(Record)]
#[grotto(key(id))]
struct Product {
    id: i64,
    labels: HashSet<String>,
    prices: HashMap<i32, f64>,
    sizes: Vec<Vec<i32>>,
}

fn look_up(product: ProductRef<'_>) {
    let _ = product.labels().contains("new");
    let _ = product.labels().contains(7);
    let _ = product.prices().get(7);
    let _ = product.prices().get(7_i64);
    let _ = product.sizes().find(7);
}

fn main() {}
