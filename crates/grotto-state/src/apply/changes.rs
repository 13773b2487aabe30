//! What a refresh changed.
//!
//! Owns: telling records that came and went from those that changed where they were. Never compares
//! what records hold.

use super::effort::Effort;

/// What a refresh changed.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Per type of the new schema.
    pub types: Vec<TypeChanges>,
    /// What it took.
    pub effort: Effort,
}

/// What a refresh changed in one type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeChanges {
    /// Ordinals that now live and did not, rising.
    pub added: Vec<u32>,
    /// Ordinals that lived and no longer do, rising.
    pub removed: Vec<u32>,
    /// Ordinals that live as before and whose record has the same primary key and other content,
    /// rising. From one version to the next only of types that others refer to, as a changed record of
    /// any other type gets another ordinal. Records that refer to them have not changed.
    pub modified: Vec<u32>,
}

impl TypeChanges {
    /// The changes that a blob tells: ordinals that lose their record, and ordinals that get one.
    pub(crate) fn of_blob(mut removed: Vec<u32>, mut added: Vec<u32>) -> Self {
        let modified = common(&removed, &added);
        if !modified.is_empty() {
            let is_left = |ordinal: &u32| modified.binary_search(ordinal).is_err();
            removed.retain(is_left);
            added.retain(is_left);
        }
        Self {
            added,
            removed,
            modified,
        }
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.modified.is_empty()
    }

    /// Ordinals that hold a record now that they did not hold before, rising.
    #[must_use]
    pub fn added_or_modified(&self) -> Vec<u32> {
        merged(&self.added, &self.modified)
    }

    /// Ordinals that held a record before that they do not hold now, rising.
    #[must_use]
    pub fn removed_or_modified(&self) -> Vec<u32> {
        merged(&self.removed, &self.modified)
    }
}

/// Members of both lists; all rising.
fn common(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut b = b.iter().peekable();
    let in_b = |x: &&u32| {
        while b.next_if(|y| *y < *x).is_some() {}
        b.peek() == Some(x)
    };
    a.iter().filter(in_b).copied().collect()
}

fn merged(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut all = [a, b].concat();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinal_that_loses_a_record_and_gets_one_is_modified() {
        let changes = TypeChanges::of_blob(vec![1, 3, 5, 9], vec![0, 3, 4, 9, 12]);
        assert_eq!(changes.added, [0, 4, 12]);
        assert_eq!(changes.removed, [1, 5]);
        assert_eq!(changes.modified, [3, 9]);
        assert_eq!(changes.added_or_modified(), [0, 3, 4, 9, 12]);
        assert_eq!(changes.removed_or_modified(), [1, 3, 5, 9]);
    }
}
