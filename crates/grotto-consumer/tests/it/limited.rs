//! Consumers with limits that small tests are past.
//!
//! Owns: the limits, and accepting what is past them. Never: asserts what a consumer does.

use crate::kit::{DATASET, Kit};
use grotto_consumer::{Consumer, ConsumerBuilder, Guards};
use grotto_store::{Acceptance, Dataset};

pub(crate) fn tight() -> Guards {
    Guards {
        min_records: 50,
        min_growth: 50,
        min_bytes: 1_000,
        min_growth_bytes: 1_000,
        ..Guards::default()
    }
}

pub(crate) fn builder(kit: &Kit) -> ConsumerBuilder {
    Consumer::builder(DATASET, kit.store.clone()).guards(tight())
}

/// Has everybody serve a version that nobody accepted before.
pub(crate) async fn accept(kit: &Kit, version: u64) {
    let dataset = Dataset::open(kit.store.clone(), DATASET).unwrap();
    let note = Acceptance {
        by: "ada".to_owned(),
        reason: String::new(),
    };
    assert!(dataset.accept(version, &note).await.unwrap().1);
}
