//! Settings of section `consumer` that must fit each other.
//!
//! Owns: these rules. Never: names the place of a key; its caller does.

use super::{Broken, at_most, broken, check_listener};
use crate::config::section::Shown as _;
use crate::config::{ConsumerSettings, Size};
use grotto::StoreUrl;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(consumer: &ConsumerSettings) -> Result<(), Broken> {
    let listeners = &consumer.listeners;
    check_listener("consumer", listeners.address, &consumer.security)?;
    // A packed body and what it unpacks to are in memory together.
    at_most(
        "consumer",
        "listeners.max_body_size",
        listeners.max_body_size,
        "half of max_body_memory",
        Size(listeners.max_body_memory.0 / 2),
    )?;
    at_most(
        "consumer",
        "limits.max_answer_size",
        consumer.limits.max_answer_size,
        "listeners.max_answer_memory",
        listeners.max_answer_memory,
    )?;
    check_names(consumer)?;
    check_pace(consumer)?;
    check_places(consumer)?;
    check_caches(consumer)
}

/// The section that says what concerns a dataset.
fn place_of(consumer: &ConsumerSettings, index: usize) -> String {
    match consumer.listed.is_empty() {
        true => "consumer".to_owned(),
        false => format!("consumer.datasets.{index}"),
    }
}

fn check_names(consumer: &ConsumerSettings) -> Result<(), Broken> {
    let mut names = BTreeSet::new();
    for (index, dataset) in consumer.listed.iter().enumerate() {
        let at = format!("consumer.datasets.{index}");
        match &dataset.dataset {
            None => broken(&at, "expected a key `dataset`, found none")?,
            Some(name) if !names.insert(name) => broken(
                format!("{at}.dataset"),
                format!("expected each dataset once, found {name} again"),
            )?,
            Some(_) => {}
        }
    }
    Ok(())
}

fn check_pace(consumer: &ConsumerSettings) -> Result<(), Broken> {
    for (index, dataset) in consumer.datasets().iter().enumerate() {
        if dataset.poll_interval > dataset.max_backoff {
            let at = place_of(consumer, index);
            let [most, found] = [dataset.max_backoff, dataset.poll_interval].map(|one| one.shown());
            let what = format!("expected at most max_backoff, which is {most}, found {found}");
            broken(format!("{at}.poll_interval"), what)?;
        }
    }
    Ok(())
}

/// A state directory is of one dataset, and one process writes to it.
fn check_places(consumer: &ConsumerSettings) -> Result<(), Broken> {
    let mut places = BTreeMap::new();
    for (index, dataset) in consumer.listed.iter().enumerate() {
        let Some(dir) = &dataset.state_dir else {
            continue;
        };
        if let Some(other) = places.insert(dir, index) {
            let what = format!(
                "expected a folder of its own for each dataset, found {}, which is that of datasets.{other} too",
                dir.display()
            );
            broken(format!("consumer.datasets.{index}.state_dir"), what)?;
        }
    }
    Ok(())
}

/// A cache of blobs holds nothing else, and those who share one agree on its limits: each removes what is too much by its
/// own.
fn check_caches(consumer: &ConsumerSettings) -> Result<(), Broken> {
    let mut caches = BTreeMap::new();
    for (index, dataset) in consumer.datasets().iter().enumerate() {
        let at = place_of(consumer, index);
        let cache = &dataset.blob_cache;
        let Some(folder) = &cache.folder else {
            continue;
        };
        for (other, key) in others(consumer) {
            if other == *folder {
                let found = folder.display();
                let what =
                    format!("expected a folder of its own, found {found}, which {key} is too");
                broken(format!("{at}.blob_cache.folder"), what)?;
            }
        }
        let limits = (cache.size, cache.age);
        if let Some((other, expected)) = caches.insert(folder, (index, limits))
            && expected != limits
        {
            let shown = |(size, age): (Size, std::time::Duration)| {
                let (size, age) = (size.shown(), age.shown());
                format!("size {size} and age {age}")
            };
            let (expected, found) = (shown(expected), shown(limits));
            let what = format!(
                "expected {expected}, as datasets.{other} has for the same folder, found {found}"
            );
            broken(format!("{at}.blob_cache"), what)?;
        }
    }
    Ok(())
}

/// Folders of state directories and stores, and the keys that name them.
fn others(consumer: &ConsumerSettings) -> Vec<(std::path::PathBuf, String)> {
    let mut others = Vec::new();
    for (index, dataset) in consumer.datasets().iter().enumerate() {
        let at = place_of(consumer, index);
        let state_dir = dataset.state_dir.clone();
        others.extend(state_dir.map(|folder| (folder, format!("{at}.state_dir"))));
        if let Some(StoreUrl::Local(folder)) = &dataset.store {
            others.push((folder.clone(), format!("{at}.store")));
        }
    }
    others
}
