//! Becoming the producer of a dataset: its writer, and the state to build on.
//!
//! Owns: the order of the two. A schema that cannot follow the one of the dataset is refused before
//! anybody is fenced for it. Never writes but the fence.

use crate::builder::{ProducerBuilder, Proof, Verdict};
use crate::restore::{How, Restored, restore};
use crate::{Error, Result};
use grotto_format::Schema;
use grotto_format::schema::evolve;
use grotto_store::{Dataset, ErrorKind, LogEntry, Writer, WriterOptions};
use std::collections::BTreeMap;

/// A dataset that was taken over, or is about to be with the first commit.
pub(crate) struct Taken {
    pub(crate) writer: Writer,
    /// What the writer builds on.
    pub(crate) head: Option<LogEntry>,
    pub(crate) restored: Restored,
    /// The newest version could not be restored.
    pub(crate) starts_over: bool,
}

impl ProducerBuilder {
    /// Fences, unless that is left to the first commit, and restores the newest version.
    pub(crate) async fn take_over(&mut self) -> Result<Taken> {
        let dataset = Dataset::open(self.store.clone(), &self.name)?;
        let mut options = std::mem::take(&mut self.writer);
        options.past_damage = self.start_over;
        let mut tries = options.takeover_tries.max(1);
        let mut restored = None;
        let mut proven: Option<LogEntry> = None;
        loop {
            let (writer, head) = Writer::prepare(dataset.clone(), options.clone()).await?;
            let proof = match proven.is_some() && proven == head {
                true => Proof::Fenced,
                false => Proof::Told,
            };
            let Verdict::Lead(positions) = self.judged(head.as_ref(), proof).await? else {
                proven = self.prove(&dataset, &options, &mut tries).await?;
                continue;
            };
            // Without a head, and for a new start, there is no base that a fence would hold.
            let fences = head.is_some() || self.fence_empty;
            if self.lazy_fence || self.start_over || !fences {
                return self.begin(writer).await;
            }
            if let Some(head) = &head {
                restored = self.restored_to_follow(&dataset, head, restored).await?;
            }
            match writer.fence_at(positions).await {
                Ok(_) => return self.fenced(writer, head, restored).await,
                Err(error) => self.lost_a_try(error, &mut tries)?,
            }
        }
    }

    /// Fences without taking over, which proves what the newest entry is; `None` where it was another one than the store
    /// said.
    async fn prove(
        &self,
        dataset: &Dataset,
        options: &WriterOptions,
        tries: &mut u32,
    ) -> Result<Option<LogEntry>> {
        let unmarked = WriterOptions {
            mark: None,
            ..options.clone()
        };
        let (writer, _) = Writer::prepare(dataset.clone(), unmarked).await?;
        match writer.fence().await {
            Ok(fence) => Ok(Some(fence)),
            Err(error) => self.lost_a_try(error, tries).map(|()| None),
        }
    }

    /// Goes on where others were faster, unless that was so too often.
    fn lost_a_try(&self, error: Error, tries: &mut u32) -> Result<()> {
        if error.kind() != ErrorKind::Fenced {
            return Err(error);
        }
        if *tries <= 1 {
            let message = format!("{}: others take over all the time", self.name);
            return Err(Error::unavailable(message).with_source(error));
        }
        *tries -= 1;
        Ok(())
    }

    /// Whether this producer may take over, and what the fence says of positions then.
    async fn judged(&self, head: Option<&LogEntry>, proof: Proof) -> Result<Verdict> {
        let Some(judge) = self.judge.clone() else {
            return Ok(Verdict::Lead(BTreeMap::new()));
        };
        let head = head.cloned();
        let env = self.store.env();
        let judged = env.blocking(move || judge(head.as_ref(), proof)).await;
        judged.map_err(|e| Error::internal(format!("taking over stopped: {e}")))?
    }

    /// A writer whose first commit takes over.
    async fn begin(&self, writer: Writer) -> Result<Taken> {
        if !self.lazy_fence {
            writer.claim().await?;
        }
        let head = writer.head();
        let (restored, starts_over) = self.restore(&writer, head.as_ref()).await?;
        if !starts_over {
            self.check_follows(restored.state.schema())?;
        }
        Ok(Taken {
            writer,
            head,
            restored,
            starts_over,
        })
    }

    /// A head, restored before it is fenced, if its schema is another one than the producer's. What was
    /// restored before does where the schema is the same: a producer that publishes all the time would
    /// never be caught up with otherwise.
    async fn restored_to_follow(
        &self,
        dataset: &Dataset,
        head: &LogEntry,
        before: Option<(LogEntry, Restored)>,
    ) -> Result<Option<(LogEntry, Restored)>> {
        let same = |schema: &Schema| schema.hash() == head.schema_hash;
        let follows = self.schema.as_ref().is_none_or(same);
        let known = before
            .as_ref()
            .is_some_and(|(before, _)| before.schema_hash == head.schema_hash);
        if follows || known {
            return Ok(before);
        }
        let restored = restore(dataset, Some(head), self.how()).await?;
        self.check_follows(restored.state.schema())?;
        Ok(Some((head.clone(), restored)))
    }

    /// The state that was fenced.
    async fn fenced(
        &self,
        writer: Writer,
        head: Option<LogEntry>,
        restored: Option<(LogEntry, Restored)>,
    ) -> Result<Taken> {
        let restored = match restored {
            Some((at, restored)) if Some(&at) == head.as_ref() => restored,
            _ => restore(writer.dataset(), head.as_ref(), self.how()).await?,
        };
        Ok(Taken {
            writer,
            head,
            restored,
            starts_over: false,
        })
    }

    /// The state to build on, and whether that is a new start because the newest one is lost.
    async fn restore(&self, writer: &Writer, head: Option<&LogEntry>) -> Result<(Restored, bool)> {
        if writer.is_past_damage() {
            return Ok((Restored::nothing(writer.dataset()), true));
        }
        match restore(writer.dataset(), head, self.how()).await {
            Ok(restored) => Ok((restored, false)),
            Err(error) if self.start_over && is_lost(&error) => {
                tracing::warn!(dataset = self.name, %error, "cannot restore the newest version, starting over");
                Ok((Restored::nothing(writer.dataset()), true))
            }
            Err(error) => Err(error),
        }
    }

    fn how(&self) -> How {
        How {
            segments: self.segments,
            threads: self.settings.threads,
        }
    }

    fn check_follows(&self, present: &Schema) -> Result<()> {
        match &self.schema {
            Some(schema) => check_follows(&self.name, present, schema),
            None => Ok(()),
        }
    }
}

/// Refuses to take over where somebody has written since nobody seemed to.
pub(crate) fn check_vacant(dataset: &str, version: u64, head: Option<&LogEntry>) -> Result<()> {
    let found = head.map_or(0, |head| head.version);
    if found == version {
        return Ok(());
    }
    let by = head.map(|head| format!(" by writer {:?}", head.writer));
    let by = by.unwrap_or_default();
    Err(Error::new(
        ErrorKind::Fenced,
        format!("dataset {dataset} is at version {found}{by}, not {version}: somebody writes it"),
    ))
}

/// Refuses a schema that cannot follow the present one of a dataset.
pub(crate) fn check_follows(dataset: &str, present: &Schema, schema: &Schema) -> Result<()> {
    match evolve(present, schema) {
        Ok(_) => Ok(()),
        Err(refused) => Err(Error::invalid(format!("dataset {dataset}: {refused}"))),
    }
}

/// Whether no retry brings the newest version back.
fn is_lost(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Missing)
}
