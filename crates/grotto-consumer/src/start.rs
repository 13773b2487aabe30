//! Whether a consumer may start with what there is.
//!
//! Owns: what is served without having been loaded, and when nothing to serve is an error. Never: loads anything.

use crate::error::{Error, ErrorKind, Result};
use crate::shared::Shared;
use crate::target::was_written;

/// Whether what was found in the state directory may be served.
pub(crate) fn is_usable(shared: &Shared) -> bool {
    let found = shared.served();
    was_written(&found) && shared.check_required(&found).is_ok()
}

/// Refuses a dataset without a version, as a mistyped name has none, and a local state that lacks what
/// is required when nothing newer was found.
pub(crate) fn check_there(shared: &Shared, wait: bool) -> Result<()> {
    let served = shared.served();
    if was_written(&served) {
        if let Some(filter) = served.filter() {
            let place = || format!("dataset {}", shared.dataset.name());
            filter
                .check(served.full_schema())
                .map_err(|e| e.at(place()))?;
        }
        return shared.check_required(&served);
    }
    if wait {
        return Ok(());
    }
    let name = shared.dataset.name();
    let message = format!("dataset {name}: nothing was ever published under this name");
    Err(Error::new(ErrorKind::NoDataset, message))
}
