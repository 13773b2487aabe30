//! Long runs: a producer, a store in a folder, a consumer on the heap and one with a state
//! directory, for thousands of cycles.
//!
//! Owns: the cycles, and that the records are right at the end. Never: asserts a time.
//!
//! What is wrong with a structure that is changed in place shows late: a layout that is never given
//! up, an index page that only grows, a file that nobody closes. So the last sample is compared with
//! two earlier ones. From cycle 300 on nothing may grow but what follows the fill of blocks: a load
//! leaves them full, and they get emptier until every record has changed about once. From then on
//! that has to be flat too. And at all times a record may take only so much more than in a state that
//! was just loaded.
//!
//! The program that runs it has the allocator of the binary `grotto`: with one that keeps what each
//! thread freed, a leak would hide behind free lists.

mod drift;
mod host;
mod quantity;

use crate::deploy::{Deployment, state_dir_of};
use crate::figure::ms;
use crate::workload::catalog::Catalog;
use crate::workload::flat::Flat;
use crate::workload::{Model, Workload};
use anyhow::{Context, Result, bail, ensure};
use grotto::consumer::Consumer;
use grotto::engine::env::{Clock, SystemClock};
use grotto_state::SegmentOptions;
use quantity::{Quantity, Sample, Since, Window};
use std::path::PathBuf;
use std::time::Duration;

/// As producers do unless told otherwise.
const SNAPSHOT_EVERY: u64 = 25;

/// How long, and on what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Cycles.
    pub cycles: u64,
    /// Records at the start.
    pub records: u64,
    /// Share of the records that a cycle changes.
    pub churn: f64,
    /// Share of the records that goes and comes back between two samples.
    pub tide: f64,
    /// Cycles from one sample to the next.
    pub every: u64,
    /// Where the store and the state directory are made; the folder for temporary files if `None`.
    pub folder: Option<PathBuf>,
    /// Whether samples are printed as JSON.
    pub json: bool,
    /// How segments are kept: small budgets show with few records what the default ones show with
    /// millions.
    pub segments: SegmentOptions,
}

/// From here on all but the fill of blocks is flat.
const STEADY: u64 = 300;

/// Changed, deleted and new records of one cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    changed: u64,
    deleted: u64,
    added: u64,
}

impl Plan {
    /// What a cycle changes. The tide goes out in the first half of the way to a sample and comes
    /// in in the second, so that samples see the same number of records.
    fn step(&self, cycle: u64) -> Step {
        let changed = (self.records as f64 * self.churn) as u64;
        let half = self.every / 2;
        let flow = (self.records as f64 * self.tide) as u64 / half.max(1);
        let (out, back) = match (cycle - 1) % self.every {
            place if place < half => (flow, 0),
            place if place < 2 * half => (0, flow),
            _ => (0, 0),
        };
        Step {
            changed,
            deleted: changed / 10 + out,
            added: changed / 10 + back,
        }
    }

    /// Share of the records that is there in the middle of the way between two samples. Blocks keep
    /// the room of those that went until they come back, so a record takes more by then.
    fn present(&self) -> f64 {
        1.0 - self.tide / 2.0
    }

    /// The first sample that counts.
    fn steady(&self) -> u64 {
        STEADY.next_multiple_of(self.every).min(self.settled())
    }

    /// From when about as many records have changed as there are. Before that blocks are fuller than
    /// they will be, as a load left them full.
    fn settled(&self) -> u64 {
        let once = if self.churn > 0.0 {
            (1.0 / self.churn).ceil() as u64
        } else {
            1
        };
        once.next_multiple_of(self.every)
    }

    fn check(&self) -> Result<()> {
        let share = |share: f64| (0.0..1.0).contains(&share);
        ensure!(
            share(self.churn) && share(self.tide),
            "churn and tide are shares: expected numbers from 0 to 1"
        );
        ensure!(
            self.step(1)
                != Step {
                    changed: 0,
                    deleted: 0,
                    added: 0
                },
            "a churn of {} changes none of {} records",
            self.churn,
            self.records
        );
        let least = self.steady() + self.every;
        ensure!(
            self.cycles >= least,
            "{} cycles are too few to compare two samples: expected at least {least}",
            self.cycles
        );
        Ok(())
    }
}

/// Runs a workload by name.
///
/// # Errors
/// When something that should stay flat did not, when the records are not what they should be, or
/// when the engine refuses something.
pub fn run(workload: &str, plan: &Plan) -> Result<()> {
    plan.check()?;
    let (fresh, samples) = match workload {
        Flat::NAME => Soak::<Flat>::new(plan)?.run(plan)?,
        Catalog::NAME => Soak::<Catalog>::new(plan)?.run(plan)?,
        other => bail!("no workload {other}: expected flat or catalog"),
    };
    let from = |cycle| samples.iter().find(|sample| sample.cycle >= cycle);
    let (Some(steady), Some(last)) = (from(plan.steady()), samples.last()) else {
        bail!("no sample was taken");
    };
    drift::print(fresh, steady, last, plan.json)?;
    drift::judge_sizes(fresh / plan.present(), &samples)?;
    drift::judge(steady, last, Since::Steady)?;
    match from(plan.settled()) {
        Some(settled) => drift::judge(settled, last, Since::Settled),
        None => Ok(()),
    }
}

/// The deployment, and those who follow it.
struct Soak<W: Workload> {
    deploy: Deployment<W>,
    heap: Consumer,
    files: Consumer,
    clock: SystemClock,
    segments: SegmentOptions,
}

impl<W: Workload + 'static> Soak<W> {
    fn new(plan: &Plan) -> Result<Self> {
        let model = Model::<W>::new(plan.records);
        let (folder, segments) = (plan.folder.as_deref(), plan.segments);
        let deploy = Deployment::with_snapshots(folder, model, SNAPSHOT_EVERY, segments)?;
        Ok(Self {
            heap: deploy.consumer(None)?,
            files: deploy.consumer(Some(&state_dir_of(deploy.place())))?,
            deploy,
            clock: SystemClock::new(),
            segments,
        })
    }

    /// Bytes a record of a state that was just loaded, and the samples.
    fn run(mut self, plan: &Plan) -> Result<(f64, Vec<Sample>)> {
        let fresh = self.heap.state().shape();
        let fresh = fresh.bytes as f64 / fresh.records.max(1) as f64;
        let mut samples: Vec<Sample> = Vec::new();
        let mut window = Window::default();
        // A reader that is slow: it lets go of a version only at the next sample.
        let mut held = (self.heap.state(), self.files.state());
        for cycle in 1..=plan.cycles {
            self.cycle(plan.step(cycle), &mut window)?;
            if cycle.is_multiple_of(plan.every) {
                window.note(Quantity::StoreObjects, self.store_objects()?);
                let sample = std::mem::take(&mut window).sample(cycle);
                sample.print(plan.json, samples.is_empty())?;
                samples.push(sample);
                held = (self.heap.state(), self.files.state());
            }
        }
        drop(held);
        self.verify()?;
        Ok((fresh, samples))
    }

    /// Publishes a step and follows it.
    fn cycle(&mut self, step: Step, window: &mut Window) -> Result<()> {
        let start = self.clock.monotonic();
        self.deploy
            .publish_step(|model| model.step_by(step.changed, step.deleted, step.added))?;
        window.note(Quantity::Publish, ms(self.clock.monotonic() - start));
        window.note(Quantity::RefreshHeap, ms(self.refresh(&self.heap)?));
        window.note(Quantity::RefreshFiles, ms(self.refresh(&self.files)?));
        window.state(&self.heap.state().shape(), &self.segments);
        window.note(
            Quantity::SegmentsMapped,
            self.files.state().shape().segments as f64,
        );
        window.host(self.deploy.place())
    }

    fn refresh(&self, consumer: &Consumer) -> Result<Duration> {
        let start = self.clock.monotonic();
        let done = self.deploy.runtime().block_on(consumer.refresh())?;
        done.context("a refresh after a publication found nothing")?;
        Ok(self.clock.monotonic() - start)
    }

    fn store_objects(&self) -> Result<f64> {
        let (objects, _) = host::files_below(&self.deploy.place().join("store"))?;
        Ok(objects as f64)
    }

    /// Both consumers and one that starts now hold what the model says.
    fn verify(self) -> Result<()> {
        self.deploy.verify(&self.heap.state())?;
        self.deploy.verify(&self.files.state())?;
        let fresh = self.deploy.consumer(None)?;
        self.deploy.verify(&fresh.state())?;
        let (worn, new) = (self.heap.state(), fresh.state());
        ensure!(
            (worn.version(), worn.checksum()) == (new.version(), new.checksum()),
            "a consumer that followed and one that starts now differ"
        );
        for consumer in [self.heap, self.files, fresh] {
            self.deploy.runtime().block_on(consumer.shutdown());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(tide: f64) -> Plan {
        Plan {
            cycles: 200,
            records: 10_000,
            churn: 0.01,
            tide,
            every: 100,
            folder: None,
            json: false,
            segments: SegmentOptions::default(),
        }
    }

    #[test]
    fn a_tide_leaves_as_many_records_as_there_were() {
        let plan = plan(0.3);
        let steps = (1..=plan.every).map(|cycle| plan.step(cycle));
        let (mut now, mut least) = (plan.records, plan.records);
        for step in steps {
            now = now + step.added - step.deleted;
            least = least.min(now);
        }
        assert_eq!((now, least), (plan.records, 7_000));
        assert!((plan.present() - 0.85).abs() < 1e-9);
    }

    #[test]
    fn samples_count_from_when_every_record_has_changed_once() {
        let plan = Plan {
            every: 30,
            ..plan(0.0)
        };
        assert_eq!((plan.steady(), plan.settled()), (120, 120));
        assert!(plan.check().is_ok());
        let short = Plan {
            cycles: 149,
            ..plan
        };
        assert!(short.check().is_err());
    }

    #[test]
    fn where_that_takes_long_samples_count_from_cycle_300() {
        let plan = Plan {
            every: 70,
            churn: 0.000_5,
            cycles: 420,
            ..plan(0.0)
        };
        assert_eq!((plan.steady(), plan.settled()), (350, 2_030));
        assert!(plan.check().is_ok());
        let short = Plan {
            cycles: 419,
            ..plan
        };
        assert!(short.check().is_err());
    }

    #[test]
    fn a_plan_that_changes_nothing_is_refused() {
        let plan = Plan {
            churn: 0.000_01,
            ..plan(0.0)
        };
        assert!(plan.check().is_err());
    }
}
