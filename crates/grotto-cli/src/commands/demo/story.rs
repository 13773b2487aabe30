//! What the demo says.
//!
//! Owns: the words and the JSON, for somebody who has never seen this before. Never: does anything
//! to the dataset but read it.

use super::data::LOOKUPS;
use super::{DATASET, Turn};
use crate::failure::{Failure, Outcome};
use crate::output::Out;
use crate::records::{self, Printer};
use crate::text::{self, bytes, count, duration, milliseconds};
use grotto::consumer::RefreshReport;
use grotto::engine::env::Clock;
use grotto::engine::state::{Record, State};
use grotto::schema::TypeId;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Tells what happens.
pub(super) struct Story<'a> {
    out: &'a mut Out,
    clock: Arc<dyn Clock>,
    began: Duration,
}

impl<'a> Story<'a> {
    pub(super) fn new(out: &'a mut Out, clock: Arc<dyn Clock>) -> Self {
        let began = clock.monotonic();
        Self { out, clock, began }
    }

    pub(super) fn is_json(&self) -> bool {
        self.out.is_json()
    }

    /// Prints at once: this is to be watched.
    fn say(&mut self, text: impl std::fmt::Display) -> Outcome<()> {
        self.out.line(text)?;
        self.out.flush()
    }

    pub(super) fn begin(&mut self, folder: &Path) -> Outcome<()> {
        if self.is_json() {
            return self
                .out
                .json(&json!({ "event": "begin", "folder": folder.display().to_string() }));
        }
        self.say(
            "Grotto demo: the cities of the world, as five editions from 2020 to 2023 had them",
        )?;
        self.say("Data: GeoNames (https://www.geonames.org/), CC BY 4.0\n")?;
        self.say(format_args!("  store  {}", folder.join("store").display()))?;
        self.say(format_args!(
            "  state  {}\n",
            folder.join("state").display()
        ))?;
        self.say(
            "A producer reads each edition whole and publishes what changed as a new version.",
        )?;
        self.say(
            "A consumer follows the store and serves every version as soon as it is there.\n",
        )?;
        self.say(
            "  version  edition   cities   added  removed  modified      delta    reverse   publish   refresh",
        )
    }

    /// One edition was published and followed.
    pub(super) fn turn(&mut self, turn: &Turn) -> Outcome<()> {
        let Turn {
            edition,
            published,
            report,
            seen_after,
        } = turn;
        let Some(cities) = published
            .counts
            .iter()
            .find(|counts| counts.type_name == "City")
        else {
            return Err(Failure::internal("the version has no type City"));
        };
        let times = &published.times;
        let publish = times.populate + times.encode + times.upload + times.commit;
        if self.is_json() {
            return self.out.json(&json!({
                "event": "version", "version": published.version, "edition": edition.name,
                "records": cities.live, "added": cities.added, "removed": cities.removed,
                "modified": cities.modified, "delta_bytes": published.delta_bytes,
                "reverse_bytes": published.reverse_bytes, "publish_ms": milliseconds(publish),
                "refresh_ms": milliseconds(report.duration), "seen_after_ms": milliseconds(*seen_after),
            }));
        }
        let reverse = published
            .reverse_bytes
            .map_or_else(|| "–".to_owned(), bytes);
        self.say(format_args!(
            "  {:>7}  {}  {:>7}  {:>6}  {:>7}  {:>8}  {:>9}  {:>9}  {:>8}  {:>8}",
            published.version,
            edition.name,
            count(cities.live),
            count(cities.added),
            count(cities.removed),
            count(cities.modified),
            bytes(published.delta_bytes),
            reverse,
            duration(publish),
            duration(report.duration),
        ))
    }

    /// A few cities by key.
    pub(super) fn read(&mut self, state: &State) -> Outcome<()> {
        let city = state.type_id("City")?;
        if !self.is_json() {
            let version = state.version();
            self.say(format_args!(
                "\nLooking up cities by primary key at version {version}:\n"
            ))?;
        }
        let mut printer = Printer::default();
        for (name, key) in LOOKUPS {
            let record = state
                .find(city, key)?
                .ok_or_else(|| Failure::internal(format!("{name} ({key}) is not there")))?;
            let value = printer.value(&record)?;
            if self.is_json() {
                let version = state.version();
                self.out.json(
                    &json!({ "event": "record", "version": version, "key": key, "record": value }),
                )?;
            } else {
                self.say(format_args!("  {key:>8}  {}", city_line(&value)))?;
            }
        }
        self.read_all(state, city)
    }

    /// Every city by key: one lookup is too short to be timed.
    fn read_all(&mut self, state: &State, city: TypeId) -> Outcome<()> {
        let keys: Vec<i64> = state
            .scan(city)
            .filter_map(|record| long(&record, "geonameid"))
            .collect();
        let began = self.clock.monotonic();
        let mut found = 0_u64;
        for key in &keys {
            found += u64::from(state.find(city, key)?.is_some());
        }
        let took = self.clock.monotonic().saturating_sub(began);
        let each_ns = took.as_nanos() as f64 / keys.len().max(1) as f64;
        if self.is_json() {
            let took = milliseconds(took);
            return self
                .out
                .json(&json!({ "event": "lookups", "records": found, "took_ms": took }));
        }
        let (found, took) = (count(found), duration(took));
        self.say(format_args!(
            "\nAll {found} cities, each by its key: {took}, {each_ns:.0} ns a lookup"
        ))
    }

    /// One version back, and forth again.
    pub(super) fn travel(
        &mut self,
        before: &Turn,
        last: &Turn,
        (older, newest): (&State, &State),
        (back, forth): (&RefreshReport, &RefreshReport),
    ) -> Outcome<()> {
        let changed = changed_city(older, newest)?;
        if self.is_json() {
            return self.out.json(&json!({
                "event": "travel", "from": back.from, "to": back.to,
                "back_bytes": back.bytes(), "back_ms": milliseconds(back.duration),
                "forth_bytes": forth.bytes(), "forth_ms": milliseconds(forth.duration),
                "key": changed.as_ref().map(|change| &change.key),
                "before": changed.as_ref().map(|change| &change.before),
                "after": changed.as_ref().map(|change| &change.after),
            }));
        }
        let (from, to) = (&last.edition.name, &before.edition.name);
        self.say(format_args!(
            "\nTravelling back from version {} ({from}) to version {} ({to}): {} in {}",
            back.from,
            back.to,
            bytes(back.bytes()),
            duration(back.duration)
        ))?;
        if let Some(change) = changed {
            self.say(format_args!("\n  then  {}", city_line(&change.before)))?;
            self.say(format_args!("  now   {}", city_line(&change.after)))?;
        }
        let (length, time) = (bytes(forth.bytes()), duration(forth.duration));
        self.say(format_args!(
            "\nAnd forth again to version {}: {length} in {time}",
            forth.to
        ))
    }

    /// What to try next.
    pub(super) fn end(&mut self, kept: Option<&Path>) -> Outcome<()> {
        let took = self.clock.monotonic().saturating_sub(self.began);
        if self.is_json() {
            return self
                .out
                .json(&json!({ "event": "end", "took_ms": milliseconds(took) }));
        }
        self.say(format_args!(
            "\nDone in {}. To try next:\n",
            text::duration(took)
        ))?;
        let Some(folder) = kept else {
            self.say("  grotto demo --dir ./cities    the same, kept for the commands below")?;
            return self.commands(Path::new("./cities"));
        };
        self.commands(folder)
    }

    fn commands(&mut self, folder: &Path) -> Outcome<()> {
        let store = folder.join("store");
        let store = store.display();
        let (key, versions) = (LOOKUPS[0].1, "4 5");
        self.say(format_args!("  grotto log     --store {store}"))?;
        self.say(format_args!("  grotto get     --store {store} City {key}"))?;
        self.say(format_args!("  grotto diff    --store {store} {versions}"))?;
        self.say(format_args!("  grotto verify  --store {store}"))?;
        self.say(format_args!(
            "\nEach command explains itself with --help; the dataset is called {DATASET}."
        ))
    }
}

fn city_line(value: &Value) -> String {
    let field = |name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or("?")
            .to_owned()
    };
    let people = value.get("population").and_then(Value::as_u64).unwrap_or(0);
    format!(
        "{:<12} {}  {:>10} people  {}",
        field("name"),
        field("countrycode"),
        count(people),
        field("timezone")
    )
}

/// A city before and after.
struct CityChange {
    key: Value,
    before: Value,
    after: Value,
}

/// The largest city whose population differs between two states.
fn changed_city(older: &State, newest: &State) -> Outcome<Option<CityChange>> {
    let (old_type, new_type) = (older.type_id("City")?, newest.type_id("City")?);
    let mut largest: Option<(i64, Record<'_>, Record<'_>)> = None;
    for after in newest.scan(new_type) {
        let Some(key) = long(&after, "geonameid") else {
            continue;
        };
        let Some(before) = older.find(old_type, key)? else {
            continue;
        };
        let (Some(was), Some(is)) = (long(&before, "population"), long(&after, "population"))
        else {
            continue;
        };
        if was != is && largest.as_ref().is_none_or(|(most, ..)| is > *most) {
            largest = Some((is, before, after));
        }
    }
    let mut printer = Printer::default();
    let Some((_, before, after)) = largest else {
        return Ok(None);
    };
    let (before_value, after_value) = (printer.value(&before)?, printer.value(&after)?);
    Ok(Some(CityChange {
        key: records::key_value(&after),
        before: before_value,
        after: after_value,
    }))
}

fn long(record: &Record<'_>, field: &str) -> Option<i64> {
    match record.view() {
        grotto::engine::state::Field::Object(view) => view.get(field).ok()?.as_long(),
        _ => None,
    }
}
