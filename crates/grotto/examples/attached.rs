//! Several processes of a host, one copy of the dataset: one follows the store, the others map its state
//! directory. `cargo run -p grotto --example attached` starts itself once more as another one.
#![allow(clippy::print_stdout, reason = "it is what an example has to show")]

use grotto::{Consumer, Producer, Record, Store, StoreUrl};
use std::{env, error::Error, path::Path, process::Command, time::Duration};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

#[derive(Record)]
#[grotto(key(sku))]
struct Price {
    sku: String,
    cents: i64,
}

/// What any other process does: no runtime, no network, no store.
fn read(state_dir: &Path) -> Outcome {
    let prices = Consumer::attach(state_dir)?;
    let state = prices.wait_for(2, Duration::from_secs(30))?;
    let tea = state.get::<Price>("tea")?.ok_or("no tea")?;
    println!("{} cents", tea.cents());
    Ok(())
}

pub(crate) fn main() -> Outcome {
    env::var_os("PRICES").map_or_else(follow, |state_dir| read(state_dir.as_ref()))
}

#[tokio::main]
async fn follow() -> Outcome {
    let folder = tempfile::tempdir()?;
    let url = StoreUrl::Local(folder.path().join("store"));
    let state_dir = folder.path().join("state");
    let producer = Producer::builder("prices", Store::open_writable(&url)?).declare::<Price>();
    let producer = producer.open().await?;
    let mut cycle = producer.begin_cycle().await?;
    cycle.add_json("Price", r#"{"sku":"tea","cents":450}"#, 1)?;
    cycle.commit().await?;

    // One process follows, usually the sidecar of the host.
    let consumer = Consumer::builder("prices", Store::open(&url)?).state_dir(&state_dir);
    let consumer = consumer.start().await?;
    let mut other = Command::new(env::current_exe()?);
    // The arguments are for the test that runs this example.
    other.args(["examples::runs::attached", "--exact", "--nocapture"]);
    let other = other.env("PRICES", &state_dir);
    let mut cycle = producer.begin_incremental().await?;
    cycle.upsert_json("Price", r#"{"sku":"tea","cents":470}"#, 1)?;
    cycle.commit().await?;
    let seen = String::from_utf8(other.output()?.stdout)?;
    assert!(seen.contains("470 cents"), "{seen}");

    // Whoever follows may go away: readers keep what they have, and attach to it anew.
    consumer.shutdown().await;
    read(&state_dir)
}
