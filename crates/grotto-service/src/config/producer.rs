//! Section `producer`: every key of a dataset that a producer keeps, with its default.
//!
//! Owns: names and defaults. Never: acts on one. A key is in here only if this build acts on it.

use super::push::PushSettings;
use super::section::{Key, Section, Shown, section, shown_word};
use super::value::{self, Size, Word};
use grotto::StoreUrl;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IntoDeserializer as _, MapAccess, Visitor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

section! {
    /// Section `batching`: when pending records become a version.
    Batching {
        /// Records at which a version is begun; one large submission may make it larger.
        max_batch_size: u64 = 1000, "value::count::<1, 10_000_000, _>", live;
        /// Bytes of records at which a version is begun.
        max_batch_bytes: Size = Size(8 * MIB), "value::size::<1024, { 1 << 30 }, _>", live;
        /// Longest wait of a record for others.
        batch_timeout: Duration = Duration::from_secs(1), "value::duration", live;
        /// Most records in memory that wait for their version; more stay in the write-ahead log only.
        max_pending_records: u64 = 10_000, "value::count::<1, 100_000_000, _>", live;
        /// Most bytes of records in memory that wait for their version.
        max_pending_bytes: Size = Size(64 * MIB), "value::size::<1024, { 1 << 40 }, _>", live;
        /// Pending records at which a version, of up to so many, is begun without waiting for more.
        memory_pressure_threshold: u64 = 8_000, "value::count::<1, 100_000_000, _>", live;
    }
}

section! {
    /// Section `performance`.
    Performance {
        /// Threads that decode and encode.
        worker_pool_size: u64 = 5, "value::count::<1, 1024, _>";
        /// Longest time of one operation of the store.
        write_timeout: Duration = Duration::from_secs(30), "value::duration";
        /// Versions between snapshots; 0 for none.
        snapshot_frequency: u64 = 25, "value::count::<0, 1_000_000_000, _>", live;
        /// zstd level 3; without, blobs are stored as they are.
        enable_compression: bool = true, "value::flag";
        /// Bytes of a delta and its way back that still ride in the log entry.
        inline_blobs: u64 = 8 * KIB, "value::count::<0, { value::MOST_INLINE }, _>";
    }
}

section! {
    /// Section `reliability`.
    Reliability {
        /// How often an operation of the store is tried again.
        max_retry_attempts: u64 = 3, "value::count::<0, 100, _>";
        /// Wait before the first of these tries; it doubles.
        retry_backoff: Duration = Duration::from_secs(1), "value::duration";
        /// Failures in a row that open the circuit breaker.
        circuit_breaker_threshold: u64 = 10, "value::count::<1, 1_000_000, _>";
        /// Time after which an open breaker lets one probe through.
        circuit_breaker_reset: Duration = Duration::from_secs(30), "value::duration";
        /// Longest time of a shutdown that publishes what is pending.
        shutdown_timeout: Duration = Duration::from_secs(30), "value::duration", live;
    }
}

section! {
    /// Section `wal`: the write-ahead log.
    Wal {
        /// Where the logs of all datasets lie, each in a folder of its name.
        dir: PathBuf = PathBuf::from("/var/lib/grotto/wal"), "value::path";
        /// Size at which a new file is begun.
        segment_size: Size = Size(64 * MIB), "value::size::<{ 64 << 10 }, { 16 << 30 }, _>";
        /// Most bytes of a log: beyond, nothing is taken in until something is published.
        max_size: Size = Size(1 << 30), "value::size::<{ 64 << 10 }, { 1 << 50 }, _>";
        /// Off, an acknowledged record survives the end of the process, but not that of the host.
        fsync: bool = true, "value::flag";
        /// Where a record must be before it is acknowledged.
        durability: Durability = Durability::Host, "value::word";
    }
}

section! {
    /// Section `dead_letter`: records that were refused after they were acknowledged, or by a source.
    DeadLetter {
        /// Where those of all datasets lie, each in a folder of its name.
        dir: PathBuf = PathBuf::from("/var/lib/grotto/dead-letters"), "value::path";
        /// Most bytes of them: the oldest go first.
        max_size: Size = Size(64 * MIB), "value::size::<{ 64 << 10 }, { 1 << 50 }, _>";
    }
}

section! {
    /// Section `load_shedding`: what happens to more than can be taken in.
    LoadShedding {
        /// Who has to go.
        policy: Shedding = Shedding::Reject, "value::word", live;
        /// Most records that wait to become durable.
        max_waiting_records: u64 = 20_000, "value::count::<1, 100_000_000, _>", live;
        /// Most bytes that wait to become durable.
        max_waiting_bytes: Size = Size(64 * MIB), "value::size::<1024, { 1 << 40 }, _>", live;
    }
}

section! {
    /// Section `rate_limit`. No limit unless set.
    RateLimit {
        /// Records a second.
        records_per_second: Option<u64> = None, "value::some_count::<1, 4_000_000_000, _>", live;
        /// Bytes of records a second.
        bytes_per_second: Option<Size> = None, "value::some_size::<1024, { 1 << 40 }, _>", live;
    }
}

section! {
    /// Section `validation`: which versions are refused.
    Validation {
        /// Fewest records, by type.
        minimum_count: BTreeMap<String, u64> = BTreeMap::new(), "value::by_type";
        /// Largest change of the number of records in percent, by type.
        count_drift: BTreeMap<String, u64> = BTreeMap::new(), "value::by_type";
    }
}

section! {
    /// Section `sources`: where records come from beside HTTP.
    Sources {
        /// Folder whose files are taken in, in the order of their names, and moved to `done` below it.
        folder: Option<PathBuf> = None, "value::some_path";
        /// How often it is looked at.
        poll_interval: Duration = Duration::from_secs(1), "value::duration", live;
        /// What the standard input is.
        stdin: Stdin = Stdin::None, "value::word";
        /// Type of records whose lines name none.
        default_type: Option<String> = None, "value::name";
    }
}

section! {
    /// Section `retention`: what is removed from the store, by the daemon that publishes the dataset.
    Retention {
        /// Whether anything is.
        enabled: bool = true, "value::flag", live;
        /// How often it is looked for.
        interval: Duration = Duration::from_secs(600), "value::duration", live;
        /// How many of the newest snapshots stay, and with them every version from the oldest of them on.
        snapshots: u64 = 3, "value::count::<1, 10_000, _>", live;
        /// Younger files stay: longer than any upload and any refresh takes.
        grace: Duration = Duration::from_secs(3600), "value::duration", live;
    }
}

section! {
    /// Section `leadership`: which of several daemons publishes a dataset. `leadership: standby` is short for its role.
    Leadership {
        /// Whether it takes over when it starts, or once nobody else publishes.
        role: LeadershipRole = LeadershipRole::Leader, "value::word";
        /// Silence after which whoever publishes counts as gone.
        lease: Duration = Duration::from_secs(15), "value::duration";
        /// How often a sign of life is given while nothing is published, and how often a standby looks at most.
        heartbeat: Duration = Duration::from_secs(5), "value::duration";
    }
}

/// Whether a daemon takes over when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeadershipRole {
    /// At once, from whoever publishes.
    Leader,
    /// Once whoever publishes was silent for the lease, or hands over.
    Standby,
}

impl Word for LeadershipRole {
    const WORDS: &'static [(&'static str, Self)] =
        &[("leader", Self::Leader), ("standby", Self::Standby)];
}

/// Where a record must be before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On the disk of this host.
    Host,
    /// In the store, where whoever takes over publishes it.
    Store,
    /// In a version.
    Published,
}

impl Word for Durability {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("host", Self::Host),
        ("store", Self::Store),
        ("published", Self::Published),
    ];
}

/// Who has to go when there is more than can be taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shedding {
    /// Who comes last.
    Reject,
    /// The batch that has waited longest.
    DropOldestUnacknowledged,
    /// The batch of the lowest priority.
    ByPriority,
}

impl Word for Shedding {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("reject", Self::Reject),
        ("drop_oldest_unacknowledged", Self::DropOldestUnacknowledged),
        ("by_priority", Self::ByPriority),
    ];
}

/// What the standard input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// Not read.
    None,
    /// Records that come once.
    Stream,
    /// The same records from the beginning at each start: those that were taken in are passed.
    Replay,
}

impl Word for Stdin {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("stream", Self::Stream),
        ("replay", Self::Replay),
    ];
}

macro_rules! shown_words {
    ($($name:ident),*) => {
        $(impl Shown for $name {
            fn shown(&self) -> Value {
                shown_word(*self)
            }
        })*
    };
}
shown_words!(Durability, Shedding, Stdin, LeadershipRole);

/// The section, or the word that is its role.
fn leadership<'de, D: Deserializer<'de>>(value: D) -> Result<Leadership, D::Error> {
    value.deserialize_any(RoleOrSection)
}

struct RoleOrSection;

impl<'de> Visitor<'de> for RoleOrSection {
    type Value = Leadership;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("leader, standby or a section with `role`, `lease` and `heartbeat`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Leadership, E> {
        let role = value::word(text.into_deserializer())?;
        Ok(Leadership {
            role,
            ..Leadership::default()
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Leadership, A::Error> {
        Leadership::deserialize(MapAccessDeserializer::new(map))
    }
}

/// The keys that each dataset has.
macro_rules! dataset {
    ($(#[$doc:meta])* $vis:vis $name:ident { $($(#[$key_doc:meta])* $own:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        $vis struct $name {
            /// Name of the dataset.
            #[serde(deserialize_with = "value::name")]
            pub dataset: Option<String>,
            /// Schema file.
            #[serde(deserialize_with = "value::some_path")]
            pub schema: Option<PathBuf>,
            /// Where versions are published.
            #[serde(deserialize_with = "value::store_url")]
            pub store: Option<StoreUrl>,
            /// When pending records become a version.
            pub batching: Batching,
            /// Threads, times and blobs.
            pub performance: Performance,
            /// Retries and the circuit breaker.
            pub reliability: Reliability,
            /// The write-ahead log.
            pub wal: Wal,
            /// Records that were refused.
            pub dead_letter: DeadLetter,
            /// What happens to more than can be taken in.
            pub load_shedding: LoadShedding,
            /// How much is taken in.
            pub rate_limit: RateLimit,
            /// Which versions are refused.
            pub validation: Validation,
            /// Which of several daemons publishes it.
            #[serde(deserialize_with = "leadership")]
            pub leadership: Leadership,
            /// What is removed from the store.
            pub retention: Retention,
            /// Where versions are announced.
            pub push: PushSettings,
            /// Where records come from beside HTTP.
            pub sources: Sources,
            $($(#[$key_doc])* pub $own: $type,)*
        }

        impl Section for $name {
            fn keys(&self, at: &str, keys: &mut Vec<Key>) {
                let names = [
                    ("dataset", self.dataset.shown()),
                    ("schema", self.schema.shown()),
                    ("store", self.store.shown()),
                ];
                keys.extend(names.map(|(name, value)| Key {
                    path: format!("{at}.{name}"),
                    value,
                    live: false,
                }));
                self.batching.keys(&format!("{at}.batching"), keys);
                self.performance.keys(&format!("{at}.performance"), keys);
                self.reliability.keys(&format!("{at}.reliability"), keys);
                self.wal.keys(&format!("{at}.wal"), keys);
                self.dead_letter.keys(&format!("{at}.dead_letter"), keys);
                self.load_shedding.keys(&format!("{at}.load_shedding"), keys);
                self.rate_limit.keys(&format!("{at}.rate_limit"), keys);
                self.validation.keys(&format!("{at}.validation"), keys);
                self.leadership.keys(&format!("{at}.leadership"), keys);
                self.retention.keys(&format!("{at}.retention"), keys);
                self.push.keys(&format!("{at}.push"), keys);
                self.sources.keys(&format!("{at}.sources"), keys);
                $(self.$own.keys(&format!("{at}.{}", stringify!($own)), keys);)*
            }
        }
    };
}

dataset! {
    /// All settings of one dataset.
    pub DatasetSettings {}
}

dataset! {
    /// Section `producer` as it is written: what concerns the daemon, and what holds for each dataset.
    pub(super) ProducerSection {
        /// Health, metrics and logs.
        monitoring: super::daemon::Monitoring,
        /// The HTTP listener.
        listeners: super::daemon::Listeners,
        /// Who may use it.
        security: super::daemon::Security,
        /// Several datasets: what an entry does not say, the section says.
        datasets: super::daemon::Datasets,
    }
}
