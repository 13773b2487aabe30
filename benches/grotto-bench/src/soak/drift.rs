//! Whether the last sample is what an earlier one was, and a record takes what it may.
//!
//! Owns: the comparison. Never: looks at times, which it shows and leaves to the reader.

use super::quantity::{Limit, Quantity, Sample, Since};
use anyhow::{Result, bail};
use serde_json::json;
use std::io::Write;

/// Bytes that a record may take, as many times those of a state that was just loaded.
const MOST_BYTES: f64 = 1.6;
/// Share of all bytes that is of use.
const LEAST_LIVE: f64 = 0.6;

/// Fails with everything that drifted since an earlier sample.
pub(super) fn judge(first: &Sample, last: &Sample, since: Since) -> Result<()> {
    let drifts = Quantity::ALL
        .iter()
        .filter_map(|quantity| drift(*quantity, first, last, since));
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

/// Fails when a record took too much, or too little was of use, at any time. `fresh` is what a record
/// takes in a state that was just loaded.
pub(super) fn judge_sizes(fresh: f64, samples: &[Sample]) -> Result<()> {
    for sample in samples {
        let bytes = sample.value(Quantity::BytesPerRecord);
        let most = fresh * MOST_BYTES;
        // Not a number is past every bound.
        if bytes > most || bytes.is_nan() {
            bail!(
                "{bytes:.3} bytes a record at cycle {}, expected at most {most:.3}: {MOST_BYTES} times \
                 those of a load",
                sample.cycle
            );
        }
        let live = sample.value(Quantity::LiveShare);
        if live < LEAST_LIVE || live.is_nan() {
            bail!(
                "a share of {live:.3} of all bytes is live at cycle {}, expected at least {LEAST_LIVE}",
                sample.cycle
            );
        }
    }
    Ok(())
}

/// A sentence about a quantity that is past its bound.
fn drift(quantity: Quantity, first: &Sample, last: &Sample, since: Since) -> Option<String> {
    let (name, unit) = quantity.describe();
    let (before, after) = (first.value(quantity), last.value(quantity));
    let (broken, bound) = match quantity.limit(since) {
        Limit::Growth(times, more) => {
            let most = before * times + more;
            (after > most, format!("at most {most:.3}"))
        }
        Limit::Loss(share) => {
            let least = before * share;
            (after < least, format!("at least {least:.3}"))
        }
        Limit::Segments(more) => {
            let most = last.value(Quantity::SegmentsMost) + more;
            (after > most, format!("at most {most:.3}"))
        }
        Limit::Shown => return None,
    };
    // A value that is not a number is past every bound.
    (broken || !after.is_finite())
        .then(|| format!("{name} went from {before:.3} to {after:.3} {unit}, expected {bound}"))
}

/// Both samples side by side.
pub(super) fn print(fresh: f64, first: &Sample, last: &Sample, as_json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{}", json!({"fresh_bytes_per_record": fresh}))?;
    } else {
        writeln!(
            out,
            "\n{fresh:.3} bytes a record when just loaded\n\n\
             | quantity | cycle {} | cycle {} | ratio | may |\n|---|---|---|---|---|",
            first.cycle, last.cycle
        )?;
    }
    for quantity in Quantity::ALL {
        let (name, unit) = quantity.describe();
        let (before, after) = (first.value(*quantity), last.value(*quantity));
        let ratio = after / before;
        if as_json {
            let line = json!({"quantity": name, "unit": unit, "first": before, "last": after, "ratio": ratio});
            writeln!(out, "{line}")?;
        } else {
            let may = may(quantity.limit(Since::Steady));
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
        Limit::Segments(more) if more > 0.0 => format!("≤ segments_most + {more}"),
        Limit::Segments(_) => "≤ segments_most".to_owned(),
        Limit::Shown => "shown only".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Since; 2] = [Since::Steady, Since::Settled];

    #[test]
    fn a_flat_run_is_accepted_however_slow_it_became() {
        let first = Sample::of(100, |_| 10.0);
        let last = Sample::of(2_000, |quantity| match quantity {
            Quantity::RefreshHeap | Quantity::Publish => 1_000.0,
            _ => 10.0,
        });
        BOTH.iter()
            .for_each(|since| judge(&first, &last, *since).unwrap());
    }

    #[test]
    fn every_bounded_quantity_can_fail_a_run() {
        for (drifting, since) in Quantity::ALL
            .iter()
            .flat_map(|q| BOTH.map(|since| (*q, since)))
        {
            let first = Sample::of(100, |_| 100.0);
            let value = match drifting.limit(since) {
                Limit::Growth(..) | Limit::Segments(_) => 300.0,
                Limit::Loss(_) => 50.0,
                Limit::Shown => continue,
            };
            let last = Sample::of(
                2_000,
                |quantity| {
                    if quantity == drifting { value } else { 100.0 }
                },
            );
            let error = judge(&first, &last, since).unwrap_err().to_string();
            assert!(error.contains(drifting.describe().0), "{error}");
            assert_eq!(error.matches("went from").count(), 1, "{error}");
        }
    }

    #[test]
    fn blocks_may_get_emptier_only_until_every_record_has_changed() {
        let first = Sample::of(300, |_| 100.0);
        let last = Sample::of(2_000, |quantity| match quantity {
            Quantity::Fill => 88.0,
            Quantity::BytesPerRecord | Quantity::BlockBytes | Quantity::Private => 115.0,
            _ => 100.0,
        });
        judge(&first, &last, Since::Steady).unwrap();
        let error = judge(&first, &last, Since::Settled)
            .unwrap_err()
            .to_string();
        assert_eq!(error.matches("went from").count(), 3, "{error}");
    }

    #[test]
    fn a_quantity_that_was_never_noted_fails_a_run() {
        let first = Sample::of(100, |_| 1.0);
        let last = Sample::of(2_000, |_| f64::NAN);
        assert!(judge(&first, &last, Since::Steady).is_err());
        assert!(judge_sizes(1.0, &[last]).is_err());
    }

    #[test]
    fn a_record_may_never_take_too_much_and_most_bytes_are_of_use() {
        let sample = |cycle, bytes, live| {
            Sample::of(cycle, |quantity| match quantity {
                Quantity::BytesPerRecord => bytes,
                Quantity::LiveShare => live,
                _ => 0.0,
            })
        };
        judge_sizes(50.0, &[sample(1, 80.0, 0.6)]).unwrap();
        for bad in [sample(2, 80.1, 0.6), sample(2, 80.0, 0.599)] {
            let samples = [sample(1, 60.0, 0.9), bad, sample(3, 60.0, 0.9)];
            let error = judge_sizes(50.0, &samples).unwrap_err().to_string();
            assert!(error.contains("cycle 2"), "{error}");
        }
    }
}
