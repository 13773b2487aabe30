//! Variables that stand for keys of a configuration.
//!
//! Owns: the rule for their names: the path of the key in upper case after `GROTTO_`, its parts joined by `_`, such
//! as `GROTTO_PRODUCER_BATCHING_MAX_BATCH_SIZE`; an entry of `datasets` is its number, from 0. And the short names that
//! a few keys of `consumer` have as well. Never: reads the environment of the process.

use super::consumer::{ConsumerSection, FollowSettings};
use super::producer::{DatasetSettings, ProducerSection};
use super::resolve::File;
use super::section::Section as _;
use super::span;
use serde_yaml::{Mapping, Value};
use std::collections::BTreeMap;

/// Variables of an environment, as the binary hands them in.
pub type Environment = BTreeMap<String, String>;

/// How the names of variables begin that stand for a key; every such name must be one.
const PREFIXES: [&str; 2] = ["GROTTO_PRODUCER_", "GROTTO_CONSUMER_"];
/// Before the number of an entry.
const OF_AN_ENTRY: &str = "DATASETS_";
/// Short names, which count where there is a section `consumer` and no variable of the long name.
const SHORT: [(&str, &str); 4] = [
    ("CONSUMER_ID", "consumer.id"),
    ("POLL_INTERVAL", "consumer.poll_interval"),
    ("MAX_BACKOFF", "consumer.max_backoff"),
    ("HEALTH_CHECK_PORT", "consumer.monitoring.health_check_port"),
];

/// A key that a variable sets.
#[derive(Debug)]
pub(super) struct Override {
    variable: String,
    path: String,
    value: Value,
}

/// The variable that sets a key.
pub(super) fn variable_of(path: &str) -> String {
    format!("GROTTO_{}", path.replace('.', "_").to_uppercase())
}

/// The variable that sets a key, if there is such a key.
pub(crate) fn variable(path: &str) -> Option<String> {
    let variable = variable_of(path);
    (path_of(&variable)? == path).then_some(variable)
}

/// The variable of an environment that sets a key.
pub(super) fn setting(environment: &Environment, path: &str) -> Option<String> {
    let short = SHORT.iter().filter(|(_, of)| *of == path);
    let short = short.map(|(name, _)| (*name).to_owned());
    let mut names = std::iter::once(variable_of(path)).chain(short);
    names.find(|name| environment.contains_key(name))
}

/// All keys that variables set; the short names only for those who follow a dataset.
pub(super) fn overrides(environment: &Environment, follows: bool) -> Result<Vec<Override>, String> {
    let ours = environment
        .iter()
        .filter(|(name, _)| PREFIXES.iter().any(|prefix| name.starts_with(prefix)));
    let long = ours.map(|(name, text)| {
        let path = path_of(name)
            .ok_or_else(|| format!("environment {name}: expected the name of a setting"))?;
        told(name, path, text)
    });
    let short = SHORT.iter().filter(|_| follows).filter_map(|(name, path)| {
        let is_set = environment.contains_key(&variable_of(path));
        let text = environment.get(*name).filter(|_| !is_set)?;
        Some(told(name, (*path).to_owned(), text))
    });
    long.chain(short).collect()
}

fn told(variable: &str, path: String, text: &str) -> Result<Override, String> {
    let value =
        value(&path, text).map_err(|why| format!("environment {variable}: {path}: {why}"))?;
    Ok(Override {
        variable: variable.to_owned(),
        path,
        value,
    })
}

/// The key that a variable stands for.
fn path_of(variable: &str) -> Option<String> {
    let prefix = PREFIXES
        .iter()
        .position(|prefix| variable.starts_with(prefix))?;
    let rest = variable.strip_prefix(PREFIXES[prefix])?;
    let entry = rest
        .strip_prefix(OF_AN_ENTRY)
        .and_then(|rest| rest.split_once('_'));
    let entry = entry.and_then(|(number, _)| number.parse::<u16>().ok());
    let mut keys = Vec::new();
    match (prefix, entry) {
        (0, Some(number)) => {
            DatasetSettings::default().keys(&format!("producer.datasets.{number}"), &mut keys);
        }
        (0, None) => ProducerSection::default().keys("producer", &mut keys),
        (_, Some(number)) => {
            FollowSettings::default().keys(&format!("consumer.datasets.{number}"), &mut keys);
        }
        (_, None) => ConsumerSection::default().keys("consumer", &mut keys),
    }
    let paths = keys.into_iter().map(|key| key.path);
    paths.into_iter().find(|path| variable_of(path) == variable)
}

/// What a variable says, read as the value of a key is: as YAML, or as the text that it is.
fn value(path: &str, text: &str) -> Result<Value, String> {
    let as_text = Value::String(text.to_owned());
    let as_yaml = serde_yaml::from_str(text).unwrap_or(Value::Null);
    match check(path, &as_yaml) {
        Ok(()) => Ok(as_yaml),
        Err(complaint) => match check(path, &as_text) {
            Ok(()) => Ok(as_text),
            // What cannot be read as a number is told as the text that it is.
            Err(other) if as_yaml.is_null() => Err(other),
            Err(_) => Err(complaint),
        },
    }
}

/// Reads a document of nothing but this key.
fn check(path: &str, value: &Value) -> Result<(), String> {
    let document = path.rsplit('.').fold(value.clone(), |inner, part| {
        if part.parse::<u16>().is_ok() {
            return Value::Sequence(vec![inner]);
        }
        let mut mapping = Mapping::new();
        mapping.insert(part.into(), inner);
        Value::Mapping(mapping)
    });
    let read: Result<File, _> = serde_yaml::from_value(document);
    read.map(|_| ()).map_err(|e| span::complaint(&e))
}

impl Override {
    /// Puts the value where its key is.
    pub(super) fn put_into(self, document: &mut Value) -> Result<(), String> {
        let mut place = document;
        for part in self.path.split('.') {
            place = match part.parse::<usize>() {
                Ok(index) => entry(place, index).ok_or_else(|| {
                    format!(
                        "environment {}: expected a key of an entry of datasets, found none with number {index}",
                        self.variable
                    )
                })?,
                Err(_) => below(place, part),
            };
        }
        *place = self.value;
        Ok(())
    }
}

fn entry(place: &mut Value, index: usize) -> Option<&mut Value> {
    place.as_sequence_mut()?.get_mut(index)
}

/// The value of a key, which is made where there is none.
fn below<'a>(place: &'a mut Value, key: &str) -> &'a mut Value {
    if !place.is_mapping() {
        *place = Value::Mapping(Mapping::new());
    }
    &mut place[key]
}
