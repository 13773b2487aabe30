//! What a process sees of the store: not always what is there.
//!
//! Owns: answers to reads and listings. Never: draws a fault; `client` does.

use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectMeta, Result};

use super::client::Client;
use super::connection::meta;
use super::weather::Kind;
use super::{Objects, flipped};
use crate::fault::Fault;

impl Client {
    /// What this process sees of an object.
    pub(super) fn look(&self, fate: Option<Fault>, path: &Path) -> Option<Bytes> {
        let now = self.sim.now();
        if self.is_blind() {
            return None;
        }
        let objects = self.sim.objects.lock();
        let found = objects.get(path);
        match fate {
            Some(fault @ Fault::StaleRead) if objects.is_recent(path, now) => {
                self.suffer(fault, "get", path);
                self.blur();
                objects.get_stale(path, now)
            }
            Some(fault @ Fault::MissingAnswer) if found.is_some() => {
                self.suffer(fault, "get", path);
                self.blur();
                None
            }
            Some(fault @ Fault::FlippedAnswer) if found.is_some() => {
                self.suffer(fault, "get", path);
                found.map(|bytes| flipped(&bytes, self.dice.seed()))
            }
            Some(fault @ Fault::TornAnswer) if found.is_some() => {
                self.suffer(fault, "get", path);
                found.map(|bytes| bytes.slice(..self.dice.below(bytes.len() as u64) as usize))
            }
            _ => found,
        }
    }

    pub(super) async fn list_now(self: Arc<Self>, prefix: Option<Path>) -> Result<Vec<ObjectMeta>> {
        let shown = prefix.clone().unwrap_or_default();
        let (fate, dies) = self.go(Kind::List, "list", &shown).await?;
        let found = self.paths(fate, &shown);
        self.note("list", &shown, &format!("{} objects", found.len()));
        self.come_back(fate, dies, "list", &shown).await?;
        Ok(found)
    }

    fn paths(&self, fate: Option<Fault>, prefix: &Path) -> Vec<ObjectMeta> {
        if self.is_blind() {
            return Vec::new();
        }
        let now = self.sim.now();
        let objects: &Objects = &self.sim.objects.lock();
        let mut found = objects.list(&format!("{prefix}/"));
        if fate == Some(Fault::StaleList) {
            let all = found.len();
            // What was there before the last change is listed all the same.
            found.retain(|(path, _)| objects.get_stale(path, now).is_some());
            if found.len() < all {
                self.suffer(Fault::StaleList, "list", prefix);
                self.blur();
            }
        }
        found
            .into_iter()
            .map(|(path, size)| {
                let changed = objects.changed_ms(&path);
                meta(path, size, changed)
            })
            .collect()
    }
}
