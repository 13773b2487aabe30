//! What is in a store.
//!
//! Owns: listings, whole or in part. Never: takes a store that is gone for an empty one.

use super::Store;
use crate::error::Result;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore as _};

impl Store {
    /// Names of the folders at the top of the store, sorted: one per dataset.
    ///
    /// # Errors
    /// `Unavailable` or `Overloaded` when the store does not answer or asks for less.
    pub async fn datasets(&self) -> Result<Vec<String>> {
        let listing =
            self.reading(|| self.limited("list", "/", 0, self.objects.list_with_delimiter(None)));
        let folders = listing.await?.common_prefixes;
        if folders.is_empty() {
            self.check_root().await?;
        }
        let mut names: Vec<String> = folders
            .iter()
            .filter_map(|folder| folder.filename().map(str::to_owned))
            .collect();
        names.sort();
        Ok(names)
    }

    /// The paths below `prefix` that sort after `after`, in no order. The deadline is that of each
    /// answer on the way: a long listing takes as long as it goes on.
    pub(crate) async fn list(&self, prefix: &Path, after: Option<&Path>) -> Result<Vec<Path>> {
        let (paths, _) = self.list_some(prefix, after, usize::MAX).await?;
        Ok(paths)
    }

    /// The same, but no more than `most` of them, whichever the store names first; and whether these
    /// are all.
    pub(crate) async fn list_some(
        &self,
        prefix: &Path,
        after: Option<&Path>,
        most: usize,
    ) -> Result<(Vec<Path>, bool)> {
        let (objects, all) = self.list_objects(prefix, after, most).await?;
        Ok((
            objects.into_iter().map(|found| found.location).collect(),
            all,
        ))
    }

    /// The same with how long each object is, and when it was written by the time of the store.
    pub(crate) async fn list_objects(
        &self,
        prefix: &Path,
        after: Option<&Path>,
        most: usize,
    ) -> Result<(Vec<ObjectMeta>, bool)> {
        let list = || async {
            let mut listing = match after {
                Some(after) => self.objects.list_with_offset(Some(prefix), after),
                None => self.objects.list(Some(prefix)),
            };
            let mut found = Vec::new();
            while found.len() < most {
                let next = self.limited("list", prefix.as_ref(), 0, listing.try_next());
                match next.await? {
                    Some(meta) => found.push(meta),
                    None if found.is_empty() => {
                        return self.check_root().await.map(|()| (found, true));
                    }
                    None => return Ok((found, true)),
                }
            }
            Ok((found, false))
        };
        self.reading(list).await
    }
}
