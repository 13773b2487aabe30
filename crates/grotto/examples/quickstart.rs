//! A producer, a consumer and an attached reader in one process, over a folder as the store:
//! `cargo run -p grotto --example quickstart`.
//!
//! Usually the three are in different processes, on different hosts even; nothing but the folder
//! connects them here either.
#![allow(clippy::print_stdout, reason = "it is what an example has to show")]
#![allow(clippy::disallowed_methods, reason = "an example waits in real time")]

use grotto::{Consumer, Declarations, Producer, Record, Store, StoreUrl};
use std::time::Duration;

#[derive(Record)]
#[grotto(key(geonameid))]
struct City {
    geonameid: i64,
    name: String,
    /// Stored once per country, however many cities it has.
    #[grotto(dedup)]
    country: Option<String>,
    population: i64,
    alternatenames: Vec<String>,
}

fn city(geonameid: i64, name: &str, country: &str, population: i64) -> City {
    let alternatenames = vec![name.to_uppercase()];
    let (name, country) = (name.to_owned(), Some(country.to_owned()));
    City {
        geonameid,
        name,
        country,
        population,
        alternatenames,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let url = StoreUrl::parse(&folder.path().join("store").to_string_lossy())?;

    // Publish everything there is.
    let schema = Declarations::new().with::<City>().schema()?;
    let store = Store::open_writable(&url)?;
    let producer = Producer::builder("cities", store)
        .schema(schema)
        .open()
        .await?;
    let first = producer.run_cycle(|cycle| {
        cycle.add(&city(2_950_159, "Berlin", "DE", 3_426_354))?;
        cycle.add(&city(2_988_507, "Paris", "FR", 2_138_551))?;
        Ok(())
    });
    if let Some(published) = first.await? {
        println!(
            "published version {}: {} records",
            published.version, published.records
        );
    }

    // Follow it. The state a reader holds stays the same version for as long as it is held.
    let state_dir = folder.path().join("state");
    let consumer = Consumer::builder("cities", Store::open(&url)?).state_dir(&state_dir);
    let consumer = consumer.start().await?;
    let before = consumer.state();
    let seen = before.version();

    // Any number of processes map the same state, without network and without a copy.
    let attached = Consumer::attach(&state_dir)?;

    // Publish one change; the consumer applies just that.
    let paris = city(2_988_507, "Paris", "FR", 2_145_906);
    let second = producer
        .run_incremental(move |cycle| Ok(cycle.upsert(&paris)?))
        .await?;
    let newest = second.map_or(before.version(), |published| published.version);
    let after = consumer.wait_for(newest, Duration::from_secs(10)).await?;

    for state in [before, after] {
        let cities = state.typed::<City>()?;
        for city in cities
            .get_many(&[2_950_159, 2_988_507])?
            .into_iter()
            .flatten()
        {
            let (name, country) = (city.name(), city.country().unwrap_or("?"));
            let (version, also) = (
                state.version(),
                city.alternatenames().get(0).unwrap_or_default(),
            );
            println!(
                "version {version}: {name} ({country}, also {also}), {} people",
                city.population()
            );
        }
    }
    let shared = attached.wait_past(seen, Duration::from_secs(10))?;
    let paris = shared.get::<City>(2_988_507)?.map(|city| city.population());
    println!(
        "an attached reader sees version {}: {paris:?} people in Paris",
        shared.version()
    );

    attached.shutdown();
    consumer.shutdown().await;
    producer.finish().await?;
    Ok(())
}
