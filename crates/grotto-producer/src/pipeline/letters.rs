//! What becomes a dead letter, and what it says.
//!
//! Owns: turning refused lines and changes into letters that can be sent again. Never: writes them.

use super::batch::Refused;
use super::inner::Inner;
use crate::dead_letter::DeadLetter;
use crate::wal::{RejectedChange, WalChange, WalEntry, reject};
use crate::{Error, Result};
use grotto_format::Schema;

/// A letter before it has a number and a time.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    source: String,
    position: u64,
    type_name: Option<String>,
    reason: String,
    text: String,
    is_cut: bool,
}

/// A change that no cycle can apply.
pub(super) fn of_change(
    schema: &Schema,
    entry: &WalEntry,
    change: &WalChange,
    error: &Error,
) -> Letter {
    of_rejected(entry, &reject(change, schema, error.to_string()))
}

/// A change that does not fit the schema in use.
pub(super) fn of_rejected(entry: &WalEntry, rejected: &RejectedChange) -> Letter {
    Letter {
        source: entry.source.clone(),
        position: rejected.position,
        type_name: Some(rejected.type_name.clone()),
        reason: rejected.reason.clone(),
        text: rejected.text.clone(),
        is_cut: false,
    }
}

/// What was sent with an entry and refused.
pub(super) fn of_refused(entry: &WalEntry, refused: &Refused) -> Letter {
    Letter {
        source: entry.source.clone(),
        position: refused.position,
        type_name: refused.type_name.clone(),
        reason: refused.error.to_string(),
        text: refused.text.clone(),
        is_cut: refused.is_cut,
    }
}

impl Inner {
    /// Writes letters, durably. Without a folder for them they are in the log of the process only.
    ///
    /// # Errors
    /// When they cannot be written; said in the log of the process too.
    pub(super) fn bury(&self, letters: Vec<Letter>) -> Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        let (dataset, count) = (&self.name, letters.len());
        let Some(folder) = &self.dead_letters else {
            for Letter {
                source,
                position,
                reason,
                ..
            } in letters
            {
                tracing::warn!(dataset, source, position, reason, "a record was refused");
            }
            self.metrics.dead_letters.inc_by(count as u64);
            return Ok(());
        };
        let time_ms = self.env.clock.wall_ms();
        let letters: Vec<DeadLetter> = letters.into_iter().map(|l| l.at(time_ms)).collect();
        match folder.push(&letters) {
            Ok(()) => {
                self.metrics.dead_letters.inc_by(count as u64);
                tracing::warn!(dataset, count, "records became dead letters");
                Ok(())
            }
            Err(error) => {
                tracing::error!(dataset, count, %error, "dead letters could not be written");
                Err(error.at("dead letters"))
            }
        }
    }
}

impl Letter {
    fn at(self, time_ms: u64) -> DeadLetter {
        DeadLetter {
            id: 0,
            time_ms,
            source: self.source,
            position: Some(self.position),
            type_name: self.type_name,
            reason: self.reason,
            text: self.text,
            is_cut: self.is_cut,
        }
    }
}
