//! How bad the store is to its callers just now.
//!
//! Owns: rates of faults and the draw for one operation. Never: carries one out.

use crate::dice::Dice;
use crate::fault::Fault;

/// What one operation may suffer, and whether it is one that has an effect.
const READS: &[Fault] = &[
    Fault::ErrorBefore,
    Fault::Hang,
    Fault::LateAnswer,
    Fault::Throttle,
    Fault::StaleRead,
    Fault::FlippedAnswer,
    Fault::TornAnswer,
    Fault::MissingAnswer,
];
const LISTS: &[Fault] = &[
    Fault::ErrorBefore,
    Fault::Hang,
    Fault::Throttle,
    Fault::StaleList,
];
const WRITES: &[Fault] = &[
    Fault::ErrorBefore,
    Fault::ErrorAfter,
    Fault::LostAnswer,
    Fault::LateAnswer,
    Fault::LateEffect,
    Fault::Hang,
    Fault::Throttle,
    Fault::Denied,
    Fault::ReadOnly,
    Fault::FailedSync,
];

/// Kinds of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Returns bytes.
    Read,
    /// Returns paths.
    List,
    /// Changes an object.
    Write,
}

/// Faults in a thousand operations: kinds that this run has, the rest never happen in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    rates: Vec<(Fault, u64)>,
}

impl Weather {
    /// No faults.
    pub(crate) fn calm() -> Self {
        Self::default()
    }

    /// Whether nothing happens.
    pub(crate) fn is_calm(&self) -> bool {
        self.rates.is_empty()
    }

    /// Some kinds of faults, some of them often.
    pub(crate) fn draw(dice: &Dice) -> Self {
        let worst = [5, 20, 60, 150][dice.below(4) as usize];
        let wanted = dice.within(200..1000);
        let all = [READS, LISTS, WRITES].concat();
        let mut kinds: Vec<Fault> = all.into_iter().filter(|_| dice.chance(wanted)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let rates = kinds.into_iter().map(|fault| {
            // Ends a process each time, and few writes are of an entry.
            let worst = match fault {
                Fault::FailedSync => 80,
                // Few listings are of what changed just now.
                Fault::StaleList => 3 * worst,
                _ => worst,
            };
            (fault, dice.within(1..worst))
        });
        Self {
            rates: rates.collect(),
        }
    }

    /// What an operation suffers.
    pub(super) fn fate(&self, kind: Kind, dice: &Dice) -> Option<Fault> {
        let possible = match kind {
            Kind::Read => READS,
            Kind::List => LISTS,
            Kind::Write => WRITES,
        };
        let mut rates = self.rates.iter();
        let hit = rates.find(|(fault, rate)| possible.contains(fault) && dice.chance(*rate));
        hit.map(|(fault, _)| *fault)
    }
}
