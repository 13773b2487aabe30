//! Small text files.
//!
//! Owns: reading one within a limit. Never: knows what it says.

use grotto::{Error, Result};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Reads a small text file: `what` it is stands in complaints.
///
/// # Errors
/// `Invalid` or `Unavailable` when it cannot be read, is longer than `limit` bytes or no UTF-8.
pub fn read_text(path: &Path, what: &str, limit: u64) -> Result<String> {
    let action = format!("read {what}");
    let refused = |e: std::io::Error| {
        // A file that is not there will not come by waiting; and the message says all that the system did.
        Error::invalid(Error::io(&action, path, e).message())
    };
    // A device or a pipe has no length to be asked for, and may have no end.
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(refused)?;
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(refused)?;
    let cannot = |why: String| Error::invalid(format!("cannot {action} {}: {why}", path.display()));
    if bytes.len() as u64 > limit {
        return Err(cannot(format!(
            "expected at most {limit} bytes, found more"
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        cannot(format!(
            "line {line}: expected utf-8 text, found other bytes"
        ))
    })
}
