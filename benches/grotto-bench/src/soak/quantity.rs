//! What is watched, and its values from one sample to the next.
//!
//! Owns: the list of quantities with their bounds, and medians. Never: decides that a run failed.

use super::host::{Host, files_below};
use crate::deploy::state_dir_of;
use crate::figure::median_of;
use anyhow::Result;
use grotto_state::{SegmentOptions, Shape};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::Path;

/// How far the last sample may be from the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    /// At most this many times as much, with this much on top.
    Growth(f64, f64),
    /// At least this share.
    Loss(f64),
    /// At most as many as refreshes may leave of a state of this size
    /// ([`SegmentOptions::most_segments`]), with this many more. However many a load left: it leaves
    /// a few large ones, refreshes leave smaller ones.
    Segments(f64),
    /// Only shown: times belong to the machine, and a store grows with its history.
    Shown,
}

/// Which earlier sample the last one is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// From cycle 300 on: blocks may still get emptier, and a record take more bytes for it.
    Steady,
    /// After every record has changed about once: nothing grows any more.
    Settled,
}

macro_rules! quantities {
    ($($name:ident $text:literal $unit:literal $steady:expr, $settled:expr;)*) => {
        /// A quantity that is watched.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Quantity {
            $($name,)*
        }

        impl Quantity {
            pub(super) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name and its unit.
            pub(super) fn describe(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$name => ($text, $unit),)*
                }
            }

            /// Its bound.
            pub(super) fn limit(self, since: Since) -> Limit {
                match (self, since) {
                    $((Self::$name, Since::Steady) => $steady,)*
                    $((Self::$name, Since::Settled) => $settled,)*
                }
            }
        }
    };
}

use Limit::{Growth, Loss, Segments, Shown};

/// What index bytes a record may differ by without anything being wrong: hashes are seeded anew for
/// every dataset, so how many pages overflow is chance. With 4,000 records a run went from 6.36 at
/// cycle 30 to 6.71 at cycle 90; another stayed between 6.62 and 6.74 from cycle 100 to 1,500.
const INDEX_CHANCE: f64 = 0.25;

quantities! {
    BytesPerRecord "bytes_per_record" "B" Growth(1.35, 0.0), Growth(1.05, 0.0);
    Fill "fill" "" Loss(0.85), Loss(0.97);
    LiveShare "live_share" "" Loss(0.85), Loss(0.95);
    BlockBytes "block_bytes_per_record" "B" Growth(1.25, 0.0), Growth(1.05, 0.0);
    IndexBytes "index_bytes_per_record" "B" Growth(1.1, INDEX_CHANCE), Growth(1.05, INDEX_CHANCE);
    Layouts "layouts" "" Growth(1.5, 8.0), Growth(1.1, 8.0);
    LayoutsUsed "layouts_used" "" Growth(1.25, 4.0), Growth(1.25, 4.0);
    Segments "segments" "" Segments(0.0), Growth(1.1, 4.0);
    SegmentsMapped "segments_mapped" "" Segments(0.0), Growth(1.1, 4.0);
    StateFiles "state_files" "" Segments(8.0), Growth(1.1, 8.0);
    StateBytes "state_dir" "MB" Growth(1.35, 2.0), Growth(1.1, 2.0);
    OpenFiles "open_files" "" Growth(1.0, 4.0), Growth(1.0, 4.0);
    Maps "maps" "" Growth(2.0, 64.0), Growth(1.25, 32.0);
    Threads "threads" "" Growth(1.0, 8.0), Growth(1.0, 8.0);
    Private "private" "MB" Growth(1.5, 32.0), Growth(1.25, 32.0);
    SegmentsMost "segments_most" "" Shown, Shown;
    StoreObjects "store_objects" "" Shown, Shown;
    Publish "publish" "ms" Shown, Shown;
    RefreshHeap "refresh_heap" "ms" Shown, Shown;
    RefreshFiles "refresh_files" "ms" Shown, Shown;
}

const COUNT: usize = Quantity::ALL.len();

/// Values since the last sample.
#[derive(Debug)]
pub(super) struct Window([Vec<f64>; COUNT]);

impl Default for Window {
    fn default() -> Self {
        Self([const { Vec::new() }; COUNT])
    }
}

impl Window {
    pub(super) fn note(&mut self, quantity: Quantity, value: f64) {
        self.0[quantity as usize].push(value);
    }

    /// What a consumer's state takes up, whose segments are kept so.
    pub(super) fn state(&mut self, shape: &Shape, options: &SegmentOptions) {
        let per_record = |bytes: u64| bytes as f64 / shape.records.max(1) as f64;
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        self.note(Quantity::BytesPerRecord, per_record(shape.bytes));
        self.note(Quantity::Fill, share(shape.records, shape.room));
        self.note(Quantity::LiveShare, share(shape.live_bytes, shape.bytes));
        self.note(Quantity::BlockBytes, per_record(shape.block_bytes));
        self.note(Quantity::IndexBytes, per_record(shape.index_bytes));
        self.note(Quantity::Layouts, shape.layouts as f64);
        self.note(Quantity::LayoutsUsed, shape.layouts_used as f64);
        self.note(Quantity::Segments, shape.segments as f64);
        let most = options.most_segments(shape.live_bytes);
        self.note(Quantity::SegmentsMost, most as f64);
    }

    /// What the process and the state directory hold.
    pub(super) fn host(&mut self, place: &Path) -> Result<()> {
        let host = Host::now()?;
        let (files, bytes) = files_below(&state_dir_of(place))?;
        self.note(Quantity::StateFiles, files as f64);
        self.note(Quantity::StateBytes, bytes as f64 / 1e6);
        self.note(Quantity::OpenFiles, host.open_files);
        self.note(Quantity::Maps, host.maps);
        self.note(Quantity::Threads, host.threads);
        self.note(Quantity::Private, host.private / 1e6);
        Ok(())
    }

    /// The middle of what was noted. A count that goes up and down, as that of segments does, is
    /// compared fairly only so.
    pub(super) fn sample(self, cycle: u64) -> Sample {
        let values = self.0.map(median_of);
        Sample { cycle, values }
    }
}

/// The middle values of a number of cycles.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// The last of the cycles.
    pub(super) cycle: u64,
    values: [f64; COUNT],
}

impl Sample {
    pub(super) fn value(&self, quantity: Quantity) -> f64 {
        self.values[quantity as usize]
    }

    /// A line of the table, after the head if it is the first one, or an object.
    pub(super) fn print(&self, as_json: bool, head: bool) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if as_json {
            let values = Quantity::ALL.iter().map(|quantity| {
                let (name, _) = quantity.describe();
                (name.to_owned(), json!(self.value(*quantity)))
            });
            let cycle = ("cycle".to_owned(), json!(self.cycle));
            let object: Map<String, Value> = [cycle].into_iter().chain(values).collect();
            writeln!(out, "{}", Value::Object(object))?;
            return Ok(());
        }
        if head {
            write!(out, "cycle")?;
            for quantity in Quantity::ALL {
                write!(out, " {}", quantity.describe().0)?;
            }
            writeln!(out)?;
        }
        write!(out, "{:5}", self.cycle)?;
        for quantity in Quantity::ALL {
            let width = quantity.describe().0.len();
            write!(out, " {:width$.3}", self.value(*quantity))?;
        }
        writeln!(out)?;
        out.flush()?;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn of(cycle: u64, value: impl Fn(Quantity) -> f64) -> Self {
        let mut values = [0.0; COUNT];
        for quantity in Quantity::ALL {
            values[*quantity as usize] = value(*quantity);
        }
        Self { cycle, values }
    }
}
