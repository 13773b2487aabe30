//! Metrics of several datasets in one text.
//!
//! Owns: putting texts in the OpenMetrics format together, so that each family is in the result once. Never:
//! counts anything.

use std::fmt::Write as _;

/// The end of a text.
const END: &str = "# EOF";

/// A family: what is said of it, and its samples.
#[derive(Debug, Default)]
struct Family<'a> {
    name: &'a str,
    said: Vec<&'a str>,
    samples: Vec<&'a str>,
}

impl Family<'_> {
    fn is_histogram(&self) -> bool {
        let kind = self.said.iter().find(|line| line.starts_with("# TYPE "));
        kind.is_some_and(|line| line.ends_with(" histogram"))
    }
}

/// Puts texts together; without histograms unless `detailed`.
pub(crate) fn merge(texts: &[String], detailed: bool) -> String {
    let mut families: Vec<Family<'_>> = Vec::new();
    for text in texts {
        let mut present = None;
        for line in text.lines().filter(|line| *line != END && !line.is_empty()) {
            match said_of(line) {
                Some(name) => {
                    let known = families.iter().position(|family| family.name == name);
                    let index = known.unwrap_or_else(|| {
                        families.push(Family {
                            name,
                            ..Family::default()
                        });
                        families.len() - 1
                    });
                    present = Some(index);
                    let said = &mut families[index].said;
                    if !said.contains(&line) {
                        said.push(line);
                    }
                }
                None => {
                    if let Some(index) = present {
                        families[index].samples.push(line);
                    }
                }
            }
        }
    }
    let mut merged = String::new();
    for family in families
        .iter()
        .filter(|family| detailed || !family.is_histogram())
    {
        for line in family.said.iter().chain(&family.samples) {
            // Writing to a string does not fail.
            let _ = writeln!(merged, "{line}");
        }
    }
    merged.push_str(END);
    merged.push('\n');
    merged
}

/// The family that a line is about which is no sample.
fn said_of(line: &str) -> Option<&str> {
    let mut words = line.strip_prefix("# ")?.split(' ');
    let word = words.next()?;
    ["HELP", "TYPE", "UNIT"].contains(&word).then_some(())?;
    words.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(dataset: &str) -> String {
        format!(
            "# HELP a_records Records.\n# TYPE a_records counter\na_records_total{{dataset=\"{dataset}\"}} 1\n\
             # HELP a_time_seconds Time.\n# TYPE a_time_seconds histogram\n# UNIT a_time_seconds seconds\n\
             a_time_seconds_sum{{dataset=\"{dataset}\"}} 2\n# EOF\n"
        )
    }

    #[test]
    fn each_family_is_there_once_with_the_samples_of_all() {
        let merged = merge(&[of("x"), of("y")], true);
        let expected = "# HELP a_records Records.\n# TYPE a_records counter\na_records_total{dataset=\"x\"} 1\n\
                        a_records_total{dataset=\"y\"} 1\n# HELP a_time_seconds Time.\n# TYPE a_time_seconds histogram\n\
                        # UNIT a_time_seconds seconds\na_time_seconds_sum{dataset=\"x\"} 2\n\
                        a_time_seconds_sum{dataset=\"y\"} 2\n# EOF\n";
        assert_eq!(merged, expected);
    }

    #[test]
    fn histograms_go_where_details_are_not_wanted() {
        let merged = merge(&[of("x")], false);
        let expected = "# HELP a_records Records.\n# TYPE a_records counter\na_records_total{dataset=\"x\"} 1\n# EOF\n";
        assert_eq!(merged, expected);
    }

    #[test]
    fn nothing_is_an_empty_text() {
        assert_eq!(merge(&[], true), "# EOF\n");
    }
}
