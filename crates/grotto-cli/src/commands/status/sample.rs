//! A dataset and a consumer of it, for tests.

use grotto::engine::format::log::FORMAT;
use grotto::store::{
    ChannelId, EntryKind, FoundPointer, Lease, Links, LogEntry, Pointer, PointerName,
};

/// Version 42.
pub(in crate::commands) fn head() -> LogEntry {
    LogEntry {
        format: FORMAT,
        dataset: "cities".to_owned(),
        dataset_id: "id".to_owned(),
        version: 42,
        kind: EntryKind::Commit,
        epoch: 3,
        nonce: "n".to_owned(),
        writer: "host-9:1".to_owned(),
        time_ms: 1_767_225_600_000,
        parent: 41,
        state_version: 42,
        commits: 40,
        blobs: None,
        snapshot: None,
        links: Links(Vec::new()),
        state_checksum: 0,
        types: Default::default(),
        schema_hash: 0,
        sources: Default::default(),
        tags: Default::default(),
        signature: None,
    }
}

/// A channel, or the pin.
pub(in crate::commands) fn pointer(channel: Option<&str>, version: u64) -> FoundPointer {
    let name = match channel {
        Some(channel) => PointerName::Channel(ChannelId::parse(channel).unwrap()),
        None => PointerName::Pin,
    };
    let pointer = Pointer {
        format: FORMAT,
        dataset: "cities".to_owned(),
        dataset_id: "id".to_owned(),
        channel: channel.map(str::to_owned),
        version,
        by: "ada@host-1".to_owned(),
        reason: "42 lacks\nthe capitals".to_owned(),
        time_ms: 1_767_225_600_000,
        rollout: None,
    };
    FoundPointer {
        name,
        content: Ok(pointer),
    }
}

/// One that is fine.
pub(in crate::commands) fn lease(consumer: &str) -> Lease {
    Lease {
        format: FORMAT,
        dataset: "cities".to_owned(),
        dataset_id: "id".to_owned(),
        consumer: consumer.to_owned(),
        host: "host-1".to_owned(),
        process: "812".to_owned(),
        version: 42,
        newest: 42,
        pinned: None,
        channel: None,
        told: None,
        held: None,
        health: "ready".to_owned(),
        reasons: Vec::new(),
        staleness_ms: 100,
        running_ms: 7_500_000,
        health_ms: 240_000,
        expires_after_s: 30,
        time_ms: 1_767_225_600_000,
    }
}
