//! Numbers, times and tables for people.
//!
//! Owns: how figures look. Never: prints; and nothing here is meant for a program to read.

use std::time::Duration;

/// `1234567` as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 record`, `2,000 records`. For names whose plural is an s more.
pub(crate) fn things(number: u64, name: &str) -> String {
    match number {
        1 => format!("1 {name}"),
        several => format!("{}s", count(several) + " " + name),
    }
}

/// Words as a list: `a`, `a and b`, `a, b and c`.
pub(crate) fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// A length in bytes, such as `1.9 MiB`.
pub(crate) fn bytes(length: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if length < 1024 {
        return format!("{length} B");
    }
    let mut value = length as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A duration with three digits at most before its unit, such as `8.3 ms`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds >= 100.0 {
        format!("{seconds:.0} s")
    } else if seconds >= 1.0 {
        format!("{seconds:.2} s")
    } else if seconds >= 0.001 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{:.0} µs", seconds * 1e6)
    }
}

/// A time in its two largest units at most: `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`.
pub(crate) fn rough(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Milliseconds with three decimals, for JSON.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Milliseconds since 1970 as `2026-11-21 03:04:05` (UTC).
pub(crate) fn date(wall_ms: u64) -> String {
    let seconds = wall_ms / 1000;
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// The day of the Gregorian calendar that lies `days` after 1970-01-01. Years are counted from
/// March, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

/// A table whose columns are as wide as their widest cell.
pub(crate) struct Table {
    left: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a first line of names. The first `left` columns are text and start at the left;
    /// the others are figures and end at the right.
    pub(crate) fn new(left: usize, names: &[&str]) -> Self {
        Self {
            left,
            rows: vec![names.iter().map(|name| (*name).to_owned()).collect()],
        }
    }

    /// Adds a line.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The lines, without blanks at their ends.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        self.rows.iter().map(move |row| self.show(row, &widths))
    }

    fn show(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            line.push_str("  ");
            if column < self.left {
                line.push_str(cell);
                line.push_str(&padding);
            } else {
                line.push_str(&padding);
                line.push_str(cell);
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_readable() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [1023, 1024, 2_000_000, 1 << 30].map(bytes),
            ["1023 B", "1.0 KiB", "1.9 MiB", "1.0 GiB"]
        );
        let times = [250, 1500, 12_345_678].map(|us| duration(Duration::from_micros(us)));
        assert_eq!(times, ["250 µs", "1.5 ms", "12.35 s"]);
    }

    #[test]
    fn long_times_have_two_units_at_most() {
        let times = [0, 59, 60, 3_599, 3_600, 86_399, 90_000].map(rough);
        let expected = [
            "0 s",
            "59 s",
            "1 min",
            "59 min",
            "1 h 0 min",
            "23 h 59 min",
            "1 d 1 h",
        ];
        assert_eq!(times, expected);
    }

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00:00");
        assert_eq!(date(951_782_400_000), "2000-02-29 00:00:00");
        assert_eq!(date(1_709_251_199_999), "2024-02-29 23:59:59");
        assert_eq!(date(1_767_225_600_000), "2026-01-01 00:00:00");
    }

    #[test]
    fn columns_line_up_also_with_letters_of_several_bytes() {
        let mut table = Table::new(1, &["name", "n"]);
        table.row(vec!["Ä".into(), "10".into()]);
        table.row(vec!["abcde".into(), "7".into()]);
        let lines: Vec<String> = table.lines().collect();
        assert_eq!(lines, ["  name    n", "  Ä      10", "  abcde   7"]);
    }
}
