//! What the start of a sidecar would trip over.
//!
//! Owns: looking at its names, folders, token and port. Never: refuses a folder that cannot be written to: commands that
//! only read it take the same section.

use super::{
    Broken, look_at_bucket, look_at_name, look_at_port, look_at_push, look_at_token, unusable,
};
use crate::config::ConsumerSettings;
use grotto::StoreUrl;

pub(super) fn look_at(consumer: &ConsumerSettings, notes: &mut Vec<String>) -> Result<(), Broken> {
    for (index, dataset) in consumer.datasets().iter().enumerate() {
        let at = match consumer.listed.is_empty() {
            true => "consumer".to_owned(),
            false => format!("consumer.datasets.{index}"),
        };
        if let Some(name) = &dataset.dataset {
            look_at_name(&at, name)?;
        }
        for (key, store) in [
            ("store", &dataset.store),
            ("fallback_store", &dataset.fallback_store),
        ] {
            if let Some(bucket @ StoreUrl::Bucket(_)) = store {
                look_at_bucket(format!("{at}.{key}"), bucket)?;
            }
        }
        look_at_push(&at, &dataset.push, dataset.dataset.as_deref())?;
        if let Some(why) = dataset.state_dir.as_deref().and_then(unusable) {
            notes.push(format!("`grotto sidecar` cannot use {at}.state_dir: {why}"));
        }
        if let Some(why) = dataset.blob_cache.folder.as_deref().and_then(unusable) {
            notes.push(format!(
                "`grotto sidecar` cannot use {at}.blob_cache.folder: {why}"
            ));
        }
    }
    look_at_token("consumer", &consumer.security)?;
    let port = consumer.monitoring.health_check_port;
    look_at_port("consumer", consumer.listeners.address, port, notes)
}
