//! What pins and channels said, and when.
//!
//! Owns: where a consumer may be that was told, and where it has to be. Never: decides what may be removed.

use std::time::Duration;

use grotto_format::log::Pointer;
use xxhash_rust::xxh3::xxh3_64;

use super::Shelf;

/// All consumers, in shares.
const ALL: u16 = 10_000;

/// The version that a pointer names for a consumer: by the words of the format, not by its code.
fn version_for(pointer: &Pointer, consumer: Option<&str>) -> u64 {
    let Some(rollout) = &pointer.rollout else {
        return pointer.version;
    };
    let place = |name: &str| xxh3_64(format!("{}/{name}", rollout.nonce).as_bytes()) % 10_000;
    let goes = consumer.is_some_and(|name| place(name) < u64::from(rollout.share));
    match goes || rollout.share == ALL {
        true => rollout.to,
        false => pointer.version,
    }
}

impl Shelf {
    pub(super) fn points(&mut self, name: &str, found: Option<Pointer>, now: Duration) {
        if self.set.get(name) != found.as_ref() {
            self.set.remove(name);
        }
        self.pointers
            .entry(name.to_owned())
            .or_default()
            .push((now, found));
    }

    /// Somebody was told that a pointer says this: from now on it may be relied on.
    pub(crate) fn was_set(&mut self, name: &str, pointer: Pointer) {
        let last = self.pointers.get(name).and_then(|history| history.last());
        // Unless somebody else was faster.
        let Some(at) = last.filter(|(_, found)| found.as_ref() == Some(&pointer)) else {
            return;
        };
        // Or a collector that had looked before it was there, and went on after whoever set it had looked.
        let overtaken = self.raised_at > at.0;
        if !(overtaken && pointer.versions().any(|named| named <= self.collected)) {
            self.set.insert(name.to_owned(), pointer);
        }
    }

    /// Nobody relies any more on pointers that name some versions.
    pub(super) fn forget_set(&mut self, is_gone: impl Fn(u64) -> bool) {
        self.set
            .retain(|_, pointer| !pointer.versions().any(&is_gone));
    }

    /// What a pointer says now.
    pub(crate) fn pointer(&self, name: &str) -> Option<&Pointer> {
        self.pointers.get(name)?.last()?.1.as_ref()
    }

    /// All that a pointer said at some time since `since`.
    fn said(&self, name: &str, since: Duration) -> Vec<Option<&Pointer>> {
        let Some(history) = self.pointers.get(name) else {
            return vec![None];
        };
        let first = history.partition_point(|(at, _)| *at <= since);
        let before = match first {
            0 => None,
            first => history[first - 1].1.as_ref(),
        };
        let later = history[first..].iter().map(|(_, said)| said.as_ref());
        std::iter::once(before).chain(later).collect()
    }

    /// Whether a consumer that looked at a time was told to serve a version, or to follow the newest one.
    pub(crate) fn was_told(
        &self,
        consumer: Option<&str>,
        channel: Option<&str>,
        version: u64,
        since: Duration,
    ) -> bool {
        let pins = self.said("pin", since);
        if pins.iter().flatten().any(|pin| pin.version == version) {
            return true;
        }
        if !pins.contains(&None) {
            return false;
        }
        let Some(channel) = channel else { return true };
        let said = self.said(&format!("channel {channel}"), since);
        let mut said = said.into_iter().flatten();
        said.any(|pointer| version_for(pointer, consumer) == version)
    }

    /// Where a consumer has to be now; `None` where nobody says, or who says it came too late: a put that lands after
    /// it was given up may name what was collected meanwhile.
    pub(crate) fn target(&self, consumer: Option<&str>, channel: Option<&str>) -> Option<u64> {
        let named = |name: &str| {
            let pointer = self.pointer(name)?;
            let version = version_for(pointer, consumer);
            let is_gone = version <= self.collected && self.set.get(name) != Some(pointer);
            Some((!is_gone).then_some(version))
        };
        if let Some(pinned) = named("pin") {
            return pinned;
        }
        match channel {
            None => Some(self.head()),
            Some(channel) => named(&format!("channel {channel}")).flatten(),
        }
    }
}
