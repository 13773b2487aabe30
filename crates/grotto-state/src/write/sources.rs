//! Where the records of a cycle come from.
//!
//! Owns: numbers that tell positions of different sources apart, and how messages show them. Callers
//! count from the start in every source; within a cycle the positions of a source follow those of the
//! source before, so that one number still says which of them it belongs to.

/// A place that cannot be told exactly any more.
pub(crate) const UNKNOWN: u64 = u64::MAX;

/// The sources of a cycle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// Number that position 0 has, and name, by rising number. Records before the first one come
    /// from a source without a name.
    named: Vec<(u64, String)>,
    /// One more than the largest number given out.
    next: u64,
}

impl Sources {
    /// Names the source of the positions to come.
    pub(crate) fn begin(&mut self, name: &str) {
        match self.named.last_mut() {
            Some((_, last)) if last == name => {}
            // No record came from it.
            Some((first, last)) if *first == self.next => name.clone_into(last),
            _ => self.named.push((self.next, name.to_owned())),
        }
    }

    /// The number of a position of the present source.
    pub(crate) fn number(&mut self, position: u64) -> u64 {
        let number = self.first().saturating_add(position);
        self.next = self.next.max(number.saturating_add(1));
        number
    }

    /// Name of the present source; empty where none was named.
    pub(crate) fn present(&self) -> &str {
        self.named.last().map_or("", |(_, name)| name)
    }

    /// How messages show a number.
    pub(crate) fn show(&self, number: u64) -> String {
        if number == UNKNOWN {
            return "another record".to_owned();
        }
        let after = self.named.partition_point(|(first, _)| *first <= number);
        let source = after.checked_sub(1).and_then(|at| self.named.get(at));
        match source {
            Some((first, name)) => show_position(name, number - first),
            None => show_position("", number),
        }
    }

    fn first(&self) -> u64 {
        self.named.last().map_or(0, |(first, _)| *first)
    }
}

/// How messages show a position of a source: a line of what has a name, or the number of a record.
#[must_use]
pub fn show_position(source: &str, position: u64) -> String {
    match source {
        "" => format!("record {position}"),
        source => format!("{source} line {position}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_tells_its_source_whatever_was_named_since() {
        let mut sources = Sources::default();
        let mut told = vec![(sources.number(4), "record 4")];
        sources.begin("nothing.nd");
        sources.begin("a.nd");
        told.push((sources.number(1), "a.nd line 1"));
        told.push((sources.number(9), "a.nd line 9"));
        told.push((sources.number(2), "a.nd line 2"));
        sources.begin("a.nd");
        told.push((sources.number(10), "a.nd line 10"));
        sources.begin("b.nd");
        told.push((sources.number(0), "b.nd line 0"));
        sources.begin("");
        told.push((sources.number(3), "record 3"));
        for (number, text) in told {
            assert_eq!(sources.show(number), text);
        }
    }

    #[test]
    fn positions_without_end_are_shown_without_a_number() {
        let mut sources = Sources::default();
        sources.begin("a.nd");
        sources.number(u64::MAX);
        sources.begin("b.nd");
        let number = sources.number(7);
        assert_eq!(sources.show(number), "another record");
    }
}
