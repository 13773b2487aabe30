//! What a sidecar looks like at a terminal.
//!
//! Owns: words and layout. Never: asks the sidecar.

use crate::failure::one_line;
use crate::text::{Table, bytes, count, duration, rough, things};
use grotto_service::sidecar::{Look, LookedDataset, LookedVersion};
use std::net::SocketAddr;
use std::time::Duration;

/// Columns that are text; the others are figures.
const TEXTS: usize = 2;
const NAMES: [&str; 9] = [
    "dataset",
    "condition",
    "version",
    "behind",
    "lag",
    "refreshes",
    "records",
    "readers",
    "state",
];

/// The lines of a look.
pub(super) fn lines(look: &Look, address: Option<&SocketAddr>) -> Vec<String> {
    let mut lines = vec![head(look, address), String::new()];
    let mut table = Table::new(TEXTS, &NAMES);
    look.datasets.iter().for_each(|one| table.row(cells(one)));
    let mut rows = table.lines();
    lines.extend(rows.next());
    for (row, one) in rows.zip(&look.datasets) {
        lines.push(row);
        let reasons = one.reasons.iter();
        lines.extend(reasons.map(|reason| format!("      {}", one_line(reason))));
    }
    lines
}

/// `http://127.0.0.1:8080/  up 62 s  memory 20.1 MiB`
fn head(look: &Look, address: Option<&SocketAddr>) -> String {
    let at = address.map_or("grotto sidecar".to_owned(), |at| format!("http://{at}/"));
    let (up, memory) = (rough(look.uptime.as_secs()), bytes(look.memory_bytes));
    format!("{at}  up {up}  memory {memory}  ends on Ctrl-C")
}

fn cells(one: &LookedDataset) -> Vec<String> {
    let mut cells = vec![one.dataset.clone(), one.condition.to_owned()];
    match &one.served {
        None => cells.extend(vec!["–".to_owned(); NAMES.len() - TEXTS]),
        Some(served) => cells.extend(figures(served)),
    }
    cells
}

fn figures(served: &LookedVersion) -> [String; NAMES.len() - TEXTS] {
    let unknown = || "–".to_owned();
    let behind = served
        .newest
        .map(|newest| newest.saturating_sub(served.version));
    [
        count(served.version),
        behind.map_or_else(unknown, |versions| match versions {
            0 => "no".to_owned(),
            versions => things(versions, "version"),
        }),
        served.staleness.map_or_else(unknown, lag),
        count(served.refreshes),
        count(served.records),
        served.attached_readers.map_or_else(unknown, count),
        bytes(served.state_bytes),
    ]
}

/// Time in which a newer version may have come, without a digit more than it is good for.
fn lag(staleness: Duration) -> String {
    match staleness.as_secs() {
        0..10 => duration(staleness),
        seconds => rough(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_its_column_and_every_reason_a_line() {
        let served = LookedVersion {
            version: 1_234,
            records: 2_000_000,
            newest: Some(1_236),
            staleness: Some(Duration::from_millis(1_250)),
            refreshes: 77,
            state_bytes: 90 << 20,
            attached_readers: Some(3),
        };
        let opening = LookedDataset {
            dataset: "films".to_owned(),
            condition: "opening",
            reasons: vec!["the store is\naway".to_owned()],
            served: None,
        };
        let alone = LookedDataset {
            dataset: "goods".to_owned(),
            condition: "degraded",
            reasons: Vec::new(),
            served: Some(LookedVersion {
                newest: None,
                staleness: None,
                attached_readers: None,
                ..served.clone()
            }),
        };
        let look = Look {
            uptime: Duration::from_secs(62),
            memory_bytes: 20 << 20,
            datasets: vec![
                LookedDataset {
                    dataset: "cities".to_owned(),
                    condition: "serving",
                    reasons: Vec::new(),
                    served: Some(served),
                },
                opening,
                alone,
            ],
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        let told = lines(&look, Some(&address));
        let expected = "\
http://127.0.0.1:8080/  up 1 min  memory 20.0 MiB  ends on Ctrl-C

  dataset  condition  version      behind     lag  refreshes    records  readers     state
  cities   serving      1,234  2 versions  1.25 s         77  2,000,000        3  90.0 MiB
  films    opening          –           –       –          –          –        –         –
      the store is away
  goods    degraded     1,234           –       –         77  2,000,000        –  90.0 MiB";
        assert_eq!(told.join("\n"), expected);
    }
}
