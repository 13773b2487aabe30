//! Section `consumer`: keys of those who read datasets, with their defaults.
//!
//! Owns: names and defaults. Never: acts on one. A key is in here only if this build acts on it.

use super::daemon::LogLevel;
use super::push::PushSettings;
use super::section::{Key, Section, Shown, section};
use super::value::{self, Size};
use grotto::StoreUrl;
use grotto::consumer::Guards;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

const MIB: u64 = 1 << 20;

section! {
    /// Section `monitoring` of a sidecar.
    ConsumerMonitoring {
        /// How often the log tells of versions and staleness.
        metrics_interval: Duration = Duration::from_secs(30), "value::duration", live;
        /// Port of the listener; 0 for any that is free.
        health_check_port: u16 = 8080, "value::port";
        /// With histograms.
        enable_detailed_metrics: bool = true, "value::flag", live;
        /// What is logged.
        log_level: LogLevel = LogLevel::Info, "value::word", live;
    }
}

section! {
    /// Section `listeners` of a sidecar.
    ConsumerListeners {
        /// Address of the listener. Beyond loopback a token is required.
        address: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST), "value::address";
        /// Unix socket to listen on as well.
        socket: Option<PathBuf> = None, "value::some_path";
        /// Permission bits of the socket: who may write to it may ask.
        socket_mode: Mode = Mode(0o600), "value::socket_mode";
        /// Group of the socket, by name or number.
        socket_group: Option<String> = None, "value::name";
        /// Longest body of a request, as it comes and unpacked.
        max_body_size: Size = Size(MIB), "value::size::<1024, { 1 << 30 }, _>", live;
        /// Longest time until the headers of a request are there.
        header_timeout: Duration = Duration::from_secs(10), "value::duration";
        /// Longest time until its body is there, and in which nobody reads of the answer.
        body_timeout: Duration = Duration::from_secs(30), "value::duration";
        /// Most connections at once on each listener; more are answered with 503.
        max_connections: u64 = 1024, "value::count::<1, 65_536, _>";
        /// Memory of all bodies together: more of them are told to come again.
        max_body_memory: Size = Size(64 * MIB), "value::size::<{ 64 << 10 }, { 1 << 40 }, _>";
        /// Memory of all answers of records that are on their way: more of them are told to come again.
        max_answer_memory: Size = Size(256 * MIB), "value::size::<{ 64 << 10 }, { 1 << 40 }, _>";
    }
}

section! {
    /// Section `limits`: how much one request may ask for.
    Limits {
        /// Most keys of a batch.
        max_batch: u64 = 1000, "value::count::<1, 1_000_000, _>", live;
        /// Most records of a page.
        max_page: u64 = 1000, "value::count::<1, 1_000_000, _>", live;
        /// Most records that are looked at for a page.
        max_scanned: u64 = 100_000, "value::count::<1, 1_000_000_000, _>", live;
        /// Longest text of the records of an answer.
        max_answer_size: Size = Size(16 * MIB), "value::size::<1024, { 1 << 30 }, _>", live;
        /// Longest wait for a version.
        max_wait: Duration = Duration::from_secs(60), "value::duration", live;
        /// Most requests at once that wait for versions; more are told to come again.
        max_waiting: u64 = 256, "value::count::<1, 65_536, _>";
        /// Most readers of changes at once that go on at older versions, whose states are built for them; more are told to
        /// come again.
        max_resuming: u64 = 4, "value::count::<1, 1024, _>";
        /// Versions of a dataset that are held for scans that began on them.
        held_versions: u64 = 4, "value::count::<0, 1024, _>", live;
        /// How long a version is held after a page of it was asked for.
        held_for: Duration = Duration::from_secs(60), "value::duration", live;
        /// How long a version is held at most, however often pages of it are asked for.
        held_at_most: Duration = Duration::from_secs(600), "value::duration", live;
    }
}

section! {
    /// Section `guards`: how much a version may differ from the one that is served.
    GuardSettings {
        /// Whether a version that differs more is held until somebody accepts it.
        hold: bool = true, "value::flag";
        /// So many times what is served, or more, is too much.
        max_growth: f64 = Guards::default().max_growth, "value::real";
        /// This share of what is served, or less, is too little.
        max_shrink: f64 = Guards::default().max_shrink, "value::real";
        /// Types of which fewer records are served are not compared.
        min_records: u64 = Guards::default().min_records, "value::count::<0, { value::ANY }, _>";
        /// No more records than this are no growth.
        min_growth: u64 = Guards::default().min_growth, "value::count::<0, { value::ANY }, _>";
        /// States of fewer bytes are not compared by their bytes.
        min_bytes: Size = Size(Guards::default().min_bytes), "value::size::<0, { 1 << 50 }, _>";
        /// No more bytes than this are no growth.
        min_growth_bytes: Size = Size(Guards::default().min_growth_bytes), "value::size::<0, { 1 << 50 }, _>";
    }
}

impl GuardSettings {
    /// The same for the library.
    #[must_use]
    pub fn guards(&self) -> Guards {
        match self.hold {
            false => Guards::none(),
            true => Guards {
                max_growth: self.max_growth,
                max_shrink: self.max_shrink,
                min_records: self.min_records,
                min_growth: self.min_growth,
                min_bytes: self.min_bytes.0,
                min_growth_bytes: self.min_growth_bytes.0,
            },
        }
    }
}

section! {
    /// Section `blob_cache`: a folder of this host for blobs that were fetched.
    BlobCacheSettings {
        /// Where they are kept; nowhere unless set.
        folder: Option<PathBuf> = None, "value::some_path";
        /// Bytes of all blobs together. What was not used for longest goes first.
        size: Size = Size(1_000_000_000), "value::size::<{ 1 << 20 }, { 1 << 50 }, _>";
        /// Longest time since a blob was used last.
        age: Duration = Duration::from_secs(7 * 86_400), "value::age";
    }
}

/// Permission bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Shown for Mode {
    fn shown(&self) -> Value {
        format!("{:03o}", self.0).into()
    }
}

/// The entries of `datasets` as they are written: with what they do not say at its default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct Listed(Vec<FollowSettings>);

impl Section for Listed {
    /// Nothing: what an entry comes to is only known together with the section.
    fn keys(&self, _: &str, _: &mut Vec<Key>) {}
}

/// The keys that each dataset has.
macro_rules! dataset {
    ($(#[$doc:meta])* $vis:vis $name:ident { $($(#[$own_doc:meta])* $own:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        $vis struct $name {
            /// Name of the dataset.
            #[serde(deserialize_with = "value::name")]
            pub dataset: Option<String>,
            /// Where its versions are.
            #[serde(deserialize_with = "value::store_url")]
            pub store: Option<StoreUrl>,
            /// A copy of that store, to read from while it does not answer.
            #[serde(deserialize_with = "value::store_url")]
            pub fallback_store: Option<StoreUrl>,
            /// Where its state is kept on this host; in memory unless set.
            #[serde(deserialize_with = "value::some_path")]
            pub state_dir: Option<PathBuf>,
            /// Permission bits of its folders.
            #[serde(deserialize_with = "value::mode")]
            pub state_mode: Option<u32>,
            /// Group that may read it, by name or number.
            #[serde(deserialize_with = "value::name")]
            pub state_group: Option<String>,
            /// Channel that is followed instead of the newest version.
            #[serde(deserialize_with = "value::channel")]
            pub channel: Option<String>,
            /// Types (`City`) and fields (`City.name`) that are kept, and what they refer to; all unless set.
            #[serde(deserialize_with = "value::names")]
            pub types: BTreeSet<String>,
            /// How often to look for a new version.
            #[serde(deserialize_with = "value::duration")]
            pub poll_interval: Duration,
            /// Longest wait between two looks, while nothing is new and while they fail.
            #[serde(deserialize_with = "value::duration")]
            pub max_backoff: Duration,
            /// How often to look at the log as a whole, for what a look for the next version does not show.
            #[serde(deserialize_with = "value::duration")]
            pub health_check_interval: Duration,
            /// Most errors in a minute that are nothing to worry about.
            #[serde(deserialize_with = "value::count::<0, { value::ANY }, _>")]
            pub max_errors_per_minute: u64,
            /// Most bytes that a state may take: one that would take more is not served.
            #[serde(deserialize_with = "value::size::<1024, { 1 << 50 }, _>")]
            pub memory_limit: Size,
            /// How much a version may differ from the one before.
            pub guards: GuardSettings,
            /// Blobs that were fetched, for the next start and for others of this host.
            pub blob_cache: BlobCacheSettings,
            /// Who announces versions.
            pub push: PushSettings,
            /// Whether it is told in the store who serves which version, for `grotto status`.
            #[serde(deserialize_with = "value::flag")]
            pub lease: bool,
            /// Longest time between two times that this is told.
            #[serde(deserialize_with = "value::duration")]
            pub lease_interval: Duration,
            /// Longest wait at the end for a refresh under way.
            #[serde(deserialize_with = "value::duration")]
            pub graceful_shutdown_timeout: Duration,
            $($(#[$own_doc])* pub $own: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    dataset: None,
                    store: None,
                    fallback_store: None,
                    state_dir: None,
                    state_mode: None,
                    state_group: None,
                    channel: None,
                    types: BTreeSet::new(),
                    poll_interval: Duration::from_millis(100),
                    max_backoff: Duration::from_secs(5),
                    health_check_interval: Duration::from_secs(30),
                    max_errors_per_minute: 10,
                    memory_limit: Size(512_000_000),
                    guards: GuardSettings::default(),
                    blob_cache: BlobCacheSettings::default(),
                    push: PushSettings::default(),
                    lease: true,
                    lease_interval: Duration::from_secs(10),
                    graceful_shutdown_timeout: Duration::from_secs(30),
                    $($own: Default::default(),)*
                }
            }
        }

        impl Section for $name {
            fn keys(&self, at: &str, keys: &mut Vec<Key>) {
                let mode = self.state_mode.map(|mode| format!("{mode:03o}"));
                let values: [(&str, Value, bool); 16] = [
                    ("dataset", self.dataset.shown(), false),
                    ("store", self.store.shown(), false),
                    ("fallback_store", self.fallback_store.shown(), false),
                    ("state_dir", self.state_dir.shown(), false),
                    ("state_mode", mode.shown(), false),
                    ("state_group", self.state_group.shown(), false),
                    ("channel", self.channel.shown(), false),
                    ("types", self.types.shown(), false),
                    ("poll_interval", self.poll_interval.shown(), true),
                    ("max_backoff", self.max_backoff.shown(), true),
                    ("health_check_interval", self.health_check_interval.shown(), false),
                    ("max_errors_per_minute", self.max_errors_per_minute.shown(), false),
                    ("memory_limit", self.memory_limit.shown(), false),
                    ("lease", self.lease.shown(), false),
                    ("lease_interval", self.lease_interval.shown(), false),
                    ("graceful_shutdown_timeout", self.graceful_shutdown_timeout.shown(), false),
                ];
                keys.extend(values.map(|(name, value, live)| Key {
                    path: format!("{at}.{name}"),
                    value,
                    live,
                }));
                self.guards.keys(&format!("{at}.guards"), keys);
                self.blob_cache.keys(&format!("{at}.blob_cache"), keys);
                self.push.keys(&format!("{at}.push"), keys);
                $(self.$own.keys(&format!("{at}.{}", stringify!($own)), keys);)*
            }
        }
    };
}

dataset! {
    /// All settings of one dataset that is followed.
    pub FollowSettings {}
}

dataset! {
    /// Section `consumer` as it is written: what concerns the sidecar, and what holds for each dataset.
    pub(super) ConsumerSection {
        /// Who follows, for those who look at a fleet.
        id: Id,
        /// Health, metrics and logs.
        monitoring: ConsumerMonitoring,
        /// The HTTP listeners.
        listeners: ConsumerListeners,
        /// How much one request may ask for.
        limits: Limits,
        /// Who may use it.
        security: super::daemon::Security,
        /// Several datasets: what an entry does not say, the section says.
        datasets: Listed,
    }
}

/// Who follows.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct Id(#[serde(deserialize_with = "value::name")] pub(super) Option<String>);

impl Section for Id {
    fn keys(&self, at: &str, keys: &mut Vec<Key>) {
        keys.push(Key {
            path: at.to_owned(),
            value: self.0.shown(),
            live: false,
        });
    }
}
