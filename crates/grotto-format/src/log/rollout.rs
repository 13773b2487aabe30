//! A rollout: a channel that leads some of its followers to another version before the others.
//!
//! Owns: its fields and limits, and which consumers go. Never: decides when a stage is over.
//! Spec: `docs/format/spec.md`, section "Rollouts".

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::check::Fault;
use super::lease::check_text;
use super::{MAX_NOTE_BYTES, MAX_VERSION};

/// All consumers, in shares.
pub const WHOLE: u16 = 10_000;
/// Most stages of a rollout.
pub const MAX_STAGES: usize = 32;
/// Longest time that a stage is watched, in milliseconds: a week.
pub const MAX_STAGE_MS: u64 = 7 * 86_400_000;

/// Who goes to another version already, and how far that is to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The version that it leads to. Those who do not go yet serve that of the pointer.
    pub to: u64,
    /// Random name: 16 lowercase hexadecimal digits. Another one chooses other consumers.
    pub nonce: String,
    /// How many of 10,000 consumers go in each stage, ascending; all of them in the last one.
    pub stages: Vec<u16>,
    /// The stage that is under way, from 0.
    pub stage: u16,
    /// How many of 10,000 consumers go now: those of the stage at least, and more where that would be nobody.
    pub share: u16,
    /// For how long each stage is watched, in milliseconds.
    pub wait_ms: u64,
    /// Why it was halted; `None` while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted: Option<String>,
}

impl Rollout {
    /// Where a consumer stands among 10,000: it goes once the share is past that.
    pub fn place(&self, consumer: &str) -> u16 {
        let named = format!("{}/{consumer}", self.nonce);
        let place = xxh3_64(named.as_bytes()) % u64::from(WHOLE);
        u16::try_from(place).unwrap_or_default()
    }

    /// Whether a consumer goes; one without a name goes with the last.
    pub fn includes(&self, consumer: Option<&str>) -> bool {
        match consumer {
            _ if self.share >= WHOLE => true,
            Some(consumer) => self.place(consumer) < self.share,
            None => false,
        }
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        let refuse = |what: &str| Err(("rollout", what.to_owned()));
        if !(1..=MAX_VERSION).contains(&self.to) {
            let found = self.to;
            return Err((
                "rollout",
                format!("expected a version of 1 to {MAX_VERSION}, found {found}"),
            ));
        }
        let digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if self.nonce.len() != 16 || !self.nonce.bytes().all(digit) {
            return refuse("expected a nonce of 16 lowercase hexadecimal digits");
        }
        if self.stages.is_empty() || self.stages.len() > MAX_STAGES {
            let found = self.stages.len();
            return Err((
                "rollout",
                format!("expected 1 to {MAX_STAGES} stages, found {found}"),
            ));
        }
        let ascends = self.stages.is_sorted_by(|a, b| a < b) && self.stages.first() > Some(&0);
        if !ascends || self.stages.last() != Some(&WHOLE) {
            return refuse("expected stages that ascend from more than 0 to 10000");
        }
        let Some(least) = self.stages.get(usize::from(self.stage)) else {
            return refuse("expected the number of a stage");
        };
        if !(*least..=WHOLE).contains(&self.share) {
            return refuse("expected a share of at least that of the stage, and at most 10000");
        }
        if !(1..=MAX_STAGE_MS).contains(&self.wait_ms) {
            return refuse("expected a wait of 1 ms to 7 days");
        }
        check_text(
            "rollout",
            self.halted.as_deref().unwrap_or_default(),
            MAX_NOTE_BYTES,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(share: u16) -> Rollout {
        Rollout {
            to: 5,
            nonce: "00000000c0ffee00".to_owned(),
            stages: vec![100, 1_000, WHOLE],
            stage: 0,
            share,
            wait_ms: 300_000,
            halted: None,
        }
    }

    #[test]
    fn whoever_goes_in_a_stage_goes_in_all_that_follow() {
        let names: Vec<String> = (0..2_000).map(|n| format!("web-{n}")).collect();
        let mut before: Vec<&String> = Vec::new();
        for share in [100, 1_000, 5_000, WHOLE] {
            let rollout = rollout(share);
            let go = names.iter().filter(|name| rollout.includes(Some(name)));
            let go: Vec<&String> = go.collect();
            assert!(before.iter().all(|name| go.contains(name)));
            let expected = 2_000 * usize::from(share) / 10_000;
            assert!(
                go.len().abs_diff(expected) <= expected / 5 + 10,
                "{share}: {}",
                go.len()
            );
            before = go;
        }
        assert!(!rollout(9_999).includes(None) && rollout(WHOLE).includes(None));
    }

    #[test]
    fn another_nonce_chooses_others() {
        let (one, mut other) = (rollout(1_000), rollout(1_000));
        other.nonce = "00000000c0ffee01".to_owned();
        let names = || (0..1_000).map(|n| format!("web-{n}"));
        let both = names().filter(|name| one.includes(Some(name)) && other.includes(Some(name)));
        assert!(both.count() < 40);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        type Change = fn(&mut Rollout);
        assert!(rollout(100).check().is_ok());
        let changes: [(&str, Change); 12] = [
            ("version", |one| one.to = 0),
            ("version", |one| one.to = u64::MAX),
            ("nonce", |one| one.nonce.push('0')),
            ("nonce", |one| one.nonce = "00000000C0FFEE00".to_owned()),
            ("stages", |one| one.stages.clear()),
            ("stages", |one| one.stages = (1..=33).collect()),
            ("ascend", |one| one.stages = vec![100, 100, WHOLE]),
            ("ascend", |one| one.stages = vec![100, 1_000]),
            ("number of a stage", |one| one.stage = 3),
            ("share", |one| one.share = 99),
            ("share", |one| one.share = WHOLE + 1),
            ("wait", |one| one.wait_ms = 0),
        ];
        for (part, change) in changes {
            let mut rollout = rollout(100);
            change(&mut rollout);
            let (field, reason) = rollout.check().unwrap_err();
            assert_eq!(field, "rollout");
            assert!(reason.contains(part), "{part} in {reason}");
        }
    }
}
