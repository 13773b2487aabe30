//! Whether a daemon does what it is there for.
//!
//! Owns: the three answers and their words. Never: decides; each daemon does.

/// Whether a daemon does what it is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Everywhere.
    Ready,
    /// Somewhere, and something is wrong.
    Degraded,
    /// Nowhere.
    NotReady,
}

impl Readiness {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::NotReady => "not ready",
        }
    }
}
