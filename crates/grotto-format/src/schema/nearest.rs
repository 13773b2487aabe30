//! Finds the name a person probably meant, for the hint at the end of an error message.
//!
//! Owns: the distance between names. Never decides anything: hints only.

/// Longest name that is compared; bounds the work on hostile input.
const LONGEST: usize = 64;

/// ` (did you mean X?)` for the candidate nearest to `name`, or nothing when none is close.
pub(crate) fn hint<'n>(name: &str, candidates: impl Iterator<Item = &'n str>) -> String {
    nearest(name, candidates).map_or_else(String::new, |near| format!(" (did you mean {near}?)"))
}

fn nearest<'n>(name: &str, candidates: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let most = ((name.len() + 1) / 3).min(3);
    candidates
        .filter(|other| other.len().abs_diff(name.len()) <= most)
        .filter(|other| other.len() <= LONGEST && name.len() <= LONGEST)
        .map(|other| (distance(name.as_bytes(), other.as_bytes()), other))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// Number of bytes to insert, remove or replace; a change of case alone counts nothing.
fn distance(left: &[u8], right: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(!a.eq_ignore_ascii_case(b));
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, candidates: &[&str], expected: Option<&str>) {
        assert_eq!(nearest(name, candidates.iter().copied()), expected);
    }

    #[test]
    fn a_typo_finds_the_nearest_name_and_a_stranger_finds_none() {
        check("Contry", &["City", "Country"], Some("Country"));
        check("string", &["Strings", "String"], Some("String"));
        check("geonameId", &["name", "geonameid"], Some("geonameid"));
        check("population", &["name", "geonameid"], None);
        check("A", &["b", "a"], Some("a"));
        check("", &["a"], None);
        check("a", &[], None);
    }
}
