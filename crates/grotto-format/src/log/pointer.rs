//! A pointer: the version that an operator wants consumers to serve, all of a dataset (the pin) or those that follow a
//! channel.
//!
//! Owns: its fields and their limits. Never: IO, or a decision about who follows it.
//! Spec: `docs/format/spec.md`, section "Pins and channels".

use serde::{Deserialize, Serialize};

use super::check::Fault;
use super::lease::{check_text, is_plain_name};
use super::rollout::Rollout;
use super::{LogError, MAX_CONTROL_BYTES, MAX_NOTE_BYTES, MAX_VERSION, MAX_WORD, sealed};

/// Names a version of a dataset. Replaced and removed at will, by people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// Format number, [`super::FORMAT`].
    pub format: u32,
    /// The dataset's name.
    pub dataset: String,
    /// The dataset's identity: one that was created anew under the name is another.
    pub dataset_id: String,
    /// The channel, as in the name of the object; `None` for the pin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The version.
    pub version: u64,
    /// Who set it, for people.
    pub by: String,
    /// Why, for people; may be empty.
    pub reason: String,
    /// Wall time of whoever did, in milliseconds since 1970; informative only.
    pub time_ms: u64,
    /// Who goes to another version already; of a channel only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
}

impl Pointer {
    /// The versions that it leads to.
    pub fn versions(&self) -> impl Iterator<Item = u64> {
        let to = self.rollout.as_ref().map(|rollout| rollout.to);
        std::iter::once(self.version).chain(to)
    }

    /// The version that it names for a consumer of this name, or for one without a name.
    pub fn version_for(&self, consumer: Option<&str>) -> u64 {
        match &self.rollout {
            Some(rollout) if rollout.includes(consumer) => rollout.to,
            _ => self.version,
        }
    }

    const WHAT: &'static str = "pointer";

    /// The bytes to put into the store.
    ///
    /// # Errors
    /// When it says what [`decode`](Self::decode) would refuse.
    pub fn encode(&self) -> Result<Vec<u8>, LogError> {
        self.check()?;
        sealed::seal(Self::WHAT, self, MAX_CONTROL_BYTES)
    }

    /// Reads one from untrusted bytes; any altered byte is refused.
    ///
    /// # Errors
    /// When the bytes are torn or altered, or say what cannot be; the message names what.
    pub fn decode(bytes: &[u8]) -> Result<Self, LogError> {
        let pointer: Self = sealed::open(Self::WHAT, bytes, MAX_CONTROL_BYTES)?;
        pointer.check()?;
        Ok(pointer)
    }

    fn check(&self) -> Result<(), LogError> {
        self.check_names()
            .and_then(|()| self.check_version())
            .and_then(|()| self.check_rollout())
            .map_err(|(field, reason)| LogError::Field {
                what: Self::WHAT,
                field,
                reason,
            })
    }

    fn check_names(&self) -> Result<(), Fault> {
        let channel = self.channel.as_deref().map(|name| ("channel", name));
        for (field, name) in [("dataset", self.dataset.as_str())]
            .into_iter()
            .chain(channel)
        {
            if !is_plain_name(name) {
                let shown: String = name.chars().take(40).collect();
                return Err((field, format!("{shown:?} is no plain name")));
            }
        }
        if self.dataset_id.is_empty() {
            return Err(("dataset_id", "expected an identity, found none".to_owned()));
        }
        check_text("dataset_id", &self.dataset_id, MAX_WORD)?;
        check_text("by", &self.by, MAX_NOTE_BYTES)?;
        check_text("reason", &self.reason, MAX_NOTE_BYTES)
    }

    fn check_rollout(&self) -> Result<(), Fault> {
        match (&self.rollout, &self.channel) {
            (None, _) => Ok(()),
            (Some(rollout), Some(_)) => rollout.check(),
            (Some(_), None) => Err(("rollout", "expected none in a pin, found one".to_owned())),
        }
    }

    fn check_version(&self) -> Result<(), Fault> {
        match self.version {
            1..=MAX_VERSION => Ok(()),
            found => Err((
                "version",
                format!("expected 1 to {MAX_VERSION}, found {found}"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::FORMAT;

    fn pointer() -> Pointer {
        Pointer {
            format: FORMAT,
            dataset: "films".to_owned(),
            dataset_id: "c0ffee00".to_owned(),
            channel: Some("stable".to_owned()),
            version: 4,
            by: "ada@host-1".to_owned(),
            reason: "5 lacks \"silent\" films".to_owned(),
            time_ms: 1_700_000_000_000,
            rollout: Some(Rollout {
                to: 5,
                nonce: "00000000c0ffee00".to_owned(),
                stages: vec![100, 10_000],
                stage: 0,
                share: 700,
                wait_ms: 300_000,
                halted: Some("web-1 is gone".to_owned()),
            }),
        }
    }

    fn refusal(change: impl FnOnce(&mut Pointer)) -> String {
        let mut pointer = pointer();
        change(&mut pointer);
        pointer.encode().unwrap_err().to_string()
    }

    #[test]
    fn a_pointer_says_the_same_after_a_way_through_a_store() {
        for channel in [None, Some("stable".to_owned())] {
            let rollout = pointer().rollout.filter(|_| channel.is_some());
            let pointer = Pointer {
                channel,
                rollout,
                ..pointer()
            };
            assert_eq!(
                Pointer::decode(&pointer.encode().unwrap()).unwrap(),
                pointer
            );
        }
    }

    #[test]
    fn every_altered_byte_is_refused() {
        let bytes = pointer().encode().unwrap();
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(Pointer::decode(&altered).is_err(), "byte {at}");
            assert!(Pointer::decode(&bytes[..at]).is_err(), "{at} bytes");
        }
        assert!(Pointer::decode(&vec![b' '; MAX_CONTROL_BYTES + 1]).is_err());
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_field() {
        let long = "x".repeat(MAX_NOTE_BYTES + 1);
        for (field, refused) in [
            ("version", refusal(|p| p.version = 0)),
            ("version", refusal(|p| p.version = MAX_VERSION + 1)),
            ("dataset", refusal(|p| p.dataset = "../films".to_owned())),
            ("channel", refusal(|p| p.channel = Some(String::new()))),
            (
                "channel",
                refusal(|p| p.channel = Some("../pin".to_owned())),
            ),
            ("dataset_id", refusal(|p| p.dataset_id.clear())),
            ("by", refusal(|p| p.by.clone_from(&long))),
            ("by", refusal(|p| p.by = "a\x1b[2J".to_owned())),
            ("reason", refusal(|p| p.reason.clone_from(&long))),
            ("reason", refusal(|p| p.reason = "a\nb".to_owned())),
            ("rollout", refusal(|p| p.channel = None)),
            (
                "rollout",
                refusal(|p| {
                    if let Some(rollout) = &mut p.rollout {
                        rollout.halted = Some("a\nb".to_owned());
                    }
                }),
            ),
        ] {
            let start = format!("pointer: field {field}: ");
            assert!(refused.starts_with(&start), "{refused}");
        }
    }
}
