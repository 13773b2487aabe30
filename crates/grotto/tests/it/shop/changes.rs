//! What changed, as records.

use super::{Product, Shop, Vendor, copied, product, told};
use grotto::consumer::{Change, Refresh};
use grotto::producer::{Candidate, Validator};
use grotto::{AnyError, Declarations, ErrorKind, Record, RecordRef};
use std::sync::{Arc, Mutex};

type Told = Vec<(Option<Product>, Option<Product>)>;

fn came(sku: &str, cents: i64) -> (Option<Product>, Option<Product>) {
    (None, Some(product(sku, cents)))
}

fn went(sku: &str, cents: i64) -> (Option<Product>, Option<Product>) {
    (Some(product(sku, cents)), None)
}

fn changed(sku: &str, cents: [i64; 2]) -> (Option<Product>, Option<Product>) {
    let [before, after] = cents.map(|cents| Some(product(sku, cents)));
    (before, after)
}

#[tokio::test]
async fn listeners_and_callers_get_every_record_that_changed_as_it_was_and_is() {
    let shop = Shop::open().await;
    shop.all(&[product("tea", 450), product("mug", 7)]).await;
    let heard: Arc<Mutex<Vec<Told>>> = Arc::default();
    let telling = Arc::clone(&heard);
    let listener = move |refresh: &Refresh| telling.lock().expect("told").push(told(refresh));
    let consumer = shop.consumer().on_refresh(listener).open().await;
    let consumer = consumer.expect("consumer");
    shop.put(&[product("tea", 470), product("pot", 9)]).await;
    shop.delete("mug").await;
    let refresh = consumer.refresh().await.expect("refresh").expect("news");
    let expected = vec![came("pot", 9), went("mug", 7), changed("tea", [450, 470])];
    assert_eq!(told::<Product>(&refresh), expected);
    let first = vec![came("mug", 7), came("tea", 450)];
    assert_eq!(*heard.lock().expect("told"), [first, expected]);
}

#[tokio::test]
async fn kinds_can_be_matched_and_removals_come_before_additions() {
    let shop = Shop::open().await;
    shop.all(&[product("tea", 450), product("mug", 7)]).await;
    let consumer = shop.consumer().open().await.expect("consumer");
    shop.all(&[product("tea", 470), product("pot", 9)]).await;
    let refresh = consumer.refresh().await.expect("refresh").expect("news");
    let kinds = refresh.changes::<Product>().expect("changes");
    let kinds: Vec<String> = kinds
        .map(|change| match change {
            Change::Added(product) => format!("+{}", product.sku()),
            Change::Removed(product) => format!("-{}", product.sku()),
            Change::Modified { before, after } => format!("{}>{}", before.cents(), after.cents()),
        })
        .collect();
    assert_eq!(kinds.len(), 3);
    assert_eq!(kinds[2], "+pot", "{kinds:?}");
    assert!(kinds.contains(&"-mug".to_owned()) && kinds.contains(&"450>470".to_owned()));
    let untyped = refresh.changes_of("Product").expect("changes").count();
    assert_eq!(untyped, 3);
}

#[tokio::test]
async fn a_record_that_went_and_came_back_is_told_once_and_one_that_is_as_before_not_at_all() {
    let shop = Shop::open().await;
    let all = [product("tea", 450), product("mug", 7), product("pot", 9)];
    shop.all(&all).await;
    let consumer = shop.consumer().open().await.expect("consumer");
    shop.delete("tea").await;
    shop.delete("mug").await;
    // Takes the place of one of them.
    shop.put(&[product("cup", 1)]).await;
    shop.put(&[product("mug", 7), product("tea", 470)]).await;
    shop.put(&[product("jar", 5)]).await;
    shop.delete("jar").await;
    let refresh = consumer.refresh().await.expect("refresh").expect("news");
    let moved = refresh.ordinals.get("Product").expect("moved records");
    assert!(moved.added.len() > 2, "nothing moved: {moved:?}");
    let expected = [came("cup", 1), changed("tea", [450, 470])];
    assert_eq!(told::<Product>(&refresh), expected);
}

#[tokio::test]
async fn a_snapshot_on_the_way_and_the_way_back_tell_the_same() {
    let shop = Shop::open().await;
    let first = shop.all(&[product("tea", 450), product("mug", 7)]).await;
    let consumer = shop.consumer().open().await.expect("consumer");
    let other = shop.consumer().open().await.expect("consumer");
    shop.delete("mug").await;
    shop.put(&[product("pot", 9), product("tea", 470)]).await;
    let by_deltas = consumer.refresh().await.expect("refresh").expect("news");
    let back = consumer.refresh_to(first).await.expect("back");
    let back = back.expect("another version");
    let mut reversed: Told = told(&by_deltas)
        .into_iter()
        .map(|(before, after)| (after, before))
        .collect();
    reversed.sort_by_key(|change| format!("{change:?}"));
    assert_eq!(told::<Product>(&back), reversed);
    assert_eq!((back.before().version(), back.after().version()), (3, 1));

    shop.producer.snapshot().await.expect("snapshot");
    shop.remove_deltas();
    let by_snapshot = other.refresh().await.expect("refresh").expect("news");
    assert_eq!(by_snapshot.steps[0].kind.name(), "snapshot");
    assert_eq!(told::<Product>(&by_snapshot), told::<Product>(&by_deltas));
}

#[tokio::test]
async fn of_a_dataset_created_anew_only_what_differs_is_told() {
    let mut shop = Shop::open().await;
    let fill: Vec<Product> = (0..40).map(|n| product(&format!("sku {n}"), n)).collect();
    shop.all(&fill).await;
    let consumer = shop.consumer().open().await.expect("consumer");
    shop.anew().await;
    let mut next: Vec<Product> = fill.into_iter().rev().skip(1).collect();
    next[3].cents += 100;
    let told_as = (next[3].sku.clone(), next[3].cents);
    shop.all(&next).await;
    let refresh = consumer.refresh().await.expect("refresh").expect("news");
    assert!(refresh.replaced);
    let changes = told::<Product>(&refresh);
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert_eq!(changes[1], went("sku 39", 39));
    let after = changes[0].1.as_ref().map(|it| (it.sku.clone(), it.cents));
    assert_eq!(after, Some(told_as));
}

#[tokio::test]
async fn a_record_does_not_change_with_one_that_it_refers_to_by_a_key() {
    let shop = Shop::open().await;
    let of = |city: &str| {
        let vendor = Vendor {
            code: "C".into(),
            city: city.into(),
        };
        Product {
            vendor: Some(vendor),
            ..product("tea", 450)
        }
    };
    shop.all(&[of("Ulm")]).await;
    let consumer = shop.consumer().open().await.expect("consumer");
    shop.put(&[of("Bern")]).await;
    let refresh = consumer.refresh().await.expect("refresh").expect("news");
    assert_eq!(told::<Product>(&refresh), []);
    let cities: Vec<_> = refresh
        .changes::<Vendor>()
        .expect("changes")
        .map(|change| {
            let city = |vendor: Option<super::VendorRef<'_>>| vendor.map(|v| v.city().to_owned());
            (city(change.before()), city(change.after()))
        })
        .collect();
    assert_eq!(cities, [(Some("Ulm".to_owned()), Some("Bern".to_owned()))]);
}

/// A type that comes and goes with its schema.
#[derive(Record, Clone, Debug, PartialEq)]
#[grotto(key(id))]
struct Offer {
    id: i64,
    percent: i64,
}

async fn offers(shop: &Shop, percents: &[i64]) {
    let percents = percents.to_vec();
    let published = shop.producer.run_incremental(move |cycle| {
        for (id, percent) in (0..).zip(percents) {
            cycle.upsert(&Offer { id, percent })?;
        }
        Ok(())
    });
    published.await.expect("cycle");
}

async fn with_offers(shop: &Shop) {
    let schema = Declarations::new().with::<Product>().with::<Offer>();
    let set = shop.producer.set_schema(schema.schema().expect("schema"));
    set.await.expect("compatible");
}

async fn without_offers(shop: &Shop, cents: i64) {
    let schema = Declarations::new().with::<Product>();
    let set = shop.producer.set_schema(schema.schema().expect("schema"));
    set.await.expect("compatible");
    shop.put(&[product("tea", cents)]).await;
}

#[tokio::test]
async fn a_type_that_comes_or_goes_or_comes_again_is_told_whole() {
    let shop = Shop::open().await;
    shop.all(&[product("tea", 450)]).await;
    let consumer = shop.consumer().open().await.expect("consumer");
    let refresh = async || consumer.refresh().await.expect("refresh").expect("news");
    let percents = |refresh: &Refresh| -> Vec<[Option<i64>; 2]> {
        let percent = |offer: Option<Offer>| offer.map(|offer| offer.percent);
        let told = told::<Offer>(refresh).into_iter();
        told.map(|(before, after)| [percent(before), percent(after)])
            .collect()
    };
    with_offers(&shop).await;
    offers(&shop, &[10, 20, 30]).await;
    let came = refresh().await;
    let expected = [[None, Some(10)], [None, Some(20)], [None, Some(30)]];
    assert_eq!(percents(&came), expected);

    without_offers(&shop, 460).await;
    with_offers(&shop).await;
    offers(&shop, &[10, 25]).await;
    let again = refresh().await;
    assert_eq!(percents(&again), [[Some(20), Some(25)], [Some(30), None]]);

    without_offers(&shop, 470).await;
    let gone = refresh().await;
    assert_eq!(percents(&gone), [[Some(10), None], [Some(25), None]]);
    assert!(!gone.ordinals.contains_key("Offer"));

    shop.put(&[product("tea", 480)]).await;
    let without = refresh().await;
    let error = without.changes::<Offer>().err().expect("no such type");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.message().contains("type Offer is not in the schema"),
        "{error}"
    );
}

#[derive(Record, Debug)]
#[grotto(key(sku), rename = "Product")]
struct Mistaken {
    sku: String,
    cents: String,
}

#[tokio::test]
async fn a_type_that_does_not_fit_is_an_error_before_anything_is_told() {
    let shop = Shop::open().await;
    shop.all(&[product("tea", 450)]).await;
    let consumer = shop.consumer().open().await.expect("consumer");
    shop.put(&[product("tea", 470)]).await;
    let refresh = consumer.refresh().await.expect("refresh").expect("news");
    let error = refresh.changes::<Mistaken>().err().expect("another type");
    assert_eq!(
        error.message(),
        "field Product.cents: expected string, found long"
    );
}

#[tokio::test]
async fn what_lives_at_an_ordinal_is_read_there() {
    let shop = Shop::open().await;
    shop.all(&[product("tea", 450)]).await;
    let consumer = shop.consumer().open().await.expect("consumer");
    let state = consumer.state();
    let products = state.typed::<Product>().expect("typed");
    let tea = products.get("tea").expect("key").expect("record");
    let ordinal = tea.record().expect("there").ordinal();
    assert_eq!(products.at(ordinal).map(|it| it.cents()), Some(450));
    assert!(products.at(ordinal + 1).is_none());
    assert!(products.at(u32::MAX).is_none());
}

/// Refuses prices that rise by more than half.
struct NoLeaps(Arc<Mutex<Vec<Told>>>);

impl Validator for NoLeaps {
    fn name(&self) -> &str {
        "no leaps"
    }

    fn validate(&self, candidate: &Candidate<'_>) -> Result<(), AnyError> {
        let changes: Told = candidate.changes::<Product>()?.map(copied).collect();
        self.0.lock().expect("told").push(changes);
        for change in candidate.changes::<Product>()? {
            let (Some(before), Some(after)) = (change.before(), change.after()) else {
                continue;
            };
            if after.cents() * 2 > before.cents() * 3 {
                let (sku, was, is) = (after.sku(), before.cents(), after.cents());
                return Err(format!("{sku} rises from {was} to {is} cents").into());
            }
        }
        candidate.changes_of("Nothing").map(drop)?;
        Ok(())
    }
}

#[tokio::test]
async fn validators_see_every_record_that_changes_as_it_was_and_would_be() {
    let shop = Shop::open().await;
    let seen: Arc<Mutex<Vec<Told>>> = Arc::default();
    let builder = grotto::Producer::builder("other", {
        let url = grotto::StoreUrl::Local(shop.state_dir());
        grotto::Store::open_writable(&url).expect("store")
    });
    let schema = Declarations::new().with::<Product>().with::<Nothing>();
    let builder = builder.schema(schema.schema().expect("schema"));
    let builder = builder.validator(NoLeaps(Arc::clone(&seen)));
    let other = Shop {
        producer: builder.open().await.expect("producer"),
        ..shop
    };
    other.all(&[product("tea", 450), product("mug", 7)]).await;
    other.put(&[product("tea", 470), product("pot", 9)]).await;
    let leap = other
        .producer
        .run_incremental(|cycle| Ok(cycle.upsert(&product("tea", 900))?));
    let error = leap.await.expect_err("a leap");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(
        error.message(),
        "validator no leaps: tea rises from 470 to 900 cents; nothing was published"
    );
    let seen = seen.lock().expect("told");
    assert_eq!(seen[0].len(), 2);
    assert_eq!(seen[1], [changed("tea", [450, 470]), came("pot", 9)]);
    assert_eq!(seen[2], [changed("tea", [470, 900])]);
}

#[derive(Record)]
#[grotto(key(id))]
struct Nothing {
    #[allow(dead_code, reason = "a type without records")]
    id: i64,
}
