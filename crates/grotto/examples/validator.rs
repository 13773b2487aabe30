//! A rule of one's own that a version must keep: `cargo run -p grotto --example validator`.

use grotto::producer::{Candidate, Validator};
use grotto::{AnyError, ErrorKind, Producer, Record, Store, StoreUrl};

#[derive(Record)]
#[grotto(key(sku))]
struct Price {
    sku: String,
    cents: i64,
}

/// No price changes by more than half at once.
struct NoJumps;

impl Validator for NoJumps {
    fn name(&self) -> &str {
        "no jumps"
    }

    fn validate(&self, candidate: &Candidate<'_>) -> Result<(), AnyError> {
        // Costs what changes, however many prices there are.
        for change in candidate.changes::<Price>()? {
            if let (Some(before), Some(after)) = (change.before(), change.after())
                && (after.cents() - before.cents()).abs() > before.cents() / 2
            {
                let (sku, cents) = (after.sku(), after.cents());
                return Err(format!("{sku}: {cents} instead of {}", before.cents()).into());
            }
        }
        Ok(())
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), AnyError> {
    let folder = tempfile::tempdir()?;
    let store = Store::open_writable(&StoreUrl::Local(folder.path().into()))?;
    let producer = Producer::builder("prices", store).declare::<Price>();
    let producer = producer.validator(NoJumps).open().await?;
    let publish = async |cents| {
        let mut cycle = producer.begin_incremental().await?;
        let sku = "tea".to_owned();
        cycle.upsert(&Price { sku, cents })?;
        cycle.commit().await
    };
    publish(450).await?;
    publish(470).await?;
    // A zero too many: nothing is published, and everybody keeps version 2.
    let refused = publish(4_900).await.err().ok_or("a jump")?;
    assert_eq!(
        (refused.kind(), producer.version()),
        (ErrorKind::Invalid, 2)
    );
    assert!(refused.to_string().contains("tea: 4900 instead of 470"));
    Ok(())
}
