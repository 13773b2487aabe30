//! How many live records refer to each record of one type.
//!
//! Owns: the counts, in pages that exist only where something is counted, so that one far ordinal in
//! a restored state does not cost memory for all below it. Never decides what a count of zero means.

use std::sync::Arc;

/// Counts per page.
const PAGE: usize = 4096;

/// Reference counts by ordinal. A copy shares its pages with the original until one of them changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct References {
    pages: Vec<Option<Arc<[u32]>>>,
}

impl References {
    /// References to a record; zero for one that nothing refers to.
    pub(crate) fn count(&self, ordinal: u32) -> u32 {
        let (page, at) = place(ordinal);
        self.pages
            .get(page)
            .and_then(Option::as_ref)
            .and_then(|page| page.get(at))
            .copied()
            .unwrap_or(0)
    }

    /// How many pages this one does not share with another, and how many it has.
    #[cfg(test)]
    pub(crate) fn unlike(&self, other: &Self) -> (usize, usize) {
        let page = |page: &Option<Arc<[u32]>>| page.as_ref().map(Arc::as_ptr);
        let both = self
            .pages
            .iter()
            .map(page)
            .zip(other.pages.iter().map(page));
        let shared = both.filter(|(a, b)| a.is_some() && a == b).count();
        (self.pages.len() - shared, self.pages.len())
    }

    /// Records that something refers to, and how often.
    pub(crate) fn nonzero(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let pages = self
            .pages
            .iter()
            .enumerate()
            .filter_map(|(number, page)| Some((number, page.as_ref()?)));
        let counts = pages.flat_map(|(number, page)| {
            page.iter()
                .enumerate()
                .map(move |(at, count)| ((number * PAGE + at) as u32, *count))
        });
        counts.filter(|(_, count)| *count > 0)
    }

    /// Counts `by` more references, or fewer.
    pub(crate) fn add(&mut self, ordinal: u32, by: i64) {
        let (page, at) = place(ordinal);
        if self.pages.len() <= page {
            self.pages.resize(page + 1, None);
        }
        let page = self.pages[page].get_or_insert_with(|| vec![0; PAGE].into());
        let page = Arc::make_mut(page);
        page[at] = u32::try_from(i64::from(page[at]) + by).unwrap_or(0);
    }
}

fn place(ordinal: u32) -> (usize, usize) {
    (ordinal as usize / PAGE, ordinal as usize % PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_kept_apart_and_never_fall_below_zero() {
        let mut references = References::default();
        references.add(u32::MAX, 2);
        references.add(4095, 1);
        references.add(4096, -1);
        let counts =
            [0, 4095, 4096, u32::MAX, u32::MAX - 1].map(|ordinal| references.count(ordinal));
        assert_eq!(counts, [0, 1, 0, 2, 0]);
        references.add(u32::MAX, -2);
        assert_eq!(references.count(u32::MAX), 0);
    }
}
