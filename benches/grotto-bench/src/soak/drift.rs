//! Whether the last sample is what the first one was.
//!
//! Owns: the comparison. Never: looks at times, which it shows and leaves to the reader.

use super::quantity::{Limit, Quantity, Sample};
use anyhow::{Result, bail};
use serde_json::json;
use std::io::Write;

/// Fails with everything that drifted.
pub(super) fn judge(first: &Sample, last: &Sample) -> Result<()> {
    let drifts = Quantity::ALL
        .iter()
        .filter_map(|quantity| drift(*quantity, first, last));
    let drifts: Vec<String> = drifts.collect();
    if drifts.is_empty() {
        return Ok(());
    }
    bail!(
        "not flat from cycle {} to cycle {}: {}",
        first.cycle,
        last.cycle,
        drifts.join("; ")
    )
}

/// A sentence about a quantity that is past its bound.
fn drift(quantity: Quantity, first: &Sample, last: &Sample) -> Option<String> {
    let (name, unit, limit) = quantity.describe();
    let (before, after) = (first.value(quantity), last.value(quantity));
    let (broken, bound) = match limit {
        Limit::Growth(times, more) => {
            let most = before * times + more;
            (after > most, format!("at most {most:.3}"))
        }
        Limit::Loss(share) => {
            let least = before * share;
            (after < least, format!("at least {least:.3}"))
        }
        Limit::Shown => return None,
    };
    // A value that is not a number is past every bound.
    (broken || !after.is_finite())
        .then(|| format!("{name} went from {before:.3} to {after:.3} {unit}, expected {bound}"))
}

/// Both samples side by side.
pub(super) fn print(first: &Sample, last: &Sample, as_json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if !as_json {
        writeln!(
            out,
            "\n| quantity | cycle {} | cycle {} | ratio | may |\n|---|---|---|---|---|",
            first.cycle, last.cycle
        )?;
    }
    for quantity in Quantity::ALL {
        let (name, unit, limit) = quantity.describe();
        let (before, after) = (first.value(*quantity), last.value(*quantity));
        let ratio = after / before;
        if as_json {
            let line = json!({"quantity": name, "unit": unit, "first": before, "last": after, "ratio": ratio});
            writeln!(out, "{line}")?;
        } else {
            let may = may(limit);
            writeln!(
                out,
                "| {name} {unit} | {before:.3} | {after:.3} | {ratio:.3} | {may} |"
            )?;
        }
    }
    out.flush()?;
    Ok(())
}

fn may(limit: Limit) -> String {
    match limit {
        Limit::Growth(times, more) if more > 0.0 => format!("≤ {times} times + {more}"),
        Limit::Growth(times, _) => format!("≤ {times} times"),
        Limit::Loss(share) => format!("≥ {share} times"),
        Limit::Shown => "shown only".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_run_is_accepted_however_slow_it_became() {
        let first = Sample::of(100, |_| 10.0);
        let last = Sample::of(2_000, |quantity| match quantity {
            Quantity::RefreshHeap | Quantity::Publish => 1_000.0,
            _ => 10.0,
        });
        judge(&first, &last).unwrap();
    }

    #[test]
    fn every_bounded_quantity_can_fail_a_run() {
        for drifting in Quantity::ALL {
            let first = Sample::of(100, |_| 100.0);
            let value = match drifting.describe().2 {
                Limit::Growth(..) => 200.0,
                Limit::Loss(_) => 50.0,
                Limit::Shown => continue,
            };
            let last = Sample::of(
                2_000,
                |quantity| {
                    if quantity == *drifting { value } else { 100.0 }
                },
            );
            let error = judge(&first, &last).unwrap_err().to_string();
            assert!(error.contains(drifting.describe().0), "{error}");
            assert_eq!(error.matches("went from").count(), 1, "{error}");
        }
    }

    #[test]
    fn a_quantity_that_was_never_noted_fails_a_run() {
        let first = Sample::of(100, |_| 1.0);
        let last = Sample::of(2_000, |_| f64::NAN);
        assert!(judge(&first, &last).is_err());
    }
}
