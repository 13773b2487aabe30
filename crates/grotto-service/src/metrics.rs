//! Metrics of several datasets in one text.
//!
//! Owns: putting texts in the OpenMetrics format together, so that each family is in the result once, and what every
//! daemon tells of itself. Never: counts anything.

use crate::http::guard::Counts;
use crate::process::resources;
use std::fmt::Write as _;
use std::time::Duration;

/// The end of a text.
const END: &str = "# EOF";

/// What Prometheus calls the format.
pub(crate) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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

/// In which format metrics are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For those who ask for it.
    OpenMetrics,
    /// The older text format of Prometheus, which everybody reads.
    Classic,
}

/// Puts texts in the OpenMetrics format together; without histograms unless `detailed`.
pub(crate) fn merge(texts: &[String], detailed: bool, format: Format) -> String {
    let families = families(texts);
    let mut merged = String::new();
    for family in families
        .iter()
        .filter(|family| detailed || !family.is_histogram())
    {
        for line in &family.said {
            // Writing to a string does not fail.
            let _ = match (format, said_in_classic(family, line)) {
                (Format::OpenMetrics, _) => writeln!(merged, "{line}"),
                (Format::Classic, Some(line)) => writeln!(merged, "{line}"),
                (Format::Classic, None) => Ok(()),
            };
        }
        for line in &family.samples {
            let _ = writeln!(merged, "{line}");
        }
    }
    if format == Format::OpenMetrics {
        let _ = writeln!(merged, "{END}");
    }
    merged
}

/// The older format has no units, and counters go by the name of their samples.
fn said_in_classic(family: &Family<'_>, line: &str) -> Option<String> {
    if line.starts_with("# UNIT ") {
        return None;
    }
    let name = family.name;
    let is_counter = family.said.iter().any(|line| line.ends_with(" counter"));
    Some(match is_counter {
        true => line.replacen(name, &format!("{name}_total"), 1),
        false => line.to_owned(),
    })
}

/// What a daemon tells of its process and of the requests to it, in the OpenMetrics format.
pub(crate) fn of_process(prefix: &str, uptime: Duration, counts: &[&Counts]) -> String {
    let found = resources();
    let gauges: [(&str, &str, &str, f64); 5] = [
        (
            "process_memory_bytes",
            "bytes",
            "Resident memory",
            found.memory_bytes as f64,
        ),
        (
            "process_peak_memory_bytes",
            "bytes",
            "Largest resident memory so far",
            found.peak_memory_bytes as f64,
        ),
        (
            "process_open_files",
            "",
            "Open files",
            found.open_files as f64,
        ),
        ("process_threads", "", "Threads", found.threads as f64),
        (
            "uptime_seconds",
            "seconds",
            "Time since the start",
            uptime.as_secs_f64(),
        ),
    ];
    let mut text = String::new();
    for (name, unit, help, value) in gauges {
        gauge(&mut text, &format!("{prefix}_{name}"), unit, help, value);
    }
    let name = format!("{prefix}_http_requests");
    counter(&mut text, &name, "Requests, by class of status");
    for class in 2..=5 {
        let count: u64 = counts.iter().map(|counts| counts.of_class(class)).sum();
        let _ = writeln!(text, "{name}_total{{status=\"{class}xx\"}} {count}");
    }
    let unread: u64 = counts.iter().map(|counts| counts.unread()).sum();
    let help = "Answers that were given up because nobody read them, or too slowly";
    counter(&mut text, &format!("{prefix}_http_unread_answers"), help);
    let _ = writeln!(text, "{prefix}_http_unread_answers_total {unread}");
    text
}

/// Begins a family of counters.
pub(crate) fn counter(text: &mut String, name: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} counter");
}

/// Begins a family of gauges.
pub(crate) fn family(text: &mut String, name: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} gauge");
}

/// Adds a family of one gauge.
pub(crate) fn gauge(text: &mut String, name: &str, unit: &str, help: &str, value: f64) {
    family(text, name, help);
    if !unit.is_empty() {
        let _ = writeln!(text, "# UNIT {name} {unit}");
    }
    let _ = writeln!(text, "{name} {value}");
}

fn families(texts: &[String]) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for text in texts {
        let mut present = 0;
        for line in text.lines().filter(|line| *line != END && !line.is_empty()) {
            if let Some(name) = said_of(line) {
                present = place_of(&mut families, name);
                let said = &mut families[present].said;
                if !said.contains(&line) {
                    said.push(line);
                }
            } else if let Some(family) = families.get_mut(present) {
                family.samples.push(line);
            }
        }
    }
    families
}

/// Where a family is, which is made if it is new.
fn place_of<'a>(families: &mut Vec<Family<'a>>, name: &'a str) -> usize {
    let known = families.iter().position(|family| family.name == name);
    known.unwrap_or_else(|| {
        families.push(Family {
            name,
            ..Family::default()
        });
        families.len() - 1
    })
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
        let merged = merge(&[of("x"), of("y")], true, Format::OpenMetrics);
        let expected = "# HELP a_records Records.\n# TYPE a_records counter\na_records_total{dataset=\"x\"} 1\n\
                        a_records_total{dataset=\"y\"} 1\n# HELP a_time_seconds Time.\n# TYPE a_time_seconds histogram\n\
                        # UNIT a_time_seconds seconds\na_time_seconds_sum{dataset=\"x\"} 2\n\
                        a_time_seconds_sum{dataset=\"y\"} 2\n# EOF\n";
        assert_eq!(merged, expected);
    }

    #[test]
    fn histograms_go_where_details_are_not_wanted() {
        let merged = merge(&[of("x")], false, Format::OpenMetrics);
        let expected = "# HELP a_records Records.\n# TYPE a_records counter\na_records_total{dataset=\"x\"} 1\n# EOF\n";
        assert_eq!(merged, expected);
    }

    #[test]
    fn nothing_is_an_empty_text() {
        assert_eq!(merge(&[], true, Format::OpenMetrics), "# EOF\n");
    }

    #[test]
    fn the_older_format_names_counters_as_their_samples_and_has_no_units() {
        let merged = merge(&[of("x")], true, Format::Classic);
        let expected = "# HELP a_records_total Records.\n# TYPE a_records_total counter\na_records_total{dataset=\"x\"} 1\n\
                        # HELP a_time_seconds Time.\n# TYPE a_time_seconds histogram\na_time_seconds_sum{dataset=\"x\"} 2\n";
        assert_eq!(merged, expected);
    }
}
