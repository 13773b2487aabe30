//! Which sections of blobs a consumer needs that does not keep all types.
//!
//! Owns: the choice. Never: fetches anything.

use crate::shared::Shared;
use grotto_format::blob::BlobHeader;
use grotto_format::schema::Schema;
use grotto_state::TypeFilter;
use grotto_store::excerpt::Choice;
use std::sync::Arc;

/// Those of the types that are kept.
#[derive(Debug)]
struct Kept {
    filter: Arc<TypeFilter>,
    /// The schema that is served: deltas have theirs only where it changes.
    served: Arc<Schema>,
}

impl Choice for Kept {
    fn of(&self, header: &BlobHeader) -> Option<Vec<bool>> {
        match &header.schema_text {
            // Whoever applies the blob says what is wrong with it.
            Some(text) => Schema::parse(text)
                .ok()
                .map(|schema| self.filter.kept_of(&schema)),
            None if header.schema_hash == self.served.hash() => {
                Some(self.filter.kept_of(&self.served))
            }
            None => None,
        }
    }
}

impl Shared {
    /// What of blobs is of use; `None` for all.
    pub(crate) fn choice(&self) -> Option<Arc<dyn Choice>> {
        let served = self.served();
        let filter = served.filter()?;
        Some(Arc::new(Kept {
            filter: Arc::clone(filter),
            served: Arc::clone(served.full_schema()),
        }))
    }
}
