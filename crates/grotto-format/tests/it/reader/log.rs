//! The documents of a dataset: log entries, snapshot entries, collected rows, leader hints, leases.
//!
//! Owns: from their bytes to what they say. What is wrong panics.

use super::Cursor;
use super::json::Json;
use std::collections::{BTreeMap, BTreeSet};
use xxhash_rust::xxh3::xxh3_64;

const MAX_ENTRY_BYTES: usize = 1 << 20;
const MAX_CONTROL_BYTES: usize = 1 << 16;
const MAX_LEASE_BYTES: usize = 1 << 14;
const MAX_ANNOUNCEMENT_BYTES: usize = 1 << 10;
const MAX_EXPIRY_S: u64 = 86_400;
const MAX_LINKS: usize = 64;
const MAX_VERSION: u64 = (1 << 53) - 1;

/// A document whose seal is right.
fn open(bytes: &[u8], limit: usize) -> Json {
    assert!(bytes.len() <= limit, "{} bytes", bytes.len());
    let text = std::str::from_utf8(bytes).unwrap();
    let (before, rest) = text.split_at(text.len() - 18);
    let (digits, after) = rest.split_at(16);
    assert!(before.ends_with(",\"checksum\":\"") && after == "\"}");
    let sum = xxh3_64([before, after].concat().as_bytes());
    assert_eq!(digits, format!("{sum:016x}"));
    let json = Json::parse(text);
    assert_eq!(json.get("format").number(), 1);
    assert_eq!(json.get("checksum").text(), digits);
    json
}

/// A file, by a full reference or by what its entry says of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) length: u64,
    pub(crate) checksum: u64,
}

impl File {
    fn snapshot(json: &Json) -> Self {
        let name = json.get("name").text();
        let file = name.strip_prefix("snapshot/").unwrap();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        assert!(file.chars().all(plain) && file.len() <= 200, "{name}");
        assert!(!file.starts_with('.') && file.ends_with(".snapshot"));
        Self::named(name.to_owned(), json)
    }

    fn named(name: String, json: &Json) -> Self {
        Self {
            name,
            length: json.get("length").number(),
            checksum: json.get("checksum").hex(16),
        }
    }
}

/// A blob of a commit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Held {
    File(File),
    Inline(Vec<u8>),
}

impl Held {
    fn length(&self) -> u64 {
        match self {
            Self::File(file) => file.length,
            Self::Inline(bytes) => bytes.len() as u64,
        }
    }
}

/// The blobs of a commit, and the nonce of their names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Blobs {
    pub(crate) nonce: Option<u64>,
    pub(crate) delta: Held,
    pub(crate) reverse: Option<Held>,
}

impl Blobs {
    fn read(json: &Json, version: u64, epoch: u64) -> Self {
        let (form, json) = json.only();
        let nonce = match form {
            "stored" => Some(json.get("nonce").hex(8)),
            "inline" => None,
            other => panic!("{other} are no blobs"),
        };
        let held = |folder: &str, json: &Json| match nonce {
            Some(nonce) => Held::File(File::named(name(folder, version, epoch, nonce), json)),
            None => Held::Inline(base64(json.text())),
        };
        Self {
            nonce,
            delta: held("delta", json.get("delta")),
            reverse: json.optional("reverse").map(|blob| held("reverse", blob)),
        }
    }
}

fn name(folder: &str, version: u64, epoch: u64, nonce: u64) -> String {
    format!("{folder}/{version:020}-{epoch}-{nonce:08x}.{folder}")
}

/// A past step of the state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) since: u64,
    pub(crate) from: u64,
    pub(crate) epoch: u64,
    /// None if the blobs are inline.
    pub(crate) nonce: Option<u64>,
    pub(crate) delta: u64,
    pub(crate) reverse: Option<u64>,
}

impl Link {
    /// The name of a blob that is a file.
    pub(crate) fn name(&self, folder: &str) -> Option<String> {
        let nonce = self.nonce?;
        Some(name(folder, self.from + 1, self.epoch, nonce))
    }

    fn read_all(text: &str) -> Vec<Self> {
        let bytes = base64(text);
        let mut links = Vec::new();
        if bytes.is_empty() {
            return links;
        }
        let mut cursor = Cursor(&bytes);
        let (mut since, mut epoch) = (cursor.varint(), cursor.varint());
        while !cursor.0.is_empty() {
            let link = Self::read(&mut cursor, since, epoch);
            (since, epoch) = (link.from + 1, link.epoch);
            links.push(link);
        }
        assert!(links.len() <= MAX_LINKS, "{} links", links.len());
        links
    }

    fn read(cursor: &mut Cursor<'_>, since: u64, epoch: u64) -> Self {
        let flags = cursor.u8();
        assert!(flags < 16, "flags {flags}");
        let number = |cursor: &mut Cursor<'_>, flag: u8| match flags & flag {
            0 => None,
            _ => Some(cursor.varint()),
        };
        let from = since + number(cursor, 4).unwrap_or(0);
        let epoch = epoch + number(cursor, 8).unwrap_or(0);
        let nonce = match flags & 2 {
            0 => Some(u32::from_le_bytes(cursor.take(4).try_into().unwrap()).into()),
            _ => None,
        };
        Self {
            since,
            from,
            epoch,
            nonce,
            delta: cursor.varint(),
            reverse: number(cursor, 1),
        }
    }
}

/// A log entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) dataset: String,
    pub(crate) dataset_id: String,
    pub(crate) version: u64,
    pub(crate) kind: String,
    pub(crate) epoch: u64,
    pub(crate) nonce: String,
    pub(crate) writer: String,
    pub(crate) time_ms: u64,
    pub(crate) parent: u64,
    pub(crate) state_version: u64,
    pub(crate) commits: u64,
    pub(crate) blobs: Option<Blobs>,
    pub(crate) snapshot: Option<(u64, File)>,
    pub(crate) links: Vec<Link>,
    pub(crate) state_checksum: u64,
    /// Records and checksum by type.
    pub(crate) types: BTreeMap<String, (u64, u64)>,
    /// Types whose records come within others.
    pub(crate) nested: BTreeSet<String>,
    /// Records added, removed and modified, of types that changed.
    pub(crate) changed: BTreeMap<String, [u64; 3]>,
    pub(crate) schema_hash: u64,
    pub(crate) sources: BTreeMap<String, u64>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) signature: Option<String>,
}

/// Types that say that their records come within others.
fn nested(types: &Json) -> BTreeSet<String> {
    let says = types.map(|of| of.optional("nested").is_some_and(Json::boolean));
    says.into_iter()
        .filter(|(_, says)| *says)
        .map(|(name, _)| name)
        .collect()
}

/// What a commit did to the records of its types.
fn changes(types: &Json) -> BTreeMap<String, [u64; 3]> {
    let mut changes = BTreeMap::new();
    for (name, changed) in types.map(|of| of.optional("changed").map(numbers)) {
        changes.extend(changed.map(|changed| (name, changed)));
    }
    changes
}

fn numbers(changed: &Json) -> [u64; 3] {
    ["added", "removed", "modified"].map(|name| changed.get(name).number())
}

impl Entry {
    pub(crate) fn open(bytes: &[u8]) -> Self {
        let json = open(bytes, MAX_ENTRY_BYTES);
        let text = |name: &str| json.get(name).text().to_owned();
        let number = |name: &str| json.get(name).number();
        let (version, epoch) = (number("version"), number("epoch"));
        let blobs = json.optional("blobs");
        let snapshot = json.optional("snapshot");
        let entry = Self {
            dataset: text("dataset"),
            dataset_id: text("dataset_id"),
            version,
            kind: text("kind"),
            epoch,
            nonce: text("nonce"),
            writer: text("writer"),
            time_ms: number("time_ms"),
            parent: number("parent"),
            state_version: number("state_version"),
            commits: number("commits"),
            blobs: blobs.map(|blobs| Blobs::read(blobs, version, epoch)),
            snapshot: snapshot.map(|named| {
                let version = named.get("version").number();
                (version, File::snapshot(named.get("blob")))
            }),
            links: Link::read_all(json.get("links").text()),
            state_checksum: json.get("state_checksum").hex(16),
            types: json
                .get("types")
                .map(|of| (of.get("records").number(), of.get("checksum").hex(16))),
            nested: nested(json.get("types")),
            changed: changes(json.get("types")),
            schema_hash: json.get("schema_hash").hex(16),
            sources: json.get("sources").map(Json::number),
            tags: json.get("tags").map(|tag| tag.text().to_owned()),
            signature: json.optional("signature").map(|s| s.text().to_owned()),
        };
        entry.check();
        entry.check_links();
        entry
    }

    fn check(&self) {
        let range = 1..=MAX_VERSION;
        assert!(range.contains(&self.version) && range.contains(&self.epoch));
        assert_eq!(self.parent, self.version - 1);
        assert!(self.commits <= self.version && !self.nonce.is_empty());
        match self.kind.as_str() {
            "commit" => {
                assert_eq!(self.state_version, self.version);
                assert!(self.commits >= 1);
            }
            "fence" | "positions" => {
                assert!(self.state_version <= self.parent);
                assert!(self.blobs.is_none());
            }
            other => panic!("an entry of kind {other}"),
        }
        for (name, changed) in &self.changed {
            let [added, removed, modified] = *changed;
            assert!(added > 0 || removed > 0 || modified > 0);
            assert!(added.checked_add(modified).unwrap() <= self.types[name].0);
        }
        let named = self.snapshot.as_ref().map_or(0, |named| named.0);
        assert!(named <= self.version);
    }

    fn check_links(&self) {
        if let Some(last) = self.links.last() {
            assert_eq!(last.from + 1, self.state_version);
            assert!(last.epoch <= self.epoch);
        }
        match &self.blobs {
            Some(blobs) => {
                let own = self.links.last().unwrap();
                assert_eq!((own.epoch, own.nonce), (self.epoch, blobs.nonce));
                assert_eq!(own.delta, blobs.delta.length());
                assert_eq!(own.reverse, blobs.reverse.as_ref().map(Held::length));
            }
            None => assert!(self.kind != "commit" || self.links.is_empty()),
        }
    }
}

/// Any other document: those of its members that are numbers, those that are text, and its file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Control {
    pub(crate) numbers: Vec<u64>,
    pub(crate) texts: Vec<String>,
    pub(crate) snapshot: Option<(u64, File)>,
}

impl Control {
    fn open(bytes: &[u8], numbers: &[&str], texts: &[&str]) -> (Json, Self) {
        let json = open(bytes, MAX_CONTROL_BYTES);
        let number = |name: &&str| json.get(name).number();
        let text = |name: &&str| json.get(name).text().to_owned();
        let control = Self {
            numbers: numbers.iter().map(number).collect(),
            texts: texts.iter().map(text).collect(),
            snapshot: None,
        };
        (json, control)
    }

    /// Version, epoch and time; dataset and nonce; state checksum and file.
    pub(crate) fn snapshot_entry(bytes: &[u8]) -> Self {
        let numbers = ["version", "epoch", "time_ms"];
        let (json, mut control) = Self::open(bytes, &numbers, &["dataset", "nonce"]);
        let state_checksum = json.get("state_checksum").hex(16);
        control.snapshot = Some((state_checksum, File::snapshot(json.get("blob"))));
        control
    }

    /// Version and time; dataset.
    pub(crate) fn collected_row(bytes: &[u8]) -> Self {
        Self::open(bytes, &["version", "time_ms"], &["dataset"]).1
    }

    /// Version and time; dataset, its identity, who, why, and the checksum of the state as it is printed.
    pub(crate) fn accepted_version(bytes: &[u8]) -> Self {
        let texts = ["dataset", "dataset_id", "by", "reason", "state_checksum"];
        let (json, control) = Self::open(bytes, &["version", "time_ms"], &texts);
        json.get("state_checksum").hex(16);
        assert!((1..=MAX_VERSION).contains(&control.numbers[0]));
        assert!(control.texts[2..4].iter().all(|note| note.len() <= 1_000));
        control
    }

    /// Version and time; dataset, its identity, who, why, and the channel if it is one.
    pub(crate) fn pointer(bytes: &[u8]) -> Self {
        let texts = ["dataset", "dataset_id", "by", "reason"];
        let (json, mut control) = Self::open(bytes, &["version", "time_ms"], &texts);
        assert!((1..=MAX_VERSION).contains(&control.numbers[0]));
        let is_text = |text: &str, most| text.len() <= most && !text.chars().any(char::is_control);
        let [dataset, id, by, reason] = &control.texts[..] else {
            panic!("four texts")
        };
        assert!(is_name(dataset) && !id.is_empty() && is_text(id, 128));
        assert!(is_text(by, 1_000) && is_text(reason, 1_000));
        if let Some(channel) = json.optional("channel") {
            assert!(is_name(channel.text()), "{channel:?}");
            control.texts.push(channel.text().to_owned());
        }
        if let Some(rollout) = json.optional("rollout") {
            assert!(json.optional("channel").is_some());
            control.numbers.extend(Self::rollout(rollout));
            control.texts.push(rollout.get("nonce").text().to_owned());
            let halted = rollout.optional("halted").map(Json::text);
            assert!(is_text(halted.unwrap_or(""), 1_000));
            control.texts.extend(halted.map(str::to_owned));
        }
        control
    }

    /// The version, stage, share and wait of a rollout, and its stages.
    fn rollout(json: &Json) -> Vec<u64> {
        let names = ["to", "stage", "share", "wait_ms"];
        let [to, stage, share, wait_ms] = names.map(|name| json.get(name).number());
        let stages = json.get("stages").list(Json::number);
        let nonce = json.get("nonce").text();
        let digits = nonce.bytes().all(|b| b"0123456789abcdef".contains(&b));
        assert!(nonce.len() == 16 && digits, "{nonce}");
        assert!((1..=MAX_VERSION).contains(&to));
        assert!((1..=32).contains(&stages.len()) && stages[0] > 0);
        assert!(stages.windows(2).all(|two| two[0] < two[1]));
        assert_eq!(stages.last(), Some(&10_000));
        assert!((stages[stage as usize]..=10_000).contains(&share));
        assert!((1..=604_800_000).contains(&wait_ms));
        [vec![to, stage, share, wait_ms], stages].concat()
    }

    /// Whether a consumer goes in a rollout of this nonce and share.
    pub(crate) fn goes(nonce: &str, share: u64, consumer: &str) -> bool {
        let named = format!("{nonce}/{consumer}");
        xxh3_64(named.as_bytes()) % 10_000 < share
    }

    /// Version, epoch and time; dataset and writer.
    pub(crate) fn leader_hint(bytes: &[u8]) -> Self {
        let numbers = ["version", "epoch", "time_ms"];
        Self::open(bytes, &numbers, &["dataset", "writer"]).1
    }
}

/// What is told of a version: dataset, its identity, the version.
pub(crate) fn announcement(bytes: &[u8]) -> (String, String, u64) {
    let json = open(bytes, MAX_ANNOUNCEMENT_BYTES);
    let text = |name: &str| json.get(name).text().to_owned();
    let (dataset, dataset_id) = (text("dataset"), text("dataset_id"));
    let version = json.get("version").number();
    assert!(is_name(&dataset), "{dataset}");
    assert!((1..=128).contains(&dataset_id.len()), "{dataset_id}");
    assert!((1..=MAX_VERSION).contains(&version), "{version}");
    (dataset, dataset_id, version)
}

/// What a consumer tells of itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Dataset, its identity, consumer, host, process, health.
    pub(crate) texts: [String; 6],
    /// Version, newest, staleness, since start, since health, wall time.
    pub(crate) numbers: [u64; 6],
    pub(crate) pinned: Option<u64>,
    pub(crate) held: Option<u64>,
    pub(crate) channel: Option<String>,
    /// By what, and which version.
    pub(crate) told: Option<(String, u64)>,
    pub(crate) reasons: Vec<String>,
    pub(crate) expires_after_s: u64,
}

impl Lease {
    pub(crate) fn open(bytes: &[u8]) -> Self {
        let json = open(bytes, MAX_LEASE_BYTES);
        let text = |name: &str| json.get(name).text().to_owned();
        let number = |name: &str| json.get(name).number();
        let texts = [
            "dataset",
            "dataset_id",
            "consumer",
            "host",
            "process",
            "health",
        ]
        .map(text);
        let numbers = [
            "version",
            "newest",
            "staleness_ms",
            "running_ms",
            "health_ms",
            "time_ms",
        ];
        let lease = Self {
            texts,
            numbers: numbers.map(number),
            pinned: json.optional("pinned").map(Json::number),
            held: json.optional("held").map(Json::number),
            channel: json
                .optional("channel")
                .map(|channel| channel.text().to_owned()),
            told: json.optional("told").map(|told| {
                let by = told.get("by").text();
                assert!(by == "pin" || by == "channel", "{by}");
                (by.to_owned(), told.get("version").number())
            }),
            reasons: json.get("reasons").list(|reason| reason.text().to_owned()),
            expires_after_s: number("expires_after_s"),
        };
        lease.check();
        lease
    }

    fn check(&self) {
        let [dataset, dataset_id, consumer, host, process, health] = &self.texts;
        for name in [dataset, consumer].into_iter().chain(&self.channel) {
            assert!(is_name(name), "{name}");
        }
        let told = self.told.as_ref().map_or(0, |(_, version)| *version);
        assert!(told <= MAX_VERSION);
        let is_text = |text: &str, most| text.len() <= most && !text.chars().any(char::is_control);
        assert!(
            [dataset_id, host, process]
                .into_iter()
                .all(|word| is_text(word, 128))
        );
        assert!(health.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
        assert!((1..=128).contains(&health.len()), "{health}");
        assert!(self.reasons.len() <= 8 && self.reasons.iter().all(|reason| is_text(reason, 512)));
        let [version, newest, ..] = self.numbers;
        assert!(version.max(newest).max(self.held.unwrap_or(0)) <= MAX_VERSION);
        assert!((1..=MAX_EXPIRY_S).contains(&self.expires_after_s));
    }
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let fits = (1..=100).contains(&name.len()) && !name.starts_with('.');
    fits && name.chars().all(plain)
}

/// Standard base64 with padding, whose unused bits are 0.
fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    assert!(text.len().is_multiple_of(4), "{text}");
    let digits = text.trim_end_matches('=');
    assert!(text.len() - digits.len() <= 2, "{text}");
    let (mut bytes, mut word, mut bits) = (Vec::new(), 0, 0);
    for byte in digits.bytes() {
        let digit = DIGITS.iter().position(|digit| *digit == byte).unwrap();
        word = word << 6 | digit;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
            word &= (1 << bits) - 1;
        }
    }
    assert_eq!(word, 0, "{text}");
    bytes
}
