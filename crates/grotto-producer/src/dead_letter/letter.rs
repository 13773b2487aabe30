//! A dead letter and its line.
//!
//! Owns: what is kept of a record that was refused. Never: files.

use serde::{Deserialize, Serialize};

/// How many bytes of a letter are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) text: usize,
    /// Of source, type and reason each.
    pub(super) words: usize,
}

impl Most {
    pub(super) const ALL: Self = Self {
        text: usize::MAX,
        words: usize::MAX,
    };
}

/// A record that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its number, which pushing it gives; what it was before does not count.
    pub id: u64,
    /// Wall time in milliseconds since 1970.
    pub time_ms: u64,
    /// Where it came from.
    pub source: String,
    /// Where in the source, such as a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Name of its type, where the text does not say it.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_name: Option<String>,
    /// Why it was refused.
    pub reason: String,
    /// The text as it came in.
    pub text: String,
    /// Whether the text is only the start of what came in, or has bytes replaced that are no text: it cannot be sent
    /// again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
}

impl DeadLetter {
    /// What it says, with every field: for programs.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "id": self.id,
            "time_ms": self.time_ms,
            "source": self.source,
            "position": self.position,
            "type": self.type_name,
            "reason": self.reason,
            "text": self.text,
            "is_cut": self.is_cut,
        })
    }

    /// The line of a letter under a number, of which a limited part of the text is kept.
    pub(super) fn line(&self, id: u64, most: Most) -> serde_json::Result<Vec<u8>> {
        let text = start(&self.text, most.text);
        let kept = Self {
            id,
            time_ms: self.time_ms,
            source: start(&self.source, most.words).to_owned(),
            position: self.position,
            type_name: self
                .type_name
                .as_deref()
                .map(|name| start(name, most.words).to_owned()),
            reason: start(&self.reason, most.words).to_owned(),
            text: text.to_owned(),
            is_cut: self.is_cut || text.len() < self.text.len(),
        };
        let mut line = serde_json::to_vec(&kept)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// At most so many bytes of a text, whole characters.
fn start(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
