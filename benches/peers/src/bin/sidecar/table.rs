//! The tables.
//!
//! Owns: medians, and what is divided by what. Never: measures.

use super::attached::Part;
use super::client::Measured;
use super::server::{Engine, Transport};
use std::collections::BTreeMap;

type Name = (usize, Transport, usize);

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    servers: BTreeMap<Name, BTreeMap<Engine, Vec<Measured>>>,
    attached: BTreeMap<(Part, usize, usize), Vec<Measured>>,
}

impl Figures {
    pub(crate) fn add(&mut self, load: Name, engine: Engine, measured: Measured) {
        let engines = self.servers.entry(load).or_default();
        engines.entry(engine).or_default().push(measured);
    }

    pub(crate) fn add_attached(
        &mut self,
        threads: usize,
        (part, batch): (Part, usize),
        measured: Measured,
    ) {
        let runs = self.attached.entry((part, threads, batch)).or_default();
        runs.push(measured);
    }

    #[allow(clippy::print_stdout, reason = "tables are what the program is for")]
    pub(crate) fn print(&self) {
        println!(
            "| connections | over | gets a request | sidecar, gets/s | p50, p99 us | processor us/get \
             | Redis, gets/s | p50, p99 us | processor us/get | sidecar is |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|");
        for ((connections, over, batch), engines) in &self.servers {
            let of = |engine| engines.get(&engine).map_or(NOTHING, |runs| median(runs));
            let (ours, theirs) = (of(Engine::Sidecar), of(Engine::Redis));
            println!(
                "| {connections} | {over} | {batch} | {} | {} | {:.2} times |",
                cells(&ours),
                cells(&theirs),
                ours.rate / theirs.rate
            );
        }
        println!();
        println!(
            "| attached, threads | what is read | gets a call | gets/s | p50, p99 us | Redis at its best, gets/s | attached is |"
        );
        println!("|---|---|---|---|---|---|---|");
        for ((part, threads, batch), runs) in &self.attached {
            let (ours, best) = (median(runs), self.best_of_redis(*batch));
            let read = match part {
                Part::Number => "a number",
                Part::All => "everything",
            };
            println!(
                "| {threads} | {read} | {batch} | {:.0} | {:.2}, {:.2} | {best:.0} | {:.0} times |",
                ours.rate,
                ours.p50,
                ours.p99,
                ours.rate / best
            );
        }
    }

    /// The highest rate of Redis with so many gets a request, over whichever way.
    fn best_of_redis(&self, batch: usize) -> f64 {
        let same = self.servers.iter().filter(|((.., of), _)| *of == batch);
        let runs = same.filter_map(|(_, engines)| engines.get(&Engine::Redis));
        runs.map(|runs| median(runs).rate).fold(f64::NAN, f64::max)
    }
}

const NOTHING: Measured = Measured {
    rate: f64::NAN,
    p50: f64::NAN,
    p99: f64::NAN,
    processor: f64::NAN,
};

fn cells(measured: &Measured) -> String {
    let Measured {
        rate,
        p50,
        p99,
        processor,
    } = measured;
    format!("{rate:.0} | {p50:.1}, {p99:.1} | {processor:.2}")
}

fn median(runs: &[Measured]) -> Measured {
    let middle = |of: fn(&Measured) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Measured {
        rate: middle(|one| one.rate),
        p50: middle(|one| one.p50),
        p99: middle(|one| one.p99),
        processor: middle(|one| one.processor),
    }
}
