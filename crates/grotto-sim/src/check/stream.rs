//! The model of a stream: what was submitted to a pipeline, and what of it was acknowledged.
//!
//! Owns: what a version of the stream's dataset may hold. Never: asks the pipeline.
//!
//! Each submission writes its token to the same record, besides its own changes, so a state tells the last one
//! that is in it. As submissions are applied in order, all before that which were acknowledged have to be in it
//! too, and none after it; one whose acknowledgement never came may be in it or not.

use std::collections::{BTreeMap, BTreeSet};

/// The record that tells the last submission.
pub(crate) const MARKER: i64 = -1;

/// Changes of one submission by key: the value, or `None` for a delete.
pub(crate) type Changes = BTreeMap<i64, Option<i64>>;

#[derive(Debug)]
struct Submission {
    changes: Changes,
    /// It is in the log for sure.
    acknowledged: bool,
    /// The pipeline said that it is published.
    published: bool,
    /// Another producer overtook it: a person has it, and no version may.
    aside: bool,
}

/// What was submitted so far; tokens are positions from 1.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    submissions: Vec<Submission>,
    /// The last submission of each version that was looked at.
    seen: BTreeMap<u64, i64>,
}

impl Stream {
    /// The token of the next submission.
    pub(crate) fn next_token(&self) -> i64 {
        self.submissions.len() as i64 + 1
    }

    pub(crate) fn submitted(&mut self, changes: Changes) {
        self.submissions.push(Submission {
            changes,
            acknowledged: false,
            published: false,
            aside: false,
        });
    }

    /// Notes that a submission was set aside.
    ///
    /// # Errors
    /// When it was said to be published, or never was.
    pub(crate) fn set_aside(&mut self, token: i64) -> Result<(), String> {
        match self.at(token) {
            None => Err(format!("submission {token} is set aside, which never was")),
            Some(one) if one.published => {
                Err(format!("submission {token} is published and set aside"))
            }
            Some(one) => {
                one.aside = true;
                Ok(())
            }
        }
    }

    pub(crate) fn acknowledged(&mut self, token: i64) {
        if let Some(submission) = self.at(token) {
            submission.acknowledged = true;
        }
    }

    pub(crate) fn published(&mut self, token: i64) {
        if let Some(submission) = self.at(token) {
            (submission.acknowledged, submission.published) = (true, true);
        }
    }

    fn at(&mut self, token: i64) -> Option<&mut Submission> {
        let position = usize::try_from(token - 1).ok()?;
        self.submissions.get_mut(position)
    }

    /// The last submission that was acknowledged, or said to be published.
    pub(crate) fn last_acknowledged(&self) -> i64 {
        let counts = |s: &Submission| s.acknowledged && !s.aside;
        let last = self.submissions.iter().rposition(counts);
        last.map_or(0, |position| position as i64 + 1)
    }

    fn last_published(&self) -> i64 {
        let last = self.submissions.iter().rposition(|s| s.published);
        last.map_or(0, |position| position as i64 + 1)
    }

    /// Compares the records of a version with what was submitted; the last submission in it.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn check(
        &mut self,
        version: u64,
        found: &BTreeMap<i64, i64>,
    ) -> Result<i64, String> {
        let last = found.get(&MARKER).copied().unwrap_or(0);
        if last > self.submissions.len() as i64 {
            return Err(format!(
                "version {version} has submission {last}, which never was"
            ));
        }
        self.check_order(version, last)?;
        // Whatever is there was in the log.
        for token in found.values() {
            if let Some(submission) = self.at(*token) {
                submission.acknowledged = true;
            }
        }
        let possible = self.possible(last);
        let keys: BTreeSet<&i64> = possible.keys().chain(found.keys()).collect();
        for key in keys.into_iter().filter(|key| **key != MARKER) {
            let value = found.get(key).copied();
            let may_be = possible
                .get(key)
                .is_some_and(|values| values.contains(&value));
            if !may_be {
                return Err(format!(
                    "version {version}, up to submission {last}: record {key} is {value:?}, expected {}",
                    self.history_of(*key)
                ));
            }
        }
        Ok(last)
    }

    /// Later versions have later submissions.
    fn check_order(&mut self, version: u64, last: i64) -> Result<(), String> {
        let before = self.seen.range(..version).next_back();
        let after = self.seen.range(version..).next();
        let too_early = before.filter(|(_, before)| **before > last);
        let too_late = after.filter(|(_, after)| **after < last);
        if let Some((other, its_last)) = too_early.or(too_late) {
            return Err(format!(
                "version {version} ends with submission {last}, version {other} with {its_last}"
            ));
        }
        self.seen.insert(version, last);
        Ok(())
    }

    /// What each record may be after the submissions up to `last`.
    fn possible(&self, last: i64) -> BTreeMap<i64, BTreeSet<Option<i64>>> {
        let mut possible: BTreeMap<i64, BTreeSet<Option<i64>>> = BTreeMap::new();
        let before = self.submissions.iter().take(last as usize);
        for submission in before.filter(|one| !one.aside) {
            for (key, value) in &submission.changes {
                let values = possible
                    .entry(*key)
                    .or_insert_with(|| BTreeSet::from([None]));
                if submission.acknowledged {
                    values.clear();
                }
                values.insert(*value);
            }
        }
        possible
    }

    /// All that was submitted for a record, for messages.
    fn history_of(&self, key: i64) -> String {
        let all = self.submissions.iter().enumerate();
        let of_key = all.filter_map(|(position, s)| Some((position + 1, s, s.changes.get(&key)?)));
        let told = of_key.map(|(token, submission, value)| {
            let doubt = match (submission.aside, submission.acknowledged) {
                (true, _) => " set aside",
                (false, true) => "",
                (false, false) => "?",
            };
            format!("{token}{doubt}: {value:?}")
        });
        format!("after {}", told.collect::<Vec<_>>().join(", "))
    }

    /// Whether the newest version has all that it must have.
    ///
    /// # Errors
    /// What it lacks.
    pub(crate) fn check_whole(&self, last: i64) -> Result<(), String> {
        let acknowledged = self.last_acknowledged().max(self.last_published());
        if last < acknowledged {
            return Err(format!(
                "the newest version ends with submission {last}, and {acknowledged} was acknowledged"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(records: &[(i64, i64)]) -> BTreeMap<i64, i64> {
        records.iter().copied().collect()
    }

    /// Three submissions to record 1; the second one is in doubt, and deletes.
    fn stream() -> Stream {
        let mut stream = Stream::default();
        for (token, value) in [(1, Some(1)), (2, None), (3, Some(3))] {
            stream.submitted(Changes::from([(1, value)]));
            if token != 2 {
                stream.acknowledged(token);
            }
        }
        stream
    }

    #[test]
    fn what_is_in_doubt_may_be_there_or_not() {
        assert_eq!(stream().check(1, &state(&[(MARKER, 1), (1, 1)])), Ok(1));
        assert_eq!(stream().check(1, &state(&[(MARKER, 2)])), Ok(2));
        assert_eq!(stream().check(1, &state(&[(MARKER, 3), (1, 3)])), Ok(3));
    }

    #[test]
    fn what_is_set_aside_is_in_no_version() {
        let mut stream = stream();
        stream.set_aside(3).unwrap();
        assert_eq!(stream.check(1, &state(&[(MARKER, 1), (1, 1)])), Ok(1));
        assert_eq!(stream.check_whole(1), Ok(()));
        assert!(stream.check(2, &state(&[(MARKER, 3), (1, 3)])).is_err());
        stream.published(1);
        assert!(stream.set_aside(1).is_err());
        assert!(stream.set_aside(9).is_err());
    }

    #[test]
    fn what_was_lost_or_came_twice_is_found() {
        assert!(stream().check(1, &state(&[(MARKER, 3), (1, 1)])).is_err());
        assert!(stream().check(1, &state(&[(MARKER, 1)])).is_err());
        assert!(stream().check(1, &state(&[(MARKER, 9), (1, 3)])).is_err());
        let mut stream = stream();
        stream.check(2, &state(&[(MARKER, 3), (1, 3)])).unwrap();
        assert!(stream.check(3, &state(&[(MARKER, 1), (1, 1)])).is_err());
        assert!(stream.check_whole(1).is_err());
        assert_eq!(stream.check_whole(3), Ok(()));
    }
}
