//! Who follows changes of records.
//!
//! Owns: the events that an update becomes, the memory of those that are not sent yet, and when a reader is given up.
//! Never: has a slow reader delay a refresh, or others who read: what waits for it is bounded, and becomes one update
//! where that is full.

use super::changes::Number;
use super::daemon::Daemon;
use super::news::SIGN_OF_LIFE;
use crate::http::outgoing::counted;
use bytes::Bytes;
use grotto::consumer::{Change, Position, Subscription, Update};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{OwnedSemaphorePermit, watch};

/// Memory of the text that is made at once: more of an update is made once this is sent.
const PIECE: usize = 256 << 10;

/// Why a reader is given up before its dataset ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dropped {
    /// Answers that are on their way have all the memory that they may take.
    Memory,
    /// A record is larger than an answer may be, or cannot be told.
    Record,
}

impl Dropped {
    pub(super) const ALL: [Self; 2] = [Self::Memory, Self::Record];

    /// Its name in metrics and in the log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Record => "record",
        }
    }
}

/// How many readers were given up.
#[derive(Debug, Default)]
pub(crate) struct Drops([AtomicU64; 2]);

impl Drops {
    pub(super) fn count(&self, reason: Dropped) -> u64 {
        self.of(reason).load(Ordering::Relaxed)
    }

    fn note(&self, reason: Dropped) {
        self.of(reason).fetch_add(1, Ordering::Relaxed);
    }

    fn of(&self, reason: Dropped) -> &AtomicU64 {
        let [memory, record] = &self.0;
        match reason {
            Dropped::Memory => memory,
            Dropped::Record => record,
        }
    }
}

/// What a reader that went on at an older version keeps others from doing, while its state is in memory for it.
pub(super) struct Resumed {
    pub(super) position: Position,
    pub(super) _place: OwnedSemaphorePermit,
}

/// Who follows changes.
pub(super) struct Reader {
    pub(super) daemon: Arc<Daemon>,
    pub(super) subscription: Subscription,
    /// The types that were asked for; all if there are none.
    pub(super) types: Vec<String>,
    pub(super) stopped: watch::Receiver<bool>,
    /// The update that is being told.
    pub(super) current: Option<Telling>,
    /// Until the update that begins there is told.
    pub(super) resumed: Option<Resumed>,
    pub(super) _place: OwnedSemaphorePermit,
    pub(super) _number: Number,
}

/// How far an update is told.
#[derive(Clone)]
pub(super) struct Telling {
    update: Update,
    /// Types that are left, and changes of the first of them that were told.
    types: VecDeque<String>,
    told: usize,
}

impl Reader {
    /// The next text to send; none at the end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let telling = match self.current.take() {
            Some(telling) => telling,
            None => {
                let came = tokio::select! {
                    update = self.subscription.next() => Some(update),
                    _ = self.stopped.wait_for(|stopped| *stopped) => return None,
                    () = self.daemon.env.sleep(SIGN_OF_LIFE) => None,
                };
                let Some(update) = came else {
                    self.let_others_resume();
                    return Some(Bytes::from_static(b":\n\n"));
                };
                self.begin(update)?
            }
        };
        match self.piece(telling).await {
            Ok(text) => Some(text),
            Err((reason, why)) => {
                self.daemon.drops.note(reason);
                let (reader, reason) = (&self.subscription, reason.name());
                tracing::warn!(?reader, reason, why, "changes are not told any more");
                None
            }
        }
    }

    /// The next piece of an update, with the memory that it takes until it is sent.
    async fn piece(&mut self, telling: Telling) -> Result<Bytes, (Dropped, String)> {
        let lacking = || {
            let why = "too many answers are on their way: see consumer.listeners.max_answer_memory";
            (Dropped::Memory, why.to_owned())
        };
        let (daemon, limit) = (&self.daemon, self.daemon.max_answer());
        let (answers, patience) = (&daemon.answers, daemon.body_limits().timeout);
        let size = PIECE.min(limit);
        // Before there is a text to be counted. The last change of a text may be longer than what is left.
        let memory = answers.wait(size, patience, &daemon.env).await;
        let memory = memory.ok_or_else(lacking)?;
        let told = daemon.turns.work(move || telling.piece(size / 2, limit));
        let (text, rest) = match told.await {
            Ok(told) => told.map_err(|why| (Dropped::Record, why))?,
            Err(error) => return Err((Dropped::Record, error.to_string())),
        };
        let memory = answers.fit(memory, text.len(), patience, &daemon.env).await;
        let memory = memory.ok_or_else(lacking)?;
        self.current = rest;
        self.let_others_resume();
        Ok(counted(text, memory))
    }

    /// Gives up the place among those who go on at an older version, once nothing of that is needed any more.
    fn let_others_resume(&mut self) {
        let is_past = |at: &Resumed| at.position != *self.subscription.position();
        if self.current.is_none() && self.resumed.as_ref().is_some_and(is_past) {
            self.resumed = None;
        }
    }

    fn begin(&self, update: grotto::Result<Option<Update>>) -> Option<Telling> {
        let update = match update {
            Ok(update) => update?,
            Err(error) => {
                tracing::error!(%error, "changes are not told any more");
                return None;
            }
        };
        let types = match self.types.is_empty() {
            true => update.types().map(str::to_owned).collect(),
            false => self.types.iter().cloned().collect(),
        };
        Some(Telling {
            update,
            types,
            told: 0,
        })
    }
}

impl Telling {
    /// The next piece of text, of about `size` bytes, and what is left after it.
    fn piece(mut self, size: usize, limit: usize) -> Result<(String, Option<Self>), String> {
        let (mut text, mut looked_at) = (String::new(), 0);
        while let Some(type_name) = self.types.front().cloned() {
            let changes = self
                .update
                .changes_of(&type_name)
                .map_err(|e| e.to_string())?;
            let mut is_done = true;
            for change in changes.skip(self.told) {
                if text.len() >= size {
                    is_done = false;
                    break;
                }
                looked_at += 1;
                write_change(&mut text, &type_name, &change, limit)?;
            }
            if !is_done {
                self.told += looked_at;
                return Ok((text, Some(self)));
            }
            looked_at = 0;
            self.told = 0;
            self.types.pop_front();
        }
        let update = &self.update;
        let (from, to, replaced) = (update.from(), update.to(), update.is_replaced());
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "id: {}\nevent: version\ndata: {{\"from\":{from},\"version\":{to},\"replaced\":{replaced}}}\n\n",
            update.position()
        );
        Ok((text, None))
    }
}

/// One event. A record is JSON on one line, so that it needs no other form here.
fn write_change(
    text: &mut String,
    type_name: &str,
    change: &Change<grotto::engine::state::Record<'_>>,
    limit: usize,
) -> Result<(), String> {
    let word = match (change.before(), change.after()) {
        (None, _) => "added",
        (Some(_), None) => "removed",
        (Some(_), Some(_)) => "modified",
    };
    let _ = write!(text, "event: {word}\ndata: {{\"type\":\"{type_name}\"");
    for (name, record) in [("before", change.before()), ("after", change.after())] {
        if let Some(record) = record {
            let _ = write!(text, ",\"{name}\":");
            let most = text.len().saturating_add(limit);
            record.to_json(text, most).map_err(|e| e.to_string())?;
        }
    }
    text.push_str("}\n\n");
    Ok(())
}
