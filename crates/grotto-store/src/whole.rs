//! All bytes of a large blob, while they come.
//!
//! Owns: whether they are kept in memory or in a file. Never: looks at them.

use std::io;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use grotto_mmap::Spool;

use crate::error::{Error, Result};
use crate::source::Source;

/// Bytes that come one behind the other.
#[derive(Debug)]
pub(crate) enum Whole {
    Memory(BytesMut),
    File(Spool),
}

impl Whole {
    /// Room for a blob: in a file of a folder, if there is one.
    pub(crate) fn begin(blob: &Source, folder: Option<&Path>) -> Result<Self> {
        if let Some(folder) = folder {
            return Spool::begin(folder)
                .map(Self::File)
                .map_err(|e| failed(folder, e));
        }
        let capacity = usize::try_from(blob.length()).map_err(|_| {
            Error::invalid(format!(
                "blob {} of {} bytes does not fit this host's memory",
                blob.name(),
                blob.length()
            ))
        })?;
        Ok(Self::Memory(BytesMut::with_capacity(capacity)))
    }

    /// Adds what comes next. What is written to a file goes no further than the page cache.
    pub(crate) fn push(&mut self, part: &[u8], folder: Option<&Path>) -> Result<()> {
        match self {
            Self::Memory(bytes) => bytes.extend_from_slice(part),
            Self::File(spool) => spool
                .write(part)
                .map_err(|e| failed(folder.unwrap_or(Path::new("")), e))?,
        }
        Ok(())
    }

    pub(crate) fn finish(self, folder: Option<&Path>) -> Result<Bytes> {
        match self {
            Self::Memory(bytes) => Ok(bytes.freeze()),
            Self::File(spool) => spool
                .seal()
                .map_err(|e| failed(folder.unwrap_or(Path::new("")), e)),
        }
    }
}

/// A full disk has room again later.
fn failed(folder: &Path, source: io::Error) -> Error {
    let kind = crate::error::ErrorKind::of_io(&source);
    let folder = folder.display();
    Error::new(kind, format!("cannot keep a large blob in {folder}")).with_source(source)
}
