//! References to records with a key: they mean "the record with that key", whatever it holds.

use crate::engine::{Chain, dump};
use grotto_format::schema::Schema;
use std::sync::Arc;

const SHOP: &str = "Order @PrimaryKey(id) { long id; Customer customer; }
    Customer @PrimaryKey(id) { long id; string name; String town; } String { string value; }";

fn customer(id: i64, name: &str) -> String {
    format!(r#"{{"id":{id},"name":"{name}","town":"town of {name}"}}"#)
}

fn order(id: i64, of: i64, name: &str) -> String {
    format!(r#"{{"id":{id},"customer":{}}}"#, customer(of, name))
}

#[test]
fn a_record_that_others_refer_to_is_updated_where_it_is() {
    let schema = Arc::new(Schema::parse(SHOP).unwrap());
    let mut chain = Chain::new();
    let orders: Vec<_> = (0..3).map(|id| ("Order", order(id, 7, "old"))).collect();
    chain.full(&schema, &orders).unwrap();
    let before = chain.write.state();
    let (of_orders, of_customers) = (
        schema.find("Order").unwrap(),
        schema.find("Customer").unwrap(),
    );
    let ordinal = before.find(of_customers, 7).unwrap().unwrap().ordinal();
    let changed = [("Customer", Ok(customer(7, "new")))];
    assert!(chain.incremental(&schema, &changed).unwrap());
    let state = chain.write.state();
    let found = state.find(of_customers, 7).unwrap().unwrap();
    assert_eq!((found.ordinal(), found.text(1)), (ordinal, "new"));
    assert_eq!(state.count(of_customers), 1);
    for id in 0..3 {
        let text = dump(state).remove(&(
            "Order".into(),
            state.find(of_orders, id).unwrap().unwrap().ordinal(),
        ));
        assert_eq!(text, Some(order(id, 7, "new")));
    }
    chain.write.check_invariants().unwrap();
    chain.verify();
}
