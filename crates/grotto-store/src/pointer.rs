//! The pin of a dataset and its channels: which version consumers are to serve, where that is not the newest.
//!
//! Owns: writing, reading and removing them. Never: decides who follows one; consumers do, each for itself.
//! Spec: `docs/format/spec.md`, section "Pins and channels".
//!
//! They are written by people, seldom, and whoever writes last wins: no store has to compare before it replaces.

use std::fmt;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use grotto_format::log::{FORMAT, LogEntry, MAX_CONTROL_BYTES, MAX_NOTE_BYTES, Pointer};

use crate::control::unencodable;
use crate::dataset::Dataset;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::ChannelId;

/// Channels read at a time.
const CHANNELS_AT_ONCE: usize = 8;
/// Most channels that are listed.
const MOST_CHANNELS: usize = 1_000;

/// Which pointer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PointerName {
    /// The pin, which holds all consumers.
    Pin,
    /// A channel, which leads those that follow it.
    Channel(ChannelId),
}

impl PointerName {
    /// The channel, if it is one.
    pub fn channel(&self) -> Option<&ChannelId> {
        match self {
            Self::Pin => None,
            Self::Channel(channel) => Some(channel),
        }
    }
}

impl fmt::Display for PointerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pin => f.write_str("the pin"),
            Self::Channel(channel) => write!(f, "channel {channel}"),
        }
    }
}

/// Who sets a pointer, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// For people, such as `ada@host-1`; 1,000 bytes at most.
    pub by: String,
    /// For people; 1,000 bytes at most, may be empty.
    pub reason: String,
}

/// A pointer as it lies in the store.
#[derive(Clone, Debug)]
pub struct FoundPointer {
    /// Which one, by the name of the object.
    pub name: PointerName,
    /// What it says, or why that cannot be read.
    pub content: Result<Pointer>,
}

impl Dataset {
    /// What a pointer says; `None` if there is none.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged or was made for another place; `Invalid` when a newer build wrote it; `Unavailable`
    /// or `Overloaded` when the store does not answer or asks for less.
    pub async fn pointer(&self, name: &PointerName) -> Result<Option<Pointer>> {
        let path = self.layout.pointer(name);
        let found = self
            .read_document(&path, MAX_CONTROL_BYTES, Pointer::decode)
            .await?;
        let Some(found) = found else { return Ok(None) };
        self.check_dataset(&path, &found.dataset)?;
        let expected = name.channel().map(ChannelId::as_str);
        if found.channel.as_deref() != expected {
            let of = |channel: Option<&str>| match channel {
                Some(channel) => format!("channel {channel}"),
                None => "the pin".to_owned(),
            };
            return Err(Error::corrupt(format!(
                "{path}: expected {}, found {}",
                of(expected),
                of(found.channel.as_deref())
            )));
        }
        Ok(Some(found))
    }

    /// The pin, if there is one, and the channels by name: one listing, and a request for each. One that is damaged is
    /// told as such and hides no other.
    ///
    /// # Errors
    /// `Unavailable` or `Overloaded` when the store does not answer or asks for less; `Invalid` when there are more than
    /// 1,000 channels.
    pub async fn pointers(&self) -> Result<Vec<FoundPointer>> {
        let folder = self.layout.channels();
        let listing = self
            .store
            .list_objects(&folder, None, MOST_CHANNELS)
            .await?;
        let (objects, complete) = listing;
        if !complete {
            return Err(Error::invalid(format!(
                "{folder}: expected at most {MOST_CHANNELS} channels"
            )));
        }
        let channels = objects
            .iter()
            .filter_map(|meta| self.layout.channel_of(&meta.location));
        let mut names: Vec<PointerName> = channels.map(PointerName::Channel).collect();
        names.push(PointerName::Pin);
        names.sort();
        let found: Vec<Option<FoundPointer>> = futures::stream::iter(names)
            .map(|name| self.look_at_pointer(name))
            .buffered(CHANNELS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn look_at_pointer(&self, name: PointerName) -> Result<Option<FoundPointer>> {
        let content = match self.pointer(&name).await {
            Ok(None) => return Ok(None),
            Ok(Some(pointer)) => Ok(pointer),
            Err(error) if error.kind().is_outage() => return Err(error),
            Err(error) => Err(error),
        };
        Ok(Some(FoundPointer { name, content }))
    }

    /// Has a pointer name a version, whatever it named before. Consumers go there with their next look.
    ///
    /// # Errors
    /// `Invalid` when the version is not in the log, was collected, or a text is too long or has control characters;
    /// `Corrupt` when its log entry is damaged; `Unavailable` or `Overloaded` when the store does not answer or asks for
    /// less.
    pub async fn set_pointer(
        &self,
        name: &PointerName,
        version: u64,
        note: &Note,
    ) -> Result<Pointer> {
        let entry = self.pointable(version).await?;
        let pointer = Pointer {
            format: FORMAT,
            dataset: self.name().to_owned(),
            dataset_id: entry.dataset_id,
            channel: name.channel().map(ToString::to_string),
            version,
            by: checked("name of who sets it", &note.by)?,
            reason: checked("reason", &note.reason)?,
            time_ms: self.store.env().clock.wall_ms(),
            rollout: None,
        };
        let before = self.pointer(name).await.ok().flatten();
        self.replace_pointer(name, before, &pointer).await?;
        Ok(pointer)
    }

    /// Has a pointer say something else, if it still says what it said `before`. Two who do that at the same moment may both
    /// find it unchanged: then the last one counts.
    ///
    /// # Errors
    /// `Busy` when it says something else; else as [`set_pointer`](Self::set_pointer).
    pub async fn change_pointer(
        &self,
        name: &PointerName,
        before: &Pointer,
        pointer: &Pointer,
    ) -> Result<()> {
        let found = self.pointer(name).await?;
        if found.as_ref() != Some(before) {
            let message = format!("somebody else changed {name} of {} meanwhile", self.name());
            return Err(Error::new(ErrorKind::Busy, message));
        }
        self.replace_pointer(name, found, pointer).await
    }

    async fn replace_pointer(
        &self,
        name: &PointerName,
        before: Option<Pointer>,
        pointer: &Pointer,
    ) -> Result<()> {
        self.put_pointer(name, pointer).await?;
        // A collector that looked before this one was there has raised its boundary by now, or finds it when it looks
        // again.
        let collected = self.collected().await?;
        let gone = pointer.versions().find(|version| collected >= *version);
        let Some(version) = gone else { return Ok(()) };
        self.put_back(name, before).await?;
        Err(self.was_collected(version))
    }

    /// The entry of a version that a pointer may name.
    async fn pointable(&self, version: u64) -> Result<LogEntry> {
        let dataset = self.name();
        let entry = self.read_entry(version).await?.ok_or_else(|| {
            Error::invalid(format!(
                "dataset {dataset}: version {version} is not in the log"
            ))
        })?;
        match self.collected().await? >= version {
            true => Err(self.was_collected(version)),
            false => Ok(entry),
        }
    }

    fn was_collected(&self, version: u64) -> Error {
        let dataset = self.name();
        Error::invalid(format!(
            "dataset {dataset}: version {version} was collected"
        ))
    }

    async fn put_pointer(&self, name: &PointerName, pointer: &Pointer) -> Result<()> {
        let bytes = Bytes::from(pointer.encode().map_err(unencodable)?);
        let path = self.layout.pointer(name);
        let put = || self.store.put(&path, bytes.clone());
        self.store.writing(put).await
    }

    async fn put_back(&self, name: &PointerName, before: Option<Pointer>) -> Result<()> {
        match before {
            Some(before) => self.put_pointer(name, &before).await,
            None => self.delete_pointer(name).await,
        }
    }

    /// Removes a pointer, also one that cannot be read; tells whether there was one.
    ///
    /// # Errors
    /// `Invalid` when the store takes no writes; `Unavailable` or `Overloaded` when it does not answer or asks for less.
    pub async fn remove_pointer(&self, name: &PointerName) -> Result<bool> {
        let path = self.layout.pointer(name);
        let look = || self.store.length(&path);
        let was_there = self.store.reading(look).await?.is_some();
        self.delete_pointer(name).await.map(|()| was_there)
    }

    async fn delete_pointer(&self, name: &PointerName) -> Result<()> {
        let path = self.layout.pointer(name);
        self.store.writing(|| self.store.delete(&path)).await
    }
}

/// A text of whoever sets a pointer.
fn checked(what: &str, text: &str) -> Result<String> {
    if text.len() > MAX_NOTE_BYTES {
        return Err(Error::invalid(format!(
            "{what}: expected at most {MAX_NOTE_BYTES} bytes, found {}",
            text.len()
        )));
    }
    if text.chars().any(char::is_control) {
        let message = format!("{what}: expected one line without control characters");
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    Ok(text.to_owned())
}
