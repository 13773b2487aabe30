//! Forgetting what is published.
//!
//! Owns: when a slot is removed. Never: removes a fence, or one of the newest slots.

use futures::StreamExt as _;

use super::StoreLog;
use crate::Result;

/// Most slots removed at once: publishing waits for it.
const REMOVED_AT_ONCE: usize = 64;
const REQUESTS_AT_ONCE: usize = 8;

impl StoreLog {
    /// Forgets entries up to `through`, and removes slots that hold no others; some of the newest stay, for their keys.
    ///
    /// # Errors
    /// `Unavailable` or `Overloaded` when the store does not answer or asks for less; calling again goes on.
    pub async fn release(&self, through: u64) -> Result<()> {
        let doomed: Vec<u64> = {
            let mut index = self.index.lock();
            index.released = index.released.max(through.min(index.last));
            index.doom_released(self.options.kept_slots);
            let most = index.doomed.len().min(REMOVED_AT_ONCE);
            index.doomed.drain(..most).collect()
        };
        let removals = futures::stream::iter(doomed)
            .map(|slot| async move { (slot, self.slots.remove(slot).await) })
            .buffered(REQUESTS_AT_ONCE);
        let removed: Vec<(u64, Result<()>)> = removals.collect().await;
        let (mut failed, mut left) = (Ok(()), Vec::new());
        for (slot, removed) in removed {
            if let Err(error) = removed {
                left.push(slot);
                failed = Err(error);
            }
        }
        let mut index = self.index.lock();
        for slot in left.into_iter().rev() {
            index.doomed.push_front(slot);
        }
        failed
    }
}
