//! The async runtime that everything which talks to a store needs.
//!
//! Owns: saying what is missing before a runtime would panic. Never: starts one.
#![expect(
    clippy::disallowed_methods,
    reason = "this file asks whether the runtime has timers"
)]

use std::time::Duration;

/// What is missing to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRuntime {
    /// There is no tokio runtime around the call.
    Missing,
    /// The runtime has no timers.
    WithoutTimers,
}

impl std::fmt::Display for NoRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Missing => {
                "expected a tokio runtime around the call, such as `#[tokio::main]` gives; found none"
            }
            Self::WithoutTimers => {
                "expected a tokio runtime with timers: build it with `enable_all()`"
            }
        })
    }
}

impl std::error::Error for NoRuntime {}

/// Fails where a call that waits would panic.
///
/// # Errors
/// What is missing.
pub fn check_runtime() -> Result<(), NoRuntime> {
    tokio::runtime::Handle::try_current().map_err(|_| NoRuntime::Missing)?;
    // The runtime has no question for it. A timer that is dropped at once costs next to nothing.
    let timer = std::panic::catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO)));
    timer.map_err(|_| NoRuntime::WithoutTimers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(check_runtime(), Err(NoRuntime::Missing));
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let bare = builder.build().unwrap();
        let checked = bare.block_on(async { check_runtime() });
        assert_eq!(checked, Err(NoRuntime::WithoutTimers));
        let whole = builder.enable_time().build().unwrap();
        assert_eq!(whole.block_on(async { check_runtime() }), Ok(()));
    }
}
