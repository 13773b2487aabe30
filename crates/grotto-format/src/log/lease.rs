//! The lease of a consumer: who it is, what it serves, and for how long that is to be believed.
//!
//! Owns: its fields, their limits, and the rule of names. Never: IO, or a decision about who is alive.
//! Spec: `docs/format/spec.md`, section "Leases".

use serde::{Deserialize, Serialize};

use super::check::Fault;
use super::{LogError, MAX_VERSION, sealed};

/// Largest lease in bytes; readers refuse more before they parse.
pub const MAX_LEASE_BYTES: usize = 16 << 10;
/// Longest name of a dataset or a consumer in bytes.
pub const MAX_PLAIN_NAME: usize = 100;
/// Most reasons of a lease.
pub const MAX_REASONS: usize = 8;
/// Longest reason in bytes.
pub const MAX_REASON: usize = 512;
/// Longest word of a lease for host, process or health in bytes.
pub const MAX_WORD: usize = 128;
/// Longest time for which a lease is believed without a renewal, in seconds: one day.
pub const MAX_EXPIRY_S: u64 = 86_400;

/// What a consumer tells of itself, renewed for as long as it lives. All times but one are spans: they
/// mean the same on hosts whose clocks differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Format number, [`super::FORMAT`].
    pub format: u32,
    /// The dataset's name.
    pub dataset: String,
    /// Identity of the dataset that is served; empty while none is.
    pub dataset_id: String,
    /// The consumer's name, as in that of the object.
    pub consumer: String,
    /// The host it runs on, for people.
    pub host: String,
    /// Which process of that host, for people.
    pub process: String,
    /// The version served; 0 while none is.
    pub version: u64,
    /// The newest version it knows of.
    pub newest: u64,
    /// The version that it stays at because its own program told it to.
    pub pinned: Option<u64>,
    /// The channel that it follows; `None` for the newest version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// What the fleet's pin, or the channel, tells it; `None` while neither does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<LeaseTold>,
    /// A version that it refuses to serve until a person decides.
    pub held: Option<u64>,
    /// How it is, in one word.
    pub health: String,
    /// Why it is no better.
    pub reasons: Vec<String>,
    /// Since what is served was known to be the newest, in milliseconds.
    pub staleness_ms: u64,
    /// Since its start, in milliseconds.
    pub running_ms: u64,
    /// Since its health became what it is, in milliseconds.
    pub health_ms: u64,
    /// Seconds after this renewal from which on it counts as gone.
    pub expires_after_s: u64,
    /// The consumer's wall time, in milliseconds since 1970; informative only.
    pub time_ms: u64,
}

/// What a consumer is told to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseTold {
    /// By what.
    pub by: ToldBy,
    /// The version.
    pub version: u64,
}

/// What tells consumers which version to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToldBy {
    /// The pin of the fleet.
    Pin,
    /// The channel that the consumer follows.
    Channel,
}

impl Lease {
    const WHAT: &'static str = "lease";

    /// The same with texts of people and hosts as a lease may have them: cut where they are too long,
    /// control characters as blanks.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        for word in [&mut self.host, &mut self.process] {
            *word = shortened(word, MAX_WORD);
        }
        self.reasons.truncate(MAX_REASONS);
        for reason in &mut self.reasons {
            *reason = shortened(reason, MAX_REASON);
        }
        self
    }

    /// The bytes to put into the store.
    ///
    /// # Errors
    /// When it says what [`decode`](Self::decode) would refuse.
    pub fn encode(&self) -> Result<Vec<u8>, LogError> {
        self.check()?;
        sealed::seal(Self::WHAT, self, MAX_LEASE_BYTES)
    }

    /// Reads a lease from untrusted bytes; any altered byte is refused.
    ///
    /// # Errors
    /// When the bytes are torn or altered, or say what cannot be; the message names what.
    pub fn decode(bytes: &[u8]) -> Result<Self, LogError> {
        let lease: Self = sealed::open(Self::WHAT, bytes, MAX_LEASE_BYTES)?;
        lease.check()?;
        Ok(lease)
    }

    fn check(&self) -> Result<(), LogError> {
        self.check_names()
            .and_then(|()| self.check_numbers())
            .and_then(|()| self.check_reasons())
            .map_err(|(field, reason)| LogError::Field {
                what: Self::WHAT,
                field,
                reason,
            })
    }

    fn check_names(&self) -> Result<(), Fault> {
        let channel = self.channel.as_ref().map(|name| ("channel", name));
        let names = [("dataset", &self.dataset), ("consumer", &self.consumer)];
        for (field, name) in names.into_iter().chain(channel) {
            if !is_plain_name(name) {
                return Err((field, format!("{} is no plain name", shown(name))));
            }
        }
        let words = [
            ("dataset_id", &self.dataset_id),
            ("host", &self.host),
            ("process", &self.process),
        ];
        for (field, word) in words {
            check_text(field, word, MAX_WORD)?;
        }
        let health = &self.health;
        let of_word = |b: u8| b.is_ascii_lowercase() || b == b'-';
        let is_word = !health.is_empty() && health.bytes().all(of_word);
        if !is_word || health.len() > MAX_WORD {
            let reason = format!(
                "expected lowercase letters and '-', found {}",
                shown(health)
            );
            return Err(("health", reason));
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), Fault> {
        let (pinned, held) = (self.pinned.unwrap_or(0), self.held.unwrap_or(0));
        let told = self.told.map_or(0, |told| told.version);
        for (field, version) in [
            ("version", self.version),
            ("newest", self.newest),
            ("pinned", pinned),
            ("held", held),
            ("told", told),
        ] {
            if version > MAX_VERSION {
                return Err((
                    field,
                    format!("expected at most {MAX_VERSION}, found {version}"),
                ));
            }
        }
        if !(1..=MAX_EXPIRY_S).contains(&self.expires_after_s) {
            let found = self.expires_after_s;
            let reason = format!("expected 1 to {MAX_EXPIRY_S}, found {found}");
            return Err(("expires_after_s", reason));
        }
        Ok(())
    }

    fn check_reasons(&self) -> Result<(), Fault> {
        let found = self.reasons.len();
        if found > MAX_REASONS {
            return Err((
                "reasons",
                format!("expected at most {MAX_REASONS}, found {found}"),
            ));
        }
        let mut reasons = self.reasons.iter();
        reasons.try_for_each(|reason| check_text("reasons", reason, MAX_REASON))
    }
}

/// Whether a text may be the name of a dataset or a consumer, and so part of the name of an object: 1 to
/// [`MAX_PLAIN_NAME`] ASCII letters, digits, `-`, `_` or `.`, not starting with `.`.
pub fn is_plain_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let fits = !name.is_empty() && name.len() <= MAX_PLAIN_NAME && !name.starts_with('.');
    fits && name.bytes().all(plain)
}

/// Without control characters, which could move the cursor of whoever prints it.
pub(super) fn check_text(field: &'static str, text: &str, most: usize) -> Result<(), Fault> {
    let found = text.len();
    if found > most {
        return Err((
            field,
            format!("expected at most {most} bytes, found {found}"),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err((field, "expected no control character, found one".to_owned()));
    }
    Ok(())
}

fn shown(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    format!("{start:?}")
}

fn shortened(text: &str, most: usize) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().map(visible).collect();
    short.truncate(short.floor_char_boundary(most));
    short
}

#[cfg(test)]
mod tests;
