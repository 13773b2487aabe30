//! Deleting by key, and whether there was something to delete.

use crate::build::schema_of;
use grotto::producer::Producer;
use grotto::store::{Store, StoreUrl};
use grotto::{Record, State};

#[derive(Record, Clone, Debug)]
#[grotto(key(shelf, name))]
struct Product {
    shelf: i64,
    name: String,
}

fn product(shelf: i64) -> Product {
    let name = format!("p{shelf}");
    Product { shelf, name }
}

async fn producer(count: i64) -> Producer {
    let url = StoreUrl::parse("memory:").expect("url");
    let store = Store::open_writable(&url).expect("store");
    let producer = Producer::builder("shop", store)
        .schema(schema_of::<Product>())
        .open()
        .await
        .expect("producer");
    let filled = producer
        .run_cycle(move |cycle| Ok((0..count).try_for_each(|shelf| cycle.add(&product(shelf)))?));
    filled.await.expect("cycle").expect("a version");
    producer
}

fn shelves(state: &State) -> Vec<i64> {
    let typed = state.typed::<Product>().expect("typed");
    let mut shelves: Vec<i64> = typed.iter().map(|product| product.shelf()).collect();
    shelves.sort_unstable();
    shelves
}

#[tokio::test]
async fn a_delete_tells_whether_there_was_a_record_and_counts_what_the_cycle_did_before() {
    let producer = producer(4).await;
    let done = producer.run_incremental(|cycle| {
        assert!(cycle.delete::<Product>((0, "p0"))?);
        assert!(!cycle.delete::<Product>((0, "p0"))?, "deleted already");
        assert!(!cycle.delete::<Product>((1, "p0"))?, "another key");
        cycle.upsert(&product(9))?;
        assert!(cycle.delete::<Product>((9, "p9"))?, "upserted by the cycle");
        cycle.upsert(&product(0))?;
        let name = String::from("p0");
        assert!(cycle.delete::<Product>((0, &name))?, "upserted again");
        assert!(cycle.delete_from("Product", (3_i64, "p3"))?);
        cycle.upsert(&product(3))?;
        Ok(())
    });
    done.await.expect("cycle").expect("a version");
    assert_eq!(shelves(&producer.state()), [1, 2, 3]);
}

#[tokio::test]
async fn what_a_failed_transaction_deleted_is_there_again() {
    let producer = producer(3).await;
    let done = producer.run_incremental(|cycle| {
        cycle.upsert(&product(7))?;
        assert!(cycle.delete::<Product>((1, "p1"))?);
        let failed = cycle.transaction(|cycle| {
            assert!(cycle.delete::<Product>((0, "p0"))?);
            assert!(cycle.delete::<Product>((7, "p7"))?);
            cycle.upsert(&product(1))?;
            assert!(cycle.delete::<Product>((1, "p1"))?);
            cycle.upsert(&product(8))?;
            assert!(cycle.delete::<Product>((8, "p8"))?);
            cycle.delete_from("Product", "p0")?;
            Ok(())
        });
        let error = failed.expect_err("one field of two").to_string();
        assert!(
            error.contains("expected a key of 2 fields (long shelf, string name)"),
            "{error}"
        );
        assert!(
            !cycle.delete::<Product>((1, "p1"))?,
            "deleted before the transaction"
        );
        assert!(!cycle.delete::<Product>((8, "p8"))?, "upserted within it");
        assert!(cycle.delete::<Product>((0, "p0"))?);
        assert!(cycle.delete::<Product>((7, "p7"))?);
        Ok(())
    });
    done.await.expect("cycle").expect("a version");
    assert_eq!(shelves(&producer.state()), [2]);
}
