//! Where things lie under a dataset's prefix.
//!
//! Owns: the names of objects, written and read back. Never: touches the store.
//! Spec: `docs/format/spec.md`, section "Store layout".

use std::fmt;

use grotto_format::log::{BlobKind, MAX_PLAIN_NAME, is_plain_name};
use object_store::path::Path;

use crate::error::{Error, Result};
use crate::pointer::PointerName;

/// A checked dataset name and the paths below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    name: String,
}

impl Layout {
    /// Accepts letters, digits, `-`, `_` and `.` (not first): a name becomes a folder of the host.
    pub(crate) fn new(name: &str) -> Result<Self> {
        check_name("dataset", name)?;
        Ok(Self {
            name: name.to_owned(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn log(&self) -> Path {
        self.at("log")
    }

    pub(crate) fn log_entry(&self, version: u64) -> Path {
        self.at(&format!("log/{version:020}.json"))
    }

    pub(crate) fn snapshots(&self) -> Path {
        self.at("snapshots")
    }

    pub(crate) fn snapshot_entry(&self, version: u64) -> Path {
        self.at(&format!("snapshots/{version:020}.json"))
    }

    pub(crate) fn leader(&self) -> Path {
        self.at("control/leader.json")
    }

    pub(crate) fn control(&self) -> Path {
        self.at("control")
    }

    /// Whether an object is one that a writer made to try the store.
    pub(crate) fn is_probe(&self, path: &Path) -> bool {
        path.as_ref().starts_with(self.probe("").as_ref())
    }

    /// Where blobs of a kind lie.
    pub(crate) fn blobs(&self, kind: BlobKind) -> Path {
        self.at(kind.folder())
    }

    pub(crate) fn accepted(&self) -> Path {
        self.at("control/accepted")
    }

    pub(crate) fn accepted_version(&self, version: u64) -> Path {
        self.at(&format!("control/accepted/{version:020}.json"))
    }

    pub(crate) fn pointer(&self, name: &PointerName) -> Path {
        match name {
            PointerName::Pin => self.at("control/pin.json"),
            PointerName::Channel(channel) => self.at(&format!("control/channels/{channel}.json")),
        }
    }

    pub(crate) fn channels(&self) -> Path {
        self.at("control/channels")
    }

    /// The channel whose pointer has this name; `None` for anything else that lies there.
    pub(crate) fn channel_of(&self, path: &Path) -> Option<ChannelId> {
        let id = path.filename()?.strip_suffix(".json")?;
        let id = ChannelId::parse(id).ok()?;
        let name = PointerName::Channel(id.clone());
        (self.pointer(&name) == *path).then_some(id)
    }

    pub(crate) fn collected(&self) -> Path {
        self.at("collected")
    }

    pub(crate) fn collected_row(&self, version: u64) -> Path {
        self.at(&format!("collected/{version:020}.json"))
    }

    pub(crate) fn wal(&self) -> Path {
        self.at("wal")
    }

    pub(crate) fn wal_slot(&self, slot: u64) -> Path {
        self.at(&format!("wal/{slot:020}.log"))
    }

    pub(crate) fn leases(&self) -> Path {
        self.at("consumers")
    }

    pub(crate) fn lease(&self, consumer: &ConsumerId) -> Path {
        self.at(&format!("consumers/{consumer}.json"))
    }

    /// The consumer whose lease has this name; `None` for anything else that lies there.
    pub(crate) fn consumer_of(&self, path: &Path) -> Option<ConsumerId> {
        let id = path.filename()?.strip_suffix(".json")?;
        let id = ConsumerId::parse(id).ok()?;
        (self.lease(&id) == *path).then_some(id)
    }

    pub(crate) fn probe(&self, nonce: &str) -> Path {
        self.at(&format!("control/probe-{nonce}"))
    }

    /// The object of a blob whose name was checked when its entry was decoded.
    pub(crate) fn blob(&self, name: &str) -> Path {
        self.at(name)
    }

    fn at(&self, below: &str) -> Path {
        Path::from(format!("{}/{below}", self.name))
    }
}

/// The name of a consumer, which tells its lease from those of others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(String);

impl ConsumerId {
    /// Takes 1 to 100 letters, digits, `-`, `_` and `.`, not starting with `.`.
    ///
    /// # Errors
    /// `Invalid` for anything else; the message says what a name is.
    pub fn parse(name: &str) -> Result<Self> {
        check_name("consumer", name)?;
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConsumerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(String);

impl ChannelId {
    /// Takes 1 to 100 letters, digits, `-`, `_` and `.`, not starting with `.`.
    ///
    /// # Errors
    /// `Invalid` for anything else; the message says what a name is.
    pub fn parse(name: &str) -> Result<Self> {
        check_name("channel", name)?;
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Accepts what may be part of the name of an object, and so of a file of the host.
fn check_name(what: &str, name: &str) -> Result<()> {
    if is_plain_name(name) {
        return Ok(());
    }
    let shown: String = name.chars().take(MAX_PLAIN_NAME).collect();
    Err(Error::invalid(format!(
        "{what} name {shown:?}: expected 1 to {MAX_PLAIN_NAME} letters, digits, '-', '_' or '.', not \
         starting with '.'"
    )))
}

/// The version in the name of a log or snapshot entry; `None` for anything else that lies there.
pub(crate) fn version_of(path: &Path) -> Option<u64> {
    number_of(path.filename()?.strip_suffix(".json")?)
}

/// The number in the name of a slot of the write-ahead log; `None` for anything else that lies there.
pub(crate) fn wal_slot_of(path: &Path) -> Option<u64> {
    number_of(path.filename()?.strip_suffix(".log")?)
}

fn number_of(digits: &str) -> Option<u64> {
    let plain = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// The version in the name of a blob; `None` for anything else that lies there.
pub(crate) fn blob_version(path: &Path, kind: BlobKind) -> Option<u64> {
    let name = path
        .filename()?
        .strip_suffix(kind.folder())?
        .strip_suffix('.')?;
    let (digits, rest) = name.split_once('-')?;
    let (epoch, nonce) = rest.split_once('-')?;
    let plain = digits.len() == 20
        && [digits, epoch]
            .iter()
            .all(|n| n.bytes().all(|b| b.is_ascii_digit()));
    let whole = plain && !epoch.is_empty() && !nonce.is_empty();
    whole.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_prefix_are_refused() {
        let long = "x".repeat(101);
        for name in [
            "", ".", "..", ".hidden", "a/b", "a\\b", "a b", "a#1", "ä", &long,
        ] {
            assert!(Layout::new(name).is_err(), "{name:?}");
        }
        assert!(Layout::new("geo.cities-v2_EU").is_ok());
    }

    #[test]
    fn consumers_are_read_back_from_names_of_leases_only() {
        let layout = Layout::new("a").unwrap();
        let id = ConsumerId::parse("web-1.eu").unwrap();
        assert_eq!(layout.consumer_of(&layout.lease(&id)), Some(id));
        for name in [
            "x.txt",
            ".json",
            "x.json/y.json",
            "x/y.json",
            "x y.json",
            "x",
        ] {
            let path = layout.at(&format!("consumers/{name}"));
            assert_eq!(layout.consumer_of(&path), None, "{name}");
        }
        for id in ["", ".x", "a/b", "../x", "a b"] {
            let refused = ConsumerId::parse(id).unwrap_err();
            assert!(
                refused.message().starts_with("consumer name \""),
                "{refused}"
            );
        }
    }

    #[test]
    fn channels_are_read_back_from_names_of_pointers_only() {
        let layout = Layout::new("a").unwrap();
        let id = ChannelId::parse("stable-2").unwrap();
        let path = layout.pointer(&PointerName::Channel(id.clone()));
        assert_eq!(layout.channel_of(&path), Some(id));
        for name in [
            "control/pin.json",
            "control/channels/x y.json",
            "control/channels/x/y.json",
            "control/channels/x",
        ] {
            assert_eq!(layout.channel_of(&layout.at(name)), None, "{name}");
        }
        let refused = ChannelId::parse("../pin").unwrap_err();
        assert!(
            refused.message().starts_with("channel name \"../pin\""),
            "{refused}"
        );
    }

    #[test]
    fn blobs_are_known_by_their_names_only() {
        let layout = Layout::new("a").unwrap();
        for kind in [BlobKind::Delta, BlobKind::Reverse, BlobKind::Snapshot] {
            let path = layout.blob(&kind.blob_name(42, 7, "0a1b"));
            assert_eq!(blob_version(&path, kind), Some(42));
            assert!(path.as_ref().starts_with(layout.blobs(kind).as_ref()));
        }
        for name in [
            "42-7-0a.delta",
            "00000000000000000042-7-0a.reverse",
            "00000000000000000042-x-0a.delta",
            "00000000000000000042-7-.delta",
            "00000000000000000042--0a.delta",
            "00000000000000000042.delta",
            "readme.txt",
        ] {
            let path = layout.blob(&format!("delta/{name}"));
            assert_eq!(blob_version(&path, BlobKind::Delta), None, "{name}");
        }
        assert!(layout.is_probe(&layout.probe("abc")));
        assert!(!layout.is_probe(&layout.leader()));
    }

    #[test]
    fn versions_are_read_back_from_entry_names_only() {
        let layout = Layout::new("a").unwrap();
        assert_eq!(version_of(&layout.log_entry(42)), Some(42));
        assert_eq!(version_of(&layout.log_entry(u64::MAX)), Some(u64::MAX));
        assert_eq!(wal_slot_of(&layout.wal_slot(42)), Some(42));
        assert_eq!(wal_slot_of(&layout.log_entry(42)), None);
        for name in [
            "42.json",
            "readme.txt",
            "0000000000000000004x.json",
            "99999999999999999999.json",
        ] {
            assert_eq!(
                version_of(&layout.at(&format!("log/{name}"))),
                None,
                "{name}"
            );
        }
    }
}
