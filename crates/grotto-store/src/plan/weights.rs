//! What a plan costs.
//!
//! Owns: the exchange of waits for bytes, and how many requests are made at a time. Never: knows the steps.

/// Requests that whoever follows a plan makes at a time: each version of a long absence is one, and waits
/// for it decide how long the absence takes to make up for.
pub(crate) const REQUESTS_AT_ONCE: usize = 32;

/// What waiting for answers costs. The requests of a plan are made several at a time, in rounds; each
/// round counts as much as the bytes that could be fetched in its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanWeights {
    /// Bytes that could be fetched while one request is answered.
    pub round_bytes: u64,
    /// Requests under way at a time; 0 counts as 1.
    pub width: u64,
}

impl Default for PlanWeights {
    /// Thirty milliseconds at some 35 megabytes a second, and as many requests as
    /// [`Ahead`](crate::follow::Ahead) makes.
    fn default() -> Self {
        Self {
            round_bytes: 1 << 20,
            width: REQUESTS_AT_ONCE as u64,
        }
    }
}

impl PlanWeights {
    /// Bytes of a plan, and what its waits are worth.
    pub(super) fn cost(&self, bytes: u64, requests: u64) -> u64 {
        let rounds = requests.div_ceil(self.width.max(1));
        bytes.saturating_add(rounds.saturating_mul(self.round_bytes))
    }
}
