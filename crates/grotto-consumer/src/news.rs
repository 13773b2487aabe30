//! Finding out what is newest.
//!
//! Owns: what is asked of the log past the served version. Never: fetches a blob.

use crate::error::{ErrorKind, Result};
use grotto_store::{Dataset, LogEntry, Next};

/// Entries read one by one before the head is looked up.
const CLIMB: usize = 4;

/// The newest entry past `version`; `None` if there is none. Two small requests without news.
pub(crate) async fn news(dataset: &Dataset, version: u64) -> Result<Option<LogEntry>> {
    match dataset.next_entry(version).await {
        Ok(Next::None) => Ok(None),
        Ok(Next::Entry(entry)) => climb(dataset, *entry).await.map(Some),
        Ok(Next::Collected { .. }) => newer_head(dataset, version).await,
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            // One damaged entry must not hold up those who can go around it.
            tracing::warn!(%error, dataset = dataset.name(), "looking past a damaged log entry");
            match newer_head(dataset, version).await {
                Ok(Some(head)) => Ok(Some(head)),
                _ => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// The newest entry from one on that was just read in the slot where news was expected.
pub(crate) async fn news_from(dataset: &Dataset, entry: LogEntry) -> Result<Option<LogEntry>> {
    if dataset.collected().await? >= entry.version {
        return newer_head(dataset, entry.version).await;
    }
    climb(dataset, entry).await.map(Some)
}

/// The head of the log, if it is past `version`.
async fn newer_head(dataset: &Dataset, version: u64) -> Result<Option<LogEntry>> {
    let head = dataset.head().await?;
    Ok(head.filter(|head| head.version > version))
}

/// Goes up the log while that takes few requests; far behind, asks for the head.
async fn climb(dataset: &Dataset, mut entry: LogEntry) -> Result<LogEntry> {
    for _ in 0..CLIMB {
        match dataset.read_entry(entry.version.saturating_add(1)).await {
            Ok(Some(next)) => entry = next,
            // What is known is good; the rest is for the next refresh to meet.
            Ok(None) | Err(_) => return Ok(entry),
        }
    }
    match newer_head(dataset, entry.version).await {
        Ok(Some(head)) => Ok(head),
        Ok(None) | Err(_) => Ok(entry),
    }
}
