//! Entries that may be two of one key.
//!
//! Owns: finding them while pages are built, by their hashes alone. Where pages are changed, [`super::patch`]
//! finds them. Never reads a record: who asked compares the keys.

/// Places of the table: twice as many as the fullest page of an index built at once has entries.
const PLACES: usize = 512;
const MOST: usize = PLACES * 3 / 4;

/// Pairs of ordinals whose keys have one hash or, where a page has forgotten the hash, one fingerprint.
#[derive(Debug)]
pub(crate) struct Twins {
    /// The first entry of its hash, and another one.
    pub(crate) pairs: Vec<(u32, u32)>,
    /// Entries by the low bits of their hash, counted from 1.
    table: [u16; PLACES],
}

impl Default for Twins {
    fn default() -> Self {
        Self {
            pairs: Vec::new(),
            table: [0; PLACES],
        }
    }
}

impl Twins {
    /// Notes entries of one page that have the hash of another one.
    pub(crate) fn note_all(&mut self, entries: &[(u64, u32)]) {
        if entries.len() > MOST {
            return self.note_sorted(entries.to_vec());
        }
        self.table.fill(0);
        for (number, (hash, ordinal)) in (1_u16..).zip(entries) {
            let mut place = *hash as usize % PLACES;
            loop {
                let Some((other, first)) =
                    entries.get(usize::from(self.table[place]).wrapping_sub(1))
                else {
                    self.table[place] = number;
                    break;
                };
                if other == hash {
                    self.pairs.push((*first, *ordinal));
                    break;
                }
                place = (place + 1) % PLACES;
            }
        }
    }

    fn note_sorted(&mut self, mut entries: Vec<(u64, u32)>) {
        entries.sort_unstable();
        for group in entries.chunk_by(|a, b| a.0 == b.0) {
            let others = group[1..].iter().map(|(_, other)| (group[0].1, *other));
            self.pairs.extend(others);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(entries: &[(u64, u32)]) -> Vec<(u32, u32)> {
        let mut twins = Twins::default();
        // What an earlier page left behind means nothing.
        twins.note_all(&[(7, 1), (7 + PLACES as u64, 2)]);
        twins.note_all(entries);
        twins.pairs
    }

    #[test]
    fn equal_hashes_are_found_and_no_others() {
        let places = PLACES as u64;
        assert_eq!(noted(&[]), []);
        // The same place, another hash.
        assert_eq!(noted(&[(5, 1), (5 + places, 2), (5 + 2 * places, 3)]), []);
        assert_eq!(
            noted(&[
                (5, 1),
                (5 + places, 2),
                (5, 3),
                (6, 4),
                (5 + places, 5),
                (5, 6)
            ]),
            [(1, 3), (2, 5), (1, 6)]
        );
        // From the last place on, the first one follows.
        let last = places - 1;
        assert_eq!(
            noted(&[
                (last, 1),
                (last + places, 2),
                (0, 3),
                (last + places, 4),
                (0, 5)
            ]),
            [(2, 4), (3, 5)]
        );
    }

    #[test]
    fn a_page_of_any_size_is_searched() {
        for count in [MOST - 1, MOST, MOST + 1, 5000] {
            let mut entries: Vec<(u64, u32)> =
                (0..count as u32).map(|i| (u64::from(i) << 20, i)).collect();
            assert_eq!(noted(&entries), [], "{count}");
            let (first, last) = (entries[3], count as u32);
            entries.pop();
            entries.push((first.0, last));
            assert_eq!(noted(&entries), [(3, last)], "{count}");
        }
    }
}
